"""`hj212 action run`, `sampler keep`: what is said when the wait for an action's end is broken off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge.cli import action
from edge.cli.common import Stop, Where


def test_ctrl_c_says_that_the_action_goes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """ "Aborted!" would be untrue: the instrument keeps the sample all the same."""
    asked = []

    def answer(_place: Where, what: str, _args: dict[str, Any] | None = None) -> Any:
        asked.append(what)
        return {"number": 7} if what == "action-begin" else None

    def interrupted(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setenv("HJ212_LANG", "en")
    monkeypatch.setattr(Where, "ask", answer)
    monkeypatch.setattr("edge.cli.action.time.sleep", interrupted)
    with pytest.raises(Stop) as stopped:
        action.carry_out(
            Where(tmp_path, tmp_path, None, (), {}), {"instrument": "sampler", "action": "keep-sample"}, False
        )
    assert stopped.value.message == "sampler keep-sample: begun; its end will be in the journal"
    assert (stopped.value.exit_code, asked) == (1, ["action-begin", "action-result"])
