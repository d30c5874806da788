"""Where every thread and every task stands, as text: written when a part hangs, read by whoever looks for the cause."""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
from collections.abc import Iterator
from typing import Any

LONGEST = 65_536
"""Characters; what is longer is cut."""


def standing(loop: asyncio.AbstractEventLoop | None) -> str:
    """The stacks of all threads, then of the tasks of a loop; may be called from any thread."""
    parts = [*_threads()]
    if loop is not None:
        parts += [_task(task) for task in sorted(asyncio.all_tasks(loop), key=asyncio.Task.get_name)]
    return "\n".join(parts)[:LONGEST]


def _threads() -> Iterator[str]:
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    for ident, frame in sys._current_frames().items():
        yield f"\nthread {names.get(ident, ident)}\n" + "".join(traceback.format_stack(frame))


def _task(task: asyncio.Task[Any]) -> str:
    return "\n".join([f"task {task.get_name()}", *_awaited(task.get_coro())])


def _awaited(waits: Any) -> Iterator[str]:
    """A coroutine and what it waits for, from the outermost in: a task's own stack has only the first."""
    while waits is not None:
        frame = getattr(waits, "cr_frame", None) or getattr(waits, "gi_frame", None)
        if frame is None:
            return
        yield f"  {frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_qualname}"
        waits = getattr(waits, "cr_await", None) or getattr(waits, "gi_yieldfrom", None)
