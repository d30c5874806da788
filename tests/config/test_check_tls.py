"""`[platforms.NAME.tls]` as `config check` judges it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from certificates import certificate

from config.problem import Problem

Find = Callable[[str], list[Problem]]


def found(find: Find, site_text: str, keys: str) -> list[tuple[str, str, bool]]:
    return [(p.key, p.code, p.warning) for p in find(f"{site_text}\n[platforms.city.tls]\n{keys}\n")]


def test_empty_table_is_sound(find: Find, site_text: str) -> None:
    assert found(find, site_text, "") == []


def test_files_of_a_certificate_are_sound(find: Find, site_text: str, tmp_path: Path) -> None:
    one = certificate(tmp_path, "logger", "DNS:logger")
    keys = f'ca = "{one.certificate}"\ncertificate = "{one.certificate}"\nkey = "{one.key}"'
    assert found(find, site_text, keys) == []


def test_missing_file_is_a_warning_and_keeps_no_logger_from_measuring(find: Find, site_text: str) -> None:
    assert found(find, site_text, 'ca = "/nowhere/ca.pem"') == [("platforms.city.tls.ca", "config.tls-file", True)]


def test_file_that_is_no_certificate_is_a_warning(find: Find, site_text: str, tmp_path: Path) -> None:
    (tmp_path / "x.pem").write_text("no certificate")
    keys = f'ca = "{tmp_path}/x.pem"\ncertificate = "{tmp_path}/x.pem"'
    assert found(find, site_text, keys) == [
        ("platforms.city.tls.ca", "config.tls-content", True),
        ("platforms.city.tls.certificate", "config.tls-content", True),
    ]


@pytest.mark.parametrize(
    ("keys", "key", "code"),
    [
        ('key = "/dev/null"', "key", "config.tls-key-alone"),
        ('ca = "ca.pem"', "ca", "config.form.path"),
        ('fingerprint = "AB:CD"', "fingerprint", "config.form.fingerprint"),
        (f'server_name = "x"\nfingerprint = "{"0F" * 32}"', "server_name", "config.tls-fingerprint"),
        ("verify = false", "verify", "config.unknown-key-far"),
    ],
)
def test_what_contradicts_or_is_unknown_is_an_error(find: Find, site_text: str, keys: str, key: str, code: str) -> None:
    assert (f"platforms.city.tls.{key}", code, False) in found(find, site_text, keys)
