"""What the link log comes to: the figures that an acceptance asks for (在线率, 掉线次数, 恢复时间, 送达率). Sans I/O.

    observed    the range, as far as the daemon ran, and from when the link was first known
    on-line     of that, what lies within a connection
    drop        a connection that ended otherwise than by our own stop or death
    a day       drops over the days observed, at least one; the most is counted by the day in Beijing
    reconnect   from a drop to the next connection of the same run; one that has not come yet counts for the longest

Acceptance (通信稳定性): on line at least 95 %, again within 5 min, at most 3 drops a day, 99 % delivered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from edge.store.links import Connected, Run, Sums
from edge.values import DAY_MS, period_start

OURS = frozenset({"stopped", "killed"})
"""Ends of a connection that are no drops."""
Span = tuple[int, int]
"""[begin, end), UTC ms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Of one link in a range; times in seconds. None where there is nothing to divide by."""

    link: str
    observed_s: float
    online_s: float
    online_rate: float | None
    connects: int
    drops: int
    drops_per_day: float | None
    most_drops_in_a_day: int
    drops_by_cause: Mapping[str, int]
    reconnect_mean_s: float | None
    reconnect_max_s: float | None
    failures: int
    bytes_in: int
    bytes_out: int
    sent: int
    resent: int
    answered: int
    rtt_mean_ms: float | None
    rtt_max_ms: int | None
    due: int
    delivered: int
    unconfirmed: int
    waiting: int
    delivery_rate: float | None


def figures(
    link: str, span: Span, runs: Sequence[Run], connections: Iterable[Connected], sums: Sums, counts: Mapping[str, int]
) -> Figures:
    """`span`: from when the link is known, to now at most; `counts`: due, delivered, unconfirmed, waiting."""
    lived = _joined(cut for run in runs if (cut := _cut((run.began, run.ended or span[1]), span)))
    own = [each for each in connections if each.link == link]
    online = _joined(cut for each in own for life in lived if (cut := _cut((each.began, each.ended or life[1]), life)))
    observed_s, online_s = _length_s(lived), _length_s(online)
    drops = [each for each in own if each.ended and span[0] <= each.ended < span[1] and each.cause not in OURS]
    days_seen = observed_s * 1000 / DAY_MS
    days = Counter(period_start(each.ended or 0, DAY_MS) for each in drops)
    gaps, longest = _reconnects(drops, own, lived)
    due = counts.get("due", 0)
    arrived = counts.get("delivered", 0) + counts.get("unconfirmed", 0)
    return Figures(
        link=link,
        observed_s=observed_s,
        online_s=online_s,
        online_rate=_share(online_s, observed_s),
        connects=sum(span[0] <= each.began < span[1] for each in own),
        drops=len(drops),
        drops_per_day=_share(len(drops), days_seen if days_seen >= 1 else 0),
        most_drops_in_a_day=max(days.values(), default=0),
        drops_by_cause=dict(Counter(each.cause or "failed" for each in drops).most_common()),
        reconnect_mean_s=_share(sum(gaps), len(gaps)),
        reconnect_max_s=max([*gaps, *longest], default=None),
        failures=sums.failures,
        bytes_in=sums.bytes_in,
        bytes_out=sums.bytes_out,
        sent=sums.sent,
        resent=sums.resent,
        answered=sums.answered,
        rtt_mean_ms=_share(sums.trips_ms, sums.trips),
        rtt_max_ms=sums.longest_ms if sums.trips else None,
        due=due,
        delivered=counts.get("delivered", 0),
        unconfirmed=counts.get("unconfirmed", 0),
        waiting=counts.get("waiting", 0),
        delivery_rate=_share(arrived, due),
    )


def _reconnects(
    drops: Iterable[Connected], own: Sequence[Connected], lived: Iterable[Span]
) -> tuple[list[float], list[float]]:
    """How long it took after each drop, s; and how long it was to the end of the run where it has not come."""
    done: list[float] = []
    still: list[float] = []
    lives = list(lived)
    for drop in drops:
        ended = drop.ended or 0
        until = next((end for begin, end in lives if begin <= ended < end), ended)
        back = min((each.began for each in own if ended <= each.began <= until), default=None)
        (still if back is None else done).append(((until if back is None else back) - ended) / 1000)
    return done, still


def _cut(one: Span, other: Span) -> Span | None:
    begin, end = max(one[0], other[0]), min(one[1], other[1])
    return (begin, end) if begin < end else None


def _joined(spans: Iterable[Span]) -> list[Span]:
    """In order, and no moment twice: after the clock was set back connections and runs overlap."""
    found: list[Span] = []
    for begin, end in sorted(spans):
        if found and begin <= found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((begin, end))
    return found


def _length_s(spans: Iterable[Span]) -> float:
    return sum(end - begin for begin, end in spans) / 1000


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None
