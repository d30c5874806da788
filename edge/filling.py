"""Past data for a platform that was added later (`from`): from the records into its outbox, an hour at a time.

    records ─ an hour ─▶ dues ─▶ outbox ─▶ the session's backlog lane        oldest first, behind live data

It waits until what was sealed before the start is on disk with what is due for it, and a moment after each page, so
that nobody waits for it. `store.fill` remembers how far it has come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from sqlite3 import Connection
from typing import Any

from edge.agenda import cn_of
from edge.catalogue import explain
from edge.clock import Clock
from edge.store import fill, journal
from edge.store.errors import StoreFailed
from edge.store.fill import Fill
from edge.store.outbox import Due
from edge.store.store import Store
from edge.uplink.terms import Terms
from edge.values import Kind, Record, period_start
from protocol.times import iso_text, parse_time

PAUSE_S = 0.5
"""After a page: a year of hours takes a good hour."""
LOOK_S = 5.0
"""How often it is looked whether the measuring is ready, and the disk works again."""
IDLE_S = 3_600.0


def since_ms(wish: str) -> int | None:
    """`from` of the site file as UTC ms; None: nothing of the past."""
    if wish == "now":
        return None
    return 0 if wish == "all" else parse_time(wish.replace("-", "") + "000000")


class Filling:
    """All platforms of the site."""

    def __init__(self, store: Store, clock: Clock, on_event: Callable[[str, dict[str, Any]], None]) -> None:
        self._store = store
        self._clock = clock
        self._on_event = on_event
        self._terms: dict[tuple[str, str], Terms] = {}
        self._open: list[Fill] = []

    async def load(self, terms: Sequence[Terms]) -> None:
        """Decide what each gets, before anything is due for it; StoreFailed."""
        self._terms = {(each.platform, each.outlet): each for each in terms}
        self._open = await self._store.do(_decide, terms, self._clock.wall_ms())

    async def run(self, ready: Callable[[], bool]) -> None:
        """Page by page; `ready()`: whether all that is sealed is on disk, with what is due for it."""
        while True:
            wait_s = IDLE_S
            if self._open:
                wait_s = PAUSE_S if ready() and await self._page() else LOOK_S
            await self._clock.sleep(wait_s)

    async def _page(self) -> bool:
        """The next hour of the first that goes on; False: the disk refuses it."""
        now = self._open[0]
        dues_of = partial(dues, self._terms[now.platform, now.outlet])
        try:
            after, _ = await self._store.do(fill.next_page, now, dues_of, self._clock.wall_ms())
        except StoreFailed as error:
            self._on_event("edge.store-failed", {"why": explain(error)})
            return False
        if after.goes_on:
            self._open[0] = after
        else:
            del self._open[0]
            self._on_event("edge.filled", {"platform": now.platform, "outlet": now.outlet})
        return True


def dues(terms: Terms, found: Sequence[Record], minutes_until: int) -> list[Due]:
    """What is due of an hour's records, oldest first; each with the newest marks: it is sent for the first time."""
    newest: dict[tuple[int, str, int | None], int] = {}
    for record in found:
        cn = cn_of(record)
        if cn is None:
            continue
        begin, end = record.start, None
        if record.kind is Kind.MINUTE:
            if begin >= minutes_until:
                continue
            length = terms.minute_at(begin)
            begin = period_start(begin, length)
            end = min(begin + length, minutes_until)
        newest[begin, cn, end] = max(record.revision, newest.get((begin, cn, end), 0))
    key = terms.platform, terms.outlet
    return [
        Due(*key, cn, begin, revision=revision, end=end)
        for (begin, cn, end), revision in sorted(newest.items(), key=lambda item: item[0][:2])
    ]


def _decide(db: Connection, terms: Iterable[Terms], now_ms: int) -> list[Fill]:
    """Those that go on; a filling that begins, or changes, is noted in the journal."""
    before = {(each.platform, each.outlet): each.until for each in fill.unfinished(db)}
    found = []
    for each in terms:
        key = each.platform, each.outlet
        decided = fill.decide(db, *key, since_ms(each.site.from_), each.minute_ms)
        if not decided.goes_on:
            continue
        found.append(decided)
        if before.get(key) != decided.until:
            detail = {"platform": key[0], "outlet": key[1], "from": each.site.from_, "until": iso_text(decided.until)}
            journal.append(db, "logger", "outbox.fill", detail, now_ms)
    return found
