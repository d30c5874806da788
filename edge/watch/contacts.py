"""The contacts of the station room (站房): doors, leaks, smoke, the mains; each change is told once, with its end.

    samples ─ observe ─▶ two thresholds, `hold` ─▶ known already? ─▶ event, journal (a log of 3020), i31001, the state

A contact is a point, mostly an internal one; only its normal samples count, so that a silent module opens no door.
HJ 212-2017 Table B.10: i31001 is the log of the door; another state goes with a contact where the site file says so.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from config.site import Site
from config.switches import Contact
from edge.catalogue import text
from edge.clock import Clock, plausible
from edge.measure.switch import Hysteresis, Turn
from edge.store.infos import Note
from edge.supervise import keep_alive
from edge.uploads import News, Uploads
from edge.values import InfoKey, Sample
from edge.watch.changes import Changes
from edge.watch.instruments import info_news
from protocol.controls import LOG_BYTES, Information, log_text
from protocol.region import write
from protocol.times import iso_text

DOOR_LOG = "i31001"
ON, OFF = "1", "0"
_INFO = "contact"
_RETRY_S = 10.0
_SEPARATORS = {ord(char): " " for char in ";,="}


@dataclass(slots=True)
class _Watched:
    contact: Contact
    outlet: str
    key: InfoKey
    state: Hysteresis

    @property
    def name(self) -> str:
        """As the site file calls it, else by its kind."""
        return self.contact.name or text(f"edge.contact-name-{self.contact.kind}")


class ContactWatch:
    """All contacts of the site."""

    def __init__(
        self,
        site: Site,
        clock: Clock,
        changes: Changes,
        uploads: Uploads,
        on_event: Callable[[str, dict[str, Any]], None],
    ) -> None:
        self._clock = clock
        self._changes = changes
        self._uploads = uploads
        self._on_event = on_event
        self._turns: deque[tuple[_Watched, Turn]] = deque()
        self._turned = asyncio.Event()
        self._watched: dict[str, _Watched] = {}
        for contact in site.contacts:
            outlet, _, factor = contact.point.partition("/")
            key = InfoKey("", outlet, factor, _INFO)
            known = changes.value(key)
            state = Hysteresis(contact.on, contact.off, contact.hold, known is not None and known.value == ON)
            self._watched[contact.point] = _Watched(contact, outlet, key, state)

    def observe(self, samples: Iterable[Sample]) -> None:
        """Samples as they come in: a contact among them may turn."""
        if not self._watched:
            return
        for sample in samples:
            watched = self._watched.get(f"{sample.outlet}/{sample.factor}")
            turn = watched.state.feed(sample.time, sample.value if sample.mark == "N" else None) if watched else None
            if watched is not None and turn is not None:
                self._turns.append((watched, turn))
                self._turned.set()

    def start(self, group: asyncio.TaskGroup, count: Callable[[str], None]) -> None:
        """Tell what turns, for ever."""
        if self._watched:
            group.create_task(keep_alive("contacts", self.run, self._clock, count), name="contacts")

    async def run(self) -> None:
        """Tell what turns."""
        while True:
            await self._turned.wait()
            self._turned.clear()
            while self._turns:
                if not plausible(self._clock.wall_ms()):
                    await self._clock.sleep(_RETRY_S)  # a change would bear a wrong time
                    continue
                await self._tell(*self._turns.popleft())

    async def _tell(self, watched: _Watched, turn: Turn) -> None:
        change = self._changes.seen(watched.key, ON if turn.is_on else OFF, turn.since, usual=OFF)
        if change is None:
            return
        code = f"{watched.contact.kind}-{'on' if turn.is_on else 'off'}"
        self._on_event(f"edge.contact-{code}", {**_params(watched), "since": None})
        detail = {"outlet": watched.outlet, "point": watched.contact.point, "contact": watched.name}
        note = Note("logger", f"station.{code}", {**detail, "value": turn.value})
        await self._uploads.change(change, list(_news(watched, turn)), note)

    def rows(self) -> list[dict[str, Any]]:
        """Every contact as plain data (docs/json.md)."""
        return [self._row(watched) for watched in self._watched.values()]

    def _row(self, watched: _Watched) -> dict[str, Any]:
        known = self._changes.value(watched.key)
        return {
            "point": watched.contact.point,
            "kind": watched.contact.kind,
            "name": watched.name,
            "on": watched.state.is_on,
            "since": iso_text(known.since) if known else None,
        }

    def warnings(self) -> list[dict[str, Any]]:
        """One for each contact that is on."""
        on = [each for each in self._watched.values() if each.state.is_on]
        return [
            {
                "code": f"edge.contact-{each.contact.kind}-on",
                "params": _params(each) | {"since": self._row(each)["since"]},
            }
            for each in on
        ]


def _params(watched: _Watched) -> dict[str, Any]:
    return {"name": watched.name, "outlet": watched.outlet, "part": watched.contact.point}


def _news(watched: _Watched, turn: Turn) -> Iterable[News]:
    contact, outlet = watched.contact, watched.outlet
    if contact.kind == "door":
        word = text(f"edge.contact-log-{'open' if turn.is_on else 'closed'}")
        words = f"{watched.name} {word}".translate(_SEPARATORS)
        body = write(Information(turn.since, ((DOOR_LOG, log_text(words, LOG_BYTES)),), None).region())
        yield News("3020-log", (body,), outlet)
    if contact.info is not None:
        yield info_news(outlet, contact.info, str(contact.info_on) if turn.is_on else OFF, turn.since, (None,))
