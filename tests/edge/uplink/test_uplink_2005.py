"""Uploads of edition 2005 and their answers, and what happens to what waits when a platform's edition changes.

The platform's side is the bench's own reading of HJ/T 212-2005 (`edge.bench.edition`), not the logger's.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from virtual_time import MN, NOON, Profile, ScriptedPlatform, World, rendered, sample_records, virtual

from edge.store import connection, outbox, records
from edge.store.outbox import Due
from edge.uplink.session import Session
from edge.values import MINUTE_MS, Kind, Record
from protocol import upload
from protocol.edition import edition
from protocol.frame import wrap

STEP = NOON // MINUTE_MS % 10_000
"""What `sample_records` tells of the minute that begins at noon: 4160."""
BODY = (
    "DataTime=20260922120000;B01-Cou=4160.25,B01-Min=1.00,B01-Avg=2.50,B01-Max=4.00,B01-Flag=N;"
    "001-Min=7.1,001-Avg=7.5,001-Max=7.8,001-Flag=N;011-Min=416.0,011-Avg=416.0,011-Max=416.0,011-Flag=N"
)
MERCURY = (("w20111", (("Rtd", 2), ("Flag", "B"))),)


def old(profile: Profile | None = None) -> ScriptedPlatform:
    return ScriptedPlatform(profile, edition="2005")


def said(seen: ScriptedPlatform, cn: str) -> list[bytes]:
    return [each.frame[6:-6] for each in seen.of(cn)]


def fields(text: str) -> dict[str, str]:
    return dict(pair.split("=") for item in text.split(";")[1:] for pair in item.split(","))


def test_the_minute_of_noon_is_the_one_that_the_bodies_were_worked_out_for() -> None:
    assert STEP == 4160
    new = {name.partition("-")[2]: value for name, value in rendered(NOON).items() if name.startswith("w01018")}
    assert new == {"Min": "416.0", "Avg": "416.0", "Max": "416.0", "Flag": "N"}


@virtual
async def test_minute_data_are_delivered_in_the_terms_of_2005_and_their_answer_is_the_receipt(tmp_path: Path) -> None:
    world, city = World(tmp_path), old()
    world.add(city, edition="2005")
    await world.sleep(1)
    world.offer(world.seal(NOON))
    await world.sleep(2)
    (packet,) = said(city, "2051")
    (receipt,) = world.store.now(connection.receipts)
    station = f"PW=123456;MN={MN}"
    assert packet.decode() == f"ST=32;CN=2051;QN={receipt.qn};{station};CP=&&{BODY}&&"
    assert receipt.answer == wrap(f"ST=91;CN=9014;CP=&&QN={receipt.qn};CN=2051&&".encode())
    assert (receipt.mn, receipt.confirmed, world.open_count()) == (MN, True, 0)
    await world.stop()


@virtual
async def test_data_that_want_no_answer_have_no_qn_and_are_delivered_unconfirmed(tmp_path: Path) -> None:
    world, city = World(tmp_path), old()
    world.add(city, edition="2005", acknowledge=False)
    await world.sleep(1)
    world.offer(world.seal(NOON))
    await world.sleep(2)
    assert said(city, "2051") == [f"ST=32;CN=2051;PW=123456;MN={MN};CP=&&{BODY}&&".encode()]
    assert (world.counts().unconfirmed, world.open_count()) == (1, 0)
    await world.stop()


@virtual
async def test_hours_and_days_go_as_2061_and_2031(tmp_path: Path) -> None:
    world, city = World(tmp_path), old()
    world.add(city, edition="2005")
    await world.sleep(1)
    world.offer(world.seal(NOON, kind=Kind.HOUR) + world.seal(NOON - 12 * 3_600_000, kind=Kind.DAY))
    await world.sleep(3)
    assert world.open_count() == 0
    assert b";001-Min=7.1,001-Avg=7.5,001-Max=7.8,001-Flag=N;" in said(city, "2061")[0]
    assert b"CP=&&DataTime=20260922000000;B01-Cou=" in said(city, "2031")[0]
    await world.stop()


@virtual
async def test_a_late_answer_delivers_and_a_resend_is_the_same_bytes(tmp_path: Path) -> None:
    world, city = World(tmp_path), old(Profile(late_s=25.0))
    world.add(city, edition="2005", timeout=10_000, retries=1)
    await world.sleep(1)
    world.offer(world.seal(NOON))
    await world.sleep(40)
    assert len(city.of("2051")) == 2
    assert len({each.frame for each in city.of("2051")}) == 1
    assert (world.open_count(), world.counts().answered) == (0, 1)
    await world.stop()


@pytest.mark.parametrize("profile", [Profile(refuse_9014=frozenset({"2051"}))])
@virtual
async def test_an_answer_that_says_no_is_a_refusal(tmp_path: Path, profile: Profile) -> None:
    world, city = World(tmp_path), old(profile)
    world.add(city, edition="2005")
    await world.sleep(1)
    world.offer(world.seal(NOON))
    await world.sleep(3)
    assert "edge.refused" in world.codes()
    assert (world.open_count(), world.store.now(connection.receipts)) == (1, [])
    await world.stop()


@virtual
async def test_on_a_shared_link_an_answer_without_mn_finds_its_session(tmp_path: Path) -> None:
    world, city = World(tmp_path), old()
    first = world.add(city, edition="2005")
    lanes = first._lanes
    parts = first._store, first._clock, lanes._builder, first._handle, first._on_event, first._on_packet
    other = Session(first.terms, *parts)
    other.mn = "B"
    world.links["city"]._users = [other, first]
    await world.sleep(1)
    first.offer(world.seal(NOON))
    await world.sleep(3)
    assert (first.health.answered, other.health.answered, world.open_count()) == (1, 0, 0)
    await world.stop()


@virtual
async def test_the_platforms_answer_to_our_result_is_taken_silently_and_delivers_nothing(tmp_path: Path) -> None:
    world, city = World(tmp_path), old(Profile(silent=True))
    world.add(city, edition="2005")
    await world.sleep(1)
    world.offer(world.seal(NOON))
    await world.sleep(2)
    qn = city.of("2051")[0].packet.qn  # a platform may have given its request the very same moment
    city.send(wrap(f"ST=91;CN=9014;CP=&&QN={qn};CN=9012&&".encode()))
    await world.sleep(2)
    assert (world.open_count(), world.counts().answered) == (1, 0)
    assert not {"edge.unknown-qn", "edge.stray-packet", "edge.bad-packet"} & set(world.codes())
    city.send(wrap(f"ST=91;CN=9014;CP=&&QN={qn};CN=2051&&".encode()))
    await world.sleep(2)
    assert world.open_count() == 0
    await world.stop()


@virtual
async def test_what_2005_does_not_have_is_not_sent_and_not_lost(tmp_path: Path) -> None:
    world, city = World(tmp_path), old()
    world.asks_time = True
    world.add(city, edition="2005")
    await world.sleep(1)
    payloads = {
        "2081": b"DataTime=20260922120000;RestartTime=20260922115900",
        "3019": b"DataTime=20260922120000;PolId=w01018;w01018-SN=A1",
        "3020": b"DataTime=20260922120000;PolId=w01018;i12001-Info=1",
    }
    dues = [Due("city", "ww1", cn, NOON, payload=text) for cn, text in payloads.items()]
    world.offer(world.store.now(outbox.enqueue, dues, NOON))
    await world.sleep(30)
    assert city.seen == []
    assert (world.open_count(), sum(each.lost for each in world.store.now(outbox.counts))) == (0, 0)
    await world.stop()


@virtual
async def test_states_and_running_times_are_the_same_in_both_editions(tmp_path: Path) -> None:
    world, city = World(tmp_path), old()
    world.add(city, edition="2005")
    await world.sleep(1)
    texts = {"2021": "DataTime=20260922120000;SB1-RS=1;SB2-RS=0", "2041": "DataTime=20260922000000;SB1-RT=1.1"}
    dues = [Due("city", "ww1", cn, NOON, payload=text.encode()) for cn, text in texts.items()]
    world.offer(world.store.now(outbox.enqueue, dues, NOON))
    await world.sleep(3)
    for cn, text in texts.items():
        (packet,) = said(city, cn)
        assert packet.endswith(f";PW=123456;MN={MN};CP=&&{text}&&".encode())
    await world.stop()


# a platform that changes its edition


@pytest.mark.parametrize("back", [False, True])
@virtual
async def test_undelivered_minutes_are_issued_anew_in_the_new_edition_with_the_same_values(
    tmp_path: Path, back: bool
) -> None:
    before, after = ("2005", "2017") if back else ("2017", "2005")
    silent = ScriptedPlatform(Profile(silent=True), edition=before)
    world = World(tmp_path)
    world.add(silent, edition=before, reissue_after=86_400_000)
    await world.sleep(1)
    world.offer(world.seal(NOON))
    await world.sleep(5)
    assert len(silent.of("2051")) == 1
    await world.stop()
    city, again = ScriptedPlatform(edition=after), World(tmp_path, NOON + 60_000)
    again.add(city, edition=after, reissue_after=86_400_000)
    await again.sleep(5)
    (seen,) = city.of("2051")
    text = seen.frame.decode().partition("&&")[2].partition("&&")[0]
    assert fields(text) == (rendered(NOON) if back else fields(BODY))
    assert text.startswith("DataTime=20260922120000;")
    assert seen.packet.qn != silent.of("2051")[0].packet.qn
    assert (again.open_count(), again.counts().answered) == (0, 1)
    await again.stop()


@virtual
async def test_an_answer_to_the_packet_of_the_old_edition_still_delivers(tmp_path: Path) -> None:
    silent, world = ScriptedPlatform(Profile(silent=True)), World(tmp_path)
    world.add(silent)
    await world.sleep(1)
    world.offer(world.seal(NOON))
    await world.sleep(5)
    qn = silent.of("2051")[0].packet.qn
    await world.stop()
    city, again = old(Profile(silent=True)), World(tmp_path, NOON + 60_000)
    again.add(city, edition="2005")
    await again.sleep(2)
    city.send(wrap(f"ST=91;CN=9014;CP=&&QN={qn};CN=2051&&".encode()))
    await again.sleep(2)
    assert again.open_count() == 0
    await again.stop()


@virtual
async def test_back_in_its_first_edition_a_delivery_looks_as_it_did_at_first(tmp_path: Path) -> None:
    first: list[bytes] = []
    for number, spoken in enumerate(("2005", "2017", "2005")):
        city = ScriptedPlatform(Profile(silent=True), edition=spoken)
        world = World(tmp_path, NOON + number * MINUTE_MS)
        world.add(city, edition=spoken, reissue_after=86_400_000)
        await world.sleep(1)
        if not number:
            world.offer(world.seal(NOON))
        await world.sleep(5)
        first.append(city.of("2051")[0].frame.partition(b"CP=")[2][:-6])
        await world.stop()
    assert first[0] == first[2] != first[1]


@pytest.mark.parametrize(
    ("before", "after", "was", "becomes"),
    [
        # total mercury: µg/L in 2017, mg/L with three decimals in 2005; B is what 2005 calls D
        ("2017", "2005", "w20111-Rtd=21.44,w20111-Flag=B", "020-Rtd=0.021,020-Flag=D"),
        ("2005", "2017", "020-Rtd=0.021,020-Flag=D", "w20111-Rtd=21,w20111-Flag=D"),
    ],
)
@virtual
async def test_kept_realtime_data_are_said_anew_too(
    tmp_path: Path, before: str, after: str, was: str, becomes: str
) -> None:
    silent, world = ScriptedPlatform(Profile(silent=True), edition=before), World(tmp_path)
    session = world.add(silent, edition=before, backfill=("realtime",))
    await world.sleep(1)
    body = upload.realtime(NOON, MERCURY, (21.44,), edition(before))
    await session.offer_fleeting("2011", NOON, body)
    await world.sleep(3)
    assert was.encode() in silent.of("2011")[0].frame
    await world.stop()
    city, again = ScriptedPlatform(edition=after), World(tmp_path, NOON + 60_000)
    again.add(city, edition=after, backfill=("realtime",))
    await again.sleep(5)
    (seen,) = city.of("2011")
    assert f"CP=&&DataTime=20260922120000;{becomes}&&".encode() in seen.frame
    await again.stop()


@virtual
async def test_a_start_that_waits_is_withdrawn_when_the_platform_becomes_one_of_2005_and_nothing_is_lost(
    tmp_path: Path,
) -> None:
    silent, world = ScriptedPlatform(Profile(silent=True)), World(tmp_path)
    world.add(silent)
    await world.sleep(1)
    payload = b"DataTime=20260922120000;RestartTime=20260922115900"
    world.offer(world.store.now(outbox.enqueue, [Due("city", "ww1", "2081", NOON, payload=payload)], NOON))
    await world.sleep(5)
    assert len(silent.of("2081")) == 1
    await world.stop()
    city, again = old(), World(tmp_path, NOON + 60_000)
    again.add(city, edition="2005")
    await again.sleep(30)
    assert (city.seen, again.open_count(), again.counts().lost) == ([], 0, 0)
    await again.stop()


@virtual
async def test_garbage_of_an_instrument_does_not_stop_the_lane(tmp_path: Path) -> None:
    world, city = World(tmp_path), old()
    world.add(city, edition="2005")
    await world.sleep(1)
    wild = Record("ww1", Kind.MINUTE, "w20111", NOON, min=3.4e38, avg=3.4e38, max=3.4e38, count=12, mark="T")
    dues = [Due("city", "ww1", "2051", NOON, end=NOON + MINUTE_MS)]
    await world.sleep(0)
    world.offer(world.store.now(records.seal, [wild, *sample_records(NOON)], dues, NOON))
    world.offer(world.seal(NOON + MINUTE_MS))
    await world.sleep(5)
    assert (len(city.of("2051")), world.open_count()) == (2, 0)
    await world.stop()


WIDE = ("w01018", "w01001", "w21003", "w21011", "w21001", "w20111", "w20115", "w20116", "w20117", "w20119", "w20120",
        "w20121", "w20122", "w20123", "w21016", "w22001", "w23002", "w25043", "w20124", "w20125", "w20126", "w21017",
        "w21019", "w23011")  # fmt: skip


@virtual
async def test_a_long_record_goes_in_parts_pno_first_and_is_delivered_with_the_answer_to_the_last(
    tmp_path: Path,
) -> None:
    world, city = World(tmp_path), old(Profile(silent=True))
    world.add(city, edition="2005", window=4)
    await world.sleep(1)
    wide = [Record("ww1", Kind.MINUTE, name, NOON, min=1.0, avg=2.0, max=3.0, count=12) for name in WIDE]
    due = Due("city", "ww1", "2051", NOON, end=NOON + MINUTE_MS)
    world.offer(world.store.now(records.seal, wide, [due], NOON))
    await world.sleep(12)
    parts = {each.packet.pno: each for each in city.of("2051")}
    assert list(parts) == [1]  # the window begins with one
    for number in (1, 2):
        await world.sleep(1)
        packet = {each.packet.pno: each.packet for each in city.of("2051")}[number]
        station = f"ST=32;CN=2051;QN={packet.qn};PW=123456;MN={MN};PNO={number};PNUM=2;CP=&&DataTime=20260922120000;"
        assert said(city, "2051")[-1].startswith(station.encode())
        assert world.open_count() == 1
        city.send(wrap(f"ST=91;CN=9014;CP=&&QN={packet.qn};CN=2051;PNO={number};PNUM=2;&&".encode()))
        await world.sleep(1)
    assert world.open_count() == 0
    await world.stop()
