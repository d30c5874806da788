"""Filed parameters: a difference is told at once, hourly at most, shown until it agrees, and never taken over."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_actions import SITE
from test_watch_instruments import STATE, TEMPERATURE, Plant, ask, states
from virtual_time import NOON, ScriptedPlatform, virtual

from config.load import load
from edge.actions import Actions
from edge.control.server import Denied
from edge.filing import Filings
from edge.store import infos, journal
from edge.values import DAY_MS, Known
from edge.watch.changes import Changes
from edge.watch.constants import ConstantWatch
from edge.watch.filed import TOLD_EVERY_S, Comparison, Filed, State, in_force
from edge.watch.instruments import InstrumentWatch

FILED = """
[[instruments.cod.filed]]
parameter = "i13004"
value = 165.0
tolerance = 1.0
unit = "°C"
filed_no = "2026-017"
[[outlets.ww1.filed]]
parameter = "kv"
value = 1.05
[[outlets.ww1.filed]]
parameter = "ambient_pressure"
value = 101.325
"""


class FiledPlant(Plant):
    """The analyser's i13004 is register 130 × 0.1 + 5: 1600 is 165.0, as filed."""

    def __init__(self, folder: Path, memory: dict[int, int] | None = None) -> None:
        super().__init__(folder, memory)
        path = folder / "site.toml"
        path.write_text(SITE.replace("[instruments.tp]", FILED + "[instruments.tp]"), encoding="utf-8")
        self.site = load(path)

    async def start(self) -> None:
        world: Any = self.world
        world.actions = Actions(self.site, {"l1": self.line}, world.clock)
        await world.uploads.load()
        changes = Changes(world.store.now(infos.known))
        self.filings = Filings(self.site, world.store, world.clock, changes)
        await self.filings.load()
        parts = self.site, world.actions, world.clock, changes, world.uploads
        self.watch = InstrumentWatch(*parts, self.heard.get, world._event, self.filings)
        self.constants = ConstantWatch(world.clock, self.filings, world.uploads, world._event)

        async def run() -> None:
            async with asyncio.TaskGroup() as group:
                self.watch.start(group, self.restarts.append)
                world.uploads.start(group, self.restarts.append)

        world.task(run())
        await world.sleep(10)

    def filed_entries(self) -> list[journal.Entry]:
        found = self.world.store.now(journal.entries, 1000)
        return [entry for entry in found if entry.action.partition(".")[2].startswith("filed")]

    def temperature(self) -> dict[str, Any]:
        return next(row for row in self.filings.rows({}) if row["parameter"] == "i13004")


def told(city: ScriptedPlatform) -> list[str]:
    return [text.partition(";")[2] for text in states(city)]


@virtual
async def test_a_difference_is_an_event_an_entry_and_a_3020_and_so_is_its_end(tmp_path: Path) -> None:
    plant, city = FiledPlant(tmp_path), ScriptedPlatform()
    plant.world.add(city)
    await plant.start()
    assert (told(city), plant.filed_entries(), plant.temperature()["differs"]) == ([], [], False)
    plant.memory[TEMPERATURE] = 1630  # 168.0
    await plant.world.sleep(600)
    assert told(city) == ["PolId=w01018;i13004-Info=168.0"]
    (entry,) = plant.filed_entries()
    assert (entry.who, entry.action) == ("instrument:cod", "instrument.filed-differs")
    wanted = {"instrument": "cod", "info": "i13004", "value": "168.0", "filed": "165", "filed_no": "2026-017"}
    assert wanted.items() <= entry.detail.items()
    row = plant.temperature()
    assert (row["now"], row["filed"], row["differs"], row["since"][:10]) == ("168.0", "165", True, "2026-09-22")
    assert [warning["params"]["parameter"] for warning in plant.filings.warnings()] == ["i13004"]
    plant.memory[TEMPERATURE] = 1609  # 165.9: within the tolerance
    await plant.world.sleep(600)
    assert told(city)[1:] == ["PolId=w01018;i13004-Info=165.9"]
    assert [entry.action for entry in plant.filed_entries()][1:] == ["instrument.filed-agrees"]
    codes = [code for code in plant.world.codes() if code.startswith("edge.filed")]
    assert (codes, list(plant.filings.warnings())) == (["edge.filed-differs", "edge.filed-agrees"], [])
    await plant.stop()


