"""`hj212 platform reset`: what platforms have set is undone, with its entries in the journal."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from virtual_time import MN, NOON

from config.load import load
from edge.clock import SimulatedClock
from edge.delivering import Delivering
from edge.store import journal, settings
from edge.store.store import Store
from edge.values import MINUTE_MS

SITE = """\
[site]
name = "x"
data_dir = "{folder}"
[outlets.ww1]
name = "x"
st = 32
statistics = "water"
[platforms.city]
edition = "2017"
address = "127.0.0.1:9"
outlets = {{ ww1 = {{ mn = "{mn}", password = "4Xp9sQ" }} }}
[platforms.county]
edition = "2017"
address = "127.0.0.1:10"
outlets = {{ ww1 = {{ mn = "{mn}", password = "4Xp9sQ" }} }}
"""


def with_delivering(tmp_path: Path, work: Callable[[Delivering, Store], Awaitable[None]]) -> None:
    (tmp_path / "site.toml").write_text(SITE.format(folder=tmp_path, mn=MN))
    site = load(tmp_path / "site.toml")
    clock = SimulatedClock(NOON)
    store = Store(tmp_path, retention=site.store, on_event=lambda code, params: None, clock=clock)
    nothing: Any = None
    delivering = Delivering(site, store, clock, nothing, nothing, nothing, nothing)

    async def main() -> None:
        await delivering.load()
        await work(delivering, store)

    try:
        asyncio.run(main())
    finally:
        store.close()


async def put(delivering: Delivering, platform: str, values: dict[str, str]) -> None:
    await delivering._put(delivering.sessions[platform, "ww1"], values, "platform:1062")


@pytest.mark.parametrize(
    ("platform", "name", "left"),
    [
        (None, None, set()),
        ("city", None, {("county", "realtime")}),
        ("city", "realtime", {("city", "password"), ("county", "realtime")}),
        ("county", "password", {("city", "realtime"), ("city", "password"), ("county", "realtime")}),
    ],
)
def test_what_is_named_is_undone_and_nothing_else(
    tmp_path: Path, platform: str | None, name: str | None, left: set[tuple[str, str]]
) -> None:
    async def work(delivering: Delivering, store: Store) -> None:
        await put(delivering, "city", {"realtime": "30000", "password": "654321"})
        await put(delivering, "county", {"realtime": "30000"})
        undone = await delivering.reset(platform, name, "user:zhang")
        stored = {(each, key) for each in ("city", "county") for _, key in await store.do(settings.get_all, each)}
        assert stored == left
        assert {(terms.platform, key) for terms in delivering.terms for key in terms.overrides} == left
        entries = [entry for entry in await store.do(journal.entries, 100) if entry.action == "setting.reset"]
        assert len(entries) == len(undone) == 3 - len(left)
        assert {entry.who for entry in entries} <= {"user:zhang"}

    with_delivering(tmp_path, work)


def test_an_undone_minute_interval_ends_where_both_have_a_border(tmp_path: Path) -> None:
    """15 min since long, 10 min in the file, undone at 12:00:00: from 12:00 on; at 12:07: from 12:30 on."""

    async def work(delivering: Delivering, store: Store) -> None:
        terms = delivering.sessions["city", "ww1"].terms
        await put(delivering, "city", {"minute": str(15 * MINUTE_MS)})
        delivering._clock.set_wall(NOON + 7 * MINUTE_MS)
        await delivering.reset("city", "minute", "user:zhang")
        assert "minute" not in terms.overrides
        assert terms.minute_at(NOON + 29 * MINUTE_MS) == 15 * MINUTE_MS
        assert terms.minute_at(NOON + 30 * MINUTE_MS) == 10 * MINUTE_MS

    with_delivering(tmp_path, work)


def test_what_is_set_back_to_the_site_files_word_is_journalled_but_pins_nothing(tmp_path: Path) -> None:
    """As `platform check` leaves a logger: another value, then the old one."""
    there_and_back = {
        "password": ("Bench1", "4Xp9sQ"), "realtime": ("90000", "60000"), "minute": ("300000", "600000"),
        "timeout": ("5000", "10000"), "retries": ("9", "3"), "realtime_on": ("0", "1"), "state_on": ("0", "1"),
        "warn_time": ("10", "60"),
    }  # fmt: skip

    async def work(delivering: Delivering, store: Store) -> None:
        terms = delivering.sessions["city", "ww1"].terms
        for name, (other, before) in there_and_back.items():
            await put(delivering, "city", {name: other})
            assert terms.overrides[name] == other
            await put(delivering, "city", {name: before})
        assert terms.overrides == {}
        assert await store.do(settings.get_all, "city") == {}
        assert (terms.password, terms.realtime_ms, terms.minute_ms) == ("4Xp9sQ", 60_000, 600_000)
        assert (terms.timeout_s, terms.retries, terms.realtime_on, terms.state_on) == (10.0, 3, True, True)
        entries = [entry for entry in await store.do(journal.entries, 100) if entry.action == "setting.put"]
        assert len(entries) == 2 * len(there_and_back)

    with_delivering(tmp_path, work)


def test_a_password_that_the_site_file_does_not_have_is_kept(tmp_path: Path) -> None:
    async def work(delivering: Delivering, store: Store) -> None:
        await put(delivering, "city", {"password": "654321"})
        assert delivering.sessions["city", "ww1"].terms.password == "654321"
        assert [setting.value for setting in (await store.do(settings.get_all, "city")).values()] == ["654321"]

    with_delivering(tmp_path, work)


def test_a_minute_interval_that_is_set_back_before_it_began_leaves_nothing_and_later_its_border(tmp_path: Path) -> None:
    async def work(delivering: Delivering, store: Store) -> None:
        terms = delivering.sessions["city", "ww1"].terms

        async def interval(minutes: int, now_ms: int) -> None:
            delivering._clock.set_wall(now_ms)
            border = terms.minute_border(minutes * MINUTE_MS, now_ms)
            await put(delivering, "city", {"minute": str(minutes * MINUTE_MS), **border})

        await interval(15, NOON + MINUTE_MS)  # from 12:30 on
        await interval(10, NOON + 2 * MINUTE_MS)
        assert terms.overrides == {}
        assert await store.do(settings.get_all, "city") == {}
        await interval(15, NOON + MINUTE_MS)
        await interval(10, NOON + 31 * MINUTE_MS)  # from 13:00 on
        assert "minute" not in terms.overrides
        assert terms.minute_at(NOON + 45 * MINUTE_MS) == 15 * MINUTE_MS
        assert terms.minute_at(NOON + 60 * MINUTE_MS) == 10 * MINUTE_MS

    with_delivering(tmp_path, work)
