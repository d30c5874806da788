"""The clocks of the analyzers that have `set-time`: set every day to the logger's, by themselves (HJ 212-2017 §6.7)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from edge.actions import Actions
from edge.clock import Clock, plausible
from edge.values import DAY_MS, HOUR_MS, MINUTE_MS, period_start

AT_MS = 4 * HOUR_MS + 37 * MINUTE_MS
"""When, after midnight in Beijing: away from the whole hours, when analyzers begin to sample."""
STEP_S = 600.0
"""The clock may be set meanwhile: how often it is looked at."""

Note = Callable[[str, dict[str, Any]], Awaitable[None]]


async def set_analyzer_clocks(actions: Actions, clock: Clock, note: Note) -> None:
    """Once a day, for ever; `note` puts what came of it into the journal."""
    done = _day(clock.wall_ms())
    while True:
        await clock.sleep(STEP_S)
        now_ms = clock.wall_ms()
        if not plausible(now_ms) or _day(now_ms) == done:
            continue
        done = _day(now_ms)
        for outlet, pol_id in actions.having("set-time"):
            result = await actions.run(outlet, pol_id, "set-time")
            detail = {"outlet": outlet, "pol_id": pol_id, "ExeRtn": result.exe_rtn}
            await note("instrument.set-time", {**detail, "why": getattr(result.why, "code", None)})


def _day(now_ms: int) -> int:
    """The day that begins at AT_MS."""
    return period_start(now_ms - AT_MS, DAY_MS)
