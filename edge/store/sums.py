"""The check sum of a sealed record: a bit that flips on worn flash must not make another value of it.

SQLite keeps no sums: a page in which a number has changed is a sound one to it. Ours is the CRC-32 of the key and of
all values as they come back from the disk (-0.0 is 0.0 there). It is made when a record is sealed, and looked at
wherever one is read. A record of an earlier version has none and is taken as it stands. The bytes of a packet have
their SHA-256 beside them.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from hashlib import sha256
from typing import Any
from zlib import crc32

SUM = 17
"""Place of the sum in a row of `record`, behind all that it is made of."""
_VALUES = struct.Struct("<5q7dq").pack
_TOTAL = struct.Struct("<dqd").pack
_NONE = math.nan
"""SQLite keeps no NaN: no number is like it."""
_NO_TIME = -(1 << 63)
_SIGNED = 1 << 31


def of_record(row: Sequence[Any]) -> int:
    """The sum of a row of `record` in the order of its columns, with or without the sum itself; signed 32 bits.

    Raises TypeError, AttributeError, ValueError, struct.error where a value cannot be one of its column.
    """
    # no loops: they take three times as long, and every record that is written or read comes by
    start, kind, outlet, factor, revision, least, mean, most, zs_least, zs_mean, zs_most, cou = row[:12]
    count, mark, total, total_at, caught_up = row[12:SUM]
    values = _VALUES(
        start,
        kind,
        outlet,
        factor,
        revision,
        _NONE if least is None else least + 0.0,  # which no bytes and no text can be
        _NONE if mean is None else mean + 0.0,
        _NONE if most is None else most + 0.0,
        _NONE if zs_least is None else zs_least + 0.0,
        _NONE if zs_mean is None else zs_mean + 0.0,
        _NONE if zs_most is None else zs_most + 0.0,
        _NONE if cou is None else cou + 0.0,
        count,
    )
    found = crc32(mark.encode(), crc32(values))
    if total is not None or total_at is not None or caught_up is not None:
        time = _NO_TIME if total_at is None else total_at
        total, caught_up = (_NONE if one is None else one + 0.0 for one in (total, caught_up))
        found = crc32(_TOTAL(total, time, caught_up), found)
    return found - _SIGNED


def has_sum(row: Sequence[Any]) -> bool:
    """Whether a row of `record` can be checked."""
    return len(row) > SUM and row[SUM] is not None


def fits(row: Sequence[Any]) -> bool:
    """Whether a row of `record` is as it was sealed, as far as that can be said."""
    if not has_sum(row):
        return True
    try:
        return bool(of_record(row) == row[SUM])
    except (TypeError, AttributeError, ValueError, struct.error):
        return False


def sent(data: bytes | None, digest: bytes | None) -> bytes | None:
    """The bytes of a packet as they were built; None where they have gone, or are not those any more.

    `digest`: their SHA-256; None of an earlier version.
    """
    return data if data is None or digest is None or sha256(data).digest() == digest else None
