"""The daemon with one part that blocks: `python -m tests.torture.hanging PART FOLDER SITE text CLOCK`.

Once there is a file FOLDER/go the part stops for ever, having written the moment (monotonic seconds) to FOLDER/blocked.
Only here is a part of the daemon replaced; the product has no hook for it.
"""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from drivers.poller import Poller
from edge import app, launch
from edge.delivering import Delivering
from edge.measuring import Measuring
from edge.store import store
from edge.uplink.session import Session

FOR_EVER_S = 3_600.0


class Block:
    """Blocks whoever comes first once it is told to; all others pass."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._done = False

    def due(self) -> bool:
        """Whether to block now; True once."""
        if self._done or not (self._folder / "go").exists():
            return False
        self._done = True
        (self._folder / "blocked").write_text(f"{time.monotonic()}\n", encoding="ascii")
        return True


def blocking(where: type, name: str, block: Block, stop: Callable[[], Any]) -> None:
    """Put `stop` before a method."""
    method = getattr(where, name)

    def wrapped(self: Any, *args: Any) -> Any:
        if block.due():
            stop()
        return method(self, *args)

    setattr(where, name, wrapped)


def waiting(where: type, name: str, block: Block) -> None:
    """The same for a coroutine, which then waits for what never comes."""
    method = getattr(where, name)

    async def wrapped(self: Any, *args: Any) -> Any:
        if block.due():
            await asyncio.Event().wait()
        return await method(self, *args)

    setattr(where, name, wrapped)


def sleep() -> None:
    """Stop this thread."""
    time.sleep(FOR_EVER_S)


def hold_all() -> None:
    """Stop every thread: the regular expression never lets go of the interpreter."""
    re.match(r"(a|aa)+$", "a" * 200 + "b")


def replace_part(part: str, block: Block) -> None:
    """One of the parts that the torture test asks for."""
    if part == "loop":
        blocking(Measuring, "_measure", block, sleep)
    elif part == "interpreter":
        blocking(Measuring, "_measure", block, hold_all)
    elif part in ("line", "young-line"):
        blocking(Poller, "step", block, sleep)
        app.LINE_FATAL_S = app.LINE_FATAL_S if part == "young-line" else 0.0
    elif part == "store":
        blocking(store._Side, "run", block, sleep)
    elif part == "session":
        waiting(Session, "_fill", block)
    elif part == "delivering":
        waiting(Delivering, "_tick", block)
    elif part == "measuring":
        waiting(Measuring, "_step", block)
    else:
        raise SystemExit(f"no part {part}")


def main(arguments: list[str]) -> int:
    """The daemon's exit code."""
    part, folder, *rest = arguments
    replace_part(part, Block(Path(folder)))
    return launch.main(rest)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
