"""Instruments that speak text, by declaration alone: what is sent, and where in the answer the number stands.

    request = "###001R1***"    ─▶    ###…  35.6 …    ◀─ columns = [24, 30]
    request = "T1RCONZ"        ─▶    NH4-N mg/l : 1.25 …    ◀─ pattern = 'NH4-N[^:]*:\\s*([0-9.]+)'

A new instrument needs no code. The number is text, or bytes, or hexadecimal digits that stand for bytes. What can go
wrong: text mostly has no check code; give `start`, `length` or `least` and a pattern with the words around the number,
so that a damaged answer does not look like a sound one.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Le

from drivers import numbers
from drivers.driver import Bus, InstrumentSpec, PointSpec, Reading, Request, Value
from drivers.errors import BadAnswer, BadOption, DeviceRefused, DeviceSilent, DriverError, PortLost
from drivers.numbers import FORMATS, Order
from drivers.text_frame import CHECKSUMS, LONGEST, ChecksumName, Form, listening, text_request

TextType = Literal[
    "decimal", "text", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64", "bcd", "time"
]
_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class PointOptions:
    """What is sent for a point, and where its number stands. Points with the same request are read by one."""

    request: str | None = None
    """Text; `{address}` is the instrument's address. The terminator is added."""
    request_hex: str | None = None
    """Instead: exactly these bytes, as hexadecimal digits."""
    start: str = ""
    """The answer begins with this."""
    length: Annotated[int, Ge(1), Le(LONGEST)] | None = None
    """The answer has exactly so many bytes, with its end."""
    least: Annotated[int, Ge(0), Le(LONGEST)] = 0
    """The answer has at least so many bytes."""
    pattern: str | None = None
    """Regular expression; its first group is the number."""
    columns: tuple[int, int] | None = None
    """Instead: the first and the last byte of the number, counted from 1."""
    hex: bool = False
    """The number's bytes are written as hexadecimal digits."""
    type: TextType = "decimal"
    """`decimal`: a number as text; `text`: for states; else bytes, in `order`."""
    order: Order = "ABCD"


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentOptions:
    """How requests and answers of an instrument end, and their check code."""

    terminator: str = "\r"
    """Ends each request that is given as text."""
    end: str | None = None
    """Ends each answer; None: the terminator; empty: silence ends it."""
    idle_ms: Annotated[int, Ge(5), Le(5_000)] = 100
    """Silence that ends an answer without `end` and `length`."""
    checksum: ChecksumName = "none"
    """Hexadecimal digits before the terminator and the end, over all before them: sum mod 256, xor (BCC), LRC, CRC."""
    echo: bool = False
    """It repeats the request before its answer."""
    refusal: str | None = None
    """Regular expression of an answer with which it says no."""
    listen: bool = False
    """It speaks by itself: points have no request, and the newest telegram since the last poll counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteOptions:
    """What is sent to tell the instrument something: `{value}` is the value, `{value:.1f}` with one decimal."""

    request: str | None = None
    request_hex: str | None = None
    answer: str = ""
    """Regular expression of the answer that confirms it."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a point's number stands in the content of an answer, and how it is read."""

    key: str
    options: PointOptions
    pattern: re.Pattern[bytes] | None
    decode: Callable[[bytes], float | None] | None

    def found(self, content: bytes) -> bytes | None:
        """The number's bytes; None: the answer does not look like one."""
        if self.options.columns is not None:
            first, last = self.options.columns
            return content[first - 1 : last] if len(content) >= last else None
        match = self.pattern.search(content) if self.pattern else None
        return match[1] if match and match[1] is not None else None

    def reading(self, content: bytes) -> Reading | None:
        raw = self.found(content)
        if raw is None:
            return None
        if self.decode is None:
            return Reading(self.key, None, raw, text=raw.decode("latin-1").strip())
        value = self.decode(raw)
        return Reading(self.key, value, raw, None if value is not None else "drivers.text.not-a-number")


def _decimal(raw: bytes) -> float | None:
    text = raw.decode("latin-1").strip()
    value = float(text) if _DECIMAL.fullmatch(text) else math.nan
    return value if math.isfinite(value) else None  # 1e999 is written well


def _decoder(options: PointOptions) -> Callable[[bytes], float | None] | None:
    if options.type == "text":
        return None
    if options.type == "decimal":
        return _decimal
    size = struct.calcsize(FORMATS[options.type]) if options.type in FORMATS else None
    inner = {"bcd": numbers.decimal, "time": numbers.bcd_time}.get(options.type)
    decode = inner(options.order) if inner else numbers.number(options.type, options.order)

    def read(raw: bytes) -> float | None:
        data = _unhexed(raw) if options.hex else raw
        return None if data is None or (size is not None and len(data) != size) else decode(data)

    return read


def _unhexed(raw: bytes) -> bytes | None:
    try:
        data = bytes.fromhex(raw.decode("latin-1"))
    except ValueError:
        return None
    return data if 2 * len(data) == len(raw) else None  # `fromhex` passes over blanks


@dataclass(slots=True)
class _Group:
    """Points that one request serves."""

    data: bytes
    form: Form
    places: list[_Place]
    request: Request | None = None

    def check(self, content: bytes) -> None:
        if all(place.found(content) is None for place in self.places):
            raise BadAnswer("drivers.text.no-match", answer=content[:64].decode("latin-1"))

    def readings(self, answer: bytes) -> list[Reading]:
        content = self.form.content(answer)
        return [reading for place in self.places if (reading := place.reading(content)) is not None]