@virtual
async def test_a_value_that_swings_is_told_once_an_hour_with_its_end_and_how_often_it_did(tmp_path: Path) -> None:
    plant, city = FiledPlant(tmp_path), ScriptedPlatform()
    plant.world.add(city)
    await plant.start()
    for _ in range(36):  # six hours, another value at every look
        plant.memory[TEMPERATURE] = 2100 if plant.memory[TEMPERATURE] == 1600 else 1600
        await plant.world.sleep(600)
    assert 6 <= len(plant.filed_entries()) <= 13  # a difference an hour and its end
    assert len(states(city)) == len(plant.filed_entries())
    counted = sum(1 + int(entry.detail["count"] or 0) for entry in plant.filed_entries())
    assert counted + plant.temperature()["untold"] == 36
    between = plant.entries("instrument.parameter")
    assert len(between) + len(plant.filed_entries()) == 36  # the journal has each value, told or not
    assert {(entry.detail["before"], entry.detail["after"]) for entry in between} <= {
        ("165.0", "215.0"),
        ("215.0", "165.0"),
    }
    await plant.stop()


@virtual
async def test_a_difference_stands_after_a_restart_and_is_told_only_once(tmp_path: Path) -> None:
    plant, city = FiledPlant(tmp_path), ScriptedPlatform()
    plant.world.add(city)
    await plant.start()
    plant.memory[TEMPERATURE] = 1630
    await plant.world.sleep(600)
    since = plant.temperature()["since"]
    await plant.stop()
    plant, city = FiledPlant(tmp_path, plant.memory), ScriptedPlatform()
    plant.world.add(city)
    await plant.start()
    await plant.world.sleep(1_300)
    assert (told(city), len(plant.filed_entries())) == ([], 1)
    assert (plant.temperature()["differs"], plant.temperature()["since"]) == (True, since)
    await plant.stop()


@virtual
async def test_what_a_person_files_ends_the_difference_at_once_and_holds_after_a_restart(tmp_path: Path) -> None:
    plant, city = FiledPlant(tmp_path), ScriptedPlatform()
    plant.world.add(city)
    await plant.start()
    plant.memory[TEMPERATURE] = 1630
    await plant.world.sleep(600)
    order = {"owner": "cod", "parameter": "i13004", "value": "168", "no": "2026-031", "why": "new reagent", "by": "Li"}
    with pytest.raises(Denied, match="filed-reason"):
        await plant.filings.file({**order, "why": " "}, "root")
    with pytest.raises(Denied, match="filed-unknown"):
        await plant.filings.file({**order, "parameter": "i13005"}, "root")
    for wrong in ("abc", "16 8", "nan"):
        with pytest.raises(Denied, match="filed-number"):
            await plant.filings.file({**order, "value": wrong}, "root")
    await plant.filings.file(order, "root")
    await plant.world.sleep(5)
    assert [entry.action.partition(".")[2] for entry in plant.filed_entries()] == [
        "filed-differs", "filed", "filed-agrees",
    ]  # fmt: skip
    filed = plant.filed_entries()[1]
    assert (filed.who, filed.detail["before"], filed.detail["value"]) == ("user:root", "165", "168")
    assert filed.detail["reason"] == "new reagent"
    await plant.stop()
    plant = FiledPlant(tmp_path, plant.memory)
    await plant.start()
    row = plant.temperature()
    assert (row["filed"], row["filed_no"], row["filed_by"], row["differs"]) == ("168", "2026-031", "Li", False)
    await plant.stop()


@virtual
async def test_a_value_that_a_platform_sets_is_compared_at_once_and_told_to_the_others(tmp_path: Path) -> None:
    plant, city, county = FiledPlant(tmp_path), ScriptedPlatform(), ScriptedPlatform()
    plant.world.add(city)
    plant.world.add(county, "county", "010000A8900016F000169DC1")
    await plant.start()
    for value in ("168.0", "170.0"):
        ask(city, "3021", f"PolId=w01018;InfoId=i13004;i13004-Info={value}")
        await plant.world.sleep(3)
    assert (told(city), told(county)) == ([], [f"PolId=w01018;i13004-Info={value}" for value in ("168.0", "170.0")])
    assert [entry.who for entry in plant.filed_entries()] == ["platform:city"] * 2
    await plant.stop()


