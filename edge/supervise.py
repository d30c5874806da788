"""Keeps the parts alive: restarts one alone, tells systemd, hears when a network link comes up.

The watchdog is fed only while every part shows progress of its own; a part that hangs is named in the log and in
`<data_dir>/hang.txt` before systemd ends the process.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edge.clock import Clock
from edge.logs import get_logger

RESTART_S = 2.0
HANG_S = 15.0
"""A part without progress for this long hangs."""
RTMGRP_LINK, RTMGRP_IPV4_IFADDR = 0x1, 0x10
RTM_NEWLINK, RTM_NEWADDR = 16, 20
NETLINK_HEAD = struct.Struct("=IHHII")

log = get_logger("supervise")


async def keep_alive(
    name: str, part: Callable[[], Awaitable[None]], clock: Clock, count: Callable[[str], None]
) -> None:
    """Run a part for ever; a fault in it is logged with its trace, and the part alone starts again."""
    while True:
        try:
            await part()
        except Exception:
            log.exception("part failed", part=name)
            count(name)
        await clock.sleep(RESTART_S)


def notify(state: str) -> bool:
    """One datagram to systemd (sd_notify); False where systemd did not ask for it."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return False
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.connect("\0" + address[1:] if address.startswith("@") else address)
            sock.send(state.encode())
    except OSError as error:
        log.warning("systemd cannot be told", why=str(error), state=state.partition("\n")[0])
        return False
    return True


def watchdog_interval_s() -> float | None:
    """A third of systemd's watchdog time; None where there is no watchdog, or where it watches another process."""
    usec, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID")
    if not usec.isdigit() or pid not in (None, str(os.getpid())):
        return None
    return int(usec) / 3e6


@dataclass(frozen=True, slots=True)
class _Watched:
    age_s: Callable[[], float]
    limit_s: float
    fatal_after_s: float


class Watchdog:
    """Feeds systemd's watchdog while all parts make progress. Ages and limits are real seconds."""

    def __init__(self, clock: Clock, cause_file: Path) -> None:
        self._clock = clock
        self._cause_file = cause_file
        self._began_s = clock.mono_s()
        self._parts: dict[str, _Watched] = {}
        self._named: list[str] = []

    def watch(self, name: str, age_s: Callable[[], float], limit_s: float = HANG_S, fatal_after_s: float = 0.0) -> None:
        """`age_s` gives how long ago a part made progress; more than `limit_s` is a hang.

        A hang is a reason for systemd to end the process only `fatal_after_s` after its start: where a restart does
        not help (a port whose driver hangs), the other parts are not to suffer for it again and again.
        """
        self._parts[name] = _Watched(age_s, limit_s, fatal_after_s)

    def hanging(self) -> list[str]:
        """Parts without progress for longer than their limit."""
        return [name for name, part in self._parts.items() if part.age_s() > part.limit_s]

    def feeds(self, hung: list[str]) -> bool:
        """Whether systemd may believe that all is well."""
        up_s = (self._clock.mono_s() - self._began_s) / self._clock.speed
        return not any(up_s >= self._parts[name].fatal_after_s for name in hung)

    async def run(self) -> None:
        """Feed, or say who hangs."""
        interval_s = watchdog_interval_s() or HANG_S / 3
        while True:
            hung = self.hanging()
            if hung and hung != self._named:
                log.error("hanging", parts=hung)
                with suppress(OSError):  # a full disk: the log has said it
                    self._cause_file.write_text(" ".join(hung) + "\n", encoding="utf-8")
            self._named = hung
            if self.feeds(hung):
                notify("WATCHDOG=1")
            await asyncio.sleep(interval_s)


class LinkUpListener(asyncio.DatagramProtocol):
    """Sets an event when a network link or address of this machine comes up (rtnetlink)."""

    def __init__(self, events: list[asyncio.Event]) -> None:
        self._events = events

    def datagram_received(self, data: bytes, addr: object) -> None:
        """A netlink message; only its type matters."""
        while len(data) >= NETLINK_HEAD.size:
            length, kind, *_rest = NETLINK_HEAD.unpack_from(data)
            if kind in (RTM_NEWLINK, RTM_NEWADDR):
                for event in self._events:
                    event.set()
                return
            data = data[max(length, NETLINK_HEAD.size) :]


async def listen_for_links(events: list[asyncio.Event]) -> asyncio.DatagramTransport | None:
    """Start listening; None where the kernel does not offer it."""
    try:
        sock = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 0)
        sock.bind((0, RTMGRP_LINK | RTMGRP_IPV4_IFADDR))
    except OSError as error:
        log.warning("no link events", why=str(error))
        return None
    loop = asyncio.get_running_loop()
    transport, _protocol = await loop.create_datagram_endpoint(lambda: LinkUpListener(events), sock=sock)
    return transport
