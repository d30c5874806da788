"""Host names of platforms: asked anew at every connect, with a time-out; where DNS fails, the last answer counts.

The system's resolver blocks and cannot be broken off: it runs in a thread, at most one for each name. One that is late
is waited for again at the next attempt, instead of a second one beside it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable

from edge.uplink.transport import Connection, Event, LinkDown

RESOLVE_S = 5.0
MOST = 4
"""Addresses of one name that are tried at most."""
Found = list[tuple[int, str]]
"""Family and IP address, in the order in which they are tried."""


def lookup(host: str) -> Found:
    """Ask the system. Raises socket.gaierror."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # a label that is empty or longer than 63 characters
        raise socket.gaierror(socket.EAI_NONAME, "not a host name") from error
    return list(dict.fromkeys((int(family), str(where[0])) for family, _, _, _, where in found))[:MOST]


class Resolver:
    """Remembers what each name was last."""

    def __init__(self, link: str, on_event: Event, ask: Callable[[str], Found] = lookup) -> None:
        self._link = link
        self._on_event = on_event
        self._ask = ask
        self._known: dict[str, Found] = {}
        self._asking: dict[str, asyncio.Task[Found]] = {}

    async def resolve(self, host: str) -> Found:
        """IP addresses of a host. Raises OSError where DNS fails and has never told."""
        literal = _literal(host)
        if literal is not None:
            return [literal]
        try:
            async with asyncio.timeout(RESOLVE_S):
                found = await asyncio.shield(self._asked(host))
        except OSError as error:  # TimeoutError is one
            known = self._known.get(host)
            if known is None:
                said = error.strerror or f"{RESOLVE_S:g} s"
                raise socket.gaierror(socket.EAI_AGAIN, f"{host}: {said}") from error
            self._tell("edge.dns-failed", host, known)
            return known
        if (before := self._known.get(host)) is not None and set(before) != set(found):
            self._tell("edge.dns-changed", host, found)
        self._known[host] = found
        return found

    async def first(self, host: str, connect: Callable[[int, str], Awaitable[Connection]]) -> Connection:
        """What can be had of a host's IP addresses in turn. Raises what the last one gave."""
        failed: OSError | LinkDown | None = None
        for family, ip in await self.resolve(host):
            try:
                return await connect(family, ip)
            except (OSError, LinkDown) as error:
                failed = error
        raise failed or LinkDown("dns", host)

    def _tell(self, code: str, host: str, now: Found) -> None:
        self._on_event(code, {"link": self._link, "host": host, "now": ", ".join(ip for _, ip in now)})

    def _asked(self, host: str) -> asyncio.Task[Found]:
        job = self._asking.get(host)
        if job is None:
            job = asyncio.get_running_loop().create_task(asyncio.to_thread(self._ask, host), name=f"dns[{host}]")
            self._asking[host] = job
            job.add_done_callback(lambda done: self._answered(host, done))
        return job

    def _answered(self, host: str, done: asyncio.Task[Found]) -> None:
        del self._asking[host]
        if not done.cancelled():
            done.exception()  # whoever still waits gets it; after a time-out nobody does


def _literal(host: str) -> tuple[int, str] | None:
    """A host that is an IP address."""
    try:
        version = ipaddress.ip_address(host).version
    except ValueError:
        return None
    return (int(socket.AF_INET6 if version == 6 else socket.AF_INET)), host
