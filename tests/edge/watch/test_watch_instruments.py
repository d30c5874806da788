"""Changed states and parameters, replaced instruments, kept samples: who is told what (HJ 212-2017 C.34, C.39-C.46)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from test_actions import SITE, FakeLine
from virtual_time import MN, NOON, Profile, ScriptedPlatform, World, virtual

from config.load import load
from drivers.errors import DeviceSilent
from edge.actions import Actions
from edge.store import infos, journal
from edge.watch.changes import Changes
from edge.watch.instruments import InstrumentWatch
from protocol.frame import wrap
from protocol.times import time_text

STATE, TEMPERATURE, SERIAL_HIGH = 131, 130, 120
"""Registers of the COD analyser in the site: i12001 (1 is 0, 3 is 2), i13004 (× 0.1 + 5), the serial number."""
COUNTY_MN = "010000A8900016F000169DC1"


class Plant:
    """A logger's delivering side with an analyser whose registers can be changed."""

    def __init__(self, folder: Path, memory: dict[int, int] | None = None) -> None:
        path = folder / "site.toml"
        path.write_text(SITE, encoding="utf-8")
        self.site = load(path)
        self.line = FakeLine()
        registers = {STATE: 1, TEMPERATURE: 1600, SERIAL_HIGH: 0xA1, 121: 1, 132: 0x2511, 133: 0x2212}
        self.line.memory[1] = registers if memory is None else memory
        self.world = World(folder / "data")
        self.heard: dict[str, bool] = {}
        self.restarts: list[str] = []

    @property
    def memory(self) -> dict[int, int]:
        return self.line.memory[1]

    async def start(self) -> None:
        """As the daemon does: what was known, then the watch."""
        world: Any = self.world
        world.actions = Actions(self.site, {"l1": self.line}, world.clock)
        await world.uploads.load()
        changes = Changes(world.store.now(infos.known))
        parts = self.site, world.actions, world.clock, changes, world.uploads
        self.watch = InstrumentWatch(*parts, self.heard.get, world._event)

        async def run() -> None:
            async with asyncio.TaskGroup() as group:
                self.watch.start(group, self.restarts.append)
                world.uploads.start(group, self.restarts.append)

        world.task(run())
        await world.sleep(10)

    async def stop(self) -> None:
        assert self.restarts == []
        await self.world.stop()

    def entries(self, action: str) -> list[journal.Entry]:
        return [entry for entry in self.world.store.now(journal.entries, 1000) if entry.action == action]


def data(city: ScriptedPlatform, cn: str) -> list[str]:
    """The data regions of what came, as text."""
    return [seen.frame.split(b"CP=&&")[1].split(b"&&")[0].decode() for seen in city.of(cn)]


def states(city: ScriptedPlatform) -> list[str]:
    """3020 without the logs."""
    return [text for text in data(city, "3020") if "//" not in text]


@virtual
async def test_a_changed_state_is_uploaded_once_with_the_time_it_was_seen_and_its_pollutant(tmp_path: Path) -> None:
    """C.42: DataTime, PolId, i12001-Info."""
    plant, city = Plant(tmp_path), ScriptedPlatform()
    plant.world.add(city)
    await plant.start()
    assert states(city) == []  # what is seen for the first time has not changed
    plant.memory[STATE] = 3
    await plant.world.sleep(300)
    (text,) = states(city)
    seen_at = text[len("DataTime=") :].partition(";")[0]
    assert time_text(NOON) < seen_at <= time_text(NOON + 71_000)
    assert text == f"DataTime={seen_at};PolId=w01018;i12001-Info=2"
    (packet,) = [seen.packet for seen in city.of("3020")]
    assert (packet.flag, packet.st, packet.mn) == (5, "32", MN)
    assert (plant.world.open_count(), plant.world.counts().lost) == (0, 0)
    await plant.stop()


