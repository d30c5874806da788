"""`make torture SCALE=short|long`: runs the torture tests and writes torture-report.json and torture-report.md.

    python -m tests.torture.run SCALE [--seed N] [--hours H] [TEST …]

Every test runs in a process of its own, three at a time; the exit code is 1 when one did not pass. The same seed
repeats a run.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import secrets
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from importlib import import_module
from pathlib import Path
from typing import Any

from edge import __version__
from tests.torture.rig import FAILURES, Outcome, Rig

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]
JSON_REPORT, TEXT_REPORT = ROOT / "torture-report.json", ROOT / "torture-report.md"
AT_ONCE = 3
"""Two keep the cores of a small machine busy while a third waits for something."""
LONGEST = ("power-cut", "soak")
"""They begin first."""
Test = Callable[[Rig], Outcome]


def all_tests() -> dict[str, Test]:
    """Every test of this folder by its name, in the order of the files."""
    found: dict[str, Test] = {}
    for path in sorted(FOLDER.glob("torture_*.py")):
        module = import_module(f"tests.torture.{path.stem}")
        found.update(module.TESTS)
    return found


def run_one(rig: Rig) -> tuple[Outcome, float]:
    """One test and the seconds it took."""
    began = time.monotonic()
    rig.work.mkdir()
    outcome = all_tests()[rig.test](rig)
    if outcome.passed:
        shutil.rmtree(rig.work, ignore_errors=True)
    return outcome, time.monotonic() - began


def ended(future: Future[tuple[Outcome, float]]) -> tuple[Outcome, float]:
    """What a test gave; one that broke off is a failure, not the end of the run."""
    error = future.exception()
    if error is None:
        return future.result()
    outcome = Outcome(cases=1)
    outcome.fail("".join(traceback.format_exception(error)))
    return outcome, 0.0


def row(rig: Rig, outcome: Outcome, took_s: float) -> dict[str, Any]:
    """What the JSON report says of a test."""
    return {
        "test": rig.test,
        "cases": outcome.cases,
        "lost": outcome.lost,
        "corrupt": outcome.corrupt,
        "refused": outcome.refused,
        "passed": outcome.passed,
        "seed": rig.seed,
        "seconds": round(took_s, 1),
        "figures": outcome.figures,
        "failed": len(outcome.failures),
        "failures": outcome.failures[:FAILURES],
    }


def machine() -> dict[str, str]:
    """Where and of what the report is."""
    git = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    return {
        "version": __version__,
        "commit": commit or "-",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "kernel": platform.release(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }


def as_text(rows: Sequence[dict[str, Any]], scale: str) -> str:
    """The report as a page."""
    lines = ["# Torture report", "", *(f"- {key}: {value}" for key, value in machine().items())]
    lines += [f"- scale: {scale}", f"- seed: {rows[0]['seed']}", ""]
    lines += ["| test | cases | lost | corrupt | refused | passed | s |", "|---|---|---|---|---|---|---|"]
    for each in rows:
        cells = [f"{each[key]:,}" for key in ("cases", "lost", "corrupt", "refused")]
        passed = "yes" if each["passed"] else "**no**"
        lines.append(f"| {each['test']} | {' | '.join(cells)} | {passed} | {each['seconds']} |")
    for each in rows:
        lines += ["", f"## {each['test']}", "", *(f"- {key}: {value}" for key, value in each["figures"].items())]
        for failure in each["failures"]:
            lines += ["", "```", failure.rstrip(), "```"]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Run what was asked for; 1 when a test did not pass."""
    parser = argparse.ArgumentParser(prog="torture", description=__doc__)
    parser.add_argument("scale", choices=("short", "long"))
    parser.add_argument("tests", nargs="*", metavar="TEST")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**31))
    parser.add_argument("--hours", type=float, default=8.0)
    asked = parser.parse_args(arguments)
    tests = all_tests()
    if unknown := set(asked.tests) - tests.keys():
        parser.error(f"no test {' '.join(sorted(unknown))}; there are: {' '.join(tests)}")
    work = Path(tempfile.mkdtemp(prefix="torture-"))
    rigs = [Rig(name, asked.scale, asked.seed, work / name, asked.hours) for name in asked.tests or tests]
    rows: dict[str, dict[str, Any]] = {}
    # a fresh interpreter for each test: what one leaves behind is not another's
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(AT_ONCE, mp_context=context, max_tasks_per_child=1) as pool:
        waiting = {pool.submit(run_one, rig): rig for rig in sorted(rigs, key=lambda rig: rig.test not in LONGEST)}
        for future in as_completed(waiting):
            rig = waiting[future]
            one = rows[rig.test] = row(rig, *ended(future))
            verdict = "passed" if one["passed"] else "FAILED"
            print(f"{verdict}  {rig.test}: {one['cases']:,} in {one['seconds']} s", flush=True)
    ordered = [rows[rig.test] for rig in rigs]
    JSON_REPORT.write_text(json.dumps(ordered, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    page = as_text(ordered, asked.scale)
    TEXT_REPORT.write_text(page, encoding="utf-8")
    print(page)
    failed = [each["test"] for each in ordered if not each["passed"]]
    if failed:
        print(f"torture: FAILED: {' '.join(failed)}; seed {asked.seed}; what they left: {work}", file=sys.stderr)
        return 1
    work.rmdir()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
