"""The measurement once more, slowly and otherwise: all samples at once, 5 s cells, fractions, one loop per rule.

It knows only Annex D, the notes under C.16–C.18, Table 4 (running times) and the choices of a site file, and
shares no code with the product. Which samples and periods there are, `Life` of `random_streams` says.
"""

from fractions import Fraction
from typing import Any

MIN, HOUR, DAY, BEIJING, CELL = 60_000, 3_600_000, 86_400_000, 8 * 3_600_000, 5_000
RATIO = {
    "w01018": Fraction(1, 1000),
    "w01017": Fraction(1, 1000),
    "a21026": Fraction(1, 10**6),
    "a24088": Fraction(1, 10**6),
}
DELIVERED = "a21026-Zs"
Row = dict[str, Any]
EMPTY: Row = {"avg": None, "min": None, "max": None, "cou": None, "zs": None}
Cells = dict[int, tuple[Fraction | None, str]]
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


def reference(life: Any) -> dict[Key, Row]:
    """Rows of all minutes, hours and days that a life has closed."""
    outlet, every = life.stream.outlet, life.stream.every
    rows: dict[Key, Row] = {}
    for start, found in life.closed.items():
        table = {f: {t: (exact(s.value), s.mark) for t, s in cells.items()} for f, cells in found.items()}
        if start in life.standing and "a24088" not in table:
            last = life.standing[start]
            table["a24088"] = {start: (exact(last.value), last.mark)}
        series = {f: table.get(f, {}) for f in every if f in table or start in life.lived}
        series = {f: by_hand(life.stream, f, start, cells) for f, cells in series.items()}
        fresh = {f: minute(outlet, f, series, every) for f in series if f != DELIVERED}
        if outlet.statistics == "gas":
            for f, row in fresh.items():
                finish_gas(outlet, f, row, fresh, 60)
                delivered(outlet, f, row, series.get(DELIVERED, {}), DELIVERED in every)
        rows |= {(MIN, start, f): row for f, row in fresh.items()}
    for length, below, periods in ((HOUR, MIN, life.hours), (DAY, HOUR, life.days)):
        for start, ats in periods.items():
            parts = {f: [(at, rows[below, at, f]) for at in ats if (below, at, f) in rows] for f in every}
            fresh = {f: longer(outlet, f, parts, length) for f in every if parts[f]}
            if outlet.statistics == "gas" and length == HOUR:
                for f, row in fresh.items():
                    finish_gas(outlet, f, row, fresh, 3600, DELIVERED in every)
            rows |= {(length, start, f): row for f, row in fresh.items()}
    return rows


def exact(value: float | None) -> Fraction | None:
    return None if value is None else Fraction(value)


def by_hand(stream: Any, factor: str, start: int, cells: Cells) -> Cells:
    """A hand's mark in place of the instrument's; of two the stronger; a minute without a sample bears it too."""

    def laid(begin: int, end: int) -> list[str]:
        on = [one for one in stream.manual if one.factors is None or factor in one.factors]
        return [one.mark for one in on if one.begin < end and (one.end is None or begin < one.end)]

    def strongest(marks: list[str]) -> str:
        return next(mark for mark in stream.outlet.precedence if mark in marks)

    whole = laid(start, start + MIN)
    if not whole:
        return cells
    if not cells:
        return {start: (None, strongest(whole))}
    return {t: (v, strongest(laid(t, t + 1)) if laid(t, t + 1) else m) for t, (v, m) in cells.items()}


def mark_of(outlet: Any, marks: list[str], needed: Fraction) -> str:
    bad = [m for m in marks if m != "N"]
    good = len(marks) - len(bad)
    if outlet.statistics == "water":
        enough = good and good >= Fraction(outlet.water.normal_share) * len(marks)
        return "N" if enough else commonest(bad, outlet.precedence)
    if good and good >= needed:
        return "N"
    if good and (outlet.gas.below_share == "D" or not bad):
        return "D"
    return commonest(bad, outlet.precedence)


def minute(outlet: Any, factor: str, series: dict[str, Cells], every: dict[str, int]) -> Row:
    cells = series[factor]
    if factor == "SB1":
        return running(outlet, cells, every[factor])
    share = Fraction(outlet.gas.normal_share)
    due = 0 if factor == "a24088" else outlet.gas.minute_samples or 60_000 // every[factor]
    mark = mark_of(outlet, [m for _, m in cells.values()], share * max(due, len(cells)))
    used, count = entering(outlet, cells, mark)
    row: Row = EMPTY | {"mark": mark, "count": count}
    if not used:
        return row
    row |= {"min": min(used.values()), "max": max(used.values()), "avg": sum(used.values()) / len(used)}
    if outlet.statistics == "gas":
        return row
    flow_cells = series.get("w00000", {})
    flow_mark = mark_of(outlet, [m for _, m in flow_cells.values()], Fraction(0))
    flow, flow_count = entering(outlet, flow_cells, flow_mark)
    litres = {t + k: q * CELL / 1000 for t, q in flow.items() for k in range(0, every["w00000"], CELL)}
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


def is_weighted(outlet: Any, factor: str) -> bool:
    return factor in RATIO and outlet.water.mean == "weighted" and factor not in outlet.water.arithmetic


