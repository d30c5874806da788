"""What a mark that was set, changed or taken back later does to sealed records: same numbers, another mark. Sans I/O.

    samples of a minute ─ marks before ─▶ mark ╮
                        └ marks now ────▶ mark ╯ another one: revision of the minute ─▶ its hour ─▶ its day, alike

Only where the marks by hand make the difference is anything revised, so that a changed rule of the site file leaves
sealed data alone. The numbers stay as they were sealed, also where the new mark would keep some values out of a
mean: they were sent. `count` says how many values are valid under the new marks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from edge.measure.engine import minute_records
from edge.measure.manual import ManualMarks
from edge.measure.marks import NORMAL
from edge.measure.statistics import Span, Statistics
from edge.values import MINUTE_MS, SLOT_MS, Record, Sample

Below = Mapping[str, Sequence[Record]]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Mark and count of a record by the marks before a change and after it."""

    before: tuple[str, int]
    after: tuple[str, int]


Verdicts = Mapping[tuple[int, str], Verdict]
"""(start, factor) → verdict, where the two differ."""


def minute_verdicts(
    rules: Statistics, samples: Iterable[Sample], sealed: Sequence[Record], marks: tuple[ManualMarks, ManualMarks]
) -> Verdicts:
    """What the marks by hand `marks` (before, after) make of a sealed minute, of which `sealed` is revision 0.

    Of a factor whose samples are no longer kept, each slot counts with the mark that the minute was sealed with.
    """
    series: dict[str, list[Sample]] = {record.factor: [] for record in sealed if record.factor in rules.factors}
    for sample in samples:
        if sample.factor in rules.factors:  # not all of them have records of their own: LA, a21026-Zs
            series.setdefault(sample.factor, []).append(sample)
    for record in sealed:
        if record.avg is not None and record.factor in series:
            series[record.factor] = series[record.factor] or _as_sealed(record)
    before, after = (minute_records(rules, sealed[0].start, series, each) for each in marks)
    return _differing(before, after)


def period_verdicts(rules: Statistics, span: Span, below: Below, changed: Verdicts) -> Verdicts:
    """What changed marks of the level below make of the hour or day above: `below` are its newest records."""
    before, after = (
        rules.period(span, {factor: [_under(one, changed, at) for one in parts] for factor, parts in below.items()})
        for at in ("before", "after")
    )
    return _differing(before, after)


def revisions(sealed: Iterable[Record], verdicts: Verdicts) -> list[Record]:
    """The newest records whose mark is no longer right, with the right one; the store numbers them."""
    changed = []
    for record in sealed:
        verdict = verdicts.get((record.start, record.factor))
        if verdict is None or record.mark == verdict.after[0]:
            continue
        mark, count = verdict.after
        if mark != NORMAL or record.avg is not None:
            changed.append(replace(record, mark=mark, count=count))
    return changed


def by_factor(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Records of one level, as the rules take them."""
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(record.factor, []).append(record)
    return found


def _as_sealed(record: Record) -> list[Sample]:
    slots = range(record.start, record.start + MINUTE_MS, SLOT_MS)
    return [Sample(time, record.outlet, record.factor, record.avg, record.mark) for time in slots]


def _under(record: Record, changed: Verdicts, which: str) -> Record:
    verdict = changed.get((record.start, record.factor))
    if verdict is None:
        return record
    mark, count = verdict.before if which == "before" else verdict.after
    return replace(record, mark=mark, count=count)


def _differing(before: Iterable[Record], after: Iterable[Record]) -> Verdicts:
    """Where the two computations give another mark."""
    old = {(one.start, one.factor): (one.mark, one.count) for one in before}
    new = {(one.start, one.factor): (one.mark, one.count) for one in after}
    return {key: Verdict(old[key], now) for key, now in new.items() if key in old and old[key][0] != now[0]}
