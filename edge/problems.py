"""Findings on a site file as lines for the screen: the daemon and the command line say them alike."""

from __future__ import annotations

from pathlib import Path

from config.problem import Problem
from edge.catalogue import text


def problem_text(config: Path | str, problem: Problem) -> str:
    """`file:line: key: text`, as editors understand it; a warning says that it is one."""
    place = f"{config}:{problem.line}" if problem.line is not None else f"{config}"
    words = text(problem.code, **problem.params)
    shown = text("config.cli.warning", text=words) if problem.warning else words
    return f"{place}: {problem.key}: {shown}" if problem.key else f"{place}: {shown}"
