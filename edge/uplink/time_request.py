"""1013: asking a platform for the time, when a link is up and when the clocks have drifted apart (HJ 212-2017 C.4).

    1013 ─▶                 ◀─ 9013, then the platform's own 1012, which sets the clock
    ◀─ any command          its QN is the platform's clock (Table 3): more than DRIFT_S away from ours it is asked again

It goes beside the window: unanswered, it holds up nothing.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Any

from edge.clock import Clock, plausible
from edge.uplink.terms import Terms
from protocol.messages import Header, asked_qn, command
from protocol.packet import Packet
from protocol.times import parse_time

DRIFT_S = 60
"""A command that is resent three times is 30 s old already (Table 1), and a slow way adds to it: a smaller difference
says nothing about the clocks."""
ASK_AGAIN_S = 3_600.0
"""Because of a drift the time is asked for no more often than this."""
ASK_TIME, _SETS_TIME = "1013", "1012"


class TimeRequest:
    """`wants()`: whether the clock is not known to be right; `new_qn()`: a committed QN, None: the disk refuses it."""

    def __init__(
        self,
        terms: Terms,
        clock: Clock,
        new_qn: Callable[[], Awaitable[str | None]],
        on_event: Callable[[str, dict[str, Any]], None],
        wants: Callable[[], bool],
    ) -> None:
        self._terms = terms
        self._clock = clock
        self._new_qn = new_qn
        self._on_event = on_event
        self._wants = wants
        self._qn: str | None = None
        self._asked_s = -math.inf
        self._drifted = asyncio.Event()

    def answered_by(self, packet: Packet) -> bool:
        """Whether a packet answers the 1013 that is open."""
        return self._qn is not None and asked_qn(packet) == self._qn

    def close(self) -> None:
        """The open 1013 is answered."""
        self._qn = None

    def heard(self, packet: Packet) -> None:
        """A command has just arrived: say that the clocks have drifted apart, and ask for the time."""
        apart = drift_s(self._terms, packet, self._clock.wall_ms())
        if apart is not None:
            params = {"platform": self._terms.platform, "outlet": self._terms.outlet, "seconds": abs(apart)}
            self._on_event("edge.clock-behind" if apart > 0 else "edge.clock-ahead", params)
            self._drifted.set()

    async def run(self, write: Callable[[bytes], Awaitable[None]]) -> None:
        """While a link is up; an edition without 1013 has nothing to ask with, and a broker has no time."""
        if self._terms.is_mqtt or not self._terms.edition.carries(ASK_TIME):
            return
        if self._wants():
            await self._ask(write)
        while True:
            await self._drifted.wait()
            self._drifted.clear()
            if self._clock.mono_s() - self._asked_s >= ASK_AGAIN_S:
                await self._ask(write)

    async def _ask(self, write: Callable[[bytes], Awaitable[None]]) -> None:
        """Once, and `retries` times more while no answer comes."""
        self._asked_s = self._clock.mono_s()
        qn = await self._new_qn()
        if qn is None:
            return
        terms = self._terms
        frame = terms.frame(command(Header(terms.st, terms.password, terms.mn), ASK_TIME, (), qn))
        self._qn = qn
        for _ in range(1 + terms.retries):
            await write(frame)
            await self._clock.sleep(terms.timeout_s)
            if self._qn != qn:
                return
        self._qn = None


def drift_s(terms: Terms, packet: Packet, now_ms: int) -> int | None:
    """Seconds by which the platform's clock is ahead of ours (negative: behind); None: not worth a word.

    Only commands that bear our MN, ST and password count, none that sets the clock, and none whose QN is no likely time
    (some platforms send a constant). A platform that may not set the clock (`time = "refuse"`) is not compared.
    """
    ours = (packet.mn, packet.st, packet.pw) == (terms.mn, terms.st, terms.password)
    if not ours or terms.site.time == "refuse" or packet.cn == _SETS_TIME:
        return None
    try:
        their_ms = parse_time(packet.qn or "")
    except ValueError:
        return None
    if not (plausible(their_ms) and plausible(now_ms)):
        return None
    apart = round((their_ms - now_ms) / 1000)
    return apart if abs(apart) > DRIFT_S else None
