"""Edition HJ/T 212-2005: other codes, units and marks; answers carry the QN of what they answer in the data region.

    request   QN=…;ST=32;CN=1011;PW=…;MN=…;Flag=3;CP=&&&&
    9011      ST=91;CN=9011;PW=…;MN=…;Flag=0;CP=&&QN=…;QnRtn=1&&      9012, 9013 and replies: the same without Flag
    9014      ST=91;CN=9014;CP=&&QN=…;CN=2051[;PNO=1;PNUM=2]&&         no password, no MN
    upload    ST=32;CN=2051[;QN=…];PW=…;MN=…[;PNO=1;PNUM=2];CP=&&DataTime=…;011-Avg=…&&   QN: an answer is wanted

    notice    QN=…;ST=32;CN=2072;PW=…;MN=…;Flag=1;CP=&&AlarmTime=…&&    Flag 0 in the example, though it is answered

CN are not translated: 3013 and 3014 mean other things than in 2017 (`read_sampling_hours`), and 2005 has alarms.
QnRtn is 1, 2 or 3 only and ExeRtn 1, 2 or 100: every other "no" of 2017 becomes a 2.
Table Annex B prints S02, the flue gas velocity, in m3/h: taken as m/s. HJ/T 212-2005 §6.2, Annexes B and C.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_EVEN, Context, Decimal
from functools import cache

from protocol.commands import Command, load
from protocol.edition import Edition, Rate
from protocol.errors import BadPacket
from protocol.factors import all_factors, factor
from protocol.forms import is_number
from protocol.messages import INTERACTION
from protocol.packet import VERSION_2017, Packet
from protocol.parameters import TIMEOUTS, Cycle, Timeouts, text_of, whole_of, wrong
from protocol.region import Field, Item, Region, fields, rated_number, write
from protocol.tables import rows
from protocol.times import time_text
from protocol.units import convertible, ratio

DECIMALS = 2
"""Of every number that has no format of its own (N14.2)."""
HOURS = range(24)
"""CTime of 3014: hours of the day."""

_MARKS = {"B": "D"}  # no communication with the instrument: 2005 has no letter for it, a fault is the nearest
_MARKS_2017 = {"P": "D"}  # power fault
_ANSWERS = ("9011", "9012", "9013", "9014")
_NOTICE = "2072"
_CODES = {"QnRtn": frozenset(("1", "2", "3")), "ExeRtn": frozenset(("1", "2", "100"))}
_NO = "2"
_NUMBER_LENGTH = 40
"""Longest limit that is taken: N14.2, and what another unit may add to it."""
_EXACT = Context(prec=400, rounding=ROUND_HALF_EVEN)
"""Holds every number that a float can be: an instrument that sends garbage must not stop the packets."""
_TARGET = re.compile(r"[0-9A-Za-z.:+-]{1,20}")
_CLOCK = re.compile(r"([01]\d|2[0-3])[0-5]\d", re.ASCII)
_OWN = ("1001", "1021", "1022", "1031", "1032", "1041", "1042", "2071", "2072")
_REPLIES = ("1011", "1021", "1031", "1041", "1061")
_ASKING = frozenset(("polid", "begintime", "endtime"))
_VALUES = frozenset(
    ("Rtd", "Min", "Avg", "Max", "ZsRtd", "ZsMin", "ZsAvg", "ZsMax", "Cou", "Ala", "LowValue", "UpValue")
)


@dataclass(frozen=True, slots=True)
class _Format:
    unit: str
    emission_unit: str
    decimals: int


@cache
def _formats() -> dict[str, _Format]:
    return {code: _Format(unit, emission, int(decimals)) for code, unit, emission, decimals in rows("factors_2005")}


@cache
def _by_old_code() -> dict[str, str]:
    return {row.old_code: row.code for row in reversed(all_factors()) if row.old_code}


class Edition2005(Edition):
    """HJ/T 212-2005."""

    name = "2005"
    version = 0
    unknown_attributes = frozenset(("EFlag",))

    def code(self, factor_code: str) -> str:
        """The code of Annex B, also of the handbook 《环境信息标准化手册》 where Annex B has none."""
        row = factor(factor_code)
        return row.old_code if row is not None and row.old_code else factor_code

    def factor(self, code: str) -> str:
        """The successor of a code."""
        return _by_old_code().get(code, code)

    def mark(self, mark: str) -> str:
        """N F M S D C T are the same letters; B is sent as D."""
        return _MARKS.get(mark, mark)

    def number_format(self, factor_code: str, attribute: str, decimals: int) -> tuple[int, Rate]:
        """Annex B's unit and decimals; codes without a format of their own are N14.2, totals at least that."""
        if attribute not in _VALUES:
            return decimals, (1, 1)
        is_sum = attribute == "Cou"
        own_decimals = max(DECIMALS, decimals) if is_sum else DECIMALS
        own = _formats().get(self.code(factor_code))
        row = factor(factor_code)
        if own is None or row is None:
            return own_decimals, (1, 1)
        unit, old_unit = (row.emission_unit, own.emission_unit) if is_sum else (row.unit, own.unit)
        same_kind = unit and old_unit and convertible(unit, old_unit)
        return own_decimals if is_sum else own.decimals, ratio(unit, old_unit) if same_kind else (1, 1)

    def sum_decimals(self, factor_code: str, value: float, decimals: int) -> int:
        """Two (N14.2), but as fine as in 2017 for a sum that would be 0.00 without being nothing."""
        _, (over, under) = self.number_format(factor_code, "Cou", decimals)
        if not value or rated_number(value, (over, under), DECIMALS).strip("-0."):
            return DECIMALS
        while over < under:  # g in 2017 and kg in 2005: three places more
            over, decimals = over * 10, decimals + 1
        return decimals

    def carries(self, cn: str) -> bool:
        """What the table of commands has towards the platform: no 1013, 2081, 3015, 3019, 3020."""
        return cn in _to_platform()

    def upload(self, packet: Packet) -> bytes:
        """The segment of an upload whose region is in the terms of 2005."""
        if packet.cn == _NOTICE:
            return _segment(packet, ("QN", "ST", "CN", "PW", "MN", "Flag"), packet.data, packet.qn)
        qn = packet.qn if packet.wants_answer or not (packet.flag or 0) & VERSION_2017 else None
        return _segment(packet, ("ST", "CN", "QN", "PW", "MN", "PNO", "PNUM"), packet.data, qn)

    def segment(self, packet: Packet) -> bytes:
        """The segment of any packet in the terms of 2017."""
        data = self.region(packet.data, packet.cn)
        if packet.cn in _ANSWERS or _is_reply(packet):
            flag = ("Flag",) if packet.cn == "9011" or not (packet.flag or 0) & VERSION_2017 else ()
            own = fields(("QN", packet.qn)) if packet.qn else ()
            return _segment(packet, ("ST", "CN", "PW", "MN", *flag), own + data)
        if _is_upload(packet):
            return self.upload(replace(packet, data=data))
        return _segment(packet, ("QN", "ST", "CN", "PW", "MN", "Flag"), data, packet.qn)

    def read(self, segment: bytes) -> Packet:
        """The packet in the terms of 2017, but for Flag, which stays (or stays away); BadPacket."""
        packet = Packet.from_segment(segment)
        data, qn = packet.data, packet.qn
        if qn is None and data and data[0][0][0].upper() == "QN":
            qn, data = data[0][0][1], tuple(item for item in (data[0][1:], *data[1:]) if item)
        return replace(packet, qn=qn, data=self.region_2017(data, packet.cn))

    def region_2017(self, region: Region, cn: str) -> Region:
        """A region of 2005 in the terms of 2017."""
        return tuple(self._item_2017(item, cn) for item in region)

    def region(self, region: Region, cn: str) -> Region:
        """A region of 2017 in the terms of 2005, such as one that was issued before the platform's edition changed."""
        return tuple(kept for item in region if (kept := self._item_2005(item, cn)))

    def _item_2005(self, item: Item, cn: str) -> Item:
        return tuple(self._field_2005(name, value, cn) for name, value in item if not name.endswith("-EFlag"))

    def _field_2005(self, name: str, value: str, cn: str) -> Field:
        code, dash, attribute = name.rpartition("-")
        if not dash:
            if name.lower() == "polid":
                return ("PolID" if cn.startswith("3") else "PolId"), self.code(value)
            if value not in _CODES.get(name, (value,)):
                return name, _NO
            return ("PW", value) if (name, cn) == ("NewPW", "1072") else (name, value)
        if attribute == "Flag":
            value = self.mark(value)
        elif is_number(value):
            decimals, (over, under) = self.number_format(code, attribute, len(value.partition(".")[2]))
            value = _number(value, over, under, decimals)
        return f"{self.code(code)}-{attribute}", value

    def _item_2017(self, item: Item, cn: str) -> Item:
        return tuple(self._field_2017(name, value, cn) for name, value in item)

    def _field_2017(self, name: str, value: str, cn: str) -> Field:
        code, dash, attribute = name.rpartition("-")
        if not dash:
            if name.lower() == "polid":
                return "PolId", self.factor(value)
            return ("NewPW", value) if (name, cn) == ("PW", "1072") else (name, value)
        new = self.factor(code)
        if attribute == "Flag":
            value = _MARKS_2017.get(value, value)
        elif is_number(value):
            _, (over, under) = self.number_format(new, attribute, 0)
            value = _number(value, under, over, None)
        return f"{new}-{attribute}", value


