"""Random lives of an outlet: samples with gaps and marks, late and repeated ones, restarts, outages, clock steps.

    random_stream(seed) ─▶ Stream: events in real order, each with what the wall clock showed
                              └─▶ Life: what of it counts, told from the events alone, without the product

The clock runs on a real time line; what the outlet sees is that time plus all steps so far.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from measure_streams import DAY_MS, HOUR_MS, MIDNIGHT, MINUTE_MS, SLOT_MS, Sample, flue, water
from slow_reference import day_aligned

from config.site import Outlet, Point
from config.switches import Derived
from edge.measure.manual import ManualMark
from edge.measure.rules import FactorRule, factor_rule, point_rule

GRACE, BRIEFLY = 2_000, 62_000
HOLDS = 180_000
LEVELS = {"a19001": 18.0, "w00000": 20.0}
HALF = Derived(factor="w01017", formula="w01018 * 0.5 + w01001")
TICK, RESTART = "tick", "restart"
Event = tuple[int, Sample | str]
"""What the wall clock showed, and a sample that came, or what happened."""


@dataclass
class Stream:
    """What happens to one outlet."""

    outlet: Outlet
    factors: dict[str, FactorRule]
    every: dict[str, int]
    manual: list[ManualMark] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    situations: set[str] = field(default_factory=set)


def random_stream(seed: int) -> Stream:
    """Every 200th is sparse and longer than a day, with up to one value a minute."""
    dice = random.Random(seed)
    long = seed % 200 > 197
    stream = (gas_outlet if seed % 2 else water_outlet)(dice, long)
    stream.situations |= {"long"} if long else set()
    first = MIDNIGHT + dice.choice([0, 8 * HOUR_MS, DAY_MS]) - dice.randrange(2, 6) * MINUTE_MS
    length = 1_500 * MINUTE_MS if long else dice.randrange(4, 13) * MINUTE_MS
    steps = random_steps(stream, first, length, dice) if "holds" not in stream.situations else []
    for _ in range(dice.choice([0, 0, 1, 2])):
        grid = dice.choice([1, SLOT_MS, MINUTE_MS])
        begin = (first + dice.randrange(length)) // grid * grid
        end = None if dice.random() < 0.2 else begin + (dice.randrange(4 * MINUTE_MS) // grid + 1) * grid
        names = None if dice.random() < 0.5 else frozenset([dice.choice(list(stream.every))])
        stream.manual.append(ManualMark(dice.choice("MCTFD"), begin, end, names))
        stream.situations.add("marked by hand")
    happen(stream, first, length, steps, dice)
    return stream


def water_outlet(dice: random.Random, long: bool) -> Stream:
    """Flow, a weighted and an unweighted factor; some with equipment, a derived point, a share of their own."""
    share = dice.choice([1.0, 1.0, 0.6])
    mean = dice.choice(["weighted", "weighted", "arithmetic"])
    own = ("w01018",) if dice.random() < 0.1 else ()
    derived = (HALF,) if dice.random() < 0.3 else ()
    rules = water(mean=mean, normal_share=share, arithmetic=own)
    outlet = replace(rules, derived=derived, averaging=averaging(dice))
    stream = outlet_of(outlet, ["w01018", "w00000", "w01001"], dice, long)
    stream.situations |= {"water"} | ({"derived"} if derived else set()) | ({"share of water"} if share < 1 else set())
    if derived:
        pace = max(stream.every["w01018"], stream.every["w01001"])  # each divides the next
        stream.every["w01017"], stream.factors["w01017"] = pace, factor_rule("w01017", every_ms=pace)
    return stream


def gas_outlet(dice: random.Random, long: bool) -> Stream:
    """A pollutant, flow and oxygen; some with delivered converted values, a chromatograph, equipment."""
    rules = {
        "o2_reference": dice.choice([6.0, 11.0, None]),
        "excess_air": dice.choice([1.2, None]),
        "zs_above": dice.choice(["omit", "measured", "sentinel"]),
        "zs_on": dice.choice(["minute", "mean"]),
        "below_share": dice.choice(["D", "cause"]),
        "normal_share": dice.choice([0.75, 0.02]),
        "minute_samples": dice.choice([None, None, 6]),
        "hour_minutes": dice.choice([3, 45]),
        "day_hours": 1,
    }
    outlet = replace(flue(**rules), averaging=averaging(dice))
    stream = outlet_of(outlet, ["a21026", "a00000", "a19001"], dice, long)
    stream.situations |= {"gas", f"zs_on {rules['zs_on']}", f"zs_above {rules['zs_above']}"}
    if dice.random() < 0.2:
        extra(stream, Point(factor="a21026", outlet="o", quantity="zs"), stream.every["a21026"], "converted delivered")
    if not long and dice.random() < 0.2:
        extra(stream, Point(factor="a24088", outlet="o", holds=HOLDS), 2 * MINUTE_MS, "holds")
    return stream


def averaging(dice: random.Random) -> tuple[str, ...]:
    return dice.choice([("N",), ("N",), ("N",), ("N", "T")])


def outlet_of(outlet: Outlet, names: list[str], dice: random.Random, long: bool) -> Stream:
    names = [*names, "SB1"] if dice.random() < 0.25 else names
    every = {name: MINUTE_MS if long else dice.choice([5_000, 5_000, 10_000, 30_000]) for name in names}
    factors = {name: factor_rule(name, every_ms=pace) for name, pace in every.items()}
    return Stream(outlet, factors, every, situations={"equipment"} if "SB1" in names else set())


def extra(stream: Stream, point: Point, every: int, situation: str) -> None:
    stream.every[point.channel], stream.factors[point.channel] = every, point_rule(point, every)
    stream.situations.add(situation)


def random_steps(stream: Stream, first: int, length: int, dice: random.Random) -> list[tuple[int, int]]:
    """(real time, by how much) of clock steps: of a second, of 100 s, of an hour, of anything."""
    found: list[tuple[int, int]] = []
    for _ in range(dice.choice([0, 0, 0, 1, 2])):
        size = dice.choice([1_000, 100_000, HOUR_MS, dice.randrange(1, 2 * HOUR_MS)])
        by = dice.choice([-1, 1]) * size
        found.append((first + dice.randrange(length), by))
        stream.situations.add("clock back" if by < 0 else "clock forward")
    return found


def happen(stream: Stream, first: int, length: int, steps: list[tuple[int, int]], dice: random.Random) -> None:
    """All events in real order; what comes while the daemon is down is lost."""

    def wall(real: int) -> int:
        return real + sum(by for at, by in steps if at <= real)

    down: list[tuple[int, int]] = []
    real: list[tuple[int, int, Sample | str]] = []
    for _ in range(dice.choice([0, 0, 1, 2])):
        at = first + dice.randrange(1_000, length)
        away = dice.choice([0, 0, dice.randrange(1_000, 3 * MINUTE_MS)])
        down.append((at, at + away))
        real += [(at + away, 0, RESTART), (at + away, 1, TICK)]
        stream.situations.add("outage" if away else "restart")
    for name, every in stream.every.items():
        if name != HALF.factor:
            moments = [(at, wall(at)) for at in range(first, first + length, SLOT_MS) if not is_down(at, down)]
            real += [(at, 2, sample) for at, sample in samples_of(stream, name, every, moments, dice)]
    for start in range(first, first + length, MINUTE_MS):  # as the daemon does, but fewer
        real += [(start + shift, 1, TICK) for shift in (0, 1_000, GRACE, 30_000)]
    real += [(first + length + shift, 1, TICK) for shift in (0, GRACE)] + [(at, 1, TICK) for at, _ in steps]
    up = [(at, what) for at, _, what in sorted(real, key=lambda one: one[:2]) if not is_down(at, down)]
    stream.events = [(wall(at), what) for at, what in up]


def is_down(at: int, down: list[tuple[int, int]]) -> bool:
    return any(begin <= at < end for begin, end in down)


def samples_of(
    stream: Stream, name: str, every: int, moments: list[tuple[int, int]], dice: random.Random
) -> Iterable[tuple[int, Sample]]:
    """(real time of its arrival, sample) of one factor; `moments`: real time, and what the clock shows then."""
    mark, level = "N", LEVELS.get(name, 60.0)
    for real, shown in moments:
        slot = shown // SLOT_MS * SLOT_MS
        if slot % every:
            continue
        if dice.random() < 0.08:
            mark = dice.choice("NNNNMDCTFB")
            stream.situations.add(f"mark {mark}")
        if dice.random() < 0.07:
            stream.situations.add("gap")
            continue
        value = None if mark == "B" else 0.0 if dice.random() < 0.05 else round(dice.uniform(0.1, 1.2) * level, 2)
        if name == "SB1" and value is not None:
            value = float(dice.choice([0, 1, 1, 2]))
        delay = dice.randrange(0, 900)
        if dice.random() < 0.02:
            delay += MINUTE_MS + GRACE + dice.randrange(1_000, 200_000)
            stream.situations.add("late")
        yield real + delay, Sample(slot, "o", name, value, mark)


@dataclass
class Life:
    """What of a stream counts: told from its events by the words of the standard's reader, not by the product.

    A minute exists once the clock or a sample was seen in it, and is closed 2 s after its end; what comes later is
    nothing. An hour is closed when its end has passed and nothing before that is open, a day likewise.
    """

    stream: Stream
    cells: dict[int, dict[str, dict[int, Sample]]] = field(default_factory=dict)
    """Open minutes."""
    closed: dict[int, dict[str, dict[int, Sample]]] = field(default_factory=dict)
    lived: set[int] = field(default_factory=set)
    """Minutes that the logger saw from their beginning."""
    hours: dict[int, tuple[int, ...]] = field(default_factory=dict)
    days: dict[int, tuple[int, ...]] = field(default_factory=dict)
    """Closed periods and the closed ones below that were in."""
    held: dict[int, Sample] = field(default_factory=dict)
    standing: dict[int, Sample] = field(default_factory=dict)
    """By minute: the chromatograph's last value from before it."""
    dropped: int = 0
    _inputs: dict[int, dict[str, Sample]] = field(default_factory=dict)
    _begins: int | None = None
    _open_hours: dict[int, list[int]] = field(default_factory=dict)
    _open_days: dict[int, list[int]] = field(default_factory=dict)

    @classmethod
    def of(cls, stream: Stream) -> Life:
        life = cls(stream)
        for at, what in stream.events:
            if isinstance(what, Sample):
                life.take(what)
            elif what == TICK:
                life.tick(at)
            else:
                life.restart(at)
        return life

    def take(self, sample: Sample) -> None:
        if sample.factor == "a24088":
            self.held.setdefault(sample.time, sample)
        self._put(sample)
        if not self.stream.outlet.derived or sample.factor not in ("w01018", "w01001"):
            return
        there = self._inputs.setdefault(sample.time, {})
        is_new = sample.factor not in there and len(there) == 1
        there.setdefault(sample.factor, sample)
        if is_new:
            self._put(half(there["w01018"], there["w01001"], self.stream.outlet.precedence))

    def _put(self, sample: Sample) -> None:
        start = day_aligned(sample.time, MINUTE_MS)
        if start in self.closed:
            self.dropped += 1
            return
        self.cells.setdefault(start, {}).setdefault(sample.factor, {}).setdefault(sample.time, sample)

    def tick(self, at: int) -> None:
        self._begins = at if self._begins is None else min(self._begins, at)
        if (start := day_aligned(at, MINUTE_MS)) not in self.closed:
            self.cells.setdefault(start, {})
        reached = at - GRACE
        for start in sorted(self.cells):
            if start + MINUTE_MS + GRACE <= at or (start + MINUTE_MS <= at and self._is_full(start)):
                self._close_minute(start)
                reached = max(reached, start + MINUTE_MS)
        reached = min([reached, *self.cells])
        for hour in close(self.hours, self._open_hours, HOUR_MS, reached):
            self._open_days.setdefault(day_aligned(hour, DAY_MS), []).append(hour)
        close(self.days, self._open_days, DAY_MS, reached)

    def _close_minute(self, start: int) -> None:
        found = self.cells.pop(start)
        if self._begins is not None and self._begins <= start:
            self.lived.add(start)
        before = [t for t in self.held if start - HOLDS <= t < start]
        if before:
            self.standing[start] = self.held[max(before)]
        if start in self.lived or found or start in self.standing:  # else nothing can be said: it is not closed
            self.closed[start] = found
            self._open_hours.setdefault(day_aligned(start, HOUR_MS), []).append(start)

    def _is_full(self, start: int) -> bool:
        """Whether all that can come is in: then the minute need not wait."""
        cells, holds = self.cells[start], "a24088"
        pace = self.stream.every.items()
        return all(len(cells.get(name, ())) >= MINUTE_MS // every for name, every in pace if name != holds)

    def restart(self, at: int) -> None:
        """What is on disk goes on: the minutes that have records, and the samples after the newest of them."""
        newest = max((start + MINUTE_MS for start in self.closed if start <= at), default=-1 << 62)
        self.cells = {start: found for start, found in self.cells.items() if found and start >= newest}
        self._inputs = {}
        self._begins = newest if 0 <= at - newest < BRIEFLY else at


def close(done: dict[int, tuple[int, ...]], parts: dict[int, list[int]], length: int, reached: int) -> list[int]:
    """Close the periods that have ended; which."""
    ended = sorted(start for start in parts if start not in done and start + length <= reached)
    done.update({start: tuple(sorted(parts[start])) for start in ended})
    return ended


def half(one: Sample, other: Sample, precedence: tuple[str, ...]) -> Sample:
    """w01018 · 0.5 + w01001, with the stronger mark."""
    mark = next((mark for mark in precedence if mark in (one.mark, other.mark)), "N")
    if one.value is None or other.value is None:
        return Sample(one.time, "o", "w01017", None, mark)
    return Sample(one.time, "o", "w01017", one.value * 0.5 + other.value, mark)
