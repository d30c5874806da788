"""A line whose speed, protocol and addresses nobody knows: scanned in virtual time, and on a pty with pymodbus."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from peers import cable, pymodbus_context, pymodbus_server
from pymodbus.server import ModbusSerialServer
from virtual_line import Answers, VirtualPort, VirtualTime, framed

from drivers import frames, identify, scan
from drivers.bus import Caller, LineBus
from drivers.errors import PortLost
from drivers.port import LineSettings
from drivers.scan import Found, Setting, Wish
from drivers.simulated.slaves import of_model
from edge.tools.own_line import OwnLine, ToolBus

Peer = Callable[[bytes, Setting], Answers]
METER = "000012345678"
RIGHT = Setting(9600, "8N1")


class World:
    """A line in virtual time; `peer` is told the setting at which it is spoken to."""

    def __init__(self, peer: Peer) -> None:
        self.time = VirtualTime()
        self.peer = peer
        self.written: list[bytes] = []

    @contextmanager
    def at(self, setting: Setting) -> Iterator[LineBus]:
        def answered(data: bytes, _end: float) -> Answers:
            self.written.append(data)
            return self.peer(data, setting)

        port = VirtualPort(self.time, answered, setting.baud)
        yield LineBus(port, LineSettings("virtual", setting.baud, setting.format), self.time.mono_s)

    def found(self, wish: Wish) -> list[Found]:
        return [one for step in scan.scan(wish, self.at) for one in step.found]


def slaves(*addresses: int, setting: Setting = RIGHT, delay_s: float = 0.02, refuse: bool = False) -> Peer:
    """Modbus slaves whose register 0 is 7."""

    def peer(data: bytes, at: Setting) -> Answers:
        if at != setting or data[0] not in addresses or data[1:2] != b"\x03":
            return ()
        answer = f"{data[0]:02X} 83 02" if refuse else f"{data[0]:02X} 03 02 00 07"
        return [(delay_s, framed(answer))]

    return peer


def names(found: list[Found]) -> list[tuple[str, int | str, int, str]]:
    return [(one.protocol, one.address, one.setting.baud, one.setting.format) for one in found]


def test_three_slaves_at_an_odd_speed_are_found_and_other_speeds_are_left_alone_then() -> None:
    right = Setting(19200, "8E1")
    world = World(slaves(2, 16, 201, setting=right))
    steps = list(scan.scan(Wish(protocols=("modbus",)), world.at))
    found = [one for step in steps for one in step.found]
    assert names(found) == [("modbus", address, 19200, "8E1") for address in (2, 16, 201)]
    first = next(index for index, step in enumerate(steps) if step.found)
    assert {step.probe.setting for step in steps[first:]} == {right}
    assert steps[-1].done == steps[-1].total == len(steps)
    assert steps[-1].left_s == pytest.approx(0.0, abs=1e-6)


def test_the_usual_speed_and_addresses_come_first() -> None:
    plan = scan.plan(Wish())
    assert [(p.setting, p.protocol, p.address) for p in plan[:2]] == [(RIGHT, "modbus", 1), (RIGHT, "modbus", 2)]
    rare = next(index for index, probe in enumerate(plan) if probe.address == 200)
    meters = [index for index, probe in enumerate(plan) if probe.protocol == "dlt645-2007"]
    assert max(meters) < rare
    assert len({(p.setting, p.protocol, p.address) for p in plan}) == len(plan)


def test_wishes_narrow_the_plan() -> None:
    plan = scan.plan(Wish(protocols=("modbus",), bauds=(4800,), formats=("8N2",), addresses=(7, 300)))
    assert [(p.setting, p.address) for p in plan] == [(Setting(4800, "8N2"), 7)]


def test_what_the_line_is_said_to_have_is_tried_first_and_once() -> None:
    said = Setting(4800, "8E1")
    plan = scan.plan(Wish(protocols=("modbus", "dlt645-2007"), first=said))
    assert plan[0].setting == said
    assert len({(p.setting, p.protocol, p.address) for p in plan}) == len(plan)


def test_everywhere_goes_on_behind_the_first_find() -> None:
    world = World(slaves(1))
    settings = {step.probe.setting for step in scan.scan(Wish(("modbus",), addresses=(1,), everywhere=True), world.at)}
    assert len(settings) > 10


def test_slave_that_refuses_the_register_is_there_and_a_gateways_word_is_not() -> None:
    assert names(World(slaves(4, refuse=True)).found(Wish(("modbus",), addresses=(3, 4, 5)))) == [
        ("modbus", 4, 9600, "8N1")
    ]
    gateway = World(lambda data, _at: [(0.02, framed(f"{data[0]:02X} 83 0B"))])
    assert gateway.found(Wish(("modbus",), bauds=(9600,), formats=("8N1",), addresses=(1, 2))) == []


def test_slave_that_answers_too_late_is_asked_again_with_more_time() -> None:
    world = World(slaves(3, delay_s=0.6))
    found = world.found(Wish(("modbus",), bauds=(9600,), formats=("8N1",), addresses=(2, 3, 4, 5, 6, 7)))
    assert names(found) == [("modbus", 3, 9600, "8N1")]


def test_slow_silence_before_a_wildcard_does_not_keep_the_meter_from_being_asked() -> None:
    own = "68 78 56 34 12 00 00 68 93 06 AB 89 67 45 33 33"
    answer = bytes.fromhex(own) + bytes((sum(bytes.fromhex(own)) & 0xFF, 0x16))
    world = World(lambda data, at: [(0.1, answer)] if bytes.fromhex("68 13 00 DF 16") in data else ())
    wish = Wish(("modbus", "dlt645-2007"), bauds=(9600,), formats=("8E1",), addresses=(1,), timeout_s=2.0)
    assert names(world.found(wish)) == [("dlt645-2007", METER, 9600, "8E1")]


def test_setting_that_the_port_cannot_have_is_left_out_and_a_port_that_is_lost_ends_the_scan() -> None:
    world, lost = World(slaves(3)), False

    @contextmanager
    def at(setting: Setting) -> Iterator[LineBus]:
        if lost or setting.format == "7E1":
            raise PortLost("drivers.port-lost", port="virtual", reason="invalid")
        with world.at(setting) as bus:
            yield bus

    wish = Wish(("modbus-ascii", "modbus"), addresses=(1, 2), everywhere=True)
    formats = {step.probe.setting.format for step in scan.scan(wish, at)}
    assert formats == {"8N1", "8E1", "8O1"}
    steps = scan.scan(wish, at)
    next(steps)
    lost = True
    with pytest.raises(PortLost):
        list(steps)


def test_damaged_bytes_say_that_somebody_speaks_here() -> None:
    world = World(lambda data, _at: [(0.02, b"\x01\x03\x02\x00\x07\xff\xff")] if data[0] == 1 else ())
    steps = list(scan.scan(Wish(("modbus",), bauds=(9600,), formats=("8N1",), addresses=(1, 2)), world.at))
    assert [(step.probe.address, step.damaged, step.found) for step in steps] == [(1, True, ()), (2, False, ())]


def test_meter_module_and_water_meter_are_found_by_their_own_protocols() -> None:
    meter = of_model("dlt645-2007", METER, {"i33201": 1234.56})

    def peer(data: bytes, at: Setting) -> Answers:
        body = data.lstrip(b"\xfe")
        if at == Setting(2400, "8E1") and body[:1] == b"\x68" and (size := meter.length(body)):
            return [(0.1, meter.answer(body[:size], 0))]
        if at == RIGHT and data in (b"$022\r", b"$02M\r"):
            return [(0.01, b"!02070600\r" if data[3:4] == b"2" else b"!024017\r")]
        return ()

    assert names(World(peer).found(Wish(("dlt645-2007", "dlt645-1997")))) == [("dlt645-2007", METER, 2400, "8E1")]
    (module,) = World(peer).found(Wish(("adam",), addresses=range(5)))
    assert (module.address, module.said) == (2, "4017")


def test_meter_that_does_not_read_by_wildcard_tells_its_address() -> None:
    """DL/T 645-2007 §7.1.4: C 13 asks for the address; the answer's data are the address, + 33 each."""
    own = "68 78 56 34 12 00 00 68 93 06 AB 89 67 45 33 33"
    body = bytes.fromhex(own)
    answer = body + bytes((sum(body) & 0xFF, 0x16))
    world = World(lambda data, at: [(0.1, answer)] if bytes.fromhex("68 13 00 DF 16") in data else ())
    assert names(world.found(Wish(("dlt645-2007",)))) == [("dlt645-2007", METER, 2400, "8E1")]


