"""The pages of a SQLite file as they are on the disk, for salvage: SQLite gives up at the first bad page of a table.

    file ─▶ page, or its newest committed copy in the WAL ─▶ tree of a table, newest leaf first ─▶ rows

Only the file format (sqlite.org/fileformat2.html) is used; nothing is written. A page whose cells are not all as they
must be is given as a bad one: half of it may be the rubbish of a torn write, and a row that ends there looks sound.
Never on a file that this process has open with SQLite: to close a second handle gives SQLite's locks away.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any

from edge.store.wal import overlay

TABLE_LEAF, TABLE_INNER, INDEX_LEAF, INDEX_INNER = 13, 5, 10, 2
_DEPTH = 16
"""A tree that is deeper is none."""
_LONGEST = 1 << 24
"""Bytes of a row; a longer one is damage."""
_INT_BYTES = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
_FIXED: dict[int, Any] = {0: None, 8: 0, 9: 1}

Row = tuple[int | None, list[Any]]
"""Its rowid (None: the table has none), and its values in the order of storage."""


class BadPage(ValueError):
    """A page or row that is not as it must be."""


@dataclass(frozen=True, slots=True)
class Page:
    """A piece of a table: a leaf, or a row that stands in an inner page (`cells`: where); `cells` None: unreadable."""

    number: int
    kind: int
    cells: tuple[int, ...] | None


class PageFile:
    """A file with its WAL; raises OSError where it cannot be read at all."""

    def __init__(self, path: Path, page_bytes: int) -> None:
        self._size = page_bytes
        self._file = path.open("rb")
        try:
            self._frames = overlay(path.with_name(path.name + "-wal"), page_bytes)
        except BaseException:
            self._file.close()
            raise
        self._wal = path.with_name(path.name + "-wal").open("rb") if self._frames else None
        self.count = max(self._file.seek(0, 2) // page_bytes, max(self._frames, default=0))
        """Pages of the file."""

    def __enter__(self) -> PageFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give the handles back."""
        self._file.close()
        if self._wal is not None:
            self._wal.close()

    def page(self, number: int) -> bytes:
        """The newest committed bytes of a page; raises BadPage where there are none."""
        file, place = self._file, (number - 1) * self._size
        if number in self._frames and self._wal is not None:
            file, place = self._wal, self._frames[number]
        if not 0 < number <= self.count:
            raise BadPage(f"page {number} of {self.count}")
        try:
            file.seek(place)
            data = file.read(self._size)
        except OSError as error:  # the medium does not give it
            raise BadPage(f"page {number}: {error.strerror}") from error
        if len(data) < self._size:
            raise BadPage(f"page {number} is cut off")
        return data

    def roots(self) -> dict[str, int]:
        """Table or index → its root page, as far as the schema can be read."""
        found = {}
        for page in self.walk(1):
            try:
                rows = self.rows(page)
            except BadPage:
                continue
            for _, values in rows:
                if values[0] in ("table", "index") and isinstance(values[3], int):
                    found[str(values[1])] = values[3]
        return found

    def walk(self, root: int, above: tuple[int, ...] = ()) -> Iterator[Page]:
        """The pieces of a table or index, last key first; an unreadable page stands for all below it."""
        try:
            if root in above or len(above) >= _DEPTH:
                raise BadPage(f"page {root} is its own child")
            data = self.page(root)
            kind, cells = _cells(data, root)
        except BadPage:
            yield Page(root, 0, None)
            return
        if kind in (TABLE_LEAF, INDEX_LEAF):
            yield Page(root, kind, cells)
            return
        path = (*above, root)
        yield from self.walk(int.from_bytes(data[_head(root) + 8 : _head(root) + 12], "big"), path)
        for cell in reversed(cells):
            if kind == INDEX_INNER:
                yield Page(root, kind, (cell,))
            yield from self.walk(int.from_bytes(data[cell : cell + 4], "big"), path)

    def rows(self, page: Page) -> list[Row]:
        """The rows of a piece, in the order of their keys; raises BadPage where one of them is not sound."""
        if page.cells is None:
            raise BadPage(f"page {page.number} cannot be read")
        data = self.page(page.number)
        try:
            rows = [self._row(data, cell, page.kind) for cell in page.cells]
        except (IndexError, struct.error, UnicodeDecodeError) as error:
            raise BadPage(f"page {page.number}: {error}") from error
        if page.kind == TABLE_LEAF and any(one[0] >= two[0] for one, two in pairwise(rows)):  # type: ignore[operator]
            raise BadPage(f"page {page.number}: rows out of order")
        return rows

    def readable(self, page: Page) -> list[Row]:
        """Those rows of a piece that can be read by themselves: half of it may be rubbish that looks like some."""
        rows = []
        for cell in page.cells or ():
            try:
                rows += self.rows(Page(page.number, page.kind, (cell,)))
            except BadPage:
                continue
        return rows

    def _row(self, data: bytes, place: int, kind: int) -> Row:
        if kind == INDEX_INNER:
            place += 4
        length, place = varint(data, place)
        rowid = None
        if kind == TABLE_LEAF:
            rowid, place = varint(data, place)
        return rowid, record(self._payload(data, place, length, kind))

    def _payload(self, data: bytes, place: int, length: int, kind: int) -> bytes:
        if not 0 < length <= _LONGEST:
            raise BadPage(f"a row of {length} bytes")
        local = self._local(length, kind)
        payload = data[place : place + local]
        if local == length:
            return payload
        following = int.from_bytes(data[place + local : place + local + 4], "big")
        parts, left = [payload], length - local
        while left > 0:
            more = self.page(following)
            parts.append(more[4 : 4 + left])
            left -= len(parts[-1])
            following = int.from_bytes(more[:4], "big")
        return b"".join(parts)

    def _local(self, length: int, kind: int) -> int:
        """How many bytes of a row stand in the page itself (file format, 1.6)."""
        most = self._size - 35 if kind == TABLE_LEAF else (self._size - 12) * 64 // 255 - 23
        if length <= most:
            return length
        least = (self._size - 12) * 32 // 255 - 23
        wanted = least + (length - least) % (self._size - 4)
        return wanted if wanted <= most else least


