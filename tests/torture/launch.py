"""The real daemon as the torture starts it: `edge.app`, and around it only what the rig needs to see or to spoil.

launch.py run   [options] SITE START_MS,SPEED,SINCE_REAL_MS    one daemon, in this process
launch.py forks [options] SITE                                 a line on stdin: a daemon forked, its pid, its status

--synchronous NORMAL|OFF   records.db is written so: the rig must find what that loses
--checkpoint PAGES         the WAL is checkpointed so often: more of it in a short run, and small images
--marks FILE               a line after each COMMIT, before anyone hears of it: which file, and a digest of it
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import edge.app as app
from config.load import load_in_child
from edge.clock import SimulatedClock
from edge.logs import set_up_logs
from edge.store import database, store


def options(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("form", choices=("run", "forks"))
    parser.add_argument("--synchronous", choices=("NORMAL", "OFF"))
    parser.add_argument("--checkpoint", type=int)
    parser.add_argument("--marks", type=Path)
    parser.add_argument("site")
    parser.add_argument("clock", nargs="?")
    return parser.parse_args(arguments)


def spoil(asked: argparse.Namespace) -> None:
    """Another way to write the two files."""
    changes: dict[str, Any] = {}
    if asked.checkpoint is not None:
        changes["checkpoint_pages"] = asked.checkpoint
    database.SAMPLES = replace(database.SAMPLES, **changes)
    if asked.synchronous is not None:
        changes["synchronous"] = asked.synchronous
    database.RECORDS = replace(database.RECORDS, **changes)


def tell_commits(marks: Path) -> None:
    """After each COMMIT that the disk has taken, and before its futures resolve, a line into `marks`."""
    from tests.torture.digest import digest

    handle = os.open(marks, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    run = store._Side.run

    def run_and_tell(side: Any, jobs: Any) -> None:
        if not jobs:
            return
        settle = side.mending.settle  # what it does first behind the COMMIT

        def told() -> None:
            os.write(handle, f"{side.file} {digest(side.db)}\n".encode())
            settle()

        side.mending.settle = told
        try:
            run(side, jobs)
        finally:
            side.mending.settle = settle

    store._Side.run = run_and_tell  # type: ignore[method-assign]


def daemon(site: Any, path: str, clock: str) -> None:
    """Until it is killed or asked to end."""
    asyncio.run(app.Daemon(site, SimulatedClock.from_text(clock), Path(path)).run())


def main(arguments: list[str]) -> None:
    """One daemon, or one after another."""
    asked = options(arguments)
    spoil(asked)
    if asked.marks is not None:
        tell_commits(asked.marks)
    site = load_in_child(asked.site)
    set_up_logs("text", sys.stderr)
    if asked.form == "run":
        daemon(site, asked.site, asked.clock)
        return
    print("prepared", flush=True)
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            daemon(site, asked.site, line.strip())
            os._exit(0)
        print(pid, flush=True)
        print(os.waitpid(pid, 0)[1], flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
