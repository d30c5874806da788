"""What a row of each table can be: a damaged page may hold rows that look like some and are none; a record also must be
as it was sealed (`sums`)."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

from edge.store import samples, sums
from edge.values import MINUTE_MS

_LATEST_MS = 4_102_444_800_000
"""The year 2100."""
_QN = range(10**16, 10**17)
_SHA256 = 32


def sound(table: str, row: tuple[Any, ...]) -> bool:
    """Whether a row can be one of this table."""
    check = _CHECKS.get(table)
    return check is None or check(row)


def _record(row: tuple[Any, ...]) -> bool:
    start, kind, _outlet, _factor, revision, *rest = row
    numbers, count, mark = rest[:7], rest[7], rest[8]
    least, most = numbers[0], numbers[2]
    return (
        kind in (1, 2, 3)
        and 0 <= start < _LATEST_MS
        and start % MINUTE_MS == 0
        and 0 <= revision < 10_000
        and 0 <= count < 1_000_000
        and len(mark) == 1
        and mark.isascii()
        and all(number is None or math.isfinite(number) for number in numbers)
        and (least is None or most is None or least <= most)
        and sums.fits(row)
    )


def _delivery(row: tuple[Any, ...]) -> bool:
    cn, start, kept, state = row[3], row[4], row[7], row[9]
    return len(cn) in (0, 4) and 0 <= start < _LATEST_MS * 2 and kept in (0, 1) and state in range(5)


def _packet(row: tuple[Any, ...]) -> bool:
    qn, _delivery, issue, pno, pnum = row[:5]
    return qn in _QN and issue > 0 and 0 < pno <= pnum < 10_000


def _frame(row: tuple[Any, ...]) -> bool:
    return row[0] in _QN and bool(row[1])


def _tick(row: tuple[Any, ...]) -> bool:
    return 0 <= row[0] < _LATEST_MS and samples.is_whole(row[1])


def _journal(row: tuple[Any, ...]) -> bool:
    return row[0] > 0 and len(row[5]) == _SHA256 and _is_json(row[4])


def _mark(row: tuple[Any, ...]) -> bool:
    return _is_json(row[7]) and _is_json(row[16])


def _setting(row: tuple[Any, ...]) -> bool:
    return _is_json(row[3])


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


_CHECKS: dict[str, Callable[[tuple[Any, ...]], bool]] = {
    "record": _record,
    "delivery": _delivery,
    "packet": _packet,
    "frame": _frame,
    "tick": _tick,
    "journal": _journal,
    "mark_entry": _mark,
    "setting": _setting,
}
