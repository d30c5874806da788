"""ADAM-4000 analog input modules by their ASCII protocol, and the boxes built on them (Advantech; 9600 8N1).

    #AA [sum] CR     ▶  >+7.2111+7.2567…  [sum] CR      one value a channel: sign and 6 characters
    $AA2 [sum] CR    ▶  !AATTCCFF [sum] CR              type, speed, format
    beyond its range ▶  +999999 or -000000 for that channel
    no sense         ▶  ?AA, or nothing

AA: address in hexadecimal. The answer to # names neither module nor channel, so that nothing is asked while another
module's may still come. A module that is set to another format than engineering units gives numbers that look right:
the format, and the type where it is given, are read before the first values, and again after each silence.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge, Le

from drivers.driver import Bus, InstrumentSpec, Reading, Request
from drivers.errors import BadAnswer, BadOption, DeviceRefused, DeviceSilent, DriverError
from drivers.text_frame import CHECKSUMS, Form, text_request

Check = Callable[[bytes], None]
_WIDTH = 7
_VALUE = re.compile(rb"[+-](\d+\.?\d*|\.\d+)", re.ASCII)
_BEYOND = {b"+999999": ("drivers.adam.over-range", "T"), b"-000000": ("drivers.adam.under-range", "D")}
"""What a channel says beyond its range, also with an open loop: no numbers, and the marks (HJ 212-2017 Table 8)."""
_FORMAT_BITS = 0x03
"""Of FF: 00 engineering units, 01 percent of the range, 10 hexadecimal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PointOptions:
    """Which channel. A current comes in mA: `current` of the point gives its range."""

    channel: Annotated[int, Ge(0), Le(15)]


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentOptions:
    """How the module is set."""

    channels: Annotated[int, Ge(1), Le(16)] = 8
    """Values in an answer."""
    checksum: bool = False
    """Whether its check sum is switched on."""
    input_type: str | None = None
    """The input type it has to be set to, two hexadecimal digits (`07`: 4–20 mA); None: any."""
    check_setup: bool = True
    """Read type and format first; false for boxes that do not know `$AA2`."""


class Adam:
    """An ADAM-4000 module, or a box that answers like one."""

    name: ClassVar[str] = "adam"
    PointOptions: ClassVar[type] = PointOptions
    InstrumentOptions: ClassVar[type] = InstrumentOptions

    def __init__(self, spec: InstrumentSpec) -> None:
        options = spec.options or InstrumentOptions()
        if not isinstance(spec.address, int) or not 0 <= spec.address <= 255:
            raise BadOption("drivers.adam.address", instrument=spec.name, address=spec.address)
        for point in spec.points:
            if point.options.channel >= options.channels:
                last = options.channels - 1
                raise BadOption("drivers.adam.channel", point=point.key, channel=point.options.channel, last=last)
        self._address = b"%02X" % spec.address
        self._options = options
        self._points = [(point.key, point.options.channel) for point in spec.points]
        self._values = self._request(b"#", b">", options.channels * _WIDTH, self._check_values)
        self._setup = self._request(b"$", b"!", 8, self._check_setup, b"2")
        self._is_checked = not options.check_setup

    def _request(self, sign: bytes, start: bytes, size: int, check: Check, command: bytes = b"") -> Request:
        checksum = "sum" if self._options.checksum else "none"
        body = sign + self._address + command
        digits = CHECKSUMS[checksum](body)
        form = Form(start, b"\r", 1 + size + len(digits) + 1, checksum=checksum)
        return text_request(body + digits + b"\r", form, check)

    def _check_values(self, content: bytes) -> None:
        if any(_VALUE.fullmatch(part) is None for part in self._parts(content)):
            raise BadAnswer("drivers.adam.answer", answer=content.decode("latin-1"))

    def _check_setup(self, content: bytes) -> None:
        if content[1:3] != self._address:
            raise BadAnswer("drivers.adam.answer", answer=content.decode("latin-1"))
        kind, form = content[3:5].decode("latin-1"), content[7:9].decode("latin-1")
        wanted = self._options.input_type or kind
        try:
            is_engineering = int(form, 16) & _FORMAT_BITS == 0
        except ValueError as error:
            raise BadAnswer("drivers.adam.answer", answer=content.decode("latin-1")) from error
        if not is_engineering or kind.upper() != wanted.upper():
            raise DeviceRefused("drivers.adam.setup", type=kind, format=form, wanted=wanted)

    def _parts(self, content: bytes) -> list[bytes]:
        return [content[at : at + _WIDTH] for at in range(1, 1 + self._options.channels * _WIDTH, _WIDTH)]

    def read(self, bus: Bus) -> list[Reading]:
        """One pass. Raises DeviceRefused for a module that is set up otherwise."""
        try:
            if not self._is_checked:
                bus.ask(self._setup)
                self._is_checked = True
            answer = bus.ask(self._values)
        except DriverError as error:
            # a module that was silent may have been replaced meanwhile
            self._is_checked = self._is_checked and not (self._options.check_setup and isinstance(error, DeviceSilent))
            raise
        parts = self._parts(answer)
        return [_reading(key, parts[channel]) for key, channel in self._points]


def _reading(key: str, part: bytes) -> Reading:
    if part in _BEYOND:
        error, mark = _BEYOND[part]
        return Reading(key, None, part, error, mark=mark)
    return Reading(key, float(part), part)
