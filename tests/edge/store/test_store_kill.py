"""SIGKILL at random moments: what was acknowledged is there, as it was, and the next start works."""

from __future__ import annotations

import json
import os
import random
import select
import signal
import subprocess
import sys
from pathlib import Path

import store_writer
from store_writer import FACTORS, FIRST

from config.site import Retention
from edge.store import connection, outbox, records, samples
from edge.store.store import Store
from edge.values import Kind

ROOT = Path(__file__).parents[3]
KILLS = 50
LONGEST_S = 0.06
"""A worker lives this long at most after it has opened the store."""


def test_fifty_kills_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    folder, oracle = tmp_path / "data", tmp_path / "oracle"
    chance = random.Random(212)
    command = [sys.executable, store_writer.__file__, str(folder), str(oracle)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as nursery:
        assert nursery.stdin is not None
        assert nursery.stdout is not None
        for _ in range(KILLS):
            nursery.stdin.write("go\n")
            pid = int(nursery.stdout.readline())
            select.select([], [], [], chance.uniform(0, LONGEST_S))
            os.kill(pid, signal.SIGKILL)
            assert nursery.stdout.readline() == "dead\n"
        nursery.stdin.close()
    check(folder, [json.loads(line) for line in oracle.read_text().splitlines()])


def check(folder: Path, acknowledged: list[list[str | int]]) -> None:
    events: list[str] = []
    store = Store(folder, retention=Retention(), on_event=lambda code, params: events.append(code))
    sealed = {int(entry[1]): entry for entry in acknowledged if entry[0] == "sealed"}
    answered = {str(entry[1]) for entry in acknowledged if entry[0] == "answered"}
    ticks = {int(entry[1]) for entry in acknowledged if entry[0] == "sample"}
    assert len(sealed) > KILLS
    assert ["event"] not in acknowledged
    last = max(sealed)
    rows = store.call(records.between, "ww1", Kind.MINUTE, FIRST, 1 << 52, 1_000_000).result(9)
    found = {(row.start, row.factor): row for row in rows}
    for start in sealed:
        for factor in FACTORS:
            assert found[start, factor].avg == store_writer.value(start, factor)
    # nothing half sealed, nothing twice
    assert len(rows) == len(found) == len({row.start for row in rows}) * len(FACTORS)
    check_packets(store, sealed, answered)
    assert ticks <= {sample.time for sample in store.call_samples(samples.between, FIRST, last).result(9)}
    (receipt,) = store.call(connection.receipts).result(9)
    assert (folder / "connection.jsonl").read_text() == receipt.to_line() + "\n"
    (count,) = store.call(outbox.counts).result(9)
    assert count.lost == 0
    assert count.answered >= len(answered)
    store.close()
    assert events == []


def check_packets(store: Store, sealed: dict[int, list[str | int]], answered: set[str]) -> None:
    packets = dict(store.call(lambda db: db.execute("SELECT qn, data FROM frame").fetchall()).result(9))
    states = dict(store.call(lambda db: db.execute("SELECT start, state FROM delivery").fetchall()).result(9))
    qns = [int(sealed[start][2]) for start in sorted(sealed)]
    assert qns == sorted(set(qns))
    for start, (_, _, qn, frame) in sealed.items():
        if str(qn) in answered:
            assert states[start] == outbox.State.DELIVERED
        elif states[start] == outbox.State.OPEN:
            assert packets[int(qn)] == str(frame).encode()
