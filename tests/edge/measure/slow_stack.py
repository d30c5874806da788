"""Flue gas once more, slowly: one dictionary of cells, one loop a rule, in decimals; no code shared with the product.

Annex D.2 (18–22, 26–31, 33), the pitot tube, oxygen wet or dry, and what stands above the oxygen limit.
"""

from decimal import Decimal, getcontext
from typing import Any

getcontext().prec = 40
D = Decimal
Cells = dict[str, dict[int, tuple[float | None, str]]]


def held(cells: dict[int, tuple[float | None, str]], time: int) -> Decimal | None:
    """The last valid value by `time`, or the first one after."""
    good = {t: D(repr(v)) for t, (v, m) in cells.items() if v is not None and m == "N"}
    before = [t for t in good if t <= time]
    return good[max(before)] if before else good[min(good)] if good else None


def standard(cells: Cells, rules: dict[str, Any], factor: str, time: int) -> Decimal | None:
    """One cell at standard state and dry; None: it has no value, or what it needs has none."""
    value = D(repr(cells[factor][time][0])) if cells[factor][time][0] is not None else None
    basis = rules["basis"].get(factor, rules["outlet"])
    if value is None or basis == "standard-dry":
        return value
    ts, ps, xsw = (held(cells[f], time) for f in ("a01012", "a01013", "a01014"))
    if factor not in ("a19001", *rules["ppm"]):
        if ts is None or ps is None:
            return None
        value = value * 101325 / (D(repr(rules["ba"])) * 1000 + ps * 1000) * (273 + ts) / 273
    if basis == "actual-wet":
        return None if xsw is None else value / (1 - xsw / 100)
    return value


def flow(cells: Cells, rules: dict[str, Any], time: int) -> Decimal | None:
    """a00000 of the dynamic pressure: pitot, Kv, area, standard and dry."""
    pd = cells["a01017"][time][0]
    ts, ps, xsw = (held(cells[f], time) for f in ("a01012", "a01013", "a01014"))
    if pd is None or ts is None or ps is None or xsw is None:
        return None
    ratio = D(273) / (273 + ts) * (D(repr(rules["ba"])) + ps) * 1000 / 101325
    speed = D(repr(rules["kp"])) * (2 * max(D(repr(pd)), D(0)) * 1000 / (D(repr(rules["rho"])) * ratio)).sqrt()
    return speed * D(repr(rules["kv"])) * D(repr(rules["area"])) * ratio * (1 - xsw / 100)


def minute(cells: Cells, rules: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Mark, count and numbers of each factor of one minute at 5 s."""
    series: dict[str, list[tuple[Decimal | None, str]]] = {}
    for factor in ("a21026", "a21003", "a21004", "a19001"):
        got = {t: standard(cells, rules, factor, t) for t in sorted(cells[factor])}
        series[factor] = [(v, lost(cells, rules, factor, t, v)) for t, v in got.items()]
    no2 = {
        t: (None if v is None else float(v), m)
        for t, (v, m) in zip(sorted(cells["a21004"]), series["a21004"], strict=True)
    }
    exact = {
        t: v for t, (v, m) in zip(sorted(cells["a21004"]), series["a21004"], strict=True) if v is not None and m == "N"
    }
    series["a21002"] = []
    for t, (no, mark) in zip(sorted(cells["a21003"]), series["a21003"], strict=True):
        before = [at for at in exact if at <= t]
        other = exact[max(before)] if before else exact[min(exact)] if exact else None
        value = None if no is None or other is None else no * 46 / 30 + other
        series["a21002"].append((value, mark if value is not None or mark != "N" else why(no2)))
    series["a00000"] = [
        (v, m if v is not None or m != "N" else why_flow(cells, t))
        for t in sorted(cells["a01017"])
        for v, m in ((flow(cells, rules, t), cells["a01017"][t][1]),)
    ]
    rows = {factor: row(found) for factor, found in series.items()}
    for factor in ("a21026", "a21003", "a21004", "a21002"):
        finish(rows, rules, factor)
    return rows


def lost(cells: Cells, rules: dict[str, Any], factor: str, time: int, value: Decimal | None) -> str:
    raw, mark = cells[factor][time]
    if value is not None or raw is None or mark != "N":
        return mark
    cold = factor == "a19001" or factor in rules["ppm"]
    return why_flow(cells, time, ("a01014",) if cold else ("a01012", "a01013", "a01014"))


def why(cells: dict[int, tuple[float | None, str]]) -> str:
    bad = [cells[t][1] for t in sorted(cells) if cells[t][1] != "N"]
    return bad[-1] if bad else "B"


def why_flow(cells: Cells, time: int, needed: tuple[str, ...] = ("a01012", "a01013", "a01014")) -> str:
    return next(why(cells[f]) for f in needed if held(cells[f], time) is None)


def row(found: list[tuple[Decimal | None, str]]) -> dict[str, Any]:
    good = [v for v, m in found if m == "N" and v is not None]
    normal = sum(m == "N" for _, m in found)
    bad = [m for _, m in found if m != "N"]
    order = "BFDMCTS"
    common = max(order, key=lambda m: (bad.count(m), -order.index(m))) if bad else "B"
    mark = "N" if normal and normal >= 9 else "D" if normal else common
    used = good or [v for v, m in found if v is not None and m == mark]
    made: dict[str, Any] = {"mark": mark, "count": len(good), "avg": None, "zs": None, "cou": None}
    return made | ({"min": min(used), "max": max(used), "avg": sum(used) / len(used)} if used else {})


def finish(rows: dict[str, dict[str, Any]], rules: dict[str, Any], factor: str) -> None:
    mine, oxygen, gas = rows[factor], rows["a19001"], rows["a00000"]
    if mine["avg"] is None:
        return
    if gas["avg"] is not None and (gas["count"] or not mine["count"]):
        mine["cou"] = mine["avg"] * gas["avg"] * 60 / 1_000_000
    if oxygen["avg"] is None or (not oxygen["count"] and mine["count"]):
        return
    if oxygen["avg"] > D(repr(rules["limit"])) or oxygen["avg"] >= 21:
        mine["zs"] = mine["avg"] if rules["above"] == "measured" else None
    else:
        mine["zs"] = mine["avg"] * (21 - D(repr(rules["o2s"]))) / (21 - oxygen["avg"])
