"""Orders about marks, maintenance and stops; switches; reminders; all of it after a restart."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from config.site import General, Instrument, Outlet, Point, Retention, Site
from config.switches import Maintenance, MaintenanceSwitch, StopSource
from edge.control.server import Denied
from edge.mark_orders import maintenance_orders
from edge.marking import Marking
from edge.measure.derived import DerivedPoints
from edge.measure.engine import Engine
from edge.measure.rules import factor_rules
from edge.revising import manual_marks
from edge.store import journal, marks
from edge.store.errors import StoreFailed
from edge.store.store import Store
from edge.values import Sample

NOON = 1_790_049_600_000
HOUR = 3_600_000


class Clock:
    """Stands still until it is set."""

    speed = 1.0

    def __init__(self) -> None:
        self.now = NOON

    def wall_ms(self) -> int:
        return self.now

    def mono_s(self) -> float:
        return self.now / 1000

    def set_wall(self, ms: int) -> None:
        self.now = ms

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


def point(factor: str, **more: Any) -> Point:
    return Point(factor=factor, outlet="ww1", **more)


SITE = Site(
    site=General(name="x"),
    outlets={
        "ww1": Outlet(
            name="总排口",
            st="32",
            statistics="water",
            stop=StopSource(point="ww1/amps", stopped=2, running=5, hold=10_000),
        ),
        "ww2": Outlet(name="二号", st="32", statistics="water"),
    },
    instruments={
        "cod": Instrument(line="a", driver="modbus", points=(point("w01018"), Point(factor="w01018", outlet="ww2"))),
        "ph": Instrument(line="a", driver="modbus", points=(point("w01001"),)),
        "io": Instrument(line="a", driver="modbus", points=(point("key", internal=True), point("amps", internal=True))),
    },
    maintenance=Maintenance(switches=(MaintenanceSwitch(point="ww1/key", instruments=("cod",)),)),
)


class Rig:
    """The service on a store of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = Clock()
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.open()

    def open(self) -> None:
        self.store = Store(self.folder, retention=Retention(), on_event=lambda code, params: None)
        self.marking = Marking(SITE, self.store, self.clock, lambda code, params: self.events.append((code, params)))
        self.engines = {name: Engine(outlet, name, factor_rules(SITE, name)) for name, outlet in SITE.outlets.items()}

    async def start(self) -> None:
        await self.marking.load()
        self.marking.lay_over(self.engines)

    async def restart(self) -> None:
        self.store.close()
        self.open()
        await self.start()

    async def order(self, what: str, **args: Any) -> list[Any]:
        names = {"begin": "from", "end": "to"}
        return await self.marking.order(what, {names.get(name, name): value for name, value in args.items()}, "li")

    def mark(self, factor: str, time: int | None = None, outlet: str = "ww1") -> str:
        at = self.clock.now if time is None else time
        return self.engines[outlet].manual.on(Sample(at, outlet, factor, 1.0, "N")).mark

    async def feed(self, factor: str, *values: float | None) -> None:
        """A value each 5 s, and what follows from it."""
        for value in values:
            self.clock.now += 5_000
            self.marking.observe([Sample(self.clock.now, "ww1", factor, value, "B" if value is None else "N")])
            await self.marking._take_turns()

    def journal(self) -> list[journal.Entry]:
        return self.store.call(journal.entries, 100).result()


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    made = Rig(tmp_path)
    await made.start()
    yield made
    made.store.close()


async def test_an_added_mark_holds_at_once_and_after_a_restart_until_it_is_ended(rig: Rig) -> None:
    (entry,) = await rig.order("mark", do="add", points=["ww1/w01018"], mark="M", begin=NOON, reason="泵", by="张三")
    assert (entry.number, entry.by.operator, entry.by.who) == (1, "张三", "user:li")
    assert (rig.mark("w01018"), rig.mark("w01001"), rig.mark("w01018", outlet="ww2")) == ("M", "N", "N")
    assert rig.mark("w01018", NOON - 1) == "N"
    await rig.restart()
    assert rig.mark("w01018") == "M"
    rig.clock.now += HOUR
    await rig.order("mark", do="end", number=1)
    assert (rig.mark("w01018"), rig.mark("w01018", NOON)) == ("N", "M")
    await rig.order("mark", do="correct", number=1, mark="C", reason="校准")
    assert rig.mark("w01018", NOON) == "C"
    await rig.order("mark", do="withdraw", number=1, reason="错")
    assert rig.mark("w01018", NOON) == "N"
    assert [entry.action for entry in rig.store.call(marks.history, 1).result()] == [
        "add",
        "end",
        "correct",
        "withdraw",
    ]


