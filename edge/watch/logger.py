"""The logger's own states: i22001, i22003, i22101, and i12002 of each instrument; told where they change.

| info | of | 0 | 1 or 2 | told to |
|---|---|---|---|---|
| i22001 | the logger | works | 2: its disk takes nothing, or a part of it hangs | all |
| i22003 | its link to a platform | up | 1: down for a minute | that platform, when the link is back |
| i22101 | a line | port open | 1: lost for 10 s | outlets with an instrument on it |
| i12002 | an instrument | answers | 1: mark B | its outlets, under each pollutant that it measures |

What nobody has seen yet counts as 0. i22101 has no channel in it (Table B.10): it is told with every line that is lost
or comes back, and is 0 only when all lines of the outlet are open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from config.controls import outlets_of
from config.site import Site
from edge.clock import Clock, plausible
from edge.uploads import News, Uploads
from edge.values import InfoKey, Known
from edge.watch.changes import Changes
from edge.watch.instruments import info_news, pol_ids

LOOK_S = 5.0
LOGGER, LINK, LINE, INSTRUMENT = "i22001", "i22003", "i22101", "i12002"
GOOD, BAD, FAULT = "0", "1", "2"
HOLD_MS: Mapping[str, int] = {LOGGER: 10_000, LINK: 60_000, LINE: 10_000, INSTRUMENT: 10_000}
"""How long a state must stay bad to be told (a step of the clock makes all instruments look silent until they are
polled); that it is good again is told at once."""


@dataclass(frozen=True, slots=True)
class Observed:
    """How the parts of the daemon are doing now."""

    faulty: Callable[[], bool]
    links: Callable[[], Mapping[tuple[str, str], bool]]
    """Platform and outlet → whether the link is up."""
    ports: Callable[[], Mapping[str, bool]]
    """Line → whether its port is open; without lines that were not tried yet."""
    heard: Callable[[], Mapping[str, bool]]
    """Instrument → whether it answers; without those of which it cannot be told."""


class LoggerWatch:
    """Looks at the logger itself every LOOK_S."""

    def __init__(self, site: Site, clock: Clock, changes: Changes, uploads: Uploads, observed: Observed) -> None:
        self._site = site
        self._clock = clock
        self._changes = changes
        self._uploads = uploads
        self._observed = observed

    async def run(self) -> None:
        """For ever."""
        while True:
            if plausible(self._clock.wall_ms()):
                await self.look()
            await self._clock.sleep(LOOK_S)

    async def look(self) -> None:
        """Once."""
        now_ms = self._clock.wall_ms()
        for key, value in self.states():
            hold_ms = 0 if value == GOOD else HOLD_MS[key.info]
            change = self._changes.seen(key, value, now_ms, usual=GOOD, hold_ms=hold_ms)
            if change is not None:
                await self._uploads.change(change, self._news(key, change.after, change.at_ms))

    def states(self) -> Iterator[tuple[InfoKey, str]]:
        """How everything is now, as InfoId and value."""
        seen = self._observed
        yield InfoKey("", "", "", LOGGER), FAULT if seen.faulty() else GOOD
        for (platform, outlet), is_up in seen.links().items():
            yield InfoKey(platform, outlet, "", LINK), _state(is_up)
        for line, is_open in seen.ports().items():
            yield InfoKey(line, "", "", LINE), _state(is_open)
        for name, is_heard in seen.heard().items():
            yield InfoKey(name, "", "", INSTRUMENT), _state(is_heard)

    def known(self, key: InfoKey) -> Known | None:
        """What was told last of one of `states`; None: it was never anything but good."""
        return self._changes.value(key)

    def _news(self, key: InfoKey, value: str, at_ms: int) -> list[News]:
        if key.info == LINK:
            return [replace(info_news(key.outlet, LINK, value, at_ms, (None,)), only=key.owner)]
        if key.info == LINE:
            served = self._served(key.owner)
            return [info_news(outlet, LINE, self._worst(outlet), at_ms, (None,)) for outlet in served]
        if key.info == INSTRUMENT:
            instrument = self._site.instruments[key.owner]
            outlets = sorted(outlets_of(instrument, self._site.outlets))
            named = [(outlet, pol_ids(instrument, outlet, INSTRUMENT)) for outlet in outlets]
            return [info_news(outlet, INSTRUMENT, value, at_ms, factors) for outlet, factors in named]
        return [info_news(outlet, LOGGER, value, at_ms, (None,)) for outlet in self._site.outlets]

    def _served(self, line: str) -> list[str]:
        """Outlets with an instrument on a line."""
        here = [one for one in self._site.instruments.values() if one.line == line]
        return sorted(set[str]().union(*(outlets_of(one, self._site.outlets) for one in here)))

    def _worst(self, outlet: str) -> str:
        """1 while the port of any of an outlet's lines is lost."""
        known = (self._changes.value(InfoKey(line, "", "", LINE)) for line in self._site.lines)
        lines = zip(self._site.lines, known, strict=True)
        lost = any(state is not None and state.value == BAD and outlet in self._served(line) for line, state in lines)
        return _state(not lost)


def _state(is_good: bool) -> str:
    return GOOD if is_good else BAD
