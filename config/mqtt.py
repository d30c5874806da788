"""`[platforms.NAME.mqtt]`: the platform is reached over an MQTT broker (`protocol = "mqtt"`).

In `client_id` and `topic` stand `{platform}`, `{outlet}` and `{mn}` for the names of the connection: each outlet has a
connection of its own, with its own will. `DEFAULTS` are what the keys of HJ 212 mean there when the file is silent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le

from config.markers import Duration, Pattern
from config.tls import FilePath

DEFAULTS: Mapping[str, Any] = {"role": "other", "retries": 0, "mqtt": {}}
"""A broker is no environmental authority, and a message is published once on each connection."""
JSON_DEFAULTS: Mapping[str, Any] = {"edition": "2017", "absent": "flag-only", "window": 16, "backfill_rate": 20.0}
"""With `payload = "json"`: the texts inside are those of 2017, what has no value is never a number, and one packet of
HJ 212 is a message for each of its factors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mqtt:
    """How the broker is spoken to, and what it gets."""

    version: Literal["5", "3.1.1"] = "5"
    """Of MQTT; a broker of 3.1.1 cannot refuse a message, so that one without rights is dropped and seems delivered."""
    client_id: Annotated[str, Pattern(r"\S{1,128}", "client_id")] = "hj212-{mn}-{outlet}"
    user: str | None = None
    password_file: FilePath | None = None
    """File whose first line is the password; read at each connecting."""
    keepalive: Annotated[int, Duration(), Ge(4_000), Le(3_600_000)] = 30_000
    """A broker that says nothing for so long is dead; it is pinged twice as often."""
    session_expiry: Annotated[int, Duration(), Ge(0), Le(31_536_000_000)] = 86_400_000
    """How long the broker keeps the session of a logger that is away (MQTT 5)."""
    topic: Annotated[str, Pattern(r"[^#+$\s][^#+\s]{0,199}", "topic")] = "hj212/{mn}/{outlet}"
    """Root of the topics."""
    payload: Literal["json", "hj212"] = "json"
    """JSON, one message a record, or the HJ 212 frames."""
    commands: bool = False
    """Whether commands (HJ 212 frames) are taken from the topic `command`."""

    def named(self, template: str, platform: str, outlet: str, mn: str) -> str:
        """`client_id` or `topic` of one connection."""
        return template.replace("{platform}", platform).replace("{outlet}", outlet).replace("{mn}", mn)
