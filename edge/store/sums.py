"""The check sum of a sealed record: a bit that flips on worn flash must not make another value of it.

SQLite keeps no sums: a page in which a number has changed is a sound one to it. Ours is the CRC-32 of the key and of
all values, as they come back from the disk: -0.0 is 0.0 there, and NaN is no value. It is made when a record is sealed
and looked at wherever one is read. A record of an earlier version has none and is taken as it stands. The bytes of a packet have their SHA-256 beside them.
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
_PACK = struct.Struct("<7q9d").pack
_NO_TIME = -(1 << 63)
_NO_VALUE = math.nan
_SIGNED = 1 << 31


def of_record(row: Sequence[Any]) -> int:
    """The sum of a row of `record` in the order of its columns, with or without the sum itself; signed 32 bits.

    Raises TypeError, AttributeError, ValueError, struct.error where a value cannot be one of its column.
    """
    start, kind, outlet, factor, revision = row[:5]
    count, mark, total, total_at, caught_up = row[12:SUM]
    numbers = [_NO_VALUE if one is None or one != one else one + 0.0 for one in (*row[5:12], total, caught_up)]
    time = _NO_TIME if total_at is None else total_at
    return crc32(mark.encode(), crc32(_PACK(start, kind, outlet, factor, revision, count, time, *numbers))) - _SIGNED


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