def running(outlet: Any, cells: Cells, every: int) -> Row:
    """Hours in state 1 (Table 4, SB-RT); any abnormal state marks the minute, at water and gas alike."""
    bad = [m for _, m in cells.values() if m != "N"]
    mark = "N" if cells and not bad else commonest(bad, outlet.precedence)
    known = [v for v, m in cells.values() if v is not None and m in outlet.averaging]
    hours = Fraction(sum(v == 1 for v in known) * every, HOUR) if known else None
    return EMPTY | {"mark": mark, "count": len(known), "cou": hours}


def entering(outlet: Any, cells: Cells, mark: str) -> tuple[dict[int, Fraction], int]:
    valid = {t: v for t, (v, m) in cells.items() if v is not None and m in outlet.averaging}
    return (valid, len(valid)) if valid else ({t: v for t, (v, m) in cells.items() if v is not None and m == mark}, 0)


def finish_gas(
    outlet: Any, factor: str, row: Row, rows: dict[str, Row], seconds: int, is_delivered: bool = False
) -> None:
    """Volume, mass, and converted values of minutes, or of the means of an hour."""
    if factor == "a00000" and row["avg"] is not None:
        row["cou"] = row["avg"] * seconds
    if factor not in ("a21026", "a24088") or row["avg"] is None:
        return
    converts = seconds == 60 or outlet.gas.zs_on == "mean"
    if converts and not (factor == "a21026" and is_delivered):
        k = factor_of_conversion(outlet.gas, usable(rows.get("a19001"), row))
        row["zs"] = None if k is None else (row["min"] * k, row["avg"] * k, row["max"] * k)
    flow = usable(rows.get("a00000"), row)
    if flow is not None:
        row["cou"] = row["avg"] * flow["avg"] * seconds * RATIO[factor]


def usable(other: Row | None, row: Row) -> Row | None:
    """Oxygen or flow with a mean; an invalid one only for what is not valid itself."""
    return other if other and other["avg"] is not None and (other["count"] or not row["count"]) else None


def factor_of_conversion(gas: Any, oxygen: Row | None) -> Fraction | None:
    """(26–28)"""
    if gas.o2_reference is None and gas.excess_air is None:
        return Fraction(1)
    if oxygen is None:
        return None
    level = oxygen["avg"]
    if level > Fraction(gas.o2_limit) or level >= 21:
        return Fraction(1) if gas.zs_above == "measured" else None
    if gas.o2_reference is not None:
        return (21 - Fraction(gas.o2_reference)) / (21 - level)
    return Fraction(21) / (21 - level) / Fraction(gas.excess_air)


def delivered(outlet: Any, factor: str, row: Row, cells: Cells, is_delivered: bool) -> None:
    """Converted values that a point gives, in place of computed ones; invalid ones only beside an invalid value."""
    if factor != "a21026" or not is_delivered:
        return
    row["zs"] = None
    used, count = entering(outlet, cells, row["mark"])
    if row["avg"] is not None and used and (count or not row["count"]):
        row["zs"] = (min(used.values()), sum(used.values()) / len(used), max(used.values()))


def longer(outlet: Any, factor: str, parts: dict[str, list[tuple[int, Row]]], length: int) -> Row:
    mine = parts[factor]
    if factor == "SB1":
        return longer_running(outlet, mine)
    least, total = (outlet.gas.hour_minutes, 60) if length == HOUR else (outlet.gas.day_hours, 24)
    mark = mark_of(
        outlet, [row["mark"] for _, row in mine], max(Fraction(least), Fraction(outlet.gas.normal_share) * total)
    )
    with_value = [(at, row) for at, row in mine if row["avg"] is not None]
    used = [(at, row) for at, row in with_value if row["mark"] in outlet.averaging]
    count = len(used)
    used = used or [(at, row) for at, row in with_value if row["mark"] == mark]
    new: Row = EMPTY | {"mark": mark, "count": count}
    if used:
        new |= {"min": min(r["min"] for _, r in used), "max": max(r["max"] for _, r in used)}
        new["avg"] = sum(r["avg"] for _, r in used) / len(used)
        converted = [r["zs"] for _, r in used if r["zs"]]
        if converted:
            low, middle, high = zip(*converted, strict=True)
            new["zs"] = (min(low), sum(middle) / len(middle), max(high))
    if outlet.statistics == "water":
        volume = {at: r["cou"] for at, r in parts.get("w00000", []) if r["cou"] is not None and r["count"]}
        pairs = [(r["avg"], volume.get(at, Fraction(0))) for at, r in used]
        if is_weighted(outlet, factor) and sum(d for _, d in pairs):
            new["avg"] = average(pairs)
        sums = [r["cou"] for _, r in mine if r["cou"] is not None and r["count"]]
        sums = sums or [r["cou"] for _, r in used if r["cou"] is not None]
        new["cou"] = sum(sums) if sums else None
    elif length == DAY:
        sums = [r["cou"] for _, r in used if r["cou"] is not None]
        new["cou"] = sum(sums) if sums else None
    return new


def longer_running(outlet: Any, mine: list[tuple[int, Row]]) -> Row:
    bad = [row["mark"] for _, row in mine if row["mark"] != "N"]
    hours = [row["cou"] for _, row in mine if row["cou"] is not None]
    mark = commonest(bad, outlet.precedence) if bad else "N"
    return EMPTY | {"mark": mark, "count": len(hours), "cou": sum(hours) if hours else None}
