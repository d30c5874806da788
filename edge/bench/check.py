"""What a platform may find wrong with a decoded packet: QN, Flag, DataTime (Tables 3, 4), marks, factors.

Grave is what makes a packet unusable; the rest are deviations that platforms accept and a technician wants
to know.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Hashable, Iterator
from itertools import chain
from typing import Generic, TypeVar

from edge.bench.edition import Edition, any_command
from edge.bench.received import Finding, Repeat
from edge.bench.uploads import form
from protocol import factors
from protocol.commands import extension
from protocol.messages import asked_qn
from protocol.packet import Packet
from protocol.times import parse_time

Value = TypeVar("Value")

CLOCK_TOLERANCE_MS = 600_000
"""A logger's clock that is further off is worth a word."""

DATA_TIME_ENDINGS = {
    "2011": "", "2021": "", "2081": "", "2051": "00", "2061": "0000", "2031": "000000", "2041": "000000"
}  # fmt: skip
"""Uploads with a DataTime, and how it ends: minute data 00 s, hour data 0000, day data 000000 (Table 4)."""

_FACTOR = re.compile(r"[walgenp][0-9a-z]{5}|L[A-Za-z0-9]{1,5}")


def check(packet: Packet, now_ms: int, edition: Edition) -> tuple[Finding, ...]:
    """Everything that can be said against a packet that arrived at `now_ms` and can be read."""
    return (
        *_header(packet, now_ms, edition),
        *_data_time(packet, now_ms),
        *_values(packet, edition),
        *form(packet),
    )


def _header(packet: Packet, now_ms: int, edition: Edition) -> Iterator[Finding]:
    qn = asked_qn(packet) if edition.qn_in_region else packet.qn
    sent_ms = _time(qn, 17)
    if qn is None and packet.wants_answer:
        yield Finding("bench.qn_missing")
    elif qn is not None and sent_ms is None:
        yield Finding("bench.qn_form", {"came": qn})
    elif sent_ms is not None and abs(sent_ms - now_ms) > CLOCK_TOLERANCE_MS:
        yield Finding("bench.qn_off", {"seconds": round((sent_ms - now_ms) / 1000)}, grave=False)
    if not edition.knows(packet.cn) and extension(packet.cn) is None:
        code = "bench.cn_edition" if any_command(packet.cn) else "bench.cn_unknown"
        yield Finding(code, {"came": packet.cn, "edition": edition.name}, grave=False)
    if packet.flag is not None and packet.flag & ~3 != edition.version:
        shown = {"came": packet.flag, "edition": edition.name, "low": edition.version, "high": edition.version + 3}
        yield Finding("bench.flag_version", shown, grave=False)


def _time(text: str | None, digits: int) -> int | None:
    if text is None or len(text) != digits:
        return None
    try:
        return parse_time(text)
    except ValueError:
        return None


def _data_time(packet: Packet, now_ms: int) -> Iterator[Finding]:
    ending = DATA_TIME_ENDINGS.get(packet.cn)
    if ending is None:
        return
    text = packet.get("DataTime")
    time_ms = _time(text and text[:14], 14)
    if text is None or time_ms is None:
        yield Finding("bench.data_time_missing")
    elif not text[:14].endswith(ending):
        yield Finding("bench.data_time_ending", {"came": text, "ending": ending})
    elif time_ms - now_ms > CLOCK_TOLERANCE_MS:
        yield Finding("bench.data_time_ahead", {"came": text}, grave=False)


def _values(packet: Packet, edition: Edition) -> Iterator[Finding]:
    unknown: dict[str, None] = {}
    foreign: dict[str, None] = {}
    for name, value in chain.from_iterable(packet.data):
        code, _, attribute = name.rpartition("-")
        if _FACTOR.fullmatch(code) and not factors.factors(code):
            unknown[code] = None
        elif code and edition.foreign(code):
            foreign[code] = None
        if code and attribute == "Flag" and value not in edition.marks:
            yield Finding("bench.mark_unknown", {"field": name, "came": value}, grave=False)
    for factor in unknown:
        yield Finding("bench.factor_unknown", {"factor": factor}, grave=False)
    for factor in foreign:
        yield Finding("bench.factor_edition", {"factor": factor, "edition": edition.name}, grave=False)


class Memory:
    """What came before, bounded to the last `keep` packets: tells a retry from new data."""

    def __init__(self, keep: int) -> None:
        self._segments: Bounded[bytes] = Bounded(keep)
        self._contents: Bounded[int] = Bounded(keep)

    def judge(self, packet: Packet, segment: bytes) -> tuple[Repeat, tuple[Finding, ...]]:
        """Whether the packet was here before, and what is wrong about the repetition."""
        mn, cn, qn = packet.mn, packet.cn, asked_qn(packet)
        if not qn or cn.startswith("9"):
            return Repeat.FIRST, ()
        periodic = cn in DATA_TIME_ENDINGS
        # Answers to a command repeat the command's QN (§6.5): only uploads must have a QN of their own.
        before = self._segments.put((mn, qn) if periodic else (mn, qn, cn), segment)
        if before == segment:
            return Repeat.RESENT, ()
        if not periodic:
            return Repeat.FIRST, ()
        content = hash(packet.data)
        known = self._contents.put((mn, cn, packet.get("DataTime"), packet.pno), content)
        repeat = Repeat.FIRST if known is None else Repeat.AGAIN if known == content else Repeat.REVISED
        return repeat, () if before is None else (Finding("bench.qn_twice", {"qn": qn}),)


class Bounded(Generic[Value]):
    """The last `keep` entries of a dictionary."""

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._known: OrderedDict[Hashable, Value] = OrderedDict()

    def __contains__(self, key: Hashable) -> bool:
        return key in self._known

    def put(self, key: Hashable, value: Value) -> Value | None:
        """Remember `value`; what stood there before."""
        before = self._known.get(key)
        self._known[key] = value
        if len(self._known) > self._keep:
            self._known.popitem(last=False)
        return before
