"""What is wrong with an MQTT platform: keys that only HJ 212 over TCP has, names that are not one's own, files.

A key of the frames has a meaning where frames are sent (`payload = "hj212"`), one of commands where they are taken.
Silently ignored it would look as if it held: it is an error at its line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path as FilePath

from config.lines import Path
from config.merge import Merged
from config.mqtt import Mqtt
from config.problem import Problem, listed
from config.site import Platform, Site

OF_LINKS = frozenset({
    "listen", "allow_from", "connection", "acknowledge", "no_answer", "frame_gap", "heartbeat", "heartbeat_every",
    "connect_from", "retries", "preset",
})  # fmt: skip
"""Of HJ 212 over TCP alone."""
OF_FRAMES = frozenset({
    "edition", "absent", "reissue_after", "crc", "tail", "part_order", "segment_limit", "cp_limit", "extra", "units",
    "mass_decimals",
})  # fmt: skip
OF_COMMANDS = frozenset({"time", "allow", "commands_per_minute", "crc_error"})
_OF_ANSWERS = frozenset({"crc", "tail"})
"""Of the frames that answer commands."""
_NAMES = ("platform", "outlet", "mn")
_WILD = re.compile(r"[+#]|^\$")
LONGEST_NAMES = 1_000
"""Bytes of a site's and an outlet's name; they stand in every message, and a last will has 65,535 bytes at most."""
_PLACE = re.compile(r"\{[^}]*\}?")


def mqtt(site: Site, merged: Merged) -> Iterator[Problem]:
    """All findings about MQTT."""
    for name, platform in site.platforms.items():
        path: Path = ("platforms", name)
        if platform.protocol != "mqtt":
            if platform.mqtt is not None:
                yield merged.problem((*path, "mqtt"), "config.mqtt-table")
            continue
        yield from _foreign(merged, path, platform)
        yield from _table(merged, (*path, "mqtt"), platform.mqtt or Mqtt())
    yield from _shared(site, merged)
    yield from _long(site, merged)


def without_meaning(platform: Platform) -> frozenset[str]:
    """The keys that say nothing about an MQTT platform."""
    table = platform.mqtt or Mqtt()
    foreign = OF_LINKS
    if table.payload == "json":
        foreign |= OF_FRAMES - (_OF_ANSWERS if table.commands else frozenset())
    return foreign if table.commands else foreign | OF_COMMANDS


def _foreign(merged: Merged, path: Path, platform: Platform) -> Iterator[Problem]:
    foreign = without_meaning(platform)
    for key in merged.tree["platforms"][path[1]]:
        if key in foreign and (*path, key) not in merged.filled_in:
            yield merged.problem((*path, key), "config.not-for-mqtt", key=key)
    for address in platform.addresses:
        if address.startswith("serial:"):
            yield merged.problem((*path, "address"), "config.form.address", got=address)
    if platform.role == "official":
        yield merged.problem((*path, "role"), "config.mqtt-official")


def _table(merged: Merged, path: Path, table: Mqtt) -> Iterator[Problem]:
    for key in ("client_id", "topic"):
        wrong = [each for each in _PLACE.findall(getattr(table, key)) if each[1:-1] not in _NAMES]
        if wrong:
            got = wrong[0].strip("{}") or "–"
            yield merged.problem((*path, key), "config.mqtt-name", got=got, allowed=listed(_NAMES))
    if table.password_file is None:
        return
    if table.user is None:
        yield merged.problem((*path, "password_file"), "config.mqtt-user")
    try:
        FilePath(table.password_file).open("rb").close()
    except OSError as error:  # a warning, as a file of TLS
        params = {"got": table.password_file, "reason": error.strerror}
        yield merged.problem((*path, "password_file"), "config.tls-file", True, **params)


def _long(site: Site, merged: Merged) -> Iterator[Problem]:
    served = {outlet for one in site.platforms.values() if one.protocol == "mqtt" for outlet in one.outlets}
    names: list[tuple[Path, str]] = [(("site", "name"), site.site.name)] if served else []
    names += [(("outlets", key, "name"), outlet.name) for key, outlet in site.outlets.items() if key in served]
    for path, name in names:
        if (length := len(name.encode())) > LONGEST_NAMES:
            yield merged.problem(path, "config.mqtt-long", got=length, most=LONGEST_NAMES)


def _shared(site: Site, merged: Merged) -> Iterator[Problem]:
    """A client ID that two connections share throws each of them out in turn; under one topic they mix their data."""
    owners: dict[tuple[tuple[str, ...], str, str], str] = {}
    for name, platform in site.platforms.items():
        if platform.protocol != "mqtt":
            continue
        table = platform.mqtt or Mqtt()
        for outlet, access in platform.outlets.items():
            for key in ("client_id", "topic"):
                got = table.named(getattr(table, key), name, outlet, access.mn)
                path: Path = ("platforms", name, "mqtt", key)
                other = owners.setdefault((platform.addresses[:1], key, got), f"{name}/{outlet}")
                if key == "topic" and _WILD.search(got):  # an MN may hold such a character
                    yield merged.problem(path, "config.form.topic", got=got)
                if other != f"{name}/{outlet}":
                    yield merged.problem(path, "config.mqtt-same", got=got, other=other)