def test_a_scan_of_everything_and_the_identification_write_nothing() -> None:
    world = World(slaves(1, 2, setting=Setting(115_200, "8N1"), refuse=True))
    world.found(Wish(everywhere=True, addresses=(1, 2, 3)))
    with world.at(Setting(115_200, "8N1")) as bus:
        asking = ToolBus(bus, Caller("x", 0.2))
        identify.identity(asking, 1, "rtu")
        identify.candidates(asking, 1, "rtu")
    assert len(world.written) > 100
    for data in world.written:
        frame = frames.frame(data)
        assert frame is not None, data
        if frame.protocol == "adam":
            assert data[3:] in (b"2\r", b"M\r")
        elif frame.protocol.startswith("modbus"):
            assert frame.fields["function"] in (1, 2, 3, 4, 43), data
        else:
            assert frame.fields["control"] in (0x01, 0x11, 0x13), data


def test_slave_of_pymodbus_is_found_on_a_pty_and_identified() -> None:
    with cable() as (ours, theirs):
        make = lambda: ModbusSerialServer(pymodbus_context(), port=theirs, baudrate=115_200)  # noqa: E731
        with pymodbus_server(make):
            own = OwnLine(LineSettings(ours))
            wish = Wish(("modbus",), bauds=(115_200,), formats=("8N1",), addresses=(5,))  # it answers for others, too
            found = [one for step in scan.scan(wish, lambda at: own.at(at.baud, at.format)) for one in step.found]
            assert names(found) == [("modbus", 5, 115_200, "8N1")]
            with own.at(115_200, "8N1") as bus:
                said = identify.identity(ToolBus(bus, Caller("x", 0.5)), 5, "rtu")
            assert set(said) <= set(identify.IDENTITY)
            own.stop.close()


