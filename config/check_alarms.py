"""What is wrong with the alarms of a site: unknown factors and actions, limits the wrong way round."""

from __future__ import annotations

from collections.abc import Iterator

from config.alarms import AlarmRules
from config.lines import Path
from config.merge import Merged
from config.problem import Problem, listed, nearest
from config.site import Site
from protocol import factors


def alarms(site: Site, merged: Merged) -> Iterator[Problem]:
    """All findings about alarms."""
    for name, outlet in site.outlets.items():
        for code, rules in outlet.alarms.items():
            where: Path = ("outlets", name, "alarms", code)
            if not factors.factors(code) and not _is_private(site, name, code):
                near = factors.nearest(code) or "–"
                yield merged.problem(where, "config.alarm-factor", got=code, nearest=near)
            yield from _levels(merged, where, rules)
            if rules.on_alarm is not None:
                yield from _target(site, merged, (*where, "on_alarm"), rules.on_alarm)


def _is_private(site: Site, outlet: str, code: str) -> bool:
    """Whether a point has this code that the tables do not have."""
    points = (point for instrument in site.instruments.values() for point in instrument.points)
    return any((point.outlet, point.factor) == (outlet, code) for point in points)


def _levels(merged: Merged, where: Path, rules: AlarmRules) -> Iterator[Problem]:
    if rules.limit is not None and rules.warn is not None and rules.warn >= rules.limit:
        yield merged.problem((*where, "warn"), "config.warn", True, got=rules.warn, limit=rules.limit)
    if rules.limit is not None and rules.limit_low is not None and rules.limit_low >= rules.limit:
        key = (*where, "limit_low")
        yield merged.problem(key, "config.limit-low", got=rules.limit_low, limit=rules.limit)


def _target(site: Site, merged: Merged, where: Path, target: str) -> Iterator[Problem]:
    name, _, action = target.partition("/")
    instrument = site.instruments.get(name)
    if instrument is None or action not in instrument.actions:
        known = [f"{other}/{one}" for other, instrument in site.instruments.items() for one in instrument.actions]
        near = nearest(target, known) or "–"
        yield merged.problem(where, "config.alarm-action", got=target, nearest=near, allowed=listed(known))
