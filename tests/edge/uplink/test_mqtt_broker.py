"""The MQTT link against a real mosquitto, with an independent subscriber that counts: nothing lost, one value a key."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from broker import Broker, Subscriber, Tls, free_port
from certificates import certificate
from faultproxy import SWALLOW, FaultProxy
from mqttkit import ROOT, MqttWorld
from virtual_time import MN, NOON, realtime_region

from config import tls as config_tls
from config.mqtt import Mqtt
from edge.store import outbox
from edge.values import MINUTE_MS

Version = Literal["5", "3.1.1"]
VERSIONS: tuple[Version, ...] = ("5", "3.1.1")
USERS = {"logger": "Se cret 7", "oracle": "o"}


async def until(condition: Callable[[], bool], limit_s: float = 20.0) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.01)


def minutes(world: MqttWorld, count: int) -> None:
    for number in range(count):
        world.seal(NOON - (count - number) * MINUTE_MS, ("fleet",))


def keys(seen: Subscriber) -> dict[tuple[str, str], set[bytes]]:
    """(factor, start) → the different messages that told of it."""
    found: dict[tuple[str, str], set[bytes]] = {}
    for one in seen.of("minute"):
        found.setdefault((one.content["factor"], one.content["start"]), set()).add(one.payload)
    return found


def assert_nothing_lost(seen: Subscriber, count: int, window: int) -> None:
    """Every record once or twice, twice at most a window, always as the same bytes."""
    assert len(keys(seen)) == count * 3
    assert all(len(payloads) == 1 for payloads in keys(seen).values())
    copies = seen.copies()
    assert max(copies.values()) <= 2
    assert sum(number - 1 for number in copies.values()) <= window


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """With a password file and rights: the logger may not publish hours."""
    acl = "user oracle\ntopic read #\nuser logger\ntopic write hj212/+/+/minute/#\ntopic write hj212/+/+/status\n"
    with Broker(tmp_path_factory.mktemp("guarded"), users=USERS, acl=acl) as broker:
        yield broker


def login(folder: Path, version: Version, password: str = USERS["logger"]) -> Mqtt:
    file = folder / "password"
    file.write_text(password + "\n", encoding="utf-8")
    return Mqtt(version=version, user="logger", password_file=str(file), client_id=f"logger-{version}-{folder.name}")


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_backlog_arrives_once_live_first_with_birth_and_farewell(tmp_path: Path, version: Version) -> None:
    with Broker(tmp_path / "broker") as broker, Subscriber(broker) as seen:
        world = MqttWorld(tmp_path / "data")
        minutes(world, 50)
        session = world.connect(broker.address, mqtt=Mqtt(version=version), window=8)
        await session.offer_fleeting("2011", NOON, realtime_region(NOON))
        await until(lambda: world.open_count() == 0)
        assert [one.topic for one in seen.got[:2]] == [f"{ROOT}/status", f"{ROOT}/realtime"]
        assert_nothing_lost(seen, 50, 0)
        assert world.counts().lost == 0
        with Subscriber(broker) as later:
            later.wait(lambda own: bool(own.of("status")))
            assert (later.of("status")[0].retain, later.of("status")[0].content["online"]) == (True, True)
        await world.stop()
        seen.wait(lambda own: len(own.of("status")) == 2)
        assert seen.of("status")[-1].content["online"] is False


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_broker_killed_in_the_middle_loses_nothing(tmp_path: Path, version: Version) -> None:
    with Broker(tmp_path / "broker") as broker, Subscriber(broker) as seen:
        async with FaultProxy("127.0.0.1", broker.port) as proxy:
            world = MqttWorld(tmp_path / "data")
            minutes(world, 200)
            world.connect(f"127.0.0.1:{proxy.port}", mqtt=Mqtt(version=version), window=16)
            await until(lambda: len(seen.of("minute")) > 100)
            proxy.down = SWALLOW  # published, and the PUBACKs never arrive
            await asyncio.sleep(0.1)
            await asyncio.to_thread(broker.kill)
            await proxy.refuse()
            proxy.cut()
            proxy.down = type(SWALLOW)()
            await until(lambda: world.mqtt_link.connected_since is None)
            assert world.open_count() > 0
            await asyncio.to_thread(broker.start)
            await asyncio.to_thread(seen.ready)
            await proxy.accept()
            await until(lambda: world.open_count() == 0, 30)
            assert world.mqtt_link.connects == 2
            assert_nothing_lost(seen, 200, 16)
            assert world.counts().lost == 0
            await world.stop()


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_frozen_broker_is_noticed_and_served_again_when_it_thaws(tmp_path: Path, version: Version) -> None:
    with Broker(tmp_path / "broker") as broker, Subscriber(broker) as seen:
        world = MqttWorld(tmp_path / "data")
        minutes(world, 400)
        world.connect(broker.address, mqtt=Mqtt(version=version, keepalive=60_000), window=8, timeout=2_000)
        await until(lambda: len(seen.of("minute")) > 60)
        broker.freeze()
        await asyncio.sleep(0.2)
        answered = world.counts().answered
        await until(lambda: world.mqtt_link.connected_since is None, 20)  # long before the keepalive
        assert world.counts().answered == answered
        broker.thaw()
        await until(lambda: world.open_count() == 0, 60)
        assert_nothing_lost(seen, 400, 8)
        await world.stop()


async def test_an_idle_link_to_a_frozen_broker_is_noticed_within_the_keepalive(tmp_path: Path) -> None:
    with Broker(tmp_path / "broker") as broker:
        world = MqttWorld(tmp_path / "data")
        world.connect(broker.address, mqtt=Mqtt(keepalive=4_000))
        await until(lambda: world.mqtt_link.connected_since is not None)
        broker.freeze()
        await until(
            lambda: world.mqtt_link.connected_since is None, 12
        )  # 4 s, as long again for the answer; paho's second
        await world.stop()


async def test_a_killed_broker_is_noticed_at_once_and_connections_leak_nothing(tmp_path: Path) -> None:
    with Broker(tmp_path / "broker") as broker:
        world = MqttWorld(tmp_path / "data")
        world.connect(broker.address)
        before = 0
        for _ in range(4):
            world.mqtt_link._link_up.set()
            await until(lambda: world.mqtt_link.connected_since is not None)
            before = before or len(os.listdir("/proc/self/fd"))
            broker.kill()
            await until(lambda: world.mqtt_link.connected_since is None, 5)  # long before the keepalive
            await asyncio.to_thread(broker.start)
        world.mqtt_link._link_up.set()
        await until(lambda: world.mqtt_link.connected_since is not None)
        assert len(os.listdir("/proc/self/fd")) <= before
        assert len(asyncio.all_tasks()) < 12
        await world.stop()


async def test_the_will_tells_of_a_link_that_was_lost(tmp_path: Path) -> None:
    with Broker(tmp_path / "broker") as broker, Subscriber(broker, f"{ROOT}/status") as seen:
        async with FaultProxy("127.0.0.1", broker.port) as proxy:
            world = MqttWorld(tmp_path / "data")
            world.connect(f"127.0.0.1:{proxy.port}")
            await until(lambda: len(seen.of("status")) == 1)
            await proxy.refuse()
            proxy.cut()
            await until(lambda: len(seen.of("status")) == 2)
            assert [one.content["online"] for one in seen.of("status")] == [True, False]
            await world.stop()


async def test_the_session_is_kept_by_the_broker(tmp_path: Path) -> None:
    with Broker(tmp_path / "broker") as broker:
        async with FaultProxy("127.0.0.1", broker.port) as proxy:
            world = MqttWorld(tmp_path / "data")
            world.connect(f"127.0.0.1:{proxy.port}")
            await until(lambda: world.mqtt_link.connected_since is not None)
            proxy.cut()
            await until(lambda: world.mqtt_link.connects == 2)
            await world.stop()
        # mosquitto names the CONNACK's first byte: 1 is "session present"
        connacks = [line for line in broker.log.splitlines() if "Sending CONNACK to hj212-" in line]
        assert ["(0, 0)" in connacks[0], "(1, 0)" in connacks[1]] == [True, True]
        connects = [line for line in broker.log.splitlines() if f"as hj212-{MN}-ww1" in line]
        assert "c0" in connects[0]


@pytest.mark.parametrize("version", VERSIONS)
async def test_user_and_password_from_a_file_are_needed(guarded: Broker, tmp_path: Path, version: Version) -> None:
    world = MqttWorld(tmp_path / "data")
    minutes(world, 2)
    world.connect(guarded.address, mqtt=login(tmp_path, version, "wrong"))
    await until(lambda: "edge.link-down" in world.codes())
    why = next(str(params["why"]) for code, params in world.events if code == "edge.link-down")
    assert "ot authori" in why or "135" in why
    (tmp_path / "password").write_text(f"\ufeff{USERS['logger']}\r\n", encoding="utf-8")  # as Notepad saves it
    world.mqtt_link._link_up.set()
    await until(lambda: world.counts().answered == 2)
    assert USERS["logger"] not in json.dumps(world.events)
    await world.stop()


async def test_what_the_rights_forbid_is_refused_and_the_rest_goes_on(guarded: Broker, tmp_path: Path) -> None:
    from edge.values import Kind

    with Subscriber(guarded, user="oracle") as seen:
        world = MqttWorld(tmp_path / "data")
        world.seal(NOON - 3_600_000, ("fleet",), Kind.HOUR)
        minutes(world, 5)
        world.connect(guarded.address, mqtt=login(tmp_path, "5"))
        await until(lambda: len({one.topic + one.content["start"] for one in seen.of("minute")}) == 15)
        await until(lambda: world.counts().answered == 5)
        codes = {params["code"] for code, params in world.events if code == "edge.refused"}
        assert codes == {"135"}
        (waiting,) = world.store.now(outbox.depth)
        assert (waiting.cn, waiting.count, world.counts().lost) == ("2061", 1, 0)
        assert seen.of("hour") == []
        assert world.mqtt_link.connects == 1
        await world.stop()


async def test_tls_with_an_authority_and_a_certificate_of_our_own(tmp_path: Path) -> None:
    authority = certificate(tmp_path, "authority", "DNS:authority")
    server = certificate(tmp_path, "server", "DNS:broker.example", authority)
    own = certificate(tmp_path, "own", "DNS:logger", authority)
    stranger = certificate(tmp_path, "stranger", "DNS:logger")
    with Broker(tmp_path / "broker", tls=Tls(server, authority)) as broker:
        address = f"127.0.0.1:{broker.tls_port}"
        good = config_tls.Tls(
            ca=authority.certificate, certificate=own.certificate, key=own.key, server_name="broker.example"
        )
        pinned = config_tls.Tls(certificate=own.certificate, key=own.key, fingerprint=server.fingerprint)
        for number, tls in enumerate((good, pinned)):
            world = MqttWorld(tmp_path / f"good{number}")
            minutes(world, 1)
            world.connect(address, tls=tls)
            await until(lambda world=world: world.counts().answered == 1)  # type: ignore[misc]
            await world.stop()
        wrong = (
            config_tls.Tls(ca=authority.certificate, certificate=own.certificate, key=own.key),  # another name
            config_tls.Tls(ca=stranger.certificate, server_name="broker.example"),
            config_tls.Tls(ca=authority.certificate, server_name="broker.example"),  # none of our own
            config_tls.Tls(ca="/nowhere.pem"),
            config_tls.Tls(certificate=own.certificate, key=own.key, fingerprint=own.fingerprint),
        )
        for number, tls in enumerate(wrong):
            world = MqttWorld(tmp_path / f"wrong{number}")
            minutes(world, 1)
            world.connect(address, tls=tls)
            await until(lambda world=world: "edge.link-down" in world.codes())  # type: ignore[misc]
            assert (world.counts().answered, world.mqtt_link.connects) == (0, 0), tls
            await world.stop()


async def test_a_brokers_name_is_in_its_certificate_and_its_last_address_serves_where_dns_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask, known = socket.getaddrinfo, {"broker.example": "127.0.0.1"}

    def answer(host: str, *args: Any, **more: Any) -> Any:
        if host != "127.0.0.1" and host not in known:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return ask(known.get(host, host), *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    server = certificate(tmp_path, "server", "DNS:broker.example")
    with Broker(tmp_path / "broker", tls=Tls(server)) as broker:
        world = MqttWorld(tmp_path / "data")
        world.connect(f"broker.example:{broker.tls_port}", tls=config_tls.Tls(ca=server.certificate))
        await until(lambda: world.mqtt_link.connected_since is not None)
        known.clear()
        broker.kill()
        await until(lambda: world.mqtt_link.connected_since is None)
        broker.start()
        await until(lambda: world.mqtt_link.connected_since is not None)
        assert "edge.dns-failed" in world.codes()
        await world.stop()


async def test_a_link_leaves_by_the_interface_of_the_site_file_or_not_at_all(tmp_path: Path) -> None:
    with Broker(tmp_path / "broker") as broker:
        nowhere = "a link that is bound to what is not there is down, and says why"
        for changes, up in (
            ({"interface": "lo"}, True),
            ({"source_address": "127.0.0.2"}, True),
            ({"interface": "nowhere0"}, False),
            ({"source_address": "203.0.113.1"}, False),
        ):
            world = MqttWorld(tmp_path / str(changes))
            world.connect(broker.address, **changes)
            if up:
                await until(lambda world=world: world.mqtt_link.connected_since is not None)
            else:
                await until(lambda world=world: world.mqtt_link.last_cause != "")
                assert (world.mqtt_link.last_cause, world.mqtt_link.connected_since) == ("interface", None), nowhere
            await world.stop()
        assert broker.log.count("New client connected from 127.0.0.1") == 1
        assert broker.log.count("New client connected from 127.0.0.2") == 1


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6")
async def test_the_peer_at_an_ipv6_address_is_shown_as_an_address(tmp_path: Path) -> None:
    port = free_port()
    with Broker(tmp_path / "broker", more=f"listener {port} ::1"):
        world = MqttWorld(tmp_path / "data")
        world.connect(f"[::1]:{port}")
        await until(lambda: world.mqtt_link.connected_since is not None)
        assert world.mqtt_link.peer == f"[::1]:{port}"
        await world.stop()


async def test_commands_pass_and_are_answered(tmp_path: Path) -> None:
    from protocol import messages
    from protocol.messages import Header

    frame = messages.command(Header("32", "123456", MN), "1011", (), "20260922120000000").to_frame()
    with Broker(tmp_path / "broker") as broker, Subscriber(broker) as seen:
        world = MqttWorld(tmp_path / "data")
        world.connect(broker.address, mqtt=Mqtt(commands=True))
        await until(lambda: world.mqtt_link.connected_since is not None)
        await asyncio.sleep(0.3)
        await asyncio.to_thread(seen.publish, f"{ROOT}/command", frame)
        await until(lambda: len([one for one in seen.got if one.topic.endswith("/answer")]) == 3)
        answers = [one.payload for one in seen.got if one.topic.endswith("/answer")]
        assert [b"CN=9011" in answers[0], b"CN=1011" in answers[1], b"CN=9012" in answers[2]] == [True] * 3
        await world.stop()


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_command_that_the_broker_kept_while_the_logger_was_away_is_never_carried_out(
    tmp_path: Path, version: Version
) -> None:
    from protocol import messages
    from protocol.messages import Header

    header = Header("32", "123456", MN)
    old, new = (messages.command(header, "1011", (), f"2026092212000000{digit}").to_frame() for digit in "12")
    with Broker(tmp_path / "broker", more="queue_qos0_messages true") as broker, Subscriber(broker) as seen:
        async with FaultProxy("127.0.0.1", broker.port) as proxy:
            world = MqttWorld(tmp_path / "data")
            world.connect(proxy.address, mqtt=Mqtt(version=version, commands=True))
            await asyncio.to_thread(seen.wait, lambda own: own.of("status"))
            await asyncio.sleep(0.3)
            await proxy.refuse()
            proxy.cut()
            await until(lambda: world.mqtt_link.connected_since is None)
            await asyncio.to_thread(seen.publish, f"{ROOT}/command", old)
            await proxy.accept()
            await until(lambda: world.mqtt_link.connected_since is not None)
            await asyncio.sleep(0.5)
            assert [one for one in seen.got if one.topic.endswith("/answer")] == []
            await asyncio.to_thread(seen.publish, f"{ROOT}/command", new)
            await until(lambda: len([one for one in seen.got if one.topic.endswith("/answer")]) == 3)
            await world.stop()


async def test_nobody_at_the_address_is_said_once(tmp_path: Path) -> None:
    world = MqttWorld(tmp_path / "data")
    world.connect(f"127.0.0.1:{free_port()}")
    await asyncio.sleep(2.5)
    assert world.codes() == ["edge.link-down"]
    assert "refused" in str(world.events[0][1]["why"])
    await world.stop()
