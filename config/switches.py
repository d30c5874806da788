"""What the logger knows of a site beside its instruments' values: derived points, the stop and maintenance switches.

    [[outlets.NAME.derived]]      a factor that is computed from others, or set by hand
    [outlets.NAME.stop]           how it is seen that the source stands still (停产, 停炉); never from a flow of 0
    [[maintenance.switches]]      a key or button on site that says: somebody works at these instruments
    [[contacts]]                  a contact of the station room: door, leak, smoke, mains

A switch is a point, `OUTLET/FACTOR`; between its two thresholds the state stays what it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Le

from config.markers import Duration, Pattern

PointName = Annotated[str, Pattern(r"[^/\s]+/[^/\s]+", "point")]
"""`OUTLET/FACTOR`."""
_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived:
    """`[[outlets.NAME.derived]]`: a factor with a `formula`, or a constant `value`, which bears mark S."""

    factor: str
    formula: str | None = None
    """Numbers, + - * / ( ) and factor codes of the outlet, in the factors' own units."""
    value: float | None = None
    unit: str | None = None
    """Of the result; None: the factor's own."""
    decimals: Annotated[int, Ge(0), Le(9)] | None = None
    """On the wire; None: the factor table's format."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StopSource:
    """`[outlets.NAME.stop]`: stopped at the one threshold and beyond, running at the other and beyond.

    A power meter: `stopped = 2, running = 5`; a contact that is 1 while the source runs: `stopped = 0, running = 1`.
    """

    point: PointName
    stopped: float
    running: float
    hold: Annotated[int, Duration(), Le(_DAY_MS)] = 60_000
    """How long the new state must last before it counts; it then counts from its beginning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """`[[contacts]]`: a contact of the station room (站房): at `on` and beyond it says so, at `off` and beyond not."""

    kind: Literal["door", "leak", "smoke", "mains", "ups", "other"]
    """Open, wet, smoke, the mains are lost, the UPS works from its battery, or what `name` says."""
    point: PointName
    name: str | None = None
    """What it is called; None: by its kind."""
    on: float = 1.0
    off: float = 0.0
    hold: Annotated[int, Duration(), Le(_DAY_MS)] = 0
    """How long the new state must last before it counts; it then counts from its beginning."""
    info: Annotated[str, Pattern(r"i[1-5]2[0-9a-z]{3}", "state-info")] | None = None
    """InfoId of a state that goes with it (CN 3020), such as i32001; 0 while it is off."""
    info_on: int = 1
    """The state while it is on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceSwitch:
    """`[[maintenance.switches]]`: at `on` and beyond, maintenance begins; at `off` and beyond, it ends."""

    point: PointName
    instruments: tuple[str, ...] = ()
    """None: all instruments."""
    on: float = 1.0
    off: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintenance:
    """`[maintenance]`."""

    remind: Annotated[int, Duration(), Ge(60_000)] = 7_200_000
    """Maintenance that lasts longer is an event and a warning."""
    switches: tuple[MaintenanceSwitch, ...] = ()
