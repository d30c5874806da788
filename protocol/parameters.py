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

_PASSWORD = re.compile(r"[0-9A-Za-z]{1,6}")
_POL_ID = re.compile(r"[0-9A-Za-z]{1,6}")


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


def read_timeouts(packet: Packet) -> Timeouts:
    """Parameters of 1000."""
    return Timeouts(_whole(packet, "OverTime", TIMEOUTS), _whole(packet, "ReCount", RETRIES))


def read_system_time(packet: Packet) -> SystemTime:
    """Parameters of 1012, or of the reply to 1011."""
    return SystemTime(_time(packet, "SystemTime"), read_pol_id(packet))


def read_pol_id(packet: Packet) -> str | None:
    """PolId of 1011, 1012, 1013; None: the logger itself is meant."""
    pol_id = packet.get("PolId") or None
    if pol_id is not None and not _POL_ID.fullmatch(pol_id):
        raise _wrong("PolId", "C6: 0-9 a-z", pol_id)
    return pol_id


def read_realtime_interval(packet: Packet) -> int:
    """RtdInterval of 1061 and 1062, seconds."""
    return _whole(packet, "RtdInterval", REALTIME_INTERVALS)


def read_minute_interval(packet: Packet) -> int:
    """MinInterval of 1063 and 1064, minutes."""
    return _whole(packet, "MinInterval", MINUTE_INTERVALS)


def read_new_password(packet: Packet) -> str:
    """NewPW of 1072; the error does not repeat it."""
    password = _text(packet, "NewPW", "C6: 0-9 a-z A-Z")
    if not _PASSWORD.fullmatch(password):
        raise _wrong("NewPW", "C6: 0-9 a-z A-Z", "***")
    return password


def read_period(packet: Packet) -> Period:
    """BeginTime and EndTime of a history request."""
    begin, end = _time(packet, "BeginTime"), _time(packet, "EndTime")
    if end < begin:
        raise _wrong("EndTime", f">= {time_text(begin)}", time_text(end))
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


def _wrong(name: str, expected: str, came: object) -> BadPacket:
    return BadPacket("protocol.packet.value", field=name, expected=expected, came=came)


def _text(packet: Packet, name: str, expected: str) -> str:
    text = packet.get(name)
    if text is None:
        raise BadPacket("protocol.packet.parameter", field=name, expected=expected)
    return text


def _whole(packet: Packet, name: str, allowed: range | tuple[int, ...]) -> int:
    expected = f"{allowed.start}-{allowed.stop - 1}" if isinstance(allowed, range) else " ".join(map(str, allowed))
    text = _text(packet, name, expected)
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and int(text) in allowed):
        raise _wrong(name, expected, text)
    return int(text)


def _time(packet: Packet, name: str) -> int:
    text = _text(packet, name, "YYYYMMDDhhmmss")
    try:
        return parse_time(text)
    except ValueError:
        raise _wrong(name, "YYYYMMDDhhmmss", text) from None
