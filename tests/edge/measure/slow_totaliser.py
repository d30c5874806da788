"""Waste water whose volumes a totaliser gives, slowly and otherwise: all readings in one go, 5 s cells, fractions."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from slow_reference import (
    CELL,
    DAY,
    EMPTY,
    HOUR,
    MIN,
    RATIO,
    Key,
    Row,
    average,
    day_aligned,
    entering,
    exact,
    is_weighted,
    mark_of,
)  # fmt: skip

TOTAL = "w00000-total"


def reference(
    outlet: Any,
    every: dict[str, int],
    samples: list[Any],
    lived: Callable[[int], bool],
    alive: set[int],
    until: int,
    total: Any = None,
) -> dict[Key, Row]:
    """Rows of all minutes that end by `until`, and of the hours and days that do; `total`: the totaliser's rule."""
    table: dict[int, dict[str, dict[int, tuple[Fraction | None, str]]]] = {at: {} for at in alive}
    for s in samples:
        cells = table.setdefault(day_aligned(s.time, MIN), {}).setdefault(s.factor, {})
        cells.setdefault(s.time, (exact(s.value), s.mark))
    rows: dict[Key, Row] = {}
    steps, shown = counter(outlet, table, total) if total else ({}, {})
    for start in sorted(table):
        if start + MIN <= until:
            series = {f: table[start].get(f, {}) for f in every if f in table[start] or lived(start)}
            fresh = {f: minute(outlet, f, series, every, steps if total else None) for f in series if f != TOTAL}
            count_flow(outlet, fresh, series, steps, every)
            show_total(fresh, shown, start + MIN)
            rows |= {(MIN, start, f): row for f, row in fresh.items()}
    for length, below in ((HOUR, MIN), (DAY, HOUR)):
        starts = sorted({day_aligned(start, length) for size, start, _ in rows if size == below})
        for start in starts:
            if start + length <= until:
                ats = range(start, start + length, below)
                names = {*every, "w00000"} - {TOTAL}
                parts = {f: [(at, rows[below, at, f]) for at in ats if (below, at, f) in rows] for f in names}
                fresh = {f: longer(outlet, f, parts) for f in names if parts[f]}
                rows |= {(length, start, f): row for f, row in fresh.items()}
    return rows


def counter(outlet: Any, table: dict[int, Any], rule: Any) -> tuple[dict[int, Any], dict[int, Fraction]]:
    """All readings of a totaliser in one go: time → (volume, ms since the one before, silent); and what it showed."""
    every = {t: v for cells in table.values() for t, (v, m) in cells.get(TOTAL, {}).items() if m in outlet.averaging}
    times = sorted(t for t, v in every.items() if v is not None)
    steps: dict[int, Any] = {}
    shown: dict[int, Fraction] = {}
    base = None
    for at, t in enumerate(times):
        previous = times[at - 1] if at else None
        if base is None:
            volume = None
        elif fits(rule, base, t, every) is not None:
            volume = fits(rule, base, t, every)
        elif previous is not None and previous != base and fits(rule, previous, t, every) is not None:
            volume = fits(rule, previous, t, every)
            low = every[previous]
            if 0 <= low < every[base] - low and low <= most(rule, base, previous, every):
                volume += low
        else:
            continue
        if volume is not None:
            steps[t] = (volume, t - base, t - base > rule.silence_ms)
        base, shown[t] = t, every[t]
    return steps, shown


def most(rule: Any, early: int, late: int, every: dict[int, Any]) -> Fraction:
    seconds = Fraction(late - early, 1000) + 60
    return Fraction(rule.max_flow) * seconds / 1000 + Fraction(rule.step) + abs(every[early]) / 2**22


def fits(rule: Any, early: int, late: int, every: dict[int, Any]) -> Fraction | None:
    limit = most(rule, early, late, every)
    difference = every[late] - every[early]
    if difference < 0 and rule.rollover:
        difference += Fraction(rule.rollover)
        limit = min(limit, Fraction(rule.rollover) / 2)
    return difference if 0 <= difference <= limit else None


