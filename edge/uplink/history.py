"""Data that a platform asked for (2031, 2041, 2051, 2061, and the logs of 3020): packets behind the live ones.

    request ─▶ Asked ─ pages ─▶ packets, fresh QNs ─▶ written, and answered where that is asked for ─▶ ended (ExeRtn)

They repeat what is sealed and are no deliveries of the outbox: a platform that asks again gets them again, so nothing
of them is committed but their QNs. A link that goes down ends the request. HJ 212-2017 §6.5, Tables C.20-C.23,
C.41, C.47-C.50.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

from edge.store import journal, records
from edge.store.outbox import OpenPacket
from edge.uplink import logs
from edge.uplink.build import Builder
from edge.uplink.terms import Terms
from edge.values import DAY_MS, MINUTE_MS, Kind, period_start
from protocol.errors import ProtocolError
from protocol.region import Body

SUCCESS, TIMEOUT, NO_DATA = 1, 4, 100
"""ExeRtn (Table 6)."""
NO_DELIVERY = 0
"""Number of the delivery of packets that are none."""
KIND_OF_CN = {"2051": Kind.MINUTE, "2061": Kind.HOUR, "2031": Kind.DAY, "2041": Kind.DAY}
LOOK = {Kind.MINUTE: DAY_MS, Kind.HOUR: 60 * DAY_MS, Kind.DAY: 1_500 * DAY_MS}
"""So much time is looked through for one page: years without data must not hold up the store."""

Page = tuple[list[Body], int | None]
"""Bodies in the order of time, and the place from which the next page goes on; None: that was all."""


class Source(Protocol):
    """Where the data come from; runs in the store's thread."""

    def page(self, db: sqlite3.Connection, place: int, count: int) -> Page:
        """At most `count` bodies from a place on; 0 is the beginning."""
        ...


@dataclass(frozen=True, slots=True)
class SealedRecords:
    """Records with begin <= start label <= end, one body a label; minutes at the platform's interval."""

    builder: Builder
    cn: str
    begin_ms: int
    end_ms: int

    def page(self, db: sqlite3.Connection, place: int, count: int) -> Page:
        """`place`: the label to look from. A page looks no further than LOOK, however little it finds."""
        kind, start = KIND_OF_CN[self.cn], max(place, self.begin_ms)
        last = records.last_start(db, self.builder.terms.outlet, kind)
        horizon = period_start(start + LOOK[kind], DAY_MS)  # where all intervals have a border
        found: list[Body] = []
        while len(found) < count:
            label = None if last is None else self._next_label(db, kind, start, horizon, last)
            if label is None:
                return found, horizon if last is not None and horizon <= min(last, self.end_ms) else None
            start = label + self._length(kind, label)
            body = self._body(db, kind, label, start)
            if body is not None:
                found.append(body)
        return found, start

    def _length(self, kind: Kind, label: int) -> int:
        return self.builder.terms.minute_at(label) if kind is Kind.MINUTE else kind.ms

    def _next_label(self, db: sqlite3.Connection, kind: Kind, start: int, horizon: int, last: int) -> int | None:
        """The first label in [start, horizon) whose period has records and has ended; `last`: of all records."""
        outlet = self.builder.terms.outlet
        # the last label may begin at end_ms and have its first record later
        until = min(self.end_ms + self._length(kind, self.end_ms), horizon) - 1
        while start <= min(self.end_ms, until):
            first = records.between(db, outlet, kind, start, until, 1)
            if not first:
                return None
            length = self._length(kind, first[0].start)
            label = period_start(first[0].start, length)
            if start <= label <= self.end_ms:
                return label if label + length <= last + kind.ms else None
            start = label + length
        return None

    def _body(self, db: sqlite3.Connection, kind: Kind, label: int, end: int) -> Body | None:
        """What was sent first; with `revisions = "marks"` under the marks that hold now."""
        outlet = self.builder.terms.outlet
        there = [one for start in range(label, end, kind.ms) for one in records.of_period(db, outlet, kind, start)]
        base = self.builder.first_revision(db, self.cn, label)
        first = records.newest(one for one in there if one.revision <= base)
        found = records.newest(there) if self.builder.terms.site.revisions == "marks" else first
        minutes = (end - label) // MINUTE_MS if kind is Kind.MINUTE else None
        body = self.builder.period(db, self.cn, found, label, minutes, first)
        return body if ";" in body else None


@dataclass(frozen=True, slots=True)
class LogEntries:
    """i21001: the logger's journal; i11001: what was done at the instrument of a pollutant."""

    terms: Terms
    info_id: str
    pol_id: str | None
    begin_ms: int
    end_ms: int

    def page(self, db: sqlite3.Connection, place: int, count: int) -> Page:
        """`place`: number of the last entry."""
        found = journal.between(db, self.begin_ms, self.end_ms, place, count)
        bodies = [logs.body(self.terms, self.info_id, entry, self.pol_id) for entry in found if self._meant(entry)]
        return bodies, found[-1].id if len(found) == count else None

    def _meant(self, entry: journal.Entry) -> bool:
        if self.info_id == logs.INSTRUMENT_LOG:
            return logs.at_instrument(entry, self.terms.outlet, self.pol_id)
        return logs.concerns(entry, self.terms.platform, self.terms.outlet)


@dataclass(slots=True)
class Asked:
    """One request for data, from its 9011 to its 9012. `asks`: each packet wants an answer (Flag bit A)."""

    cn: str
    source: Source
    asks: bool
    ended: asyncio.Future[int]
    ready: deque[OpenPacket] = field(default_factory=deque)
    flying: set[str] = field(default_factory=set)
    place: int | None = 0
    sent: int = 0

    @property
    def waits(self) -> bool:
        """Whether there is something to send, or to look for."""
        return not self.ended.done() and (bool(self.ready) or self.place is not None)

    def sending(self, packet: OpenPacket) -> None:
        """A packet is being written."""
        self.sent += 1
        self.flying.add(packet.qn)

    def landed(self, qn: str) -> None:
        """A packet is answered, or written where no answer is asked for."""
        self.flying.discard(qn)
        self.settle()

    def give_back(self, packet: OpenPacket) -> None:
        """A packet that made room for live data goes again, the same bytes."""
        self.flying.discard(packet.qn)
        self.sent -= 1
        self.ready.appendleft(packet)

    def settle(self) -> None:
        """Ended when all is written and answered."""
        if self.place is None and not self.ready and not self.flying:
            self.end(SUCCESS if self.sent else NO_DATA)

    def end(self, code: int) -> None:
        """With an ExeRtn; once."""
        if not self.ended.done():
            self.ended.set_result(code)


def build_page(
    db: sqlite3.Connection, builder: Builder, asked: Asked, count: int, now_ms: int
) -> tuple[list[OpenPacket], int | None, list[str]]:
    """Packets of the next page, each body in one or more; what cannot be said on the wire is left out and named."""
    bodies, place = asked.source.page(db, asked.place or 0, count)
    packets: list[OpenPacket] = []
    broken: list[str] = []
    for body in bodies:
        try:
            built = builder.packets(db, asked.cn, builder.with_extra(asked.cn, body), asked.asks, now_ms)
        except (ProtocolError, ValueError) as error:
            broken.append(str(error))
            continue
        packets += [OpenPacket(qn, NO_DELIVERY, pno, pnum, data, now_ms) for qn, pno, pnum, data in built]
    return packets, place, broken
