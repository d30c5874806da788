"""One MQTT connection of one outlet: publishes what the session sends, tells it what the broker answered.

    session ─ send(QN, bytes) ─▶ PUBLISH, QoS 1 ─▶ broker
            ◀─ confirmed(QN) ──  PUBACK           ◀──         a reason code ≥ 128 (MQTT 5) is a refusal
    <root>/status   retained: birth {"online": true}, last will and farewell {"online": false}
    <root>/command ─▶ frames, as on a TCP link, where the site says `commands = true`;  answers ─▶ <root>/answer

A message is published once on a connection. One that gets no PUBACK within `timeout` ends the connection, so that a
dead broker holds a window of messages at most; the next connection sends the same bytes. Commands are subscribed to
with QoS 0 and never taken when they were retained: one of an hour ago would set the clock of an hour ago.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import aiomqtt

from edge.clock import Clock
from edge.uplink.link import CONNECT_TIMEOUT_S, Link, LinkDown, split_address
from edge.uplink.mqtt_client import FIRST_FAILURE, Client, Endpoint, open_client, why
from edge.uplink.mqtt_messages import Head, root, topic
from edge.uplink.session import Session
from edge.uplink.terms import Terms
from protocol.frame import Dropped, FrameDecoder

BLAMED = frozenset({0x87, 0x90, 0x95, 0x99})
"""Not authorized, topic name invalid, packet too large, payload format invalid: the broker hangs up because of what it
was sent."""


def endpoint(terms: Terms, *, client_id: str | None = None, will: aiomqtt.Will | None = None) -> Endpoint:
    """Where an outlet's connection goes."""
    mqtt, site = terms.site.mqtt, terms.site
    assert mqtt is not None  # `config.merge` gives every MQTT platform its table
    host, port = split_address(site.address)
    own = mqtt.named(mqtt.client_id, terms.platform, terms.outlet, terms.mn)
    return Endpoint(
        host=host,
        port=port,
        client_id=client_id or own,
        mqtt=mqtt,
        tls=site.tls,
        timeout_s=CONNECT_TIMEOUT_S,
        will=will,
    )


class MqttLink(Link):
    """Stays connected as a TCP link does; the connection itself is another."""

    def __init__(
        self,
        name: str,
        session: Session,
        head: Head,
        clock: Clock,
        link_up: asyncio.Event,
        on_event: Callable[[str, dict[str, Any]], None],
        connect: Callable[[Endpoint, Callable[[int, int], None]], Client] = open_client,
    ) -> None:
        """`head`: what the outlet's messages begin with."""
        terms = session.terms
        super().__init__(
            name,
            terms.site.address,
            [session],
            clock,
            crc=terms.site.crc,
            read_packet=terms.edition.read,
            link_up=link_up,
            on_event=on_event,
        )
        self._session = session
        self._terms = terms
        self._head = head
        self._connect = connect
        self._takes_commands = terms.site.mqtt is not None and terms.site.mqtt.commands
        self._client: Client | None = None
        self._published: dict[int, str] = {}

    async def send(self, qn: str, frame: bytes) -> None:
        """Publish an upload; the session hears of its PUBACK."""
        self._published[self._publish(topic(self._terms, frame), frame)] = qn

    async def write(self, frame: bytes) -> None:
        """Publish what answers a command."""
        self._publish(f"{root(self._terms)}/answer", frame)

    def drained(self) -> bool:
        """Every upload asks for an answer here."""
        return not self._published

    def close(self, why: str) -> None:
        """End this connection (the link connects again after the back-off)."""
        self._closing = why
        if self._client is not None:
            self._client.drop()

    def _publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        if self._client is None:
            raise LinkDown("closed")
        try:
            return self._client.send(topic, payload, retain=retain)
        except aiomqtt.MqttError as error:
            raise LinkDown(why(error)) from error

    def _on_puback(self, number: int, code: int) -> None:
        qn = self._published.pop(number, None)
        if qn is None:  # birth, or the answer to a command
            return
        refusal = str(code) if code >= FIRST_FAILURE else None
        self._session.confirmed(qn, refusal, f"PUBACK {qn} {code}".encode(), self)

    async def _once(self) -> None:
        """A connection with a client of its own: one that is used again sends what it still has."""
        status = f"{root(self._terms)}/status"
        last = self._head.status(online=False, at_ms=self._clock.wall_ms())
        will = aiomqtt.Will(status, last, qos=1, retain=True)
        client = self._connect(endpoint(self._terms, will=will), self._on_puback)
        self._closing = ""
        try:
            await client.__aenter__()
            self._client = client
            self._link_up.clear()  # what came up until now has served
            await self._serve(client, status)
        except* aiomqtt.MqttError as group:
            self._blame(client)
            raise LinkDown(self._closing or why(group)) from group
        finally:
            self._client, self.connected_since = None, None
            self._published.clear()
            client.drop()

    async def _serve(self, client: Client, status: str) -> None:
        self.peer = client.peer() or self.address
        self.connected_since = self._clock.wall_ms()
        self.connects += 1
        self._session.exchange.window = min(self._terms.site.window, max(1, client.most - 1))  # one for an answer
        self._on_event("edge.link-up", {"link": self.name, "peer": self.peer})
        self._publish(status, self._head.status(online=True, at_ms=self.connected_since), retain=True)
        if self._takes_commands:
            await client.subscribe(f"{root(self._terms)}/command", qos=0)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._take(client), name=f"read[{self.name}]")
                group.create_task(self._session.pump(self), name=f"pump[{self.name}]")
        except asyncio.CancelledError:  # the daemon stops; a link that fails leaves its will
            with suppress(LinkDown):
                self._publish(status, self._head.status(online=False, at_ms=self._clock.wall_ms()), retain=True)
            await client.leave()
            raise

    async def _take(self, client: Client) -> None:
        """Commands; and at once, the end of the connection."""
        async for message in client.messages:
            # a session that the broker has kept may have a subscription of another site file
            if message.retain or not self._takes_commands or not isinstance(message.payload, bytes):
                continue
            decoder = FrameDecoder(cap=self._cap, variant=self._crc)
            for item in decoder.feed(message.payload, self._clock.mono_s()):
                if isinstance(item, Dropped):
                    self._dropped(item)
                else:
                    self._dispatch(item)

    def _blame(self, client: Client) -> None:
        """A broker that hangs up because of what it was sent means the oldest message that it has not answered."""
        if client.goodbye in BLAMED and self._published:
            qn = next(iter(self._published.values()))
            self._session.confirmed(qn, str(client.goodbye), f"DISCONNECT {qn} {client.goodbye}".encode(), self)
