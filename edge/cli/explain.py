"""`hj212 data explain`: where a record comes from, and whether the rules make the same one again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from config.site import FLOW, TOTAL, Site
from edge.catalogue import language, text
from edge.cli.common import CHECK_FAILED, Stop, Where, config_option, json_option, load_site, print_json, table, where
from edge.cli.moments import Time
from edge.cli.ranges import outlets_of, rows_of
from edge.control.queries import TOTALS
from edge.measure.cases import Case, Plan, Step, minute_case, period_case, reach_ms
from edge.measure.derived import DerivedPoints
from edge.measure.explain import Difference, Input, differences, inputs_of, steps_of
from edge.measure.manual import ManualMarks
from edge.measure.rules import factor_rules
from edge.measure.sound_levels import LA
from edge.measure.totaliser import Total
from edge.revising import manual_marks
from edge.store.marks import Mark
from edge.store.records import newest
from edge.values import DAY_MS, HOUR_MS, Kind, Record, Sample, period_start
from protocol.factors import factor as table_row
from protocol.times import iso_text

_BELOW = {Kind.HOUR: "minute", Kind.DAY: "hour"}
_SEAL_MS = 10_000
"""A mark that was set so long after a period's end came after its seal."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a record cannot be made again, or may come out otherwise; `code` of the catalogue."""

    code: str
    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What is known of a record. `case` None: it cannot be made again."""

    stored: Sequence[Record]
    case: Case | None
    steps: Sequence[Step]
    differences: Sequence[Difference]
    reasons: Sequence[Reason]

    @property
    def verdict(self) -> str:
        """`equal`, `differs` or `not-possible`."""
        return "not-possible" if self.case is None else "differs" if self.differences else "equal"


@click.command("explain", help=text("explain.verb"))
@click.argument("factor")
@click.argument("kind", type=click.Choice([kind.text for kind in Kind]))
@click.argument("start", type=Time())
@config_option
@click.option("--outlet", help=text("cli.outlet-option"))
@json_option
def explain(config: Path, factor: str, kind: str, start: int, outlet: str | None, as_json: bool) -> None:
    """One record, traced back to what the instruments said."""
    place = where(config)
    site = load_site(config)
    length = Kind[kind.upper()]
    label = period_start(start, length.ms)
    name, stored = _found(place, length, label, factor, outlet)
    answer = _Trace(place, site, name, stored).answer()
    if as_json:
        print_json(as_object(answer))
    else:
        _print(answer)


def _found(place: Where, kind: Kind, start: int, factor: str, wanted: str | None) -> tuple[str, list[Record]]:
    """The outlet, and the record with all its revisions."""
    outlets = outlets_of(place, wanted)
    rows = {name: list(rows_of(place, kind.text, name, start, start, (factor,))) for name in outlets}
    found = {name: [_record(row) for row in own] for name, own in rows.items() if own}
    if not found:
        params = {"factor": factor, "kind": text(f"measure.kind.{kind.text}"), "start": _shown(start)}
        raise Stop("explain.no-record", CHECK_FAILED, **params)
    if len(found) > 1:
        raise Stop("explain.several", factor=factor, outlets=", ".join(found))
    ((name, records),) = found.items()
    return name, sorted(records, key=lambda record: record.revision)


# the record made again


class _Trace:
    """Finds what a record was made of."""

    def __init__(self, place: Where, site: Site, outlet: str, stored: list[Record]) -> None:
        self._place = place
        self._site = site
        self._stored = stored
        self._kind, self._start = stored[0].kind, stored[0].start
        self._end = self._start + self._kind.ms
        self._derived = DerivedPoints(site)
        rules, formulas = factor_rules(site, outlet), self._derived.inputs(outlet)
        self._plan = Plan(site.outlets[outlet], outlet, rules, stored[0].factor, formulas)
        self._histories = self._mark_histories()

    def answer(self) -> Answer:
        """What is known of the record."""
        made = self._minute() if self._kind is Kind.MINUTE else self._period()
        if isinstance(made, Reason):
            return Answer(self._stored, None, [], [], [made])
        sealed, now = made
        if sealed.made is None:
            gone = "explain.reason-not-on-site" if self._kind is Kind.MINUTE else "explain.reason-parts-gone"
            return Answer(self._stored, None, [], [], [Reason(gone, {})])
        found = differences(self._stored[-1], sealed, now)
        steps = [*self._derived_steps(), *steps_of(sealed)]
        if now.made is not None and now.made.mark != sealed.made.mark:
            steps.append(Step("explain.mark-later", {"before": sealed.made.mark, "mark": now.made.mark}))
        return Answer(self._stored, sealed, steps, found, self._reasons(sealed, found) if found else [])

    def _minute(self) -> tuple[Case, Case] | Reason:
        kept = self._place.query("sample_span")
        if kept is None:
            return Reason("explain.reason-no-samples", {})
        if kept[0] >= self._end:
            return Reason("explain.reason-samples-gone", {"since": _shown(kept[0])})
        stored = self._samples(self._start - reach_ms(self._plan), self._end - 1)
        total = self._total_before()
        sealed, now = (minute_case(self._plan, self._start, stored, manual, total) for manual in self._manual())
        return sealed, now

    def _total_before(self) -> Total | None:
        """The totaliser's last reading that counted before a minute."""
        if TOTAL not in self._plan.factors:
            return None
        since = self._start - DAY_MS
        rows = list(rows_of(self._place, Kind.MINUTE.text, self._plan.name, since, self._start - 1, (FLOW,)))
        known = [_record(row) for row in rows if row.get("total") is not None]
        return next((Total(one.total_at, one.total) for one in reversed(known) if one.total_at and one.total), None)

    def _period(self) -> tuple[Case, Case] | Reason:
        rows = rows_of(self._place, _BELOW[self._kind], self._plan.name, self._start, self._end - 1, ())
        below = [_record(row) for row in rows]
        if self._kind is Kind.HOUR and self._plan.rule.assigned is not None:
            return Reason("explain.reason-assigned", {})
        levels = self._samples(self._start, self._end - 1) if LA in self._plan.factors else []
        first = [record for record in below if record.revision == 0]
        sealed, now = (
            period_case(self._plan, self._kind, self._start, parts, levels) for parts in (first, newest(below))
        )
        return sealed, now

    def _samples(self, begin: int, end: int) -> list[Sample]:
        found: list[Sample] = []
        for since in range(begin, end + 1, HOUR_MS):
            args = {"outlet": self._plan.name, "from": since, "to": min(since + HOUR_MS - 1, end), "factors": []}
            found += [Sample(**{**row, "time": _ms(row["time"])}) for row in self._place.query("samples", args)]
        return found

    def _manual(self) -> tuple[ManualMarks, ManualMarks]:
        """The marks by hand as they were when the period was sealed, and as they are."""
        histories = [self._until_sealed(history) for history in self._histories]
        before = [_mark(then[-1]) for then in histories if then]
        now = [_mark(history[-1]) for history in self._histories]
        sealed, present = (
            manual_marks(self._plan.outlet, self._plan.name, self._derived, states) for states in (before, now)
        )
        return sealed, present

    def _mark_histories(self) -> list[list[dict[str, Any]]]:
        """All that was said of each mark by hand, oldest first."""
        newest_ones = self._place.query("marks", {"all": True})
        return [
            [row] if row["action"] == "add" else self._place.query("marks", {"number": row["number"]})
            for row in newest_ones
        ]

    def _until_sealed(self, history: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [row for row in history if _ms(row["at"]) < self._end + _SEAL_MS]

    def _later_marks(self) -> list[int]:
        """Numbers of the marks of this period of which something was said after its seal."""
        return [
            history[0]["number"]
            for history in self._histories
            if len(self._until_sealed(history)) < len(history) and any(self._touches(_mark(row)) for row in history)
        ]

    def _touches(self, state: Mark) -> bool:
        is_here = state.begin < self._end and (state.end is None or state.end > self._start)
        return is_here and self._plan.name in state.outlets and state.mark is not None

    def _derived_steps(self) -> list[Step]:
        for one in self._plan.outlet.derived if self._kind is Kind.MINUTE else ():
            if one.factor == self._plan.factor and one.formula is not None:
                return [Step("explain.derived", {"factor": one.factor, "formula": one.formula})]
            if one.factor == self._plan.factor:
                return [Step("explain.constant", {"factor": one.factor, "value": one.value})]
        return []

    # why it may differ

    def _reasons(self, sealed: Case, found: Sequence[Difference]) -> list[Reason]:
        reasons = []
        kept = self._place.query("sample_span") if self._kind is Kind.MINUTE or LA in self._plan.factors else None
        if kept is not None and kept[0] > self._start:
            reasons.append(Reason("explain.reason-samples-gone", {"since": _shown(kept[0])}))
        if later := self._later_marks():
            reasons.append(Reason("explain.reason-marks-later", {"numbers": ", ".join(map(str, later))}))
        made, stored = (sealed.made.count if sealed.made else 0), self._stored[0].count
        if made != stored:
            code = "explain.reason-more" if made > stored else "explain.reason-fewer"
            reasons.append(Reason(code, {"made": made, "stored": stored}))
        if self._plan.factor not in self._plan.factors and self._plan.factor not in sealed.records:
            reasons.append(Reason("explain.reason-not-on-site", {}))
        if self._site_changed():
            changed = round(self._place.config.stat().st_mtime * 1000)
            reasons.append(Reason("explain.reason-site-changed", {"changed": _shown(changed)}))
        return reasons or [Reason("explain.reason-unknown", {})]

    def _site_changed(self) -> bool:
        """Whether the site file is not the one that the daemon had; judged by its time where that is not known."""
        history = self._place.query("history", {"from": self._start})
        started = [row for row in history if row["action"] == "started" and row["at_ms"] < self._end]
        used = {row["detail"].get("site_sha256") for row in started} - {None}
        if used:
            return used != {hashlib.sha256(self._place.config.read_bytes()).hexdigest()}
        return round(self._place.config.stat().st_mtime * 1000) > self._end


def _record(row: Mapping[str, Any]) -> Record:
    total_at = row.get("total_at")
    times = {"start": _ms(row["start"]), "total_at": None if total_at is None else _ms(total_at)}
    return Record(**{**row, "kind": Kind[row["kind"].upper()], **times})


def _mark(row: Mapping[str, Any]) -> Mark:
    return Mark(
        kind=row["kind"],
        points=tuple(row["points"]),
        begin=_ms(row["from"]),
        end=None if row["to"] is None else _ms(row["to"]),
        mark=row["mark"],
        withdrawn=row["withdrawn"],
    )


def _ms(moment: str) -> int:
    return round(datetime.fromisoformat(moment).timestamp() * 1000)


# the output


def as_object(answer: Answer) -> dict[str, Any]:
    """The answer as `--json` prints it."""
    newest_one = answer.stored[-1]
    made = answer.case.made if answer.case else None
    return {
        "outlet": newest_one.outlet,
        "factor": newest_one.factor,
        "kind": newest_one.kind.text,
        "start": iso_text(newest_one.start),
        "end": iso_text(newest_one.start + newest_one.kind.ms),
        "records": [_row(record) for record in answer.stored],
        "inputs": [_input_row(one) for one in inputs_of(answer.case)] if answer.case else [],
        "steps": [
            {
                "code": step.code.partition(".")[2],
                "clause": step.clause,
                "text": _words(step.code, step.params),
                "values": dict(step.params),
                "result": step.result,
            }
            for step in answer.steps
        ],
        "verdict": answer.verdict,
        "recomputed": None if made is None else _row(made),
        "differences": [{"field": each.field, "stored": each.stored, "made": each.made} for each in answer.differences],
        "reasons": [
            {"code": each.code.partition("-")[2], "text": _words(each.code, each.params)} for each in answer.reasons
        ],
    }


def _row(record: Record) -> dict[str, Any]:
    total_at = None if record.total_at is None else iso_text(record.total_at)
    shown = {**asdict(record), "kind": record.kind.text, "start": iso_text(record.start), "total_at": total_at}
    return shown if record.total is not None else {key: shown[key] for key in shown if key not in TOTALS}


def _input_row(one: Input) -> dict[str, Any]:
    values = [
        {**asdict(each), "time": iso_text(each.time)} if isinstance(each, Sample) else _row(each) for each in one.values
    ]
    return {
        "factor": one.factor,
        "role": one.role,
        "due": one.due,
        "came": len(one.values),
        "valid": one.valid,
        "marks": dict(one.marks),
        "values": values,
    }


def _words(code: str, params: Mapping[str, Any]) -> str:
    return text(code, **{name: _plain(value) for name, value in params.items()})


def _plain(value: Any) -> Any:
    """A number as people read it: eight digits, no exponent."""
    if not isinstance(value, float):
        return "–" if value is None else value
    shown = f"{value:.8g}"
    return f"{value:.12f}".rstrip("0").rstrip(".") if "e-" in shown else shown


def _print(answer: Answer) -> None:
    record = answer.stored[-1]
    row = table_row(record.factor)
    known = "" if row is None else f"{row.name_zh if language() == 'zh' else row.name_en} ({row.unit})"
    span = {"start": _shown(record.start), "end": _shown(record.start + record.kind.ms)}
    kind = text(f"measure.kind.{record.kind.text}")
    click.echo(text("explain.title", outlet=record.outlet, factor=record.factor, name=known, kind=kind, **span))
    columns = ("min", "avg", "max", "zs", "cou", "valid", "mark")
    keys = ("min", "avg", "max", "zs_avg", "cou", "count", "mark")
    cells = [[each.revision, *(_plain(getattr(each, key)) for key in keys)] for each in answer.stored]
    table(["marks.col-revision", *(f"cli.col-{name}" for name in columns)], cells, text("explain.title-records"))
    if answer.case is not None:
        _print_inputs(inputs_of(answer.case))
        _print_steps(answer.steps)
    click.echo(text(f"explain.{answer.verdict}"))
    for each in answer.differences:
        click.echo("  " + _words("explain.difference", asdict(each)))
    for reason in answer.reasons:
        click.echo("  " + _words(reason.code, reason.params))


def _print_inputs(inputs: Sequence[Input]) -> None:
    titles = ["cli.col-factor", *(f"explain.col-{name}" for name in ("role", "due", "came", "valid", "others"))]
    rows = [
        [one.factor, text(f"explain.role-{one.role}"), one.due or None, len(one.values), one.valid, _counts(one.marks)]
        for one in inputs
    ]
    table(titles, rows, text("explain.title-inputs"))
    columns = [{_time(each): _cell(one, each) for each in one.values} for one in inputs]
    times = sorted({time for column in columns for time in column})
    lines = [[_shown(time), *(column.get(time) for column in columns)] for time in times]
    if lines:
        table(["cli.col-start", *(one.factor for one in inputs)], lines, text("explain.title-values"))


def _counts(marks: Mapping[str, int]) -> str:
    return ", ".join(f"{mark} {count}" for mark, count in marks.items()) or "–"


def _time(value: Sample | Record) -> int:
    return value.time if isinstance(value, Sample) else value.start


def _cell(one: Input, value: Sample | Record) -> str:
    """A value; of a flow that weighs the volume of its period beside it."""
    number = value.value if isinstance(value, Sample) else value.avg
    shown = str(_plain(number))
    if isinstance(value, Record) and value.cou is not None and (one.role == "flow" or value.avg is None):
        shown = f"{shown} ({_plain(value.cou)})"
    return shown if value.mark == "N" else f"{shown} {value.mark}"


def _print_steps(steps: Iterable[Step]) -> None:
    click.echo(text("explain.title-steps"))
    for number, step in enumerate(steps, 1):
        clause = f" [{step.clause}]" if step.clause else ""
        click.echo(f"  {number}.{clause} {_words(step.code, step.params)}")
    click.echo()


def _shown(ms: int) -> str:
    return iso_text(ms // 1000 * 1000).replace("T", " ").removesuffix("+08:00")
