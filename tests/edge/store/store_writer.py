"""The process that test_store_kill kills: it works on a store and writes down what was acknowledged, as it
is.

A nursery forks one worker a line of input, so that a kill costs no new interpreter:

    stdin: any line ─▶ fork a worker ─▶ stdout: its pid … (killed by the test) … "dead"

The oracle file gets one JSON line after each future that resolved; the page cache survives SIGKILL.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from pathlib import Path

from config.site import Retention
from edge.store import outbox, records, samples
from edge.store.outbox import Answer, Due
from edge.store.store import Store
from edge.values import MINUTE_MS, Kind, Record, Sample

FIRST = 1_790_049_600_000
FACTORS = ("w01018", "w21003", "w00000")
REPLY = Answer(b"reply", FIRST, FIRST, "peer", "city:1", "official", True)


def value(start: int, factor: str) -> float:
    """What the record of this label and factor must say."""
    return (start // MINUTE_MS % 1000) * 1.25 + FACTORS.index(factor)


def minute(db: sqlite3.Connection, start: int) -> list[tuple[str, str]]:
    """Seal a minute and commit its packet; (QN, frame)."""
    rows = [Record("ww1", Kind.MINUTE, factor, start, avg=value(start, factor), count=12) for factor in FACTORS]
    (key,) = records.seal(db, rows, [Due("city", "ww1", "2051", start)], start)
    packets = outbox.prepare(
        db,
        key,
        # the clock stands still, so that QNs must rise by themselves across all restarts
        lambda found, _: [(qn := outbox.qn_for(db, FIRST), 1, 1, f"QN={qn};MN=A;{start}".encode())],
        lambda packet: True,
        start,
    )
    return [(packet.qn, packet.data.decode()) for packet in packets]


def work(folder: Path, oracle: Path) -> None:
    log = os.open(oracle, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def told(code: str, params: dict[str, object]) -> None:
        os.write(log, b'["event"]\n')

    store = Store(folder, retention=Retention(), on_event=told)
    last = store.call(records.last_start, "ww1", Kind.MINUTE).result()
    start = FIRST if last is None else last + MINUTE_MS
    print(os.getpid(), flush=True)
    while True:
        starts = [start + number * MINUTE_MS for number in range(3)]
        ticks = [Sample(each, "ww1", "w01018", value(each, "w01018"), "N") for each in starts]
        tick_jobs = [store.call_samples(samples.append, tick.time, [tick]) for tick in ticks]
        jobs = [store.call(minute, each) for each in starts]
        for each, job in zip(starts, jobs, strict=True):
            ((qn, frame),) = job.result()
            os.write(log, (json.dumps(["sealed", each, qn, frame]) + "\n").encode())
        for each, tick_job in zip(starts, tick_jobs, strict=True):
            assert tick_job.result() in (0, 1)  # 0: committed, and killed before its record
            os.write(log, (json.dumps(["sample", each]) + "\n").encode())
        qn = jobs[0].result()[0][0]
        store.call(outbox.answered, "city", qn, REPLY).result()
        os.write(log, (json.dumps(["answered", qn]) + "\n").encode())
        start = starts[-1] + MINUTE_MS


def nursery(folder: Path, oracle: Path) -> None:
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            work(folder, oracle)
        os.waitpid(child, 0)
        print("dead", flush=True)


if __name__ == "__main__":
    nursery(Path(sys.argv[1]), Path(sys.argv[2]))
