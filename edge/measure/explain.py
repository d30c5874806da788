"""Where a record comes from: what went into it, formulas with numbers, whether it comes out again. Sans I/O.

samples, or records below ─ the real rules ─▶ Case ─▶ inputs_of, steps_of
stored record ◀─ differences ─▶ Case as it was sealed, Case with the marks of now
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from edge.measure import explain_equipment, explain_gas, explain_noise, explain_water
from edge.measure.cases import PARTS, Case, Step, Value, number, same
from edge.measure.rules import PLAIN
from edge.values import Record
from protocol.equipment import is_equipment

FIELDS = ("min", "avg", "max", "zs_min", "zs_avg", "zs_max", "cou", "count", "mark")


@dataclass(frozen=True, slots=True)
class Input:
    """What one factor brought: how many values were due (0: none is missed) and came, how many of them are valid, and
    the others by mark.
    """

    factor: str
    role: str
    due: int
    values: Sequence[Value]
    valid: int
    marks: Mapping[str, int]


# stored and made again


@dataclass(frozen=True, slots=True)
class Difference:
    """One field of a record that comes out otherwise."""

    field: str
    stored: float | str | None
    made: float | str | None


def differences(stored: Record, sealed: Case, now: Case) -> list[Difference]:
    """In what the newest stored revision is not what the rules make of its inputs; empty: it is equal.

    `sealed`: with the marks and revisions below as they were when the period ended; `now`: as they are. A revision has
    the numbers of the one, mark and count of the other. What is not sealed yet when a mark comes is made with it.
    """
    if sealed.made is None or now.made is None:
        return [Difference("avg", stored.avg, None)]
    first = sealed.made
    if stored.revision:
        first = replace(first, mark=now.made.mark, count=now.made.count)
    found = [_differing(stored, made) for made in (first, now.made)]
    return [] if not all(found) else found[0]


def _differing(stored: Record, made: Record) -> list[Difference]:
    pairs = [(name, getattr(stored, name), getattr(made, name)) for name in FIELDS]
    return [Difference(*pair) for pair in pairs if not same(pair[1], pair[2])]


# inputs and steps


def inputs_of(case: Case) -> list[Input]:
    """What entered, the factor's own values first; a factor that is computed from others has none."""
    own = case.plan.factor
    roles = {own: "own", **dict.fromkeys(case.plan.formulas.get(own, ()), "formula")}
    if not is_equipment(own):
        roles = {**_roles(case), **roles}
    if "level" in roles.values() or ("source" in roles.values() and not case.values(own)):
        del roles[own]
    ordered = sorted(roles.items(), key=lambda item: item[1] != "own")
    return [_input(case, factor, role) for factor, role in ordered]


def _roles(case: Case) -> dict[str, str]:
    match case.plan.outlet.statistics:
        case "water":
            return explain_water.roles(case)
        case "gas":
            return explain_gas.roles(case)
        case _:
            return explain_noise.roles(case)


def _input(case: Case, factor: str, role: str) -> Input:
    values = case.values(factor)
    due = PARTS[case.kind] if case.kind in PARTS else case.plan.factors.get(factor, PLAIN).expected
    averaging = case.plan.outlet.averaging
    valid = [one for one in values if one.mark in averaging and number(one) is not None]
    others = Counter(one.mark for one in values if not (one.mark in averaging and number(one) is not None))
    return Input(factor, role, due, values, len(valid), dict(sorted(others.items())))


def steps_of(case: Case) -> list[Step]:
    """The steps from the inputs to the record; [] where the rules make none."""
    if case.made is None:
        return []
    steps = [Step("explain.by-hand", {"count": n, "mark": mark}) for mark, n in case.by_hand.items()]
    if is_equipment(case.plan.factor):
        return steps + explain_equipment.steps(case)
    match case.plan.outlet.statistics:
        case "water":
            return steps + explain_water.steps(case)
        case "gas":
            return steps + explain_gas.steps(case)
        case _:
            return steps + explain_noise.steps(case)
