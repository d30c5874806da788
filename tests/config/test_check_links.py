"""How a platform is reached, as `config check` judges it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from config.addresses import HostPort, SerialPort, addresses_in, parse_address
from config.load import load
from config.problem import Problem

Find = Callable[[str], list[Problem]]
ADDRESS = 'address = "127.0.0.1:9212"'
OTHER = '[platforms.other]\nedition = "2017"\noutlets = {}\n'


def found(find: Find, text: str) -> list[tuple[str, str]]:
    return [(problem.key, problem.code) for problem in find(text) if not problem.warning]


@pytest.mark.parametrize(
    ("address", "means"),
    [
        ("city.example:9212", HostPort("city.example", 9212)),
        ("[2001:db8::1]:9212", HostPort("2001:db8::1", 9212)),
        ("listen:0.0.0.0:9212", HostPort("0.0.0.0", 9212)),
        ("serial:/dev/ttyS1", SerialPort("/dev/ttyS1")),
        ("serial:/dev/serial/by-path/x?format=7E1&baud=1200", SerialPort("/dev/serial/by-path/x", 1200, "7E1")),
    ],
)
def test_an_address_means(address: str, means: HostPort | SerialPort) -> None:
    assert parse_address(address) == means


@pytest.mark.parametrize(
    "keys",
    [
        'address = ["127.0.0.1:9212", "spare.example:9212", "serial:/dev/ttyS7?baud=1200"]',
        'address = "serial:/dev/ttyS7"',
        'listen = "0.0.0.0:9212"\nallow_from = ["10.0.0.0/8", "192.168.1.7", "::1"]',
        'listen = "[::]:9212"\nallow_from = ["0.0.0.0/0"]\ninterface = "eth0"',
        'address = ["[2001:db8::1]:9212", "监测.example:9212", "city.example.:9212"]',
        'address = "city.example:9212"\ninterface = "ppp0"\nsource_address = "10.0.0.2"',
    ],
)
def test_each_way_to_a_platform_is_sound(find: Find, site_text: str, keys: str) -> None:
    assert found(find, site_text.replace(ADDRESS, keys)) == []


@pytest.mark.parametrize(
    ("keys", "key", "code"),
    [
        ("", "address", "config.no-address"),
        ("address = []", "address", "config.no-address"),
        ("address = 5", "address", "config.type.list-or-text"),
        ('address = ["127.0.0.1"]', "address", "config.form.address"),
        ('address = "serial:ttyS1"', "address", "config.form.address"),
        ('address = "city..example:9212"', "address", "config.form.address"),
        ('address = "[1:2]:9212"', "address", "config.form.address"),
        ('address = "serial:/dev/ttyS7?speed=1"', "address", "config.form.address"),
        ('address = "serial:/dev/ttyS7?baud=10"', "address", "config.between"),
        ('address = ["127.0.0.1:9212", "127.0.0.1:99999"]', "address", "config.port"),
        ('address = "serial:/dev/ttyS0"', "address", "config.same-port"),
        ('address = "serial:/dev/ttyS7"\ntls = {}', "tls", "config.tls-serial"),
        (f'{ADDRESS}\nlisten = "0.0.0.0:9212"\nallow_from = ["::1"]', "listen", "config.address-and-listen"),
        (f'{ADDRESS}\nallow_from = ["::1"]', "allow_from", "config.only-listening"),
        (f'{ADDRESS}\nsource_address = "eth0"', "source_address", "config.ip"),
        (f'{ADDRESS}\ninterface = "a b"', "interface", "config.form.interface"),
        ('listen = "0.0.0.0:9212"', "allow_from", "config.no-allow-from"),
        ('listen = "0.0.0.0:0"\nallow_from = ["::1"]', "listen", "config.port"),
        ('listen = "city.example:9212"\nallow_from = ["::1"]', "listen", "config.listen-host"),
        ('listen = "0.0.0.0:9212"\nallow_from = ["10.0.0.1/8"]', "allow_from", "config.network"),
        (
            'listen = "0.0.0.0:9212"\nallow_from = ["::1"]\nsource_address = "::1"',
            "source_address",
            "config.not-listening",
        ),
        ('listen = "0.0.0.0:9212"\nallow_from = ["::1"]\ntls = {}', "tls", "config.tls-listen"),
    ],
)
def test_what_cannot_be_is_an_error_at_its_key(find: Find, site_text: str, keys: str, key: str, code: str) -> None:
    assert found(find, site_text.replace(ADDRESS, keys)) == [(f"platforms.city.{key}", code)]


def test_a_port_to_listen_on_and_a_serial_port_have_one_owner(find: Find, site_text: str) -> None:
    listen = 'listen = "0.0.0.0:9212"\nallow_from = ["::1"]\n'
    text = f"{site_text.replace(ADDRESS, listen)}\n{OTHER}{listen}"
    assert found(find, text) == [("platforms.other.listen", "config.same-listen")]
    dtu = 'address = "serial:/dev/ttyS7"\n'
    text = f"{site_text.replace(ADDRESS, dtu)}\n{OTHER}{dtu}"
    assert found(find, text) == [("platforms.other.address", "config.same-port")]


@pytest.mark.parametrize(
    "listen", ['listen = "0.0.0.0:9212"\nallow_from = ["::1"]\n', 'address = "serial:/dev/ttyS7"\n']
)
def test_a_platform_that_comes_or_has_a_dtu_has_one_link_for_all_outlets(
    find: Find, site_text: str, listen: str
) -> None:
    second = '[outlets.ww2]\nname = "x"\nst = 32\nstatistics = "water"\n[platforms.city.outlets.ww2]\nmn = "M"\n'
    outlets = site_text[site_text.index("outlets = {") :].splitlines()[0]
    table = outlets.replace("outlets = { ww1 =", "outlets.ww1 =").removesuffix(" }")
    text = site_text.replace(ADDRESS, listen).replace(outlets, table) + "\n" + second
    text = text.replace('driver = "modbus"', 'driver = "modbus"\noutlet = "ww1"')
    assert found(find, text) == [("platforms.city.connection", "config.one-link")]
    assert found(find, text.replace(listen, f'{listen}connection = "shared"\n')) == []


def test_all_addresses_of_a_platform_are_known_in_order(tmp_path: Any, site_text: str) -> None:
    path = tmp_path / "site.toml"
    path.write_text(site_text.replace(ADDRESS, 'address = ["b:1", "a:1"]'), encoding="utf-8")
    assert load(path).platforms["city"].addresses == ("b:1", "a:1")
    assert addresses_in({"address": "a:1"}) == ("a:1",)
    assert addresses_in({"listen": "0.0.0.0:1"}) == ("listen:0.0.0.0:1",)
    assert addresses_in({}) == ()


def test_a_listen_that_cannot_be_read_is_one_finding(find: Find, site_text: str) -> None:
    text = site_text.replace(ADDRESS, 'listen = "0.0.0.0"\nallow_from = ["10.0.0.0/8"]')
    assert found(find, text) == [("platforms.city.listen", "config.form.listen")]


@pytest.mark.parametrize(
    ("port", "is_sound"),
    [
        ("/dev/serial/by-path/x", True),
        ("socket://10.0.0.5:4001", True),
        ("socket://[2001:db8::1]:4001", True),
        ("rfc2217://10.0.0.5:4001?ign_set_control", True),
        ("socket://10.0.0.5", False),
        ("rfc2217://10.0.0.5/", False),
        ("socket:10.0.0.5:4001", False),
        ("", False),
    ],
)
def test_a_serial_server_as_a_line_needs_its_tcp_port(find: Find, site_text: str, port: str, is_sound: bool) -> None:
    text = site_text.replace('port = "/dev/ttyS0"', f'port = "{port}"')
    assert text != site_text
    assert found(find, text) == ([] if is_sound else [("lines.rs485-1.port", "config.form.port")])
