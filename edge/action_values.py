"""An action's values: the standard's texts to what is written, the instrument's numbers to what the standard has.

    1012 20260131093000 ─▶ now_bcd 260131093000, now_year 2026, …       260131093000 ─▶ SystemTime 20260131093000
    3016 CstartTime, CTime ─▶ cstart_hhmm 0800, ctime 2                 3020 raw 3, map { 3 = 2 } ─▶ 2

Times are Beijing's (HJ 212-2017 §6.3.4). A number that is no time is no data, never a wrong time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from config.controls import Info, Scalar
from drivers.driver import Reading
from protocol.region import number
from protocol.times import parse_time, time_text

_ANY_DAY = "20260101"
_HHMM_BYTES = 2
"""A start time in one register is hhmm, in more it is hhmmss."""
_LONG_DIGITS = 14
_SHORT_DIGITS = 12


class NoData(Exception):
    """The instrument answered and has no such value (ExeRtn 100)."""


class NotAccepted(Exception):
    """The command's value cannot be meant for this instrument (ExeRtn 3)."""

    def __init__(self, value: str) -> None:
        super().__init__(value)
        self.value = value


def names(values: Mapping[str, Scalar], now_ms: int) -> dict[str, Scalar]:
    """All that a write may fill in: the time (`time_ms`, else now), `ctime`, `cstart`, `value`. Raises NotAccepted."""
    time_ms = int(values.get("time_ms", now_ms))
    digits = time_text(time_ms)
    filled: dict[str, Scalar] = {
        "now_bcd": digits[2:],
        "now_unix": time_ms // 1000,
        "now_year": int(digits[:4]),
        "now_month": int(digits[4:6]),
        "now_day": int(digits[6:8]),
        "now_hour": int(digits[8:10]),
        "now_minute": int(digits[10:12]),
        "now_second": int(digits[12:]),
    }
    filled |= {name: values[name] for name in ("ctime", "value") if name in values}
    return filled | (_start_names(str(values["cstart"])) if "cstart" in values else {})


def _start_names(hhmmss: str) -> dict[str, Scalar]:
    try:
        parse_time(_ANY_DAY + hhmmss)
    except ValueError as error:
        raise NotAccepted(hhmmss) from error
    return {
        "cstart_hhmm": hhmmss[:4],
        "cstart_hhmmss": hhmmss,
        "cstart_hour": int(hhmmss[:2]),
        "cstart_minute": int(hhmmss[2:4]),
    }


def data(action: str, readings: Sequence[tuple[Reading, float]]) -> dict[str, str]:
    """What an action gives, by field names of Table 4; each reading with its scale. Raises NoData."""
    if not readings:
        return {}
    first, scale = readings[0]
    match action:
        case "keep-sample":
            return {"VaseNo": _whole(first, scale)}
        case "get-cycle":
            return {"CstartTime": _start(first), "CTime": _whole(*readings[1])}
        case "time-to-result":
            return {"Stime": _whole(first, scale)}
        case "serial-number":
            return {"SN": first.text or _whole(first, scale)}
        case "get-time":
            return {"SystemTime": _time([reading for reading, _ in readings])}
        case _:
            return {}


def _value(reading: Reading) -> float:
    if reading.value is None or not math.isfinite(reading.value):
        raise NoData
    return reading.value


def _whole(reading: Reading, scale: float) -> str:
    return f"{_value(reading) * scale:.0f}"


def _start(reading: Reading) -> str:
    """hhmmss of hhmm in one register, or of hhmmss in more."""
    digits = f"{_value(reading):.0f}"
    digits = digits.zfill(4) + "00" if len(reading.raw) <= _HHMM_BYTES else digits.zfill(6)
    try:
        parse_time(_ANY_DAY + digits)
    except ValueError as error:
        raise NoData from error
    return digits


def _time(readings: Sequence[Reading]) -> str:
    """14 digits of one number, or of year, month, day, hour, minute and second."""
    numbers = [f"{_value(reading):.0f}" for reading in readings]
    if len(numbers) > 1:
        year, *rest = numbers
        return _checked_time(year.zfill(2) + "".join(part.zfill(2) for part in rest))
    return _checked_time(numbers[0].zfill(_SHORT_DIGITS))


def _checked_time(digits: str) -> str:
    full = "20" + digits if len(digits) == _SHORT_DIGITS else digits
    try:
        parse_time(full)
    except ValueError as error:
        raise NoData from error
    return full


def info_text(info: Info, reading: Reading) -> str:
    """A state or parameter as the platform gets it. Raises NoData."""
    if reading.text is not None:
        return reading.text
    value = _value(reading)
    if info.map is not None:
        code = info.map.get(f"{value:.0f}") if value == math.floor(value) else None
        if code is None:
            raise NoData
        return str(code)
    if info.form == "time":
        return _checked_time(f"{value:.0f}".zfill(_SHORT_DIGITS))
    value = value * info.scale + info.offset
    if not math.isfinite(value):
        raise NoData
    return _plain(value) if info.decimals is None else number(value, info.decimals)


def _plain(value: float) -> str:
    """A number as it is; 7 digits are what a float32 holds."""
    return f"{value:.0f}" if value == math.floor(value) else format(Decimal(f"{value:.7g}"), "f")


def raw_values(info: Info, text: str) -> Iterator[Scalar]:
    """What may be written for a text of the platform, the likeliest first. Raises NotAccepted."""
    if info.form == "time":
        yield from _time_digits(text)
        return
    try:
        value = float(text)
    except ValueError as error:
        raise NotAccepted(text) from error
    if not math.isfinite(value):
        raise NotAccepted(text)
    if info.map is not None:
        yield float(_raw_code(info.map, value, text))
        return
    # 0.3 ÷ 0.1 is 2.9999999999999996, and a register holds 3
    yield round((value - info.offset) / info.scale, 9)


def _raw_code(codes: Mapping[str, int], value: float, text: str) -> str:
    raw = [code for code, standard in codes.items() if standard == value]
    if len(raw) != 1:
        raise NotAccepted(text)
    return raw[0]


def _time_digits(text: str) -> Iterator[str]:
    """yyyymmddhhmmss, and yymmddhhmmss for registers that hold no more."""
    try:
        parse_time(text)
    except ValueError as error:
        raise NotAccepted(text) from error
    yield text[:_LONG_DIGITS]
    yield text[2:_LONG_DIGITS]
