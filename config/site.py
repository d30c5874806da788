"""The site as plain dataclasses: what the daemon holds, and the one description of the site file's shape.

The annotations carry the bounds. `config.load` checks a file against them with pydantic, in the command line
or in a short-lived child of the daemon, which builds these classes from the child's JSON without importing
pydantic. Durations are milliseconds here and `"5s"`, `"10min"`, `"1h"`, `"30d"` in the file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le

from config.addresses import Address, LinePort, ListenAddress, addresses_of
from config.alarms import AlarmRules
from config.batch import NewResult, ResultKind, Source
from config.controls import Action, Info, RawCode
from config.filed import Filed
from config.markers import Duration, NumberAsText, OneOf, Pattern
from config.mqtt import Mqtt
from config.sampler import Sampler
from config.states import State
from config.switches import Contact, Derived, Maintenance, StopSource
from config.tls import FilePath, Tls

Millis = Annotated[int, Duration()]
Name = Annotated[str, Pattern(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}", "name")]
_MINUTES = (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)
MinuteInterval = Annotated[int, Duration(), OneOf(*(minutes * 60_000 for minutes in _MINUTES))]
Keeping = Annotated[int, Duration(), Ge(86_400_000)]
Size = Annotated[str, Pattern(r"[1-9][0-9]{0,4}(MB|GB|TB)", "size")]
"""How long data are kept: a day at least."""
UploadKind = Literal[
    "realtime", "minute", "hour", "day", "state", "runtime", "startup", "sample", "identity", "info"
]  # fmt: skip
"""Kinds of upload: CN 2011, 2051, 2061, 2031, 2021, 2041, 2081, 3015, 3019, 3020."""
EventKind = Literal["3015", "3019", "3020", "3020-log", "3020-state", "3020-parameter"]
"""What uploads itself when it happens: a kept sample, a replaced instrument, and, all or in part, what 3020 carries."""
Basis = Literal["actual-wet", "actual-dry", "standard-dry"]
"""What a flue gas analyzer's value refers to."""
ZS_CHANNEL = "-Zs"
Zs = Literal["computed", "from-point", "none"]
"""Where a factor's converted (折算) values come from."""
FLOW = "w00000"
"""Flow of waste water, L/s; its sums are volumes, m³."""
TOTAL = f"{FLOW}-total"
"""What the samples of its totaliser (累积流量) are filed under, m³."""


