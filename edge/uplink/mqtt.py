"""One MQTT connection of one outlet: publishes what the session sends, tells it what the broker answered.

    session ─ send(QN, bytes) ─▶ PUBLISH, QoS 1 ─▶ broker
            ◀─ confirmed(QN) ──  PUBACK           ◀──         a reason code ≥ 128 (MQTT 5) is a refusal
    <root>/status   retained: birth {"online": true}, last will and farewell {"online": false}
    <root>/command ─▶ frames, as on a TCP link, where the site says `commands = true`;  answers ─▶ <root>/answer

A message is published once on a connection. One that gets no PUBACK within `timeout` ends the connection, so that a
dead broker holds a window of messages at most; the next connection sends the same bytes. Commands are subscribed to
with QoS 0 and never taken when they were retained, or kept by the broker while we were away: one of an hour ago would
set the clock of an hour ago.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import MappingProxyType

import aiomqtt

from config.addresses import HostPort, parse_address
from edge.clock import Clock
from edge.uplink.dial import Binding
from edge.uplink.link import Link, LinkWatcher
from edge.uplink.mqtt_client import FIRST_FAILURE, LARGEST, Client, Endpoint, open_client, why
from edge.uplink.mqtt_messages import Head, root, topic
from edge.uplink.resolve import Resolver
from edge.uplink.session import Session
from edge.uplink.terms import Terms
from edge.uplink.transport import Connection, Event, LinkDown, Transport
from edge.uplink.ways import in_order
from protocol.frame import Dropped, FrameDecoder

CONNACK_S = 10.0
ROOM = 10
"""Bytes of a PUBLISH besides topic and payload, at most."""
TOO_LARGE = 0x95
BLAMED = frozenset({0x87, 0x90, TOO_LARGE, 0x99})
"""Not authorized, topic name invalid, packet too large, payload format invalid: the broker hangs up because of what it
was sent."""


def client_id(terms: Terms) -> str:
    """Of an outlet's connection."""
    mqtt = terms.site.mqtt
    assert mqtt is not None  # `config.merge` gives every MQTT platform its table
    return mqtt.named(mqtt.client_id, terms.platform, terms.outlet, terms.mn)


def endpoint(terms: Terms, end: HostPort, ip: str, *, will: aiomqtt.Will | None = None) -> Endpoint:
    """Where an outlet's connection goes: to one IP address of one of the platform's addresses."""
    mqtt, site = terms.site.mqtt, terms.site
    assert mqtt is not None  # `config.merge` gives every MQTT platform its table
    return Endpoint(
        host=end.host,
        ip=ip,
        port=end.port,
        client_id=client_id(terms),
        mqtt=mqtt,
        tls=site.tls,
        timeout_s=CONNACK_S,
        binding=Binding(site.interface, site.source_address),
        will=will,
    )


class MqttConnection(Connection):
    """A connection whose bytes are the client's business."""

    def __init__(self, client: Client, address: str) -> None:
        self.client = client
        self.address = address
        self.peer = client.peer() or address
        self.closing = None

    def close(self, why: LinkDown) -> None:
        """End it now: what the broker has not taken is in the outbox anyway."""
        if self.closing is None:
            self.closing = why
            self.client.drop()

    def drained(self) -> bool:
        """Every upload asks for an answer here."""
        return True


class Way:
    """One address of a broker; a client of its own for each connection: one used again sends what it still has."""

    waits = False
    refused: Mapping[str, int] = MappingProxyType({})

    def __init__(self, address: str, resolver: Resolver, connect: Callable[[HostPort, str], Client]) -> None:
        end = parse_address(address)
        assert isinstance(end, HostPort)  # `config.check_mqtt` refuses others
        self._address = address
        self._end = end
        self._resolver = resolver
        self._connect = connect

    async def open(self) -> Connection:
        """A new connection, accepted by the broker; raises OSError and LinkDown."""
        return await self._resolver.first(self._end.host, self._connected)

    async def _connected(self, _family: int, ip: str) -> Connection:
        client = self._connect(self._end, ip)
        try:
            await client.__aenter__()
        except aiomqtt.MqttError as error:
            client.drop()
            if client.fault is not None:
                raise client.fault from error
            raise LinkDown("refused" if client.refused else "closed", why(error)) from error
        except BaseException:
            client.drop()
            raise
        return MqttConnection(client, self._address)

    def close(self) -> None:
        """Nothing is held."""


