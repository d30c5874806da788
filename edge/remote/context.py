"""What a handler gets and gives; the codes of the standard's Tables 6 and 7."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from edge.actions import ActionResult, Actions
from edge.clock import Clock
from edge.uplink.history import Source
from edge.uplink.terms import Terms
from protocol.packet import Packet
from protocol.region import Region

ACCEPTED, REFUSED, WRONG_PW, WRONG_MN, WRONG_ST, WRONG_FLAG, WRONG_QN, WRONG_CN = 1, 2, 3, 4, 5, 6, 7, 8
"""QnRtn, Table 7."""
SUCCESS, FAILED, CONDITION, TIMEOUT, BUSY, FAULT, NO_DATA = 1, 2, 3, 4, 5, 6, 100
"""ExeRtn, Table 6."""
REFUSAL_NOTE_S = 3_600.0
REFUSALS_KNOWN = 64
MINUTE_S = 60.0


@dataclass(slots=True)
class Refusals:
    """Commands of one platform lately: how many it gave, and which were refused.

    A platform that repeats one for ever must not fill the journal.
    """

    noted: dict[tuple[str, int], float] = field(default_factory=dict)
    given: deque[float] = field(default_factory=deque)

    def is_news(self, cn: str, code: int, now_s: float) -> bool:
        """Whether this refusal goes into the journal: the first of its kind within REFUSAL_NOTE_S."""
        key = cn, code
        if now_s - self.noted.get(key, -math.inf) < REFUSAL_NOTE_S:
            return False
        if len(self.noted) >= REFUSALS_KNOWN:
            self.noted.clear()
        self.noted[key] = now_s
        return True

    def within(self, per_minute: int, now_s: float) -> bool:
        """Whether one more command may be carried out now, which then counts; 0: any number."""
        while self.given and now_s - self.given[0] >= MINUTE_S:
            self.given.popleft()
        if per_minute and len(self.given) >= per_minute:
            return False
        if per_minute:
            self.given.append(now_s)
        return True


async def _untold(_at_ms: int, _result: ActionResult) -> None:
    """There is no keep log and no other platform."""


@dataclass(slots=True)
class Context:
    """What a handler may use."""

    terms: Terms
    clock: Clock
    put: Callable[[dict[str, str], str], Awaitable[None]]
    """Keep platform-set values: by name, and the CN that set them; returns when they are committed."""
    note: Callable[[str, dict[str, Any]], Awaitable[None]]
    """An entry in the journal."""
    synchronised: Callable[[], bool]
    """Whether the clock is known to be right."""
    clock_set: Callable[[], None]
    """Tells the daemon that the clock was set."""
    refusals: Refusals
    actions: Actions
    """What the instruments can do."""
    source: Callable[[str, int, int], Source]
    """The records of a CN between two start labels, both included."""
    history: Callable[[str, Source], Awaitable[int]]
    """Send data that were asked for; gives ExeRtn when all is sent and answered."""
    spawn: Callable[[Coroutine[Any, Any, None]], bool]
    """Go on beside the other commands; False: too many do."""
    ambient_kpa: float | None = None
    """i23001."""
    kept_sample: Callable[[int, ActionResult], Awaitable[None]] = _untold
    """Keeps the log of samples and tells the other platforms: when it was kept, UTC ms, and what the action gave."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an execution ended: ExeRtn, and the data to send before it with their Flag."""

    code: int = SUCCESS
    region: Region | None = None
    asks: bool = False
    """Flag bit A of the data (3015, C.34)."""


Handler = Callable[[Context, Packet], Awaitable[Outcome]]
