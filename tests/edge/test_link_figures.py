"""The figures of acceptance from a link log, worked out by hand; and how the log is kept."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from edge.link_figures import figures
from edge.link_log import LinkLog
from edge.store import links
from edge.store.errors import StoreFailed
from edge.store.links import Connected, Run, Sums
from edge.uplink.health import Health
from edge.values import DAY_MS, HOUR_MS, MINUTE_MS

sys.path.insert(0, str(Path(__file__).parents[1]))
from virtual_time import NOON, InlineStore, VirtualClock, run

MIDNIGHT = NOON - 12 * HOUR_MS
"""2026-09-22 00:00 in Beijing."""
HOURS_10 = 10 * HOUR_MS


def connected(began: int, ended: int | None, cause: str | None = None, link: str = "city") -> Connected:
    return Connected(link, MIDNIGHT + began, "a:1", "p:1", None if ended is None else MIDNIGHT + ended, cause)


def test_rate_drops_and_reconnects_of_a_day_with_two_drops_and_a_stop() -> None:
    """The daemon ran 00:00–10:00 and 12:00–24:00: 22 h. Off line: 2 min after the first drop, 18 min at the end."""
    runs = [Run(MIDNIGHT, MIDNIGHT + HOURS_10, "stopped"), Run(MIDNIGHT + 12 * HOUR_MS, None, None)]
    until = DAY_MS - 18 * MINUTE_MS
    log = [
        connected(0, HOUR_MS, "closed"),
        connected(HOUR_MS + 2 * MINUTE_MS, HOURS_10, "stopped"),
        connected(12 * HOUR_MS, until, "timeout"),
        connected(0, None, link="other"),
    ]
    sums = Sums(trips=4, trips_ms=1_000, longest_ms=700, failures=9)
    counts = {"due": 200, "delivered": 196, "unconfirmed": 2, "waiting": 2}
    found = figures("city", (MIDNIGHT, MIDNIGHT + DAY_MS), runs, log, sums, counts)
    assert found.observed_s == 22 * 3600
    assert found.online_s == 22 * 3600 - 20 * 60
    assert found.online_rate == (22 * 60 - 20) / (22 * 60)
    assert (found.connects, found.drops, found.most_drops_in_a_day) == (3, 2, 2)
    assert found.drops_per_day is None  # less than a day was seen
    assert found.drops_by_cause == {"closed": 1, "timeout": 1}
    assert (found.reconnect_mean_s, found.reconnect_max_s) == (120, 18 * 60)
    assert (found.rtt_mean_ms, found.rtt_max_ms, found.failures) == (250, 700, 9)
    assert found.delivery_rate == 0.99


def test_time_after_a_kill_counts_for_nothing_and_is_no_drop() -> None:
    runs = [Run(MIDNIGHT, MIDNIGHT + HOUR_MS, "killed"), Run(MIDNIGHT + 3 * HOUR_MS, None, None)]
    log = [connected(0, HOUR_MS, "killed"), connected(3 * HOUR_MS, None)]
    found = figures("city", (MIDNIGHT, MIDNIGHT + 4 * HOUR_MS), runs, log, Sums(), {})
    assert (found.observed_s, found.online_rate, found.drops, found.reconnect_max_s) == (2 * 3600, 1.0, 0, None)


def test_drops_are_counted_by_the_day_in_beijing() -> None:
    runs = [Run(MIDNIGHT - DAY_MS, None, None)]
    log = [connected(at - 1, at, "reset") for at in (-2000, -1000, 0, 1000, 2000)]
    found = figures("city", (MIDNIGHT - DAY_MS, MIDNIGHT + DAY_MS), runs, log, Sums(), {})
    assert (found.drops, found.most_drops_in_a_day, found.drops_per_day) == (5, 3, 2.5)


def test_a_link_that_was_never_up_has_a_rate_of_nought_and_one_that_was_not_watched_has_none() -> None:
    never = figures("city", (MIDNIGHT, MIDNIGHT + 1000), [Run(MIDNIGHT, None, None)], [], Sums(failures=3), {})
    assert (never.online_rate, never.drops, never.delivery_rate) == (0.0, 0, None)
    assert figures("city", (MIDNIGHT, MIDNIGHT + 1000), [], [], Sums(), {}).online_rate is None


# keeping it


class RidingStore(InlineStore):
    """Riders wait for `commit`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.riders: list[tuple[Callable[..., Any], tuple[Any, ...], Future[None]]] = []

    def ride(self, fn: Callable[..., Any], *args: Any) -> Future[None]:
        self.riders.append((fn, args, Future()))
        return self.riders[-1][2]

    async def commit(self) -> None:
        """Something else's transaction."""
        riders, self.riders = self.riders, []
        for fn, args, future in riders:
            if self.failing:
                future.set_exception(StoreFailed("store.failed", file="records.db", reason="disk I/O error"))
            else:
                future.set_result(self.now(fn, *args))
        await asyncio.sleep(0.001)


