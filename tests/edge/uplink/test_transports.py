"""The ways to a platform on real sockets and ptys: order of addresses, DNS, binding, TLS, listening, a serial DTU."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from certificates import Certificate, certificate

from config.site import Access, Platform
from config.tls import Tls
from edge.catalogue import text
from edge.uplink import resolve
from edge.uplink.listen import Door, Listener
from edge.uplink.resolve import Found, Resolver
from edge.uplink.terms import destination
from edge.uplink.transport import CAUSES, Connection, LinkDown, Transport, cause_of
from edge.uplink.ways import transport

LIMIT_S = 5.0
CLOSE = LinkDown("stopped")
Events = list[tuple[str, dict[str, Any]]]


def platform(**keys: Any) -> Platform:
    return Platform(edition="2017", outlets={"ww1": Access(mn="M")}, **keys)


def way(**keys: Any) -> Transport:
    return transport("city", platform(**keys), lambda _code, _params: None)


async def opened(wanted: Transport) -> Connection:
    async with asyncio.timeout(LIMIT_S):
        return await wanted.open()


@asynccontextmanager
async def server(context: ssl.SSLContext | None = None) -> AsyncIterator[tuple[str, list[tuple[Any, ...]]]]:
    """An echo on loopback: its address, and from where it was connected to."""
    came: list[tuple[Any, ...]] = []
    serving: set[asyncio.Task[None] | None] = set()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        came.append(writer.get_extra_info("peername"))
        with suppress(OSError):
            while data := await reader.read(100):
                writer.write(data)
        writer.transport.abort()

    made = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=context)
    try:
        yield f"127.0.0.1:{made.sockets[0].getsockname()[1]}", came
    finally:
        made.close()
        async with asyncio.timeout(LIMIT_S):
            await asyncio.gather(*(each for each in serving if each is not None))


def closed_port() -> str:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{sock.getsockname()[1]}"


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not condition():  # noqa: ASYNC110 - the loop's own turns, no time
            await asyncio.sleep(0)


async def failure(wanted: Transport) -> tuple[str, str]:
    with pytest.raises((OSError, LinkDown)) as caught:
        await opened(wanted)
    return cause_of(caught.value)


async def echoed(connection: Connection) -> bytes:
    connection.writer.write(b"##0000")
    async with asyncio.timeout(LIMIT_S):
        return await connection.reader.readexactly(6)


# several addresses


async def test_the_next_address_serves_while_the_preferred_one_refuses_and_no_longer_than_that() -> None:
    spare_first = closed_port()
    async with server() as (spare, _):
        wanted = way(address=(spare_first, spare))
        connection = await opened(wanted)
        assert (connection.address, connection.peer) == (spare, spare)
        assert await echoed(connection) == b"##0000"
        connection.close(CLOSE)
        host, port = spare_first.split(":")
        back = await asyncio.start_server(lambda reader, writer: writer.close(), host, int(port))
        connection = await opened(wanted)
        assert connection.address == spare_first
        connection.close(CLOSE)
        back.close()


async def test_when_no_address_can_be_had_the_cause_is_the_preferred_ones_and_all_are_named() -> None:
    first, second = closed_port(), closed_port()
    assert await failure(way(address=first)) == ("refused", "")
    assert await failure(way(address=(first, second))) == ("refused", f"{first}: refused; {second}: refused")


# DNS


class Names:
    """A name server; `late`: it does not answer until it is let go."""

    def __init__(self) -> None:
        self.answer: Found | None = None
        self.asked = 0
        self.late = threading.Event()
        self.late.set()

    def __call__(self, host: str) -> Found:
        self.asked += 1
        self.late.wait(LIMIT_S)
        if self.answer is None:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return self.answer


ONE, OTHER = [(int(socket.AF_INET), "10.0.0.1")], [(int(socket.AF_INET), "10.0.0.2")]


async def test_a_name_is_asked_anew_each_time_and_its_last_address_serves_where_dns_fails() -> None:
    events: Events = []
    names = Names()
    resolver = Resolver("city", lambda code, params: events.append((code, params)), names)
    with pytest.raises(socket.gaierror):
        await resolver.resolve("platform.example")
    names.answer = ONE
    assert await resolver.resolve("platform.example") == ONE
    names.answer = None
    assert await resolver.resolve("platform.example") == ONE
    names.answer = OTHER
    assert await resolver.resolve("platform.example") == OTHER
    told = {"link": "city", "host": "platform.example"}
    assert events == [
        ("edge.dns-failed", {**told, "now": "10.0.0.1"}),
        ("edge.dns-changed", {**told, "now": "10.0.0.2"}),
    ]
    assert names.asked == 4


async def test_what_no_host_can_be_named_is_a_name_that_dns_does_not_know() -> None:
    cause, detail = await failure(way(address="city..example:9212"))
    assert (cause, detail) == ("dns", "city..example: not a host name")


async def test_an_address_in_digits_asks_nobody() -> None:
    names = Names()
    assert await Resolver("city", lambda _code, _params: None, names).resolve("10.0.0.7") == [
        (socket.AF_INET, "10.0.0.7")
    ]
    assert await Resolver("city", lambda _code, _params: None, names).resolve("::1") == [(socket.AF_INET6, "::1")]
    assert names.asked == 0


async def test_a_name_server_that_hangs_is_given_up_and_never_asked_twice_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resolve, "RESOLVE_S", 0.01)
    names = Names()
    names.answer = ONE
    names.late.clear()
    resolver = Resolver("city", lambda _code, _params: None, names)
    for _ in range(3):
        with pytest.raises(socket.gaierror):
            await resolver.resolve("platform.example")
    assert names.asked == 1
    names.late.set()
    monkeypatch.setattr(resolve, "RESOLVE_S", LIMIT_S)
    assert await resolver.resolve("platform.example") == ONE


# the socket


async def test_a_link_leaves_from_the_source_address_and_notices_a_dead_peer() -> None:
    async with server() as (address, came):
        connection = await opened(way(address=address, source_address="127.0.0.2"))
        assert await echoed(connection) == b"##0000"
        assert came[0][0] == "127.0.0.2"
        sock = connection.writer.get_extra_info("socket")
        options = (socket.TCP_NODELAY, socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        assert [sock.getsockopt(socket.IPPROTO_TCP, each) for each in options] == [1, 30, 10, 3]
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert connection.drained()
        connection.close(CLOSE)
        assert not connection.drained()


async def test_a_link_never_leaves_by_another_interface_than_its_own() -> None:
    async with server() as (address, came):
        cause, detail = await failure(way(address=address, interface="nowhere0"))
        assert (cause, detail.partition(":")[0]) == ("interface", "nowhere0")
        assert (await failure(way(address=address, source_address="203.0.113.1")))[0] == "interface"
        assert came == []
        connection = await opened(way(address=address, interface="lo"))
        assert await echoed(connection) == b"##0000"
        connection.close(CLOSE)


# TLS


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate(tmp_path_factory.mktemp("own"), "platform", "IP:127.0.0.1")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate(tmp_path_factory.mktemp("other"), "other", "IP:127.0.0.1")


def shows(one: Certificate) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(one.certificate, one.key)
    return context


async def test_tls_link_works_with_the_right_certificate_and_with_no_other(
    own: Certificate, other: Certificate
) -> None:
    async with server(shows(own)) as (address, _):
        for tls in (Tls(ca=own.certificate), Tls(fingerprint=own.fingerprint)):
            connection = await opened(way(address=address, tls=tls))
            assert await echoed(connection) == b"##0000"
            assert connection.drained()
            connection.close(CLOSE)
        for tls in (Tls(), Tls(ca=other.certificate), Tls(fingerprint=other.fingerprint)):
            assert (await failure(way(address=address, tls=tls)))[0] == "tls"
        gone = "/nowhere: No such file or directory"
        assert await failure(way(address=address, tls=Tls(ca="/nowhere"))) == ("failed", gone)
        cause, detail = await failure(way(address=address, tls=Tls(certificate=own.key, key=own.key)))
        assert (cause, detail.partition(": ")[0]) == ("tls", f"{own.key}, {own.key}")


async def test_a_platform_that_speaks_no_tls_gets_nothing() -> None:
    async with server() as (address, _):
        assert (await failure(way(address=address, tls=Tls())))[0] == "tls"


# listening


@pytest.fixture
async def listening() -> AsyncIterator[tuple[Listener, Events]]:
    events: Events = []
    door = Door(listen="127.0.0.1:0", allow_from=("127.0.0.0/31", "10.0.0.0/8"))
    made = Listener("city", door, lambda code, params: events.append((code, params)))
    yield made, events
    made.close()


async def comes(listener: Listener, source: str = "127.0.0.1") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    await until(lambda: listener.port)
    return await asyncio.open_connection("127.0.0.1", listener.port, local_addr=(source, 0))


async def test_a_platform_that_comes_is_served_and_its_newer_connection_replaces_the_older(
    listening: tuple[Listener, Events],
) -> None:
    listener, _ = listening
    waiting = asyncio.create_task(opened(listener))
    _, writer = await comes(listener)
    first = await waiting
    assert (first.address, first.peer) == ("listen:127.0.0.1:0", "{}:{}".format(*writer.get_extra_info("sockname")))
    newer_reader, newer = await comes(listener)
    second = await opened(listener)
    async with asyncio.timeout(LIMIT_S):
        assert await first.reader.read() == b""
    assert first.closing is not None
    assert (first.closing.cause, first.closing.detail) == ("replaced", second.peer)
    second.writer.write(b"##0000")
    async with asyncio.timeout(LIMIT_S):
        assert await newer_reader.readexactly(6) == b"##0000"
    second.close(CLOSE)
    for each in (writer, newer):
        each.close()


async def test_who_is_not_allowed_is_hung_up_on_counted_and_told_of_once(listening: tuple[Listener, Events]) -> None:
    listener, events = listening
    waiting = asyncio.create_task(opened(listener))
    for _ in range(3):
        reader, writer = await comes(listener, "127.0.0.2")
        async with asyncio.timeout(LIMIT_S):
            assert await reader.read() == b""
        writer.close()
    assert dict(listener.refused) == {"127.0.0.2": 3}
    assert events == [("edge.peer-refused", {"link": "city", "peer": "127.0.0.2"})]
    assert not waiting.done()
    _, writer = await comes(listener)
    (await waiting).close(CLOSE)
    writer.close()


async def test_a_port_that_is_taken_is_the_cause(listening: tuple[Listener, Events]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        wanted = way(listen=listen, allow_from=("127.0.0.1",))
        assert await failure(wanted) == ("port", f"{listen}: Address already in use")
        wanted.close()


async def test_with_tls_the_logger_shows_its_certificate_and_may_ask_for_the_platforms(
    own: Certificate, other: Certificate
) -> None:
    events: Events = []
    tls = Tls(certificate=own.certificate, key=own.key, ca=other.certificate)
    door = Door(listen="127.0.0.1:0", allow_from=("127.0.0.1",), tls=tls)
    listener = Listener("city", door, lambda code, params: events.append((code, params)))
    waiting = asyncio.create_task(opened(listener))
    _, stranger = await comes(listener)
    stranger.write(b"##0000no TLS\r\n")
    await until(lambda: events)
    assert events[0][0] == "edge.peer-failed"
    client = ssl.create_default_context(cafile=own.certificate)
    client.load_cert_chain(other.certificate, other.key)
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port, ssl=client)
    connection = await waiting
    connection.writer.write(b"##0000")
    async with asyncio.timeout(LIMIT_S):
        assert await reader.readexactly(6) == b"##0000"
    for each in (writer, stranger):
        each.close()
    connection.close(CLOSE)
    listener.close()


# a serial DTU


@pytest.fixture
def dtu() -> Iterator[tuple[int, str]]:
    """The far end of a pty, and the path of ours."""
    far, near = os.openpty()
    path = os.ttyname(near)
    os.close(near)
    yield far, path
    with suppress(OSError):  # the test may have pulled it
        os.close(far)


async def test_bytes_go_through_a_serial_port_unchanged_both_ways(dtu: tuple[int, str]) -> None:
    far, path = dtu
    connection = await opened(way(address=f"serial:{path}?baud=115200"))
    assert (connection.address, connection.peer) == (f"serial:{path}?baud=115200", path)
    every_byte = bytes(range(256))
    connection.writer.write(every_byte)
    await connection.writer.drain()
    assert os.read(far, 1000) == every_byte
    assert connection.drained()
    os.write(far, every_byte)
    async with asyncio.timeout(LIMIT_S):
        assert await connection.reader.readexactly(256) == every_byte
    connection.close(CLOSE)
    connection.close(CLOSE)


async def test_a_missing_serial_port_is_the_cause(tmp_path: Path) -> None:
    missing = tmp_path / "ttyUSB0"
    assert await failure(way(address=f"serial:{missing}")) == ("port", f"{missing}: No such file or directory")


async def test_a_serial_port_has_one_user(dtu: tuple[int, str]) -> None:
    _, path = dtu
    connection = await opened(way(address=f"serial:{path}"))
    assert await failure(way(address=f"serial:{path}")) == ("port", f"{path}: Device or resource busy")
    connection.close(CLOSE)


# for whom packets are made


def test_packets_are_made_for_all_addresses_of_a_platform_in_whatever_order() -> None:
    """A packet that was made before one of them failed is sent to the other as the same bytes."""
    both = [destination(platform(address=order)) for order in (("a:1", "b:1"), ("b:1", "a:1"))]
    assert both[0] == both[1]
    assert destination(platform(address="a:1")) == "a:1"
    assert destination(platform(address=("a:1",))) == "a:1"


@pytest.mark.parametrize("cause", CAUSES)
def test_every_cause_has_a_text_in_both_languages(cause: str) -> None:
    code = f"edge.cause.{cause}"
    assert code not in (text(code, "zh"), text(code, "en"))