@virtual
async def test_states_that_are_not_filed_are_told_as_ever(tmp_path: Path) -> None:
    plant, city = FiledPlant(tmp_path), ScriptedPlatform()
    plant.world.add(city)
    await plant.start()
    for raw in (3, 1, 3):
        plant.memory[STATE] = raw
        await plant.world.sleep(61)
    assert [text.rpartition("=")[2] for text in told(city)] == ["2", "0", "2"]
    await plant.stop()


@virtual
async def test_a_constant_of_the_site_file_that_is_not_the_filed_one_is_said_once(tmp_path: Path) -> None:
    """Kv is 1 where the site file says nothing, and 1.05 is filed; the ambient pressure is as filed."""
    plant, city = FiledPlant(tmp_path), ScriptedPlatform()
    plant.world.add(city)
    await plant.start()
    for _ in range(3):
        await plant.constants.look()
        await plant.world.sleep(60)
    (entry,) = plant.filed_entries()
    assert (entry.who, entry.action) == ("logger", "outlet.filed-differs")
    assert (entry.detail["info"], entry.detail["value"], entry.detail["filed"]) == ("kv", "1", "1.05")
    await plant.filings.file({"owner": "ww1", "parameter": "kv", "value": "1", "no": "3", "why": "measured"}, "root")
    await plant.constants.look()
    assert [entry.action for entry in plant.filed_entries()][1:] == ["outlet.filed", "outlet.filed-agrees"]
    await plant.stop()


def test_of_filings_the_one_of_the_latest_day_that_has_come_holds_and_of_one_day_the_last() -> None:
    old, new, corrected, coming = (
        Filed("1", since_ms=0), Filed("2", since_ms=NOON - DAY_MS, at_ms=5),
        Filed("3", since_ms=NOON - DAY_MS, at_ms=6), Filed("4", since_ms=NOON + 1, at_ms=7),
    )  # fmt: skip
    assert in_force([old, coming], NOON) == old
    assert in_force([corrected, old, new, coming], NOON) == corrected
    assert in_force([coming, corrected], NOON + 1) == coming
    assert in_force([coming], NOON) is None


@pytest.mark.parametrize(
    ("filed", "tolerance", "value", "agrees"),
    [
        ("200", 0.0, "200.0", True),
        ("200", 0.0, "500", False),
        ("1.2", 0.1, "1.3", True),
        ("1.2", 0.1, "1.31", False),
        ("0800", 0.0, "800", True),
        ("K-2", 9.0, "K-2", True),
        ("K-2", 9.0, "K-3", False),
        ("5", 9.0, "nan", False),
    ],
)
def test_numbers_agree_within_the_tolerance_and_texts_letter_by_letter(
    filed: str, tolerance: float, value: str, agrees: bool
) -> None:
    assert Filed(filed, tolerance).agrees(value) is agrees


@given(
    st.lists(st.tuples(st.booleans(), st.sampled_from("ab"), st.floats(1, 3_000)), min_size=1, max_size=60),
    st.sampled_from([None, Known("agrees a", 0), Known("differs b", 0)]),
)
def test_every_change_is_told_or_counted_and_hardly_any_within_an_hour(
    seen: list[tuple[bool, str, float]], before: Known | None
) -> None:
    compared, now_s, told_at = Comparison(before), 0.0, []
    last = None if before is None else State.from_known(before)
    changes = counted = 0
    for differs, value, wait_s in seen:
        now_s += wait_s
        state = State(differs, value)
        changes += state != last and (last is not None or differs)
        last = state
        telling = compared.see(state, int(now_s * 1000), now_s)
        if telling is not None:
            assert telling.state == state
            counted += 1 + telling.untold
            told_at.append(now_s)
    assert counted + compared.untold == changes
    # a difference an hour, and the end of one
    assert all(later - earlier >= TOLD_EVERY_S for earlier, later in zip(told_at, told_at[3:], strict=False))
    settled = compared.see(State(*seen[-1][:2]), int(now_s * 1000), now_s + TOLD_EVERY_S)
    assert compared.untold == 0
    assert (settled is not None) == (counted < changes)
