"""Watches the realtime values for the platforms of edition 2005 that have set limits (`edge.uplink.alarms2005`).

    realtime values, every 5 s ─▶ Watch ─▶ alarm and what is due for it, one transaction ─▶ live lane

An alarm that the disk refuses is said at the next look; which alarms go on is known from the store after a restart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from edge.catalogue import explain
from edge.clock import Clock
from edge.measure.statistics import Live
from edge.store import alarms2005
from edge.store.errors import StoreFailed
from edge.store.store import Store
from edge.uplink.alarms2005 import Rules, Watch, dues, rules
from edge.uplink.kinds import ALARM_NOTICE
from edge.uplink.session import Session
from edge.values import SLOT_MS

Key = tuple[str, str]
"""Platform and outlet."""


class Alarming:
    """The watches of all platforms of edition 2005; `live` gives an outlet's realtime values."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        live: Callable[[str, int], Sequence[Live]],
        on_event: Callable[[str, dict[str, Any]], None],
    ) -> None:
        self._store = store
        self._clock = clock
        self._live = live
        self._on_event = on_event
        self._watches: dict[Key, Watch] = {}
        self._look_at_s = 0.0

    async def look(self, sessions: Iterable[Session], now_ms: int) -> None:
        """Tell each platform what passed a limit or keeps it again; at most once a slot."""
        now_s = self._clock.mono_s()
        if now_s < self._look_at_s:
            return
        self._look_at_s = now_s + SLOT_MS / 1000
        for session in sessions:
            known = rules(session.terms.overrides)
            if session.terms.edition.carries(ALARM_NOTICE) and known.limits:
                try:
                    await self._look(session, known, now_ms)
                except StoreFailed as error:
                    self._on_event("edge.store-failed", {"why": explain(error)})

    async def _look(self, session: Session, known: Rules, now_ms: int) -> None:
        terms = session.terms
        key = terms.platform, terms.outlet
        if key not in self._watches:
            self._watches[key] = Watch(await self._store.do(alarms2005.standing, *key))
        watch = self._watches[key]
        samples = [one.sample for one in self._live(terms.outlet, now_ms)]
        news = watch.look(samples, known, self._clock.mono_s(), now_ms)
        if not news:
            return
        ids = await self._store.do(alarms2005.note, *key, news, dues(terms, now_ms, news), now_ms)
        watch.took(news)
        session.offer(ids)
        for alarm in news:
            code = "edge.limit-passed" if alarm.over else "edge.limit-kept"
            self._on_event(code, {"platform": terms.platform, "outlet": terms.outlet, "factor": alarm.factor})