class Text:
    """An instrument that speaks text."""

    name: ClassVar[str] = "text"
    PointOptions: ClassVar[type] = PointOptions
    InstrumentOptions: ClassVar[type] = InstrumentOptions
    WriteOptions: ClassVar[type] = WriteOptions

    def __init__(self, spec: InstrumentSpec) -> None:
        self._options = spec.options or InstrumentOptions()
        self._address = spec.address
        self._refusal = None if self._options.refusal is None else _pattern(spec.name, self._options.refusal, 0)
        for point in spec.points:
            if point.options.type == "text" and not point.text_ok:
                raise BadOption("drivers.text.no-number", point=point.key)
        self._groups = self._grouped(spec.points)

    def _grouped(self, points: Sequence[PointSpec]) -> list[_Group]:
        groups: dict[tuple[bytes, Form], _Group] = {}
        for point in points:
            data = self._asked_by(point)
            form = _form(self._options, data, point.options)
            groups.setdefault((data, form), _Group(data, form, [])).places.append(_place(point))
        for group in groups.values():
            check = self._checked(group.check)
            is_silent = self._options.listen
            group.request = listening(group.form, check) if is_silent else text_request(group.data, group.form, check)
        return list(groups.values())

    def _asked_by(self, point: PointSpec) -> bytes:
        options = point.options
        if not self._options.listen:
            return self._data(point.key, options.request, options.request_hex)
        end = self._options.terminator if self._options.end is None else self._options.end
        if (options.request, options.request_hex) != (None, None) or not end:
            raise BadOption("drivers.text.listen", point=point.key)
        return b""

    def _data(self, key: str, text: str | None, digits: str | None, **values: Any) -> bytes:
        """The bytes of a request. Raises BadOption."""
        if (text is None) == (digits is None):
            raise BadOption("drivers.text.request", point=key)
        try:
            if text is None:
                return bytes.fromhex(digits or "")
            body = text.format(address=self._address, **values).encode("latin-1")
            terminator = self._options.terminator.encode("latin-1")
        except (ValueError, KeyError, IndexError, AttributeError, TypeError) as error:
            raise BadOption("drivers.text.request-text", point=key, request=text or digits) from error
        return body + CHECKSUMS[self._options.checksum](body) + terminator

    def _checked(self, check: Callable[[bytes], None]) -> Callable[[bytes], None]:
        def checked(content: bytes) -> None:
            if self._refusal is not None and self._refusal.search(content):
                raise DeviceRefused("drivers.text.refused", answer=content[:64].decode("latin-1"))
            check(content)

        return checked

    def read(self, bus: Bus) -> list[Reading]:
        """One pass; silence and a lost port end it, a refused or strange answer does not."""
        readings: list[Reading] = []
        last: DriverError | None = None
        for group in self._groups:
            try:
                readings.extend(self._asked(bus, group))
            except (BadAnswer, DeviceRefused) as error:
                last = error
            except (DeviceSilent, PortLost) as error:
                last = error
                break
        if last is not None and not readings:
            raise last
        return readings

    @staticmethod
    def _asked(bus: Bus, group: _Group) -> list[Reading]:
        return group.readings(bus.ask(group.request)) if group.request else []

    def reader(self, point: PointSpec) -> Callable[[Bus], Reading]:
        """Reads one quantity by itself."""
        (group,) = self._grouped([point])
        return lambda bus: self._asked(bus, group)[0]

    def writer(self, options: Any, values: Sequence[Value], repeat: bool = False) -> Callable[[Bus], None]:
        """Sends one text for all values, and waits for the answer that confirms it."""
        if not isinstance(options, WriteOptions):
            raise BadOption("drivers.text.read-only")
        if len(values) != 1:
            raise BadOption("drivers.text.one-value")
        (value,) = values
        key = options.request or options.request_hex or ""
        number = int(value) if isinstance(value, float) and value.is_integer() else value
        data = self._data(key, options.request, options.request_hex, value=number)
        answer = _pattern(key, options.answer, 0)

        def check(content: bytes) -> None:
            if not answer.search(content):
                raise BadAnswer("drivers.text.no-match", answer=content[:64].decode("latin-1"))

        request = text_request(data, _form(self._options, data, PointOptions()), self._checked(check), once=not repeat)

        def write(bus: Bus) -> None:
            bus.ask(request)

        return write


def _form(instrument: InstrumentOptions, request: bytes, options: PointOptions) -> Form:
    end = instrument.terminator if instrument.end is None else instrument.end
    return Form(
        options.start.encode("latin-1"),
        end.encode("latin-1"),
        options.length,
        options.least,
        instrument.checksum,
        instrument.idle_ms / 1000,
        request if instrument.echo else b"",
    )


def _place(point: PointSpec) -> _Place:
    options: PointOptions = point.options
    if (options.pattern is None) == (options.columns is None):
        raise BadOption("drivers.text.where", point=point.key)
    if options.columns is not None and not 1 <= options.columns[0] <= options.columns[1]:
        raise BadOption("drivers.text.columns", point=point.key, first=options.columns[0], last=options.columns[1])
    pattern = None if options.pattern is None else _pattern(point.key, options.pattern, 1)
    return _Place(point.key, options, pattern, _decoder(options))


def _pattern(key: str, text: str, groups: int) -> re.Pattern[bytes]:
    """A regular expression over bytes. Raises BadOption."""
    try:
        pattern = re.compile(text.encode("latin-1"), re.DOTALL)
    except (re.error, ValueError) as error:
        raise BadOption("drivers.text.pattern", point=key, pattern=text, reason=str(error)) from error
    if pattern.groups < groups:
        raise BadOption("drivers.text.group", point=key, pattern=text)
    return pattern
