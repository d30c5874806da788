"""A real mosquitto on a loopback port, and an independent subscriber that counts what it got.

    with Broker(folder, users={"logger": "secret"}) as broker, Subscriber(broker) as seen:
        broker.freeze(); broker.thaw(); broker.kill(); broker.start()      the same port and files all along

The subscriber is paho-mqtt with its own thread: it shares no code with the uplink. It reconnects within a tenth of a
second; whoever kills the broker keeps publishers away (`tests/faultproxy.py`) until `Subscriber.ready` says it is back.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import paho.mqtt.client as paho
from certificates import Certificate

MOSQUITTO = "/usr/sbin/mosquitto"
START_S = 10.0
_LOOK_S = 0.01


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@dataclass(frozen=True)
class Tls:
    """The broker's own certificate; `clients`: the authority that clients must be signed by, None: anybody."""

    server: Certificate
    clients: Certificate | None = None


class Broker:
    """One mosquitto; `acl`: lines of an ACL file, `more`: lines of the configuration."""

    def __init__(
        self,
        folder: Path,
        *,
        users: Mapping[str, str] | None = None,
        acl: str = "",
        tls: Tls | None = None,
        more: str = "",
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = free_port()
        self.tls_port = free_port() if tls else 0
        self.users = dict(users or {})
        self.process: subprocess.Popen[bytes] | None = None
        self._config = folder / "mosquitto.conf"
        self._config.write_text(self._text(acl, tls, more), encoding="utf-8")

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return (self.folder / "mosquitto.log").read_text(encoding="utf-8", errors="replace")

    def _text(self, acl: str, tls: Tls | None, more: str) -> str:
        lines = [
            "persistence true", f"persistence_location {self.folder}/", "user root", "log_type all",
            "log_timestamp false", f"allow_anonymous {'false' if self.users else 'true'}", more,
        ]  # fmt: skip
        if self.users:
            lines.append(f"password_file {self._passwords()}")
        if acl:
            (self.folder / "acl").write_text(acl, encoding="utf-8")
            lines.append(f"acl_file {self.folder / 'acl'}")
        lines.append(f"listener {self.port} 127.0.0.1")
        if tls:
            lines += [
                f"listener {self.tls_port} 127.0.0.1", f"certfile {tls.server.certificate}", f"keyfile {tls.server.key}"
            ]  # fmt: skip
            if tls.clients:
                lines += [f"cafile {tls.clients.certificate}", "require_certificate true"]
        return "\n".join(lines) + "\n"

    def _passwords(self) -> Path:
        path = self.folder / "passwords"
        path.write_text("".join(f"{user}:{password}\n" for user, password in self.users.items()), encoding="utf-8")
        path.chmod(0o600)
        subprocess.run(["mosquitto_passwd", "-U", str(path)], check=True, capture_output=True, timeout=30)
        return path

    def start(self) -> None:
        """Until it listens."""
        with (self.folder / "mosquitto.log").open("ab") as log:
            self.process = subprocess.Popen([MOSQUITTO, "-c", str(self._config)], stdout=log, stderr=log)
        until = time.monotonic() + START_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                assert self.process.poll() is None, self.log[-2000:]
                assert time.monotonic() < until, self.log[-2000:]
                time.sleep(_LOOK_S)
            else:
                return

    def kill(self) -> None:
        """SIGKILL."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM: the sessions are written to disk."""
        self._end(signal.SIGTERM)

    def freeze(self) -> None:
        """SIGSTOP: connections stay up, nothing is answered."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGCONT)

    def _end(self, number: int) -> None:
        process, self.process = self.process, None
        if process is not None:
            os.kill(process.pid, signal.SIGCONT)
            os.kill(process.pid, number)
            process.wait(10)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


@dataclass(frozen=True)
class Got:
    """A message as it came."""

    topic: str
    payload: bytes
    retain: bool

    @property
    def content(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.payload)
        return found

    @property
    def kind(self) -> str:
        return str(self.content["kind"])


class Subscriber:
    """Everything under a topic, in the order in which it came."""

    def __init__(self, broker: Broker, topic: str = "#", user: str | None = None) -> None:
        self._broker = broker
        self._topic = topic
        self._got: list[Got] = []
        self._lock = threading.Lock()
        self._ready = threading.Event()
        self._client = paho.Client(
            paho.CallbackAPIVersion.VERSION2, client_id=f"oracle-{os.getpid()}-{id(self)}", protocol=paho.MQTTv5
        )
        if user is not None:
            self._client.username_pw_set(user, broker.users[user])
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe(self._topic, qos=1)
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_disconnect = lambda *_: self._ready.clear()
        self._client.on_message = self._take

    def _take(self, client: Any, userdata: Any, message: Any) -> None:
        with self._lock:
            self._got.append(Got(message.topic, bytes(message.payload), bool(message.retain)))

    @property
    def got(self) -> list[Got]:
        with self._lock:
            return list(self._got)

    def of(self, kind: str) -> list[Got]:
        return [one for one in self.got if one.payload.startswith(b"{") and one.kind == kind]

    def publish(self, topic: str, payload: bytes) -> None:
        self._client.publish(topic, payload, qos=1).wait_for_publish(5)

    def wait(self, condition: Callable[[Self], bool], limit_s: float = 20.0) -> None:
        until = time.monotonic() + limit_s
        while not condition(self):
            assert time.monotonic() < until, [one.payload[:200] for one in self.got[-10:]]
            time.sleep(_LOOK_S)

    def ready(self, limit_s: float = 10.0) -> None:
        """Until it is subscribed (again)."""
        assert self._ready.wait(limit_s)

    def copies(self) -> Counter[str]:
        """How often each message came, by its id."""
        return Counter(one.content["id"] for one in self.got if b'"id":' in one.payload)

    def bytes_by_id(self) -> dict[str, set[bytes]]:
        found: dict[str, set[bytes]] = {}
        for one in self.got:
            if b'"id":' in one.payload:
                found.setdefault(one.content["id"], set()).add(one.payload)
        return found

    def __enter__(self) -> Self:
        self._client.connect("127.0.0.1", self._broker.port, keepalive=60)
        self._client.loop_start()
        self.ready()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()
