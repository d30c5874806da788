"""What an instrument can be told: the tables `actions` and `infos` of the site file (HJ 212-2017 §6.6.5, Table 9).

    [instruments.cod.actions.zero-span]        CN 3011: write, wait until a register says done; meanwhile mark C
    [[instruments.cod.infos]]                  CN 3020, 3021: a state or parameter with its InfoId

An action without a declaration does not exist: the platform is told so, never success.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge, Le

from config.markers import Duration, Pattern

if TYPE_CHECKING:
    from config.site import Instrument

Millis = Annotated[int, Duration()]
Scalar = float | str
RawCode = Annotated[str, Pattern(r"-?(0|[1-9][0-9]{0,8})", "code")]
_HALF_HOUR_MS = 1_800_000
_STATE, _PARAMETER = "2", "3"
"""The third character of an InfoId (Table B.9)."""
_STATE_EVERY_MS, _PARAMETER_EVERY_MS = 60_000, 600_000


@dataclass(frozen=True, slots=True)
class ActionKind:
    """What goes for an action unless the site file says otherwise.

    `mark`: of the instrument's points meanwhile, None: their own; `again_ms`: not again before this has passed;
    `fills`: names that its writes may use; `reads`: how many quantities it gives.
    """

    cn: str
    mark: str | None = None
    again_ms: int = 0
    fills: tuple[str, ...] = ()
    reads: tuple[int, ...] = (0,)


NOW_FILLS = ("now_bcd", "now_unix", "now_year", "now_month", "now_day", "now_hour", "now_minute", "now_second")
_CYCLE_FILLS = ("ctime", "cstart_hhmm", "cstart_hhmmss", "cstart_hour", "cstart_minute")
INFO_FILLS = ("value",)

ACTIONS: Mapping[str, ActionKind] = {
    "zero-span": ActionKind("3011", "C", _HALF_HOUR_MS),
    "sample-now": ActionKind("3012"),
    "clean": ActionKind("3013", "M"),
    "compare": ActionKind("3014", "M"),
    "keep-sample": ActionKind("3015", reads=(0, 1)),
    "set-cycle": ActionKind("3016", fills=_CYCLE_FILLS),
    "get-cycle": ActionKind("3017", reads=(2,)),
    "time-to-result": ActionKind("3018", reads=(1,)),
    "serial-number": ActionKind("3019", reads=(1,)),
    "set-time": ActionKind("1012"),
    "get-time": ActionKind("1011", reads=(1, 6)),
    "drain": ActionKind(""),
    "lock": ActionKind(""),
    "unlock": ActionKind(""),
    "supply": ActionKind(""),
    "mode-timed": ActionKind(""),
    "mode-synchronous": ActionKind(""),
    "mode-over-limit": ActionKind(""),
}
"""The actions by their name in the site file; without a CN no platform can have them done."""
OUTPUT = "output-"
"""How the name of an action begins that switches something of the site's own: `output-fan-on`."""
_OUTPUT_KIND = ActionKind("", mark="N")


def kind_of(action: str) -> ActionKind | None:
    """What goes for an action by its name; None: there is no such."""
    return _OUTPUT_KIND if action.startswith(OUTPUT) and action != OUTPUT else ACTIONS.get(action)


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """`[[instruments.NAME.actions.NAME.write]]`: one write, done once unless `repeat`."""

    value: Scalar | tuple[Scalar, ...]
    """A number, digits for `bcd`, or what is filled in: `"{now_bcd}"`; a list for several places in a row."""
    repeat: bool = False
    """Writing it twice does no harm, so that an unanswered write is sent again."""
    options: Any = None
    """The driver's `WriteOptions`, flat in the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Until:
    """`until`: the instrument says that it is done."""

    equals: float | tuple[float, ...]
    timeout: Annotated[int, Duration(), Ge(1_000), Le(86_400_000)] = 1_200_000
    every: Annotated[int, Duration(), Ge(1_000), Le(3_600_000)] = 5_000
    """Looked at so often; the first time this long after the last write."""
    options: Any = None
    """The driver's `PointOptions`, flat in the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """`[[instruments.NAME.actions.NAME.read]]`: one quantity that an action gives."""

    scale: float = 1.0
    options: Any = None
    """The driver's `PointOptions`, flat in the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """`[instruments.NAME.actions.NAME]`: first all writes, then the wait, then what ends it, then the reads."""

    write: tuple[Write, ...] = ()
    until: Until | None = None
    lasts: Annotated[int, Duration(), Le(86_400_000)] = 0
    """How long it takes where the instrument cannot say (no `until`)."""
    after: tuple[Write, ...] = ()
    """What ends it, also where it failed half-way: a relay that was closed is opened again."""
    read: tuple[Read, ...] = ()
    mark: str | None = None
    """Mark of the instrument's points meanwhile; None: as the action has it, N: their own."""
    again: Annotated[int, Duration(), Le(86_400_000)] | None = None
    """Not again before this has passed; None: 30 min for zero-span, else 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Info:
    """`[[instruments.NAME.infos]]`: a state or a parameter.

    The instrument's number through `map`, or × `scale` + `offset`.
    """

    info: Annotated[str, Pattern(r"i[1-5][1-3][0-9a-z]{3}", "info")]
    outlet: str
    factor: str | None = None
    """The pollutant (PolId) that it belongs to; None: to all of the instrument, and to none."""
    form: Literal["number", "time"] = "number"
    """`time`: the digits yymmddhhmmss or yyyymmddhhmmss."""
    scale: float = 1.0
    offset: float = 0.0
    decimals: Annotated[int, Ge(0), Le(9)] | None = None
    """On the wire; None: as many as the number has."""
    every: Annotated[int, Duration(), Ge(5_000), Le(86_400_000)] | None = None
    """Read so often by itself, so that a change is seen; None: 1 min for a state, 10 min for a parameter."""
    map: dict[RawCode, int] | None = None
    """Codes of the instrument (keys) and of the standard; another one is no value."""
    writable: bool = False
    """May be set by a platform (CN 3021)."""
    write: tuple[Write, ...] = ()
    """How it is set, with `"{value}"`; none: where it is read."""
    options: Any = None
    """The driver's `PointOptions`, flat in the file."""


def is_state(info_id: str) -> bool:
    """Whether an InfoId is that of a state (Table B.9)."""
    return info_id[2:3] == _STATE


def is_parameter(info_id: str) -> bool:
    """Whether an InfoId is that of a parameter (Table B.9)."""
    return info_id[2:3] == _PARAMETER


def every_ms(info: Info) -> int:
    """How often an info is read by itself."""
    return info.every or (_STATE_EVERY_MS if is_state(info.info) else _PARAMETER_EVERY_MS)


def fill_name(value: Scalar) -> str | None:
    """The name in `"{name}"`; None for a number or digits."""
    return value[1:-1] if isinstance(value, str) and value[:1] == "{" and value[-1:] == "}" else None


def filled(write: Write, names: Mapping[str, Scalar]) -> list[Scalar]:
    """The values of a write with its names filled in. Raises KeyError for one that is not in `names`."""
    values = write.value if isinstance(write.value, tuple) else (write.value,)
    return [value if (name := fill_name(value)) is None else names[name] for value in values]


def outlets_of(instrument: Instrument, outlets: Collection[str]) -> set[str]:
    """The outlets of the site that an instrument serves: those of its points, its own, else the only one."""
    named = {point.outlet for point in instrument.points} | {info.outlet for info in instrument.infos}
    named |= {instrument.outlet} if instrument.outlet is not None else set()
    return named or (set(outlets) if len(outlets) == 1 else set())
