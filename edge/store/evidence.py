"""`connection.jsonl`: the receipts once more, one a line, appended and fsynced; survives the loss of records.db.

On opening, file and table are brought together both ways; after every commit what is new in the table is
appended. A receipt is in the table first: should the append fail, the next commit or the next start makes up
for it.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge.store import connection
from edge.store.connection import Receipt


class Evidence:
    """The file beside the table."""

    def __init__(self, path: Path, on_event: Callable[[str, dict[str, Any]], None]) -> None:
        self._path = path
        self._on_event = on_event
        self._in_file: set[str] = set()
        self._behind = 0

    def reconcile(self, db: sqlite3.Connection) -> int:
        """Read the file and put what the table lacks into it; how many receipts came back.

        Lines that are damaged are told and left where they are.
        """
        restored = self._behind = 0
        for receipt in self._read():
            self._in_file.add(receipt.digest)
            restored += connection.keep(db, receipt, "connection.restored", receipt.official_ms)
        return restored

    def append_new(self, db: sqlite3.Connection) -> None:
        """Append the committed receipts that the file lacks."""
        new = connection.receipts(db, self._behind)
        if not new:
            return
        missing = [receipt for receipt in new if receipt.digest not in self._in_file]
        try:
            if missing:
                self._append("".join(receipt.to_line() + "\n" for receipt in missing).encode())
        except OSError as error:
            self._on_event("store.evidence_failed", {"file": self._path.name, "reason": error.strerror or str(error)})
            return
        self._in_file.update(receipt.digest for receipt in missing)
        self._behind = db.execute("SELECT max(id) FROM receipt").fetchone()[0]

    def _read(self) -> list[Receipt]:
        try:
            lines = self._path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return []
        except OSError as error:
            self._on_event("store.evidence_failed", {"file": self._path.name, "reason": error.strerror or str(error)})
            return []
        found = []
        for number, line in enumerate(lines, 1):
            try:
                if line.strip():
                    found.append(Receipt.from_line(line.decode()))
            except ValueError as error:
                self._on_event(
                    "store.evidence_bad_line",
                    {"file": self._path.name, "line": number, "reason": str(error)[:200]},
                )
        return found

    def _append(self, data: bytes) -> None:
        new = not self._path.exists()
        handle = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            size = os.fstat(handle).st_size
            if size and os.pread(handle, 1, size - 1) != b"\n":
                data = b"\n" + data  # behind a line that a power cut tore
            while data:
                data = data[os.write(handle, data) :]
            os.fsync(handle)
        finally:
            os.close(handle)
        if new:
            folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
