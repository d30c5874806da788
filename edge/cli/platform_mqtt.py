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
    from config.addresses import HostPort
    from config.site import Site
    from edge.uplink.mqtt_client import Client
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
    """As the daemon goes: addresses in order."""
    from edge.uplink.mqtt import MqttConnection, client_id, endpoint, ways
    from edge.uplink.mqtt_client import open_client
    from edge.uplink.mqtt_messages import root
    from edge.uplink.transport import LinkDown, cause_of

    answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    trial = Trial(", ".join(terms.site.addresses), f"{client_id(terms)}-test", f"{root(terms)}/test")

    def client(end: HostPort, ip: str) -> Client:
        there = replace(endpoint(terms, end, ip), client_id=trial.client_id, timeout_s=timeout_s)
        return open_client(there, lambda _number, code: answer.set_result(code))

    try:
        made = await ways(terms.platform, terms, lambda _code, _params: None, client).open()
    except (OSError, LinkDown) as error:
        cause, detail = cause_of(error)
        return replace(trial, error=text(f"edge.cause.{cause}") + (f" ({detail})" if detail else ""))
    assert isinstance(made, MqttConnection)
    trial = replace(trial, address=made.address, connected=True)
    return await _published(made.client, _message(site, terms), trial, answer, timeout_s)


def _message(site: Site, terms: Terms) -> bytes:
    from edge import __version__
    from edge.clock import SystemClock
    from edge.uplink.mqtt_messages import Head
    from protocol.times import iso_text

    head = Head(site.site.name, terms.outlet, site.outlets[terms.outlet].name, terms.mn, terms.st)
    return head.of("test", at=iso_text(SystemClock().wall_ms()), version=__version__)


async def _published(
    client: Client, message: bytes, trial: Trial, answer: asyncio.Future[int], timeout_s: float
) -> Trial:
    """The trial with what the broker answered to the message."""
    from aiomqtt import MqttError

    from edge.uplink.mqtt_client import why

    try:
        client.send(trial.topic, message)
        async with asyncio.timeout(timeout_s):
            trial = replace(trial, puback=await answer)
        await client.leave()
    except TimeoutError:
        return trial
    except (MqttError, OSError) as error:
        return replace(trial, error=why(error))
    finally:
        client.drop()
    return trial