def ways(name: str, terms: Terms, on_event: Event, connect: Callable[[HostPort, str], Client]) -> Transport:
    """The way to a broker over all its addresses; `connect` makes a client, `name` is the link's, for events."""
    resolver = Resolver(name, on_event)
    return in_order([(address, Way(address, resolver, connect)) for address in terms.site.addresses])


class MqttLink(Link):
    """Stays connected as a TCP link does; what goes over the connection are messages."""

    def __init__(
        self,
        name: str,
        session: Session,
        head: Head,
        clock: Clock,
        link_up: asyncio.Event,
        on_event: Event,
        connect: Callable[[Endpoint, Callable[[int, int], None]], Client] = open_client,
        watcher: LinkWatcher | None = None,
    ) -> None:
        """`head`: what the outlet's messages begin with."""
        terms = session.terms
        super().__init__(
            name,
            ways(name, terms, on_event, self._new_client),
            [session],
            clock,
            crc=terms.site.crc,
            read_packet=terms.edition.read,
            link_up=link_up,
            on_event=on_event,
            watcher=watcher,
        )
        self._session = session
        self._terms = terms
        self._head = head
        self._connect = connect
        self._takes_commands = terms.site.mqtt is not None and terms.site.mqtt.commands
        self._client: Client | None = None
        self._published: dict[int, str] = {}

    async def send(self, qn: str, frame: bytes) -> None:
        """Publish an upload; the session hears of its PUBACK. One that the broker does not bear counts as refused."""
        name = topic(self._terms, frame)
        most = self._client.largest if self._client is not None else LARGEST
        if len(name.encode()) + len(frame) + ROOM > most:
            self._session.confirmed(qn, str(TOO_LARGE), f"CONNACK {qn} Maximum Packet Size {most}".encode(), self)
            return
        self._published[self._publish(name, frame)] = qn

    async def write(self, frame: bytes) -> None:
        """Publish what answers a command."""
        self._publish(f"{root(self._terms)}/answer", frame)

    def _publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        if self._client is None:
            raise LinkDown("closed")
        try:
            number = self._client.send(topic, payload, retain=retain)
        except aiomqtt.MqttError as error:
            raise LinkDown("closed", why(error)) from error
        self.bytes_out += len(payload)
        return number

    def _publish_status(self, *, online: bool) -> None:
        status = self._head.status(online=online, at_ms=self._clock.wall_ms())
        self._publish(f"{root(self._terms)}/status", status, retain=True)

    def _on_puback(self, number: int, code: int) -> None:
        qn = self._published.pop(number, None)
        if qn is None:  # birth, or the answer to a command
            return
        refusal = str(code) if code >= FIRST_FAILURE else None
        self._session.confirmed(qn, refusal, f"PUBACK {qn} {code}".encode(), self)

    def _new_client(self, end: HostPort, ip: str) -> Client:
        last = self._head.status(online=False, at_ms=self._clock.wall_ms())
        will = aiomqtt.Will(f"{root(self._terms)}/status", last, qos=1, retain=True)
        return self._connect(endpoint(self._terms, end, ip, will=will), self._on_puback)

    async def _serve(self, connection: Connection) -> None:
        assert isinstance(connection, MqttConnection)
        client = self._client = connection.client
        try:
            await self._talk(client)
        except* aiomqtt.MqttError as group:
            self._blame(client)
            raise LinkDown("closed", why(group)) from group
        finally:
            self._client = None
            self._published.clear()

    async def _talk(self, client: Client) -> None:
        self._session.exchange.window = min(self._terms.site.window, max(1, client.most - 1))  # one for an answer
        self._publish_status(online=True)
        if self._takes_commands:
            await self._subscribe(client, f"{root(self._terms)}/command")
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._take(client), name=f"read[{self.name}]")
                group.create_task(self._session.pump(self), name=f"pump[{self.name}]")
        except asyncio.CancelledError:  # the daemon stops; a link that fails leaves its will
            with suppress(LinkDown):
                self._publish_status(online=False)
            await client.leave()
            raise

    async def _subscribe(self, client: Client, topic: str) -> None:
        """A broker that lets no commands through is told of, and gets the data all the same."""
        code = await client.subscribed(topic)
        if code >= FIRST_FAILURE:
            self._on_event("mqtt.commands-refused", {"link": self.name, "topic": topic, "code": code})

    async def _take(self, client: Client) -> None:
        """Commands; and at once, the end of the connection."""
        async for message in client.messages:
            # a session that the broker has kept may have a subscription of another site file
            if message.retain or not self._takes_commands or not isinstance(message.payload, bytes):
                continue
            self.bytes_in += len(message.payload)
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
