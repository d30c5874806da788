"""What a torture test is given and what it gives back.

A file `torture_NAME.py` in this folder has `TESTS`: a name and a function from `Rig` to `Outcome`. `run.py` finds
them, runs each in a process of its own, and writes the report.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Scale = Literal["short", "long"]
FAILURES = 20
"""So many failures of a test are written out; all are counted."""


@dataclass(frozen=True, slots=True)
class Rig:
    """`work`: a folder of the test's own, removed after it has passed; `hours`: how long a `long` run may take."""

    test: str
    scale: Scale
    seed: int
    work: Path
    hours: float = 8.0

    @property
    def short(self) -> bool:
        """Whether this is the form that every change goes through."""
        return self.scale == "short"

    def count(self, short: int, long: int) -> int:
        """How many cases this scale has."""
        return short if self.short else long

    def random(self, case: object = "") -> random.Random:
        """The same numbers for the same seed, test and case, whatever ran before."""
        return random.Random(f"{self.seed}/{self.test}/{case}")


@dataclass(slots=True)
class Outcome:
    """What a test saw. Anything lost, corrupt or refused, and any failure, is a test that did not pass."""

    cases: int = 0
    lost: int = 0
    """Values, records or deliveries that were promised and are not there."""
    corrupt: int = 0
    """Those that are there and differ from what was promised, and stores that SQLite finds damaged."""
    refused: int = 0
    """Refusals to start or to go on."""
    failures: list[str] = field(default_factory=list)
    """What else went wrong, each with what is needed to repeat it."""
    figures: dict[str, float | int | str] = field(default_factory=dict)
    """What was measured, also where nothing depends on it."""

    def fail(self, text: str) -> None:
        """Note what went wrong."""
        self.failures.append(text)

    @property
    def passed(self) -> bool:
        """Whether the promise was kept; a test without a case has shown nothing."""
        return bool(self.cases) and not (self.lost or self.corrupt or self.refused or self.failures)
