"""A disk as a power cut finds it: what was synced, and of everything since then any part.

    operations ─▶ Disk.apply ─▶ durable content and names, pending changes ─▶ Disk.image(Choice …) ─▶ {path: bytes}

A write, or a change of size, is only in the page cache until its file is synced; a name that was made, renamed or
removed only until its folder is. At a cut each pending write may have reached the disk whole, in part (512-byte
sectors, 4 KiB pages) or not at all, whatever came after it; a file may have its new size without its new data, or the
reverse. Names reach the disk in their order, as on every file system with a journal, but not with the data. A folder
that is synced brings the names before it along.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Literal

SECTOR, PAGE = 512, 4096
Way = Literal["kept", "dropped", "torn 512", "torn 4096", "reordered", "sectors", "size only", "data only"]
WAYS: tuple[Way, ...] = (
    "kept", "dropped", "torn 512", "torn 4096", "reordered", "sectors", "size only", "data only",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes at an offset; None: at the end."""

    path: str
    data: bytes
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class Resize:
    """ftruncate, or an opening that cuts off."""

    path: str
    size: int


@dataclass(frozen=True, slots=True)
class Sync:
    """fsync or fdatasync of a file or a folder, returned."""

    path: str


@dataclass(frozen=True, slots=True)
class Create:
    """A new, empty file; nothing where it is there."""

    path: str


@dataclass(frozen=True, slots=True)
class Rename:
    """A file or a folder with all that is in it."""

    path: str
    to: str


@dataclass(frozen=True, slots=True)
class Remove:
    """unlink."""

    path: str


@dataclass(frozen=True, slots=True)
class Copy:
    """sendfile: bytes of one file to the end of another."""

    path: str
    source: str
    offset: int
    length: int


Operation = Write | Resize | Sync | Create | Rename | Remove | Copy
_Name = Create | Rename | Remove


@dataclass(frozen=True, slots=True)
class Change:
    """A pending write (`data`) or size; `serial` tells it from every other."""

    serial: int
    offset: int
    data: bytes | None

    @property
    def end(self) -> int:
        return self.offset + len(self.data or b"")


@dataclass(slots=True)
class Inode:
    """A file whatever it is called."""

    number: int
    durable: bytes = b""
    cache: bytearray = field(default_factory=bytearray)
    pending: list[Change] = field(default_factory=list)
    version: int = 0
    """How often it was synced."""


Piece = tuple[int, int, int]
"""(serial, from, to): the part of a change that reached the disk; a size counts as (serial, 0, 0)."""


@dataclass(frozen=True, slots=True)
class Survivor:
    """One file at a cut: which parts of its pending changes are on the disk, and how long it is (None: as they say)."""

    path: str
    inode: Inode
    pieces: tuple[Piece, ...]
    size: int | None = None

    @property
    def key(self) -> tuple[object, ...]:
        """Two survivors of one key are the same bytes."""
        return self.path, self.inode.number, self.inode.version, self.pieces, self.size

    def content(self) -> bytes:
        """The bytes on the disk."""
        changes = {change.serial: change for change in self.inode.pending}
        found = bytearray(self.inode.durable)
        for serial, begin, end in self.pieces:
            change = changes[serial]
            if change.data is None:
                _resize(found, change.offset)
            else:
                _put(found, change.offset + begin, change.data[begin:end])
        if self.size is not None:
            _resize(found, self.size)
        return bytes(found)


