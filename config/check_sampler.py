"""What is wrong with samplers: one that nobody can have keep a sample, one that follows nothing."""

from __future__ import annotations

from collections.abc import Iterator

from config.controls import outlets_of
from config.lines import Path
from config.merge import Merged
from config.problem import Problem, listed
from config.sampler import KEEP
from config.site import Instrument, Point, Site


def samplers(site: Site, merged: Merged) -> Iterator[Problem]:
    """All findings in the samplers of the site."""
    for name, instrument in site.instruments.items():
        if instrument.sampler is None:
            continue
        path: Path = ("instruments", name, "sampler")
        if KEEP not in instrument.actions:
            yield merged.problem(path, "config.sampler-no-keep")
        if not outlets_of(instrument, site.outlets):
            yield merged.problem(path, "config.sampler-outlet", instrument=name)
        if instrument.sampler.mode == "synchronous":
            known = [point.factor for point in _telling(site, instrument)]
            if instrument.sampler.follows not in known:
                got, allowed = instrument.sampler.follows or "–", listed(dict.fromkeys(known)) or "–"
                yield merged.problem((*path, "follows"), "config.sampler-follows", got=got, allowed=allowed)


def _telling(site: Site, sampler: Instrument) -> Iterator[Point]:
    """Points of batch analyzers that say when an analysis begins, at the sampler's outlets."""
    outlets = outlets_of(sampler, site.outlets)
    for one in site.instruments.values():
        for point in one.points:
            if point.outlet in outlets and point.batch is not None and point.state is not None and point.ready_states:
                yield point
