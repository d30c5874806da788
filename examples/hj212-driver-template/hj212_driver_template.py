"""A driver of its own package: a scale that answers `W` with its weight and a sum.

    request   W CR
    answer    W +0012.50 kg ss CR      ss: sum of all bytes before it mod 256, two hexadecimal digits

Copy the folder, put your instrument's name and frames in, and keep the shape: options as frozen dataclasses, a request
that knows its answer, one `read`. The line sends, waits, repeats and throws late answers away; a driver does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from drivers.driver import Bus, InstrumentSpec, Reading, Request
from drivers.errors import OTHER, BadAnswer, BadOption

_SIZE = 17
_NUMBER = slice(2, 10)


@dataclass(frozen=True, slots=True, kw_only=True)
class PointOptions:
    """Keys that a point of this driver may have in the site file, beside those of every point."""

    tare: float = 0.0
    """Taken off the weight, kg."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentOptions:
    """Keys that an instrument of this driver may have in the site file."""

    command: str = "W"
    """What it is asked with."""


class Template:
    """The scale; `name` is that of the entry point and of `driver = "…"` in the site file."""

    name: ClassVar[str] = "template"
    PointOptions: ClassVar[type] = PointOptions
    InstrumentOptions: ClassVar[type] = InstrumentOptions

    def __init__(self, spec: InstrumentSpec) -> None:
        options: InstrumentOptions = spec.options or InstrumentOptions()
        if not options.command.isascii():
            raise BadOption(OTHER, reason=f"{spec.name}: the command must be ASCII, got {options.command!r}")
        self._points = tuple(spec.points)
        self._request = Request(
            data=options.command.encode("ascii") + b"\r",
            length=_length,
            check=_check,
            # its answer says neither whose it is nor what was asked: nothing is asked while another may come
            confusable=(),
            expected=_SIZE,
        )

    def read(self, bus: Bus) -> list[Reading]:
        """One pass: one exchange gives all."""
        answer = bus.ask(self._request)
        weight = float(answer[_NUMBER])
        return [Reading(point.key, weight - point.options.tare, answer[_NUMBER]) for point in self._points]


def _length(received: bytes) -> int:
    """How long the answer is that begins here; 0: it is none."""
    return _SIZE if received.startswith(b"W") else 0


def _check(answer: bytes) -> None:
    body, code = answer[:-3], answer[-3:]
    if code != b"%02X\r" % (sum(body) & 0xFF):
        raise BadAnswer("drivers.checksum", answer=answer.hex(" "))
    try:
        float(answer[_NUMBER])
    except ValueError as error:
        raise BadAnswer("drivers.checksum", answer=answer.hex(" ")) from error
