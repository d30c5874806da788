"""A started platform, its clock, and loggers that connect to it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from bench_peer import Dial, ManualClock, Peer

from edge.bench.conversation import Timing
from edge.bench.platform import BenchPlatform, Options
from edge.bench.profiles import profile

sys.path.insert(0, str(Path(__file__).parents[2]))  # tests/faultproxy.py


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def platform(request: pytest.FixtureRequest, clock: ManualClock) -> AsyncIterator[BenchPlatform]:
    """A started platform; `indirect` parameters choose its profile."""
    chosen = profile(getattr(request, "param", "normal"))
    options = Options(timing=Timing(timeout_s=10, retries=2, result_s=30))
    platform = BenchPlatform("127.0.0.1:0", chosen, clock, options=options)
    await platform.start()
    yield platform
    await platform.stop()


@pytest.fixture
async def dial(platform: BenchPlatform) -> AsyncIterator[Dial]:
    peers: list[Peer] = []

    async def connect() -> Peer:
        peer = Peer(*await asyncio.open_connection("127.0.0.1", platform.port))
        peers.append(peer)
        return peer

    yield connect
    for peer in peers:
        peer.writer.close()


@pytest.fixture
async def peer(dial: Dial) -> Peer:
    return await dial()
