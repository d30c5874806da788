"""What happened, for `status` and the log: each change is said once.

A platform that stays away, or a disk that stays full, is the same event again and again: it is counted and not
repeated, until its state changes or REMIND_S have passed. Two events are about the same thing when their codes share
all but the last word (`edge.link-up`, `edge.link-down`) and they name the same platform, outlet, link, line, part
or file.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from threading import Lock
from typing import Any

from edge.clock import Clock
from protocol.times import iso_text

KEPT = 200
SUBJECTS = 1_000
"""Things whose last event is remembered."""
REMIND_S = 3600.0
SUBJECT_PARAMS = ("platform", "outlet", "link", "line", "part", "file", "cn", "instrument", "factor", "alarm")
_ALWAYS = frozenset(
    {
        *("edge.connection", "edge.part-restarted", "edge.sample-kept", "store.record_damaged"),
        *(f"measure.total-{what}" for what in ("caught-up", "rollover", "reset", "replaced")),
    }
)
"""Each of these is news."""


@dataclass(slots=True)
class Event:
    """`time`: when it first happened, `last`: when it happened last, both ISO 8601; `count`: how often meanwhile."""

    time: str
    code: str
    params: dict[str, Any]
    count: int
    last: str


class Events:
    """The last events. `happened` may be called from any thread; `tell` gets those that are news."""

    def __init__(self, clock: Clock, tell: Callable[[str, Mapping[str, Any]], None]) -> None:
        self._clock = clock
        self._tell = tell
        self._kept: deque[Event] = deque(maxlen=KEPT)
        self._newest: dict[tuple[Any, ...], tuple[float, Event]] = {}
        self._lock = Lock()

    def happened(self, code: str, params: Mapping[str, Any]) -> None:
        """One event: news, or one more of what was said already."""
        now_s, now = self._clock.mono_s(), iso_text(self._clock.wall_ms())
        subject = _subject(code, params)
        with self._lock:
            said_s, event = self._newest.get(subject, (0.0, None))
            if event is not None and event.code == code and now_s - said_s < REMIND_S and code not in _ALWAYS:
                event.params, event.last = dict(params), now
                event.count += 1
                return
            event = Event(now, code, dict(params), 1, now)
            if len(self._newest) >= SUBJECTS:
                self._newest.clear()
            self._newest[subject] = now_s, event
            self._kept.append(event)
        self._tell(code, params)

    def shown(self) -> list[dict[str, Any]]:
        """Oldest first, as plain data."""
        with self._lock:
            return [asdict(event) for event in self._kept]


def _subject(code: str, params: Mapping[str, Any]) -> tuple[Any, ...]:
    family = code.rpartition("-")[0] or code.rpartition(".")[0]
    return (family, *(params.get(name) for name in SUBJECT_PARAMS))
