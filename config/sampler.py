"""An automatic water sampler (水质自动采样器): what it tells, and how it works: `[instruments.NAME.sampler]`.

    keep-sample ─▶ may it? (state, door, bottles left) ─▶ the action ─▶ which bottle? (its own number, else counted)

What it can be told stands in its actions: by registers, or by a relay that pulses. A sampler that says nothing of
itself has none of the sources, and its bottles are counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Le

from config.controls import RawCode, Read
from config.markers import Duration, Pattern

SamplerState = Literal["idle", "busy", "full", "fault", "door-open", "maintenance"]
KEEP, DRAW = "keep-sample", "sample-now"
"""Actions."""
SOURCES = ("state", "bottle", "amount", "door", "ready")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampler:
    """`[instruments.NAME.sampler]`."""

    mode: Literal["over-limit", "timed", "synchronous"] = "over-limit"
    """When the logger has it draw by itself: never (alarms, platforms and people have it keep), at times of the day, or
    whenever the analyzer of `follows` begins an analysis."""
    bottles: Annotated[int, Ge(1), Le(99)] = 24
    wrap: bool = False
    """After the last bottle the first one again; else it is full until somebody has emptied it."""
    volume: Annotated[float, Ge(0)] | None = None
    """mL of a kept sample, where it does not say."""
    start: Annotated[str, Pattern(r"([01]\d|2[0-3]):[0-5]\d", "clock")] = "00:00"
    """Of `timed`: the first time of the day (Beijing)."""
    cycle: Annotated[int, Duration(), Ge(60_000), Le(86_400_000)] = 7_200_000
    """Of `timed`: so long after the one before."""
    follows: str | None = None
    """Of `synchronous`: factor of a batch analyzer's point with a `state` at the same outlet."""
    factors: tuple[str, ...] = ()
    """Pollutants by which a platform may address it (3012, 3016, 3017, 3018); none: all of its outlet."""
    states: dict[RawCode, SamplerState] | None = None
    """Its codes (keys) and what they mean; another code says nothing."""
    state: Read | None = None
    bottle: Read | None = None
    """Number of the bottle that was filled last."""
    amount: Read | None = None
    """mL of the last sample."""
    door: Read | None = None
    door_open: float = 1.0
    """What `door` is while it is open."""
    ready: Read | None = None
    ready_when: float = 1.0
    """What `ready` is while there is water to supply (供样)."""
