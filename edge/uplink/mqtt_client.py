"""aiomqtt's client as an uplink needs it: one per connection, with the reason code of each PUBACK.

    Endpoint ─ open ─▶ Client ─ publish ─▶ number of the message ── PUBACK ──▶ on_puback(number, reason code)

What the library leaves to us (`aiomqtt` 2.5 on `paho-mqtt` 2): its `publish` drops the reason code, so that a refused
message counts as delivered, and it holds a task for each message; a client that is entered again sends what it still
has, so it is thrown away with its connection; a connection that fails to come up leaves its socket open; the number of
a closed socket may be watched for writing; the broker's Receive Maximum and Maximum Packet Size are not heeded; a
socket cannot be bound to an interface.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import aiomqtt
from paho.mqtt.client import MQTT_ERR_SUCCESS
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from config.mqtt import Mqtt
from config.tls import Tls
from edge.uplink.dial import Binding, end_text, tune

FIRST_FAILURE = 128
"""Reason codes from here on say no (MQTT 5, 2.4)."""
MOST_IN_FLIGHT = 65_535
"""Nothing waits inside the library: the window of the session is the limit."""
LARGEST = 268_435_455
"""Bytes of a packet that MQTT can say."""
LEAVE_S = 2.0
"""A broker that takes no DISCONNECT within this time does not get one."""
_SILENT = logging.Logger("mqtt", logging.CRITICAL + 1)
"""The link says what happened; the library's own words are not wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a connection goes and as whom; `ip` is one of the host's addresses, `timeout_s`: for CONNACK.

    `will`: what the broker publishes when the connection is lost; None: a session that leaves no trace.
    """

    host: str
    ip: str
    port: int
    client_id: str
    mqtt: Mqtt
    tls: Tls | None
    timeout_s: float
    binding: Binding
    will: aiomqtt.Will | None = None


class Client(aiomqtt.Client):
    """One connection. `on_puback(number, reason code)` is called in the loop's thread."""

    on_puback: Callable[[int, int], None]
    half_open: list[socket.socket]
    """Sockets that TLS was begun on; the library forgets that of a handshake that fails."""
    fault: OSError | None = None
    """What came of the socket before there was a connection, which the library gives as a text alone."""
    refused: bool = False
    """The broker has answered CONNECT with a reason code that says no."""
    most: int = MOST_IN_FLIGHT
    """The broker's Receive Maximum: it hangs up on one unanswered message more (MQTT 5)."""
    largest: int = LARGEST
    """The broker's Maximum Packet Size: it hangs up on a longer one (MQTT 5)."""
    goodbye: int | None = None
    """Reason code with which the broker ended the connection; None: it did not say."""

    def send(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        """Publish with QoS 1; the message's number. Raises aiomqtt.MqttError where the connection is gone."""
        info = self._client.publish(topic, payload, 1, retain)
        if info.rc != MQTT_ERR_SUCCESS:
            raise aiomqtt.MqttCodeError(info.rc, "not published")
        return info.mid

    async def subscribed(self, topic: str) -> int:
        """Subscribe with QoS 0; the broker's reason code. Raises aiomqtt.MqttError.

        What has come before the answer is of a session that the broker has kept: from while we were away.
        """
        (answer,) = await self.subscribe(topic, qos=0)
        for _ in range(len(self.messages)):
            await anext(self.messages)
        return answer if isinstance(answer, int) else int(answer.value)

    async def leave(self) -> None:
        """All that was sent, then DISCONNECT: the broker does not publish the will."""
        self.timeout = LEAVE_S
        with suppress(aiomqtt.MqttError):
            await self.__aexit__(None, None, None)

    def drop(self) -> None:
        """Close the socket, also of a connection that did not come up."""
        self._client._sock_close()

    def peer(self) -> str:
        """`host:port` of the other end; empty where it has hung up."""
        end = self._client.socket()
        if not isinstance(end, socket.socket):
            return ""
        try:
            return end_text(end.getpeername())
        except OSError:
            return ""

    def _client_connect(self) -> None:
        try:
            super()._client_connect()
        except OSError as error:
            self.fault = error
            for sock in self.half_open:
                sock.close()
            raise

    def _on_publish(self, client: Any, userdata: Any, mid: int, reason_code: Any, properties: Any) -> None:
        super()._on_publish(client, userdata, mid, reason_code, properties)
        self.on_puback(mid, int(reason_code.value))

    def _on_disconnect(self, client: Any, userdata: Any, flags: Any, reason_code: Any, properties: Any = None) -> None:
        if flags.is_disconnect_packet_from_server:
            self.goodbye = int(reason_code.value)
        if not self._connected.done():  # the library would wait for CONNACK until the time-out
            self._connected.set_exception(aiomqtt.MqttError("closed before CONNACK"))
        super()._on_disconnect(client, userdata, flags, reason_code, properties)

    def _on_connect(self, client: Any, userdata: Any, flags: Any, reason_code: Any, properties: Any = None) -> None:
        self.refused = bool(reason_code.is_failure)
        self.most = getattr(properties, "ReceiveMaximum", MOST_IN_FLIGHT)
        self.largest = getattr(properties, "MaximumPacketSize", LARGEST)
        super()._on_connect(client, userdata, flags, reason_code, properties)

    def _on_socket_register_write(self, client: Any, userdata: Any, sock: Any) -> None:
        self._loop.call_soon_threadsafe(self._watch, client, sock)

    def _watch(self, client: Any, sock: Any) -> None:
        """Write when the socket takes it; one that was closed meanwhile may have its number given to another."""
        if sock.fileno() >= 0:
            self._loop.add_writer(sock.fileno(), self._write_some, client)

    def _write_some(self, client: Any) -> None:
        try:
            client.loop_write()
        except OSError as error:
            if not self._disconnected.done():
                self._disconnected.set_exception(error)


def why(error: BaseException) -> str:
    """Why a connection failed or ended; what the library calls "unspecified" is a connection that is gone."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    cause = error.__cause__ if isinstance(error.__cause__, aiomqtt.MqttError) else error
    text = str(cause)
    return "connection lost" if not text or "[code:128]" in text else text


def open_client(endpoint: Endpoint, on_puback: Callable[[int, int], None]) -> Client:
    """A new client, not connected. Raises OSError for a file that is missing or no good."""
    mqtt, half_open = endpoint.mqtt, list[socket.socket]()
    made = Client(
        endpoint.ip,
        endpoint.port,
        username=mqtt.user,
        password=_password(mqtt),
        identifier=endpoint.client_id,
        logger=_SILENT,
        will=endpoint.will,
        timeout=endpoint.timeout_s,
        keepalive=mqtt.keepalive // 2000,  # a ping each half, so that silence is noticed within the whole
        max_inflight_messages=MOST_IN_FLIGHT,
        tls_context=_tls(endpoint.tls, endpoint.host, half_open),
        **_session(mqtt, lasting=endpoint.will is not None),
    )
    made.on_puback, made.half_open = on_puback, half_open
    made._client._create_socket_connection = partial(_dial, endpoint)  # type: ignore[method-assign]
    return made


def _dial(endpoint: Endpoint) -> socket.socket:
    """As a link of HJ 212: bound where the site file says so, a dead peer is noticed. Raises OSError, LinkDown."""
    sock = socket.socket(socket.AF_INET6 if ":" in endpoint.ip else socket.AF_INET, socket.SOCK_STREAM)
    try:
        endpoint.binding.apply(sock)
        tune(sock)
        sock.settimeout(endpoint.timeout_s)
        sock.connect((endpoint.ip, endpoint.port))
    except BaseException:
        sock.close()
        raise
    return sock


def _session(mqtt: Mqtt, *, lasting: bool) -> dict[str, Any]:
    """The session at the broker is kept while the logger is away."""
    if mqtt.version == "3.1.1":
        return {"protocol": aiomqtt.ProtocolVersion.V311, "clean_session": not lasting}
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho annotates it not
    properties.SessionExpiryInterval = mqtt.session_expiry // 1000 if lasting else 0
    return {"protocol": aiomqtt.ProtocolVersion.V5, "clean_start": not lasting, "properties": properties}


def _password(mqtt: Mqtt) -> str | None:
    if mqtt.password_file is None:
        return None
    # Notepad puts a byte order mark before it
    lines = Path(mqtt.password_file).read_text(encoding="utf-8-sig", errors="replace").splitlines()
    return lines[0] if lines else ""


def _tls(tls: Tls | None, host: str, half_open: list[socket.socket]) -> Any:
    if tls is None:
        return None
    from edge.uplink.tls import context

    made = context(tls)
    made.wrap_socket = partial(_wrapped, made.wrap_socket, tls.server_name or host, half_open)  # type: ignore[assignment,method-assign]
    return made


def _wrapped(
    wrap: Callable[..., socket.socket], name: str, half_open: list[socket.socket], sock: Any, **others: Any
) -> socket.socket:
    """A socket with TLS, for the name that the site file says: paho asks for the one that it connects to."""
    made = wrap(sock, **{**others, "server_hostname": name})
    half_open.append(made)
    return made
