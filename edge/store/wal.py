"""The write-ahead log of a file as it is on the disk: which pages are in it, and whether it is damaged.

    header 32 bytes · frame · frame · …        frame = page · size at a commit, else 0 · two salts · two sums · page

Each sum goes on from the one of the frame before. SQLite stops at the first frame that does not fit and drops all
behind it without a word. Behind a power cut that is right: the rest was never synced. But where a whole transaction
stands behind the frame that does not fit, what is before it had been synced: the frame was damaged later, and what
stands behind it was promised.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HEAD, FRAME = 32, 24
_MAGIC = (0x377F0682, 0x377F0683)
_FORMAT = 3_007_000


@dataclass(frozen=True, slots=True)
class _Frame:
    page: int
    commit: bool
    sums: tuple[int, int]
    place: int
    sound: bool


def header_sound(path: Path) -> bool:
    """False where the log is longer than its header and the header is none: SQLite drops all of it silently."""
    if not path.exists() or path.stat().st_size <= HEAD:
        return True
    with path.open("rb") as file:
        head = file.read(HEAD)
    return not any(head) or _header(head) is not None  # never written: SQLite extends the file first


def is_damaged(path: Path, reached: int, page_bytes: int) -> bool:
    """Whether whole transactions stand behind the last of the `reached` frames that SQLite takes."""
    if not path.exists() or path.stat().st_size <= HEAD + (reached + 1) * (FRAME + page_bytes):
        return False
    with path.open("rb") as file:
        head = _header(file.read(HEAD))
        if head is None:
            return False
        file.seek(HEAD + reached * (FRAME + page_bytes))
        frames = iter(lambda: file.read(FRAME + page_bytes), b"")
        before: bytes | None = None
        for frame in frames:
            if len(frame) < FRAME + page_bytes or frame[8:16] != head[16:24]:
                before = None
                continue
            if before is not None and _fits(frame, struct.unpack(">II", before[16:24]), head):
                return True
            # the first frame behind a commit is of a transaction that began when the one before was on the disk
            before = frame if any(frame[4:8]) else None
    return False


def overlay(path: Path, page_bytes: int) -> dict[int, int]:
    """Page → where its newest committed bytes stand in the log; frames that do not fit are passed over."""
    committed: dict[int, int] = {}
    doubtful: dict[int, int] | None = None  # a transaction with a damaged frame counts if another stands behind it
    pending: dict[int, int] = {}
    whole = True
    for frame in _frames(path, page_bytes):
        if frame.sound:
            pending[frame.page] = frame.place
        whole = whole and frame.sound
        if not (frame.commit and frame.sound):
            continue
        if whole:
            committed |= doubtful or {}
            committed |= pending
            doubtful = None
        else:
            doubtful = (doubtful or {}) | pending
        pending, whole = {}, True
    return committed


def _frames(path: Path, page_bytes: int) -> Iterator[_Frame]:
    if not path.exists() or path.stat().st_size < HEAD + FRAME + page_bytes:
        return
    with path.open("rb") as file:
        head = file.read(HEAD)
        known = _header(head)
        place = HEAD
        first = file.read(FRAME + page_bytes)
        sums: tuple[int, int] | None = struct.unpack(">II", head[24:32]) if known else None
        # the salts stand in every frame: a header that is gone costs the first frame
        head = known or struct.pack(">I", _MAGIC[0]) + head[4:16] + first[8:16] + head[24:32]
        frame = first
        while len(frame) == FRAME + page_bytes:
            sound = frame[8:16] == head[16:24] and sums is not None and _fits(frame, sums, head)
            sums = struct.unpack(">II", frame[16:24])
            number, size = struct.unpack(">II", frame[:8])
            yield _Frame(number, bool(size), sums, place + FRAME, sound)
            place += FRAME + page_bytes
            frame = file.read(FRAME + page_bytes)


def _header(head: bytes) -> bytes | None:
    if len(head) < HEAD:
        return None
    magic, form = struct.unpack(">II", head[:8])
    if magic not in _MAGIC or form != _FORMAT:
        return None
    return head if _sum(head[:24], (0, 0), magic & 1) == struct.unpack(">II", head[24:]) else None


def _fits(frame: bytes, before: tuple[int, int], head: bytes) -> bool:
    return _sum(frame[:8] + frame[FRAME:], before, head[3] & 1) == struct.unpack(">II", frame[16:24])


def _sum(data: bytes, before: tuple[int, int], big: int) -> tuple[int, int]:
    """SQLite's sum over pairs of 32-bit words (file format, 4.2)."""
    one, two = before
    words = iter(struct.unpack(f"{'>' if big else '<'}{len(data) // 4}I", data))
    for first, second in zip(words, words, strict=True):
        one = (one + first + two) & 0xFFFFFFFF
        two = (two + second + one) & 0xFFFFFFFF
    return one, two


def frames_reached(shm: Path) -> int | None:
    """How many frames SQLite takes, as the index of the open file says; None where there is none."""
    try:
        handle = os.open(shm, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        head = os.pread(handle, 20, 0)
    finally:
        os.close(handle)
    return int(struct.unpack("=I", head[16:20])[0]) if len(head) == 20 else None