@virtual
async def test_a_changed_parameter_is_uploaded_and_is_in_the_journal_with_before_and_after(tmp_path: Path) -> None:
    plant, city = Plant(tmp_path), ScriptedPlatform()
    plant.world.add(city)
    await plant.start()
    plant.memory[TEMPERATURE] = 1630  # × 0.1 + 5
    await plant.world.sleep(700)
    (text,) = states(city)
    assert text.endswith(";PolId=w01018;i13004-Info=168.0")
    (entry,) = plant.entries("instrument.parameter")
    assert entry.who == "instrument:cod"
    assert entry.detail == {
        "instrument": "cod", "outlet": "ww1", "pol_id": "w01018", "info": "i13004", "before": "165.0", "after": "168.0",
    }  # fmt: skip
    logs = [text for text in data(city, "3020") if "//" in text]
    assert [text.partition(";")[2].partition("-Info")[0] for text in logs] == ["i21001", "PolId=w01018;i11001"]
    assert all("before:165.0" in text and "after:168.0" in text for text in logs)
    await plant.stop()


@virtual
async def test_a_change_while_the_daemon_was_down_is_seen_after_the_restart(tmp_path: Path) -> None:
    plant, city = Plant(tmp_path), ScriptedPlatform()
    plant.world.add(city)
    await plant.start()
    await plant.stop()
    memory = plant.memory | {STATE: 3, 121: 2}
    plant, city = Plant(tmp_path, memory), ScriptedPlatform()
    plant.world.add(city)
    await plant.start()
    assert [text.partition(";")[2] for text in states(city)] == ["PolId=w01018;i12001-Info=2"]
    assert [text.partition(";")[2] for text in data(city, "3019")] == ["PolId=w01018;w01018-SN=00A10002"]
    await plant.stop()
    plant, city = Plant(tmp_path, memory), ScriptedPlatform()
    plant.world.add(city)
    await plant.start()
    assert (states(city), data(city, "3019")) == ([], [])
    await plant.stop()


@virtual
async def test_a_replaced_instrument_is_uploaded_noted_and_an_event(tmp_path: Path) -> None:
    """C.39: DataTime, PolId, SN."""
    plant, city = Plant(tmp_path), ScriptedPlatform()
    plant.world.add(city)
    await plant.start()
    plant.memory[121] = 0xBEEF
    await plant.world.sleep(3_700)
    (text,) = data(city, "3019")
    moment = text[len("DataTime=") :].partition(";")[0]
    assert moment == time_text(NOON + 3_600_000)  # an hour after the first look
    assert text == f"DataTime={moment};PolId=w01018;w01018-SN=00A1BEEF"
    (entry,) = plant.entries("instrument.replaced")
    assert (entry.detail["before"], entry.detail["after"]) == ("00A10001", "00A1BEEF")
    event = {"instrument": "cod", "before": "00A10001", "after": "00A1BEEF"}
    assert [params for code, params in plant.world.events if code == "edge.instrument-replaced"] == [event]
    await plant.stop()


def ask(city: ScriptedPlatform, cn: str, fields: str, mn: str = MN) -> None:
    city.send(wrap(f"QN=20160801085857223;ST=32;CN={cn};PW=123456;MN={mn};Flag=5;CP=&&{fields}&&".encode()))


@virtual
async def test_a_parameter_that_one_platform_sets_is_told_to_the_others_at_once(tmp_path: Path) -> None:
    plant, city, county = Plant(tmp_path), ScriptedPlatform(), ScriptedPlatform()
    plant.world.add(city)
    plant.world.add(county, "county", COUNTY_MN)
    await plant.start()
    ask(city, "3021", "PolId=w01018;InfoId=i13004;i13004-Info=168.0")
    await plant.world.sleep(3)
    assert states(city) == []
    assert [text.partition(";")[2] for text in states(county)] == ["PolId=w01018;i13004-Info=168.0"]
    (entry,) = plant.entries("instrument.parameter")
    assert (entry.who, entry.detail["before"], entry.detail["after"]) == ("platform:city", "165.0", "168.0")
    await plant.world.sleep(1_300)
    assert (len(states(city)), len(states(county))) == (0, 1)
    await plant.stop()


@virtual
async def test_a_kept_sample_is_told_to_every_platform_but_the_one_that_asked(tmp_path: Path) -> None:
    """C.34 as the answer, and as an upload."""
    plant, city, county, deaf = Plant(tmp_path), ScriptedPlatform(), ScriptedPlatform(), ScriptedPlatform()
    plant.world.add(city)
    plant.world.add(county, "county", COUNTY_MN)
    plant.world.add(deaf, "deaf", "010000A8900016F000169DC2", events=("3019", "3020"))
    await plant.start()
    plant.line.memory[3][2] = 7
    ask(city, "3015", "")
    await plant.world.sleep(2)
    (answer,), (upload,) = city.of("3015"), county.of("3015")
    assert answer.packet.qn == "20160801085857223"
    assert data(city, "3015") == data(county, "3015") == [f"DataTime={answer.packet.get('DataTime')};VaseNo=7"]
    assert (upload.packet.qn != answer.packet.qn, upload.packet.flag, deaf.of("3015")) == (True, 5, [])
    await plant.world.uploads.kept_sample("ww1", plant.world.clock.wall_ms(), "8", None)
    await plant.world.sleep(2)
    assert [len(each.of("3015")) for each in (city, county, deaf)] == [2, 2, 0]
    await plant.stop()


