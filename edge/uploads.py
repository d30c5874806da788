"""What uploads itself when it happens: 3015, 3019, 3020, to every platform whose `events` name it.

    change of a state, parameter, identity ─┐
    kept sample ────────────────────────────┼─▶ outbox (one transaction with what it says) ─▶ live, kept until answered
    journal ─ every LOOK_S, few at a time ──┘

What a platform does not answer waits in the outbox and is left to a probe a minute (`edge.uplink.lanes`). Logs are the
only ones that may be passed over (`edge.store.logs`); that is an event, never an entry of the journal, so that a log
cannot cause the next one. HJ 212-2017 §6.5, Table 9, C.34, C.39, C.40, C.42, C.44.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from config.site import EventKind
from edge.catalogue import explain
from edge.clock import Clock, plausible
from edge.store import infos, logs
from edge.store.errors import StoreFailed
from edge.store.infos import Note, Told
from edge.store.kept import Kept
from edge.store.outbox import Due
from edge.store.store import Store
from edge.supervise import keep_alive
from edge.uplink.kinds import wants
from edge.uplink.logs import Allowance, Taken, upload
from edge.uplink.session import Session
from edge.uplink.terms import Terms
from edge.values import Change
from protocol.region import Body, fields, write
from protocol.times import time_text

LOOK_S = 5.0
"""How often the journal is looked at for new logs."""
UNKEPT_LIMIT = 2_000
"""Events that wait in memory while the disk refuses them."""


def wanted(terms: Terms, kind: EventKind) -> bool:
    """Whether a platform gets uploads of a kind: its edition has them, and its `events` name them."""
    return terms.edition.carries(kind[:4]) and wants(kind, terms.site.events)


@dataclass(frozen=True, slots=True)
class News:
    """What a change means for the platforms: packets of one kind, and who gets them."""

    kind: EventKind
    bodies: tuple[Body, ...]
    outlet: str | None = None
    """None: all outlets."""
    only: str | None = None
    """The only platform that it concerns; None: all."""
    but_not: str | None = None
    """The platform that knows it already."""

    def concerns(self, terms: Terms) -> bool:
        """Whether a platform gets it for an outlet."""
        return (
            wanted(terms, self.kind)
            and self.outlet in (None, terms.outlet)
            and self.only in (None, terms.platform)
            and self.but_not != terms.platform
        )

    def dues(self, terms: Terms, at_ms: int) -> Iterator[Due]:
        """Its deliveries to one platform."""
        for body in self.bodies:
            start = at_ms // 1000 * 1000
            yield Due(terms.platform, terms.outlet, self.kind[:4], start, payload=body.encode())


class Uploads:
    """Events of all platforms; `sessions` is filled by whoever owns them before `load`."""

    def __init__(
        self,
        sessions: Mapping[tuple[str, str], Session],
        store: Store,
        clock: Clock,
        on_event: Callable[[str, dict[str, Any]], None],
    ) -> None:
        self._sessions = sessions
        self._store = store
        self._clock = clock
        self.on_event = on_event
        self.on_kept: Callable[[Kept], None] = lambda _kept: None
        """Told of every sample that is in the keep log."""
        self._allowances: dict[tuple[str, str], Allowance] = {}
        self._unkept: list[Told] = []
        self._keeping = asyncio.Lock()

    async def load(self) -> None:
        """Where logs are wanted they begin at the present end of the journal, or where they were."""
        for key, session in self._sessions.items():
            told = wanted(session.terms, "3020-log")
            await self._store.do(logs.begin if told else logs.end, *key)
            if told:
                self._allowances[key] = Allowance()

    def start(self, group: asyncio.TaskGroup, count: Callable[[str], None]) -> None:
        """Look after the journal for ever."""
        group.create_task(keep_alive("uploads", self._run, self._clock, count), name="uploads")

    async def change(self, change: Change, news: Iterable[News], note: Note | None = None) -> None:
        """A state, parameter or identity is another: known, noted and due, in one transaction."""
        await self._take_in(Told(change, note, self._dues(news, change.at_ms)))

    async def kept_sample(
        self,
        outlet: str,
        at_ms: int,
        bottle: str | None,
        asked_by: str | None,
        kept: Kept | None = None,
        note: Note | None = None,
    ) -> None:
        """A sample was kept (CN 3015); `asked_by`: the platform that has it as the answer to its command, or None.

        Whoever had it kept calls this once. One whose bottle nobody knows is in the keep log and is not uploaded.
        """
        news = []
        if bottle is not None:
            body = write(fields(("DataTime", time_text(at_ms)), ("VaseNo", bottle)))
            news.append(News("3015", (body,), outlet, but_not=asked_by))
        if kept is not None:
            told = {"instrument": kept.instrument, "bottle": kept.bottle or "", "cause": kept.cause, "who": kept.who}
            self.on_event("edge.sample-kept", {"outlet": outlet, **told})
            self.on_kept(kept)
        await self._take_in(Told(None, note, self._dues(news, at_ms), kept))

    async def note(self, note: Note) -> None:
        """Something that only the journal is told."""
        await self._take_in(Told(None, note, ()))

    def _dues(self, news: Iterable[News], at_ms: int) -> tuple[Due, ...]:
        everyone = [session.terms for session in self._sessions.values()]
        return tuple(
            due for each in news for terms in everyone if each.concerns(terms) for due in each.dues(terms, at_ms)
        )

    async def _take_in(self, told: Told) -> None:
        """To disk; a disk that refuses is offered it again, before anything that happens later."""
        self._unkept.append(told)
        await self._keep()

    def _offer(self, ids: list[int]) -> None:
        for session in self._sessions.values():
            session.offer(ids)

    async def _run(self) -> None:
        while True:
            if plausible(self._clock.wall_ms()):
                await self._keep()
                await self._take_logs()
            await self._clock.sleep(LOOK_S)

    async def _keep(self) -> None:
        async with self._keeping:
            waiting = list(self._unkept)
            if not waiting:
                return
            try:
                ids = await self._store.do(infos.take, waiting, self._clock.wall_ms())
            except StoreFailed as error:
                self._unkept = self._unkept[-UNKEPT_LIMIT:]
                self.on_event("edge.store-failed", {"why": explain(error)})
                return
            del self._unkept[: len(waiting)]
        self._offer(ids)

    async def _take_logs(self) -> None:
        for key, allowance in self._allowances.items():
            allowed = allowance.now(self._clock.mono_s())
            look = partial(upload, terms=self._sessions[key].terms, allowed=allowed, now_ms=self._clock.wall_ms())
            try:
                taken: Taken = await self._store.do(look)
            except StoreFailed as error:
                self.on_event("edge.store-failed", {"why": explain(error)})
                return
            allowance.left -= len(taken.ids)
            self._offer(taken.ids)
            if taken.passed:
                params = {"platform": key[0], "outlet": key[1], "count": taken.passed}
                self.on_event("edge.logs-passed-over", params)
