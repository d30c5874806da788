"""The platform connects to the logger: one port, an allow-list, one connection at a time.

    accept ─▶ allowed? ─▶ TLS where it is asked for ─▶ the newest connection replaces the one before

The newest one counts, since the old one may be dead without our having noticed (the platform was switched off, a NAT
has forgotten it). Who is not allowed is hung up on at once, counted, and told of once for each address.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections import Counter
from dataclasses import dataclass, field

from config.addresses import LISTEN, HostPort, parse_address
from config.tls import Tls
from edge.uplink.dial import CONNECT_TIMEOUT_S, Binding, end_text, tune
from edge.uplink.transport import Connection, Event, LinkDown, cause_of

BACKLOG = 8
REMEMBERED = 100
"""Addresses of refused peers that are told apart."""
HANDSHAKES = 4
"""At a time: more are hung up on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Where to listen, and to whom."""

    listen: str
    allow_from: tuple[str, ...]
    binding: Binding = field(default_factory=Binding)
    tls: Tls | None = None


class Listener:
    """Listens from the first `open` to `close`."""

    waits = True

    def __init__(self, name: str, door: Door, on_event: Event) -> None:
        self.refused: Counter[str] = Counter()
        """Connections that were refused, by address."""
        self.port = 0
        self._name = name
        self._door = door
        self._on_event = on_event
        self._allowed = [ipaddress.ip_network(each, strict=False) for each in door.allow_from]
        self._accepting: asyncio.Task[None] | None = None
        self._welcoming: set[asyncio.Task[None]] = set()
        self._arrived: Connection | None = None
        self._present: Connection | None = None
        self._news = asyncio.Event()

    async def open(self) -> Connection:
        """The next connection. Raises LinkDown where the port cannot be had."""
        while self._arrived is None:
            if self._accepting is None:
                work = self._accept(self._bound())
                self._accepting = asyncio.get_running_loop().create_task(work, name=f"listen[{self._name}]")
                self._accepting.add_done_callback(lambda _: self._news.set())
            elif self._accepting.done():
                ended, self._accepting = self._accepting, None
                ended.result()
            self._news.clear()
            await self._news.wait()
        self._present, self._arrived = self._arrived, None
        return self._present

    def close(self) -> None:
        """Give the port back."""
        for task in (self._accepting, *self._welcoming):
            if task is not None:
                task.cancel()
        if self._arrived is not None:
            self._arrived.close(LinkDown("stopped"))
        self._accepting = self._arrived = None

    def _bound(self) -> socket.socket:
        end = parse_address(LISTEN + self._door.listen)
        assert isinstance(end, HostPort)
        family = socket.AF_INET6 if ":" in end.host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._door.binding.apply(sock)
            sock.bind((end.host, end.port))
            sock.listen(BACKLOG)
        except OSError as error:
            sock.close()
            raise LinkDown("port", f"{self._door.listen}: {error.strerror}") from error
        except LinkDown:
            sock.close()
            raise
        self.port = int(sock.getsockname()[1])
        return sock

    async def _accept(self, server: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with server:
            while True:
                sock, where = await loop.sock_accept(server)
                if not self._may_come(where[0]) or len(self._welcoming) >= HANDSHAKES:
                    sock.close()
                    continue
                task = loop.create_task(self._welcome(sock, end_text(where)), name=f"welcome[{self._name}]")
                self._welcoming.add(task)
                task.add_done_callback(self._welcoming.discard)

    def _may_come(self, host: str) -> bool:
        ip = ipaddress.ip_address(host.partition("%")[0])
        plain = getattr(ip, "ipv4_mapped", None) or ip
        if any(plain in network for network in self._allowed):
            return True
        if host not in self.refused:
            self._on_event("edge.peer-refused", {"link": self._name, "peer": host})
        if host in self.refused or len(self.refused) < REMEMBERED:
            self.refused[host] += 1
        return False

    async def _welcome(self, sock: socket.socket, peer: str) -> None:
        """From an accepted socket to the connection that the link takes next."""
        try:
            tune(sock)
            arrived = await self._connection(sock, peer)
        except OSError as error:  # ssl.SSLError is one
            sock.close()
            self._on_event("edge.peer-failed", {"link": self._name, "peer": peer, "why": cause_of(error)[1]})
            return
        for older in (self._present, self._arrived):
            if older is not None:
                older.close(LinkDown("replaced", peer))
        self._arrived = arrived
        self._news.set()

    async def _connection(self, sock: socket.socket, peer: str) -> Connection:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        if self._door.tls is None:
            transport, _ = await loop.connect_accepted_socket(lambda: protocol, sock)
        else:
            from edge.uplink.tls import server_context

            transport, _ = await loop.connect_accepted_socket(
                lambda: protocol, sock, ssl=server_context(self._door.tls), ssl_handshake_timeout=CONNECT_TIMEOUT_S
            )
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        return Connection(reader, writer, LISTEN + self._door.listen, peer, sock.fileno)