CommandCode = Literal[
    "1000", "1001", "1011", "1012", "1021", "1022", "1031", "1032", "1041", "1042", "1061", "1062", "1063", "1064",
    "1072", "2011", "2012", "2021", "2022", "2031", "2041", "2051", "2061", "2071", "3011", "3012", "3013", "3014",
    "3015", "3016", "3017", "3018", "3019", "3020", "3021",
]  # fmt: skip
"""Commands that a platform may give: HJ 212-2017 Table 9, and those that only HJ/T 212-2005 has."""


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
    """Above this oxygen, %, no conversion: `zs_above` says what stands in its place."""
    zs_above: Literal["omit", "measured", "sentinel"] = "measured"
    """Nothing, the measured value, or the largest number of the factor's format, which only the wire knows."""
    zs_on: Literal["minute", "mean"] = "minute"
    """Minutes are converted and then averaged, or the means of hours and of longer minute intervals are converted."""
    basis: Basis = "standard-dry"
    """What the analyzers' concentrations and oxygen refer to; a point may have its own."""
    pitot: Annotated[float, Ge(0)] | None = None
    """Coefficient Kp of the pitot tube: velocity is computed from the dynamic pressure a01017."""
    gas_density: Annotated[float, Ge(0.1), Le(10)] = 1.34
    """Density of the gas at standard state, kg/m³, for the pitot tube."""
    minute_samples: Annotated[int, Ge(1)] | None = None
    """Valid samples that a minute needs; None: 60 s ÷ the instrument's `every` (12 at 5 s)."""
    hour_minutes: Annotated[int, Ge(1), Le(60)] = 45
    day_hours: Annotated[int, Ge(1), Le(24)] = 20
    normal_share: Annotated[float, Ge(0), Le(1)] = 0.75
    """Share of normal values of the level below from which a value is marked N."""
    below_share: Literal["D", "cause"] = "D"
    """Mark of a period with some normal values, but too few: D, as the standard has it, or its commonest mark."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaterRules:
    """`[outlets.NAME.water]`: waste water (Annex D.1, equations 1–17)."""

    mean: Literal["weighted", "arithmetic"] = "weighted"
    """Flow-weighted (12–14) where there is flow, or arithmetic (15–17) means of concentrations."""
    arithmetic: tuple[str, ...] = ()
    """Factors that are averaged arithmetically in any case; pH, temperature and the like always are."""
    normal_share: Annotated[float, Ge(0), Le(1)] = 1.0
    """Share of normal values among those that came from which a value is marked N; 1: any abnormal one marks it."""
    flow_from: Literal["integration", "totaliser"] = "integration"
    """What a volume is (1): flow × time, or the difference of the totaliser's readings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseRules:
    """`[outlets.NAME.noise]`: noise (Table B.3); validity as `[outlets.NAME.gas]` says."""

    day_from: Annotated[int, Ge(0), Le(23)] = 6
    """Hour at which the day (昼间) begins."""
    night_from: Annotated[int, Ge(0), Le(23)] = 22
    """Hour at which the night (夜间) begins, as the local government has set it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlet:
    """`[outlets.NAME]`: 排放口."""

    name: str
    st: Annotated[str, NumberAsText(2), Pattern(r"[0-9A-Z]{2}", "st")]
    statistics: Literal["water", "gas", "noise"]
    averaging: tuple[str, ...] = ("N",)
    """Marks whose values enter the means."""
    precedence: tuple[str, ...] = ("B", "F", "D", "M", "C", "T", "S")
    """Which mark a period bears when abnormal ones tie or the rule asks for one, strongest first."""
    decimals: dict[str, Annotated[int, Ge(0), Le(9)]] = field(default_factory=dict)
    """On the wire, by factor: for what is computed and has no point; a point's own come first."""
    alarms: dict[Name, AlarmRules] = field(default_factory=dict)
    """By factor: what its values are watched for."""
    gas: GasRules = field(default_factory=GasRules)
    water: WaterRules = field(default_factory=WaterRules)
    noise: NoiseRules = field(default_factory=NoiseRules)
    derived: tuple[Derived, ...] = ()
    filed: tuple[Filed, ...] = ()
    stop: StopSource | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rs485:
    """`[lines.NAME.rs485]`: the kernel switches the direction of an RS-485 port that does not do it by itself."""

    rts_on_send: bool = True
    """RTS is high while sending, low while receiving; false: the other way round."""
    delay_before: Millis = 0
    """Between switching and the first byte."""
    delay_after: Millis = 0
    """Between the last byte and switching back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """`[lines.NAME]`: one RS-485/232 port, or a serial server's TCP port."""

    port: LinePort
    baud: Annotated[int, Ge(50), Le(4_000_000)] = 9600
    format: Annotated[str, Pattern(r"[5-8][NEOMS](1|1\.5|2)", "format")] = "8N1"
    gap: Millis = 0
    """Silence between frames, added to the 3.5 characters that Modbus asks for."""
    rs485: Rs485 | None = None
    """Only where the port's driver in the kernel has to switch its direction; most adapters do by themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """`[[instruments.NAME.points]]`: one quantity, and where the driver finds it.

    The instrument's number × `scale` + `offset` is in `unit`, or with `current` in mA.
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
    current: tuple[float, float] | None = None
    """The number is a current in mA, and 4–20 mA are this range in `unit`. Under 3.8 mA D, over 20.5 mA T (NAMUR)."""
    decimals: Annotated[int, Ge(0), Le(9)] | None = None
    """On the wire; None: the factor table's format."""
    limit: float | None = None
    """Emission limit in `unit` (of ppm: in the factor's unit), for alarms."""
    warn: float | None = None
    """Warning level, as `limit`."""
    name: str | None = None
    """What `status` calls it; None: the factor's name."""
    states: dict[RawCode, int] | None = None
    """Equipment: the instrument's numbers (keys) and RS codes; another number is no value."""
    on: float | None = None
    """Equipment: running above it, in `unit` (current, power)."""
    off: float | None = None
    """Equipment: off below it; None: `on`."""
    on_for: Millis = 0
    """Above `on` for this long."""
    off_for: Millis = 0
    """Below `off` for this long."""
    quantity: Literal["value", "zs"] = "value"
    """`zs`: the instrument delivers the converted (折算) value of the factor, beside the point of its value."""
    zs: Zs | None = None
    """None: from the point with `quantity = "zs"` where the outlet has one, else computed."""
    basis: Basis | None = None
    """None: the outlet's; a flow that is measured: `standard-dry`."""
    molar_mass: Annotated[float, Ge(1), Le(1000)] | None = None
    """g/mol, for a unit that is a volume share (ppm); None: the factor's."""
    holds: Annotated[int, Duration(), Le(86_400_000)] = 0
    """A value stands for this long where no newer one has come: 1.5 cycles of a cyclic analyzer."""
    internal: bool = False
    """Read for a switch only: it has samples, but no records, and is never uploaded."""
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
    def channel(self) -> str:
        """The name of its samples: the factor, `a21026-Zs` for its converted value, or `TOTAL`."""
        if self.kind == "total":
            return TOTAL
        return self.factor if self.quantity == "value" else self.factor + ZS_CHANNEL


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
    turnaround: Millis = 0
    """Silence after its answer, before any instrument is asked: some leave the wire only then."""
    silence: Millis = 60_000
    """Unanswered for this long, the points bear mark B."""
    options: Any = None
    """The driver's `InstrumentOptions`, flat in the file."""
    points: tuple[Point, ...] = ()
    states: tuple[State, ...] = ()
    infos: tuple[Info, ...] = ()
    filed: tuple[Filed, ...] = ()
    sampler: Sampler | None = None
    actions: dict[Name, Action] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How an outlet is known to a platform."""

    mn: Annotated[str, Pattern(r"[^;=&\s]{1,24}", "mn")]
    password: Annotated[str, Pattern(r"[^;=&\s]{0,24}", "password")] = "123456"


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """`[platforms.NAME]`: who receives the packets."""

    protocol: Literal["hj212", "mqtt"] = "hj212"
    edition: Literal["2005", "2017"]
    """Of HJ 212: HJ/T 212-2005 or HJ 212-2017; MQTT with JSON has none."""
    role: Literal["official", "other", "rehearsal"] = "official"
    address: Address | tuple[Address, ...] | None = None
    """Where the logger connects to; several: in order of preference. None: the platform comes to us (`listen`)."""
    listen: ListenAddress | None = None
    """Where the platform connects to, for one that does so."""
    allow_from: tuple[str, ...] = ()
    """Networks from which it may come."""
    interface: Annotated[str, Pattern(r"[^\s/]{1,15}", "interface")] | None = None
    """Network interface that the link is bound to, such as `ppp0`; None: as the routes say."""
    source_address: str | None = None
    """Local address that the link leaves from."""
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
    refusals: Annotated[int, Ge(1), Le(99)] = 5
    """Refused so often, a packet steps aside and is kept for the technician."""
    from_: Annotated[str, Pattern(r"now|all|\d{4}-\d{2}-\d{2}", "from")] = "now"
    """`from` in the file: of the data that were there before the platform, it gets none, all, or those since a date
    (Beijing)."""
    reissue_after: Millis = 600_000
    frame_gap: Millis = 0
    absent: Literal["zero", "last", "flag-only", "omit"] = "zero"
    """A factor without a value on the wire, always with a mark other than N."""
    revisions: Literal["off", "marks"] = "off"
    """Whether data whose mark was changed later are sent again."""
    stopped: Literal["N", "F"] = "N"
    """Mark on the wire of normal data of a time in which the source was stopped throughout."""
    connect_from: Annotated[str, Pattern(r"\d{4}-\d{2}-\d{2}", "date")] | None = None
    """Date (Beijing) before which an answered packet is a joint test (联调), not the official connection."""
    time: Literal["accept", "refuse", "when-unsynchronised"] = "accept"
    """What happens when the platform sets the clock (1012)."""
    allow: Literal["all", "read"] | tuple[CommandCode, ...] | None = None
    """What the platform may command; None: `read` for role other, else `all`."""
    commands_per_minute: Annotated[int, Ge(0), Le(60_000)] = 60
    """More are refused with QnRtn 2; 0: no limit."""
    crc: Literal["hj212", "modbus-hi-lo", "modbus-lo-hi"] = "hj212"
    events: tuple[EventKind, ...] = ("3015", "3019", "3020")
    """What is uploaded when it happens."""
    preset: str | None = None
    """Ready-made keys that stand under this table's own (`config.platform_presets`)."""
    tail: Literal["crlf", "lf", "none"] = "crlf"
    """What ends our frames."""
    crc_error: Literal["drop", "answer"] = "drop"
    """A command whose check code is wrong: dropped and counted, or answered 9011 with QnRtn 9; never carried out."""
    part_order: Literal["pnum-pno", "pno-pnum"] = "pnum-pno"
    segment_limit: Annotated[int, Ge(256), Le(9_999)] = 1_024
    """Longest data segment of an upload, bytes; what is longer is split."""
    cp_limit: Annotated[int, Ge(128), Le(9_999)] = 950
    """Longest CP field, its name and `&&` included, bytes."""
    extra: dict[str, str] = field(default_factory=dict)
    """Fields of 2011, 2051, 2061 and 2031 that the platform wants behind DataTime."""
    spread: Annotated[int, Duration(), Ge(0), Le(1_800_000)] = 0
    """Within this time after a whole hour its data are sent, each MN at a moment of its own; 0: at once."""
    heartbeat: Literal["off", "9015", "9021"] = "off"
    heartbeat_every: Annotated[int, Duration(), Ge(0), Le(3_600_000)] = 60_000
    """0: once after connecting, as a login."""
    units: dict[str, str] = field(default_factory=dict)
    """Unit of a factor's values by its code, where it is not the table's; Cou stays in the emission unit."""
    mass_decimals: Annotated[int | None, Ge(0), Le(9)] = None
    """Decimals of the masses in Cou. Unset: 6; edition 2005: 2, and 6 or more for one that would be 0.00."""
    tls: Tls | None = None
    """None: plain TCP."""
    mqtt: Mqtt | None = None
    """Of `protocol = "mqtt"`, which has one in any case."""

    @property
    def addresses(self) -> tuple[str, ...]:
        """All its addresses, the preferred one first; `listen:HOST:PORT` of one that connects to us."""
        return addresses_of(self.address, self.listen)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """`[store]`: how long data are kept, and their backup."""

    samples: Keeping = 30 * 86_400_000
    minute: Keeping = 366 * 86_400_000
    hour: Keeping = 1_098 * 86_400_000
    day: Keeping = 1_830 * 86_400_000
    deliveries: Keeping = 396 * 86_400_000
    packets: Keeping = 30 * 86_400_000
    """The bytes of packets that are done; then their SHA-256 alone, as long as the delivery."""
    budget: Size | None = None
    """What the store may take on the disk; None: what there is. Beyond it the least needed goes before its time."""
    keep_free: Size = "2MB"
    """When no more is free on the disk, nor in the store's files, the same."""
    backup_to: FilePath | None = None
    """Folder, on another disk, for backups that the daemon makes by itself; None: none."""
    backup_every: Annotated[int, Duration(), Ge(3_600_000)] = 86_400_000
    backup_keep: Annotated[int, Ge(1), Le(1_000)] = 7
    """So many of the newest stay."""

    @property
    def budget_bytes(self) -> int | None:
        """`budget` in bytes."""
        return None if self.budget is None else _bytes(self.budget)

    @property
    def keep_free_bytes(self) -> int:
        """`keep_free` in bytes."""
        return _bytes(self.keep_free)


def _bytes(size: str) -> int:
    return int(size[:-2]) * {"MB": 10**6, "GB": 10**9, "TB": 10**12}[size[-2:]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The whole file."""

    site: General
    outlets: dict[Name, Outlet] = field(default_factory=dict)
    lines: dict[Name, Line] = field(default_factory=dict)
    instruments: dict[Name, Instrument] = field(default_factory=dict)
    platforms: dict[Name, Platform] = field(default_factory=dict)
    store: Retention = field(default_factory=Retention)
    maintenance: Maintenance = field(default_factory=Maintenance)
    contacts: tuple[Contact, ...] = ()
