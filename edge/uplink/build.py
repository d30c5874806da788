"""From stored records to packets: what one delivery looks like on one platform's wire.

A delivery is built from the records as they are stored; when it must be issued anew (stale, other password or MN) its
data region is taken from the packets that were built first, so that a value once written never changes. Where the
platform's edition has changed meanwhile the records say the same values in the new one's terms.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from edge.measure.engine import Engine
from edge.measure.stops import OUT_OF_OPERATION, Stops
from edge.measure.wire import runtime_text, wire_code
from edge.store import outbox, records
from edge.store.delivery import first_revision
from edge.store.outbox import Delivery, OpenPacket
from edge.uplink.numbers import Numbers, OnEvent
from edge.uplink.terms import Terms
from edge.values import MINUTE_MS, Record
from protocol.edition import edition
from protocol.equipment import is_equipment
from protocol.errors import ProtocolError
from protocol.lenient import checked, region_of
from protocol.messages import Header, runtimes
from protocol.packet import Packet
from protocol.region import Body, write
from protocol.times import parse_time
from protocol.upload import frames, statistics

RUNTIMES = "2041"
_DATA = frozenset({"2011", "2031", "2051", "2061"})
"""Uploads of measured data: only they carry a platform's extra fields."""
_HEAD = len("##0000")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A committed packet, with what its delivery carries."""

    packet: OpenPacket
    cn: str


@dataclass(frozen=True, slots=True)
class Broken:
    """A delivery of which no packet can be made (a value that HJ 212 cannot say); it is set aside and kept."""

    id: int
    why: str


@dataclass(frozen=True, slots=True)
class Builder:
    """Builds the packets of one platform and outlet; runs in the store's thread."""

    repeats: ClassVar[bool] = False
    """Whether what was refused is sent again as the same bytes."""
    terms: Terms
    engine: Engine
    """The outlet's rules, for intervals longer than a minute; no samples go in here."""
    decimals: Mapping[str, int]
    """Decimals on the wire by factor, where the site file sets them."""
    on_event: OnEvent = lambda _code, _params: None
    stops: Stops = field(default_factory=Stops)
    """When the outlet's source stood still."""

    @property
    def numbers(self) -> Numbers:
        """How the platform gets the outlet's numbers."""
        return Numbers(self.terms, self.engine, self.decimals, self.on_event)

    def prepare(
        self, db: sqlite3.Connection, ids: Sequence[int], fresh_from_ms: int, now_ms: int
    ) -> tuple[list[Prepared], list[Broken]]:
        """The packets to send for those of these deliveries that are this platform's and outlet's.

        One delivery that cannot be built does not hold up the others.
        """
        found: list[Prepared] = []
        broken: list[Broken] = []
        for delivery_id in ids:
            delivery = outbox.by_id(db, delivery_id)
            if delivery is None or (delivery.platform, delivery.outlet) != (self.terms.platform, self.terms.outlet):
                continue
            if not self.terms.edition.carries(delivery.cn):
                outbox.withdraw(db, delivery_id)
                continue
            try:
                packets = self._packets(db, delivery_id, fresh_from_ms, now_ms)
            except (ProtocolError, ValueError) as error:
                outbox.set_aside(db, delivery_id)
                broken.append(Broken(delivery_id, str(error)))
                continue
            if not packets:  # no factor has anything to say and the platform wants it omitted: there is no packet
                outbox.nothing_to_send(db, delivery_id)
            found += [Prepared(packet, delivery.cn) for packet in packets]
        return found, broken

    def holds(self, packet: OpenPacket) -> bool:
        """Whether a packet is of the edition, and bears the ST, password and MN, that are in force."""
        sent = _header(packet.data)
        wanted = (("ST", self.terms.st), ("PW", self.terms.password), ("MN", self.terms.mn))
        bears = all(f"{name}={value}".encode() in sent for name, value in wanted)
        return bears and self.terms.edition.wrote(sent)

    def _packets(self, db: sqlite3.Connection, delivery_id: int, fresh_from_ms: int, now_ms: int) -> list[OpenPacket]:
        return outbox.prepare(
            db,
            delivery_id,
            lambda delivery, found: self._issue(db, delivery, found, now_ms),
            lambda packet: self._is_fresh(packet, fresh_from_ms),
            now_ms,
            repeat=self.repeats,
        )

    def _is_fresh(self, packet: OpenPacket, fresh_from_ms: int) -> bool:
        """Whether a packet that exists is sent as it is, or its delivery issued anew."""
        return packet.created >= max(fresh_from_ms, self.terms.address_since_ms) and self.holds(packet)

    def _issue(
        self, db: sqlite3.Connection, delivery: Delivery, found: list[Record], now_ms: int
    ) -> list[tuple[str, int, int, bytes]]:
        first = self._first_body(db, delivery)
        body = first or self._body(db, delivery, found)
        if delivery.payload is None and ";" not in body:
            if not found:
                raise ValueError(f"no records of {delivery.cn} at {delivery.start}")
            return []
        body = first or self.with_extra(delivery.cn, body)
        return self.packets(db, delivery.cn, body, self.terms.asks_answer(delivery.cn), now_ms)

    def packets(
        self, db: sqlite3.Connection, cn: str, body: Body, asks: bool, now_ms: int
    ) -> list[tuple[str, int, int, bytes]]:
        """(QN, PNO, PNUM, frame) of the packets that carry a body, with new QNs; `asks`: Flag bit A."""
        terms = self.terms
        header = Header(terms.st, terms.password, terms.mn)
        wanted = terms.limits, terms.form, terms.edition
        return [*frames(header, cn, body, lambda: parse_time(outbox.qn_for(db, now_ms)), asks, *wanted)]

    def with_extra(self, cn: str, body: Body) -> Body:
        """A body as it is issued first: data uploads carry the platform's extra fields behind DataTime."""
        extra = self.terms.site.extra
        if not extra or cn not in _DATA:
            return body
        label, _, items = body.partition(";")
        return Body(";".join([label, *(f"{name}={value}" for name, value in extra.items()), items]))

    def _first_body(self, db: sqlite3.Connection, delivery: Delivery) -> Body | None:
        """The body that was sent first, put together again from its parts (each repeats DataTime).

        None where nothing was sent, or in another edition: what it said is said anew.
        """
        issued = outbox.first_issue(db, delivery.id)
        if not issued or not self.terms.edition.wrote(_header(issued[0])):
            return None
        parts = [_packet(data).data for data in issued]
        return write(parts[0] + tuple(item for part in parts[1:] for item in part[1:]))

    def _body(self, db: sqlite3.Connection, delivery: Delivery, found: list[Record]) -> Body:
        if delivery.payload is not None:  # the very text that was taken in, or an error, never a smaller packet
            return self._said_anew(checked(delivery.payload.decode()), delivery)
        minutes = None if delivery.end is None else (delivery.end - delivery.start) // MINUTE_MS
        first = None
        if minutes is not None and delivery.revision:
            first = outbox.records_at(db, delivery, self.first_revision(db, delivery.cn, delivery.start))
        return self.period(db, delivery.cn, found, delivery.start, minutes, first)

    def period(
        self,
        db: sqlite3.Connection,
        cn: str,
        found: list[Record],
        start: int,
        minutes: int | None,
        first: list[Record] | None = None,
    ) -> Body:
        """Body of the records of one period: of equipment for 2041, else of pollutants, as `statistics` says."""
        if cn == RUNTIMES:
            return self._runtimes(found, start)
        return self.statistics(db, _pollutants(found), start, minutes, None if first is None else _pollutants(first))

    def _runtimes(self, found: list[Record], start: int) -> Body:
        equipment = [record for record in self._ordered(found) if is_equipment(record.factor)]
        return write(runtimes(start, [(one.factor, hours) for one in equipment if (hours := runtime_text(one))]))

    def _said_anew(self, body: Body, delivery: Delivery) -> Body:
        """A text that was taken in, in the terms of the platform's edition."""
        if delivery.edition == self.terms.edition.name:
            return body
        region = edition(delivery.edition).region_2017(region_of(body), delivery.cn)
        return write(self.terms.edition.region(region, delivery.cn))

    def first_revision(self, db: sqlite3.Connection, cn: str, start: int) -> int:
        """The revision with which a label went out first here."""
        return first_revision(db, self.terms.platform, self.terms.outlet, cn, start) or 0

    def statistics(
        self,
        db: sqlite3.Connection,
        found: list[Record],
        start: int,
        minutes: int | None,
        first: list[Record] | None = None,
    ) -> Body:
        """Body of the records of one period; `minutes`: the period that minute records are to be joined to.

        `first`: the records as they went out first. A mark that came later must not change the joined numbers.
        """
        if minutes is not None:
            joined = self.engine.derive(found, start, minutes)
            before = joined if first is None else self.engine.derive(first, start, minutes)
            marks = {record.factor: record.mark for record in joined}
            found = [replace(record, mark=marks.get(record.factor, record.mark)) for record in before]
        length_ms = max((record.kind.ms for record in found), default=0) * (minutes or 1)
        numbers, sentinels = self.numbers, self.engine.sentinels(found)
        wires = [
            (one.factor, numbers.record(self._on_wire(one, length_ms), self._last(db, one), one.factor in sentinels))
            for one in self._ordered(found)
        ]
        items = [(wire_code(factor), wire) for factor, wire in wires if wire.slots]
        shape = tuple((factor, wire.slots) for factor, wire in items)
        values = [value for _, wire in items for value in wire.values]
        return statistics(start, shape, values, self.terms.edition, numbers.units)

    def _ordered(self, found: list[Record]) -> list[Record]:
        """As the site file has the factors."""
        order = {factor: place for place, factor in enumerate(self.engine.factors)}
        return sorted(found, key=lambda record: order.get(record.factor, len(order)))

    def _last(self, db: sqlite3.Connection, record: Record) -> float | None:
        """The last known mean, where the platform wants it for a record without one."""
        return records.last_average(db, record) if record.avg is None and self.terms.site.absent == "last" else None

    def _on_wire(self, record: Record, length_ms: int) -> Record:
        """A record with the mark that this platform wants where the source stood still all the time."""
        if self.terms.site.stopped != OUT_OF_OPERATION:
            return record
        end = record.start + length_ms
        return replace(record, mark=self.stops.mark(record.mark, record.outlet, record.start, end))


def _pollutants(found: list[Record]) -> list[Record]:
    return [record for record in found if not is_equipment(record.factor)]


def _header(frame: bytes) -> list[bytes]:
    """Header fields of one of our own frames, as on the wire."""
    return frame[_HEAD : frame.index(b"CP=&&")].split(b";")


def _packet(frame: bytes) -> Packet:
    """One of our own frames, read back."""
    return Packet.from_segment(frame[_HEAD : _HEAD + int(frame[2:_HEAD])])
