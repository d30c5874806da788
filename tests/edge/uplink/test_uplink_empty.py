"""A period without any value, on a platform that wants such factors omitted; and a delivery whose records are gone."""

from __future__ import annotations

from pathlib import Path

from virtual_time import NOON, ScriptedPlatform, World, virtual

from edge.store import records
from edge.store.outbox import Due
from edge.values import MINUTE_MS, Kind, Record


@virtual
async def test_a_period_without_a_value_is_no_packet_and_no_loss_and_no_evidence(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform(rtt_s=0.02)
    empty = [Record("ww1", Kind.MINUTE, "w01018", NOON, mark="B")]
    world.store.now(records.seal, empty, [Due("city", "ww1", "2051", NOON, end=NOON + MINUTE_MS)], NOON)
    world.add(city, absent="omit")
    await world.sleep(20)
    assert city.of("2051") == []
    assert (world.counts().lost, world.counts().expired, world.counts().answered) == (0, 1, 0)
    await world.stop()


@virtual
async def test_a_delivery_without_its_records_steps_aside_and_is_said(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform(rtt_s=0.02)
    world.store.now(records.seal, [], [Due("city", "ww1", "2051", NOON, end=NOON + MINUTE_MS)], NOON)
    world.add(city, absent="omit")
    await world.sleep(20)
    assert city.of("2051") == []
    assert "edge.unbuildable" in world.codes()
    assert world.counts().lost == 1
    await world.stop()