EDITION_2005 = Edition2005()


def _number(text: str, over: int, under: int, decimals: int | None) -> str:
    """`text` × over / under with at most so many decimals, half-even; the very text where nothing changes."""
    if over != under:
        scaled = Decimal(text) * over / under
        text = format(scaled.normalize(), "f")
    if decimals is not None and len(text.partition(".")[2]) > decimals:
        text = format(Decimal(text).quantize(Decimal(1).scaleb(-decimals), context=_EXACT), "f")
        return text.removeprefix("-") if not text.strip("-0.") else text
    return text


def _is_reply(packet: Packet) -> bool:
    """Whether a packet answers a "get" command: those are asked for with factors at most."""
    return packet.cn in _REPLIES and any(name.lower() not in _ASKING for item in packet.data for name, _ in item)


def _is_upload(packet: Packet) -> bool:
    return bool(packet.data) and packet.data[0][0][0] == "DataTime"


def _segment(packet: Packet, names: tuple[str, ...], data: Region, qn: str | None = None) -> bytes:
    flag = None if packet.flag is None else packet.flag & ~VERSION_2017
    whole = Packet(qn, packet.st, packet.cn, packet.pw, packet.mn, flag, packet.pnum, packet.pno)
    whole.to_segment()  # refuses what would not read back
    values: dict[str, str | int | None] = {
        "QN": qn, "ST": packet.st, "CN": packet.cn, "PW": packet.pw, "MN": packet.mn or None, "Flag": flag,
        "PNO": packet.pno, "PNUM": packet.pnum,
    }  # fmt: skip
    head = "".join(f"{name}={values[name]};" for name in names if values[name] is not None)
    return f"{head}CP=&&{write(data)}&&".encode()


