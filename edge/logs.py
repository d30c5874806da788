"""Logs: structlog, one line an event, on standard error (the journal of systemd keeps them), in Beijing time.

A log that cannot be written (its reader is gone, its disk is full) is no reason for anything else to fail.

structlog imports rich where it finds it, for a console that the daemon never uses: 5 MB. It is hidden for that moment,
so everything that logs imports structlog from here.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any, TextIO

from edge.clock import SystemClock
from protocol.times import iso_text

_hidden = sys.modules.get("rich")
sys.modules["rich"] = None  # type: ignore[assignment]  # None makes `import rich` fail, as Python defines
import structlog  # noqa: E402 - after rich is hidden

if _hidden is None:
    del sys.modules["rich"]
else:
    sys.modules["rich"] = _hidden


def get_logger(name: str, **values: Any) -> Any:
    """A logger that carries its part's name."""
    return structlog.get_logger(part=name, **values)


def set_up_logs(form: str, stream: TextIO) -> None:
    """`json` for machines, `text` for people; from level info on."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        _stamped,
        structlog.processors.format_exc_info,
    ]
    last: Any = structlog.processors.JSONRenderer(ensure_ascii=False) if form == "json" else _as_text
    structlog.configure(
        processors=[*shared, last],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=lambda *_names: _Printer(stream),
        cache_logger_on_first_use=True,
    )


class _Printer:
    """Writes whole lines, and loses those that cannot be written."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def msg(self, line: str) -> None:
        """One line."""
        with suppress(OSError, ValueError):  # ValueError: the stream is closed
            self._stream.write(line + "\n")
            self._stream.flush()

    debug = info = warning = error = critical = exception = msg


def _stamped(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    event["timestamp"] = iso_text(SystemClock().wall_ms())
    return event


def _as_text(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    """`time level part event key=value …`, and a trace below it."""
    trace = event.pop("exception", None)
    head = f"{event.pop('timestamp')} {event.pop('level'):7} {event.pop('part', '-')}: {event.pop('event')}"
    line = head + "".join(f" {name}={value}" for name, value in event.items())
    return f"{line}\n{trace}" if trace else line
