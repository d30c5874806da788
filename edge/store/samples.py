"""Samples: one packed row per 5 s slot (samples.db), which spares flash (a row per value: four times as much).

    row = entry entry …    entry = channel u16 · form u8 · mark u8 · value (nothing | float32 | float64), little-endian

A value is kept as float32 where that is the same number. What a slot holds is never replaced; a second batch
for the slot adds the factors that are missing.
"""

from __future__ import annotations

import math
import sqlite3
import struct
from collections.abc import Iterable, Iterator, Mapping

from edge.values import Sample

_HEAD = struct.Struct("<HBB")
_VALUES = {1: struct.Struct("<f"), 2: struct.Struct("<d")}
_NONE, _SINGLE, _DOUBLE = 0, 1, 2
_FLOAT32_MAX = 3.4028234663852886e38


def append(db: sqlite3.Connection, time: int, samples: Iterable[Sample]) -> int:
    """Add the samples of a slot; how many were new."""
    row = db.execute("SELECT data FROM tick WHERE time = ?", (time,)).fetchone()
    data = b"" if row is None else bytes(row[0])
    present = {channel for channel, _, _ in _unpack(data)}
    added = 0
    for sample in samples:
        channel = _channel(db, sample.outlet, sample.factor)
        if channel not in present:
            present.add(channel)
            data += _pack(channel, sample)
            added += 1
    if added:
        db.execute("INSERT INTO tick VALUES (?, ?) ON CONFLICT DO UPDATE SET data = excluded.data", (time, data))
    return added


def between(db: sqlite3.Connection, begin: int, end: int) -> list[Sample]:
    """Samples with begin <= time <= end, by time."""
    channels = {
        number: (outlet, factor) for number, outlet, factor in db.execute("SELECT id, outlet, factor FROM channel")
    }
    rows = db.execute("SELECT time, data FROM tick WHERE time BETWEEN ? AND ? ORDER BY time", (begin, end))
    return [sample for time, data in rows for sample in _samples(time, data, channels)]


def _samples(time: int, data: bytes, channels: Mapping[int, tuple[str, str]]) -> Iterator[Sample]:
    for channel, mark, value in _unpack(data):
        outlet, factor = channels[channel]
        yield Sample(time, outlet, factor, value, mark)


def _channel(db: sqlite3.Connection, outlet: str, factor: str) -> int:
    row = db.execute("SELECT id FROM channel WHERE outlet = ? AND factor = ?", (outlet, factor)).fetchone()
    if row is None:
        row = db.execute("INSERT INTO channel (outlet, factor) VALUES (?, ?) RETURNING id", (outlet, factor)).fetchone()
    return int(row[0])


def _pack(channel: int, sample: Sample) -> bytes:
    value = sample.value
    form = _NONE if value is None else _SINGLE if _fits_float32(value) else _DOUBLE
    head = _HEAD.pack(channel, form, ord(sample.mark))
    return head if value is None else head + _VALUES[form].pack(value)


def _fits_float32(value: float) -> bool:
    if math.isnan(value):
        raise ValueError("a sample's value is None or a number, never NaN")
    single = _VALUES[_SINGLE]
    return abs(value) <= _FLOAT32_MAX and single.unpack(single.pack(value))[0] == value


def _unpack(data: bytes) -> Iterator[tuple[int, str, float | None]]:
    """(channel, mark, value) of a packed row."""
    place = 0
    while place < len(data):
        channel, form, mark = _HEAD.unpack_from(data, place)
        place += _HEAD.size
        value = None
        if form != _NONE:
            value = _VALUES[form].unpack_from(data, place)[0]
            place += _VALUES[form].size
        yield channel, chr(mark), value
