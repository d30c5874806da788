"""The contacts of a station room: what is told of a door, a leak, the mains, once, and across restarts."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from test_watch_instruments import data
from virtual_time import NOON, ScriptedPlatform, World, virtual

from config.load import load, problems
from edge.store import infos, journal
from edge.values import Sample
from edge.watch.changes import Changes
from edge.watch.contacts import ContactWatch
from protocol.times import time_text

POINT = """
  [[instruments.io.points]]
  factor = "{name}"
  internal = true
  function = 1
  register = {bit}
  type = "bool"
"""
SITE = """\
[site]
name = "x"
language = "en"
[outlets.ww1]
name = "x"
st = 32
statistics = "water"
[lines.l1]
port = "/dev/ttyS0"
[instruments.io]
line = "l1"
driver = "modbus"
address = 22
""" + "".join(POINT.format(name=name, bit=bit) for bit, name in enumerate(("door", "leak", "mains", "access")))
CONTACTS = """
[[contacts]]
kind = "door"
name = "north; door=1"
point = "ww1/door"
[[contacts]]
kind = "leak"
point = "ww1/leak"
hold = "10s"
[[contacts]]
kind = "mains"
point = "ww1/mains"
on = 0
off = 1
[[contacts]]
kind = "other"
name = "access controller"
point = "ww1/access"
info = "i32001"
info_on = 2
"""


@pytest.fixture(autouse=True)
def _english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HJ212_LANG", "en")


class Room:
    """A logger's delivering side, and the contacts; samples come in by `say`."""

    def __init__(self, folder: Path) -> None:
        path = folder / "site.toml"
        path.write_text(SITE + CONTACTS, encoding="utf-8")
        self.site = load(path)
        self.world = World(folder / "data")
        self.restarts: list[str] = []

    async def start(self) -> None:
        world: Any = self.world
        await world.uploads.load()
        changes = Changes(world.store.now(infos.known))
        self.watch = ContactWatch(self.site, world.clock, changes, world.uploads, world._event)

        async def run() -> None:
            async with asyncio.TaskGroup() as group:
                self.watch.start(group, self.restarts.append)
                world.uploads.start(group, self.restarts.append)

        world.task(run())
        await world.sleep(10)

    async def say(self, wait_s: float = 5.0, mark: str = "N", **values: float) -> None:
        now = self.world.clock.wall_ms()
        self.watch.observe([Sample(now, "ww1", name, value, mark) for name, value in values.items()])
        await self.world.sleep(wait_s)

    async def stop(self) -> None:
        assert self.restarts == []
        await self.world.stop()

    def entries(self) -> list[str]:
        return [one.action for one in self.world.store.now(journal.entries, 100) if one.action.startswith("station.")]

    def on(self) -> list[str]:
        return [row["point"] for row in self.watch.rows() if row["on"]]


@virtual
async def test_a_door_is_an_event_an_entry_and_a_log_i31001_with_its_end(tmp_path: Path) -> None:
    """Table B.10: text between // and //, without the separators of the packet."""
    room, city = Room(tmp_path), ScriptedPlatform()
    room.world.add(city)
    await room.start()
    for value in (0, 1, 1, 0, 0):
        await room.say(door=value)
    assert room.entries() == ["station.door-on", "station.door-off"]
    codes = [code for code in room.world.codes() if "contact" in code]
    assert codes == [
        "edge.contact-door-on",
        "edge.contact-door-off",
    ]
    logs = [text for text in data(city, "3020") if "i31001" in text]
    opened, closed = (time_text(NOON + offset) for offset in (15_000, 25_000))
    assert logs == [
        f"DataTime={opened};i31001-Info=//north  door 1 open//",
        f"DataTime={closed};i31001-Info=//north  door 1 closed//",
    ]
    assert sum("i21001" in text for text in data(city, "3020")) == 2  # the journal's own
    await room.stop()


@virtual
async def test_water_must_stay_and_then_counts_from_its_beginning(tmp_path: Path) -> None:
    room, city = Room(tmp_path), ScriptedPlatform()
    room.world.add(city)
    await room.start()
    for value in (0, 1, 0, 1):
        await room.say(leak=value)
    assert (room.on(), room.entries()) == ([], [])
    since = room.world.clock.wall_ms() - 5_000
    await room.say(leak=1)
    await room.say(leak=1)
    assert (room.on(), room.entries()) == (["ww1/leak"], ["station.leak-on"])
    (warning,) = room.watch.warnings()
    assert warning["code"] == "edge.contact-leak-on"
    (entry,) = [one for one in room.world.store.now(journal.entries, 100) if one.action == "station.leak-on"]
    assert entry.at_ms >= since
    (row,) = [row for row in room.watch.rows() if row["on"]]
    assert row["since"][11:19] == f"12:00:{since % 60_000 // 1000:02}"
    await room.stop()


@virtual
async def test_mains_that_are_lost_at_the_first_look_are_told_and_not_again_after_a_restart(tmp_path: Path) -> None:
    room = Room(tmp_path)
    await room.start()
    await room.say(mains=0, door=0)
    assert room.entries() == ["station.mains-on"]
    await room.stop()
    room = Room(tmp_path)
    await room.start()
    assert room.on() == ["ww1/mains"]
    await room.say(mains=0)
    assert room.entries() == ["station.mains-on"]
    await room.say(mains=1)
    assert room.entries() == ["station.mains-on", "station.mains-off"]
    await room.stop()


@virtual
async def test_a_silent_module_opens_and_closes_nothing(tmp_path: Path) -> None:
    room = Room(tmp_path)
    await room.start()
    await room.say(door=1)
    await room.say(mark="B", door=0)
    await room.say(mark="D", door=0, mains=0)
    assert (room.on(), room.entries()) == (["ww1/door"], ["station.door-on"])
    await room.stop()


@virtual
async def test_a_state_that_goes_with_a_contact_is_uploaded_with_its_code(tmp_path: Path) -> None:
    room, city = Room(tmp_path), ScriptedPlatform()
    room.world.add(city)
    await room.start()
    await room.say(access=1)
    await room.say(access=0)
    states = [text.partition(";")[2] for text in data(city, "3020") if "i32001" in text]
    assert states == ["i32001-Info=2", "i32001-Info=0"]
    await room.stop()


def test_contacts_that_cannot_be_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    rows = (
        ('kind = "door"\npoint = "ww1/dor"', "config.unknown-point"),
        ('kind = "door"\npoint = "ww1/door"\non = 1\noff = 1', "config.switch-levels"),
        ('kind = "door"\npoint = "ww1/door"\n[[contacts]]\nkind = "leak"\npoint = "ww1/door"', "config.contact-twice"),
        ('kind = "door"\npoint = "ww1/door"\ninfo = "i33101"', "config.form.state-info"),
    )
    for keys, code in rows:
        path.write_text(f"{SITE}[[contacts]]\n{keys}\n", encoding="utf-8")
        assert [problem.code for problem in problems(path) if not problem.warning] == [code]
