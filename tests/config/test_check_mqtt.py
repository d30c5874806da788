"""What is found in the tables of MQTT platforms; every key of a platform has its place there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from config.check_mqtt import OF_COMMANDS, OF_FRAMES, OF_LINKS
from config.load import load
from config.problem import Problem
from config.shape import keys
from config.site import Platform

Find = Callable[[str], list[Problem]]
FLEET = """
[platforms.fleet]
protocol = "mqtt"
address = "127.0.0.1:1883"
outlets = { ww1 = { mn = "010000A8900016F000169DC0" } }
"""
COMMON = {
    "protocol", "role", "address", "outlets", "realtime", "minute", "timeout", "window", "backfill", "backfill_rate",
    "revisions", "stopped", "events", "spread", "tls", "mqtt", "from", "refusals", "interface", "source_address",
}  # fmt: skip
"""Keys that mean the same to HJ 212 and to MQTT."""


def test_every_key_of_a_platform_means_something_to_mqtt_or_is_refused() -> None:
    assert set(keys(Platform)) == COMMON | OF_LINKS | OF_FRAMES | OF_COMMANDS


def test_an_mqtt_platform_needs_no_edition_password_or_table(tmp_path: Path, find: Find, site_text: str) -> None:
    assert find(site_text + FLEET) == []
    path = tmp_path / "site.toml"
    path.write_text(site_text + FLEET, encoding="utf-8")
    fleet = load(path).platforms["fleet"]
    assert (fleet.role, fleet.edition, fleet.absent, fleet.retries) == ("other", "2017", "flag-only", 0)
    assert fleet.mqtt is not None
    assert (fleet.mqtt.version, fleet.mqtt.payload, fleet.mqtt.commands) == ("5", "json", False)


def test_frames_need_an_edition(find: Find, site_text: str) -> None:
    raw = FLEET + 'mqtt = { payload = "hj212" }\n'
    assert [(p.key, p.code) for p in find(site_text + raw)] == [("platforms.fleet.edition", "config.missing-choice")]
    assert find(site_text + raw + 'edition = "2005"\n') != []  # the form of the MN
    assert find(site_text + raw + 'edition = "2017"\ncrc = "modbus-hi-lo"\n') == []


@pytest.mark.parametrize(
    "line",
    [
        "retries = 3", "acknowledge = false", 'absent = "zero"', 'edition = "2017"', 'allow = "all"',
        'heartbeat = "9015"', 'preset = "heartbeat-9015"', 'connection = "shared"', 'crc_error = "answer"',
        'connect_from = "2026-01-31"', 'units = { w01018 = "mg/L" }', 'tail = "lf"',
    ],
)  # fmt: skip
def test_a_key_without_meaning_is_an_error_at_its_line(find: Find, site_text: str, line: str) -> None:
    text = site_text + FLEET + line + "\n"
    (problem,) = find(text)
    assert (problem.code, problem.warning) == ("config.not-for-mqtt", False)
    assert text.split("\n")[(problem.line or 0) - 1] == line


def test_keys_of_commands_are_taken_where_commands_are(find: Find, site_text: str) -> None:
    text = site_text + FLEET + 'allow = ["1011"]\ntime = "refuse"\ncrc = "hj212"\nmqtt = { commands = true }\n'
    assert [p.code for p in find(text)] == ["config.password-default"]


@pytest.mark.parametrize(
    ("more", "key", "code"),
    [
        ('role = "official"', "role", "config.mqtt-official"),
        ('mqtt = { topic = "{site}/x" }', "mqtt.topic", "config.mqtt-name"),
        ('mqtt = { client_id = "a{" }', "mqtt.client_id", "config.mqtt-name"),
        ('mqtt = { topic = "a/#" }', "mqtt.topic", "config.form.topic"),
        ('mqtt = { topic = "$share/x" }', "mqtt.topic", "config.form.topic"),
        ('mqtt = { client_id = "a b" }', "mqtt.client_id", "config.form.client_id"),
        ('mqtt = { password_file = "/dev/null" }', "mqtt.password_file", "config.mqtt-user"),
        ('mqtt = { version = "4" }', "mqtt.version", "config.choice"),
        ('mqtt = { keepalive = "1s" }', "mqtt.keepalive", "config.between"),
        ('mqtt = { qos = 2 }', "mqtt.qos", "config.unknown-key-far"),
        ("mqtt = 3", "mqtt", "config.type.table"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_an_error(find: Find, site_text: str, more: str, key: str, code: str) -> None:
    (problem,) = find(site_text + FLEET + more + "\n")
    assert (problem.key, problem.code, problem.warning) == (f"platforms.fleet.{key}", code, False)


def test_two_connections_to_a_broker_never_share_client_id_or_topic(find: Find, site_text: str) -> None:
    other = FLEET.replace("platforms.fleet", "platforms.second")
    found = [(p.key, p.code) for p in find(site_text + FLEET + other) if not p.warning]
    assert found == [
        ("platforms.second.mqtt.client_id", "config.mqtt-same"), ("platforms.second.mqtt.topic", "config.mqtt-same"),
    ]  # fmt: skip
    own = 'mqtt = { client_id = "{platform}", topic = "{platform}/{mn}" }\n'
    assert [p for p in find(site_text + FLEET + other + own) if not p.warning] == []


def test_a_missing_password_file_is_a_warning(find: Find, site_text: str) -> None:
    (problem,) = find(site_text + FLEET + 'mqtt = { user = "u", password_file = "/nowhere" }\n')
    expected = ("platforms.fleet.mqtt.password_file", "config.tls-file", True)
    assert (problem.key, problem.code, problem.warning) == expected


def test_names_fit_every_message(find: Find, site_text: str) -> None:
    longest, longer = "名" * 333, "名" * 334
    fits = site_text.replace("示例", longest)
    assert find(fits + FLEET) == []
    text = fits.replace("总排口", longer)
    assert find(text) == []  # HJ 212 has no names
    assert [(p.key, p.code) for p in find(text + FLEET)] == [("outlets.ww1.name", "config.mqtt-long")]


def test_a_topic_does_not_begin_with_a_dollar_that_an_mn_brings(find: Find, site_text: str) -> None:
    fleet = FLEET.replace("010000A8900016F000169DC0", "$10000A8900016F000169DC0") + 'mqtt = { topic = "{mn}" }\n'
    (problem,) = [p for p in find(site_text + fleet) if not p.warning]
    assert (problem.key, problem.code) == ("platforms.fleet.mqtt.topic", "config.form.topic")


def test_the_table_is_for_mqtt_alone(find: Find, site_text: str) -> None:
    (problem,) = find(site_text + "mqtt = {}\n")
    assert (problem.key, problem.code) == ("platforms.city.mqtt", "config.mqtt-table")


def test_a_site_with_mqtt_alone_has_no_official_connection_time(find: Find, site_text: str) -> None:
    head = site_text[: site_text.index("[platforms.city]")]
    assert [(p.code, p.warning) for p in find(head + FLEET)] == [("config.no-official", True)]
