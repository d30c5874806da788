"""What an instrument says about itself, and the marks that its values bear then: `[[instruments.NAME.states]]`.

    register 8 = 0x0044 ─▶ marks = { 0x004E = "N", 0x0044 = "D" } ─▶ D

A state is read in the same pass as the values. A value whose state could not be read is not believed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from config.markers import Pattern

StateCode = Annotated[str, Pattern(r"\S{1,16}", "state")]


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """`[[instruments.NAME.states]]`: one status word, bit or flag, and the marks of its codes."""

    marks: dict[StateCode, str]
    """Mark by code: a number (`3`, `0x0044`) or, where the driver reads a text, that text."""
    other: str | None = None
    """Mark for a code that is not in `marks`; None: the state says nothing then."""
    factors: tuple[str, ...] = ()
    """Points that it goes for; none: all of the instrument."""
    options: Any = None
    """The driver's `PointOptions`, flat in the file."""


def code_number(code: str) -> float | None:
    """The number that a code stands for, decimal (also `01`, as books print it) or `0x…`; None for a text."""
    try:
        return float(int(code, 10 if code.lstrip("-").isdecimal() else 0))
    except ValueError:
        return None


def mark_of(state: State, value: float | None, text: str | None) -> str | None:
    """The mark of what was read; None: the state says nothing."""
    if value is not None:
        by_number = {number: mark for code, mark in state.marks.items() if (number := code_number(code)) is not None}
        return by_number.get(value, state.other)
    return state.marks.get(text or "", state.other)
