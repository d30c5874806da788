"""What the daemon passes on: a sample, a record, the kinds of record; a state or parameter, and its change.

Times are UTC milliseconds; a period is [start, end), labelled by its start. `None` is "no value", with a mark
that says why.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

MINUTE_MS = 60_000
HOUR_MS = 3_600_000
DAY_MS = 86_400_000
BEIJING_MS = 8 * HOUR_MS
SLOT_MS = 5_000
"""The grid on which samples stand (Annex D: at least one set of values every 5 s)."""
SAMPLE = "sample"
"""The kind of a result that is data."""


class Kind(IntEnum):
    """Length of a record's period; the number is what the store keeps."""

    MINUTE = 1
    HOUR = 2
    DAY = 3

    @property
    def ms(self) -> int:
        """Length of the period in milliseconds."""
        return {Kind.MINUTE: MINUTE_MS, Kind.HOUR: HOUR_MS, Kind.DAY: DAY_MS}[self]

    @property
    def text(self) -> str:
        """`minute`, `hour` or `day`, as the command line says."""
        return self.name.lower()


def period_start(time_ms: int, length_ms: int) -> int:
    """Start of the period of `length_ms` that holds `time_ms`, on the Beijing calendar."""
    return (time_ms + BEIJING_MS) // length_ms * length_ms - BEIJING_MS


@dataclass(frozen=True, slots=True)
class Sample:
    """One factor at one slot of the 5 s grid, in the factor's unit."""

    time: int
    outlet: str
    factor: str
    value: float | None
    mark: str


@dataclass(frozen=True, slots=True)
class Result:
    """One analysis of a batch analyzer: when the sample was drawn, when the result was there, by the analyzer's clock;
    when it was first seen, by ours; all UTC ms.

    `value` is in the factor's unit. `kind`: `sample`, `check`, `blank`, `calibration`, or `unknown`; only a sample is
    data. `identity`: by what a newer one is told from it.
    """

    outlet: str
    factor: str
    sampled: int
    completed: int
    seen: int
    value: float | None
    mark: str
    kind: str = SAMPLE
    identity: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """The statistic of one factor over one period.

    `min`, `max`: extremes of the samples; `avg`: mean by the outlet's rules; `zs_…`: converted (折算) values;
    `cou`: volume or mass of the period in the factor's emission unit, unrounded; `count`: how many valid values of the
    level below entered the mean. All numbers are in the factor's unit, unrounded.

    Of a flow with a totaliser: `total`, m³: what the counter showed last before the period's end, read at `total_at`;
    `caught_up`, m³: of `cou`, what had passed before while nothing was read.
    """

    outlet: str
    kind: Kind
    factor: str
    start: int
    revision: int = 0
    min: float | None = None
    avg: float | None = None
    max: float | None = None
    zs_min: float | None = None
    zs_avg: float | None = None
    zs_max: float | None = None
    cou: float | None = None
    count: int = 0
    mark: str = "N"
    total: float | None = None
    total_at: int | None = None
    caught_up: float | None = None


class InfoKey(NamedTuple):
    """Which state, parameter or identity: of whom, at which outlet, of which pollutant ('': of no single one)."""

    owner: str
    """An instrument, a line, a platform; '' is the logger."""
    outlet: str
    factor: str
    info: str
    """InfoId of HJ 212-2017 Table B.10, or SN."""


@dataclass(frozen=True, slots=True)
class Known:
    """A value as it goes on the wire, and when it was first seen."""

    value: str
    since: int


@dataclass(frozen=True, slots=True)
class Change:
    """A state, parameter or identity was seen with another value; `before` None: it was not known."""

    key: InfoKey
    before: str | None
    after: str
    at_ms: int