def varint(data: bytes, place: int) -> tuple[int, int]:
    """The number at `place`, and where it ends."""
    value = 0
    for count in range(8):
        byte = data[place + count]
        if byte < 0x80:
            return value << 7 | byte, place + count + 1
        value = value << 7 | byte & 0x7F
    value = value << 8 | data[place + 8]
    return (value - (1 << 64) if value >> 63 else value), place + 9


def record(payload: bytes) -> list[Any]:
    """The values of a row; raises BadPage where head and length do not fit."""
    end, place = varint(payload, 0)
    at = end
    values: list[Any] = []
    while place < end:
        kind, place = varint(payload, place)
        if kind in _INT_BYTES:
            size = _INT_BYTES[kind]
            values.append(int.from_bytes(payload[at : at + size], "big", signed=True))
            at += size
        elif kind == 7:
            values.append(struct.unpack_from(">d", payload, at)[0])
            at += 8
        elif kind >= 12:
            size = (kind - 12) >> 1
            part = payload[at : at + size]
            values.append(part.decode() if kind & 1 else part)
            at += size
        elif kind in _FIXED:
            values.append(_FIXED[kind])
        else:
            raise BadPage(f"serial type {kind}")
    if place != end or at != len(payload):
        raise BadPage("a row that does not end where it must")
    return values


def _head(number: int) -> int:
    return 100 if number == 1 else 0  # the file's own header


def _cells(data: bytes, number: int) -> tuple[int, tuple[int, ...]]:
    start = _head(number)
    kind, count = data[start], int.from_bytes(data[start + 3 : start + 5], "big")
    first = start + (8 if kind in (TABLE_LEAF, INDEX_LEAF) else 12)
    last = first + 2 * count
    if kind not in (TABLE_LEAF, TABLE_INNER, INDEX_LEAF, INDEX_INNER) or last > len(data):
        raise BadPage(f"page {number} is none of a table")
    cells = struct.unpack(f">{count}H", data[first:last])
    inside = tuple(cell for cell in cells if last <= cell < len(data) - 3)
    if len(inside) < count and kind in (TABLE_LEAF, INDEX_LEAF):
        raise BadPage(f"page {number} has a cell outside")
    return kind, inside  # of an inner page: the children that can still be found
