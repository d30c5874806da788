"""The oracle finds what was taken away, changed or set back, and nothing where all is as it was."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from config.site import Retention
from edge.store import outbox, records
from edge.store.outbox import Answer, Due
from edge.store.store import Store
from edge.values import Kind, Record
from tests.torture.digest import digest
from tests.torture.oracle import Snapshot, compare, sent_and_not_kept, sound

START = 1_790_049_600_000
ANSWER = Answer(b"reply", START, START, "peer", "city:1", "official", True)
QN = "20260922120000000"
QN_OF_2020 = (
    "INSERT INTO packet (qn, delivery, issue, pno, pnum, created) VALUES (20200101000000000, 1, 2, 1, 1, 1790049600000)"
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A store with one minute that was sent and answered."""
    store = Store(tmp_path, retention=Retention(), on_event=lambda code, params: None)
    record = Record("ww1", Kind.MINUTE, "w01018", START, avg=1.5, count=12)
    (key,) = store.call(records.seal, [record], [Due("city", "ww1", "2051", START)], START).result(5)

    def build(*_: object) -> list[tuple[str, int, int, bytes]]:
        return [(QN, 1, 1, b"QN=1;MN=A;")]

    store.call(outbox.prepare, key, build, lambda packet: True, START).result(5)
    store.call(outbox.answered, "city", QN, ANSWER).result(5)
    store.close()
    return tmp_path


def changed(data: Path, *statements: str) -> None:
    db = sqlite3.connect(data / "records.db", isolation_level=None)
    for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        db.execute(f"DROP TRIGGER {name}")
    for statement in statements:
        db.execute(statement)
    db.close()


def test_nothing_is_found_where_nothing_happened(data: Path) -> None:
    before = Snapshot.read(data)
    assert before.counts()["record"] == before.counts()["receipt"] == 1
    assert not compare(before, Snapshot.read(data))
    assert not sound(data)
    assert not sent_and_not_kept(data, [(QN, b"QN=1;MN=A;")])


@pytest.mark.parametrize(
    ("statement", "lost", "corrupt"),
    [
        ("DELETE FROM record", 1, 0),
        ("UPDATE record SET avg = 1.6", 0, 1),
        ("UPDATE delivery SET state = 0", 1, 0),
        ("UPDATE packet SET answered_at = NULL", 1, 0),
        ("UPDATE frame SET data = x'00'", 0, 1),
        ("DELETE FROM receipt", 1, 0),
        ("DELETE FROM journal", 1, 0),
        ("UPDATE journal SET detail = '{}'", 0, 1),
        ("UPDATE sealed SET last = last - 60000", 1, 0),
        (QN_OF_2020, 0, 1),
    ],
)
def test_each_loss_and_each_change_is_found(data: Path, statement: str, lost: int, corrupt: int) -> None:
    before = Snapshot.read(data)
    changed(data, statement)
    found = compare(before, Snapshot.read(data))
    assert (len(found.lost), len(found.corrupt)) == (lost, corrupt)


def test_evidence_that_was_cut_off_is_found(data: Path) -> None:
    before = Snapshot.read(data)
    (data / "connection.jsonl").write_bytes(b"")
    assert compare(before, Snapshot.read(data)).lost == ["connection.jsonl no longer begins as it did"]
    assert sound(data).lost == ["1 receipts, 0 lines in connection.jsonl"]


def test_a_packet_on_the_wire_that_is_not_on_disk_or_is_another_is_found(data: Path) -> None:
    found = sent_and_not_kept(data, [("20260922120000001", b"x"), (QN, b"QN=1;MN=B;")])
    assert (len(found.lost), len(found.corrupt)) == (1, 1)


@pytest.fixture
def digests(data: Path) -> Callable[[], str]:
    def read() -> str:
        db = sqlite3.connect(data / "records.db")
        try:
            return digest(db)
        finally:
            db.close()

    return read


def test_the_digest_changes_with_every_row_and_not_with_the_file(data: Path, digests: Callable[[], str]) -> None:
    before = digests()
    changed(data, "VACUUM")
    assert digests() == before
    changed(data, "UPDATE record SET count = 11")
    assert digests() != before