# models


def candidates(name: str, values: dict[str, float], extra: Path | None = None) -> list[identify.Candidate]:
    model = of_model(name, 1, values)
    world = World(lambda data, _at: [(0.01, answer)] if (answer := model.answer(data, 0)) else ())
    with world.at(RIGHT) as bus:
        return identify.candidates(ToolBus(bus, Caller("x", 0.2)), 1, "rtu", extra)


def test_model_with_registers_of_its_own_is_known_and_a_float_at_register_0_is_not() -> None:
    dust = {"a34013": 12.5, "a01012": 118.0, "a01011": 11.5}
    found = candidates("pl-pmm180", dust)
    best = identify.known(found)
    assert best is not None
    assert (best.model, best.values["a34013"]) == ("pl-pmm180", 12.5)
    several = candidates("hach-cod", {"w01018": 35.6})
    assert identify.known(several) is None
    assert {"hach-cod", "hach-amtax"} <= {one.model for one in several}


def test_empty_registers_are_no_model() -> None:
    assert candidates("hach-cod", {}) == []


@pytest.mark.parametrize(
    "point",
    ['type = "float32"', 'factor = "a"\nregister = 0\ntype = "float32"\nscale = "x"', 'factor = "a"\nregister = "0"'],
)
def test_own_file_that_is_wrong_does_not_end_the_comparison_with_the_others(tmp_path: Path, point: str) -> None:
    (tmp_path / "own.toml").write_text(f'[model]\ndriver = "modbus"\n[[points]]\n{point}\n', encoding="utf-8")
    found = candidates("pl-pmm180", {"a34013": 12.5, "a01012": 118.0, "a01011": 11.5}, tmp_path)
    assert found[0].model == "pl-pmm180"
