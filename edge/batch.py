"""Batch analyzers: which of the numbers they show is a new result, of what, sampled when (HJ 355 §6, HJ 212-2017 §7).

    poll: value, sample time, state, counter, kind ─▶ not the last result? ─▶ the same in the next poll? ─▶ Result
                                                      last result of a sample, not too old ─▶ what samples hold

Value and times are read one after the other while the analyzer may be changing them: what counts is seen twice, alike.
A check or a calibration is a result, and never data; one of which nobody can say what it was is neither. A result that
the analyzer shows at the first look ever has an unknown age, unless it says its time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from config.batch import sources_of
from config.site import Point
from drivers.driver import PointSpec, Reading
from edge.values import HOUR_MS, SAMPLE, Result, Sample
from protocol.times import iso_text, parse_time

Beside = Mapping[str, Sequence[float]]
"""Source → its numbers."""
UNKNOWN = "unknown"
TOO_OLD = "D"
"""The link is fine and the analyzer brings nothing: its fault (Table 8)."""
LOOKS = 2
"""Polls that a result which is there needs to be seen."""
CLOCK_TOLERANCE_MS = 60_000
_KIND_OF_ACTION = {"C": "calibration"}
"""What comes out of an action with this mark; of any other it is a check."""
_SHORT_DIGITS, _MONTH_TO_SECOND = 12, 5
_CENTURY = "20"


def source_specs(point: Point, key: str) -> list[PointSpec]:
    """What is read with a batch point, known by the point's key, name and place."""
    return [PointSpec(f"{key}#{name}.{place}", source.options) for name, place, source in sources_of(point)]


def age_limit_ms(cycle_ms: int) -> int:
    """A result that was sampled longer ago is no value any more."""
    return 2 * cycle_ms + HOUR_MS


@dataclass(frozen=True, slots=True)
class Shown:
    """What an analyzer shows in one poll. Times are None where it has none; `kind`: by its own code."""

    identity: str
    value: float | None
    mark: str
    sampled: int | None
    completed: int | None
    kind: str | None


@dataclass(frozen=True, slots=True)
class _Candidate:
    """What may be a result. `unseen_ms`: nobody had looked for so long before; None: never."""

    seen: int
    unseen_ms: int | None
    shown: Shown


