"""A day of a logger's data in a store, by the store's own functions: what the sizing formula is held against."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

from edge.store import outbox, records, samples
from edge.store.database import RECORDS, SAMPLES, open_database
from edge.store.outbox import Answer, Due
from edge.values import MINUTE_MS, Kind, Record, Sample

START = 1_790_006_400_000
"""2026-09-22 00:00:00 in Beijing."""


def fill(folder: Path, points: int, every_s: int, platforms: int, minute_min: int) -> dict[str, int]:
    """Bytes of each file after one day, everything answered."""
    chance = random.Random(points)
    factors = [f"w{20 + number:05d}" for number in range(points)]
    names = [f"platform{number}" for number in range(platforms)]
    quiet = lambda code, params: None  # noqa: E731  # one use
    files = {}
    for layout in (SAMPLES, RECORDS):
        db, _ = open_database(folder, layout, "20260922120000", quiet)
        db.execute("PRAGMA synchronous = OFF")
        for minute in range(1440):
            start = START + minute * MINUTE_MS
            db.execute("BEGIN")
            if layout is SAMPLES:
                for slot in range(start, start + MINUTE_MS, every_s * 1000):
                    tick = [Sample(slot, "ww1", factor, round(chance.uniform(0, 99), 2), "N") for factor in factors]
                    samples.append(
                        db, slot, [Sample(s.time, s.outlet, s.factor, _single(s.value), s.mark) for s in tick]
                    )
            else:
                _minute(db, chance, factors, names, start, minute_min)
            db.execute("COMMIT")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        files[layout.file] = (folder / layout.file).stat().st_size
        db.close()
    return files


def _single(value: float | None) -> float:
    """As an instrument gives it: float32."""
    import struct

    return float(struct.unpack("<f", struct.pack("<f", value))[0])


def _minute(
    db: sqlite3.Connection, chance: random.Random, factors: list[str], platforms: list[str], start: int, minute_min: int
) -> None:
    _send(
        db, [Due(name, "ww1", "2011", start, kept=False, payload=_data(factors, ("Rtd",))) for name in platforms], start
    )
    number = (start - START) // MINUTE_MS + 1
    sealed = [_record(chance, Kind.MINUTE, factor, start) for factor in factors]
    dues = [Due(name, "ww1", "2051", start, end=start + minute_min * MINUTE_MS) for name in platforms]
    if number % 60 == 0:
        sealed += [_record(chance, Kind.HOUR, factor, start) for factor in factors]
        dues += [Due(name, "ww1", "2061", start) for name in platforms]
    keep = dues if number % minute_min == 0 else []
    ids = records.seal(db, sealed, keep, start)
    _answer(db, ids, platforms, _data(factors, ("Min", "Avg", "Max", "Cou")), start)


def _record(chance: random.Random, kind: Kind, factor: str, start: int) -> Record:
    low, mean, high = sorted(chance.uniform(0, 99) for _ in range(3))
    return Record("ww1", kind, factor, start, min=low, avg=mean, max=high, cou=mean / 7, count=12)


def _data(factors: list[str], fields: tuple[str, ...]) -> bytes:
    groups = [",".join([*(f"{factor}-{name}=12.34" for name in fields), f"{factor}-Flag=N"]) for factor in factors]
    return ("DataTime=20260922120000;" + ";".join(groups)).encode()


def _send(db: sqlite3.Connection, dues: list[Due], start: int) -> None:
    ids = outbox.enqueue(db, dues, start)
    body = dues[0].payload or b""
    _answer(db, ids, [due.platform for due in dues], body, start)


def _answer(db: sqlite3.Connection, ids: list[int], platforms: list[str], body: bytes, start: int) -> None:
    """Each delivery in packets of 900 bytes of data at most, all of them answered."""
    head = b"##0950QN=20260922120000000;ST=32;CN=2051;PW=123456;MN=010000A8900016F000169DC0;Flag=5;CP=&&"
    parts = [body[place : place + 900] for place in range(0, len(body), 900)]
    for number, key in enumerate(ids):
        packets = outbox.prepare(
            db,
            key,
            lambda found, _: [
                (outbox.qn_for(db, start), at, len(parts), head + part + b"&&ABCD\r\n")
                for at, part in enumerate(parts, 1)
            ],
            lambda packet: True,
            start,
        )
        platform = platforms[number % len(platforms)]
        for packet in packets:
            outbox.answered(
                db, platform, packet.qn, Answer(b"a", start, start, "", "", "rehearsal", clock_plausible=True)
            )
