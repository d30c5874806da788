"""Durations and forms of texts, and that the daemon's side stays free of pydantic."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.markers import duration_text, parse_duration

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("text", "ms"),
    [("500ms", 500), ("5s", 5_000), ("10min", 600_000), ("1h", 3_600_000), ("30d", 2_592_000_000), ("0s", 0)],
)
def test_duration_with_a_unit_is_milliseconds(text: str, ms: int) -> None:
    assert parse_duration(text) == ms


@pytest.mark.parametrize("text", ["", "5", "5 s", "-5s", "1.5h", "5m", "5S", "٥s", "s"])
def test_text_that_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        parse_duration(text)


@given(st.integers(0, 10**9))
def test_duration_text_reads_back(ms: int) -> None:
    assert parse_duration(duration_text(ms)) == ms


@pytest.mark.parametrize("module", ["config.site", "config.load"])
def test_the_daemon_imports_the_site_without_pydantic_and_tomlkit(module: str) -> None:
    heavy = "'pydantic', 'pydantic_core', 'tomlkit', 'click'"
    code = f"import sys, {module}; print([m for m in ({heavy}) if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
