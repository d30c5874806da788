"""Parameters of the control commands 3011 to 3021, with the bounds of HJ 212-2017 Table 4: read, and as regions.

    3011–3014 PolId · 3015 DataTime, VaseNo · 3016/3017 PolId, CstartTime, CTime · 3018 PolId, Stime
    3019 [DataTime,] PolId, <PolId>-SN · 3020 InfoId, [PolId,] BeginTime, EndTime ─▶ DataTime, [PolId,] <InfoId>-Info …
    3021 [PolId,] InfoId, <InfoId>-Info
Every reader raises BadPacket that names the field, what was expected and what came.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from protocol.errors import BadPacket
from protocol.packet import Packet
from protocol.parameters import (
    Period,
    pol_id,
    read_cycle,
    read_info_id,
    read_info_text,
    read_period,
    read_pol_id,
    read_pol_id_of_action,
    text_of,
    time_of,
    whole_of,
    wrong,
)
from protocol.region import Field, Region, fields
from protocol.times import time_text

BOTTLES = range(1, 100)
"""VaseNo."""
RESULT_MINUTES = range(1, 121)
"""Stime, min."""
LOG_BYTES = 890
"""Longest log value with its slashes (Table B.10: C890). Beside a PolId and a usual header 887 bytes fit a packet."""

_SERIAL = re.compile(r"[0-9A-Fa-f]{1,24}")
_LOG_KINDS = ("i11", "i21", "i31")
_UNSAYABLE = re.compile(r"[\x00-\x1f\x7f]+")


@dataclass(frozen=True, slots=True)
class KeptSample:
    """Answer to 3015: when a sample was kept, UTC milliseconds, and in which bottle."""

    data_time_ms: int
    bottle: int

    def region(self) -> Region:
        """DataTime and VaseNo."""
        return fields(("DataTime", time_text(self.data_time_ms)), ("VaseNo", str(self.bottle)))


@dataclass(frozen=True, slots=True)
class SamplingCycle:
    """3016 and the reply to 3017: an analyzer samples every `hours` hours from `start` (hhmmss) on."""

    pol_id: str
    start: str
    hours: int

    def region(self) -> Region:
        """PolId, CstartTime and CTime."""
        return fields(("PolId", self.pol_id), ("CstartTime", self.start), ("CTime", str(self.hours)))


@dataclass(frozen=True, slots=True)
class ResultTime:
    """Reply to 3018: minutes from an analyzer's sampling to its result."""

    pol_id: str
    minutes: int

    def region(self) -> Region:
        """PolId and Stime."""
        return fields(("PolId", self.pol_id), ("Stime", str(self.minutes)))


@dataclass(frozen=True, slots=True)
class Identity:
    """3019: an instrument's identity (EPC-96, hexadecimal); `replaced_ms`: when it was put in, in uploads only."""

    pol_id: str
    serial: str
    replaced_ms: int | None = None

    def region(self) -> Region:
        """[DataTime,] PolId and <PolId>-SN."""
        time = () if self.replaced_ms is None else fields(("DataTime", time_text(self.replaced_ms)))
        return time + fields(("PolId", self.pol_id), (f"{self.pol_id}-SN", self.serial))


@dataclass(frozen=True, slots=True)
class InfoRequest:
    """What a 3020 asks for. `pol_id` None: not an analyzer's; `period`: for logs, both ends included."""

    info_id: str
    pol_id: str | None = None
    period: Period | None = None

    def region(self) -> Region:
        """[PolId,] InfoId and, for logs, BeginTime and EndTime."""
        return pol_id(self.pol_id) + fields(("InfoId", self.info_id)) + (self.period.region() if self.period else ())


@dataclass(frozen=True, slots=True)
class Information:
    """3020 as a reply or an upload: values by InfoId; logs as `log_text` gives them."""

    data_time_ms: int
    values: tuple[Field, ...]
    pol_id: str | None = None

    def region(self) -> Region:
        """DataTime, [PolId] and <InfoId>-Info of each value."""
        named = [(f"{info_id}-Info", value) for info_id, value in self.values]
        return fields(("DataTime", time_text(self.data_time_ms))) + pol_id(self.pol_id) + fields(*named)


@dataclass(frozen=True, slots=True)
class ParameterSetting:
    """3021: a parameter of an analyzer, or of the logger (`pol_id` None), and its new value as a text."""

    info_id: str
    value: str
    pol_id: str | None = None

    def region(self) -> Region:
        """[PolId,] InfoId and <InfoId>-Info."""
        return pol_id(self.pol_id) + fields(("InfoId", self.info_id), (f"{self.info_id}-Info", self.value))


def log_text(text: str, limit: int = LOG_BYTES) -> str:
    """A log's value: `//text//` of at most `limit` bytes of UTF-8, cut on a character border.

    What would end the text or the packet is replaced: control characters, `//` and `&`.
    """
    plain = _UNSAYABLE.sub(" ", text).replace("&", "＆")
    while "//" in plain:
        plain = plain.replace("//", "/ /")
    cut = plain.encode("utf-8", "replace")[: limit - len("////")].decode("utf-8", "ignore")
    return f"//{cut.lstrip().rstrip(' /')}//"


def is_log(info_id: str) -> bool:
    """Whether an InfoId is that of a log (Tables B.8, B.9): its request names a period."""
    return info_id.lower().startswith(_LOG_KINDS)


def read_kept_sample(packet: Packet) -> KeptSample:
    """DataTime and VaseNo of an uploaded 3015."""
    return KeptSample(time_of(packet, "DataTime"), whole_of(packet, "VaseNo", BOTTLES))


def read_sampling_cycle(packet: Packet) -> SamplingCycle:
    """Parameters of 3016, or of the reply to 3017."""
    cycle = read_cycle(packet)
    return SamplingCycle(read_pol_id_of_action(packet), cycle.start, cycle.hours)


def read_result_time(packet: Packet) -> ResultTime:
    """Parameters of the reply to 3018."""
    return ResultTime(read_pol_id_of_action(packet), whole_of(packet, "Stime", RESULT_MINUTES))


def read_identity(packet: Packet) -> Identity:
    """Parameters of a 3019 reply or upload."""
    factor = read_pol_id_of_action(packet)
    serial = text_of(packet, f"{factor}-SN", "C24: 0-9 A-F")
    if not _SERIAL.fullmatch(serial):
        raise wrong(f"{factor}-SN", "C24: 0-9 A-F", serial)
    return Identity(factor, serial, None if packet.get("DataTime") is None else time_of(packet, "DataTime"))


def read_info_request(packet: Packet) -> InfoRequest:
    """Parameters of a requested 3020: a log needs its period, anything else has none."""
    info_id = read_info_id(packet)
    return InfoRequest(info_id, read_pol_id(packet), read_period(packet) if is_log(info_id) else None)


def read_information(packet: Packet) -> Information:
    """Parameters of a 3020 reply or upload."""
    ending = "-Info"
    values = [(name[: -len(ending)], value) for item in packet.data for name, value in item if name.endswith(ending)]
    if not values:
        raise BadPacket("protocol.packet.parameter", field="xxxxxx-Info", expected="i00000-Info")
    return Information(time_of(packet, "DataTime"), tuple(values), read_pol_id(packet))


def read_parameter_setting(packet: Packet) -> ParameterSetting:
    """Parameters of 3021."""
    info_id = read_info_id(packet)
    value = read_info_text(packet, info_id)
    if not value:
        raise wrong(f"{info_id}-Info", "text", "")
    return ParameterSetting(info_id, value, read_pol_id(packet))