async def test_the_journal_has_operator_reason_and_what_was_said_before(rig: Rig) -> None:
    await rig.order("mark", do="add", points=["ww1"], mark="D", begin=NOON, reason="坏", by="张三")
    await rig.order("mark", do="correct", number=1, mark="M", end=NOON + 60_000, reason="修好")
    added, corrected = rig.journal()
    assert (added.action, added.who, added.detail["operator"], added.detail["before"]) == (
        "mark.add",
        "user:li",
        "张三",
        None,
    )
    assert (corrected.detail["before"]["mark"], corrected.detail["before"]["end"]) == ("D", None)
    assert (corrected.detail["after"]["mark"], corrected.detail["after"]["end"]) == ("M", NOON + 60_000)
    assert corrected.detail["after"]["reason"] == "修好"
    assert corrected.detail["operator"] == "li"
    assert rig.store.call(journal.verify).result().ok


async def test_the_table_refuses_to_forget(rig: Rig) -> None:
    await rig.order("mark", do="add", points=["ww1"], mark="D", begin=NOON, reason="x")
    for change in (
        "UPDATE mark_entry SET mark = 'N'",
        "DELETE FROM mark_entry",
        "INSERT OR REPLACE INTO mark_entry SELECT * FROM mark_entry",
    ):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            rig.store.call(lambda db, text=change: db.execute(text)).result()
    assert rig.mark("w01018") == "D"


ADD = {"do": "add", "points": ["ww1/w01018"], "mark": "M", "from": NOON, "reason": "x"}


@pytest.mark.parametrize(
    ("what", "args", "code"),
    [
        ("mark", {**ADD, "points": []}, "marks.no-point"),
        ("mark", {**ADD, "points": ["ww9"]}, "marks.no-outlet"),
        ("mark", {**ADD, "points": ["ww1/w0101"]}, "marks.no-factor"),
        ("mark", {**ADD, "points": ["ww1/key"]}, "marks.no-factor"),
        ("mark", {**ADD, "mark": "N"}, "marks.bad-mark"),
        ("mark", {**ADD, "mark": "X"}, "marks.bad-mark"),
        ("mark", {**ADD, "mark": None}, "marks.no-mark"),
        ("mark", {**ADD, "reason": "  "}, "marks.no-reason"),
        ("mark", {**ADD, "to": NOON}, "marks.ends-first"),
        ("mark", {"do": "end", "number": 7}, "marks.no-such"),
        ("mark", {"do": "correct", "number": 1, "reason": "x"}, "marks.nothing-new"),
        ("mark", {"do": "correct", "number": 1, "mark": "M"}, "marks.no-reason"),
        ("mark", {"do": "correct", "number": 1, "open": True, "to": NOON + HOUR, "reason": "x"}, "marks.open-and-to"),
        ("mark", {"do": "withdraw", "number": 1}, "marks.no-reason"),
        ("mark", {"do": "end", "number": 1, "to": NOON - HOUR}, "marks.ends-first"),
        ("maintain", {"do": "start", "instruments": ["codd"]}, "marks.no-instrument"),
        ("source", {"do": "stop"}, "marks.which-outlet"),
        ("source", {"do": "stop", "outlets": ["ww3"]}, "marks.no-outlet"),
        ("source", {"do": "stop", "outlets": ["ww1"], "at": NOON, "to": NOON}, "marks.ends-first"),
    ],
)
async def test_what_cannot_be_ordered_is_refused_with_its_reason(
    rig: Rig, what: str, args: dict[str, Any], code: str
) -> None:
    await rig.marking.order("mark", ADD, "li")
    with pytest.raises(Denied) as caught:
        await rig.marking.order(what, args, "li")
    assert caught.value.code == code
    assert len(rig.journal()) == 1


