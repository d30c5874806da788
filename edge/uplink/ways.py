"""The transport of a platform, as its table in the site file asks for it; several addresses are tried in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from config.addresses import HostPort, parse_address
from config.site import Platform
from edge.uplink.dial import Binding, Dial
from edge.uplink.resolve import Resolver
from edge.uplink.transport import Connection, Event, LinkDown, Transport, cause_of


class InOrder:
    """Every attempt begins with the preferred address; a link that works stays where it is."""

    waits = False
    refused: Mapping[str, int] = MappingProxyType({})

    def __init__(self, ways: Sequence[tuple[str, Transport]]) -> None:
        self._ways = ways

    async def open(self) -> Connection:
        """The first that can be had; raises LinkDown with the cause of the preferred one, and what each gave."""
        failed: list[tuple[str, str]] = []
        for address, way in self._ways:
            try:
                return await way.open()
            except (OSError, LinkDown) as error:
                cause, detail = cause_of(error)
                failed.append((cause, f"{address}: {detail or cause}"))
        raise LinkDown(failed[0][0], "; ".join(text for _, text in failed))

    def close(self) -> None:
        """All of them."""
        for _, way in self._ways:
            way.close()


def in_order(ways: Sequence[tuple[str, Transport]]) -> Transport:
    """The way over the addresses of a platform, the preferred one first."""
    return ways[0][1] if len(ways) == 1 else InOrder(ways)


def transport(name: str, platform: Platform, on_event: Event) -> Transport:
    """The way to a platform; `name` is the link's, for events."""
    binding = Binding(platform.interface, platform.source_address)
    if platform.listen is not None:
        from edge.uplink.listen import Door, Listener  # what a site does not use is not imported

        door = Door(listen=platform.listen, allow_from=platform.allow_from, binding=binding, tls=platform.tls)
        return Listener(name, door, on_event)
    resolver = Resolver(name, on_event)
    return in_order([(address, _way(address, platform, resolver, binding)) for address in platform.addresses])


def _way(address: str, platform: Platform, resolver: Resolver, binding: Binding) -> Transport:
    end = parse_address(address)
    if isinstance(end, HostPort):
        return Dial(address, end, resolver, binding, platform.tls)
    from edge.uplink.dtu import Dtu

    return Dtu(address, end)