class Wire:
    """A link's counters, and its session's."""

    def __init__(self, name: str = "city") -> None:
        self.name, self.address, self.peer = name, "a:1", "p:1"
        self.bytes_in = self.bytes_out = self.failures = 0
        self.health = Health()


def test_connections_and_sums_reach_the_store_with_what_is_committed_anyway(tmp_path: Path) -> None:
    async def main() -> None:
        store: Any = RidingStore(tmp_path)
        clock = VirtualClock(NOON)
        log, wire = LinkLog(store, clock), Wire()
        link: Any = wire
        log.watch(link, [wire])
        await log.look()
        await store.commit()
        await asyncio.sleep(10)
        log.up(link)
        wire.bytes_in, wire.health.sent = 100, 3
        wire.health.trip(0.2)
        await log.look()
        assert store.now(links.connections, 0, NOON * 2) == []  # nothing was written for its sake
        await store.commit()
        (one,) = store.now(links.connections, 0, NOON * 2)
        assert (one.began, one.ended) == (NOON + 10_001, None)
        store.failing = True
        await asyncio.sleep(20)
        log.down(link, "closed", "")
        wire.health.sent = 5
        await log.look()
        await store.commit()
        store.failing = False
        wire.health.sent = 6
        await log.look()
        await store.commit()
        (one,) = store.now(links.connections, 0, NOON * 2)
        assert one.cause == "closed"
        assert one.ended is not None
        assert 0 <= one.ended - one.began - 20_000 < 10
        expected = Sums(bytes_in=100, sent=6, trips=1, trips_ms=200, longest_ms=200)
        assert store.now(links.sums, 0, NOON * 2) == {"city": expected}
        for _ in range(5):  # nothing has changed: nothing to write
            await asyncio.sleep(60)
            await log.look()
            assert store.riders == []
        await asyncio.sleep(600)
        wire.bytes_out = 50
        await log.look()
        assert len(store.riders) == 1
        await log.close()
        assert [one.how for one in store.now(links.runs, 0, NOON * 2)] == ["stopped"]
        store.close()

    run(main())


def test_with_an_implausible_clock_there_is_no_run_and_moments_are_told_when_it_is_known(tmp_path: Path) -> None:
    async def main() -> None:
        store: Any = RidingStore(tmp_path)
        clock = VirtualClock(0)
        log, wire = LinkLog(store, clock), Wire()
        link: Any = wire
        log.watch(link, [wire])
        await asyncio.sleep(30)
        log.up(link)
        await asyncio.sleep(30)
        await log.look()
        assert store.now(links.runs, 0, NOON * 2) == []
        clock.set_wall(NOON)
        await log.look()
        await store.commit()
        assert [one.began for one in store.now(links.runs, 0, NOON * 2)] == [NOON - 60_000]
        assert [one.began for one in store.now(links.connections, 0, NOON * 2)] == [NOON - 30_000]
        store.close()

    run(main())


def test_a_clock_that_is_set_back_makes_no_more_than_all_of_the_time() -> None:
    """0:00–3:00 on line, then set back to 1:00 and on line again until 4:00: no moment counts twice."""
    runs = [Run(MIDNIGHT, MIDNIGHT + 3 * HOUR_MS, "stopped"), Run(MIDNIGHT + HOUR_MS, None, None)]
    log = [connected(0, 3 * HOUR_MS, "stopped"), connected(HOUR_MS, None)]
    found = figures("city", (MIDNIGHT, MIDNIGHT + 4 * HOUR_MS), runs, log, Sums(), {})
    assert (found.observed_s, found.online_s, found.online_rate) == (4 * 3600, 4 * 3600, 1.0)
