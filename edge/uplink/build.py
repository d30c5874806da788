"""From stored records to packets: what one delivery looks like on one platform's wire.

A delivery is built from the records as they are stored; when it must be issued anew (stale, other password or MN) its
data region is taken from the packets that were built first, so that a value once written never changes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from edge.measure.engine import Engine
from edge.measure.stops import OUT_OF_OPERATION, Stops
from edge.measure.wire import Wire, record_wire
from edge.store import outbox, records
from edge.store.delivery import first_revision
from edge.store.outbox import Delivery, OpenPacket
from edge.uplink.terms import Terms
from edge.values import MINUTE_MS, Record
from protocol.errors import ProtocolError
from protocol.factors import wire_decimals
from protocol.lenient import checked
from protocol.messages import Header
from protocol.packet import Packet
from protocol.region import Body, write
from protocol.times import parse_time
from protocol.upload import frames, statistics

_HEAD = len("##0000")
_QN = len("QN=20160801085857223")


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

    terms: Terms
    engine: Engine
    """The outlet's rules, for intervals longer than a minute; no samples go in here."""
    decimals: Mapping[str, int]
    """Decimals on the wire by factor, where the site file sets them."""
    stops: Stops = field(default_factory=Stops)
    """When the outlet's source stood still."""

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
        """Whether a packet bears the ST, password and MN that are in force."""
        sent = packet.data[_HEAD + _QN :].split(b";", 5)
        return sent[1:2] + sent[3:5] == [
            f"{name}={value}".encode()
            for name, value in (("ST", self.terms.st), ("PW", self.terms.password), ("MN", self.terms.mn))
        ]

    def _packets(self, db: sqlite3.Connection, delivery_id: int, fresh_from_ms: int, now_ms: int) -> list[OpenPacket]:
        return outbox.prepare(
            db,
            delivery_id,
            lambda delivery, found: self._issue(db, delivery, found, now_ms),
            lambda packet: packet.created >= max(fresh_from_ms, self.terms.address_since_ms) and self.holds(packet),
            now_ms,
        )

    def _issue(
        self, db: sqlite3.Connection, delivery: Delivery, found: list[Record], now_ms: int
    ) -> list[tuple[str, int, int, bytes]]:
        body = self._first_body(db, delivery) or self._body(db, delivery, found)
        if delivery.payload is None and ";" not in body:
            if not found:
                raise ValueError(f"no records of {delivery.cn} at {delivery.start}")
            return []
        return self.packets(db, delivery.cn, body, self.terms.asks_answer(delivery.cn), now_ms)

    def packets(
        self, db: sqlite3.Connection, cn: str, body: Body, asks: bool, now_ms: int
    ) -> list[tuple[str, int, int, bytes]]:
        """(QN, PNO, PNUM, frame) of the packets that carry a body, with new QNs; `asks`: Flag bit A."""
        header = Header(self.terms.st, self.terms.password, self.terms.mn)
        crc = self.terms.site.crc
        return [*frames(header, cn, body, lambda: parse_time(outbox.qn_for(db, now_ms)), asks, variant=crc)]

    def _first_body(self, db: sqlite3.Connection, delivery: Delivery) -> Body | None:
        """The body that was sent first, put together again from its parts (each repeats DataTime)."""
        parts = [_packet(data).data for data in outbox.first_issue(db, delivery.id)]
        return write(parts[0] + tuple(item for part in parts[1:] for item in part[1:])) if parts else None

    def _body(self, db: sqlite3.Connection, delivery: Delivery, found: list[Record]) -> Body:
        if delivery.payload is not None:  # the very text that was taken in, or an error, never a smaller packet
            return checked(delivery.payload.decode())
        minutes = None if delivery.end is None else (delivery.end - delivery.start) // MINUTE_MS
        first = None
        if minutes is not None and delivery.revision:
            first = outbox.records_at(db, delivery, self.first_revision(db, delivery.cn, delivery.start))
        return self.statistics(db, found, delivery.start, minutes, first)

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
            numbers = joined if first is None else self.engine.derive(first, start, minutes)
            marks = {record.factor: record.mark for record in joined}
            found = [replace(record, mark=marks.get(record.factor, record.mark)) for record in numbers]
        order = {factor: place for place, factor in enumerate(self.engine.factors)}
        found.sort(key=lambda record: order.get(record.factor, len(order)))
        length_ms = max((record.kind.ms for record in found), default=0) * (minutes or 1)
        items = [(record.factor, wire) for record in found if (wire := self._wire(db, record, length_ms)).slots]
        shape = tuple((factor, wire.slots) for factor, wire in items)
        return statistics(start, shape, [value for _, wire in items for value in wire.values])

    def _wire(self, db: sqlite3.Connection, record: Record, length_ms: int) -> Wire:
        absent = self.terms.site.absent
        if self.terms.site.stopped == OUT_OF_OPERATION:
            end = record.start + length_ms
            record = replace(record, mark=self.stops.mark(record.mark, record.outlet, record.start, end))
        last = records.last_average(db, record) if record.avg is None and absent == "last" else None
        return record_wire(record, wire_decimals(record.factor, self.decimals.get(record.factor)), absent, last)


def _packet(frame: bytes) -> Packet:
    """One of our own frames, read back."""
    return Packet.from_segment(frame[_HEAD : _HEAD + int(frame[2:_HEAD])])
