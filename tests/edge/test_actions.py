"""Actions at instruments: what they write, read and wait for, how they end, and what hinders them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from config.controls import Info
from config.load import load
from config.site import Site
from drivers.driver import Reading, Request
from drivers.errors import DeviceRefused, DeviceSilent, DriverError, LineBusy, LineClosed, OutcomeUnknown, PortLost
from drivers.line import LineInstrument, LineWorker
from drivers.modbus_frame import crc16
from drivers.port import LineSettings
from drivers.registry import driver_class
from drivers.simulated import SimulatedBus, site_blocks
from edge.acquire import instrument_spec
from edge.action_values import NoData, info_text
from edge.actions import ActionResult, Actions
from edge.catalogue import text as text_of
from edge.clock import SimulatedClock

NOON_MS = 1_763_784_000_000
"""2025-11-22 12:00 Beijing."""

SITE = """\
[site]
name = "x"
[outlets.ww1]
name = "x"
st = 32
statistics = "water"
[lines.l1]
port = "/dev/ttyS0"
[instruments.cod]
line = "l1"
driver = "modbus"
address = 1
  [[instruments.cod.points]]
  factor = "w01018"
  register = 0
  type = "uint16"
  [instruments.cod.actions.zero-span]
  write = [{ register = 100, value = 1 }, { register = 110, value = 7 }]
  until = { register = 101, type = "uint16", equals = [0, 2], timeout = "20min", every = "5s" }
  [instruments.cod.actions.clean]
  write = [{ register = 100, value = 3 }]
  lasts = "30s"
  [instruments.cod.actions.compare]
  write = [{ register = 100, value = 4 }]
  lasts = "30s"
  mark = "N"
  [instruments.cod.actions.set-cycle]
  write = [
    { register = 105, type = "bcd", value = "{cstart_hhmm}" },
    { function = 16, register = 106, value = ["{ctime}", "{cstart_hour}", "{cstart_minute}"] },
  ]
  [instruments.cod.actions.get-cycle]
  read = [{ register = 105, type = "bcd" }, { register = 106, type = "uint16", scale = 0.5 }]
  [instruments.cod.actions.time-to-result]
  read = [{ register = 107, type = "uint16" }]
  [instruments.cod.actions.serial-number]
  read = [{ register = 120, type = "hex", words = 2 }]
  [instruments.cod.actions.set-time]
  write = [{ function = 16, register = 102, type = "bcd", value = "{now_bcd}" }]
  [instruments.cod.actions.get-time]
  read = [{ register = 102, type = "bcd", words = 3 }]
  [[instruments.cod.infos]]
  info = "i13004"
  register = 130
  type = "uint16"
  scale = 0.1
  offset = 5
  decimals = 1
  writable = true
  [[instruments.cod.infos]]
  info = "i12001"
  register = 131
  type = "uint16"
  map = { 1 = 0, 3 = 2 }
  [[instruments.cod.infos]]
  info = "i13006"
  register = 132
  type = "bcd"
  words = 3
  form = "time"
  writable = true
[instruments.tp]
line = "l1"
driver = "modbus"
address = 2
  [[instruments.tp.points]]
  factor = "w21011"
  register = 0
  type = "uint16"
  [instruments.tp.actions.get-time]
  read = [
    { register = 200, type = "uint16" }, { register = 201, type = "uint16" }, { register = 202, type = "uint16" },
    { register = 203, type = "uint16" }, { register = 204, type = "uint16" }, { register = 205, type = "uint16" },
  ]
  [[instruments.tp.infos]]
  info = "i13004"
  register = 9
  type = "float32"
[instruments.sampler]
line = "l1"
driver = "modbus"
address = 3
outlet = "ww1"
  [instruments.sampler.actions.keep-sample]
  write = [{ register = 1, value = 1 }]
  read = [{ register = 2, type = "uint16" }]