@pytest.mark.parametrize(
    ("events", "kinds"),
    [
        ((), set()),
        (("3015",), set()),
        (("3019",), {"3019"}),
        (("3020-state",), {"i12001"}),
        (("3020-parameter",), {"i13004"}),
        (("3020-log",), {"i21001", "i11001"}),
        (("3020",), {"i12001", "i13004", "i21001", "i11001"}),
    ],
)
@virtual
async def test_a_platform_gets_what_its_events_name_and_nothing_else(
    tmp_path: Path, events: tuple[str, ...], kinds: set[str]
) -> None:
    plant, city = Plant(tmp_path), ScriptedPlatform()
    plant.world.add(city, events=events)
    await plant.start()
    plant.memory.update({STATE: 3, TEMPERATURE: 1700, 121: 9})
    await plant.world.sleep(3_700)
    got = {name[: -len("-Info")] for seen in city.of("3020") for item in seen.packet.data for name, _ in item
           if name.endswith("-Info")}  # fmt: skip
    assert got | ({"3019"} if city.of("3019") else set()) == kinds
    assert len(plant.entries("instrument.parameter")) == 1  # the journal has it in any case
    await plant.stop()


@virtual
async def test_an_instrument_that_does_not_answer_its_polls_is_not_asked_and_one_that_fails_is_asked_seldom(
    tmp_path: Path,
) -> None:
    plant, city = Plant(tmp_path), ScriptedPlatform()
    plant.world.add(city)
    plant.heard["cod"] = False
    await plant.start()
    asked = plant.line.asked
    await plant.world.sleep(590)
    assert plant.line.asked == asked
    plant.heard["cod"] = True
    plant.line.fails = [DeviceSilent("drivers.silent", instrument="cod", timeout_s=1)] * 1_000
    await plant.world.sleep(3_600)
    assert plant.line.asked - asked < 50  # five values, 8 times in the hour each; the states alone were 60
    assert states(city) == []
    assert set(plant.watch.errors) >= {key for key in plant.watch.items if key.owner == "cod"}
    plant.line.fails = []
    await plant.world.sleep(700)
    assert plant.watch.errors == {}
    await plant.stop()


@virtual
async def test_what_the_disk_refuses_is_told_later_with_its_own_time_and_in_its_order(tmp_path: Path) -> None:
    plant, city = Plant(tmp_path), ScriptedPlatform()
    plant.world.add(city)
    await plant.start()
    plant.world.store.failing = True
    plant.memory[STATE] = 3
    await plant.world.sleep(60)
    plant.memory[STATE] = 1
    await plant.world.sleep(60)
    assert states(city) == []
    plant.world.store.failing = False
    await plant.world.sleep(30)
    assert [text.rpartition("=")[2] for text in states(city)] == ["2", "0"]
    assert [text[9:23] for text in states(city)] == [time_text(NOON + 60_000), time_text(NOON + 120_000)]
    values = {key.info: known.value for key, known in plant.world.store.now(infos.known).items() if key.owner == "cod"}
    assert values["i12001"] == "0"
    await plant.stop()


@virtual
async def test_changes_within_one_second_are_all_kept(tmp_path: Path) -> None:
    plant, city = Plant(tmp_path), ScriptedPlatform(Profile(silent=True))
    plant.world.add(city)
    await plant.start()
    city.cut()
    for bottle in range(1, 6):
        await plant.world.uploads.kept_sample("ww1", NOON + 20_000, str(bottle), None)
    city.up, city.profile = True, Profile()
    await plant.world.sleep(120)
    assert [seen.packet.get("VaseNo") for seen in city.of("3015")] == ["1", "2", "3", "4", "5"]
    assert (plant.world.open_count(), plant.world.counts().lost) == (0, 0)
    await plant.stop()
