"""How bytes get to a platform and back: what a link knows of TCP, TLS, a listening port, a serial DTU.

    Transport.open ─▶ Connection (reader, writer, who is at the other end) ─▶ the link reads, writes, closes it

Whatever goes wrong is an OSError or a LinkDown; `cause_of` makes one of CAUSES of it, which the link log keeps.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import socket
import struct
import sys
import termios
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

CAUSES = (
    "closed", "reset", "timeout", "refused", "unreachable", "dns", "tls", "interface", "port", "no-answer",
    "not-drained", "replaced", "stopped", "killed", "failed",
)  # fmt: skip
"""Why a link ended or could not be made; texts `edge.cause.…`. They are kept: none is ever renamed."""
_BY_ERRNO = {
    errno.ETIMEDOUT: "timeout",
    errno.ECONNREFUSED: "refused",
    errno.ECONNRESET: "reset",
    errno.EPIPE: "reset",
    errno.ECONNABORTED: "reset",
    errno.ENETUNREACH: "unreachable",
    errno.EHOSTUNREACH: "unreachable",
    errno.ENETDOWN: "unreachable",
    errno.EADDRNOTAVAIL: "interface",
    errno.EIO: "port",
    errno.ENODEV: "port",
    errno.ENXIO: "port",
}
Event = Callable[[str, dict[str, Any]], None]


class LinkDown(Exception):
    """The link ended, or could not be made; `cause` is one of CAUSES, `detail` what there is to say besides."""

    def __init__(self, cause: str, detail: str = "") -> None:
        super().__init__(f"{cause}: {detail}" if detail else cause)
        self.cause = cause
        self.detail = detail


@dataclass(slots=True)
class Connection:
    """One connection. `address`: the site file's; `peer`: who is there. The first reason to close it counts."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    address: str
    peer: str
    fileno: Callable[[], int] | None = None
    """The descriptor whose send queue is asked; None: there is none."""
    closing: LinkDown | None = None
    end_cause: str = "closed"
    """What it means when reading ends without a word."""
    also: list[asyncio.BaseTransport] = field(default_factory=list)
    """What is closed with it."""

    def close(self, why: LinkDown) -> None:
        """End it now: what the peer has not taken is in the outbox anyway."""
        if self.closing is not None:
            return
        self.closing = why
        if not self.writer.transport.is_closing():
            self.writer.transport.abort()
        for each in self.also:
            each.close()

    def drained(self) -> bool:
        """Whether all that was written has left the send queue; by TCP: is acknowledged by the peer (SIOCOUTQ)."""
        transport = self.writer.transport
        if self.closing is not None or transport.is_closing() or transport.get_write_buffer_size():
            return False
        if self.fileno is None:
            return True
        left = fcntl.ioctl(self.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
        return bool(struct.unpack("i", left)[0] == 0)


class Transport(Protocol):
    """A way to a platform."""

    waits: bool
    """The platform comes to us: opening takes as long as it takes, and nothing is gained by waiting before it."""

    @property
    def refused(self) -> Mapping[str, int]:
        """How often whom was not let in."""
        ...

    async def open(self) -> Connection:
        """A new connection; raises OSError and LinkDown."""
        ...

    def close(self) -> None:
        """Give back what is held between connections."""
        ...


def cause_of(error: BaseException) -> tuple[str, str]:
    """Cause and detail of what ended a link; of a group the first that is no cancellation."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, LinkDown):
        return error.cause, error.detail
    ssl = sys.modules.get("ssl")  # it is hidden where nobody needs it
    if ssl is not None and isinstance(error, ssl.SSLError):
        return "tls", _of_file(error, getattr(error, "verify_message", "") or error.strerror or str(error))
    if isinstance(error, socket.gaierror):
        return "dns", error.strerror or str(error)
    if isinstance(error, TimeoutError) and not error.errno:
        return "timeout", ""
    if isinstance(error, OSError):
        known = _BY_ERRNO.get(error.errno or 0)
        return (known, "") if known else ("failed", _of_file(error, error.strerror or str(error)))
    return "failed", str(error) or type(error).__name__


def _of_file(error: OSError, said: str) -> str:
    return f"{error.filename}: {said}" if error.filename else said
