"""Where a test that mounts cannot run it says what to type, and has not passed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.torture import mounts
from tests.torture.rig import Outcome, Rig
from tests.torture.torture_blind import blind
from tests.torture.torture_disk import disk
from tests.torture.torture_ext4 import power_cut


@pytest.mark.parametrize("test", [disk, power_cut])
def test_without_root_it_fails_with_the_line_to_type(
    test: Callable[[Rig], Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(mounts, "_tool", lambda program: program)
    outcome = test(Rig("disk", "short", 1, tmp_path))
    assert not outcome.passed
    assert outcome.failures == [
        "needs root, to mount. Type: sudo .venv/bin/python -m tests.torture.run short disk",
    ]


def test_without_its_programs_it_fails_with_the_line_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(mounts, "_tool", lambda program: None)
    outcome = blind(Rig("blind", "short", 1, tmp_path))
    assert not outcome.passed
    assert len(outcome.failures) == 4
    assert all("Type: sudo apt-get install" in failure for failure in outcome.failures)
