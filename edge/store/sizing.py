"""How much disk a site takes: bytes a day of each class of data, and in all at its retention.

    row ─▶ its share of a 1 kB page (whole rows only; a long one has pages of its own) ─▶ × rows a day ─▶ × days kept

The lengths of rows are those of the tables (`migrations`); `tests/edge/store/test_store_sizing.py` holds them against a
store that was really filled.
"""

from __future__ import annotations

from dataclasses import dataclass

from config.site import Retention
from edge.store.database import RECORDS, SAMPLES
from edge.store.linklog import RING
from edge.store.retention import LIVE_MS
from edge.values import DAY_MS, HOUR_MS, MINUTE_MS

_PAGE = RECORDS.page_bytes
_LOCAL = _PAGE - 35
"""A longer row goes on on pages of its own (file format, 1.6)."""
_LEAST = (_PAGE - 12) * 32 // 255 - 23
_CELL = 12
"""Bytes of a row beside its values: lengths, key, pointer."""
_RECORD = 73
"""A record with minimum, mean, maximum and emission: rows of one minute share what they have in common."""
_DELIVERY, _PACKET = 81, 93
"""With their indexes."""
_FIELD, _FLAG = 17, 14
"""Bytes of `w01018-Avg=12.34,` and `w01018-Flag=N;` in a packet."""
_HEAD, _CUT = 130, 900
"""Bytes of a packet beside its data; data of one packet."""
_INNER = 1.015
"""Inner pages of a tree."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a site has: points that are sampled, and platforms that get all of it. Times in ms."""

    points: int
    every: int = 5_000
    platforms: int = 1
    minute: int = 10 * MINUTE_MS
    realtime: int = MINUTE_MS


@dataclass(frozen=True, slots=True)
class Share:
    """One class of data: bytes a day, days kept, bytes in all."""

    name: str
    per_day: int
    days: float
    total: int


def sizes(plan: Plan, limits: Retention) -> list[Share]:
    """Every class of data, and what is constant (`per_day` 0)."""
    return [
        _share("samples", DAY_MS / plan.every * row_bytes(5 * plan.points + 1) * _INNER, limits.samples),
        _share("minute", DAY_MS / MINUTE_MS * plan.points * _RECORD, limits.minute),
        _share("hour", DAY_MS / HOUR_MS * plan.points * _RECORD, limits.hour),
        _share("day", plan.points * _RECORD, limits.day),
        _share("deliveries", _uploads(plan) * (_DELIVERY + _parts(plan, 4) * _PACKET), limits.deliveries),
        _share("packets", _uploads(plan) * _frames(plan, 4), limits.packets),
        _share("realtime", _realtime(plan), min(LIVE_MS, limits.deliveries)),
        Share("link", 0, 0, RING * _PAGE),
        Share("wal", 0, 0, RECORDS.wal_bytes + SAMPLES.wal_bytes),
    ]


def row_bytes(size: int) -> float:
    """What a row of so many bytes takes of the pages of a table."""
    if size <= _LOCAL:
        return _PAGE / max((_PAGE - 8) // (size + _CELL), 1)
    local = _LEAST + (size - _LEAST) % (_PAGE - 4)
    local = local if local <= _LOCAL else _LEAST
    return -(-(size - local) // (_PAGE - 4)) * _PAGE + row_bytes(local + 4)


def _share(name: str, per_day: float, kept_ms: int) -> Share:
    return Share(name, round(per_day), kept_ms / DAY_MS, round(per_day * kept_ms / DAY_MS))


def _uploads(plan: Plan) -> float:
    """Kept deliveries a day: minutes, hours, the day."""
    return plan.platforms * (DAY_MS / plan.minute + DAY_MS / HOUR_MS + 1)


def _data(plan: Plan, fields: int) -> int:
    return plan.points * (fields * _FIELD + _FLAG) + 25


def _parts(plan: Plan, fields: int) -> int:
    return -(-_data(plan, fields) // _CUT)


def _frames(plan: Plan, fields: int) -> float:
    """The packets of one delivery."""
    whole, rest = divmod(_data(plan, fields), _CUT)
    return whole * row_bytes(_CUT + _HEAD) + (row_bytes(rest + _HEAD) if rest else 0)


def _realtime(plan: Plan) -> float:
    each = _DELIVERY + _parts(plan, 1) * _PACKET + _frames(plan, 1) + row_bytes(_data(plan, 1))
    return plan.platforms * DAY_MS / plan.realtime * each
