"""Errors of the store: a code and parameters; the catalogue puts them into words."""

from __future__ import annotations

import sqlite3
from typing import Any

FULL = 13
_BROKEN_FILE = {11, 26}
"""SQLITE_CORRUPT, SQLITE_NOTADB."""
_SIGNS = ("malformed", "Could not decode to UTF-8")
_NOT_OURS = {1, 19, 20}
"""SQLITE_ERROR (no such table, a column that is there already), CONSTRAINT, MISMATCH."""
_ENDS_TRANSACTION = {5, 7, 8, 10, FULL, 14} | _BROKEN_FILE
"""… BUSY, NOMEM, READONLY, IOERR, FULL, CANTOPEN: the disk or the file, not the job, is at fault."""


class StoreError(Exception):
    """The store cannot do what was asked; `code` names the text (`store.…`), `params` fill it."""

    def __init__(self, code: str, **params: Any) -> None:
        super().__init__(code, params)
        self.code = code
        self.params = params

    def __str__(self) -> str:
        return self.code + "".join(f" {name}={value!r}" for name, value in self.params.items())


class StoreLocked(StoreError):
    """Another daemon works in this data_dir: stop one of the two."""


class StoreNewer(StoreError):
    """The file was written by a newer program: update the program; the file is left as it is."""


class StoreFailed(StoreError):
    """The disk did not take the transaction; nothing of it is kept. The caller may try again."""


class StoreFull(StoreFailed):
    """The disk is full."""


class StoreClosed(StoreError):
    """The store has been closed, or is not there."""


def primary_code(error: sqlite3.Error) -> int:
    """SQLite's primary result code of an error; 0 where there is none."""
    return int(getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the error says that the file itself is broken."""
    return primary_code(error) in _BROKEN_FILE or any(sign in str(error) for sign in _SIGNS)


def is_misfit(error: sqlite3.Error) -> bool:
    """Whether a file that is being opened cannot be one of ours: broken, or without the tables that it must have."""
    return is_damage(error) or primary_code(error) in _NOT_OURS


def ends_transaction(error: sqlite3.Error) -> bool:
    """Whether the error concerns everything in the transaction and not the one statement."""
    return primary_code(error) in _ENDS_TRANSACTION or is_damage(error)


def failure(error: sqlite3.Error, file: str) -> StoreFailed:
    """The store's own error for one of SQLite's."""
    if primary_code(error) == FULL:
        return StoreFull("store.full", file=file)
    return StoreFailed("store.failed", file=file, reason=str(error))
