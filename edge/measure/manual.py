"""Marks set by hand, laid over the marks that instruments and ranges gave: a manual mark outranks an automatic one.

    samples   N N N T N N N      automatic, as they are stored
    by hand       [ M )          [begin, end), end open
    counted   N N M M N N N

Samples keep their own mark on disk; the laid-over one counts wherever records are made of them. Where marks by
hand overlap, the outlet's `precedence` says which counts. A minute in which nothing came bears the mark by hand
that touches it: the gap is explained.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from edge.measure.marks import strongest
from edge.values import MINUTE_MS, Sample


@dataclass(frozen=True, slots=True)
class ManualMark:
    """A mark on some factors of one outlet (None: on all) from `begin` up to before `end` (None: until now)."""

    mark: str
    begin: int
    end: int | None
    factors: frozenset[str] | None = None

    def touches(self, factor: str, begin: int, end: int) -> bool:
        """Whether it holds for a factor at any moment of [begin, end)."""
        is_meant = self.factors is None or factor in self.factors
        return is_meant and self.begin < end and (self.end is None or self.end > begin)


class ManualMarks:
    """All marks by hand of one outlet."""

    def __init__(self, marks: Iterable[ManualMark], precedence: Sequence[str]) -> None:
        self._marks = tuple(marks)
        self._precedence = tuple(precedence)

    def within(self, factor: str, begin: int, end: int) -> str | None:
        """The mark that counts for [begin, end); None: no hand has marked it."""
        found = self._during(factor, begin, end)
        return strongest((one.mark for one in found), self._precedence) if found else None

    def _during(self, factor: str, begin: int, end: int) -> list[ManualMark]:
        return [one for one in self._marks if one.touches(factor, begin, end)]

    def on(self, sample: Sample) -> Sample:
        """A sample with the mark that counts."""
        mark = self.within(sample.factor, sample.time, sample.time + 1) if self._marks else None
        return sample if mark is None else replace(sample, mark=mark)

    def over(self, factor: str, start: int, samples: Sequence[Sample]) -> Sequence[Sample]:
        """The samples of a factor's minute with the marks that count."""
        found = self._during(factor, start, start + MINUTE_MS)
        if not found:
            return samples
        here = ManualMarks(found, self._precedence)
        mark = here.within(factor, start, start + MINUTE_MS) or ""
        return [here.on(sample) for sample in samples] or [Sample(start, "", factor, None, mark)]


NO_MARKS = ManualMarks((), ())


def with_dependents(factors: Iterable[str], inputs: Mapping[str, Sequence[str]]) -> frozenset[str]:
    """Factors and the derived points that are computed from them; `inputs` in the order of the site file."""
    found = set(factors)
    for name, needed in inputs.items():
        if found.intersection(needed):
            found.add(name)
    return frozenset(found)
