"""How a link ends and begins again, with its cause: on real sockets and ptys, and in virtual time."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from faultproxy import SWALLOW, FaultProxy
from test_transports import server
from virtual_time import Profile, ScriptedPlatform, World, virtual

from config.site import Access, Platform
from edge.clock import SystemClock
from edge.uplink import link as link_module
from edge.uplink.link import Link
from edge.uplink.transport import LinkDown
from edge.uplink.ways import transport

LIMIT_S = 5.0


class Log:
    """Ups and downs of a link as they happen."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, ...]] = []

    def up(self, link: Link) -> None:
        self.seen.append(("up", link.address))

    def down(self, link: Link, cause: str, detail: str) -> None:
        self.seen.append(("down", cause))


class HasteClock(SystemClock):
    """Waiting takes no time."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)

    speed = 1000.0


@asynccontextmanager
async def running(**keys: Any) -> AsyncIterator[tuple[Link, Log]]:
    site = Platform(edition="2017", outlets={"ww1": Access(mn="M")}, **keys)
    log = Log()
    way = transport("city", site, lambda _code, _params: None)
    link = Link("city", way, [], HasteClock(), watcher=log)
    task = asyncio.create_task(link.run())
    try:
        yield link, log
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not condition():  # noqa: ASYNC110 - the other end is a socket: there is nothing else to wait for
            await asyncio.sleep(0.001)


def proxy_to(address: str) -> FaultProxy:
    host, port = address.split(":")
    return FaultProxy(host, int(port))


async def test_a_link_that_is_cut_comes_back_and_its_end_has_a_cause() -> None:
    async with server() as (address, _), proxy_to(address) as proxy:
        async with running(address=proxy.address) as (link, log):
            await until(lambda: link.connects == 1 and proxy.links)
            assert link.down_since is None
            await proxy.refuse()
            proxy.cut()
            await until(lambda: link.failures >= 2)
            assert log.seen[1][1] in ("reset", "closed")
            assert link.connected_since is None
            assert link.down_since is not None
            await proxy.accept()
            await until(lambda: link.connects == 2)
        assert log.seen[-1] == ("down", "stopped")


async def test_a_serial_port_that_vanishes_ends_the_link_and_is_opened_again(tmp_path: Path) -> None:
    far, near = os.openpty()
    path = tmp_path / "dtu"
    path.symlink_to(os.ttyname(near))
    os.close(near)
    async with running(address=f"serial:{path}") as (link, log):
        await until(lambda: link.connects == 1)
        os.close(far)
        path.unlink()
        await until(lambda: log.seen[-1] == ("down", "port") and link.failures)
        far, near = os.openpty()
        path.symlink_to(os.ttyname(near))
        await until(lambda: link.connects == 2)
    os.close(far)
    os.close(near)


async def test_a_platform_that_comes_again_takes_the_place_of_its_older_connection() -> None:
    async with running(listen="127.0.0.1:0", allow_from=("127.0.0.1",)) as (link, log):
        way: Any = link.transport
        await until(lambda: way.port)
        _, first = await asyncio.open_connection("127.0.0.1", way.port)
        await until(lambda: link.connects == 1)
        _, second = await asyncio.open_connection("127.0.0.1", way.port)
        await until(lambda: link.connects == 2)
        assert link.peer == "{}:{}".format(*second.get_extra_info("sockname"))
        second.close()
        await until(lambda: log.seen[-1][0] == "down")
        assert [what for what, _ in log.seen] == ["up", "down", "up", "down"]
        assert [cause for what, cause in log.seen if what == "down"] == ["replaced", "closed"]
        first.close()


@virtual
async def test_a_peer_that_tcp_has_given_up_ends_the_link(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform()
    world.add(city)
    await world.sleep(1)
    city.ends[0].reader.set_exception(OSError(errno.ETIMEDOUT, "Connection timed out"))
    await world.sleep(5)
    assert len(city.connects) == 2
    assert [params["why"] for code, params in world.events if code == "edge.link-down"] == ["timed out"]
    await world.stop()


@virtual
async def test_with_no_answer_close_a_half_open_link_is_left_though_tcp_sees_nothing(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform(Profile(silent=True))
    world.add(city, no_answer="close", retries=0)
    world.task(world.realtime(10.0))
    await world.sleep(60)
    assert len(city.connects) >= 2
    assert "no answer from the platform" in [params.get("why") for _, params in world.events]
    await world.stop()


async def test_bytes_are_counted_also_those_that_are_swallowed_on_the_way() -> None:
    async with server() as (address, _), proxy_to(address) as proxy, running(address=proxy.address) as (link, _log):
        await until(lambda: link.connects)
        await link.write(b"x" * 7)
        await until(lambda: link.bytes_in == 7)
        proxy.both(SWALLOW)
        await link.write(b"y" * 5)
        await until(lambda: proxy.swallowed["up"] == 5)
        assert (link.connects, link.bytes_in, link.bytes_out) == (1, 7, 12)


async def test_a_serial_port_that_is_stuck_ends_the_link(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "WRITE_S", 0.05)
    far, near = os.openpty()
    path = os.ttyname(near)
    os.close(near)
    async with running(address=f"serial:{path}") as (link, _):
        await until(lambda: link.connects == 1)
        with pytest.raises(LinkDown, match="not-drained"):
            await link.write(b"x" * 1_000_000)
    os.close(far)
