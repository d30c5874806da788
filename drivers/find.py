"""Where is the number that stands on the analyzer's screen? Registers are read, and every place is shown that holds it.

    Screen("35.6") ─┐
    survey: blocks of functions 3 and 4 ─▶ registers ─▶ search ─▶ Candidate: register, type, order, scale ─▶ again

A screen rounds or cuts: a number fits within one unit of its last digit, or `tolerance`. Integers may be scaled, may be
a current of 4–20 mA or a share of a range that is given. The second number, read a little later, tells the true place
from chance. Only functions 3 and 4 are used: nothing is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol

from drivers.decode import numbers_in
from drivers.errors import BadAnswer, DeviceRefused, DeviceSilent
from drivers.numbers import Decode

FUNCTIONS = (3, 4)
BLOCK = 125
USUAL = (
    range(125), range(125, 250), range(0x1000, 0x1040), range(0x1200, 0x1220), range(0x06D7, 0x06F0),
    range(0x2000, 0x2020), range(0x2200, 0x2220), range(0x22C0, 0x22D0), range(30_000, 30_050),
    range(3990, 4030), range(0x0300, 0x0320), range(0x5000, 0x5020), range(40_000, 40_050),
)  # fmt: skip
"""Where values are as a rule; the first range is split until its holes are known, the others are tried."""
_ILLEGAL_FUNCTION = 1
_LONGEST = 4
"""Registers of the longest number."""
_FLOATS = ("float32", "float64", "uint32+float32")


class Read(Protocol):
    """Reads registers; raises DeviceRefused, DeviceSilent, BadAnswer."""

    def __call__(self, function: int, register: int, count: int) -> bytes:
        """The registers' bytes."""
        ...


@dataclass(frozen=True, slots=True)
class Screen:
    """A number as it stands on a screen, and how far away a value may be."""

    number: float
    tolerance: float

    @classmethod
    def from_text(cls, text: str, tolerance: float | None = None) -> Screen:
        """`35.60` is known to 0.01. Raises ValueError."""
        decimals = len(text.partition(".")[2]) if "." in text else 0
        return cls(float(text), 10.0**-decimals if tolerance is None else tolerance)

    def fits(self, value: float) -> bool:
        """Whether the screen could show this."""
        return abs(value - self.number) <= self.tolerance * 1.000001


@dataclass(frozen=True, slots=True)
class Scale:
    """How a raw number becomes the one on the screen: × `factor` + `offset`; `why` names it, `cost` orders it."""

    factor: float = 1.0
    offset: float = 0.0
    why: str = ""
    cost: int = 0


@dataclass(frozen=True, slots=True)
class Candidate:
    """One place that holds the number; the lowest `cost` is the likeliest."""

    function: int
    register: int
    type: str
    order: str
    words: int
    scale: Scale
    raw: bytes
    value: float
    cost: int


Registers = Mapping[int, Mapping[int, bytes]]
"""By function: each register's two bytes."""


def survey(read: Read, functions: Sequence[int] = FUNCTIONS, ranges: Sequence[range] = USUAL) -> Iterator[Registers]:
    """Read the ranges; after each request all that is known so far. Raises PortLost.

    The first range is split wherever it is refused; the others at their beginning, and behind what is known.
    """
    known: dict[int, dict[int, bytes]] = {}
    for function in functions:
        here = known[function] = {}
        for index, wanted in enumerate(ranges):
            whole = index == 0
            waiting = [(start, min(BLOCK, wanted.stop - start)) for start in range(wanted.start, wanted.stop, BLOCK)]
            goes_on = True
            while waiting and goes_on:
                at = waiting[0][0]
                goes_on = _one(read, function, waiting, here, whole or at == wanted.start or at - 1 in here)
                yield known
            if not goes_on:
                break


def _one(read: Read, function: int, waiting: list[tuple[int, int]], here: dict[int, bytes], split: bool) -> bool:
    """One request; what is to be asked in its place goes to the front. False: this function is over."""
    start, count = waiting.pop(0)
    half = count // 2
    try:
        data = read(function, start, count)
    except DeviceRefused as error:
        if error.params.get("exception") == _ILLEGAL_FUNCTION:
            return False
        if count > 1 and split:
            waiting[:0] = [(start, half), (start + half, count - half)]
    except (DeviceSilent, BadAnswer):
        # some say nothing to a block that they do not have in full
        if count == 1 and not here:
            return False
        waiting[:] = [(start, half)] if count > 1 else []
    else:
        here.update({start + at: data[2 * at : 2 * at + 2] for at in range(count)})
    return True