"""


class FakeClock:
    """Time that passes only while someone sleeps."""

    speed = 1.0

    def __init__(self) -> None:
        self.now_s = 1_000.0
        self.on_sleep: Callable[[], None] = lambda: None

    def wall_ms(self) -> int:
        return NOON_MS + int((self.now_s - 1_000.0) * 1000)

    def mono_s(self) -> float:
        return self.now_s

    def set_wall(self, ms: int) -> None:
        raise AssertionError("the clock is nobody's to set")

    async def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        self.on_sleep()
        await asyncio.sleep(0)


class FakeLine:
    """Instruments as memory: register → number, by address; `fails` are raised for the next exchanges."""

    def __init__(self) -> None:
        self.memory: dict[int, dict[int, int]] = {1: {}, 2: {}, 3: {}}
        self.writes: list[tuple[int, int, int, list[int]]] = []
        self.fails: list[DriverError | None] = []
        self.asked = 0

    def submit(self, instrument: str, job: Callable[[Any], Any]) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(job(self))
        except DriverError as error:
            future.set_exception(error)
        return future

    def ask(self, request: Request) -> bytes:
        self.asked += 1
        failure = self.fails.pop(0) if self.fails else None
        if failure is not None:
            raise failure
        address, function = request.data[:2]
        register, count = int.from_bytes(request.data[2:4], "big"), int.from_bytes(request.data[4:6], "big")
        memory = self.memory[address]
        if function == 3:
            data = b"".join(memory.get(register + index, 0).to_bytes(2, "big") for index in range(count))
            return framed(bytes((address, function, len(data))) + data)
        words = [request.data[at : at + 2] for at in range(7, len(request.data) - 2, 2)] if function == 16 else []
        values = [int.from_bytes(word, "big") for word in words] or [count]
        self.writes.append((address, function, register, values))
        memory.update({register + index: value for index, value in enumerate(values)})
        return framed(request.data[:6])


def framed(body: bytes) -> bytes:
    return body + crc16(body).to_bytes(2, "little")


class World:
    def __init__(self, site: Site) -> None:
        self.clock = FakeClock()
        self.line = FakeLine()
        self.actions = Actions(site, {"l1": self.line}, self.clock)


@pytest.fixture
def world(tmp_path: Path) -> World:
    path = tmp_path / "site.toml"
    path.write_text(SITE, encoding="utf-8")
    return World(load(path))


def ended(result: ActionResult) -> tuple[str, int]:
    if result.why is not None:
        for lang in ("zh", "en"):
            assert text_of(result.why.code, lang, **result.why.params) != result.why.code
    return result.code, result.exe_rtn


# -- writing and waiting


async def test_zero_span_writes_waits_until_done_and_marks_the_points_meanwhile(world: World) -> None:
    memory = world.line.memory[1]
    memory[101] = 1
    marks: list[str | None] = []

    def later() -> None:
        marks.append(world.actions.mark_of("cod"))
        memory[101] = 2 if world.clock.now_s >= 1_600 else 1

    world.clock.on_sleep = later
    result = await world.actions.run("ww1", "w01018", "zero-span")
    assert ended(result) == ("done", 1)
    assert world.line.writes == [(1, 6, 100, [1]), (1, 6, 110, [7])]
    assert world.clock.now_s == 1_600.0
    assert set(marks) == {"C"}
    assert world.actions.mark_of("cod") is None
    assert world.actions.mark_of("tp") is None


async def test_state_is_not_looked_at_before_the_instrument_can_have_begun(world: World) -> None:
    await world.actions.run("ww1", "w01018", "zero-span")
    assert world.clock.now_s == 1_005.0


async def test_instrument_that_is_not_done_in_time_is_a_time_out(world: World) -> None:
    world.line.memory[1][101] = 1
    assert ended(await world.actions.run("ww1", "w01018", "zero-span")) == ("timeout", 4)
    assert world.clock.now_s == pytest.approx(1_000 + 1_200)
    assert world.actions.mark_of("cod") is None


async def test_instrument_may_be_silent_while_it_works(world: World) -> None:
    busy = DeviceRefused("drivers.modbus.exception-6", exception=6, function=3)
    world.line.fails = [None, None, DeviceSilent("drivers.silent"), busy, PortLost("drivers.port-gone")]
    assert ended(await world.actions.run("ww1", "w01018", "zero-span")) == ("done", 1)
    assert world.clock.now_s == 1_020.0


async def test_action_without_a_state_lasts_as_the_site_file_says(world: World) -> None:
    marks = set()
    world.clock.on_sleep = lambda: marks.add(world.actions.mark_of("cod"))
    assert ended(await world.actions.run("ww1", "w01018", "clean")) == ("done", 1)
    assert (world.clock.now_s, marks) == (1_030.0, {"M"})


async def test_mark_n_leaves_the_points_their_own(world: World) -> None:
    marks = set()
    world.clock.on_sleep = lambda: marks.add(world.actions.mark_of("cod"))
    await world.actions.run("ww1", "w01018", "compare")
    assert marks == {None}


async def test_cycle_is_written_in_the_instruments_own_forms(world: World) -> None:
    result = await world.actions.run("ww1", "w01018", "set-cycle", cstart="083000", ctime=2)
    assert ended(result) == ("done", 1)
    assert world.line.writes == [(1, 6, 105, [0x0830]), (1, 16, 106, [2, 8, 30])]


@pytest.mark.parametrize("values", [{"cstart": "250000", "ctime": 2}, {"cstart": "0830", "ctime": 2}, {"ctime": 2}, {}])
async def test_cycle_without_a_usable_time_is_refused_and_nothing_is_written(
    world: World, values: dict[str, Any]
) -> None:
    assert ended(await world.actions.run("ww1", "w01018", "set-cycle", **values)) == ("refused", 3)
    assert world.line.writes == []


async def test_value_that_the_register_cannot_hold_is_refused(world: World) -> None:
    result = await world.actions.run("ww1", "w01018", "set-cycle", cstart="083000", ctime=70_000)
    assert ended(result) == ("refused", 3)


async def test_analysers_clock_is_set_to_beijing_time(world: World) -> None:
    await world.actions.run("ww1", "w01018", "set-time")
    assert world.line.writes == [(1, 16, 102, [0x2511, 0x2212, 0x0000])]
    await world.actions.run("ww1", "w01018", "set-time", time_ms=NOON_MS + 61_000)
    assert world.line.writes[-1] == (1, 16, 102, [0x2511, 0x2212, 0x0101])


# -- reading


async def test_getters_give_the_standards_fields(world: World) -> None:
    world.line.memory[1] |= {
        105: 0x0930,
        106: 4,
        107: 45,
        120: 0x01AB,
        121: 0xCDEF,
        102: 0x2511,
        103: 0x2212,
        104: 0x3015,
    }
    expected = {
        "get-cycle": {"CstartTime": "093000", "CTime": "2"},
        "time-to-result": {"Stime": "45"},
        "serial-number": {"SN": "01ABCDEF"},
        "get-time": {"SystemTime": "20251122123015"},
    }
    for action, data in expected.items():
        result = await world.actions.run("ww1", "w01018", action)
        assert (ended(result), result.data) == (("done", 1), data)


async def test_clock_in_six_registers_is_put_together(world: World) -> None:
    world.line.memory[2] |= {200: 2025, 201: 1, 202: 2, 203: 3, 204: 4, 205: 5}
    assert (await world.actions.run("ww1", "w21011", "get-time")).data == {"SystemTime": "20250102030405"}


@pytest.mark.parametrize("words", [[0x2513, 0x2212, 0x3015], [0, 0, 0], [0xABCD, 0, 0]])
async def test_number_that_is_no_time_is_no_data(world: World, words: list[int]) -> None:
    world.line.memory[1] |= {102 + index: word for index, word in enumerate(words)}
    assert ended(await world.actions.run("ww1", "w01018", "get-time")) == ("no-data", 100)


async def test_sample_is_kept_by_the_outlets_sampler_without_a_pollutant(world: World) -> None:
    world.line.memory[3][2] = 17
    result = await world.actions.run("ww1", None, "keep-sample")
    assert (result.data, world.line.writes) == ({"VaseNo": "17"}, [(3, 6, 1, [1])])


# -- what hinders


@pytest.mark.parametrize(
    ("outlet", "pol_id", "action"),
    [
        ("ww1", "w21011", "zero-span"),
        ("ww1", "w99999", "zero-span"),
        ("ww2", "w01018", "zero-span"),
        ("ww1", "w01018", "sample-now"),
        ("ww1", "w01018", "keep-sample"),
        ("ww1", None, "get-time"),
    ],
)
async def test_action_that_nobody_has_is_never_success(
    world: World, outlet: str, pol_id: str | None, action: str
) -> None:
    assert ended(await world.actions.run(outlet, pol_id, action)) == ("no-action", 3)
    assert world.line.asked == 0


async def test_one_action_at_a_time_and_reads_go_on(world: World) -> None:
    world.line.memory[1][101] = 1
    results: list[tuple[str, int]] = []

    async def others() -> None:
        names = ("clean", "zero-span", "time-to-result")
        results.extend([ended(await world.actions.run("ww1", "w01018", name)) for name in names])
        results.append(ended(await world.actions.write_info("ww1", "w01018", "i13004", "40")))
        results.append(ended(await world.actions.read_info("ww1", "w01018", "i13004")))
        results.append(ended(await world.actions.run("ww1", None, "keep-sample")))
        world.line.memory[1][101] = 0

    first = asyncio.create_task(world.actions.run("ww1", "w01018", "zero-span"))
    await asyncio.sleep(0)
    await asyncio.gather(first, others())
    assert results == [("busy", 5), ("busy", 5), ("done", 1), ("busy", 5), ("done", 1), ("done", 1)]
    assert ended(first.result()) == ("done", 1)


async def test_second_zero_span_within_half_an_hour_is_refused(world: World) -> None:
    assert ended(await world.actions.run("ww1", "w01018", "zero-span")) == ("done", 1)
    began = world.clock.now_s - 5
    hindered = world.actions.hindrance("ww1", "w01018", "zero-span")
    assert hindered is not None
    assert ended(hindered) == ("refused", 3)
    assert ended(await world.actions.run("ww1", "w01018", "zero-span")) == ("refused", 3)
    assert ended(await world.actions.run("ww1", "w01018", "clean")) == ("done", 1)
    world.clock.now_s = began + 1_801
    assert world.actions.hindrance("ww1", "w01018", "zero-span") is None
    assert ended(await world.actions.run("ww1", "w01018", "zero-span")) == ("done", 1)


async def test_zero_span_that_never_began_may_be_asked_for_again(world: World) -> None:
    world.line.fails = [DeviceRefused("drivers.modbus.exception-6", exception=6, function=6)]
    assert ended(await world.actions.run("ww1", "w01018", "zero-span")) == ("busy", 5)
    assert ended(await world.actions.run("ww1", "w01018", "zero-span")) == ("done", 1)


async def test_zero_span_that_may_have_begun_counts_as_begun(world: World) -> None:
    world.line.fails = [OutcomeUnknown("drivers.write-unknown", instrument="cod", reason="drivers.silent")]
    assert ended(await world.actions.run("ww1", "w01018", "zero-span")) == ("timeout", 4)
    assert ended(await world.actions.run("ww1", "w01018", "zero-span")) == ("refused", 3)


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (DeviceRefused("drivers.modbus.exception-4", exception=4, function=6), ("fault", 2)),
        (DeviceRefused("drivers.modbus.exception-6", exception=6, function=6), ("busy", 5)),
        (DeviceSilent("drivers.silent", instrument="cod", timeout_s=1), ("timeout", 4)),
        (OutcomeUnknown("drivers.write-unknown", instrument="cod", reason="x"), ("timeout", 4)),
        (PortLost("drivers.port-gone", port="p"), ("fault", 6)),
        (LineClosed("drivers.line-stopped", line="l1"), ("fault", 6)),
        (LineBusy("drivers.line-full", line="l1", count=32), ("busy", 5)),
    ],
)
async def test_each_way_to_fail_has_its_exe_rtn(world: World, error: DriverError, result: tuple[str, int]) -> None:
    world.line.fails = [error]
    assert ended(await world.actions.run("ww1", "w01018", "clean")) == result
    assert world.actions.mark_of("cod") is None


async def test_action_that_is_cancelled_frees_its_instrument(world: World) -> None:
    world.line.memory[1][101] = 1
    task = asyncio.create_task(world.actions.run("ww1", "w01018", "zero-span"))
    await asyncio.sleep(0)
    assert world.actions.mark_of("cod") == "C"
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert world.actions.mark_of("cod") is None


# -- states and parameters


async def test_infos_are_read_as_the_standard_wants_them(world: World) -> None:
    world.line.memory[1] |= {130: 1600, 131: 3, 132: 0x2511, 133: 0x2212, 134: 0x0000}
    expected = {"i13004": "165.0", "i12001": "2", "i13006": "20251122120000"}
    for info, text in expected.items():
        assert (await world.actions.read_info("ww1", "w01018", info)).data == {"Info": text}


async def test_state_that_is_not_in_the_map_is_no_data(world: World) -> None:
    world.line.memory[1][131] = 9
    assert ended(await world.actions.read_info("ww1", "w01018", "i12001")) == ("no-data", 100)


@pytest.mark.parametrize(("raw", "scale"), [(3.4e38, 1e300), (math.inf, 1.0), (math.nan, 1.0)])
def test_parameter_that_is_no_number_is_no_data(raw: float, scale: float) -> None:
    with pytest.raises(NoData):
        info_text(Info(info="i13004", outlet="ww1", scale=scale), Reading("x", raw))


async def test_info_that_nobody_has_is_no_data_and_cannot_be_set(world: World) -> None:
    assert ended(await world.actions.read_info("ww1", "w01018", "i13009")) == ("no-data", 100)
    assert ended(await world.actions.write_info("ww1", "w01018", "i13009", "1")) == ("no-action", 3)
    assert ended(await world.actions.write_info("ww1", "w01018", "i12001", "1")) == ("no-action", 3)


async def test_info_that_two_instruments_have_needs_a_pollutant(world: World) -> None:
    assert ended(await world.actions.read_info("ww1", None, "i13004")) == ("refused", 3)
    assert (await world.actions.read_info("ww1", None, "i12001")).code == "no-data"
    world.line.memory[2] |= {9: 0x3F80, 10: 0x0000}
    assert (await world.actions.read_info("ww1", "w21011", "i13004")).data == {"Info": "1"}


async def test_parameter_is_written_back_through_scale_and_offset(world: World) -> None:
    assert ended(await world.actions.write_info("ww1", "w01018", "i13004", "165.3")) == ("done", 1)
    assert world.line.writes == [(1, 6, 130, [1603])]
    await world.actions.write_info("ww1", "w01018", "i13006", "20260131093000")
    assert world.line.writes[-1] == (1, 16, 132, [0x2601, 0x3109, 0x3000])


@pytest.mark.parametrize(("info", "text"), [("i13004", "hot"), ("i13004", "nan"), ("i13004", "1e9"), ("i13004", "5.05"),
                                            ("i13006", "20261331000000"), ("i13006", "9")])  # fmt: skip
async def test_parameter_that_cannot_be_meant_is_refused_and_not_written(world: World, info: str, text: str) -> None:
    assert ended(await world.actions.write_info("ww1", "w01018", info, text)) == ("refused", 3)
    assert world.line.writes == []


def test_what_there_is_can_be_listed(world: World) -> None:
    assert world.actions.having("get-time") == (("ww1", "w01018"), ("ww1", "w21011"))
    assert world.actions.having("keep-sample") == (("ww1", None),)
    assert world.actions.infos("ww1") == (
        ("w01018", "i13004"), ("w01018", "i12001"), ("w01018", "i13006"), ("w21011", "i13004"),
    )  # fmt: skip


# -- the whole way, with a simulated instrument


async def test_simulated_instrument_is_calibrated_through_a_real_line(tmp_path: Path) -> None:
    clock = SimulatedClock(NOON_MS, 60.0)
    bus = SimulatedBus("water", clock, baud=115_200)
    bus.start()
    path = tmp_path / "site.toml"
    head = '[site]\nname = "x"\n[outlets.ww1]\nname = "x"\nst = 32\nstatistics = "water"\n'
    path.write_text(head + site_blocks("water", bus.path, "ww1", baud=115_200), encoding="utf-8")
    site = load(path)
    instruments = [
        LineInstrument(name, driver_class(one.driver)(instrument_spec(name, one)), every_ms=60_000)
        for name, one in site.instruments.items()
    ]
    worker = LineWorker("rs485-1", LineSettings(bus.path, 115_200), instruments, lambda poll: None, clock)
    worker.start()
    try:
        actions = Actions(site, {"rs485-1": worker}, clock)
        calibrating = asyncio.create_task(actions.run("ww1", "w01018", "zero-span"))
        state = ""
        while state != "3":
            await clock.sleep(1)
            state = (await actions.read_info("ww1", "w01018", "i12001")).data.get("Info", "")
        assert actions.mark_of("cod") == "C"
        assert ended(await calibrating) == ("done", 1)
        kept = await actions.run("ww1", "w21003", "keep-sample")
        assert kept.data == {"VaseNo": "1"}
        number = await actions.run("ww1", "w21011", "serial-number")
        assert number.data == {"SN": "SIM" + "TP".rjust(21, "0")}
    finally:
        worker.stop()
        bus.stop()
