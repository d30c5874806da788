"""Keeps the parts alive: restarts one alone, tells systemd, hears when a network link comes up.

    parts ─ progress ─▶ Watchdog (a thread) ─ all make some ─▶ WATCHDOG=1 ─▶ systemd
                             └─ one hangs ─▶ log, hang.txt                    ends the process, starts it again

The watchdog is fed only while every part shows progress of its own, the event loop among them; a part that hangs is
named in the log and in `<data_dir>/hang.txt`, with where every thread and task stands, before systemd ends the process.
"""

from __future__ import annotations

import asyncio
import faulthandler
import os
import socket
import struct
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edge.clock import Clock
from edge.logs import get_logger
from edge.stacks import standing
from protocol.times import iso_text

RESTART_S = 2.0
HANG_S = 14.0
"""A part without progress for this long hangs: after 15 s systemd hears nothing more."""
LOOK_S = 2.5
"""How often the parts are looked at, at least."""
BEAT_S = 1.0
"""How often the event loop shows that it turns."""
STUCK_S = 20.0
"""The watching thread held up for this long: the stacks go to standard error."""
LOOP = "loop"
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
    in_loop: bool


class Watchdog:
    """Feeds systemd's watchdog while all parts make progress. Ages and limits are real seconds.

    It looks from a thread of its own, since a blocked loop cannot say so itself. What holds even this thread up (code
    in C that never lets go) is written to standard error by `faulthandler`, with the stacks of all threads.
    """

    def __init__(self, clock: Clock, cause_file: Path) -> None:
        self._clock = clock
        self._cause_file = cause_file
        self._began_s = clock.mono_s()
        self._parts: dict[str, _Watched] = {}
        self._named: list[str] = []
        self._beat_s = self._looked_s = time.monotonic()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.watch(LOOP, lambda: time.monotonic() - self._beat_s, in_loop=False)

    def watch(
        self,
        name: str,
        age_s: Callable[[], float],
        limit_s: float = HANG_S,
        fatal_after_s: float = 0.0,
        *,
        in_loop: bool = True,
    ) -> None:
        """`age_s` gives how long ago a part made progress; more than `limit_s` is a hang. Asked from another thread.

        A hang is a reason for systemd to end the process only `fatal_after_s` after its start: where a restart does
        not help (a port whose driver hangs), the other parts are not to suffer for it again and again. `in_loop`: the
        part stands still with the event loop, and is not to blame for it.
        """
        self._parts[name] = _Watched(age_s, limit_s, fatal_after_s, in_loop)

    def hanging(self) -> list[str]:
        """Parts without progress for longer than their limit."""
        late = [name for name, part in self._parts.items() if part.age_s() > part.limit_s]
        return [name for name in late if LOOP not in late or not self._parts[name].in_loop]

    def feeds(self, hung: list[str]) -> bool:
        """Whether systemd may believe that all is well."""
        up_s = (self._clock.mono_s() - self._began_s) / self._clock.speed
        return not any(up_s >= self._parts[name].fatal_after_s for name in hung)

    async def run(self) -> None:
        """Show that the loop turns, and have everything looked at by a thread."""
        self._loop = asyncio.get_running_loop()
        stop = threading.Event()
        thread = threading.Thread(target=self._look_on, args=(stop,), name="watchdog", daemon=True)
        thread.start()
        try:
            while thread.is_alive():
                self._beat_s = time.monotonic()
                await asyncio.sleep(BEAT_S)
        finally:
            stop.set()

    def _look_on(self, stop: threading.Event) -> None:
        interval_s = min(watchdog_interval_s() or LOOK_S, LOOK_S)
        self._looked_s = time.monotonic()
        while not stop.wait(interval_s):
            faulthandler.dump_traceback_later(STUCK_S)
            before, self._looked_s = self._looked_s, time.monotonic()
            if self._looked_s - before < interval_s + BEAT_S:  # else the whole process stood still: give it a moment
                self.look()
        faulthandler.cancel_dump_traceback_later()

    def look(self) -> None:
        """Feed, or say who hangs."""
        hung = self.hanging()
        if hung and hung != self._named:
            self._name(hung)
        self._named = hung
        if self.feeds(hung):
            notify("WATCHDOG=1")

    def _name(self, hung: list[str]) -> None:
        """To the log and to the cause file, which has beside the names where every thread and task stands."""
        log.error("hanging", parts=hung)
        head = f"{iso_text(self._clock.wall_ms())} {' '.join(hung)}\n"
        with suppress(OSError):  # a full disk: the log has said it
            self._cause_file.write_text(head + standing(self._loop), encoding="utf-8")


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
