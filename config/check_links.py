"""What is wrong with how a platform is reached: addresses, listening, a network interface, TLS where there is none."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator

from config.addresses import HostPort, SerialPort, parse_address
from config.lines import Path
from config.merge import Merged
from config.problem import Problem, shown
from config.site import Platform, Site

_TOP_PORT = 65_535
_BAUD = range(50, 4_000_001)
_FOR_TLS_CLIENTS = ("server_name", "fingerprint")


def links(site: Site, merged: Merged) -> Iterator[Problem]:
    """All findings about the ways to the platforms."""
    for name, platform in site.platforms.items():
        for rule in _RULES:
            yield from rule(merged, ("platforms", name), platform)
    yield from _owners(site, merged)


def _owners(site: Site, merged: Merged) -> Iterator[Problem]:
    """A serial port and a port to listen on belong to one alone."""
    devices = {line.port: name for name, line in site.lines.items()}
    listening: dict[str, str] = {}
    for name, platform in site.platforms.items():
        path: Path = ("platforms", name)
        ports = {way.device for way in map(parse_address, platform.addresses) if isinstance(way, SerialPort)}
        for port in sorted(ports):
            if (owner := devices.setdefault(port, name)) != name:
                yield merged.problem((*path, "address"), "config.same-port", got=port, line=owner)
        if platform.listen is not None and (other := listening.setdefault(platform.listen, name)) != name:
            yield merged.problem((*path, "listen"), "config.same-listen", got=platform.listen, other=other)


def _one_way(merged: Merged, path: Path, platform: Platform) -> Iterator[Problem]:
    if platform.listen is not None and platform.address is not None:
        yield merged.problem((*path, "listen"), "config.address-and-listen")
    if not platform.addresses and not _tried_to_listen(merged, path):
        yield merged.problem((*path, "address"), "config.no-address")


def _tried_to_listen(merged: Merged, path: Path) -> bool:
    """`listen` is given, though perhaps not as it should be: that is said already."""
    return (*path, "listen") in merged.document.lines


def _ends(merged: Merged, path: Path, platform: Platform) -> Iterator[Problem]:
    key = "address" if platform.listen is None else "listen"
    for address in platform.addresses:
        way = parse_address(address)
        if isinstance(way, HostPort) and not 1 <= way.port <= _TOP_PORT:
            yield merged.problem((*path, key), "config.port", got=shown(address))
        if isinstance(way, HostPort) and platform.listen is None and not _is_host(way.host):
            yield merged.problem((*path, key), "config.form.address", got=shown(address))
        if isinstance(way, SerialPort) and way.baud not in _BAUD:
            low, high = _BAUD.start, _BAUD.stop - 1
            yield merged.problem((*path, key), "config.between", got=way.baud, low=low, high=high)
    if len(set(platform.addresses)) < len(platform.addresses):
        yield merged.problem((*path, key), "config.address-twice", True)


def _one_link(merged: Merged, path: Path, platform: Platform) -> Iterator[Problem]:
    """A serial port, and a platform that comes to us, have no room for a link per MN."""
    single = platform.listen is not None or any(
        isinstance(parse_address(address), SerialPort) for address in platform.addresses
    )
    if single and len(platform.outlets) > 1 and platform.connection != "shared":
        yield merged.problem((*path, "connection"), "config.one-link")


def _listening(merged: Merged, path: Path, platform: Platform) -> Iterator[Problem]:
    if platform.listen is None:
        if platform.allow_from and not _tried_to_listen(merged, path):
            yield merged.problem((*path, "allow_from"), "config.only-listening")
        return
    way = parse_address(platform.listen)
    if isinstance(way, HostPort) and not _is(ipaddress.ip_address, way.host):
        yield merged.problem((*path, "listen"), "config.listen-host", got=way.host)
    if not platform.allow_from:
        yield merged.problem((*path, "allow_from"), "config.no-allow-from")
    if platform.source_address is not None:
        yield merged.problem((*path, "source_address"), "config.not-listening")


def _networks(merged: Merged, path: Path, platform: Platform) -> Iterator[Problem]:
    for network in platform.allow_from:
        if not _is(ipaddress.ip_network, network):
            yield merged.problem((*path, "allow_from"), "config.network", got=shown(network))
    source = platform.source_address
    if source is not None and not _is(ipaddress.ip_address, source):
        yield merged.problem((*path, "source_address"), "config.ip", got=shown(source))


def _encrypted(merged: Merged, path: Path, platform: Platform) -> Iterator[Problem]:
    if platform.tls is None:
        return
    if any(isinstance(parse_address(address), SerialPort) for address in platform.addresses):
        yield merged.problem((*path, "tls"), "config.tls-serial")
    if platform.listen is None:
        return
    if platform.tls.certificate is None:
        yield merged.problem((*path, "tls"), "config.tls-listen")
    for key in _FOR_TLS_CLIENTS:
        if getattr(platform.tls, key) is not None:
            yield merged.problem((*path, "tls", key), "config.not-listening")


def _is_host(host: str) -> bool:
    """An IP address, or a name that DNS could know: `city..example` is none, and would fail for ever."""
    return _is(ipaddress.ip_address, host) or (":" not in host and _is(lambda name: name.encode("idna"), host))


def _is(kind: Callable[[str], object], text: str) -> bool:
    try:
        kind(text)
    except ValueError:
        return False
    return True


_RULES: tuple[Callable[[Merged, Path, Platform], Iterator[Problem]], ...] = (
    _one_way,
    _ends,
    _one_link,
    _listening,
    _networks,
    _encrypted,
)
