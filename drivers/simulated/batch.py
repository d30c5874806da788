"""A simulated batch analyzer: a sample every cycle, its result some time later, now and then a standard check instead.

    0 result float32   2 sample time   5 completion   8 state   9 counter   10 kind   11 its clock       (times: BCD)

What it shows is a function of the clock's time alone. `batch_set` stands beside a flow meter, as at a real outlet.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from drivers.simulated.sets import SETS, Course, Place, SetSlave, SimulatedInstrument, SimulatedPoint

IDLE, MEASURING, CHECKING = 0, 1, 2
SAMPLE, CHECK = 0, 1
"""Codes of the kind."""
_BEIJING = timedelta(hours=8)
What = Literal["value", "sampled", "completed", "state", "counter", "kind", "clock"]


@dataclass(frozen=True, slots=True)
class BatchCourse:
    """A sample at each `cycle_ms`, its result `analysis_ms` later; every `check_every`th is a check of `standard`."""

    course: Course
    cycle_ms: int = 3_600_000
    analysis_ms: int = 2_400_000
    check_every: int = 24
    standard: float = 50.0

    def number(self, time_ms: int) -> int:
        """Number of the last result that is there."""
        return (time_ms - self.analysis_ms) // self.cycle_ms

    def is_check(self, number: int) -> bool:
        return number % self.check_every == 0

    def value(self, number: int) -> float:
        """Of a sample what was in the water when it was drawn."""
        return self.standard if self.is_check(number) else self.course.at(number * self.cycle_ms)

    def state(self, time_ms: int) -> int:
        begun = time_ms // self.cycle_ms
        if self.number(time_ms) == begun:
            return IDLE
        return CHECKING if self.is_check(begun) else MEASURING


@dataclass(frozen=True, slots=True)
class BatchPlace:
    """One of its registers."""

    register: int
    what: What
    batch: BatchCourse

    def registers(self, time_ms: int) -> bytes:
        number = self.batch.number(time_ms)
        drawn = number * self.batch.cycle_ms
        match self.what:
            case "value":
                return struct.pack(">f", self.batch.value(number))
            case "sampled":
                return _digits(drawn)
            case "completed":
                return _digits(drawn + self.batch.analysis_ms)
            case "clock":
                return _digits(time_ms)
            case "state":
                return struct.pack(">H", self.batch.state(time_ms))
            case "counter":
                return struct.pack(">H", number & 0xFFFF)
            case "kind":
                return struct.pack(">H", CHECK if self.batch.is_check(number) else SAMPLE)


def _digits(time_ms: int) -> bytes:
    moment = datetime.fromtimestamp(time_ms / 1000, UTC) + _BEIJING
    return bytes.fromhex(f"{moment:%y%m%d%H%M%S}")


_PLACES: tuple[tuple[int, What], ...] = (
    (0, "value"), (2, "sampled"), (5, "completed"), (8, "state"), (9, "counter"), (10, "kind"), (11, "clock"),
)  # fmt: skip


def batch_set(batch: BatchCourse) -> list[SetSlave]:
    """The batch analyzer at address 1, and the flow meter of the waste-water set."""
    places: tuple[Place, ...] = tuple(BatchPlace(register, what, batch) for register, what in _PLACES)
    points = (SimulatedPoint("w01018", 0, "mg/L", batch.course, (0, 200)),)
    flow = next(one for one in SETS["water"] if one.name == "flow")
    return [SetSlave(SimulatedInstrument("cod", 1, 3, points, places)), SetSlave(flow)]


def batch_point(instrument: str, outlet: str, mode: Literal["held", "assigned"], cycle: str) -> str:
    """TOML of its point in the site file."""
    return f"""
  [[instruments.{instrument}.points]]
  factor = "w01018"
  outlet = "{outlet}"
  register = 0
  type = "float32"
  unit = "mg/L"
  range = [0, 200]
  batch = "{mode}"
  cycle = "{cycle}"
  new_result = "time-register"
  result_kinds = {{ {SAMPLE} = "sample", {CHECK} = "check" }}
  sampled = [{{ register = 2, type = "bcd", words = 3 }}]
  completed = [{{ register = 5, type = "bcd", words = 3 }}]
  result_code = {{ register = 10, type = "uint16" }}
  clock = [{{ register = 11, type = "bcd", words = 3 }}]
"""