class BatchPoint:
    """One point of a batch analyzer. `events` collects code and parameters of what is wrong with it."""

    def __init__(self, point: Point, instrument: str, key: str) -> None:
        self.point = point
        self.last: Result | None = None
        """The last result of a sample."""
        self.events: list[tuple[str, dict[str, Any]]] = []
        self._instrument = instrument
        self._key = key
        self._known: str | None = None
        self._looked: int | None = None
        self._looks = 0
        self._started = False
        self._ready: bool | None = None
        self._armed = False
        self._working: str | None = None
        self._candidate: _Candidate | None = None

    def resume(self, newest: Result | None, sample: Result | None) -> None:
        """Continue from the results that are stored: the newest of any kind, and the last sample."""
        self.last = sample
        if newest is not None:
            self._known, self._looked = newest.identity, newest.seen

    def take(self, readings: Mapping[str, Reading], sample: Sample, busy: str | None = None) -> Result | None:
        """The result that this poll confirms. `sample`: what the register holds; `busy`: the mark of an action that
        runs at the instrument."""
        beside = self._beside(readings)
        if beside is None:
            return None
        self._watch_state(beside)
        shown, before = self._shown(beside, sample), self._candidate
        unseen_ms = None if self._looked is None else sample.time - self._looked
        if before is not None and shown == before.shown:
            self._candidate = None
            result = self._made(before, busy)
        else:
            result = None
            is_new = shown is not None and self._is_new(shown, unseen_ms)
            self._candidate = _Candidate(sample.time, unseen_ms, shown) if shown is not None and is_new else None
            if self._candidate is not None:
                self._compare_clocks(self._candidate, beside)
        self._looked, self._started = sample.time, True
        self._looks += 1
        return result

    @property
    def is_working(self) -> bool:
        """Whether its state says that an analysis is under way."""
        return self._ready is False

    def held(self, slot: int) -> tuple[float | None, str] | None:
        """Value and mark that the samples have now: D without a value where the result is too old, or where the
        analyzer answers and has had none yet; None: it has not been looked at for long enough to tell.
        """
        if self.last is None:
            return (None, TOO_OLD) if self._looks > LOOKS else None
        if slot - self.last.sampled > age_limit_ms(self.point.cycle):
            return None, TOO_OLD
        return self.last.value, self.last.mark

    # one poll

    def _beside(self, readings: Mapping[str, Reading]) -> dict[str, list[float]] | None:
        """The numbers beside the result, by name; None where one is missing."""
        found: dict[str, list[float]] = {}
        for name, place, _source in sources_of(self.point):
            reading = readings.get(f"{self._key}#{name}.{place}")
            if reading is None or reading.value is None:
                return None
            found.setdefault(name, []).append(reading.value)
        return found

    def _watch_state(self, beside: Beside) -> None:
        """Whether a result has become ready since the last one, and what the analyzer was working at."""
        if "state" not in beside:
            return
        state = beside["state"][0]
        ready = state in self.point.ready_states
        self._armed = self._armed or (ready and self._ready is False)
        self._ready = ready
        if self.point.result_kinds is not None and self.point.result_code is None:
            self._working = self.point.result_kinds.get(f"{state:.0f}", self._working)

    def _shown(self, beside: Beside, sample: Sample) -> Shown | None:
        """None where the analyzer shows no result: no time, no value to know it by, not ready."""
        sampled, completed = _time(beside.get("sampled")), _time(beside.get("completed"))
        match self.point.new_result:
            case "time-register":
                time = sampled if self.point.sampled else completed
                identity = "" if time is None else iso_text(time)
            case "counter":
                identity = f"{beside['counter'][0]:.0f}"
            case _:
                identity = "" if sample.value is None else repr(sample.value)
        if not identity or (self.point.new_result == "state" and not (self._ready or self._candidate)):
            return None
        kind = None
        if "result_code" in beside and self.point.result_kinds is not None:
            kind = self.point.result_kinds.get(f"{beside['result_code'][0]:.0f}", UNKNOWN)
        return Shown(identity, sample.value, sample.mark, sampled, completed, kind)

    def _is_new(self, shown: Shown, unseen_ms: int | None) -> bool:
        if self.point.new_result == "state" and self._armed:
            return True
        if shown.identity == self._known:
            return False
        too_long = unseen_ms is None or unseen_ms > age_limit_ms(self.point.cycle)
        if too_long and shown.sampled is None and shown.completed is None:
            self._known = shown.identity  # nobody knows how old it is
            return False
        # while the state is watched, it says what is new; before that another value does
        is_watched = self._started and self._candidate is None
        return not (self.point.new_result == "state" and is_watched)

    # the result

    def _made(self, found: _Candidate, busy: str | None) -> Result:
        shown = found.shown
        kind, self._known, self._armed, self._working = self._kind_of(shown, busy), shown.identity, False, None
        if kind == UNKNOWN:
            seen = {"at": iso_text(found.seen)}
            self._tell("measure.result-unknown", seen)
        sampled, completed = self._believed(shown.sampled, found), self._believed(shown.completed, found)
        completed = found.seen if completed is None else completed
        sampled = completed - self.point.analysis if sampled is None else sampled
        place = self.point.outlet, self.point.factor
        result = Result(*place, sampled, completed, found.seen, shown.value, shown.mark, kind, shown.identity)
        if kind == SAMPLE:
            self.last = result
        return result

    def _kind_of(self, shown: Shown, busy: str | None) -> str:
        if shown.kind is not None:
            return shown.kind
        if self.point.result_kinds is not None:
            return self._working or UNKNOWN
        return SAMPLE if busy is None else _KIND_OF_ACTION.get(busy, "check")

    def _believed(self, time: int | None, found: _Candidate) -> int | None:
        """A time of the analyzer, unless a result that was not there at the last look cannot have it."""
        if time is None:
            return None
        age = found.seen - time
        longest = None if found.unseen_ms is None else found.unseen_ms + age_limit_ms(self.point.cycle)
        if age >= -CLOCK_TOLERANCE_MS and (longest is None or age <= longest):
            return time
        told = {"at": iso_text(time)}
        self._tell("measure.result-time", told)
        return None

    def _compare_clocks(self, found: _Candidate, beside: Beside) -> None:
        """The analyzer's time against ours; where it shows none, that of a result that came between two polls."""
        clock, completed = _time(beside.get("clock")), found.shown.completed
        if clock is not None:
            off = clock - found.seen
        elif completed is not None and found.unseen_ms is not None and self._started:
            off = max(completed - found.seen, 0) or min(completed - found.seen + found.unseen_ms, 0)
        else:
            return
        if abs(off) > CLOCK_TOLERANCE_MS:
            difference = {"seconds": round(off / 1000)}
            self._tell("measure.analyzer-clock", difference)

    def _tell(self, code: str, what: dict[str, Any]) -> None:
        where = {"instrument": self._instrument, "outlet": self.point.outlet, "factor": self.point.factor}
        self.events.append((code, where | what))


def _time(numbers: Sequence[float] | None) -> int | None:
    """UTC ms of digits, or of year, month, day, hour, minute and perhaps second; None for what is no time."""
    if not numbers:
        return None
    texts = [f"{number:.0f}" for number in numbers]
    if len(texts) == 1:
        digits = texts[0].zfill(_SHORT_DIGITS)
    else:
        year, *rest = texts
        rest += ["0"] * (_MONTH_TO_SECOND - len(rest))
        digits = year.zfill(2) + "".join(part.zfill(2) for part in rest)
    try:
        return parse_time(_CENTURY + digits if len(digits) == _SHORT_DIGITS else digits)
    except ValueError:
        return None
