"""What a technician orders for the outbox: held platforms, ranges sent again. In virtual time."""

from __future__ import annotations

from pathlib import Path

from virtual_time import MN, NOON, Profile, ScriptedPlatform, World, rendered, virtual

from edge.store import again, outbox
from edge.store.again import Range
from edge.values import MINUTE_MS, Kind
from protocol.frame import wrap

MINUTES = Range("city", ["2051"], NOON, NOON + 9 * MINUTE_MS)


def reopened(world: World, wanted: Range) -> int:
    total, place = 0, again.FIRST
    while place is not None:
        count, place = world.store.now(again.reopen, wanted, place)
        total += count
    return total


def fields(world: ScriptedPlatform) -> list[dict[str, str]]:
    return [
        {name: value for item in seen.packet.data for name, value in item if name != "DataTime"}
        for seen in world.of("2051")
    ]


@virtual
async def test_a_range_is_sent_again_under_new_qns_with_the_same_values_and_the_books_balance(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform()
    session = world.add(city)
    await world.sleep(1)
    world.offer([key for number in range(20) for key in world.seal(NOON + number * MINUTE_MS)])
    await world.sleep(60)
    before = city.of("2051")
    assert len(before) == 20
    assert world.store.now(again.count, MINUTES) == {"2051": 10}
    assert reopened(world, MINUTES) == 10
    assert (world.open_count(), world.counts().lost, world.counts().answered) == (10, 0, 10)
    session.look_again()
    await world.sleep(60)
    after = city.of("2051")[20:]
    assert [seen.packet.get("DataTime") for seen in after] == [seen.packet.get("DataTime") for seen in before[:10]]
    assert {seen.packet.qn for seen in after}.isdisjoint(seen.packet.qn for seen in before)
    assert fields(city)[20:] == [rendered(NOON + number * MINUTE_MS) for number in range(10)]
    counts = world.counts()
    assert (world.open_count(), counts.lost, counts.answered, counts.sent) == (0, 0, 20, 20)
    await world.stop()


@virtual
async def test_what_is_still_open_is_not_counted_and_not_sent_twice(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform()
    city.up = False
    session = world.add(city)
    await world.sleep(1)
    world.seal(NOON)
    assert reopened(world, MINUTES) == 0
    city.up = True
    session.look_again()
    await world.sleep(120)
    assert len(city.of("2051")) == 1
    await world.stop()


@virtual
async def test_a_held_platform_gets_nothing_but_answers_until_it_is_released(tmp_path: Path) -> None:
    world, city, other = World(tmp_path), ScriptedPlatform(), ScriptedPlatform()
    session = world.add(city)
    world.add(other, "other", mn="A1")
    await world.sleep(1)
    session.terms.held = True
    world.task(world.realtime())
    await world.minutes(5)
    await world.sleep(10)
    assert city.seen == []
    assert len(other.of("2051")) == 5
    assert len(other.of("2011")) >= 5
    assert world.counts_of("city").lost == 0
    session.terms.held = False
    session.look_again()
    await world.sleep(60)
    assert len(city.of("2051")) == 5
    assert world.counts_of("city").lost == 0
    await world.stop()


@virtual
async def test_data_asked_for_while_held_are_answered_with_busy(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform()
    session = world.add(city)
    await world.sleep(1)
    world.offer(world.seal(NOON))
    await world.sleep(5)
    session.terms.held = True
    span = "BeginTime=20260922120000;EndTime=20260922120000"
    segment = f"QN=20260922120500000;ST=32;CN=2051;PW=123456;MN={MN};Flag=5;CP=&&{span}&&"
    city.send(wrap(segment.encode()))
    await world.sleep(5)
    assert [seen.packet.get("ExeRtn") for seen in city.of("9012")] == ["5"]
    await world.stop()


@virtual
async def test_after_as_many_refusals_as_the_site_says_it_is_set_aside_with_the_platforms_code(tmp_path: Path) -> None:
    for limit in (1, 3):
        world = World(tmp_path / str(limit))
        city = ScriptedPlatform(Profile(refuse_9014=frozenset({"2051"})))
        world.add(city, refusals=limit)
        await world.sleep(1)
        world.offer(world.seal(NOON))
        world.offer(world.seal(NOON, kind=Kind.HOUR))
        await world.sleep(3600)
        assert len(city.of("2051")) == limit
        assert len(city.of("2061")) == 1  # what is behind it is not held up
        (aside,) = world.store.now(outbox.aside)
        assert (aside.platform, aside.cn, aside.code, aside.count, aside.oldest) == ("city", "2051", "2", 1, NOON)
        assert (world.counts().rejected, world.counts().lost) == (1, 0)
        await world.stop()


@virtual
async def test_a_page_of_a_long_backlog_is_found_without_reading_all_of_it(tmp_path: Path) -> None:
    world = World(tmp_path)
    for number in range(3_000):
        world.seal(NOON + number * MINUTE_MS)
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    world.store.db.set_progress_handler(count, 100)
    after = None
    for _ in range(3):
        page = world.store.now(outbox.open_deliveries, "city", "ww1", 100, after, ["2051"], NOON)
        after = page[-1].cursor
    assert [one.start for one in page] == [NOON + number * MINUTE_MS for number in range(200, 300)]
    assert steps < 150, "hundreds of virtual instructions for each of the 3,000, not of the 300"
    world.store.db.set_progress_handler(None, 0)
    await world.stop()
