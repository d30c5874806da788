"""Samples: one packed row per 5 s slot (samples.db), which spares flash (a row per value: four times as much).

    row   = entry entry …
    entry = head u8 · [channel u16] · [mark u8] · value (nothing | float32 | float64), little-endian
    head  = step << 3 | marked << 2 | form     step 1–30: channel is that much above the entry's before; 31: it follows
                                               marked: the mark follows, else it is N

A value is kept as float32 where that is the same number. What a slot holds is never replaced; a second batch
for the slot adds the factors that are missing.
"""

from __future__ import annotations

import math
import sqlite3
import struct
from collections.abc import Iterable, Iterator, Mapping

from edge.values import Sample

_CHANNEL = struct.Struct("<H")
_VALUES = {1: struct.Struct("<f"), 2: struct.Struct("<d")}
_NONE, _SINGLE, _DOUBLE = 0, 1, 2
_MARKED = 4
_FAR = 31
_FLOAT32_MAX = 3.4028234663852886e38


def append(db: sqlite3.Connection, time: int, samples: Iterable[Sample]) -> int:
    """Add the samples of a slot; how many were new."""
    row = db.execute("SELECT data FROM tick WHERE time = ?", (time,)).fetchone()
    data = b"" if row is None else bytes(row[0])
    channels = [channel for channel, _, _ in _unpack(data)]
    added = 0
    for sample in samples:
        channel = channel_of(db, sample.outlet, sample.factor)
        if channel not in channels:
            data += _pack(channel, channel - (channels[-1] if channels else 0), sample)
            channels.append(channel)
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


def is_whole(data: bytes) -> bool:
    """Whether a packed row can be read to its end."""
    try:
        return all(mark.isascii() and mark.isalpha() and math.isfinite(value or 0) for _, mark, value in _unpack(data))
    except (IndexError, KeyError, struct.error):
        return False


def renumbered(data: bytes, channels: Mapping[int, int]) -> bytes:
    """A packed row with other numbers of its channels; what has none is left out."""
    packed, last = b"", 0
    for channel, mark, value in _unpack(data):
        if channel in channels:
            new = channels[channel]
            packed += _pack(new, new - last, Sample(0, "", "", value, mark))
            last = new
    return packed


def _samples(time: int, data: bytes, channels: Mapping[int, tuple[str, str]]) -> Iterator[Sample]:
    for channel, mark, value in _unpack(data):
        outlet, factor = channels[channel]
        yield Sample(time, outlet, factor, value, mark)


def channel_of(db: sqlite3.Connection, outlet: str, factor: str) -> int:
    """The number of an outlet's factor in packed rows, given to it now where it has none."""
    row = db.execute("SELECT id FROM channel WHERE outlet = ? AND factor = ?", (outlet, factor)).fetchone()
    if row is None:
        row = db.execute("INSERT INTO channel (outlet, factor) VALUES (?, ?) RETURNING id", (outlet, factor)).fetchone()
    return int(row[0])


def _pack(channel: int, step: int, sample: Sample) -> bytes:
    value = sample.value
    form = _NONE if value is None else _SINGLE if _fits_float32(value) else _DOUBLE
    near, plain = 0 < step < _FAR, sample.mark == "N"
    entry = bytes(((step if near else _FAR) << 3 | (0 if plain else _MARKED) | form,))
    entry += b"" if near else _CHANNEL.pack(channel)
    entry += b"" if plain else sample.mark.encode("ascii")
    return entry if value is None else entry + _VALUES[form].pack(value)


def _fits_float32(value: float) -> bool:
    if math.isnan(value):
        raise ValueError("a sample's value is None or a number, never NaN")
    single = _VALUES[_SINGLE]
    return abs(value) <= _FLOAT32_MAX and single.unpack(single.pack(value))[0] == value


def _unpack(data: bytes) -> Iterator[tuple[int, str, float | None]]:
    """(channel, mark, value) of a packed row."""
    place = channel = 0
    while place < len(data):
        step, marked, form = data[place] >> 3, data[place] & _MARKED, data[place] & 3
        place += 1
        if step == _FAR:
            channel = _CHANNEL.unpack_from(data, place)[0]
            place += _CHANNEL.size
        else:
            channel += step
        mark = chr(data[place]) if marked else "N"
        place += 1 if marked else 0
        value = None
        if form != _NONE:
            value = _VALUES[form].unpack_from(data, place)[0]
            place += _VALUES[form].size
        yield channel, mark, value