@pytest.mark.parametrize("value", ["08:00", 1.5, True, -1, 1 << 60])
async def test_a_time_that_is_none_is_refused_and_nothing_is_kept(rig: Rig, value: Any) -> None:
    with pytest.raises(ValueError, match="from"):
        await rig.marking.order("mark", {**ADD, "from": value}, "li")
    assert rig.journal() == []


async def test_a_client_cannot_pass_itself_off_as_a_switch(rig: Rig) -> None:
    (entry,) = await rig.marking.order(
        "source", {"do": "stop", "outlets": ["ww1"], "source": "input", "evidence": {"a": 1}}, "li"
    )
    assert (entry.state.source, entry.state.evidence) == ("operator", {})


async def test_a_working_condition_stands_on_the_sheet_and_leaves_the_data_alone(rig: Rig) -> None:
    condition = {**ADD, "mark": "-", "class": "工况", "item": "启炉"}
    (entry,) = await rig.marking.order("mark", condition, "li")
    assert (entry.state.mark, entry.state.category, entry.state.item) == (None, "工况", "启炉")
    assert rig.mark("w01018") == "N"


# maintenance


async def test_maintenance_marks_all_points_of_its_instruments_until_it_ends(rig: Rig) -> None:
    assert len(await rig.order("maintain", do="start", instruments=["cod"], reason="换泵")) == 1
    assert (rig.mark("w01018"), rig.mark("w01018", outlet="ww2"), rig.mark("w01001")) == ("M", "M", "N")
    assert await rig.order("maintain", do="start", instruments=["cod"]) == []
    assert [entry.state.instrument for entry in await rig.order("maintain", do="start")] == ["ph"]
    await rig.restart()
    assert (rig.mark("w01018"), rig.mark("w01001")) == ("M", "M")
    rig.clock.now += 60_000
    assert len(await rig.order("maintain", do="end", instruments=["ph"])) == 1
    assert (rig.mark("w01018"), rig.mark("w01001")) == ("M", "N")
    assert len(await rig.order("maintain", do="end")) == 1
    assert await rig.order("maintain", do="end") == []
    assert rig.mark("w01018") == "N"


def test_maintenance_of_a_flow_with_its_totaliser_is_one_point_and_both_bear_m() -> None:
    points = (point("w00000"), point("w00000", kind="total"), point("w01018"))
    site = replace(SITE, instruments={"flow": Instrument(line="a", driver="modbus", points=points)})
    (order,) = maintenance_orders(site, {"do": "start"}, NOON, [])
    assert order.state.points == ("ww1/w00000", "ww1/w01018")
    manual = manual_marks(site.outlets["ww1"], "ww1", DerivedPoints(site), [order.state])
    channels = ("w00000", "w00000-total", "w01018", "w01001")
    marks = [manual.on(Sample(NOON, "ww1", channel, 1.0, "N")).mark for channel in channels]
    assert marks == ["M", "M", "M", "N"]


async def test_maintenance_of_two_hours_is_an_event_and_a_warning(rig: Rig) -> None:
    await rig.order("maintain", do="start", instruments=["cod"])
    rig.clock.now += 2 * HOUR - 1
    assert rig.marking.warnings() == []
    rig.clock.now += 1
    assert [each["code"] for each in rig.marking.warnings()] == ["marks.warn-maintenance"]
    task = asyncio.ensure_future(rig.marking.run())
    for _ in range(100):
        await asyncio.sleep(0)
    task.cancel()
    assert rig.events == [("marks.maintenance-long", {"instrument": "cod", "since": "2026-09-22T12:00:00+08:00"})]


