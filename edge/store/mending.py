"""What the store's thread does about damage: the salvage of files set aside, and the reading of the rest when idle.

    opening, or SQLITE_CORRUPT later ─▶ the file is set aside, a new one begins ─▶ begin ─▶ step, step … ─▶ settle

Whatever goes wrong here is said, and left for the next start: the logger works on with its new file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

from edge.clock import Clock
from edge.store import salvage
from edge.store.database import Layout, Report
from edge.store.salvage import Part, Salvage, State

BEGIN_S = 1.0
"""Time for records or samples at the beginning, of each file."""
SLICE_S = 0.05
"""Longest hold-up of the store's thread."""
TOLD_MOST = 20
"""Damaged records that are named one by one; the journal has more."""


def for_a_while(clock: Clock, seconds: float) -> Callable[[], bool]:
    """True until so much time has passed."""
    end = clock.mono_s() + seconds
    return lambda: clock.mono_s() < end


class Mending:
    """The files set aside of one of the two files. All in the store's thread."""

    def __init__(self, folder: Path, layout: Layout, clock: Clock, report: Report) -> None:
        self._folder, self._layout, self._clock, self._report = folder, layout, clock, report
        self._waiting: list[Salvage] = []
        self._done: State | None = None

    @property
    def busy(self) -> bool:
        """Whether there is something to salvage: until then nothing may be deleted."""
        return bool(self._waiting)

    def begin(self, db: sqlite3.Connection) -> None:
        """What cannot wait, of every file that is not done, the newest first."""
        for path in salvage.waiting_files(self._folder, self._layout):
            if path.name in {each.path.name for each in self._waiting}:
                continue
            try:
                found = Salvage(path, self._layout)
            except OSError as error:
                self._failed(path, error.strerror or str(error))
                continue
            db.execute("SAVEPOINT begin")
            try:
                found.begin(db, self._clock.wall_ms(), for_a_while(self._clock, BEGIN_S))
            except (ValueError, LookupError, sqlite3.IntegrityError) as error:  # never a reason not to start
                db.execute("ROLLBACK TO begin")
                found.close()
                self._failed(path, str(error))
            else:
                self._waiting.append(found)
            db.execute("RELEASE begin")

    def step(self, db: sqlite3.Connection) -> bool:
        """One slice; whether there is more. Then `settle`, when it is committed."""
        if not self._waiting:
            return False
        current = self._waiting[0]
        state = current.step(db, for_a_while(self._clock, SLICE_S))
        if state.done:
            current.finish(db, self._clock.wall_ms(), state)
            self._done = state
        return True

    def settle(self) -> None:
        """A file that is done is called so, and what came out of it is said."""
        if self._done is None:
            return
        state, self._done = self._done, None
        current = self._waiting.pop(0)
        current.close()
        try:
            name = current.rename().name
        except OSError as error:
            self._failed(current.path, error.strerror or str(error))
            return
        rows = sum(part.rows for part in state.parts.values())
        bad = sum(part.bad_pages for part in state.parts.values())
        self._report("store.salvaged", {"file": self._layout.file, "aside": name, "rows": rows, "bad": bad})
        for part in state.parts.values():
            if part.left_out:
                self._tell_left_out(part)

    def _tell_left_out(self, part: Part) -> None:
        for which in part.records[:TOLD_MOST]:
            self._report("store.record_damaged", {"file": self._layout.file, **which})
        self._report("store.left_out", {"file": self._layout.file, "rows": part.left_out})

    def unsettle(self) -> None:
        """The slice was not committed after all."""
        self._done = None

    def give_up(self, _db: sqlite3.Connection, why: str) -> None:
        """A slice failed: this file waits for the next start."""
        self._done = None
        if self._waiting:
            current = self._waiting.pop(0)
            current.close()
            self._failed(current.path, why)

    def close(self) -> None:
        """Give the files back."""
        for each in self._waiting:
            each.close()
        self._waiting.clear()

    def _failed(self, path: Path, why: str) -> None:
        self._report("store.salvage_failed", {"file": path.name, "reason": why})
