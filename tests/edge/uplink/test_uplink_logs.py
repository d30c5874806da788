"""The journal as logs of 3020: what a platform is told; a flood or a silence stays small (Table B.10, C.40)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from virtual_time import MN, NOON, Profile, ScriptedPlatform, World, realtime_region, site_platform, virtual

from config.site import Access
from edge.store import journal, logs, settings
from edge.store.journal import Entry
from edge.uplink.logs import BURST, EACH_S, body
from edge.uplink.terms import Terms
from protocol.frame import wrap
from protocol.messages import Header
from protocol.times import time_text
from protocol.upload import frames

COUNTY_MN = "010000A8900016F000169DC1"


async def begin(world: World) -> None:
    """As the daemon does."""
    await world.uploads.load()

    async def run() -> None:
        async with asyncio.TaskGroup() as group:
            world.uploads.start(group, lambda part: world.events.append(("failed", {"part": part})))

    world.task(run())
    await world.sleep(6)


def note(world: World, who: str, action: str, **detail: Any) -> None:
    world.store.now(journal.append, who, action, detail, world.clock.wall_ms())


def told(city: ScriptedPlatform) -> list[str]:
    """The data regions of what came as 3020, without the time; the receipt of the connection is left out."""
    bodies = [seen.frame.split(b"CP=&&")[1].split(b"&&")[0].decode() for seen in city.of("3020")]
    return [text.partition(";")[2] for text in bodies if "connection.receipt" not in text]


@virtual
async def test_a_new_entry_is_a_log_of_the_logger_and_at_an_instrument_also_one_of_the_instrument(
    tmp_path: Path,
) -> None:
    world, city = World(tmp_path), ScriptedPlatform()
    note(world, "logger", "started", version="0")
    world.add(city)
    await begin(world)
    assert told(city) == []  # what was before logs were wanted is not uploaded
    note(world, "user:zhang", "instrument.clean", outlet="ww1", pol_id="w01018", why="清洗管路")
    entered = world.clock.wall_ms()
    await world.sleep(10)
    text = "//user:zhang instrument.clean outlet:ww1 pol_id:w01018 why:清洗管路//"
    assert sorted(told(city)) == [f"PolId=w01018;i11001-Info={text}", f"i21001-Info={text}"]
    assert {seen.packet.get("DataTime") for seen in city.of("3020")} == {time_text(entered)}
    assert {seen.packet.flag for seen in city.of("3020")} == {5}
    assert (world.open_count(), world.counts().lost) == (0, 0)
    await world.stop()


@virtual
async def test_each_entry_is_uploaded_once_also_across_a_restart(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform()
    world.add(city)
    await begin(world)
    note(world, "user:zhang", "note", text="one")
    await world.sleep(10)
    note(world, "user:zhang", "note", text="two")
    await world.stop()
    world, again = World(tmp_path, NOON + 60_000), ScriptedPlatform()
    world.add(again)
    note(world, "logger", "started", version="0")
    await begin(world)
    await world.sleep(60)
    assert [text[len("i21001-Info=//") :] for text in told(city) + told(again)] == [
        "user:zhang note text:one//", "user:zhang note text:two//", "logger started version:0//",
    ]  # fmt: skip
    await world.stop()


ENTRIES = (
    ("platform:1062", "setting.put", {"platform": "county", "outlet": "ww1", "name": "realtime", "after": "45000"}),
    ("platform:county", "command.refused", {"platform": "county", "cn": "3011", "QnRtn": 2}),
    ("logger", "connection.receipt", {"platform": "county", "outlet": "ww1", "mn": COUNTY_MN}),
    ("platform:county", "instrument.clean", {"platform": "county", "outlet": "ww1", "pol_id": "w01018", "ExeRtn": 1}),
    ("platform:county", "instrument.clean", {"platform": "county", "outlet": "ww2", "pol_id": "w01018", "ExeRtn": 1}),
    ("platform:county", "clock.set", {"platform": "county", "from": 1, "to": 2, "ExeRtn": 1}),
    ("user:zhang", "note", {"text": "door open"}),
)


@virtual
async def test_a_platform_is_not_told_what_concerns_another_uploaded_or_asked_for(tmp_path: Path) -> None:
    world, city, county = World(tmp_path), ScriptedPlatform(), ScriptedPlatform()
    world.add(city)
    world.add(county, "county", COUNTY_MN)
    await begin(world)
    world.store.now(settings.put, "county", "ww1", "password", "geheim1", "platform:1072", world.clock.wall_ms())
    for who, action, detail in ENTRIES:
        note(world, who, action, **detail)
    await world.sleep(60)
    actions = [text.split()[1] for text in told(city) if text.startswith("i21001")]
    assert actions == ["instrument.clean", "clock.set", "note"]
    actions = [text.split()[1] for text in told(county) if text.startswith("i21001")]
    assert actions == ["setting.put", "setting.put", "command.refused", "instrument.clean", "clock.set", "note"]
    segment = (
        f"QN=20160801085857223;ST=32;CN=3020;PW=123456;MN={MN};Flag=5;CP=&&InfoId=i21001;"
        f"BeginTime={time_text(NOON)};EndTime={time_text(NOON + 600_000)}&&"
    )
    before = len(city.of("3020"))
    city.send(wrap(segment.encode()))
    await world.sleep(10)
    assert [text.split()[1] for text in told(city)[before:]] == ["instrument.clean", "clock.set", "note"]
    everything = b"".join(seen.frame for platform in (city, county) for seen in platform.seen)
    assert b"geheim1" not in everything
    await world.stop()


@virtual
async def test_a_flood_of_entries_becomes_few_packets_and_the_newest_ones_arrive(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform()
    session = world.add(city)
    await begin(world)
    for number in range(5_000):
        note(world, "user:zhang", "note", number=number)
    started = world.clock.mono_s()
    await session.offer_fleeting("2011", NOON, realtime_region(NOON))
    await world.sleep(1)
    assert city.of("2011")
    await world.sleep(599)
    assert len(city.of("3020")) <= BURST + (world.clock.mono_s() - started) / EACH_S + 1
    await world.sleep(1_400)
    numbers = [int(text.partition("number:")[2].rstrip("/")) for text in told(city)]
    assert numbers == list(range(5_000 - len(numbers), 5_000))
    assert logs.WAITING - 1 <= len(numbers) <= logs.WAITING  # the receipt of the connection is an entry, too
    passed = [params["count"] for code, params in world.events if code == "edge.logs-passed-over"]
    assert sum(passed) == 5_000 - len(numbers)
    assert world.store.now(logs.dropped) == {("city", "ww1"): sum(passed)}
    assert world.counts().lost == 0
    await world.stop()


@virtual
async def test_a_platform_that_never_answers_3020_costs_little_blocks_nothing_and_causes_no_entry(
    tmp_path: Path,
) -> None:
    world, city = World(tmp_path), ScriptedPlatform(Profile(silent=frozenset({"3020"})))
    session = world.add(city)
    await begin(world)
    for number in range(500):
        note(world, "user:zhang", "note", number=number)
    await world.sleep(900)
    assert session.silent_kinds() == ["info"]
    world.task(world.minutes(60))
    delays = []
    for number in range(60):
        offered = world.clock.mono_s()
        await session.offer_fleeting("2011", NOON + number * 60_000, realtime_region(NOON + number * 60_000))
        note(world, "user:zhang", "note", later=number)
        await world.sleep(60)
        delays.append(city.of("2011")[-1].at - offered)
    assert len(city.of("2011")) == 60
    assert max(delays) <= 10.5  # one probe a minute, unanswered for the time-out of 10 s
    assert len(city.of("2051")) >= 58
    probes = [seen.at for seen in city.of("3020") if seen.at > 1_000]
    assert len(probes) <= 61
    assert world.open_count() <= logs.IN_OUTBOX + 2
    written = [entry.action for entry in world.store.now(journal.entries, 10_000)]
    assert (len(written), set(written)) == (561, {"note", "connection.receipt"})
    assert world.counts().lost == 0
    city.profile = Profile()
    await world.sleep(1_800)
    assert world.open_count() == 0
    assert told(city)[-1] == "i21001-Info=//user:zhang note later:59//"
    await world.stop()


@virtual
async def test_logs_that_were_not_wanted_for_a_while_are_not_sent_later(tmp_path: Path) -> None:
    for events, action in ((("3020",), "first"), ((), "second"), (("3020",), "third")):
        world, city = World(tmp_path), ScriptedPlatform()
        world.add(city, events=events)
        await begin(world)
        note(world, "user:zhang", action)
        await world.sleep(10)
        assert [text.split()[1].rstrip("/") for text in told(city)] == ([action] if events else [])
        await world.stop()


@pytest.mark.parametrize(("info_id", "pol_id"), [("i21001", None), ("i11001", "w01018")])
@given(
    words=st.text(st.characters(codec="utf-8"), max_size=40),
    times=st.integers(1, 60),
    mn=st.integers(1, 24),
    pw=st.integers(0, 24),
)
def test_any_log_fits_one_packet_is_at_most_890_bytes_and_ends_at_a_character(
    info_id: str, pol_id: str | None, words: str, times: int, mn: int, pw: int
) -> None:
    access = Access(mn="1" * mn, password="2" * pw)
    terms = Terms("city", "ww1", "32", replace(site_platform(), outlets={"ww1": access}), access)
    entry = Entry(1, NOON, "user:张", "note", {"text": words * times}, b"")
    text = body(terms, info_id, entry, pol_id)
    log = text.partition("-Info=")[2]
    assert log.startswith("//")
    assert log.endswith("//")
    assert len(log.encode()) <= 890
    head = f"QN=20160801085857223;ST=32;CN=3020;PW={access.password};MN={access.mn};Flag=5;CP=&&&&"
    assert len(head.encode()) + len(text.encode()) <= 1024


def test_a_long_log_in_chinese_uses_the_room_that_there_is() -> None:
    access = Access(mn=MN, password="123456")
    terms = Terms("city", "ww1", "32", site_platform(), access)
    entry = Entry(1, NOON, "user:张", "note", {"text": "清" * 1_000}, b"")
    assert len(body(terms, "i21001", entry).partition("-Info=")[2].encode()) in range(888, 891)  # 3 bytes a character
    assert len(body(terms, "i11001", entry, "w01018").partition("-Info=")[2].encode()) in range(886, 889)


def test_a_mark_reads_as_words_and_times_and_needs_no_separator_of_the_protocol() -> None:
    terms = Terms("city", "ww1", "32", site_platform(), Access(mn=MN, password="123456"))
    after = {
        "kind": "mark", "points": ["ww1/w01018", "ww1/w01001"], "begin": NOON, "end": None, "mark": "M", "item": "校准",
        "evidence": {}, "withdrawn": False,
    }  # fmt: skip
    entry = Entry(1, NOON, "user:root", "mark.add", {"number": 7, "before": None, "after": after}, b"")
    log = body(terms, "i21001", entry).partition("-Info=")[2]
    assert log == (
        f"//user:root mark.add number:7 after:{{kind:mark points:[ww1/w01018 ww1/w01001] begin:{time_text(NOON)}"
        " mark:M item:校准 withdrawn:false}//"
    )
    assert not set(log) & set(";,=&'\"")


@pytest.mark.parametrize("limits", [{"cp_limit": 128}, {"segment_limit": 256}])
def test_a_log_is_as_short_as_the_platform_wants_its_packets(limits: dict[str, int]) -> None:
    access = Access(mn=MN, password="123456")
    terms = Terms("city", "ww1", "32", replace(site_platform(), **limits), access)
    entry = Entry(1, NOON, "user:张", "note", {"text": "清" * 1_000}, b"")
    text = body(terms, "i11001", entry, "w01018")
    header = Header(terms.st, terms.password, terms.mn)
    assert len(frames(header, "3020", text, lambda: NOON, True, terms.limits)) == 1
