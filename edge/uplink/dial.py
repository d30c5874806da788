"""The logger connects: TCP to `host:port`, with TLS where the site file says so.

    resolve ─▶ each IP address ─▶ socket bound to `interface`, `source_address` ─▶ connect ─▶ TLS ─▶ Connection

A peer that is gone without a word (half-open) is noticed by keep-alive probes on a quiet link (30 + 3 × 10 s) and by
TCP_USER_TIMEOUT where bytes wait to be acknowledged (30 s).
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from config.addresses import HostPort
from config.tls import Tls
from edge.uplink.resolve import Resolver
from edge.uplink.transport import Connection, LinkDown

CONNECT_TIMEOUT_S = 10.0
"""For each IP address; as long again for TLS."""
USER_TIMEOUT_MS = 30_000
"""Written bytes unacknowledged by the peer's TCP for this long: the link is dead (TCP_USER_TIMEOUT)."""
KEEP_IDLE_S, KEEP_EVERY_S, KEEP_COUNT = 30, 10, 3


@dataclass(frozen=True, slots=True)
class Binding:
    """From where a link leaves; None: as the routes say."""

    interface: str | None = None
    source: str | None = None

    def apply(self, sock: socket.socket) -> None:
        """Bind a socket that is not connected yet. Raises LinkDown: it must not leave by another way."""
        try:
            if self.interface is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self.interface.encode() + b"\0")
            if self.source is not None:
                sock.bind((self.source, 0))
        except OSError as error:
            raise LinkDown("interface", f"{self.interface or self.source}: {error.strerror}") from error


def tune(sock: socket.socket) -> None:
    """One write is one segment at once; a dead peer is noticed."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEP_IDLE_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEP_EVERY_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEP_COUNT)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)


def end_text(where: tuple[str, int] | tuple[str, int, int, int] | None) -> str:
    """`host:port` of an end; raises LinkDown where it has hung up already."""
    if where is None:
        raise LinkDown("closed")
    return f"[{where[0]}]:{where[1]}" if ":" in where[0] else f"{where[0]}:{where[1]}"


class Dial:
    """One address of a platform."""

    waits = False
    refused: Mapping[str, int] = MappingProxyType({})

    def __init__(self, address: str, end: HostPort, resolver: Resolver, binding: Binding, tls: Tls | None) -> None:
        self._address = address
        self._end = end
        self._resolver = resolver
        self._binding = binding
        self._tls = tls

    async def open(self) -> Connection:
        """Each IP address in turn; raises what the last one gave."""
        return await self._resolver.first(self._end.host, self._connected)

    def close(self) -> None:
        """Nothing is held."""

    async def _connected(self, family: int, ip: str) -> Connection:
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            self._binding.apply(sock)
            tune(sock)
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await asyncio.get_running_loop().sock_connect(sock, (ip, self._end.port))
            reader, writer = await self._streams(sock)
            peer = end_text(writer.get_extra_info("peername"))
        except BaseException:
            sock.close()
            raise
        return Connection(reader, writer, self._address, peer, sock.fileno)

    async def _streams(self, sock: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._tls is None:
            return await asyncio.open_connection(sock=sock)
        from edge.uplink.tls import context  # the system's authorities are megabytes

        name = self._tls.server_name or self._end.host
        made = context(self._tls)
        return await asyncio.open_connection(
            sock=sock, ssl=made, server_hostname=name, ssl_handshake_timeout=CONNECT_TIMEOUT_S
        )
