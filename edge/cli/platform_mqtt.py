"""`hj212 platform mqtt-schema`, and `platform test` of an MQTT platform: connects, publishes a test, shows the answers.

    CONNECT ─▶ CONNACK ─▶ PUBLISH <root>/test, QoS 1 ─▶ PUBACK ─▶ DISCONNECT

The test has a client ID of its own, so that it does not throw out the running daemon, and leaves no session behind.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import click

from edge.catalogue import text
from edge.cli.common import CHECK_FAILED, print_json

if TYPE_CHECKING:
    from config.site import Site
    from edge.uplink.terms import Terms

_FIRST_FAILURE = 128


@click.command("mqtt-schema", help=text("mqtt.cli.schema"))
def mqtt_schema() -> None:
    """The JSON Schema of all messages."""
    from edge.uplink.mqtt_messages import SCHEMA

    click.echo(SCHEMA.read_text(encoding="utf-8"), nl=False)


@dataclass(frozen=True, slots=True)
class Trial:
    """What the broker said; `puback` is its reason code, below 128: taken."""

    address: str
    client_id: str
    topic: str
    connected: bool = False
    puback: int | None = None
    error: str | None = None

    @property
    def outcome(self) -> str:
        """Code of the text that says how it went."""
        if self.puback is not None:
            return "mqtt.cli.taken" if self.puback < _FIRST_FAILURE else "mqtt.cli.refused"
        return "mqtt.cli.unanswered" if self.connected else "mqtt.cli.no-link"


def try_broker(site: Site, platform: str, outlet: str, timeout_s: float, *, as_json: bool) -> None:
    """Exit code 0 when the broker has taken the test, 1 when not."""
    from edge.uplink.terms import Terms

    found = site.platforms[platform]
    terms = Terms(platform, outlet, site.outlets[outlet].st, found, found.outlets[outlet])
    trial = asyncio.run(_try(site, terms, timeout_s))
    if as_json:
        print_json(asdict(trial))
    else:
        click.echo(text(trial.outcome, **asdict(trial)))
    sys.exit(0 if trial.outcome == "mqtt.cli.taken" else CHECK_FAILED)


async def _try(site: Site, terms: Terms, timeout_s: float) -> Trial:
    from aiomqtt import MqttError

    from edge import __version__
    from edge.clock import SystemClock
    from edge.uplink.mqtt import endpoint
    from edge.uplink.mqtt_client import open_client, why
    from edge.uplink.mqtt_messages import Head, root
    from protocol.times import iso_text

    head = Head(site.site.name, terms.outlet, site.outlets[terms.outlet].name, terms.mn, terms.st)
    there = endpoint(terms)
    there = replace(there, client_id=f"{there.client_id}-test", timeout_s=timeout_s)
    trial = Trial(terms.site.addresses[0], there.client_id, f"{root(terms)}/test")
    answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    try:
        client = open_client(there, lambda _number, code: answer.set_result(code))
        try:
            await client.__aenter__()
            trial = replace(trial, connected=True)
            client.send(trial.topic, head.of("test", at=iso_text(SystemClock().wall_ms()), version=__version__))
            async with asyncio.timeout(timeout_s):
                trial = replace(trial, puback=await answer)
            await client.leave()
        finally:
            client.drop()
    except TimeoutError:
        return trial
    except (MqttError, OSError) as error:
        return replace(trial, error=why(error))
    return trial
