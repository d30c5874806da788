"""The logger's own states: its links, ports, instruments and itself (HJ 212-2017 Table B.10)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from test_watch_instruments import COUNTY_MN, data
from virtual_time import NOON, ScriptedPlatform, World, virtual

from config.load import load
from edge.store import infos
from edge.watch.changes import Changes
from edge.watch.logger import LoggerWatch, Observed
from protocol.times import time_text

SITE = """\
[site]
name = "x"
[outlets.ww1]
name = "x"
st = 32
statistics = "water"
[lines.l1]
port = "/dev/ttyS0"
[lines.l2]
port = "/dev/ttyS1"
[instruments.ph]
line = "l1"
driver = "modbus"
points = [{ factor = "w01001", register = 0, type = "uint16" }, { factor = "w01010", register = 1, type = "uint16" }]
[instruments.cod]
line = "l2"
driver = "modbus"
points = [{ factor = "w01018", register = 0, type = "uint16" }]
"""


@dataclass
class Room:
    """A logger whose parts do as they are told."""

    folder: Path
    faulty: bool = False
    ports: dict[str, bool] = field(default_factory=lambda: {"l1": True, "l2": True})
    heard: dict[str, bool] = field(default_factory=lambda: {"ph": True, "cod": True})

    async def start(self) -> ScriptedPlatform:
        path = self.folder / "site.toml"
        path.write_text(SITE, encoding="utf-8")
        self.world, city = World(self.folder / "data"), ScriptedPlatform()
        self.world.add(city)
        await self.world.sleep(10)
        self.watch_again()
        return city

    def watch_again(self) -> None:
        def links() -> dict[tuple[str, str], bool]:
            return {key: session.link is not None for key, session in self.world.keyed.items()}

        observed = Observed(lambda: self.faulty, links, lambda: self.ports, lambda: self.heard)
        changes = Changes(self.world.store.now(infos.known))
        world, site = self.world, load(self.folder / "site.toml")
        world.task(LoggerWatch(site, world.clock, changes, world.uploads, observed).run())


def told(city: ScriptedPlatform) -> list[tuple[str, str]]:
    """DataTime, and the rest of each 3020."""
    return [(text[9:23], text[24:]) for text in data(city, "3020")]


def at(second: int) -> str:
    return time_text(NOON + second * 1000)


@virtual
async def test_nothing_is_told_while_all_is_well(tmp_path: Path) -> None:
    room = Room(tmp_path)
    city = await room.start()
    await room.world.sleep(3_600)
    assert told(city) == []
    await room.world.stop()


@virtual
async def test_a_link_that_was_away_is_told_with_both_times_when_it_is_back_and_a_short_cut_is_not(
    tmp_path: Path,
) -> None:
    room, county = Room(tmp_path), ScriptedPlatform()
    city = await room.start()
    room.world.add(county, "county", COUNTY_MN)
    city.cut()
    city.up = True
    await room.world.sleep(590)
    assert told(city) == []
    city.cut()
    await room.world.sleep(600)
    city.up = True
    await room.world.sleep(120)
    (down, first), (up, second) = told(city)
    assert (first, second) == ("i22003-Info=1", "i22003-Info=0")
    assert at(600) <= down <= at(605)
    assert at(1_200) <= up <= at(1_266)
    assert told(county) == []
    await room.world.stop()


@virtual
async def test_a_silent_instrument_is_told_under_each_of_its_pollutants_and_so_is_its_return(tmp_path: Path) -> None:
    room = Room(tmp_path)
    city = await room.start()
    room.heard["ph"] = False
    await room.world.sleep(60)
    room.heard["ph"] = True
    await room.world.sleep(60)
    assert [text for _, text in told(city)] == [
        "PolId=w01001;i12002-Info=1", "PolId=w01010;i12002-Info=1",
        "PolId=w01001;i12002-Info=0", "PolId=w01010;i12002-Info=0",
    ]  # fmt: skip
    await room.world.stop()


@virtual
async def test_ports_are_told_and_all_is_well_only_when_the_last_one_is_back(tmp_path: Path) -> None:
    room = Room(tmp_path)
    city = await room.start()
    for line, is_open in (("l1", False), ("l2", False), ("l1", True), ("l2", True)):
        room.ports[line] = is_open
        await room.world.sleep(60)
    assert [text for _, text in told(city)] == [f"i22101-Info={value}" for value in "1110"]
    await room.world.stop()


@virtual
async def test_a_fault_of_the_logger_is_told_and_survives_a_restart_of_the_watch(tmp_path: Path) -> None:
    room = Room(tmp_path)
    city = await room.start()
    room.faulty = True
    await room.world.sleep(30)
    assert [text for _, text in told(city)] == ["i22001-Info=2"]
    for task in room.world.tasks[1:]:
        task.cancel()
    del room.world.tasks[1:]
    room.faulty = False
    room.watch_again()
    await room.world.sleep(30)
    assert [text for _, text in told(city)] == ["i22001-Info=2", "i22001-Info=0"]
    await room.world.stop()
