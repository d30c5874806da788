"""The data region of a packet, between `CP=&&` and `&&`: items of fields (HJ 212-2017 §6.3.3).

    DataTime=20160801085857;w01018-Rtd=2.2,w01018-Flag=N;w01001-Rtd=7.1,w01001-Flag=N
    └─ item of one field ─┘ └─ item: `,` between its fields ─┘ `;` between items

Order, grouping and repeated names are kept, since peers give them meaning. A text of a log stands between `//` and `//`
(Table B.10) and may hold any character but `&`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple, NewType, cast

from protocol.errors import CannotEncode
from protocol.forms import form, has_form, is_time

if TYPE_CHECKING:
    from decimal import Decimal

Field = tuple[str, str]
Item = tuple[Field, ...]
Region = tuple[Item, ...]
Body = NewType("Body", str)
"""The text of a region that has been checked: what `write` gives."""

_NAME = re.compile(r"[^\s=,;&#\ud800-\udfff]+")
# Attributes that nearly every upload consists of, and the forms of their values.
_MEASURED = re.compile(r"\w+-(?:(?P<number>(?:Zs)?(?:Rtd|Min|Avg|Max)|Cou)|(?P<mark>E?Flag))", re.ASCII)
_NUMBER = r"-?\d++(?:\.\d++)?+"
_MARK = "[0-9A-Z]{1,4}"
_VALUES = re.compile(rf"(?:,{_NUMBER})*+,(?:,{_MARK})*+", re.ASCII)
_PLANNED = 2048  # longest body whose shape is remembered; peers shall not fill the memory with shapes
_PATTERN_AFTER = 8
"""Bodies of one shape before a pattern is made, which takes as long as reading fifty of them."""
_VALUE = re.compile(r"[^\x00-\x1f=,;&#\ud800-\udfff]*|//(?:(?!//)[^\x00-\x1f&\ud800-\udfff])*//")
_ALL_BUT_SEPARATORS = bytes(set(range(256)) - set(b"=,;"))


_SCALES = tuple(10.0**decimals for decimals in range(10))


def fields(*pairs: Field) -> Region:
    """A region in which each field is an item of its own: `fields(("PolId", "w01018"), ("Stime", "40"))`."""
    return tuple((pair,) for pair in pairs)


def value_of(region: Region, name: str) -> str | None:
    """Value of the first field of that name; peers write `Overtime` and `PolID`, so capitals do not count."""
    wanted = name.lower()
    for item in region:
        for key, value in item:
            if key == name or key.lower() == wanted:
                return value
    return None


def length(region: Region) -> int:
    """Bytes of a region on the wire."""
    # One separator or `=` between all names and values, as on the wire.
    return len(",".join(chain.from_iterable(chain.from_iterable(region))).encode())


class _Plan(NamedTuple):
    """Where the fields of bodies with the same names and separators stand."""

    names: tuple[str, ...]
    items: Callable[[tuple[Field, ...]], Region]
    """Cuts the fields into items."""
    values: Callable[[list[str]], tuple[str, ...]]
    """Picks the numbers out of the values, and the marks: each after an empty text."""
    pattern: str
    """A regular expression of exactly these bodies: one group a value."""


@lru_cache(maxsize=64)
def _plan(separators: bytes, names: tuple[str, ...]) -> _Plan | None:
    """The plan of measured data, or None: `separators` are all `=`, `,` and `;` of the body."""
    if names[0] != "DataTime" or separators[::2] != b"=" * len(names):
        return None
    kinds = [match.lastgroup if (match := _MEASURED.fullmatch(name)) else None for name in names[1:]]
    ends = [at for at, separator in enumerate(separators[1::2], 1) if separator == ord(";")]
    if None in kinds or not ends:
        return None
    cuts = [slice(begin, end) for begin, end in zip([0, *ends], [*ends, len(names)], strict=True)]
    numbers, marks = ([at for at, kind in enumerate(kinds, 1) if kind == wanted] for wanted in ("number", "mark"))
    blank = len(names)
    fields = [f"{name}=({_NUMBER if kind == 'number' else _MARK})" for name, kind in zip(names[1:], kinds, strict=True)]
    between = separators[1::2].decode()
    pattern = r"DataTime=(\d{14})" + "".join(chain.from_iterable(zip(between, fields, strict=True)))
    items = cast(Callable[[tuple[Field, ...]], Region], itemgetter(*cuts))
    picked = [blank, *numbers, blank, *marks]
    return _Plan(names, items, itemgetter(*picked), pattern)


class Reader:
    """Reads bodies of measured data in the standard's own form; one for each station, so that it knows what comes.

    What came some times in the same shape is then read by a pattern of that shape, which is twice as fast. Names are
    the same objects from packet to packet.
    """

    __slots__ = ("_pattern", "_plan", "_times")

    def __init__(self) -> None:
        self._plan: _Plan | None = None
        self._times = 0
        self._pattern: re.Pattern[str] | None = None

    def read(self, body: str) -> Region | None:
        """The region, also of an empty body; None for anything else, which `protocol.lenient` reads."""
        if not body:
            return ()
        if self._pattern is not None and self._plan is not None:
            match = self._pattern.fullmatch(body)
            if match is not None and is_time(match[1]):
                return self._plan.items(tuple(zip(self._plan.names, match.groups(), strict=False)))
        return self._read(body) if len(body) <= _PLANNED and body.isascii() else None

    def _read(self, body: str) -> Region | None:
        flat = body.replace("=", ",").replace(";", ",").split(",")
        if len(flat) % 2:
            return None
        plan = _plan(body.encode().translate(None, _ALL_BUT_SEPARATORS), tuple(flat[::2]))
        values = [*flat[1::2], ""]
        if plan is None or not (_VALUES.fullmatch(",".join(plan.values(values))) and is_time(values[0])):
            return None
        self._remember(plan)
        return plan.items(tuple(zip(plan.names, values, strict=False)))

    def _remember(self, plan: _Plan) -> None:
        if plan is not self._plan:
            self._plan, self._times, self._pattern = plan, 0, None
        self._times += 1
        if self._times == _PATTERN_AFTER:
            self._pattern = re.compile(plan.pattern, re.ASCII)


def read(body: str) -> Region | None:
    """The region of one body, as a `Reader` reads it."""
    return Reader().read(body)


def write(region: Region) -> Body:
    """The text of a region; CannotEncode names a field that could not be read back as it is."""
    body = ";".join([",".join(["=".join(field) for field in item]) for item in region])
    if read(body) != region:
        _check(region)
    return Body(body)


def _check(region: Region) -> None:
    for item in region:
        if not item:
            raise CannotEncode("protocol.encode.empty_item")
        for name, value in item:
            if not _NAME.fullmatch(name):
                raise CannotEncode("protocol.encode.name", field=name)
            if not _VALUE.fullmatch(value) or value != value.strip():
                raise CannotEncode("protocol.encode.value", field=name, came=value)
            wanted = form(name)
            if wanted and value and not has_form(wanted, value):
                raise CannotEncode(f"protocol.packet.{wanted}", field=name, came=value)


def number(value: float, decimals: int) -> str:
    """`value` with exactly `decimals` fraction digits: half-even on its shortest decimal form, never an exponent.

    2.675 is 2.68, and 2.5 with no decimals is 2: what a technician reads is rounded, not its binary neighbour. A
    negative number that rounds to nothing loses its sign. CannotEncode for NaN and infinity.
    """
    scaled = value * _SCALES[decimals] if decimals < len(_SCALES) else -1.0
    if 0.0 <= scaled < 1e9 and not 0.499999 < scaled % 1.0 < 0.500001:  # far from a tie: the usual case
        return f"{value + 0.0:.{decimals}f}"
    shortest = repr(float(value))
    whole, _, fraction = shortest.partition(".")
    missing = decimals - len(fraction)
    if "e" in shortest or "n" in shortest:
        text = _rounded_exponent(shortest, decimals)
    elif missing >= 0:
        text = shortest + "0" * missing
    elif missing == -1 and fraction[-1] == "5":
        text = _rounded_tie(whole, fraction[:-1])
    else:
        # Exact here: a midpoint between the binary value and its shortest form would be a shorter form of the same
        # value, or a nearer one of the same length, so both lie on the same side of it.
        text = f"{value:.{decimals}f}"
    return text[1:] if text[0] == "-" and not text.strip("-0.") else text


def rated_number(value: float, rate: tuple[int, int], decimals: int) -> str:
    """`number` of value × the first ÷ the second of `rate`: multiplied as decimals, so that a tie stays one."""
    over, under = rate
    shortest = repr(float(value))
    if over == under or "n" in shortest:
        return number(value, decimals)
    from decimal import Decimal

    text = _quantized(Decimal(shortest) * over / under, decimals)
    return text[1:] if text[0] == "-" and not text.strip("-0.") else text


def _rounded_tie(whole: str, kept: str) -> str:
    """Half-even at the end of `whole`.`kept`, whose next and last digit is a 5."""
    digits = int(whole.lstrip("-") + kept)
    text = str(digits + digits % 2).zfill(len(kept) + 1)
    sign = "-" if whole[0] == "-" else ""
    return f"{sign}{text[: len(text) - len(kept)]}.{text[len(text) - len(kept) :]}" if kept else sign + text


def _rounded_exponent(shortest: str, decimals: int) -> str:
    from decimal import Decimal

    if "n" in shortest:
        raise CannotEncode("protocol.encode.not_a_number", came=shortest)
    return _quantized(Decimal(shortest), decimals)


def _quantized(exact: Decimal, decimals: int) -> str:
    from decimal import ROUND_HALF_EVEN, Context, Decimal

    context = Context(prec=400, rounding=ROUND_HALF_EVEN)
    return format(exact.quantize(Decimal(1).scaleb(-decimals), context=context), "f")
