"""What a person, or a switch, may order about marks, maintenance and stops; checked against site and present marks.

    {"do": "add", "points": ["ww1/w01018"], "mark": "M", "from": ms, …}  ─▶  new or changed states of marks

No I/O: the caller keeps them. Whatever is refused is `Denied` with the text that says why.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from config.problem import listed, nearest
from config.site import Site
from edge.clock import PLAUSIBLE_TO_MS
from edge.control.server import Denied
from edge.measure.marks import NORMAL
from edge.measure.rules import factor_rules
from edge.store.marks import Action, Entry, Mark
from protocol.marks import MARKS

MAINTENANCE_MARK = "M"
MAINTENANCE, STOP = ("自动监测设备维护", "日常维护"), ("工况", "停运")
"""Class and item of what a switch or `maintain` and `source` say, as `mark-classes.tsv` has them."""
NO_MARK = "-"
"""The data keep their own mark: a working condition of production."""
_LONGEST_TEXT = 500
_KEYS = frozenset({"from", "to", "points", "mark", "class", "item"})


@dataclass(frozen=True, slots=True)
class Order:
    """A state to keep; `number` None: of a new mark."""

    action: Action
    state: Mark
    number: int | None = None


def mark_order(site: Site, args: Mapping[str, Any], now_ms: int, found: Entry | None) -> Order:
    """`mark add | end | correct | withdraw`; `found`: what holds of the mark that is named."""
    if args["do"] == "add":
        state = Mark(kind="mark", points=(), begin=_time(args, "from", now_ms))
        return Order("add", _with_values(site, replace(state, reason=_reason(args)), args))
    if found is None or found.state.withdrawn:
        raise Denied("marks.no-such", number=args.get("number"))
    state, number = found.state, found.number
    reason = _reason(args) if args["do"] != "end" or args.get("reason") else state.reason
    if args["do"] == "withdraw":
        return Order("withdraw", replace(state, withdrawn=True, reason=reason), number)
    if args["do"] == "end":
        return Order("end", _ended(state, _time(args, "to", now_ms), reason), number)
    if args["do"] == "correct":
        if not _KEYS & args.keys() and not args.get("open"):
            raise Denied("marks.nothing-new")
        if args.get("open") and "to" in args:
            raise Denied("marks.open-and-to")
        if args.get("open"):
            state = replace(state, end=None)
        return Order("correct", _with_values(site, replace(state, reason=reason), args), number)
    raise ValueError(args["do"])


@dataclass(frozen=True, slots=True)
class Holding:
    """What holds: the marks without an end, and the one that is named (None: there is none)."""

    open_ones: Sequence[Entry]
    named: Entry | None


def orders(site: Site, what: str, args: Mapping[str, Any], now_ms: int, holding: Holding) -> list[Order]:
    """What `mark`, `maintain` or `source` asks for."""
    if what == "maintain":
        return maintenance_orders(site, args, now_ms, holding.open_ones)
    if what == "source":
        return stop_orders(site, args, now_ms, holding.open_ones)
    return [mark_order(site, args, now_ms, holding.named)]


def maintenance_orders(site: Site, args: Mapping[str, Any], now_ms: int, present: Sequence[Entry]) -> list[Order]:
    """`maintain start | end` of some instruments (none named: of all); nothing for those where that is so already."""
    all_of_them = [name for name, one in site.instruments.items() if not all(point.internal for point in one.points)]
    names = list(args.get("instruments") or all_of_them)
    for name in names:
        if name not in site.instruments:
            raise _unknown("marks.no-instrument", name, site.instruments)
    at_ms, open_ones = _time(args, "at", now_ms), [each for each in present if each.state.kind == "maintenance"]
    if args["do"] == "end":
        return [
            _end(each, at_ms, args) for each in open_ones if each.state.instrument in names and _may_end(each, args)
        ]
    if args["do"] != "start":
        raise ValueError(args["do"])
    under = {each.state.instrument for each in open_ones}
    return [Order("add", _maintenance(site, name, at_ms, args)) for name in names if name not in under]


def stop_orders(site: Site, args: Mapping[str, Any], now_ms: int, present: Sequence[Entry]) -> list[Order]:
    """`source stop | start` of some outlets (none named: the only one)."""
    outlets = list(args.get("outlets") or (site.outlets if len(site.outlets) == 1 else ()))
    if not outlets:
        raise Denied("marks.which-outlet", known=listed(site.outlets))
    for name in outlets:
        if name not in site.outlets:
            raise _unknown("marks.no-outlet", name, site.outlets)
    at_ms = _time(args, "at", now_ms)
    open_ones = {each.state.points[0]: each for each in present if each.state.kind == "stop"}
    if args["do"] == "start":
        ending = [open_ones[name] for name in outlets if name in open_ones]
        return [_end(each, at_ms, args) for each in ending if _may_end(each, args)]
    if args["do"] != "stop":
        raise ValueError(args["do"])
    return [Order("add", _stop(name, at_ms, args)) for name in outlets if name not in open_ones]


def _may_end(found: Entry, args: Mapping[str, Any]) -> bool:
    """A switch ends what it has begun; a person may end anything."""
    return args.get("source", "operator") == "operator" or found.state.source == "input"


def _maintenance(site: Site, name: str, at_ms: int, args: Mapping[str, Any]) -> Mark:
    # a flow and its totaliser are one point
    measured = [point for point in site.instruments[name].points if not point.internal]
    points = dict.fromkeys(f"{point.outlet}/{point.factor}" for point in measured)
    state = Mark(kind="maintenance", points=tuple(points), begin=at_ms, mark=MAINTENANCE_MARK, instrument=name)
    return _from_source(state, args, MAINTENANCE)


def _stop(outlet: str, at_ms: int, args: Mapping[str, Any]) -> Mark:
    end = _maybe_time(args, "to")
    if end is not None and end <= at_ms:
        raise Denied("marks.ends-first")
    return _from_source(Mark(kind="stop", points=(outlet,), begin=at_ms, end=end), args, STOP)


def _from_source(state: Mark, args: Mapping[str, Any], named: tuple[str, str]) -> Mark:
    category, item = named
    source, evidence = args.get("source", "operator"), args.get("evidence", {})
    reason = _text(args, "reason") or ""
    return replace(state, category=category, item=item, reason=reason, source=source, evidence=evidence)


def _end(found: Entry, at_ms: int, args: Mapping[str, Any]) -> Order:
    state = found.state
    evidence = {**state.evidence, **({"end": args["evidence"]} if args.get("evidence") else {})}
    ended = _ended(replace(state, evidence=evidence), at_ms, _text(args, "reason") or state.reason)
    return Order("end", ended, found.number)


def _ended(state: Mark, at_ms: int, reason: str) -> Mark:
    if at_ms <= state.begin:
        raise Denied("marks.ends-first")
    if state.end is not None and state.end <= at_ms:
        raise Denied("marks.ended")
    return replace(state, end=at_ms, reason=reason)


def _with_values(site: Site, state: Mark, args: Mapping[str, Any]) -> Mark:
    """A mark with the values of an order; what the order does not name stays."""
    if state.kind == "stop" and ("mark" in args or args.get("points")):
        raise Denied("marks.stop-is-no-mark")
    changed = replace(
        state,
        points=tuple(points_named(site, args["points"])) if args.get("points") else state.points,
        begin=_time(args, "from", state.begin),
        end=_maybe_time(args, "to") if "to" in args else state.end,
        mark=_mark(args) if "mark" in args else state.mark,
        category=_text(args, "class") if "class" in args else state.category,
        item=_text(args, "item") if "item" in args else state.item,
    )
    if not changed.points:
        raise Denied("marks.no-point")
    if changed.mark is None and changed.category is None and changed.kind == "mark":
        raise Denied("marks.no-mark")
    if changed.end is not None and changed.end <= changed.begin:
        raise Denied("marks.ends-first")
    return changed


def points_named(site: Site, names: Iterable[str]) -> list[str]:
    """`OUTLET/FACTOR`, or `OUTLET` for all of it (also `OUTLET/*`), each one that the site has."""
    found: list[str] = []
    for name in names:
        outlet, _, factor = str(name).partition("/")
        if outlet not in site.outlets:
            raise _unknown("marks.no-outlet", outlet, site.outlets)
        known = factor_rules(site, outlet)
        if factor not in known and factor not in ("", "*"):
            raise _unknown("marks.no-factor", factor, known, outlet=outlet)
        found.append(outlet if factor in ("", "*") else f"{outlet}/{factor}")
    return list(dict.fromkeys(found))


def _mark(args: Mapping[str, Any]) -> str | None:
    mark = args["mark"]
    if mark in (None, NO_MARK):
        return None
    if mark not in MARKS or mark == NORMAL:
        raise Denied("marks.bad-mark", got=mark, known=" ".join(name for name in MARKS if name != NORMAL))
    return str(mark)


def _time(args: Mapping[str, Any], name: str, default: int) -> int:
    value = _maybe_time(args, name)
    return default if value is None else value


def _maybe_time(args: Mapping[str, Any], name: str) -> int | None:
    value = args.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < PLAUSIBLE_TO_MS:
        raise ValueError(name)
    return value


def _reason(args: Mapping[str, Any]) -> str:
    reason = _text(args, "reason")
    if not reason:
        raise Denied("marks.no-reason")
    return reason


def _text(args: Mapping[str, Any], name: str) -> str | None:
    value = args.get(name)
    return None if value is None or not str(value).strip() else str(value).strip()[:_LONGEST_TEXT]


def _unknown(code: str, got: str, known: Iterable[str], **more: Any) -> Denied:
    names = list(known)
    return Denied(code, got=got, nearest=nearest(got, names) or "–", known=listed(names), **more)