def data_answer(packet: Packet) -> Packet:
    """9014 to an upload or, in 2005 only, to a 9012: says the CN, and the part, of what it answers."""
    part: Region = ()
    if packet.pno is not None and packet.pnum is not None:
        part = fields(("PNO", str(packet.pno)), ("PNUM", str(packet.pnum)))
    return Packet(packet.qn, INTERACTION, "9014", None, "", data=fields(("CN", packet.cn)) + part)


@dataclass(frozen=True, slots=True)
class Threshold:
    """1021 and 1022: alarm limits of a factor (2017 code, unit of 2017), as texts."""

    factor: str
    low: str
    high: str


def thresholds(limits: tuple[Threshold, ...]) -> Region:
    """Region of 1022 and of the reply to 1021."""
    return tuple(((f"{one.factor}-LowValue", one.low), (f"{one.factor}-UpValue", one.high)) for one in limits)


def read_thresholds(packet: Packet) -> tuple[Threshold, ...]:
    """Parameters of 1022, or of the reply to 1021."""
    found: list[Threshold] = []
    for item in packet.data:
        code = item[0][0].rpartition("-")[0]
        low, high = (dict(item).get(f"{code}-{name}", "") for name in ("LowValue", "UpValue"))
        for name, value in (("LowValue", low), ("UpValue", high)):
            if not is_number(value) or len(value) > _NUMBER_LENGTH:
                raise BadPacket("protocol.packet.value", field=f"{code}-{name}", expected="N14.2", came=value)
        if Decimal(low) > Decimal(high):
            raise wrong(f"{code}-UpValue", f">= {low}", high)
        found.append(Threshold(code, low, high))
    if not found:
        raise BadPacket("protocol.packet.parameter", field="xxx-LowValue", expected="N14.2")
    return tuple(found)


