"""An MQTT link in virtual time: what counts as delivered, what is sent again, what steps aside; no real broker."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from mqttkit import ROOT, FakeBroker, MqttWorld
from virtual_time import MN, NOON, ScriptedPlatform, realtime_region, virtual

from config.mqtt import Mqtt
from edge.store import connection, outbox
from edge.store.answers import ASIDE_AFTER
from edge.values import MINUTE_MS
from protocol import messages
from protocol.messages import Header

NOT_AUTHORIZED = 135


def minutes(world: MqttWorld, count: int, names: tuple[str, ...] = ("fleet",)) -> None:
    for number in range(count):
        world.seal(NOON - (count - number) * MINUTE_MS, names)


def ids(got: list[tuple[float, str, bytes, int]]) -> list[str]:
    return [json.loads(payload)["id"] for _, _, payload, _ in got]


@virtual
async def test_a_delivery_counts_when_each_of_its_messages_has_its_puback(tmp_path: Path) -> None:
    world = MqttWorld(tmp_path)
    broker = FakeBroker(acks=lambda topic, payload: None if topic.endswith("w01018") else 0)
    minutes(world, 1)
    world.connect_to(broker)
    await world.sleep(8)
    assert [topic.rpartition("/")[2] for _, topic, _, _ in broker.of("minute")] == ["w00000", "w01001", "w01018"]
    assert world.counts().answered == 0
    broker.acks = lambda topic, payload: 0
    await world.sleep(90)  # the round that got no answer waits a minute for the next
    assert (world.counts().answered, world.counts().lost, world.open_count()) == (1, 0, 0)
    again = broker.of("minute")[3:]
    assert [payload for _, _, payload, _ in again] == [broker.of("minute")[2][2]]  # the open one alone, the same bytes
    assert [number for _, _, _, number in again] == [2]  # on another connection
    await world.stop()


@virtual
async def test_a_broker_that_answers_nothing_holds_one_window_and_is_left_within_the_timeout(tmp_path: Path) -> None:
    world, broker = MqttWorld(tmp_path), FakeBroker()
    minutes(world, 20)
    world.connect_to(broker, window=4)
    await world.sleep(1.5)  # the window has grown
    broker.acks = lambda topic, payload: None
    before = len(broker.got)
    await world.sleep(10.5)
    assert ("edge.link-down", {"link": "fleet", "why": "no answer from the platform"}) in world.events
    assert 1 <= len([one for one in broker.got[before:] if one[3] == 1]) <= 4
    broker.acks = lambda topic, payload: 0
    await world.sleep(120)
    copies = [ids(broker.of("minute")).count(one) for one in set(ids(broker.of("minute")))]
    assert (len(copies), max(copies), sum(copy - 1 for copy in copies) <= 8) == (60, 2, True)
    assert (world.counts().answered, world.counts().lost) == (20, 0)
    await world.stop()


@virtual
async def test_bytes_are_the_same_after_a_day_away_and_a_restart(tmp_path: Path) -> None:
    world = MqttWorld(tmp_path)
    broker = FakeBroker(acks=lambda topic, payload: None)
    minutes(world, 1)
    world.connect_to(broker)
    await world.sleep(5)
    await world.stop()
    (first, *_) = broker.of("minute")
    later = MqttWorld(tmp_path, start_ms=NOON + 86_400_000)
    broker = FakeBroker()
    later.connect_to(broker)
    await later.sleep(5)
    assert broker.of("minute")[0][2] == first[2]
    assert (later.counts().answered, later.open_count()) == (1, 0)
    await later.stop()


@virtual
async def test_what_a_broker_refuses_steps_aside_and_the_rest_goes_on(tmp_path: Path) -> None:
    world = MqttWorld(tmp_path)
    poison = NOON - 5 * MINUTE_MS

    def acks(topic: str, payload: bytes) -> int:
        return NOT_AUTHORIZED if json.loads(payload).get("start") == "2026-09-22T11:55:00+08:00" else 0

    broker = FakeBroker(acks=acks)
    minutes(world, 10)
    world.connect_to(broker)
    await world.sleep(10)
    assert world.counts().answered == 9
    await world.sleep(3 * 3600)
    (aside,) = world.store.now(outbox.depth)
    assert (aside.oldest, aside.count, aside.aside, world.counts().rejected) == (poison, 1, 1, 1)
    tried = [one[2] for one in broker.of("minute/w00000") if b'"start":"2026-09-22T11:55' in one[2]]
    assert (len(tried), len(set(tried))) == (ASIDE_AFTER, 1)
    assert ("edge.refused", "135") in [(code, params.get("code")) for code, params in world.events]
    assert world.codes().count("edge.link-up") == 1
    world.store.now(outbox.retry, "fleet")
    broker.acks = lambda topic, payload: 0
    world.sessions["fleet"].look_again()
    await world.sleep(60)
    assert (world.counts().answered, world.open_count(), world.counts().lost) == (10, 0, 0)
    await world.stop()


@virtual
async def test_of_a_delivery_only_the_refused_message_is_sent_again(tmp_path: Path) -> None:
    world = MqttWorld(tmp_path)
    broker = FakeBroker(acks=lambda topic, payload: NOT_AUTHORIZED if topic.endswith("w01001") else 0)
    minutes(world, 1)
    world.connect_to(broker)
    await world.sleep(200)
    broker.acks = lambda topic, payload: 0
    await world.sleep(600)
    topics = [topic.rpartition("/")[2] for _, topic, _, _ in broker.of("minute")]
    assert topics == ["w00000", "w01001", "w01018", *["w01001"] * (len(topics) - 3)]
    assert len({payload for _, _, payload, _ in broker.of("minute/w01001")}) == 1
    assert (world.counts().answered, world.counts().lost, world.open_count()) == (1, 0, 0)
    await world.stop()


@virtual
async def test_a_broker_that_hangs_up_because_of_a_message_has_refused_it(tmp_path: Path) -> None:
    world, broker = MqttWorld(tmp_path), FakeBroker(hangs_up=0x95)
    minutes(world, 1)
    world.connect_to(broker)
    await world.sleep(2)
    broker.hangs_up = None
    assert ("edge.refused", "149") in [(code, params.get("code")) for code, params in world.events]
    await world.sleep(120)
    assert (world.counts().answered, world.counts().lost) == (1, 0)
    await world.stop()


@virtual
async def test_a_message_longer_than_the_broker_bears_is_not_sent_and_the_others_are(tmp_path: Path) -> None:
    world, broker = MqttWorld(tmp_path), FakeBroker()
    minutes(world, 1)
    world.connect_to(broker)
    await world.sleep(5)
    sizes = sorted(len(f"{topic}{payload.decode()}".encode()) for _, topic, payload, _ in broker.of("minute"))
    await world.stop()
    world, short = MqttWorld(tmp_path / "short"), FakeBroker(largest=sizes[-1] + 9)  # the longest has no room
    minutes(world, 1)
    world.connect_to(short)
    await world.sleep(5)
    assert len(short.of("minute")) == len(sizes) - 1
    assert [params["code"] for code, params in world.events if code == "edge.refused"] == ["149"]
    assert (len(short.clients), world.counts().lost, world.open_count()) == (1, 0, 1)
    await world.stop()


@virtual
async def test_live_goes_before_the_backlog_at_its_rate(tmp_path: Path) -> None:
    world, broker = MqttWorld(tmp_path), FakeBroker(rtt_s=0.02)
    minutes(world, 100)
    session = world.connect_to(broker, backfill_rate=3.0)
    await session.offer_fleeting("2011", NOON, realtime_region(NOON))
    await world.sleep(20)
    assert [topic for _, topic, _, _ in broker.got[:2]] == [f"{ROOT}/status", f"{ROOT}/realtime"]
    assert 55 <= len(broker.of("minute")) <= 63  # messages a second
    asked = world.clock.mono_s()
    world.offer(world.seal(NOON, ("fleet",)))
    await world.sleep(1)
    live = [at for at, _, payload, _ in broker.of("minute") if b'"start":"2026-09-22T12:00' in payload]
    assert len(live) == 3
    assert max(live) - asked < 0.3
    await world.stop()


@virtual
async def test_a_dead_broker_delays_no_platform_and_a_link_coming_up_ends_the_wait(tmp_path: Path) -> None:
    world, broker, city = MqttWorld(tmp_path), FakeBroker(up=False), ScriptedPlatform()
    minutes(world, 5, ("city", "fleet"))
    world.add(city)
    world.connect_to(broker)
    await world.sleep(600)
    assert (world.counts_of("city").answered, world.counts_of("fleet").answered) == (5, 0)
    broker.up = True
    tries = len(broker.connects)
    world.mqtt_link._link_up.set()
    await world.sleep(0.2)
    assert len(broker.connects) == tries + 1
    await world.sleep(5)
    assert (world.counts_of("fleet").answered, world.counts_of("fleet").lost) == (5, 0)
    await world.stop()


@virtual
async def test_a_held_platform_gets_nothing_but_its_birth(tmp_path: Path) -> None:
    world, broker = MqttWorld(tmp_path), FakeBroker()
    minutes(world, 2)
    session = world.connect_to(broker)
    session.terms.held = True
    await world.sleep(60)
    assert [topic for _, topic, _, _ in broker.got] == [f"{ROOT}/status"]
    session.terms.held = False
    session.look_again()
    await world.sleep(5)
    assert world.counts().answered == 2
    await world.stop()


@virtual
async def test_no_more_messages_are_in_flight_than_the_broker_bears(tmp_path: Path) -> None:
    world, broker = MqttWorld(tmp_path), FakeBroker(most=5)
    session = world.connect_to(broker, window=64)
    minutes(world, 30)
    session.look_again()
    await world.sleep(10)
    assert session.exchange.window == 4
    assert (world.counts().answered, world.counts().lost) == (30, 0)
    await world.stop()


@pytest.mark.parametrize("role", ["other", "official"])
def test_no_receipt_of_the_connection_is_made(tmp_path: Path, role: Any) -> None:
    @virtual
    async def run() -> None:
        world, broker = MqttWorld(tmp_path), FakeBroker()
        minutes(world, 1)
        world.connect_to(broker, role=role)
        await world.sleep(5)
        assert world.counts().answered == 1
        assert world.store.now(connection.receipts) == []
        await world.stop()

    run()


@virtual
async def test_raw_frames_go_to_the_packet_topic_and_are_delivered_by_their_puback(tmp_path: Path) -> None:
    world, broker = MqttWorld(tmp_path), FakeBroker()
    minutes(world, 1)
    world.connect_to(broker, mqtt=Mqtt(payload="hj212"))
    await world.sleep(5)
    ((_, topic, frame, _),) = [one for one in broker.got if not one[1].endswith("status")]
    assert topic == f"{ROOT}/packet"
    assert frame.startswith(b"##")
    assert b";CN=2051;" in frame
    assert world.counts().answered == 1
    await world.stop()


@virtual
async def test_the_will_says_offline_and_an_orderly_end_says_so_itself(tmp_path: Path) -> None:
    world, broker = MqttWorld(tmp_path), FakeBroker()
    world.connect_to(broker)
    await world.sleep(1)
    will = broker.connects[0].will
    assert will is not None
    assert (will.topic, will.retain, will.qos) == (f"{ROOT}/status", True, 1)
    assert json.loads(str(will.payload, "utf-8"))["online"] is False  # type: ignore[arg-type]  # it is bytes
    assert json.loads(broker.got[0][2])["online"] is True
    client = broker.clients[0]
    await world.stop()
    assert client.left


# commands


def command(cn: str, password: str = "123456") -> bytes:
    header = Header("32", password, MN)
    return messages.command(header, cn, (), "20260922120000000").to_frame()


@virtual
async def test_commands_are_taken_only_where_the_site_says_so(tmp_path: Path) -> None:
    world, broker = MqttWorld(tmp_path), FakeBroker()
    world.connect_to(broker)
    await world.sleep(1)
    assert broker.clients[0].topics == []
    broker.clients[0].deliver(command("1011"))  # of a subscription that the broker has kept
    await world.sleep(1)
    assert broker.of("answer") == []
    await world.stop()


@virtual
async def test_a_broker_that_lets_no_commands_through_is_told_of_and_gets_the_data(tmp_path: Path) -> None:
    world, broker = MqttWorld(tmp_path), FakeBroker(suback=NOT_AUTHORIZED)
    minutes(world, 1)
    world.connect_to(broker, mqtt=Mqtt(commands=True))
    await world.sleep(5)
    told = {"link": "fleet", "topic": f"{ROOT}/command", "code": NOT_AUTHORIZED}
    assert [params for code, params in world.events if code == "mqtt.commands-refused"] == [told]
    assert (world.counts().answered, len(broker.clients)) == (1, 1)
    await world.stop()


@virtual
async def test_a_command_is_admitted_as_on_a_tcp_link_and_answered_on_its_topic(tmp_path: Path) -> None:
    world, broker = MqttWorld(tmp_path), FakeBroker()
    world.connect_to(broker, mqtt=Mqtt(commands=True))
    await world.sleep(1)
    (client,) = broker.clients
    assert client.topics == [f"{ROOT}/command"]
    client.deliver(command("1011"), retain=True)  # an old one
    client.deliver(b"nonsense")
    await world.sleep(1)
    assert broker.of("answer") == []
    client.deliver(command("1011"))
    await world.sleep(1)
    answers = [payload for _, _, payload, _ in broker.of("answer")]
    assert b";CN=9011;" in answers[0]
    assert b"QnRtn=1&&" in answers[0]
    assert [b";CN=1011;" in answers[1], b";CN=9012;" in answers[2]] == [True, True]
    client.deliver(command("1011", password="654321"))
    client.deliver(command("1012"))  # role other may only read
    await world.sleep(1)
    refused = [payload for _, _, payload, _ in broker.of("answer")[3:]]
    assert [b"QnRtn=3" in refused[0], b"QnRtn=2" in refused[1], len(refused)] == [True, True, 2]
    await world.stop()
