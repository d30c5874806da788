"""The tables of alarms in the site file."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from config.problem import Problem

Find = Callable[[str], list[Problem]]
ACTION = """
  [instruments.cod.actions.keep-sample]
  write = [{ register = 100, value = 5 }]
"""


def site(text: str, factor: str, rules: str) -> str:
    table = f"[outlets.ww1.alarms.{factor}]\n{rules}\n"
    return text.replace("[lines.rs485-1]", table + "[lines.rs485-1]").replace(
        "[platforms.city]", ACTION + "[platforms.city]"
    )


@pytest.mark.parametrize(
    ("factor", "rules", "found"),
    [
        ("w01018", "limit = 40\nwarn = 30", []),
        ("w01018", "limit = 40\nwarn = 40", [("warn", "config.warn")]),
        ("w01001", "limit = 9\nlimit_low = 6", []),
        ("w01001", "limit = 6\nlimit_low = 9", [("limit_low", "config.limit-low")]),
        ("w01018", 'on_alarm = "cod/keep-sample"', []),
        ("w01018", 'on_alarm = "cod/keep-sampel"', [("on_alarm", "config.alarm-action")]),
        ("w01018", 'on_alarm = "sampler/keep-sample"', [("on_alarm", "config.alarm-action")]),
        ("w01018", 'on_alarm = "keep-sample"', [("on_alarm", "config.form.target")]),
        ("w01018", 'act_on = ["limt"]', [("act_on", "config.choice")]),
        ("w01018", 'constant = "1s"', [("constant", "config.between")]),
        ("w01018", "hysteresis = 5", [("hysteresis", "config.unknown-key-far")]),
        ("w1018", "limit = 40", [("", "config.alarm-factor")]),
    ],
)
def test_alarm_findings(find: Find, site_text: str, factor: str, rules: str, found: list[tuple[str, str]]) -> None:
    base = f"outlets.ww1.alarms.{factor}"
    assert [(p.key, p.code) for p in find(site(site_text, factor, rules))] == [
        (f"{base}.{key}".rstrip("."), code) for key, code in found
    ]
