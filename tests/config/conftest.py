"""A small site file that checks without a finding, and what is found in changed ones."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from config.load import problems
from config.problem import Problem
from edge.catalogue import text as text_of

sys.path.insert(0, str(Path(__file__).parents[1]))  # tests/certificates.py

SITE = """\
[site]
name = "示例"

[outlets.ww1]
name = "总排口"
st = 32
statistics = "water"

[lines.rs485-1]
port = "/dev/ttyS0"
baud = 9600

[instruments.cod]
line = "rs485-1"
driver = "modbus"
address = 1
every = "5s"
  [[instruments.cod.points]]
  factor = "w01018"
  register = 0
  type = "float32"
  unit = "mg/L"
  range = [0, 500]

[platforms.city]
edition = "2017"
address = "127.0.0.1:9212"
realtime = "60s"
outlets = { ww1 = { mn = "010000A8900016F000169DC0", password = "4Xp9sQ" } }
"""


@pytest.fixture
def site_text() -> str:
    """A sound site file: line 1 is `[site]`."""
    return SITE


@pytest.fixture
def find(tmp_path: Path) -> Callable[[str], list[Problem]]:
    """Problems of a text as a site file."""

    def of(text: str) -> list[Problem]:
        path = tmp_path / "site.toml"
        path.write_text(text, encoding="utf-8")
        found = problems(path)
        for problem in found:
            for lang in ("zh", "en"):
                assert "{" not in text_of(problem.code, lang, **problem.params).replace("{…}", "")
        return found

    return of
