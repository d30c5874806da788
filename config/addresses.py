"""Where a platform is reached, as the site file writes it.

    city.example:9212      10.0.0.5:9212      [2001:db8::1]:9212      TCP, the logger connects
    serial:/dev/ttyS1?baud=9600&format=8N1                            a transparent DTU: bytes in, bytes out
    listen:0.0.0.0:9212                                               the platform connects to us (key `listen`)

The last form is no key's value: it is how a platform that comes by itself is named in evidence and logs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from config.markers import Pattern

HOST_PORT = r"(\[[0-9A-Fa-f:.]+\]|[^:\s]+):[0-9]{1,5}"
_OPTION = r"(baud=[0-9]{2,7}|format=[5-8][NEOMS](1|1\.5|2))"
_SERIAL = re.compile(rf"serial:(/[^\s?]+)(\?{_OPTION}(&{_OPTION})*)?")
Address = Annotated[str, Pattern(rf"({HOST_PORT}|{_SERIAL.pattern})", "address")]
ListenAddress = Annotated[str, Pattern(HOST_PORT, "listen")]
LinePort = Annotated[str, Pattern(rf"(socket|rfc2217)://{HOST_PORT}([/?].*)?|(?!socket:|rfc2217:).+", "port")]
"""A device, or a serial server, which is nothing without its TCP port."""
LISTEN = "listen:"


@dataclass(frozen=True, slots=True)
class HostPort:
    """A TCP end; IPv6 without its brackets."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class SerialPort:
    """A serial port with a transparent DTU (数传终端) behind it."""

    device: str
    baud: int = 9600
    format: str = "8N1"


def parse_address(address: str) -> HostPort | SerialPort:
    """What an address means that has passed the check of the file; of `listen:…` the end to listen on."""
    if matched := _SERIAL.fullmatch(address):
        options = dict(pair.split("=") for pair in (matched[2] or "?")[1:].split("&") if pair)
        return SerialPort(matched[1], int(options.get("baud", 9600)), options.get("format", "8N1"))
    host, _, port = address.removeprefix(LISTEN).rpartition(":")
    return HostPort(host.strip("[]"), int(port))


def addresses_of(address: str | tuple[str, ...] | list[str] | None, listen: str | None) -> tuple[str, ...]:
    """All addresses of a platform, the preferred one first; of one that comes to us `listen:HOST:PORT`."""
    if listen is not None:
        return (LISTEN + listen,)
    return (address,) if isinstance(address, str) else tuple(address or ())


def addresses_in(table: Mapping[str, Any]) -> tuple[str, ...]:
    """The same, of a platform's table as it was read."""
    return addresses_of(table.get("address"), table.get("listen"))