async def test_a_key_on_site_begins_and_ends_maintenance(rig: Rig) -> None:
    await rig.feed("key", 0, 1, 1)
    assert rig.mark("w01018", NOON + 10_000) == "M"
    assert rig.mark("w01018", NOON + 9_999) == "N"
    await rig.restart()
    await rig.feed("key", 1, None, 0)
    assert rig.mark("w01018") == "N"
    added, ended = rig.store.call(marks.history, 1).result()
    assert (added.state.source, added.by.who, added.state.begin) == ("input", "logger", NOON + 10_000)
    assert added.state.evidence == {"point": "ww1/key", "value": 1, "time": "2026-09-22T12:00:10+08:00"}
    assert ended.state.evidence["end"]["value"] == 0
    assert ended.state.end == NOON + 30_000


async def test_the_key_does_not_end_what_a_person_has_begun(rig: Rig) -> None:
    await rig.order("maintain", do="start", instruments=["cod"])
    await rig.feed("key", 0, 1, 0)
    assert rig.mark("w01018") == "M"


# stops


async def test_a_stop_is_seen_by_the_power_meter_and_marks_nothing(rig: Rig) -> None:
    await rig.feed("amps", 8, 1, 1, 1, 3)
    assert rig.marking.stops.throughout("ww1", NOON + 10_000, NOON + 20_000)
    assert not rig.marking.stops.throughout("ww1", NOON + 9_999, NOON + 20_000)
    assert rig.mark("w01018") == "N"
    assert [each["code"] for each in rig.marking.warnings()] == ["marks.warn-stopped"]
    await rig.restart()
    await rig.feed("amps", 3, 6, 6, 6)
    entry = rig.store.call(marks.newest, 1).result()
    assert (entry.state.begin, entry.state.end) == (NOON + 10_000, NOON + 35_000)
    assert [code for code, _ in rig.events] == ["marks.source-stop", "marks.source-start"]
    assert rig.marking.warnings() == []


async def test_no_flow_is_no_stop(rig: Rig) -> None:
    for slot in range(20):
        rig.marking.observe([Sample(NOON + slot * 5_000, "ww1", "w00000", 0.0, "N")])
    await rig.marking._take_turns()
    assert rig.marking.open_marks("stop") == []


async def test_an_operator_stops_and_starts_one_of_several_outlets(rig: Rig) -> None:
    await rig.order("source", do="stop", outlets=["ww2"], at=NOON - HOUR, reason="检修")
    assert rig.marking.stops.throughout("ww2", NOON - HOUR, NOON)
    assert not rig.marking.stops.throughout("ww1", NOON - HOUR, NOON)
    assert await rig.order("source", do="stop", outlets=["ww2"], reason="x") == []
    await rig.order("source", do="start", outlets=["ww2"], at=NOON)
    assert not rig.marking.stops.throughout("ww2", NOON, NOON + 1)
    (entry,) = rig.store.call(marks.in_force, 0, 1 << 60).result()
    assert (entry.state.kind, entry.state.category, entry.state.item, entry.state.reason) == (
        "stop",
        "工况",
        "停运",
        "检修",
    )


async def test_a_stop_takes_no_mark_but_its_times_can_be_corrected(rig: Rig) -> None:
    await rig.order("source", do="stop", outlets=["ww1"], reason="x")
    with pytest.raises(Denied) as caught:
        await rig.order("mark", do="correct", number=1, mark="F", reason="x")
    assert caught.value.code == "marks.stop-is-no-mark"
    await rig.order("mark", do="correct", number=1, begin=NOON - HOUR, reason="earlier")
    assert rig.marking.stops.throughout("ww1", NOON - HOUR, NOON)


async def test_what_the_disk_refuses_is_ordered_again(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    real = rig.store.do

    async def full(*args: Any) -> Any:
        raise StoreFailed("store.full", file="records.db")

    monkeypatch.setattr(rig.store, "do", full)
    await rig.feed("key", 1)
    assert rig.mark("w01018") == "N"
    monkeypatch.setattr(rig.store, "do", real)
    assert await rig.marking._take_turns()
    assert rig.mark("w01018", NOON + 5_000) == "M"


async def test_nothing_is_marked_by_a_clock_that_is_wrong(rig: Rig) -> None:
    rig.clock.now = 60_000
    with pytest.raises(Denied) as caught:
        await rig.order("maintain", do="start")
    assert caught.value.code == "marks.no-clock"
    assert rig.journal() == []
