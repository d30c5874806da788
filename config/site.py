"""The site as plain dataclasses: what the daemon holds, and the one description of the site file's shape.

The annotations carry the bounds. `config.load` checks a file against them with pydantic, in the command line
or in a short-lived child of the daemon, which builds these classes from the child's JSON without importing
pydantic. Durations are milliseconds here and `"5s"`, `"10min"`, `"1h"`, `"30d"` in the file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le

from config.batch import NewResult, ResultKind, Source
from config.controls import Action, Info, RawCode
from config.markers import Duration, NumberAsText, OneOf, Pattern

Millis = Annotated[int, Duration()]
Name = Annotated[str, Pattern(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}", "name")]
_MINUTES = (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)
MinuteInterval = Annotated[int, Duration(), OneOf(*(minutes * 60_000 for minutes in _MINUTES))]
Keeping = Annotated[int, Duration(), Ge(86_400_000)]
"""How long data are kept: a day at least."""
FLOW = "w00000"
"""Flow of waste water, L/s; its sums are volumes, m³."""
TOTAL = f"{FLOW}-total"
"""What the samples of its totaliser (累积流量) are filed under, m³."""
UploadKind = Literal["realtime", "minute", "hour", "day", "state", "runtime", "startup"]
"""Kinds of upload: CN 2011, 2051, 2061, 2031, 2021, 2041, 2081."""


CommandCode = Literal[
    "1000", "1011", "1012", "1061", "1062", "1063", "1064", "1072", "2011", "2012", "2021", "2022", "2031", "2041",
    "2051", "2061", "3011", "3012", "3013", "3014", "3015", "3016", "3017", "3018", "3019", "3020", "3021",
]  # fmt: skip
"""Commands that a platform may give (HJ 212-2017 Table 9)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class General:
    """`[site]`: the logger as a whole."""

    name: str
    data_dir: str = "/var/lib/hj212-edge"
    language: Literal["zh", "en"] | None = None
    socket: str | None = None
    """Path of the control socket; None: `/run/hj212-edge/control.sock` where that folder is ours, else in
    `data_dir`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GasRules:
    """`[outlets.NAME.gas]`: constants and validity of flue gas (Annex D.2, equations 18–34)."""

    area: Annotated[float, Ge(0)] | None = None
    """Duct cross-section F, m²."""
    kv: Annotated[float, Ge(0)] = 1.0
    """Velocity field coefficient Kv."""
    ambient_pressure: Annotated[float, Ge(50), Le(120)] = 101.325
    """Ba, kPa."""
    o2_reference: Annotated[float, Ge(0), Le(20)] | None = None
    """Reference oxygen of the emission standard, % (equation 28)."""
    excess_air: Annotated[float, Ge(1)] | None = None
    """Excess air coefficient of the emission standard, αs (equation 26); used without `o2_reference`."""
    o2_limit: Annotated[float, Ge(10), Le(21)] = 20.0
    """Above this oxygen, %, no conversion: the measured value stands in its place."""
    basis: Literal["actual-wet", "actual-dry", "standard-dry"] = "standard-dry"
    """What the analyzers' concentrations refer to."""
    minute_samples: Annotated[int, Ge(1)] | None = None
    """Valid samples that a minute needs; None: 60 s ÷ the instrument's `every` (12 at 5 s)."""
    hour_minutes: Annotated[int, Ge(1), Le(60)] = 45
    day_hours: Annotated[int, Ge(1), Le(24)] = 20
    normal_share: Annotated[float, Ge(0), Le(1)] = 0.75
    """Share of normal values of the level below from which a value is marked N."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaterRules:
    """`[outlets.NAME.water]`: waste water (Annex D.1, equations 1–17)."""

    mean: Literal["weighted", "arithmetic"] = "weighted"
    """Flow-weighted (12–14) where there is flow, or arithmetic (15–17) means of concentrations."""
    arithmetic: tuple[str, ...] = ()
    """Factors that are averaged arithmetically in any case; pH, temperature and the like always are."""
    flow_from: Literal["integration", "totaliser"] = "integration"
    """What a volume is (1): flow × time, or the difference of the totaliser's readings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlet:
    """`[outlets.NAME]`: 排放口."""

    name: str
    st: Annotated[str, NumberAsText(2), Pattern(r"[0-9A-Z]{2}", "st")]
    statistics: Literal["water", "gas"]
    averaging: tuple[str, ...] = ("N",)
    """Marks whose values enter the means."""
    precedence: tuple[str, ...] = ("B", "F", "D", "M", "C", "T", "S")
    """Which mark a period bears when abnormal ones tie or the rule asks for one, strongest first."""
    gas: GasRules = field(default_factory=GasRules)
    water: WaterRules = field(default_factory=WaterRules)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """`[lines.NAME]`: one RS-485/232 port, or a serial server's TCP port."""

    port: str
    baud: Annotated[int, Ge(50), Le(4_000_000)] = 9600
    format: Annotated[str, Pattern(r"[5-8][NEOMS](1|1\.5|2)", "format")] = "8N1"
    gap: Millis = 0
    """Silence between frames, added to the 3.5 characters that Modbus asks for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """`[[instruments.NAME.points]]`: one quantity, and where the driver finds it.

    The instrument's number × `scale` + `offset` is in `unit`.
    """

    factor: str
    outlet: str
    unit: str | None = None
    """None: the factor's own unit."""
    scale: float = 1.0
    offset: float = 0.0
    range: tuple[float, float] | None = None
    """Measuring range in `unit`: above it T; below it by more than `zero_band` D; else N."""
    zero_band: Annotated[float, Ge(0)] | None = None
    """In `unit`; None: 10 % of the span."""
    decimals: Annotated[int, Ge(0), Le(9)] | None = None
    """On the wire; None: the factor table's format."""
    limit: float | None = None
    warn: float | None = None
    kind: Literal["value", "total"] = "value"
    """`total`: the flow meter's totaliser (累积流量), m³; its factor is the flow's, `w00000`."""
    rollover: Annotated[float, Ge(1)] | None = None
    """Of a totaliser: the volume at which it begins again at 0, in `unit`; None: it never does."""
    max_flow: Annotated[float, Ge(0)] | None = None
    """Of a totaliser: more than this, L/s, cannot pass; None: twice the range of the outlet's flow."""
    batch: Literal["held", "assigned"] | None = None
    """Of a batch analyzer; None: it measures continuously. `held`: its last result holds until the next. `assigned`:
    the hour in which it was sampled gets it, and waits for it."""
    cycle: Annotated[int, Duration(), Ge(300_000), Le(86_400_000)] = 3_600_000
    """A batch analyzer has a result this often; none is older than twice this and an hour."""
    new_result: NewResult | None = None
    """By what a new result is known: another `sampled` (else `completed`), a `state` that gets `ready_states`, another
    `counter` or value."""
    analysis: Annotated[int, Duration(), Le(86_400_000)] = 0
    """How long an analysis takes: without `sampled`, the sample was drawn that long before the result."""
    result_deadline: Annotated[int, Duration(), Le(86_400_000)] = 7_200_000
    """After an hour's end its result is waited for so long (`assigned`)."""
    ready_states: tuple[float, ...] = ()
    """Values of `state` with which a result is there."""
    result_kinds: dict[RawCode, ResultKind] | None = None
    """Codes of `result_code`, or of `state` while it works, and what such a result is; another code is no sample."""
    sampled: tuple[Source, ...] = ()
    """When the sample was drawn: digits yymmddhhmmss or yyyymmddhhmmss, or year … minute, second apart."""
    completed: tuple[Source, ...] = ()
    """When the result was there."""
    clock: tuple[Source, ...] = ()
    """The analyzer's time."""
    state: Source | None = None
    counter: Source | None = None
    result_code: Source | None = None
    options: Any = None
    """The driver's `PointOptions`, flat in the file."""

    @property
    def code(self) -> str:
        """What its samples are filed under: the factor, or `TOTAL`."""
        return self.factor if self.kind == "value" else TOTAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """`[instruments.NAME]`."""

    line: str
    driver: str
    model: str | None = None
    outlet: str | None = None
    """Outlet of the points that name none."""
    address: Annotated[int, Ge(0), Le(255)] | str = 1
    every: Annotated[int, Duration(), Ge(5_000), Le(86_400_000)] = 5_000
    timeout: Annotated[int, Duration(), Ge(10), Le(60_000)] = 1_000
    retries: Annotated[int, Ge(0), Le(10)] = 2
    gap: Millis | None = None
    """Silence before this instrument is asked; None: the line's."""
    silence: Millis = 60_000
    """Unanswered for this long, the points bear mark B."""
    options: Any = None
    """The driver's `InstrumentOptions`, flat in the file."""
    points: tuple[Point, ...] = ()
    infos: tuple[Info, ...] = ()
    actions: dict[Name, Action] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How an outlet is known to a platform."""

    mn: Annotated[str, Pattern(r"[^;=&\s]{1,24}", "mn")]
    password: Annotated[str, Pattern(r"[^;=&\s]{0,24}", "password")] = "123456"


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """`[platforms.NAME]`: who receives the packets."""

    protocol: Literal["hj212"] = "hj212"
    edition: Literal["2017"]
    role: Literal["official", "other", "rehearsal"] = "official"
    address: Annotated[str, Pattern(r"(\[[0-9A-Fa-f:.]+\]|[^:\s]+):[0-9]{1,5}", "address")]
    outlets: dict[str, Access]
    connection: Literal["per-mn", "shared"] = "per-mn"
    realtime: Annotated[int, Duration(), Ge(30_000), Le(3_600_000)] = 60_000
    minute: MinuteInterval = 600_000
    timeout: Annotated[int, Duration(), Ge(1_000), Le(99_000)] = 10_000
    retries: Annotated[int, Ge(0), Le(99)] = 3
    """Resends after the first sending."""
    acknowledge: bool | tuple[UploadKind, ...] = True
    """Whether uploads ask for an answer (Flag bit A)."""
    no_answer: Literal["keep", "close"] = "keep"
    window: Annotated[int, Ge(1), Le(64)] = 1
    backfill: tuple[UploadKind, ...] = ("minute", "hour", "day")
    backfill_rate: Annotated[float, Ge(0)] = 2.0
    """Packets/s; 0: no limit."""
    reissue_after: Millis = 600_000
    frame_gap: Millis = 0
    absent: Literal["zero", "last", "flag-only", "omit"] = "zero"
    """A factor without a value on the wire, always with a mark other than N."""
    connect_from: Annotated[str, Pattern(r"\d{4}-\d{2}-\d{2}", "date")] | None = None
    """Date (Beijing) before which an answered packet is a joint test (联调), not the official connection."""
    time: Literal["accept", "refuse", "when-unsynchronised"] = "accept"
    """What happens when the platform sets the clock (1012)."""
    allow: Literal["all", "read"] | tuple[CommandCode, ...] | None = None
    """What the platform may command; None: `read` for role other, else `all`."""
    commands_per_minute: Annotated[int, Ge(0), Le(60_000)] = 60
    """More are refused with QnRtn 2; 0: no limit."""
    crc: Literal["hj212", "modbus-hi-lo", "modbus-lo-hi"] = "hj212"


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """`[store]`: how long data are kept."""

    samples: Keeping = 30 * 86_400_000
    minute: Keeping = 366 * 86_400_000
    hour: Keeping = 1_098 * 86_400_000
    day: Keeping = 1_830 * 86_400_000
    deliveries: Keeping = 396 * 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The whole file."""

    site: General
    outlets: dict[Name, Outlet] = field(default_factory=dict)
    lines: dict[Name, Line] = field(default_factory=dict)
    instruments: dict[Name, Instrument] = field(default_factory=dict)
    platforms: dict[Name, Platform] = field(default_factory=dict)
    store: Retention = field(default_factory=Retention)
