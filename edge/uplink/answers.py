"""What an answer means: committed, it delivers; one that says no is kept as a refusal (design rule 1).

An answer is matched by QN against everything ever sent, on whatever link it comes. One that the disk refuses is
offered to it again, and its delivery is not sent meanwhile. Arrival and writing are noted when they happen: they are
evidence of the official connection time. While an answer is on its way to the disk its packet counts as open: a kill
repeats one window at most. One that the disk refuses holds nothing up.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from edge.catalogue import explain
from edge.clock import Clock, plausible
from edge.store import outbox
from edge.store.errors import StoreFailed
from edge.store.outbox import Answer, Answered
from edge.store.store import Store
from edge.uplink.health import Health
from edge.uplink.kinds import kept
from edge.uplink.lanes import Outgoing
from edge.uplink.terms import Terms
from protocol.times import parse_time

STORE_RETRY_S = 5.0
WAITING_LIMIT = 256
"""Answers that wait for the disk at most; the packets of further ones are sent and answered again."""
REMEMBERED = 256
"""Packets whose last writing is remembered for an answer that comes late."""


class End(Protocol):
    """Where an answer came from: the address of the site file that is in use, and who is there."""

    address: str
    peer: str


@dataclass(frozen=True, slots=True)
class _Came:
    """An answer as it arrived."""

    qn: str
    refusal: str | None
    answer: Answer
    backlog: bool
    fleeting: bool
    """Of an upload that is not sent again after a restart."""


class Answers:
    """Takes in the answers to one session's packets.

    `delivered(delivery)` is called when one is complete; `revived()` when a kind is answered again after silence;
    `wake` is set when an answer is on disk.
    """

    def __init__(
        self,
        terms: Terms,
        store: Store,
        clock: Clock,
        health: Health,
        on_event: Callable[[str, dict[str, Any]], None],
        delivered: Callable[[int], None],
        revived: Callable[[], None],
        wake: asyncio.Event,
    ) -> None:
        self.unsettled = 0
        """Answers on their way to the disk whose packets would be sent again after a kill."""
        self.settling: Counter[int] = Counter()
        """Deliveries with answers on their way to the disk."""
        self._terms = terms
        self._store = store
        self._clock = clock
        self._health = health
        self._on_event = on_event
        self._delivered = delivered
        self._revived = revived
        self._wake = wake
        self._written: dict[str, Outgoing] = {}
        self._proven: set[str] = set()
        self._jobs: set[asyncio.Task[None]] = set()

    def new_link(self) -> None:
        """Kinds have to be answered again before their old waits count for nothing."""
        self._proven.clear()

    def wrote(self, out: Outgoing) -> None:
        """A packet is being written now."""
        out.written_ms = self._clock.wall_ms()
        self._written.pop(out.packet.qn, None)
        self._written[out.packet.qn] = out
        if len(self._written) > REMEMBERED:
            del self._written[next(iter(self._written))]

    def take(self, qn: str, refusal: str | None, frame: bytes, end: End) -> None:
        """An answer that has just arrived; `refusal`: the code with which it says no."""
        if len(self._jobs) >= WAITING_LIMIT:
            self._on_event("edge.answers-flood", {"platform": self._terms.platform})
            return
        out = self._written.get(qn)
        written_ms = out.written_ms if out else _made_at(qn, self._clock.wall_ms())
        answer = self.evidence(frame, written_ms, end)
        fleeting = out is not None and not kept(out.cn, self._terms.site.backfill) and out.cn in self._proven
        came = _Came(qn, refusal, answer, out.backlog if out else True, fleeting)
        job = asyncio.get_running_loop().create_task(
            self._settle(came, out.packet.delivery if out else None), name=f"answer[{self._terms.platform}]"
        )
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)

    def evidence(self, frame: bytes, written_ms: int, end: End) -> Answer:
        """What is kept of an answer that is here now (no bytes: of the moment when the packet left the send queue)."""
        now_ms = self._clock.wall_ms()
        site = self._terms.site
        begin = site.connect_from
        return Answer(
            data=frame,
            at_ms=now_ms,
            written_ms=written_ms,
            peer=end.peer,
            address=end.address,
            role=site.role,
            clock_plausible=plausible(now_ms),
            connect_from_ms=parse_time(begin.replace("-", "") + "000000") if begin else None,
            is_evidence=not self._terms.is_mqtt,
        )

    async def _settle(self, came: _Came, delivery: int | None) -> None:
        """Until the disk has taken it."""
        key = -1 if delivery is None else delivery
        self.settling[key] += 1
        try:
            settled = await self._commit_first(came, counts=delivery is not None and not came.fleeting)
            while not settled:
                await self._clock.sleep(STORE_RETRY_S)
                settled = await self._commit(came)
        finally:
            self.settling[key] -= 1
            self.settling += Counter()  # drops what is down to nothing

    async def _commit_first(self, came: _Came, *, counts: bool) -> bool:
        self.unsettled += counts
        try:
            return await self._commit(came)
        finally:
            self.unsettled -= counts
            self._wake.set()

    async def _commit(self, came: _Came) -> bool:
        try:
            if came.refusal is not None:
                await self._refused(came, came.refusal)
            else:
                await self._answered(came)
        except StoreFailed as error:
            self._on_event("edge.store-failed", {"why": explain(error)})
            return False
        return True

    async def _refused(self, came: _Came, code: str) -> None:
        platform, limit = self._terms.platform, self._terms.site.refusals
        at_ms = came.answer.at_ms
        found = await self._store.do(outbox.refused, platform, came.qn, code, at_ms, aside_after=limit)
        if found is not None:
            self._health.misses.pop(found.cn, None)
        self._on_event("edge.refused", {"platform": platform, "qn": came.qn, "code": code})

    async def _answered(self, came: _Came) -> None:
        platform = self._terms.platform
        # the first of a link may be a receipt, and what is kept would be sent again after a restart: at once
        do = self._store.do_soon if came.fleeting else self._store.do
        found = await do(outbox.answered, platform, came.qn, came.answer, backfilled=came.backlog)
        if found is None:
            self._on_event("edge.unknown-qn", {"platform": platform, "qn": came.qn})
            return
        self._health.answered += found.first
        self._health.last_answer = came.answer.at_ms
        if found.delivered:
            self._delivered(found.delivery.id)
        if found.receipt:
            params = {"platform": platform, "outlet": found.delivery.outlet, "qn": came.qn}
            official = found.receipt.role == "official"
            self._on_event("edge.connection" if official else "edge.connection-other", params)
        await self._revive(found)

    async def _revive(self, found: Answered) -> None:
        """The first answer to a kind, on each link and after silence: deliveries of the kind need wait no longer."""
        cn = found.delivery.cn
        was_silent = self._health.is_silent(cn)
        self._health.misses.pop(cn, None)
        if cn in self._proven and not was_silent:
            return
        key = found.delivery.platform, found.delivery.outlet
        if await self._store.do(outbox.hasten, *key, cn) or was_silent:
            self._revived()
        self._proven.add(cn)


def _made_at(qn: str, now_ms: int) -> int:
    """When a packet was made, as its QN says: all that is known of its writing after a restart."""
    try:
        return min(parse_time(qn), now_ms)
    except ValueError:
        return now_ms