def count_flow(
    outlet: Any, fresh: dict[str, Row], series: dict[str, Any], steps: dict[int, Any], every: dict[str, int]
) -> None:
    """The flow's row of a minute whose volumes the totaliser gives."""
    if outlet.water.flow_from != "totaliser" or TOTAL not in series:
        return
    mine = {t: steps[t] for t in series[TOTAL] if t in steps}
    flows = series.get("w00000", {})
    mark = mark_of(outlet, [m for _, m in (*flows.values(), *series[TOTAL].values())], Fraction(0))
    used, count = entering(outlet, flows, mark)
    row: Row = EMPTY | {"mark": mark, "count": count}
    if "w00000" in fresh and used:
        row |= {"min": min(used.values()), "max": max(used.values()), "avg": sum(used.values()) / len(used)}
    loud = [(v, ms) for v, ms, silent in mine.values() if not silent]
    if "w00000" not in every:
        row["mark"] = "B" if not loud and mark == "N" else mark
        if loud:
            mean = sum(v for v, _ in loud) * 10**6 / sum(ms for _, ms in loud)
            row |= {"min": mean, "avg": mean, "max": mean, "count": len(loud)}
    if mine:
        row["cou"] = sum(v for v, _, _ in mine.values())
    quiet = [v for v, _, silent in mine.values() if silent]
    row["caught"] = sum(quiet) if quiet else None
    fresh["w00000"] = row


def show_total(fresh: dict[str, Row], shown: dict[int, Fraction], end: int) -> None:
    if "w00000" in fresh and shown:
        fresh["w00000"]["total"] = max(((t, v) for t, v in shown.items() if t < end), default=(0, None))[1]


def minute(
    outlet: Any, factor: str, series: dict[str, Any], every: dict[str, int], steps: dict[int, Any] | None = None
) -> Row:
    cells = series[factor]
    mark = mark_of(outlet, [m for _, m in cells.values()], Fraction(0))
    used, count = entering(outlet, cells, mark)
    row: Row = EMPTY | {"mark": mark, "count": count}
    if not used:
        return row
    row |= {"min": min(used.values()), "max": max(used.values()), "avg": sum(used.values()) / len(used)}
    flow_cells = series.get("w00000", {})
    flow_mark = mark_of(outlet, [m for _, m in flow_cells.values()], Fraction(0))
    flow, flow_count = entering(outlet, flow_cells, flow_mark)
    litres = {t + k: q * CELL / 1000 for t, q in flow.items() for k in range(0, every.get("w00000", CELL), CELL)}
    if steps is not None and outlet.water.flow_from == "totaliser":
        own = {t: steps[t] for t in series.get(TOTAL, {}) if t in steps and not steps[t][2]}
        cells = every[TOTAL] // CELL
        litres = {t + k * CELL: v * 1000 / cells for t, (v, _, _) in own.items() for k in range(cells)}
        flow, flow_count = own, len(own)
    if factor == "w00000":
        row["cou"] = sum(litres.values()) / 1000
    elif factor in RATIO and flow and (flow_count or not count):
        span = range(0, every[factor], CELL)
        known = {t: [litres[t + k] for k in span if t + k in litres] for t in used}
        if any(known.values()):
            pairs = [(used[t], sum(found, Fraction(0)) / 1000) for t, found in known.items()]
            row["cou"] = sum(c * d for c, d in pairs) * RATIO[factor]
            if sum(d for _, d in pairs) and is_weighted(outlet, factor):
                row["avg"] = average(pairs)
    return row


def longer(outlet: Any, factor: str, parts: dict[str, list[tuple[int, Row]]]) -> Row:
    mine = parts[factor]
    mark = mark_of(outlet, [row["mark"] for _, row in mine], Fraction(0))
    with_value = [(at, row) for at, row in mine if row["avg"] is not None]
    used = [(at, row) for at, row in with_value if row["mark"] in outlet.averaging]
    count = len(used)
    used = used or [(at, row) for at, row in with_value if row["mark"] == mark]
    new: Row = EMPTY | {"mark": mark, "count": count}
    if used:
        new |= {"min": min(r["min"] for _, r in used), "max": max(r["max"] for _, r in used)}
        new["avg"] = sum(r["avg"] for _, r in used) / len(used)
    counts = outlet.water.flow_from == "totaliser"
    flows = [(at, r) for at, r in parts.get("w00000", []) if r["cou"] is not None and (r["count"] or counts)]
    volume = {at: r["cou"] - (r.get("caught") or 0) for at, r in flows}
    pairs = [(r["avg"], volume.get(at, Fraction(0))) for at, r in used]
    if is_weighted(outlet, factor) and sum(d for _, d in pairs):
        new["avg"] = average(pairs)
    sums = [r["cou"] for _, r in mine if r["cou"] is not None and r["count"]]
    sums = sums or [r["cou"] for _, r in used if r["cou"] is not None]
    if factor == "w00000" and counts:
        sums = [r["cou"] for _, r in mine if r["cou"] is not None]
    new["cou"] = sum(sums) if sums else None
    if factor == "w00000":
        caught = [r["caught"] for _, r in mine if r.get("caught") is not None]
        shown = [r["total"] for _, r in mine if r.get("total") is not None]
        new |= {"caught": sum(caught) if caught else None, "total": shown[-1] if shown else None}
    return new
