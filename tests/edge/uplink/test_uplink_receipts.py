"""Which packet becomes the receipt of the official connection time (design.md, "Official connection time")."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from virtual_time import NOON, ScriptedPlatform, World, realtime_region, virtual

from edge.clock import PLAUSIBLE_FROM_MS
from edge.store import connection, outbox
from edge.store.outbox import Due

STARTUP = Due("city", "ww1", "2081", NOON, payload=b"DataTime=20260922120000;RestartTime=20260922115900")
STATES = Due("city", "ww1", "2021", NOON, payload=b"DataTime=20260922120000;SB1-RS=1")
RUNTIMES = Due("city", "ww1", "2041", NOON, payload=b"DataTime=20260922000000;SB1-RT=1.1")


async def receipts_of(tmp_path: Path, dues: list[Due], realtime: bool, **changes: Any) -> list[connection.Receipt]:
    world, city = World(tmp_path), ScriptedPlatform(rtt_s=0.2)
    world.add(city, **changes)
    await world.sleep(1)
    world.offer(world.store.now(outbox.enqueue, dues, NOON))
    await world.sleep(2)
    for number in range(2 if realtime else 0):
        tick = NOON + number * 30_000
        await world.sessions["city"].offer_fleeting("2011", tick, realtime_region(tick))
        await world.sleep(2)
    found: list[connection.Receipt] = world.store.now(connection.receipts)
    await world.stop()
    return found


@virtual
async def test_the_first_answered_pollutant_packet_alone_is_the_receipt(tmp_path: Path) -> None:
    (receipt,) = await receipts_of(tmp_path, [STARTUP, STATES, RUNTIMES], realtime=True)
    assert (receipt.cn, receipt.confirmed, receipt.valid, receipt.address) == ("2011", True, True, "city.example:9212")
    assert (receipt.written_ms, receipt.official_ms) == (NOON + 3000, NOON + 3200)
    assert receipt.qn.encode() in receipt.packet
    assert receipt.qn.encode() in receipt.answer


@virtual
async def test_states_running_times_and_start_make_no_receipt(tmp_path: Path) -> None:
    assert await receipts_of(tmp_path, [STARTUP, STATES, RUNTIMES], realtime=False) == []


@virtual
async def test_a_rehearsal_makes_no_receipt(tmp_path: Path) -> None:
    assert await receipts_of(tmp_path, [], realtime=True, role="rehearsal") == []


@virtual
async def test_before_connect_from_it_is_a_joint_test(tmp_path: Path) -> None:
    (receipt,) = await receipts_of(tmp_path, [], realtime=True, connect_from="2026-09-23")
    assert (receipt.joint_test, receipt.valid) == (True, False)


@virtual
async def test_without_acknowledgement_the_receipt_is_unconfirmed(tmp_path: Path) -> None:
    (receipt,) = await receipts_of(tmp_path, [], realtime=True, acknowledge=False)
    assert (receipt.confirmed, receipt.answer) == (False, b"")


@virtual
async def test_an_implausible_clock_makes_no_receipt(tmp_path: Path) -> None:
    world, city = World(tmp_path, PLAUSIBLE_FROM_MS - 60_000), ScriptedPlatform()
    session = world.add(city)
    await world.sleep(1)
    await session.offer_fleeting("2011", NOON, realtime_region(NOON))
    await world.sleep(5)
    assert world.counts().answered == 1
    assert world.store.now(connection.receipts) == []
    await world.stop()
