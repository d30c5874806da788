"""Receipts of the official connection time: when one is made, that it stays, and the file beside the table."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from storekit import NOON, Events

from edge.store import connection, journal, outbox
from edge.store.connection import Receipt
from edge.store.outbox import Answer, Due
from edge.store.store import Store

FRAME = (
    b"##0136QN=20260922120000000;ST=32;CN=2011;PW=123456;MN=010000A8900016F000169DC0;Flag=5;"
    b"CP=&&DataTime=20260922120000&&C501\r\n"
)
REPLY = b"##0087QN=20260922120000000;ST=91;CN=9014;PW=123456;MN=010000A8900016F000169DC0;Flag=4;CP=&&&&0000\r\n"
OFFICIAL = Answer(REPLY, NOON + 80, NOON + 50, "127.0.0.1:9212", "city.example:9212", "official", True)


def send(
    db: sqlite3.Connection, cn: str = "2011", platform: str = "city", start: int = NOON, outlet: str = "ww1"
) -> str:
    """The QN of a packet that is on its way."""
    (key,) = outbox.enqueue(db, [Due(platform, outlet, cn, start, payload=b"x")], NOON)
    (packet,) = outbox.prepare(
        db, key, lambda found, rows: [(outbox.qn_for(db, NOON), 1, 1, FRAME)], lambda p: True, NOON
    )
    return packet.qn


def receipt_of(
    db: sqlite3.Connection, answer: Answer = OFFICIAL, cn: str = "2011", start: int = NOON
) -> Receipt | None:
    result = outbox.answered(db, "city", send(db, cn, start=start), answer)
    assert result is not None
    return result.receipt


def test_the_first_answered_pollutant_packet_is_the_official_connection(db: sqlite3.Connection) -> None:
    receipt = receipt_of(db)
    assert receipt is not None
    assert (receipt.official_ms, receipt.written_ms, receipt.mn) == (NOON + 80, NOON + 50, "010000A8900016F000169DC0")
    assert (receipt.packet, receipt.answer, receipt.confirmed, receipt.joint_test) == (FRAME, REPLY, True, False)
    assert receipt_of(db, replace(OFFICIAL, at_ms=NOON + 60_080), start=NOON + 60_000) is None
    assert connection.official(db) == receipt
    assert connection.official(db, outlet="ww2") is None


@pytest.mark.parametrize("cn", ["2021", "2041", "2081"])
def test_states_running_times_and_start_up_are_no_pollutant_data(db: sqlite3.Connection, cn: str) -> None:
    assert receipt_of(db, cn=cn) is None


@pytest.mark.parametrize("change", [{"role": "rehearsal"}, {"clock_plausible": False}])
def test_rehearsals_and_implausible_clocks_make_no_receipt(db: sqlite3.Connection, change: dict[str, object]) -> None:
    assert receipt_of(db, replace(OFFICIAL, **change)) is None  # type: ignore[arg-type]  # one field at a time
    assert receipt_of(db, start=NOON + 1) is not None


def test_an_answer_before_connect_from_is_a_joint_test_and_the_later_one_valid(db: sqlite3.Connection) -> None:
    early = receipt_of(db, replace(OFFICIAL, connect_from_ms=NOON + 1_000))
    assert early is not None
    assert early.joint_test
    assert connection.official(db) is None
    later = receipt_of(db, replace(OFFICIAL, at_ms=NOON + 2_000, connect_from_ms=NOON + 1_000), start=NOON + 1)
    assert later is not None
    assert connection.official(db) == later


def test_another_address_is_another_receipt_and_the_earliest_counts(db: sqlite3.Connection) -> None:
    first = receipt_of(db)
    second = receipt_of(db, replace(OFFICIAL, at_ms=NOON + 9_000, address="10.0.0.9:9212"), start=NOON + 1)
    assert second is not None
    assert connection.receipts(db) == [first, second]
    assert connection.official(db) == first


def test_a_platform_that_is_not_official_does_not_fix_the_time(db: sqlite3.Connection) -> None:
    other = receipt_of(db, replace(OFFICIAL, role="other"))
    assert other is not None
    assert connection.official(db) is None
    assert connection.official(db, platforms=[connection.OfficialPlatform("city", "")]) is None


def test_only_platforms_that_are_official_now_count_by_name_or_address(db: sqlite3.Connection) -> None:
    made = receipt_of(db)
    assert made is not None
    for name, address, counts in (("city", "", True), ("renamed", made.address, True), ("town", "10.9.9.9:1", False)):
        found = connection.official(db, platforms=[connection.OfficialPlatform(name, address)])
        assert (found == made) == counts


def test_connect_from_set_later_leaves_earlier_receipts_as_joint_tests(db: sqlite3.Connection) -> None:
    early = receipt_of(db)
    assert early is not None
    assert not early.joint_test
    begin = NOON + 86_400_000
    platform = connection.OfficialPlatform("city", early.address, begin)
    assert connection.official(db, platforms=[platform]) is None
    answer = replace(OFFICIAL, at_ms=begin + 5_000, written_ms=begin + 4_000, connect_from_ms=begin)
    later = receipt_of(db, answer, start=NOON + 1)
    assert later is not None
    assert connection.official(db, platforms=[platform]) == later
    assert receipt_of(db, replace(answer, at_ms=begin + 9_000), start=NOON + 2) is None


def test_a_confirmed_receipt_wins_over_an_earlier_unconfirmed_one(db: sqlite3.Connection) -> None:
    written = replace(OFFICIAL, data=b"", at_ms=NOON + 50)
    unconfirmed = outbox.written_unconfirmed(db, send(db), NOON + 50, written)
    assert unconfirmed is not None
    assert not unconfirmed.confirmed
    assert connection.official(db) == unconfirmed
    assert outbox.written_unconfirmed(db, send(db, start=NOON + 1), NOON + 60, written) is None
    confirmed = receipt_of(db, start=NOON + 2)
    assert confirmed is not None
    assert connection.official(db) == confirmed
    assert outbox.written_unconfirmed(db, send(db, start=NOON + 3), NOON + 70, written) is None


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE receipt SET official_ms = 0",
        "DELETE FROM receipt",
        "INSERT OR REPLACE INTO receipt SELECT * FROM receipt",
        "REPLACE INTO receipt SELECT id + 1, '','','','','', 0, 1, '','','','','','', 0, 0, '','', digest FROM receipt",
        "UPDATE journal SET who = 'nobody'",
        "DELETE FROM journal",
        "INSERT OR REPLACE INTO journal SELECT id, at, 'nobody', action, detail, hash FROM journal",
    ],
)
def test_the_database_refuses_to_change_or_delete_evidence(db: sqlite3.Connection, statement: str) -> None:
    receipt = receipt_of(db)
    with pytest.raises(sqlite3.IntegrityError):
        db.execute(statement)
    assert connection.official(db) == receipt
    assert journal.verify(db).ok


def test_the_receipt_stands_in_the_journal_without_its_password(db: sqlite3.Connection) -> None:
    receipt_of(db)
    (entry,) = journal.entries(db, 10)
    assert entry.action == "connection.receipt"
    assert entry.detail["official_ms"] == NOON + 80
    assert "123456" not in json.dumps(entry.detail)


def test_a_line_reads_back_as_the_same_receipt_and_a_forged_one_does_not(db: sqlite3.Connection) -> None:
    receipt = receipt_of(db)
    assert receipt is not None
    assert Receipt.from_line(receipt.to_line()) == receipt
    forged = json.loads(receipt.to_line()) | {"packet": "Zm9yZ2Vk"}
    for line in (json.dumps(forged), "{}", "[]", '"x"', "not json"):
        with pytest.raises(ValueError, match=r".+"):
            Receipt.from_line(line)


def test_a_committed_receipt_is_in_the_file_and_comes_back_into_a_rebuilt_store(
    open_store: Callable[[], Store], tmp_path: Path, events: Events
) -> None:
    store = open_store()
    receipt = store.call(receipt_of).result(5)
    assert receipt is not None
    assert (tmp_path / "connection.jsonl").read_text() == receipt.to_line() + "\n"
    store.close()
    (tmp_path / "records.db").write_bytes(b"this is no database" * 300)
    rebuilt = open_store()
    assert rebuilt.call(connection.receipts).result(5) == [receipt]
    assert rebuilt.call(connection.official).result(5) == receipt
    assert rebuilt.call(receipt_of).result(5) is None
    assert [entry.action for entry in rebuilt.call(journal.entries, 9).result(5)] == [
        "connection.restored",
        "store.rebuilt",
    ]
    assert [code for code, _ in events] == ["store.damaged"]


@pytest.mark.parametrize("how", ["deleted", "empty"])
def test_a_store_that_is_gone_although_there_is_evidence_of_it_is_told(
    open_store: Callable[[], Store], tmp_path: Path, events: Events, how: str
) -> None:
    open_store().close()
    assert events == []  # the first one ever is new, and no news
    store = open_store()
    assert store.call(receipt_of).result(5) is not None
    store.close()
    (tmp_path / "records.db").unlink()
    if how == "empty":
        (tmp_path / "records.db").touch()
    again = open_store()
    assert [code for code, _ in events] == ["store.gone"]
    assert [entry.action for entry in again.call(journal.entries, 10).result(5)][-1] == "store.rebuilt"
    again.close()
    open_store()
    assert len(events) == 1  # once


def test_a_lost_file_is_written_again_from_the_table(open_store: Callable[[], Store], tmp_path: Path) -> None:
    store = open_store()
    receipt = store.call(receipt_of).result(5)
    assert receipt is not None
    store.close()
    (tmp_path / "connection.jsonl").unlink()
    open_store()
    assert (tmp_path / "connection.jsonl").read_text() == receipt.to_line() + "\n"


def test_a_torn_line_is_told_left_alone_and_the_receipt_written_behind_it(
    open_store: Callable[[], Store], tmp_path: Path, events: Events
) -> None:
    store = open_store()
    receipt = store.call(receipt_of).result(5)
    assert receipt is not None
    store.close()
    line = receipt.to_line()
    (tmp_path / "connection.jsonl").write_text(line[:100])
    open_store()
    assert (tmp_path / "connection.jsonl").read_text() == f"{line[:100]}\n{line}\n"
    assert [code for code, _ in events] == ["store.evidence_bad_line"]


def test_a_rolled_back_receipt_never_reaches_the_file(store: Store, tmp_path: Path) -> None:
    def undone(db: sqlite3.Connection) -> None:
        assert receipt_of(db) is not None
        raise ValueError("undone")

    with pytest.raises(ValueError, match="undone"):
        store.call(undone).result(5)
    store.call(connection.receipts).result(5)
    assert not (tmp_path / "connection.jsonl").exists()


def test_an_append_that_fails_is_told_and_made_up_for_by_the_next_commit(
    store: Store, tmp_path: Path, events: Events
) -> None:
    (tmp_path / "connection.jsonl").mkdir()
    receipt = store.call(receipt_of).result(5)
    assert receipt is not None
    assert [code for code, _ in events] == ["store.evidence_failed"]
    (tmp_path / "connection.jsonl").rmdir()
    store.call(connection.receipts).result(5)
    assert (tmp_path / "connection.jsonl").read_text() == receipt.to_line() + "\n"