class Disk:
    """All files below some folders, from `files` (on disk already) on."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._serial = count(1)
        self._numbers = count(1)
        self.names = {path: self._inode(data) for path, data in files.items()}
        """As a process sees them."""
        self._durable_names = dict(self.names)
        self._pending_names: list[tuple[_Name, Inode | None]] = []

    def apply(self, operation: Operation) -> None:
        """One more operation."""
        match operation:
            case Write(path, data, offset):
                self._write(self.names[path], data, offset)
            case Copy(path, source, offset, length):
                self._write(self.names[path], bytes(self.names[source].cache[offset : offset + length]), None)
            case Resize(path, size):
                inode = self.names[path]
                inode.pending.append(Change(next(self._serial), size, None))
                _resize(inode.cache, size)
            case Sync(path):
                self._sync(path)
            case Create(path) if path not in self.names:
                inode = self._inode(b"")
                self.names[path] = inode
                self._pending_names.append((operation, inode))
            case Rename() | Remove():
                _rename_in(self.names, operation)
                self._pending_names.append((operation, None))

    def survivors(self, way: Callable[[str], Way], names: int | None, chance: random.Random) -> list[Survivor]:
        """What a cut leaves. `way` of each path; `names`: so many of the pending changes of names (None: all)."""
        known = dict(self._durable_names)
        for operation, inode in self._pending_names[:names]:
            if isinstance(operation, Create):
                assert inode is not None
                known[operation.path] = inode
            else:
                _rename_in(known, operation)
        return [_survivor(path, inode, way(path), chance) for path, inode in sorted(known.items())]

    @property
    def pending_names(self) -> int:
        """How many names were changed since their folder was synced."""
        return len(self._pending_names)

    def _inode(self, data: bytes) -> Inode:
        return Inode(next(self._numbers), data, bytearray(data))

    def _write(self, inode: Inode, data: bytes, offset: int | None) -> None:
        place = len(inode.cache) if offset is None else offset
        inode.pending.append(Change(next(self._serial), place, data))
        _put(inode.cache, place, data)

    def _sync(self, path: str) -> None:
        inode = self.names.get(path)
        if inode is not None:
            inode.durable, inode.pending = bytes(inode.cache), []
            inode.version += 1
            return
        last = max((n for n, (each, _) in enumerate(self._pending_names, 1) if path in _folders(each)), default=0)
        for operation, made in self._pending_names[:last]:
            if isinstance(operation, Create):
                assert made is not None
                self._durable_names[operation.path] = made
            else:
                _rename_in(self._durable_names, operation)
        del self._pending_names[:last]


def _folders(operation: _Name) -> set[str]:
    paths = [operation.path, operation.to] if isinstance(operation, Rename) else [operation.path]
    return {path.rpartition("/")[0] for path in paths}


def _rename_in(names: dict[str, Inode], operation: _Name) -> None:
    if isinstance(operation, Rename):
        for path in [each for each in names if each == operation.path or each.startswith(operation.path + "/")]:
            names[operation.to + path[len(operation.path) :]] = names.pop(path)
    else:
        names.pop(operation.path, None)


def _put(content: bytearray, offset: int, data: bytes) -> None:
    if data:
        if offset > len(content):
            _resize(content, offset)
        content[offset : offset + len(data)] = data


def _resize(content: bytearray, size: int) -> None:
    if size < len(content):
        del content[size:]
    else:
        content.extend(bytes(size - len(content)))


def _survivor(path: str, inode: Inode, way: Way, chance: random.Random) -> Survivor:
    pending = inode.pending
    whole = [(change.serial, 0, len(change.data or b"")) for change in pending]
    if not pending or way == "kept":
        return Survivor(path, inode, tuple(whole))
    if way == "dropped":
        return Survivor(path, inode, ())
    if way in ("torn 512", "torn 4096"):
        at = chance.randrange(len(pending))
        return Survivor(path, inode, (*whole[:at], *_torn(pending[at], SECTOR if way == "torn 512" else PAGE, chance)))
    if way == "reordered":
        return Survivor(path, inode, tuple(piece for piece in whole if chance.random() < 0.5))
    if way == "sectors":
        pieces = (piece for change in pending for piece in blocks(change, SECTOR) if chance.random() < 0.5)
        return Survivor(path, inode, tuple(pieces))
    if way == "size only":
        return Survivor(path, inode, (), len(inode.cache))
    return Survivor(path, inode, tuple(whole), len(inode.durable))


def _torn(change: Change, block: int, chance: random.Random) -> list[Piece]:
    """The first blocks of a change; a write inside one block is whole or not there."""
    pieces = list(blocks(change, block))
    return pieces[: chance.randrange(len(pieces))] if len(pieces) > 1 else pieces[: chance.randrange(2)]


def blocks(change: Change, block: int) -> Iterator[Piece]:
    """A change cut where the blocks of the file begin."""
    if change.data is None:
        yield change.serial, 0, 0
        return
    begin = change.offset
    while begin < change.end:
        end = min(change.end, (begin // block + 1) * block)
        yield change.serial, begin - change.offset, end - change.offset
        begin = end
