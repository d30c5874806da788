"""What an outlet's factor is watched for: the tables `[outlets.NAME.alarms.FACTOR]` of the site file.

    limit, warn, limit_low    the value as it is reported; converted (折算) where the factor has that
    constant, jump, missing, negative     the instrument

An alarm never changes a mark. All numbers are in the factor's unit; a point's own `limit` and `warn` are in its unit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Le

from config.markers import Duration, Pattern

AlarmKind = Literal["limit", "limit-hour", "limit-day", "warn", "constant", "jump", "negative", "missing"]
DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmRules:
    """`[outlets.NAME.alarms.FACTOR]`."""

    limit: float | None = None
    """For realtime values and the means of hours and days; None: the point's."""
    limit_low: float | None = None
    """The lower limit of a factor that has one (pH)."""
    warn: float | None = None
    """For realtime values; None: the point's."""
    constant: Annotated[int, Duration(), Ge(10_000), Le(30 * DAY_MS)] | None = None
    """The value has not changed for this long."""
    jump: Annotated[float, Ge(0)] | None = None
    """The value has changed by more than this within `jump_time`."""
    jump_time: Annotated[int, Duration(), Ge(5_000), Le(3_600_000)] = 60_000
    negative: bool = False
    """The value is below 0."""
    missing: Annotated[int, Duration(), Ge(10_000), Le(30 * DAY_MS)] | None = None
    """There has been no value for this long, whatever its mark."""
    after: Annotated[int, Duration(), Le(DAY_MS)] = 0
    """A realtime value must be over the limit or the warning level, or negative, for this long."""
    clear: Annotated[int, Duration(), Le(DAY_MS)] = 60_000
    """The alarm ends when its cause has been gone for this long."""
    on_alarm: Annotated[str, Pattern(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}/[a-z-]+", "target")] | None = None
    """The action that an alarm carries out: `"sampler/keep-sample"`, instrument and action."""
    act_on: tuple[AlarmKind, ...] = ("limit",)
    """The alarms that carry it out."""
    again: Annotated[int, Duration(), Le(30 * DAY_MS)] = 3_600_000
    """Not again before this has passed."""
