"""A factor that is sealed later than the others of its hour: a packet of its own, each value in one packet."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from virtual_time import NOON, ScriptedPlatform, World, sample_records, virtual

from edge.store import outbox, records
from edge.store.outbox import Due
from edge.values import HOUR_MS, Kind
from protocol.times import time_text

COD = "w01018"


def seal(world: World, start: int, *, late: bool) -> list[int]:
    """The hour's other factors, or the one that waited."""
    found = [record for record in sample_records(start, Kind.HOUR) if (record.factor == COD) == late]
    dues = [Due("city", "ww1", "2061", start, factor=COD if late else None)]
    ids: list[int] = world.store.now(records.seal, found, dues, world.clock.wall_ms())
    world.offer(ids)
    return ids


def factors(city: ScriptedPlatform, start: int) -> list[set[str]]:
    """The factors in each packet of an hour."""
    packets = [seen.packet for seen in city.of("2061") if seen.packet.get("DataTime") == time_text(start)]
    return [{name.split("-")[0] for item in packet.data[1:] for name, _ in item} for packet in packets]


@virtual
async def test_late_factor_follows_in_a_packet_of_its_own(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform()
    world.add(city)
    await world.sleep(1)
    seal(world, NOON, late=False)
    await world.sleep(5)
    assert factors(city, NOON) == [{"w00000", "w01001"}]
    seal(world, NOON, late=True)
    await world.sleep(5)
    assert factors(city, NOON) == [{"w00000", "w01001"}, {COD}]
    assert world.open_count() == 0
    await world.stop()


@virtual
async def test_after_an_outage_no_value_is_in_two_packets(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform()
    for start in (NOON - 2 * HOUR_MS, NOON - HOUR_MS):
        seal(world, start, late=False)
        seal(world, start, late=True)
    world.add(city, backfill_rate=0.0)
    await world.sleep(10)
    for start in (NOON - 2 * HOUR_MS, NOON - HOUR_MS):
        assert sorted(factors(city, start), key=len) == [{COD}, {"w00000", "w01001"}]
    assert world.open_count() == 0
    await world.stop()


@virtual
async def test_factor_that_is_sealed_with_the_others_is_in_their_packet(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform()
    world.add(city)
    await world.sleep(1)
    world.offer(world.seal(NOON, kind=Kind.HOUR))
    await world.sleep(5)
    assert factors(city, NOON) == [{"w00000", "w01001", COD}]
    await world.stop()


@virtual
async def test_late_delivery_is_there_once_and_apart(tmp_path: Path) -> None:
    world = World(tmp_path)
    first = seal(world, NOON, late=False)
    assert len(first) == len(seal(world, NOON, late=True)) == 1
    assert seal(world, NOON, late=True) == []
    due = Due("city", "ww1", "2061", NOON, factor=COD)
    assert world.store.now(outbox.enqueue, [due, replace(due, factor=None)], NOON) == []
    (delivery,) = [d for d in world.store.now(outbox.open_deliveries, "city", "ww1") if d.factor is not None]
    assert delivery.factor == COD
    await world.stop()
