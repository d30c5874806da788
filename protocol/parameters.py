"""Parameters of the set and get commands, with the bounds of HJ 212-2017 Table 4: read from a packet, and as a region.

    1000 OverTime, ReCount · 1011/1012 [PolId], SystemTime · 1013 [PolId] · 1061/1062 RtdInterval
    1063/1064 MinInterval · 1072 NewPW · 2031/2041/2051/2061 BeginTime, EndTime
Every reader raises BadPacket that names the field, what was expected and what came.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from protocol.errors import BadPacket
from protocol.packet import Packet
from protocol.region import Region, fields
from protocol.times import parse_time, time_text

REALTIME_INTERVALS = range(30, 3601)
"""RtdInterval, s."""
MINUTE_INTERVALS = (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)
"""MinInterval, min."""
TIMEOUTS = range(1, 100)
"""OverTime, s."""
RETRIES = range(1, 100)
"""ReCount."""
CYCLES = range(1, 25)
"""CTime, h."""

_PASSWORD = re.compile(r"[0-9A-Za-z]{1,6}")
_POL_ID = re.compile(r"[0-9A-Za-z]{1,6}")
_INFO_ID = re.compile(r"[iI][1-5][1-3][0-9A-Za-z]{3}")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """CN 1000: seconds to wait for an answer, and resends."""

    timeout_s: int
    retries: int

    def region(self) -> Region:
        """OverTime and ReCount."""
        return fields(("OverTime", str(self.timeout_s)), ("ReCount", str(self.retries)))


@dataclass(frozen=True, slots=True)
class SystemTime:
    """CN 1011 and 1012: a clock's time, UTC milliseconds; `pol_id` names the analyzer, None: the logger's own clock."""

    ms: int
    pol_id: str | None = None

    def region(self) -> Region:
        """PolId where there is one, and SystemTime."""
        time = fields(("SystemTime", time_text(self.ms)))
        return time if self.pol_id is None else fields(("PolId", self.pol_id)) + time


@dataclass(frozen=True, slots=True)
class Period:
    """What a history request asks for: labels from begin to end, both included, UTC milliseconds."""

    begin_ms: int
    end_ms: int

    def region(self) -> Region:
        """BeginTime and EndTime."""
        return fields(("BeginTime", time_text(self.begin_ms)), ("EndTime", time_text(self.end_ms)))


@dataclass(frozen=True, slots=True)
class Cycle:
    """CN 3016 and 3017: when sampling starts (hhmmss), and every how many hours."""

    start: str
    hours: int


def read_cycle(packet: Packet) -> Cycle:
    """CstartTime (default midnight) and CTime of 3016."""
    start = packet.get("CstartTime") or "000000"
    try:
        parse_time("20260101" + start)
    except ValueError:
        raise wrong("CstartTime", "hhmmss", start) from None
    if len(start) != len("hhmmss"):
        raise wrong("CstartTime", "hhmmss", start)
    return Cycle(start, whole_of(packet, "CTime", CYCLES))


def read_pol_id_of_action(packet: Packet) -> str:
    """PolId of 3011 to 3014 and 3016 to 3019, which must name one."""
    found = read_pol_id(packet)
    if found is None:
        raise BadPacket("protocol.packet.parameter", field="PolId", expected="C6: 0-9 a-z")
    return found


def read_info_id(packet: Packet) -> str:
    """InfoId of 3020 and 3021 (Table B.10); in small letters."""
    info = text_of(packet, "InfoId", "C6: 0-9 a-z")
    if not _INFO_ID.fullmatch(info):
        raise wrong("InfoId", "i, 1-5, 1-3, 3 x 0-9 a-z", info)
    return info.lower()


def read_info_text(packet: Packet, info_id: str) -> str:
    """What 3021 sets an info to."""
    return text_of(packet, f"{info_id}-Info", "text")


def read_timeouts(packet: Packet) -> Timeouts:
    """Parameters of 1000."""
    return Timeouts(whole_of(packet, "OverTime", TIMEOUTS), whole_of(packet, "ReCount", RETRIES))


def read_system_time(packet: Packet) -> SystemTime:
    """Parameters of 1012, or of the reply to 1011."""
    return SystemTime(time_of(packet, "SystemTime"), read_pol_id(packet))


def read_pol_id(packet: Packet) -> str | None:
    """PolId of 1011, 1012, 1013; None: the logger itself is meant."""
    pol_id = packet.get("PolId") or None
    if pol_id is not None and not _POL_ID.fullmatch(pol_id):
        raise wrong("PolId", "C6: 0-9 a-z", pol_id)
    return pol_id


def read_realtime_interval(packet: Packet) -> int:
    """RtdInterval of 1061 and 1062, seconds."""
    return whole_of(packet, "RtdInterval", REALTIME_INTERVALS)


def read_minute_interval(packet: Packet) -> int:
    """MinInterval of 1063 and 1064, minutes."""
    return whole_of(packet, "MinInterval", MINUTE_INTERVALS)


def read_new_password(packet: Packet) -> str:
    """NewPW of 1072; the error does not repeat it."""
    password = text_of(packet, "NewPW", "C6: 0-9 a-z A-Z")
    if not _PASSWORD.fullmatch(password):
        raise wrong("NewPW", "C6: 0-9 a-z A-Z", "***")
    return password


def read_period(packet: Packet) -> Period:
    """BeginTime and EndTime of a history request."""
    begin, end = time_of(packet, "BeginTime"), time_of(packet, "EndTime")
    if end < begin:
        raise wrong("EndTime", f">= {time_text(begin)}", time_text(end))
    return Period(begin, end)


def realtime_interval(seconds: int) -> Region:
    """Region of 1062 and of the reply to 1061."""
    return fields(("RtdInterval", str(seconds)))


def minute_interval(minutes: int) -> Region:
    """Region of 1064 and of the reply to 1063."""
    return fields(("MinInterval", str(minutes)))


def new_password(password: str) -> Region:
    """Region of 1072."""
    return fields(("NewPW", password))


def pol_id(code: str | None) -> Region:
    """Region of 1011 as a request and of 1013; empty for the logger itself."""
    return () if code is None else fields(("PolId", code))


def wrong(name: str, expected: str, came: object) -> BadPacket:
    """The error for a parameter out of its bounds."""
    return BadPacket("protocol.packet.value", field=name, expected=expected, came=came)


def text_of(packet: Packet, name: str, expected: str) -> str:
    """A parameter that must be there."""
    text = packet.get(name)
    if text is None:
        raise BadPacket("protocol.packet.parameter", field=name, expected=expected)
    return text


def whole_of(packet: Packet, name: str, allowed: range | tuple[int, ...]) -> int:
    """A whole number out of those that are allowed."""
    expected = f"{allowed.start}-{allowed.stop - 1}" if isinstance(allowed, range) else " ".join(map(str, allowed))
    text = text_of(packet, name, expected)
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and int(text) in allowed):
        raise wrong(name, expected, text)
    return int(text)


def time_of(packet: Packet, name: str) -> int:
    """A time, UTC milliseconds."""
    text = text_of(packet, name, "YYYYMMDDhhmmss")
    try:
        return parse_time(text)
    except ValueError:
        raise wrong(name, "YYYYMMDDhhmmss", text) from None
