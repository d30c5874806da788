"""Alarms of edition 2005: a realtime value beyond a limit that the platform has set, for longer than WarnTime.

    within ──beyond──▶ pending ──WarnTime──▶ alarm ──within──▶ within        begin: 2072 AlarmType 1, and 2071
                          └──within, or no value──▶ within                   end:   2072 AlarmType 0

Limits (1022) and WarnTime (1001) are the platform's; without a limit there is no alarm. A value that says nothing of
the water or gas (calibration, maintenance, fault, none at all) begins no alarm and ends none. HJ/T 212-2005 Annex C.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from edge.store import alarms2005
from edge.store.alarms2005 import Alarm
from edge.store.outbox import Due
from edge.uplink.history import Page
from edge.uplink.kinds import ALARM_NOTICE, ALARM_RECORD
from edge.uplink.terms import DEFAULT_WARN_S, WARN_TIME, Terms
from edge.values import Sample
from protocol.edition2005 import EDITION_2005, alarm_notice, alarm_record
from protocol.region import Body, Region, number, write

_LIMIT = "limit."
_TELLING = frozenset("NT")
"""Marks of values that may pass a limit: normal, and above the measuring range."""
_DECIMALS = 9
"""Of a value before the edition rounds it to its own format."""

Limits = Mapping[str, tuple[str, str]]
"""Factor (2017 code) → lower and upper limit, in the unit of 2017, as they came."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a platform has set; `warn_s`: a limit must be passed for so long."""

    limits: Limits
    warn_s: int


def setting_of(factor: str, low: str, high: str) -> tuple[str, str]:
    """Name and value under which a factor's limits are kept."""
    return _LIMIT + factor, f"{low} {high}"


def limits(overrides: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """The limits among what a platform has set."""
    found = {}
    for name, value in overrides.items():
        if name.startswith(_LIMIT):
            low, _, high = value.partition(" ")
            found[name.removeprefix(_LIMIT)] = low, high
    return found


def rules(overrides: Mapping[str, str]) -> Rules:
    """The rules among what a platform has set."""
    return Rules(limits(overrides), int(overrides.get(WARN_TIME, DEFAULT_WARN_S)))


class Watch:
    """What passes its limits at one outlet, as one platform wants to know it; without a clock."""

    def __init__(self, standing: Iterable[str]) -> None:
        """`standing`: factors whose alarm goes on."""
        self._standing = set(standing)
        self._beyond: dict[str, float] = {}

    def look(self, samples: Iterable[Sample], rules: Rules, now_s: float, at_ms: int) -> list[Alarm]:
        """What begins or ends now; said again until `took`. `now_s`: monotonic; `at_ms`: the same moment, UTC."""
        found = []
        beyond: dict[str, float] = {}
        for sample in samples:
            factor, value = sample.factor, sample.value
            if factor not in rules.limits or value is None or sample.mark not in _TELLING:
                continue
            passes, stands = _passes(value, rules.limits[factor]), factor in self._standing
            if passes:
                beyond[factor] = self._beyond.get(factor, now_s)
            if stands != passes and (stands or now_s - beyond[factor] >= rules.warn_s):
                found.append(Alarm(at_ms, factor, value, over=passes))
        self._beyond = beyond
        return found

    def took(self, news: Iterable[Alarm]) -> None:
        """These are on disk."""
        for alarm in news:
            (self._standing.add if alarm.over else self._standing.discard)(alarm.factor)


def _passes(value: float, limit: tuple[str, str]) -> bool:
    return not float(limit[0]) <= value <= float(limit[1])


def dues(terms: Terms, at_ms: int, news: list[Alarm]) -> list[Due]:
    """What the platform is told of one moment: a notice for each alarm, one record of all that begin."""
    found = []
    for place, alarm in enumerate(news):
        notice = alarm_notice(at_ms, alarm.factor, number(alarm.value, _DECIMALS), alarm.over)
        # several at one moment are several deliveries: told apart by milliseconds, which are not sent
        found.append(_due(terms, ALARM_NOTICE, at_ms + place, notice))
    begun = [alarm for alarm in news if alarm.over]
    if begun:
        found.append(_due(terms, ALARM_RECORD, at_ms, _record(at_ms, begun)))
    return found


def _due(terms: Terms, cn: str, start: int, region: Region) -> Due:
    payload = write(EDITION_2005.region(region, cn)).encode()
    return Due(terms.platform, terms.outlet, cn, start, payload=payload, edition=EDITION_2005.name)


def _record(at_ms: int, begun: Iterable[Alarm]) -> Region:
    return alarm_record(at_ms, tuple((alarm.factor, number(alarm.value, _DECIMALS)) for alarm in begun))


@dataclass(frozen=True, slots=True)
class AlarmRecords:
    """Alarm records between two moments, both included, one body a moment and factor."""

    terms: Terms
    begin_ms: int
    end_ms: int

    def page(self, db: sqlite3.Connection, place: int, count: int) -> Page:
        """`place`: how many were given."""
        key = self.terms.platform, self.terms.outlet
        found = alarms2005.begun(db, key, (self.begin_ms, self.end_ms), place, count)
        bodies: list[Body] = [
            write(EDITION_2005.region(_record(alarm.at_ms, [alarm]), ALARM_RECORD)) for alarm in found
        ]
        return bodies, place + count if len(found) == count else None
