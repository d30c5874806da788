"""A rehearsal and a window test as rows for the screen and as objects for `--json`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from edge.bench.rehearsal import Row, Step
from edge.bench.show import cn_name, command_name, conformity_text, finding_text, runs
from edge.bench.window import Trial
from edge.catalogue import text

ROW_TITLES = tuple(f"bench.col.{name}" for name in ("check", "what", "expected", "heard", "verdict", "remarks"))
STEP_TITLES = tuple(f"bench.col.{name}" for name in ("check", "what", "expected", "effect"))
TRIAL_TITLES = tuple(f"bench.col.{name}" for name in ("window", "answered", "seconds"))


def what(check: str) -> str:
    """What a check is about, in words."""
    if check.isdecimal():
        return command_name(check)
    kind, _, cn = check.partition("-")
    return cn_name(cn) if kind == "upload" else text(f"bench.what.{check}")


def row_cells(row: Row) -> list[str]:
    """A verdict as a row of the table."""
    heard, remarks = " → ".join(runs(row.heard)), "\n".join(map(finding_text, row.remarks))
    return [row.check, what(row.check), row.expected or "-", heard or "-", conformity_text(row.verdict), remarks]


def row_line(row: Row) -> str:
    """A verdict as one line, while the rehearsal goes on."""
    return f"{row.check:<16} {conformity_text(row.verdict)}"


def row_object(row: Row) -> dict[str, Any]:
    """A verdict for `--json`."""
    return {
        "check": row.check,
        "what": what(row.check),
        "expected": row.expected,
        "heard": list(row.heard),
        "verdict": row.verdict.value,
        "remarks": [finding_text(finding) for finding in row.remarks],
    }


def step_cells(step: Step) -> list[str]:
    """A check that would be done, and what it leaves behind."""
    names = f"{step.name} {step.also}".strip()
    return [names, what(step.name), step.expected or "-", text(f"bench.effect.{step.effect}")]


def step_object(step: Step) -> dict[str, Any]:
    """The same for `--json`."""
    return {"check": step.name, "what": what(step.name), "expected": step.expected, "effect": step.effect}


def trial_cells(trial: Trial) -> list[str]:
    """One window as a row of the table."""
    return [str(trial.window), str(trial.answered), f"{trial.seconds:.2f}"]


def trial_objects(trials: Iterable[Trial]) -> list[dict[str, Any]]:
    """All windows for `--json`."""
    return [
        {"window": trial.window, "answered": trial.answered, "seconds": round(trial.seconds, 3), "link": trial.is_open}
        for trial in trials
    ]
