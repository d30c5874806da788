"""MQTT platforms in the tests: a World whose links are MQTT ones, and a broker in memory where time matters.

MqttWorld(folder).connect(address)          the product's link over aiomqtt to a real broker
MqttWorld(folder).connect_to(FakeBroker())  the same link, a fake client: virtual time
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiomqtt
from virtual_time import FACTORS, MN, WATER, World, site_platform

from config.mqtt import Mqtt
from config.site import Access
from edge.measure.engine import Engine
from edge.store import again, outbox
from edge.uplink.build import Builder
from edge.uplink.mqtt import MqttLink
from edge.uplink.mqtt_client import Client, Endpoint, open_client
from edge.uplink.mqtt_messages import Head, JsonBuilder
from edge.uplink.session import Session
from edge.uplink.terms import Terms

HEAD = Head("示例站", "ww1", "总排口", MN, "32")
ROOT = f"hj212/{MN}/ww1"


class MqttWorld(World):
    """`connect` gives the session; all else as in `World`."""

    packets: list[tuple[bool, bytes]]

    def __init__(self, folder: Path, **changes: Any) -> None:
        super().__init__(folder, **changes)
        self.packets = []

    def connect(
        self, address: str, name: str = "fleet", client: Callable[..., Client] = open_client, **changes: Any
    ) -> Session:
        mqtt = changes.pop("mqtt", Mqtt())
        is_json = mqtt.payload == "json"
        base = {"role": "other", "retries": 0, "absent": "flag-only" if is_json else "zero"}
        access = Access(mn=MN, password="123456")
        site = site_platform(
            **(base | {"protocol": "mqtt", "address": address, "outlets": {"ww1": access}, "mqtt": mqtt} | changes)
        )
        moved_ms = self.store.now(outbox.address_since, name, site.address, self.clock.wall_ms())
        terms = Terms(name, "ww1", "32", site, access, address_since_ms=moved_ms)
        terms.held = self.store.now(again.is_held, name)
        engine = Engine(WATER, "ww1", FACTORS)
        builder = JsonBuilder(terms, engine, {}, head=HEAD) if is_json else Builder(terms, engine, {})
        store: Any = self.store
        told = lambda _terms, incoming, data: self.packets.append((incoming, data))  # noqa: E731 - one of seven
        session = Session(terms, store, self.clock, builder, self._command, self._event, told, lambda: False)
        link = MqttLink(name, session, HEAD, self.clock, asyncio.Event(), self._event, client)
        self.builders[name], self.sessions[name] = builder, session
        self.keyed[name, "ww1"] = session
        self.mqtt_link = link
        self.tasks.append(asyncio.get_running_loop().create_task(link.run()))
        return session

    def connect_to(self, broker: FakeBroker, **changes: Any) -> Session:
        client: Any = broker.client
        return self.connect("192.0.2.1:1883", client=client, **changes)


@dataclass
class FakeBroker:
    """`acks`: what it answers (a reason code), None: nothing; `up`: whether connections come about."""

    up: bool = True
    acks: Callable[[str, bytes], int | None] = lambda topic, payload: 0
    rtt_s: float = 0.1
    most: int = 65_535
    suback: int = 0
    largest: int = 268_435_455
    hangs_up: int | None = None
    """Reason code of the DISCONNECT with which it answers the next upload."""
    got: list[tuple[float, str, bytes, int]] = field(default_factory=list)
    """Time, topic, payload, number of the connection."""
    connects: list[Endpoint] = field(default_factory=list)
    clients: list[FakeClient] = field(default_factory=list)

    def client(self, endpoint: Endpoint, on_puback: Callable[[int, int], None]) -> FakeClient:
        self.connects.append(endpoint)
        self.clients.append(FakeClient(self, len(self.connects), on_puback))
        return self.clients[-1]

    def of(self, topic: str) -> list[tuple[float, str, bytes, int]]:
        return [one for one in self.got if one[1].startswith(f"{ROOT}/{topic}")]

    def cut(self) -> None:
        """The connection is lost."""
        self.up = False
        self.clients[-1].end()


class FakeClient:
    """Takes what the product's client takes."""

    def __init__(self, broker: FakeBroker, number: int, on_puback: Callable[[int, int], None]) -> None:
        self.goodbye: int | None = None
        self.fault: OSError | None = None
        self.refused = False
        self.most, self.largest = broker.most, broker.largest
        self.on_puback = on_puback
        self.left = False
        self.topics: list[str] = []
        self._broker = broker
        self._number = number
        self._mid = 0
        self._inbox: asyncio.Queue[Any] = asyncio.Queue()
        self._open = False

    async def __aenter__(self) -> FakeClient:
        await asyncio.sleep(self._broker.rtt_s)
        if not self._broker.up:
            raise aiomqtt.MqttError("refused")
        self._open = True
        return self

    def send(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        if not self._open:
            raise aiomqtt.MqttError("not connected")
        self._mid += 1
        loop = asyncio.get_running_loop()
        loop.call_later(self._broker.rtt_s / 2, self._arrive, self._mid, topic, payload)
        return self._mid

    def _arrive(self, mid: int, topic: str, payload: bytes) -> None:
        if not self._open:
            return
        broker, loop = self._broker, asyncio.get_running_loop()
        broker.got.append((loop.time(), topic, payload, self._number))
        if broker.hangs_up is not None and not topic.endswith("/status"):
            self.goodbye = broker.hangs_up
            self.end()
            return
        code = broker.acks(topic, payload)
        if code is not None:
            loop.call_later(broker.rtt_s / 2, self._ack, mid, code)

    def _ack(self, mid: int, code: int) -> None:
        if self._open:
            self.on_puback(mid, code)

    def end(self) -> None:
        self._open = False
        self._inbox.put_nowait(None)

    @property
    async def messages(self) -> AsyncIterator[Any]:
        while (message := await self._inbox.get()) is not None:
            yield message
        raise aiomqtt.MqttError("Disconnected during message iteration")

    def deliver(self, payload: bytes, *, retain: bool = False) -> None:
        self._inbox.put_nowait(aiomqtt.Message(f"{ROOT}/command", payload, 0, retain, 0, None))

    async def subscribed(self, topic: str) -> int:
        self.topics.append(topic)
        return self._broker.suback

    def peer(self) -> str:
        return "192.0.2.1:1883"

    async def leave(self) -> None:
        self.left = True

    def drop(self) -> None:
        self.end()