def read_threshold_request(packet: Packet) -> tuple[str, ...]:
    """The factors that a 1021 asks for."""
    text_of(packet, "PolId", "C6: 0-9 a-z")
    return tuple(value for item in packet.data for name, value in item if name.lower() == "polid")


def alarm_record(data_time_ms: int, values: tuple[tuple[str, str], ...]) -> Region:
    """CN 2071: values (factor, text) that went beyond their limit at a moment, UTC milliseconds."""
    return (
        (("DataTime", time_text(data_time_ms)),),
        *[((f"{factor_code}-Ala", value),) for factor_code, value in values],
    )


def alarm_notice(alarm_time_ms: int, factor_code: str, value: str, over: bool) -> Region:
    """CN 2072, answered by 9013: a value went beyond its limit (1) or came back (0)."""
    return (
        (("AlarmTime", time_text(alarm_time_ms)),),
        ((f"{factor_code}-Ala", value), ("AlarmType", "1" if over else "0")),
    )


def read_warn_time(packet: Packet) -> int:
    """WarnTime of 1001: seconds that a limit is exceeded before an alarm is sent."""
    return whole_of(packet, "WarnTime", range(100_000))


def read_timeouts(packet: Packet) -> Timeouts:
    """Parameters of 1000: as in 2017, but no resend at all is fine (ReCount 0-99)."""
    return Timeouts(whole_of(packet, "OverTime", TIMEOUTS), whole_of(packet, "ReCount", range(100)))


def read_alarm_target(packet: Packet) -> str:
    """AlarmTarget of 1032: where alarms go, a telephone number in the example."""
    target = text_of(packet, "AlarmTarget", "C20: 0-9 a-z A-Z . : + -")
    if not _TARGET.fullmatch(target):
        raise wrong("AlarmTarget", "C20: 0-9 a-z A-Z . : + -", target)
    return target


def read_report_time(packet: Packet) -> str:
    """ReportTime of 1042: HHMM of the daily report."""
    time = text_of(packet, "ReportTime", "hhmm")
    if not _CLOCK.fullmatch(time):
        raise wrong("ReportTime", "hhmm", time)
    return time


def even_cycle(hours: tuple[int, ...]) -> Cycle | None:
    """The cycle that samples at these hours of every day; None: they are not evenly spaced."""
    first, step = min(hours), 24 // len(hours)
    if 24 % len(hours) or sorted(hours) != list(range(first, 24, step)):
        return None
    return Cycle(f"{first:02d}0000", step)


def read_sampling_hours(packet: Packet) -> tuple[str, tuple[int, ...]]:
    """Parameters of 3014: the analyzer, and the hours of the day at which it samples."""
    pol_id = text_of(packet, "PolId", "C6: 0-9 a-z")
    texts = [value for item in packet.data for name, value in item if name.lower() == "ctime"]
    if not texts:
        raise BadPacket("protocol.packet.parameter", field="CTime", expected="0-23")
    for text in texts:
        if not (text.isascii() and text.isdigit() and len(text) <= 2 and int(text) in HOURS):
            raise wrong("CTime", "0-23", text)
    return pol_id, tuple(map(int, texts))


def unit(code: str) -> str | None:
    """Unit of a factor's values by its code of 2005; None: Annex B has no such code."""
    own = _formats().get(code)
    return None if own is None else own.unit


def is_2005(packet: Packet) -> bool:
    """Whether a packet looks like one of this edition: no version bits, or no Flag and a QN inside the region."""
    if packet.flag is not None:
        return packet.flag < VERSION_2017
    return packet.qn is None or any(name == "QN" for item in packet.data for name, _ in item) or packet.cn in _OWN


@cache
def commands() -> tuple[Command, ...]:
    """Table of the commands of 2005."""
    return load("commands_2005")


@cache
def _to_platform() -> frozenset[str]:
    return frozenset(row.cn for row in commands() if row.direction != "to-logger")
