"""What the status page says of an instrument beside its row: only what a technician has to look at."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from edge.catalogue import text

_TROUBLES = ("retries", "foreign", "missed")


def round_trip(row: dict[str, Any]) -> str | None:
    """Mean and longest, in ms."""
    mean_s, longest_s = row["round_trip_mean_s"], row["round_trip_max_s"]
    return None if mean_s is None else f"{mean_s * 1000:.0f}/{longest_s * 1000:.0f}"


def notes(row: dict[str, Any]) -> Iterator[str]:
    """A line for a silent instrument, one for its refusals, one for what else went wrong."""
    name = row["instrument"]
    if row["polling"] != "answers" and row["polls"]:
        at = row["next_probe"][11:19]
        yield text(f"cli.line-{row['polling']}", instrument=name, count=row["failures"], at=at)
    if row["exceptions"]:
        codes = [text("cli.line-exception", code=code, count=n) for code, n in sorted(row["exceptions"].items())]
        yield text("cli.line-refused", instrument=name, count=row["refused"], codes=", ".join(codes))
    if any(row[key] for key in _TROUBLES):
        yield text("cli.line-troubles", instrument=name, **{key: row[key] for key in _TROUBLES})