def search(
    registers: Registers, screen: Screen, span: tuple[float, float] | None = None, scales: Sequence[Scale] = ()
) -> list[Candidate]:
    """Every place whose number the screen could show, the likeliest first.

    `span`: the measuring range, for currents and shares of a range; `scales`: more ways from the raw number to the
    screen's, such as between units.
    """
    found = []
    for function, here in registers.items():
        for register in sorted(here):
            words = _run(here, register)
            raw = b"".join(here[register + at] for at in range(words))
            for kind, order, size, decode in _types(words):
                place = raw[: 2 * size]
                number = decode(place)
                for scale in (*_scales(kind, span), *scales) if number is not None else ():
                    value = _scaled(number, scale, screen)
                    if value is not None:
                        cost = scale.cost + _cost(kind, order, place)
                        found.append(Candidate(function, register, kind, order, size, scale, place, value, cost))
    return sorted(_without_twins(found), key=lambda one: (one.cost, abs(one.value - screen.number)))


@cache
def _types(words: int) -> tuple[tuple[str, str, int, Decode], ...]:
    return tuple(numbers_in(words))


def _run(here: Mapping[int, bytes], register: int) -> int:
    words = 1
    while words < _LONGEST and register + words in here:
        words += 1
    return words


def _scaled(number: float | None, scale: Scale, screen: Screen) -> float | None:
    """What the screen would show of it; None: something else."""
    if number is None or (number == 0 and screen.number != 0 and not scale.offset):
        return None
    value = number * scale.factor + scale.offset
    return value if screen.fits(value) else None


CURRENTS = {
    "4-20 mA": (1.0, 0.0),
    "4000-20000": (0.001, 0.0),
    "5530-27648": (16 / 22_118, 4 - 5_530 * 16 / 22_118),
    "0-65535": (16 / 65_535, 4.0),
}
"""Numbers that are a current, and how one becomes mA (S7 and ADAM among them): × and +, by `Scale.why`."""


@cache
def _scales(kind: str, span: tuple[float, float] | None) -> tuple[Scale, ...]:
    return tuple(_ways(kind, span))


def _ways(kind: str, span: tuple[float, float] | None) -> Iterator[Scale]:
    yield Scale()
    if kind not in _FLOATS:
        for digits in (1, 2, 3):
            yield Scale(10.0**-digits, 0.0, f"/{10**digits}", digits + 1)
    if span is None:
        return
    low, width = span[0], span[1] - span[0]
    if kind in _FLOATS:
        yield Scale(width / 100, low, "%", 3)
    for name, (factor, offset) in CURRENTS.items():
        if (kind in _FLOATS) == (name == "4-20 mA") and kind in (*_FLOATS, "uint16"):
            yield Scale(width / 16 * factor, low + width / 16 * (offset - 4), name, 2)


_KIND_COST = {"float32": 0, "uint16": 2, "int16": 3, "uint32+float32": 2, "bcd": 4, "int32": 5, "uint32": 4,
              "float64": 3, "int64": 7, "uint64": 6}  # fmt: skip
_ORDER_COST = {"ABCD": 0, "CDAB": 0, "BADC": 1, "DCBA": 1}


def _cost(kind: str, order: str, raw: bytes) -> int:
    # half of a float beside an empty register is nearly the float itself
    is_half = kind in _FLOATS and any(raw[at : at + 2] == b"\0\0" for at in range(0, len(raw), 2))
    return _KIND_COST[kind] + _ORDER_COST[order] + is_half


def _without_twins(found: Sequence[Candidate]) -> list[Candidate]:
    """Of signed and unsigned with the same bytes one; of a wide integer whose upper words are 0 the narrow one."""
    best: dict[tuple[int, int, float, Scale], Candidate] = {}
    for one in found:
        last = one.register + (one.words if one.order in ("ABCD", "BADC") else 1)
        key = (one.function, last, one.value, one.scale)
        if key not in best or (one.cost, one.words) < (best[key].cost, best[key].words):
            best[key] = one
    return list(best.values())


def again(read: Callable[[int, int, int], bytes], found: Iterable[Candidate], screen: Screen) -> list[Candidate]:
    """Those that hold what the screen shows now, with their present bytes. Raises PortLost."""
    kept = []
    for one in found:
        try:
            raw = read(one.function, one.register, one.words)
        except (DeviceRefused, DeviceSilent, BadAnswer):
            continue
        decode = next(d for k, o, w, d in _types(one.words) if (k, o, w) == (one.type, one.order, one.words))
        value = _scaled(decode(raw), one.scale, screen)
        if value is not None:
            places = (one.function, one.register, one.type, one.order, one.words, one.scale)
            kept.append(Candidate(*places, raw, value, one.cost))
    return kept
