"""Heartbeats (9015, 9021) of one session: beside the window, answered or not; they hold up nothing and are no data.

link up ─▶ 9015 ─ heartbeat_every ─▶ 9015 ─ …        ◀─ 9013, 9014 or 9022, or silence
`heartbeat_every = "0s"`: one after connecting, as a login, before any data; these do not wait for its answer.

Neither 2005 nor 2017 has a heartbeat; many platforms want one. A platform that answers data and no heartbeats is alive:
only one during which nothing at all arrived counts as unheard.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable

from edge.clock import Clock
from edge.uplink.terms import Terms
from protocol.messages import Header, asked_qn, heartbeat
from protocol.packet import Packet

_ANSWERS = frozenset({"9013", "9014"})
_LOGIN_ANSWER = "9022"
_REMEMBERED = 8
"""Heartbeats whose answer may still come late."""


class Heartbeat:
    """`new_qn()` commits a QN, or gives None where the disk refuses it; `write(frame)` sends at once.

    `unheard()` is called for each heartbeat during which nothing arrived; it raises LinkDown where that is too much.
    """

    def __init__(
        self,
        terms: Terms,
        clock: Clock,
        new_qn: Callable[[], Awaitable[str | None]],
        unheard: Callable[[], None],
    ) -> None:
        self._terms = terms
        self._clock = clock
        self._new_qn = new_qn
        self._unheard = unheard
        self._sent: deque[str] = deque(maxlen=_REMEMBERED)
        self._heard = True

    def heard(self) -> None:
        """Something has arrived from the platform."""
        self._heard = True

    def answered_by(self, packet: Packet) -> bool:
        """Whether a packet answers a heartbeat; some platforms send the heartbeat itself back."""
        own = self._terms.site.heartbeat
        if own == "off":
            return False
        return packet.cn in (_LOGIN_ANSWER, own) or (packet.cn in _ANSWERS and asked_qn(packet) in self._sent)

    async def begin(self, write: Callable[[bytes], Awaitable[None]]) -> None:
        """The first of a link."""
        self._heard = True
        if self._terms.site.heartbeat != "off":
            await self._beat(write)

    async def go_on(self, write: Callable[[bytes], Awaitable[None]]) -> None:
        """The others, until the link ends."""
        every_s = self._terms.site.heartbeat_every / 1000
        if self._terms.site.heartbeat == "off" or not every_s:
            return
        while True:
            await self._clock.sleep(every_s)
            if not self._heard:
                self._unheard()
            await self._beat(write)

    async def _beat(self, write: Callable[[bytes], Awaitable[None]]) -> None:
        qn = await self._new_qn()
        if qn is None:
            return
        terms = self._terms
        packet = heartbeat(Header(terms.st, terms.password, terms.mn), terms.site.heartbeat, qn)
        self._sent.append(qn)
        self._heard = False
        await write(terms.frame(packet))
