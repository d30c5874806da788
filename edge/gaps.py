"""Which periods of an outlet are missing or not normal, and why: from records, journal and outbox. Sans I/O.

    no record of any factor    the daemon did not live through it: power, stop, kill, or a step of the clock
    a record that is not N     what its mark says: instrument silent, fault, maintenance, calibration …; or that the
                               source stood still all the time
    a record not delivered     the link to a platform, or the platform's refusal

What lies side by side with the same cause is one gap.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from edge.clock import plausible
from edge.store.journal import Entry
from edge.values import Kind, period_start

Cause = Literal[
    "power", "stopped", "killed", "clock", "store", "unknown", "silent", "fault", "maintenance", "calibration",
    "out-of-operation", "over-range", "by-hand", "source-stopped", "partly-down", "not-measured", "link", "refused",
]  # fmt: skip
HISTORY = ("started", "stopped", "clock.set", "clock.stepped", "store.rebuilt")
"""The journal's actions that tell why there is no record."""
_BY_MARK: Mapping[str, Cause] = {
    "B": "silent", "D": "fault", "M": "maintenance", "C": "calibration", "F": "out-of-operation", "T": "over-range",
    "S": "by-hand",
}  # fmt: skip
_OF_A_STOP = frozenset("BDF")
"""Marks that a source which stands still explains: instruments are switched off, or measure nothing."""
_OF_FEW_SAMPLES = frozenset("BD")
"""Marks of a period of which too few samples came, among others."""


@dataclass(frozen=True, slots=True)
class Gap:
    """`periods` periods in a row, [start, end) in UTC ms; `factor` None: all; `mark` None: there is no record."""

    start: int
    end: int
    factor: str | None
    cause: Cause
    mark: str | None = None
    platform: str | None = None
    periods: int = 1


@dataclass(frozen=True, slots=True)
class Label:
    """What there is of one period: mark by factor."""

    start: int
    marks: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Undelivered:
    """A period that a platform has not answered for; `aside`: it has refused it."""

    platform: str
    start: int
    end: int
    aside: bool


def missing(
    kind: Kind,
    span: tuple[int, int],
    labels: Iterable[Label],
    history: Sequence[Entry],
    stops: Sequence[tuple[int, int | None]] = (),
) -> list[Gap]:
    """The gaps among the periods that begin in [span) and have ended; `history`: entries of HISTORY by time; `stops`:
    when the outlet's source stood still (停产), end None: it still does.

    Before the daemon's first start there is nothing to be missing.
    """
    there = {label.start: label.marks for label in labels}
    factors = dict.fromkeys(factor for marks in there.values() for factor in marks)
    begun = next((period_start(entry.at_ms, kind.ms) for entry in history if entry.action == "started"), None)
    first = period_start(span[0] + kind.ms - 1, kind.ms)
    found: list[Gap] = []
    for start in range(first, span[1], kind.ms):
        marks = there.get(start)
        if marks is None:
            if begun is not None and start >= begun:
                found.append(Gap(start, start + kind.ms, None, why_absent(start, kind.ms, history)))
            continue
        for factor in factors:
            gap = _not_normal(start, kind.ms, factor, marks.get(factor))
            if gap is not None:
                found.append(replace(gap, cause=_beyond_the_mark(gap, history, stops)))
    return list(joined(found))


def _beyond_the_mark(gap: Gap, history: Sequence[Entry], stops: Sequence[tuple[int, int | None]]) -> Cause:
    """What explains a mark better than the mark says: the source stood still, or too few samples after a start."""
    if gap.mark in _OF_A_STOP and any(begin <= gap.start and (end is None or gap.end <= end) for begin, end in stops):
        return "source-stopped"
    has_begun = any(entry.action == "started" and gap.start < entry.at_ms < gap.end for entry in history)
    return "partly-down" if gap.mark in _OF_FEW_SAMPLES and has_begun else gap.cause


def undelivered(waiting: Iterable[Undelivered]) -> list[Gap]:
    """What platforms lack, as gaps."""
    gaps = (Gap(one.start, one.end, None, "refused" if one.aside else "link", platform=one.platform) for one in waiting)
    return list(joined(gaps))


def joined(gaps: Iterable[Gap]) -> Iterator[Gap]:
    """Gaps by start, those that follow each other with the same cause made one."""
    open_: dict[tuple[object, ...], Gap] = {}
    done: list[Gap] = []
    for gap in sorted(gaps, key=lambda gap: gap.start):
        key = gap.factor, gap.cause, gap.mark, gap.platform
        before = open_.get(key)
        if before is not None and before.end == gap.start:
            open_[key] = replace(before, end=gap.end, periods=before.periods + gap.periods)
            continue
        if before is not None:
            done.append(before)
        open_[key] = gap
    yield from sorted([*done, *open_.values()], key=lambda gap: (gap.start, gap.factor or "", gap.platform or ""))


def why_absent(start: int, length: int, history: Sequence[Entry]) -> Cause:
    """Why no record of a period was made."""
    if _stepped_over(start, length, history):
        return "clock"
    begun = next((entry for entry in history if entry.action == "started" and entry.at_ms > start), None)
    if begun is None:
        return "stopped" if _ended_before(start + length, history) else "unknown"
    if begun.at_ms - int(begun.detail.get("machine_up_s", 0)) * 1000 > start:
        return "power"
    if _ended_before(min(begun.at_ms, start + length), history):
        return "stopped"
    rebuilt = any(entry.action == "store.rebuilt" and entry.at_ms >= start for entry in history)
    return "store" if rebuilt else "killed"


def _ended_before(until: int, history: Sequence[Entry]) -> bool:
    """Whether the daemon was asked to end, and had not begun again by then."""
    before = (entry for entry in reversed(history) if entry.at_ms < until and entry.action in ("started", "stopped"))
    last = next(before, None)
    return last is not None and last.action == "stopped"


def _stepped_over(start: int, length: int, history: Sequence[Entry]) -> bool:
    """Whether the clock was set forward over a period, or over its beginning or its end."""
    for entry in history:
        if entry.action not in ("clock.set", "clock.stepped") or entry.detail.get("ExeRtn", 1) != 1:
            continue
        if not plausible(int(entry.detail["from"])):  # from the boot on to the first setting: no data were made
            continue
        if int(entry.detail["from"]) < start + length and start < int(entry.detail["to"]):
            return True
    return False


def _not_normal(start: int, length: int, factor: str, mark: str | None) -> Gap | None:
    if mark == "N":
        return None
    cause: Cause = "not-measured" if mark is None else _BY_MARK.get(mark, "unknown")
    return Gap(start, start + length, factor, cause, mark)
