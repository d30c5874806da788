"""What the store writes to the disk: an hour of 30 factors of 5 s samples and two platforms.

Counted by the kernel (`write_bytes` of /proc/self/io: pages of 4 KiB that went to the disk), with every sync. One
commit a minute for samples; one each for realtime data with their packets, for the answers to them, for what is
sealed, its packets, and each answer.
"""

from __future__ import annotations

import random
import sqlite3
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from edge.store import outbox, records, samples
from edge.store.database import RECORDS, SAMPLES, open_database
from edge.store.outbox import Answer, Due
from edge.values import MINUTE_MS, Kind, Record, Sample

START = 1_790_006_400_000
FACTORS = [f"w{20 + number:05d}" for number in range(30)]
PLATFORMS = ("city", "province")
VALUES: dict[str, Any] = {"min": 1 / 3, "max": 9 / 7, "cou": 0.1, "count": 12}
LIMIT_MB = 100.0
"""The target of the design, a day."""


def _written() -> int:
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))


def _commit(db: sqlite3.Connection, work: Callable[[], Any]) -> Any:
    db.execute("BEGIN")
    done = work()
    db.execute("COMMIT")
    return done


def _send(db: sqlite3.Connection, ids: list[int], fields: int, now_ms: int, live: Sequence[Due] = ()) -> None:
    """Packets and answers; `live`: realtime data, which are enqueued with their packets and answered together."""
    size = 25 + len(FACTORS) * (17 * fields + 14)
    parts = [b"#" * 105 + b"v" * min(900, size - place) for place in range(0, size, 900)]

    def build(found: object, _: object) -> list[tuple[str, int, int, bytes]]:
        return [(outbox.qn_for(db, now_ms), number, len(parts), part) for number, part in enumerate(parts, 1)]

    def prepare() -> list[list[outbox.OpenPacket]]:
        wanted = [*ids, *outbox.enqueue(db, live, now_ms)]
        return [outbox.prepare(db, key, build, lambda packet: True, now_ms) for key in wanted]

    made = _commit(db, prepare)
    reply = Answer(b"answer", now_ms, now_ms, "", "", "rehearsal", clock_plausible=True)
    answers = [
        partial(outbox.answered, db, name, one.qn, reply)
        for name, sent in zip(PLATFORMS, made, strict=True)
        for one in sent
    ]
    if live:
        _commit(db, lambda: [answered() for answered in answers])
        return
    for answered in answers:
        _commit(db, answered)


def _minute(db: sqlite3.Connection, ticks: sqlite3.Connection, chance: random.Random, number: int) -> None:
    start = START + number * MINUTE_MS

    def sample() -> None:
        for slot in range(start, start + MINUTE_MS, 5_000):
            samples.append(ticks, slot, [Sample(slot, "ww1", f, chance.randrange(999) / 8, "N") for f in FACTORS])

    _commit(ticks, sample)
    live = [Due(name, "ww1", "2011", start, kept=False, payload=b"v" * 955) for name in PLATFORMS]
    _send(db, [], 1, start, live)
    sealed = [Record("ww1", Kind.MINUTE, f, start, avg=chance.random(), **VALUES) for f in FACTORS]
    due = (number + 1) % 10 == 0
    dues = [Due(name, "ww1", "2051", start, end=start + 10 * MINUTE_MS) for name in PLATFORMS if due]
    ids = _commit(db, lambda: records.seal(db, sealed, dues, start))
    if ids:
        _send(db, ids, 4, start)


def run() -> list[dict[str, Any]]:
    """The figure, in some 10 s."""
    chance = random.Random(212)
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        quiet = lambda code, params: None  # noqa: E731  # one use
        db, ticks = (open_database(Path(name), layout, "-", quiet)[0] for layout in (RECORDS, SAMPLES))
        before = _written()
        for number in range(60):
            _minute(db, ticks, chance, number)
        for each in (db, ticks):
            each.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            each.close()
        a_day = (_written() - before) * 24 / 1e6
    what = "store: written to the disk, 30 factors of 5 s, two platforms, realtime 60 s, minute 10 min"
    ratio = round(LIMIT_MB / a_day, 2)
    return [{"name": what, "value": round(a_day, 1), "unit": "MB a day", "against": LIMIT_MB, "ratio": ratio}]
