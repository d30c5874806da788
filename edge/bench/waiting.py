"""Waiting in the clock's own pace, so that a simulated clock runs the platform's time-outs too."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from edge.clock import Clock

T = TypeVar("T")


async def within(clock: Clock, seconds: float, waiting: Coroutine[Any, Any, T]) -> T | None:
    """What `waiting` gives, or None when `seconds` of the clock pass first; then nothing is taken."""
    wanted = asyncio.ensure_future(waiting)
    alarm = asyncio.ensure_future(clock.sleep(seconds))
    try:
        await asyncio.wait({wanted, alarm}, return_when=asyncio.FIRST_COMPLETED)
        return wanted.result() if wanted.done() else None
    finally:
        wanted.cancel()
        alarm.cancel()
