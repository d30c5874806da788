"""Instruments that speak HJ 212 on a serial line by themselves: listened to, never asked.

    ##0153…CP=&&DataTime=…;w01018-Rtd=35.6,w01018-Flag=N&&1C80 CR LF   ─▶   w01018 35.6, mark N

The newest packet since the last poll counts; its Flag is the instrument's own mark. Many such instruments put the CRC
of Modbus there: `crc` says which. The packet is taken apart by the decoder that `edge` hands in. Give such an
instrument a line of its own, and a time-out longer than its interval.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Le

from drivers.driver import Bus, InstrumentSpec, Reading, Request, Telegram
from drivers.errors import BadAnswer

_HEAD = 6
_CODE = 4
_FLAG = "Flag"


@dataclass(frozen=True, slots=True, kw_only=True)
class PointOptions:
    """Which number of the packet."""

    code: str
    """The factor's code in the packet; of an instrument after edition 2005 an old one, such as `011`."""
    field: str = "Rtd"
    """`Rtd`, `Avg`, …"""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentOptions:
    """Which packets count. The `address` is not used."""

    crc: Literal["hj212", "modbus-hi-lo", "modbus-lo-hi"] = "hj212"
    command: Annotated[int, Ge(1000), Le(9999)] = 2011
    """Command code of the packets that bring the values."""
    mn: str | None = None
    """Only packets with this MN."""


class Hj212:
    """An instrument that sends HJ 212 packets."""

    name: ClassVar[str] = "hj212"
    PointOptions: ClassVar[type] = PointOptions
    InstrumentOptions: ClassVar[type] = InstrumentOptions

    def __init__(self, spec: InstrumentSpec) -> None:
        options = spec.options or InstrumentOptions()
        self._points = [(point.key, point.options) for point in spec.points]
        self._decode = spec.decode
        self._crc, self._cn, self._mn = options.crc, str(options.command), options.mn
        self._request = Request(data=b"", length=_length, check=self._check, confusable=(), after=b"")

    def _check(self, frame: bytes) -> None:
        telegram = self._decode(frame, self._crc)
        if telegram.cn != self._cn or self._mn not in (None, telegram.mn):
            raise BadAnswer("drivers.hj212.other", cn=telegram.cn, mn=telegram.mn)

    def read(self, bus: Bus) -> list[Reading]:
        """The points that the newest packet has."""
        telegram = self._decode(bus.ask(self._request), self._crc)
        readings = (_reading(key, options, telegram) for key, options in self._points)
        return [reading for reading in readings if reading is not None]


def _reading(key: str, options: PointOptions, telegram: Telegram) -> Reading | None:
    fields = telegram.factors.get(options.code)
    if fields is None:
        return None
    mark, text = fields.get(_FLAG), fields.get(options.field, "")
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        return Reading(key, None, text.encode(), "drivers.hj212.not-a-number", mark=mark)
    return Reading(key, value, text.encode(), mark=mark)


def _length(received: bytes) -> int | None:
    """`##`, four digits, the segment, the check code; the line end is left over."""
    if not (received.startswith(b"##") or b"##".startswith(received)):
        return 0
    digits = received[2:_HEAD]
    if digits and not digits.isdigit():
        return 0
    return _HEAD + int(digits) + _CODE if len(digits) == 4 else None
