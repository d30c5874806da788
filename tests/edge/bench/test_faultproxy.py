"""The fault proxy does to a link what it says."""

import asyncio
from collections.abc import AsyncIterator

import annexc
import pytest
from bench_peer import Peer
from faultproxy import BYTEWISE, DUPLICATE, PASS, STALL, SWALLOW, Fault, FaultProxy

from edge.bench.platform import BenchPlatform


@pytest.fixture
async def proxy(platform: BenchPlatform) -> AsyncIterator[FaultProxy]:
    async with FaultProxy("127.0.0.1", platform.port) as proxy:
        yield proxy


@pytest.fixture
async def far(proxy: FaultProxy) -> AsyncIterator[Peer]:
    peer = Peer(*await asyncio.open_connection("127.0.0.1", proxy.port))
    yield peer
    peer.writer.close()


async def received(platform: BenchPlatform, count: int) -> None:
    await asyncio.wait_for(platform.until(lambda: len(platform.received) >= count), 5)


@pytest.mark.parametrize("fault", [PASS, BYTEWISE, Fault(delay_s=0.001)])
async def test_harmless_faults_deliver_packet_and_answer(proxy: FaultProxy, far: Peer, fault: Fault) -> None:
    proxy.both(fault)
    far.say(annexc.REALTIME)
    assert await far.hear() == annexc.REALTIME_ANSWER


async def test_answers_are_dropped_after_the_platform_stored_the_packet(
    platform: BenchPlatform, proxy: FaultProxy, far: Peer
) -> None:
    proxy.down = SWALLOW
    far.say(annexc.REALTIME)
    await asyncio.wait_for(proxy.until(lambda: proxy.swallowed["down"] == len(annexc.REALTIME_ANSWER)), 5)
    assert platform.answered["2011"] == 1
    proxy.down = PASS
    far.say(annexc.MINUTE)
    assert await far.hear() == annexc.MINUTE_ANSWER


async def test_stalled_bytes_arrive_when_the_stall_ends(platform: BenchPlatform, proxy: FaultProxy, far: Peer) -> None:
    proxy.up = STALL
    far.say(annexc.REALTIME)
    await far.writer.drain()
    proxy.up = PASS
    assert await far.hear() == annexc.REALTIME_ANSWER


async def test_half_open_link_stays_up_for_the_logger_when_the_platform_closes(
    platform: BenchPlatform, proxy: FaultProxy, far: Peer
) -> None:
    far.say(annexc.REALTIME)
    await far.hear()
    proxy.both(SWALLOW)
    platform.drop_links()
    await asyncio.wait_for(platform.until(lambda: platform.links == 0), 5)
    far.say(annexc.MINUTE)
    assert (proxy.links, len(platform.received), far.reader.at_eof()) == (1, 1, False)


async def test_duplicated_packets_arrive_twice(platform: BenchPlatform, proxy: FaultProxy, far: Peer) -> None:
    proxy.up = DUPLICATE
    far.say(annexc.REALTIME)
    await received(platform, 2)
    assert platform.repeated == 1


async def test_cut_inside_a_frame_ends_both_sides(platform: BenchPlatform, proxy: FaultProxy, far: Peer) -> None:
    proxy.up = Fault(cut_after=50)
    far.say(annexc.REALTIME)
    assert await far.ended()
    await received(platform, 1)
    assert platform.received[0].findings[0].code == "protocol.frame.unfinished"


async def test_cut_and_refused_logger_comes_back_on_the_same_port(proxy: FaultProxy, far: Peer) -> None:
    await proxy.refuse()
    proxy.cut()
    assert await far.ended()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", proxy.port)
    await proxy.accept()
    again = Peer(*await asyncio.open_connection("127.0.0.1", proxy.port))
    again.say(annexc.MINUTE)
    assert await again.hear() == annexc.MINUTE_ANSWER
    again.writer.close()
