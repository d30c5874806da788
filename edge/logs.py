"""Logs: structlog, one line an event, on standard error (the journal of systemd keeps them).

structlog imports rich where it finds it, for a console that the daemon never uses: 5 MB. It is hidden for that moment,
so everything that logs imports structlog from here.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

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
        structlog.processors.TimeStamper(fmt="iso", utc=False),
        structlog.processors.format_exc_info,
    ]
    last: Any = structlog.processors.JSONRenderer(ensure_ascii=False) if form == "json" else _as_text
    structlog.configure(
        processors=[*shared, last],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )


def _as_text(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    """`time level part event key=value …`, and a trace below it."""
    trace = event.pop("exception", None)
    head = f"{event.pop('timestamp')} {event.pop('level'):7} {event.pop('part', '-')}: {event.pop('event')}"
    line = head + "".join(f" {name}={value}" for name, value in event.items())
    return f"{line}\n{trace}" if trace else line
