"""What a batch analyzer (COD, NH3-N: a result every hour or so) tells beside its result, and where.

[[instruments.cod.points]]
batch = "held"
new_result = "time-register"
sampled = [{ register = 10, type = "bcd", words = 3 }]      when it drew the sample: yymmddhhmmss
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from config.site import Point

ResultKind = Literal["sample", "check", "blank", "calibration"]
"""Only what a `sample` gave is data (HJ 355: the others are kept, and are none)."""
NewResult = Literal["time-register", "state", "counter", "change"]
SOURCES = ("sampled", "completed", "clock", "state", "counter", "result_code")
"""The tables of a point that say where these stand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """`sampled`, `completed`, `clock`, `state`, `counter`, `result_code`: one number beside the result."""

    options: Any = None
    """The driver's `PointOptions`, flat in the file."""


def sources_of(point: Point) -> Iterator[tuple[str, int, Source]]:
    """Name, place and source of all that is read with a point; a single one has place 0."""
    for name in SOURCES:
        found = getattr(point, name)
        for place, source in enumerate(found if isinstance(found, tuple) else (found,)):
            if source is not None:
                yield name, place, source
