"""The measurement once more, slowly and otherwise: all samples at once, 5 s cells, fractions, one loop per rule.

It knows only Annex D and the notes under C.16–C.18, and shares no code with the product.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

MIN, HOUR, DAY, BEIJING, CELL = 60_000, 3_600_000, 86_400_000, 8 * 3_600_000, 5_000
TOTAL = "w00000-total"
RATIO = {"w01018": Fraction(1, 1000), "a21026": Fraction(1, 10**6)}
Row = dict[str, Any]
Key = tuple[int, int, str]  # length of the period, start, factor


def day_aligned(t: int, length: int) -> int:
    return (t + BEIJING) // length * length - BEIJING


def commonest(marks: list[str], order: tuple[str, ...]) -> str:
    best = "B"
    for mark in reversed(order):
        if marks.count(mark) >= max(1, marks.count(best)):
            best = mark
    return best


def average(pairs: list[tuple[Fraction, Fraction]]) -> Fraction:
    return sum(v * w for v, w in pairs) / sum(w for _, w in pairs)


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
        cells.setdefault(s.time, (None if s.value is None else Fraction(s.value), s.mark))
    rows: dict[Key, Row] = {}
    steps, shown = counter(outlet, table, total) if total else ({}, {})
    for start in sorted(table):
        if start + MIN <= until:
            series = {f: table[start].get(f, {}) for f in every if f in table[start] or lived(start)}
            fresh = {f: minute(outlet, f, series, every, steps if total else None) for f in series if f != TOTAL}
            count_flow(outlet, fresh, series, steps, every)
            show_total(fresh, shown, start + MIN)
            if outlet.statistics == "gas":
                for f, row in fresh.items():
                    finish_gas(outlet, f, row, fresh, 60)
            rows |= {(MIN, start, f): row for f, row in fresh.items()}
    for length, below in ((HOUR, MIN), (DAY, HOUR)):
        starts = sorted({day_aligned(start, length) for size, start, _ in rows if size == below})
        for start in starts:
            if start + length <= until:
                ats = range(start, start + length, below)
                names = {*every, "w00000"} - {TOTAL}
                parts = {f: [(at, rows[below, at, f]) for at in ats if (below, at, f) in rows] for f in names}
                fresh = {f: longer(outlet, f, parts, length) for f in names if parts[f]}
                if outlet.statistics == "gas" and length == HOUR:
                    for f, row in fresh.items():
                        finish_gas(outlet, f, row, fresh, 3600)
                rows |= {(length, start, f): row for f, row in fresh.items()}
    return rows


def mark_of(outlet: Any, marks: list[str], needed: Fraction) -> str:
    bad = [m for m in marks if m != "N"]
    good = len(marks) - len(bad)
    if outlet.statistics == "water":
        return "N" if marks and not bad else commonest(bad, outlet.precedence)
    if good and good >= needed:
        return "N"
    return "D" if good else commonest(bad, outlet.precedence)


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
    row: Row = {"mark": mark, "count": count, "avg": None, "min": None, "max": None, "cou": None, "zs": None}
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
    share = Fraction(outlet.gas.normal_share)
    mark = mark_of(outlet, [m for _, m in cells.values()], share * max(60_000 // every[factor], len(cells)))
    used, count = entering(outlet, cells, mark)
    row: Row = {"mark": mark, "count": count, "avg": None, "min": None, "max": None, "cou": None, "zs": None}
    if not used:
        return row
    row |= {"min": min(used.values()), "max": max(used.values()), "avg": sum(used.values()) / len(used)}
    if outlet.statistics == "gas":
        return row
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
            if sum(d for _, d in pairs) and outlet.water.mean == "weighted":
                row["avg"] = average(pairs)
    return row


def entering(outlet: Any, cells: dict[int, tuple[Fraction | None, str]], mark: str) -> tuple[dict[int, Fraction], int]:
    valid = {t: v for t, (v, m) in cells.items() if v is not None and m in outlet.averaging}
    return (valid, len(valid)) if valid else ({t: v for t, (v, m) in cells.items() if v is not None and m == mark}, 0)


def finish_gas(outlet: Any, factor: str, row: Row, rows: dict[str, Row], seconds: int) -> None:
    """Volume, converted values (minutes only) and mass."""
    if factor == "a00000" and row["avg"] is not None:
        row["cou"] = row["avg"] * seconds
    if factor != "a21026" or row["avg"] is None:
        return
    if seconds == 60:
        oxygen = rows.get("a19001")
        if oxygen and oxygen["avg"] is not None and (oxygen["count"] or not row["count"]):
            level = oxygen["avg"]
            k = (
                Fraction(1)
                if level > Fraction(outlet.gas.o2_limit) or level >= 21
                else (21 - Fraction(outlet.gas.o2_reference)) / (21 - level)
            )
            row["zs"] = (row["min"] * k, row["avg"] * k, row["max"] * k)
    flow = rows.get("a00000")
    if flow and flow["avg"] is not None and (flow["count"] or not row["count"]):
        row["cou"] = row["avg"] * flow["avg"] * seconds * RATIO[factor]


def longer(outlet: Any, factor: str, parts: dict[str, list[tuple[int, Row]]], length: int) -> Row:
    mine = parts[factor]
    least, total = (outlet.gas.hour_minutes, 60) if length == HOUR else (outlet.gas.day_hours, 24)
    mark = mark_of(
        outlet, [row["mark"] for _, row in mine], max(Fraction(least), Fraction(outlet.gas.normal_share) * total)
    )
    with_value = [(at, row) for at, row in mine if row["avg"] is not None]
    used = [(at, row) for at, row in with_value if row["mark"] in outlet.averaging]
    count = len(used)
    used = used or [(at, row) for at, row in with_value if row["mark"] == mark]
    new: Row = {"mark": mark, "count": count, "avg": None, "min": None, "max": None, "cou": None, "zs": None}
    if used:
        new |= {"min": min(r["min"] for _, r in used), "max": max(r["max"] for _, r in used)}
        new["avg"] = sum(r["avg"] for _, r in used) / len(used)
        converted = [r["zs"] for _, r in used if r["zs"]]
        if converted:
            low, middle, high = zip(*converted, strict=True)
            new["zs"] = (min(low), sum(middle) / len(middle), max(high))
    if outlet.statistics == "water":
        counts = outlet.water.flow_from == "totaliser"
        flows = [(at, r) for at, r in parts.get("w00000", []) if r["cou"] is not None and (r["count"] or counts)]
        volume = {at: r["cou"] - (r.get("caught") or 0) for at, r in flows}
        pairs = [(r["avg"], volume.get(at, Fraction(0))) for at, r in used]
        if factor in RATIO and outlet.water.mean == "weighted" and sum(d for _, d in pairs):
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
    elif length == DAY:
        sums = [r["cou"] for _, r in used if r["cou"] is not None]
        new["cou"] = sum(sums) if sums else None
    return new
