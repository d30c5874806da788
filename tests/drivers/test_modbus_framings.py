"""RTU, ASCII and TCP of one driver, functions 23 and 43, what is written first; against literal bytes and pymodbus."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from peers import EVERYTHING, EXPECTED, bus_on, cable, libmodbus_slave, points, pymodbus_context, pymodbus_server
from pymodbus import ModbusDeviceIdentification
from pymodbus.framer import FramerType
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from script import Script
from virtual_line import Answers, VirtualPort, VirtualTime, framed

from drivers.bus import Caller, LineBus
from drivers.driver import InstrumentSpec, PointSpec, Request
from drivers.errors import BadAnswer, BadOption, DeviceRefused, DeviceSilent
from drivers.modbus import Modbus, PointOptions, WriteOptions
from drivers.modbus_frame import Framing, ascii_, tcp
from drivers.modbus_pdu import read_ask
from drivers.port import LineSettings

FLOAT = {"register": 0, "type": "float32", "order": "CDAB"}
ASK = read_ask(1, 3, 0, 2)


def lrc_framed(text: str) -> bytes:
    """`:` hexadecimal digits, LRC by its definition (GB/T 19582.2 §6.5.1.1), CR LF."""
    body = bytes.fromhex(text)
    return f":{body.hex().upper()}{(256 - sum(body) % 256) % 256:02X}\r\n".encode("ascii")


# -- literal bytes


def test_ascii_frames_are_digits_with_lrc() -> None:
    bus = Script(b":0103046666420EDC\r\n")
    assert points(FLOAT, address=1, framing="ascii").read(bus)[0].value == pytest.approx(35.6, abs=1e-5)
    assert bus.asked == [b":010300000002FA\r\n"]


def test_tcp_frames_have_a_new_number_each_time_and_no_crc() -> None:
    bus = Script(
        bytes.fromhex("0001 0000 0007 05 03 04 66 66 42 0E"), bytes.fromhex("0002 0000 0007 05 03 04 3F80 0000")
    )
    modbus = points({"register": 0, "type": "float32"}, address=5, framing="tcp")
    modbus.read(bus)
    assert modbus.read(bus)[0].value == 1.0
    assert bus.asked == [
        bytes.fromhex("0001 0000 0006 05 03 0000 0002"),
        bytes.fromhex("0002 0000 0006 05 03 0000 0002"),
    ]


def test_tcp_takes_unit_0_and_the_others_do_not() -> None:
    assert points(address=0, framing="tcp").read(Script()) == []
    for framing in ("rtu", "ascii"):
        with pytest.raises(BadOption):
            points(address=0, framing=framing)


@pytest.mark.parametrize(
    ("request_", "answer"),
    [(ascii_(ASK), lrc_framed("01 83 02")), (tcp(ASK, 7), bytes.fromhex("0007 0000 0003 01 83 02"))],
)
def test_exception_is_told_in_every_framing(request_: Request, answer: bytes) -> None:
    assert request_.length(answer) == len(answer)
    with pytest.raises(DeviceRefused) as caught:
        request_.check(answer)
    assert caught.value.params == {"exception": 2, "function": 3, "register": 0, "count": 2}


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (tcp(ASK, 7), bytes.fromhex("0006 0000 0007 01 03 04 00000000")),  # an earlier request's
        (tcp(ASK, 7), bytes.fromhex("0007 0000 0007 02 03 04 00000000")),  # another unit
        (tcp(ASK, 7), bytes.fromhex("0007 0000 0005 01 03 02 0000")),  # another length
        (ascii_(ASK), lrc_framed("02 03 04 00000000")),
        (ascii_(ASK), lrc_framed("01 03 02 0000")),
    ],
)
def test_what_belongs_to_another_request_cannot_begin_an_answer(request_: Request, answer: bytes) -> None:
    assert request_.length(answer) == 0


def test_lower_case_digits_are_read_and_a_wrong_lrc_is_not() -> None:
    request = ascii_(ASK)
    answer = lrc_framed("01 03 04 6666420E")
    request.check(answer.lower())
    assert request.length(answer.lower()) == len(answer)
    for at in range(1, len(answer) - 2):
        damaged = answer[:at] + (b"0" if answer[at : at + 1] != b"0" else b"1") + answer[at + 1 :]
        with pytest.raises(BadAnswer):
            request.check(damaged)


@pytest.mark.parametrize("blanks", ["  ", "\t ", " \n"])
def test_ascii_digits_that_became_blanks_are_damage_although_the_lrc_is_right(blanks: str) -> None:
    """00 adds nothing to the sum: without it the other bytes would move up, and 0064 00C8 be read as 6400 C8."""
    answer = lrc_framed("01 03 04 0064 00C8")
    damaged = answer[:7] + blanks.encode("ascii") + answer[9:]
    assert (answer[7:9], len(damaged)) == (b"00", len(answer))
    with pytest.raises(BadAnswer):
        ascii_(ASK).check(damaged)


@given(st.binary(min_size=4, max_size=4), st.sampled_from(["rtu", "ascii", "tcp"]), st.integers(0, 40))
def test_answer_is_measured_from_any_part_of_it(data: bytes, name: Any, cut: int) -> None:
    """Too little says nothing yet; enough says the whole length; what is taken out is the PDU."""
    framing = Framing(name)
    request = framing.maker(ASK)()
    body = b"\x01\x03\x04" + data
    answer = {
        "rtu": framed(body.hex()),
        "ascii": lrc_framed(body.hex()),
        "tcp": bytes.fromhex("0001 0000 0007") + body,
    }[name]
    part = answer[:cut]
    assert request.length(part) in (None, len(answer))
    assert request.length(answer) == len(answer)
    assert framing.pdu(answer) == body[1:]


# -- late answers


def test_late_tcp_answer_is_not_used_for_the_next_register() -> None:
    """Its number is an old one; were it new, a gateway's own mix-up, the next request waited for it."""
    first, second = tcp(ASK, 1), tcp(read_ask(1, 3, 10, 2), 2)
    late = bytes.fromhex("0001 0000 0007 01 03 04 00000000")
    right = bytes.fromhex("0002 0000 0007 01 03 04 0A0A0A0A")
    script: list[Answers] = [[(1.5, late)], [(0.01, right)]]
    clock = VirtualTime()
    port = VirtualPort(clock, lambda data, end: script.pop(0))
    bus, caller = LineBus(port, LineSettings("virtual"), clock.mono_s), Caller("a")
    with pytest.raises(DeviceSilent):
        bus.ask(caller, first, 1)
    assert bus.ask(caller, second, 1) == right
    assert (port.written[1][0] - port.written[0][0], caller.counters.late) == (pytest.approx(4.0, abs=0.03), 1)


def test_tcp_answer_is_taken_as_soon_as_it_is_there() -> None:
    clock = VirtualTime()
    answer = bytes.fromhex("0001 0000 00FD 01 03 FA") + bytes(250)
    port = VirtualPort(clock, lambda data, end: [(0.0, answer)], 10_000_000)
    bus = LineBus(port, LineSettings("virtual", 9600), clock.mono_s)
    began = clock.now
    bus.ask(Caller("a"), tcp(read_ask(1, 3, 0, 125), 1), 1)
    assert clock.now - began < 0.02


# -- functions 23 and 43


def test_function_23_writes_and_reads_in_one_exchange() -> None:
    """GB/T 19582.1 §6.17: six registers from 3 on, 00FF written three times from 14 on."""
    names = [0x00FE, 0x0ACD, 1, 3, 13, 255]
    options = [
        {"function": 23, "register": 3 + index, "type": "uint16", "with_write": (14, 255, 255, 255)}
        for index in range(6)
    ]
    bus = Script(framed("01 17 0C 00FE 0ACD 0001 0003 000D 00FF"))
    assert [reading.value for reading in points(*options, address=1).read(bus)] == names
    assert bus.asked == [framed("01 17 0003 0006 000E 0003 06 00FF 00FF 00FF")]


def test_points_with_another_write_are_another_request() -> None:
    options = [{"function": 23, "register": 0, "type": "uint16", "with_write": (9, value)} for value in (1, 2)]
    bus = Script(framed("01 17 02 000A"), framed("01 17 02 000B"))
    assert [reading.value for reading in points(*options, address=1).read(bus)] == [10.0, 11.0]


def test_identification_is_read_by_function_43() -> None:
    """GB/T 19582.1 §6.21: "Company identification" has 22 characters."""
    job = points(address=1).reader(PointSpec("x", PointOptions(function=43, register=0, type="text")))
    text = b"Company identification"
    bus = Script(framed("01 2B 0E 04 81 00 00 01 00 16" + text.hex()))
    assert job(bus).text == "Company identification"
    assert bus.asked == [framed("01 2B 0E 04 00")]


def test_texts_of_the_identification_are_asked_for_one_by_one() -> None:
    """Neighbours like registers 0 and 1, but an answer brings one: the other would be given the first one's text."""
    specs = [
        PointSpec(str(item), PointOptions(function=43, register=item, type="text"), text_ok=True) for item in (0, 1)
    ]
    modbus = Modbus(InstrumentSpec("x", 1, specs))
    bus = Script(framed("01 2B 0E 04 81 00 00 01 00 01 41"), framed("01 2B 0E 04 81 00 00 01 01 01 42"))
    assert [reading.text for reading in modbus.read(bus)] == ["A", "B"]
    assert bus.asked == [framed("01 2B 0E 04 00"), framed("01 2B 0E 04 01")]


def test_another_text_than_the_one_asked_for_is_not_taken() -> None:
    job = points(address=1).reader(PointSpec("x", PointOptions(function=43, register=1, type="text")))

    class Other:
        def ask(self, request: Request) -> bytes:
            assert request.length(framed("01 2B 0E 04 81 00 00 01 00 01 41")) == 0
            raise DeviceSilent("drivers.silent")

    with pytest.raises(DeviceSilent):
        job(Other())


# -- written first


def test_what_is_written_before_each_poll_goes_first_and_has_to_succeed() -> None:
    modbus = points(FLOAT, address=1, before_read=((6, 0x10, 1), (5, 2, 1)))
    echoes = (framed("01 06 0010 0001"), framed("01 05 0002 FF00"))
    bus = Script(*echoes, framed("01 03 04 6666420E"))
    assert modbus.read(bus)[0].value == pytest.approx(35.6, abs=1e-5)
    assert bus.asked == [*echoes, framed("01 03 0000 0002")]
    with pytest.raises(DeviceSilent):
        modbus.read(Script(DeviceSilent("drivers.silent")))


def test_lock_is_opened_before_a_write_in_the_same_turn() -> None:
    modbus = points(address=1, unlock=((6, 200, 1234),))
    bus = Script(framed("01 06 00C8 04D2"), framed("01 06 0064 0001"))
    modbus.writer(WriteOptions(register=100), [1.0])(bus)
    assert bus.asked == [framed("01 06 00C8 04D2"), framed("01 06 0064 0001")]


@pytest.mark.parametrize("one", [(6, 0, 65536), (5, 0, 2), (16, 0, 1), (6, 65536, 0), (6, 0, -1)])
def test_unusable_fixed_write_is_refused(one: tuple[int, int, int]) -> None:
    for key in ("before_read", "unlock"):
        with pytest.raises(BadOption) as caught:
            points(address=1, **{key: (one,)})
        assert caught.value.code == "drivers.modbus.fixed-write"


# -- types


@pytest.mark.parametrize(
    ("options", "data", "value"),
    [
        ({"type": "uint16", "bits": (0, 3)}, "12 34", 4.0),
        ({"type": "uint16", "bits": (8, 15)}, "12 34", 0x12),
        ({"type": "uint32", "bit": 31}, "80 00 00 00", 1.0),
        ({"type": "uint32", "bits": (12, 19), "order": "CDAB"}, "50 00 00 0A", 0xA5),
        # TUF-2000: 12345 m³ as a long and 0.25 as a float, low words first
        ({"type": "int32+float32", "order": "CDAB"}, "30 39 00 00 00 00 3E 80", 12345.25),
        ({"type": "uint32+float32"}, "00 00 00 07 BF 00 00 00", 6.5),
        ({"type": "int32+float32"}, "00 00 00 07 3F 80 00 00", None),
        ({"type": "time"}, "25 11 22 09 30 00", 20251122093000.0),
        ({"type": "time", "words": 4}, "20 25 11 22 09 30 00 00", 20251122093000.0),
        ({"type": "time", "order": "BADC"}, "11 25 09 22 00 30", 20251122093000.0),
        ({"type": "time", "words": 5}, "07 E9 00 0B 00 16 00 09 00 1E", 20251122093000.0),
        ({"type": "time", "words": 6}, "00 19 00 0B 00 16 00 09 00 1E 00 3B", 20251122093059.0),
        ({"type": "time"}, "25 02 30 09 30 00", None),
        ({"type": "time"}, "FF FF FF FF FF FF", None),
        ({"type": "time", "words": 6}, "FF FF 00 00 00 00 00 00 00 00 00 00", None),
        ({"type": "time", "words": 5}, "07 EA 00 09 00 03 00 05 00 D3", None),  # minute 211
        ({"type": "time", "words": 5}, "07 EA 00 05 00 79 00 03 00 33", None),  # the 121st
    ],
)
def test_each_type_is_read(options: dict[str, Any], data: str, value: float | None) -> None:
    raw = bytes.fromhex(data)
    bus = Script(framed(f"01 03 {len(raw):02X}" + data))
    (reading,) = points({"register": 7, **options}, address=1).read(bus)
    assert (reading.value, reading.error is None) == (value, value is not None)


@pytest.mark.parametrize(
    ("point", "code"),
    [
        ({"type": "uint16", "bits": (3, 16)}, "drivers.modbus.bits"),
        ({"type": "uint16", "bits": (3, 2)}, "drivers.modbus.bits"),
        ({"type": "uint16", "bit": 16}, "drivers.modbus.bits"),
        ({"type": "uint16", "bit": 1, "bits": (0, 1)}, "drivers.modbus.bit"),
        ({"type": "time", "words": 2}, "drivers.modbus.time-words"),
        ({"type": "uint16", "function": 43}, "drivers.modbus.identity"),
        ({"type": "uint16", "function": 23}, "drivers.modbus.with-write"),
        ({"type": "uint16", "function": 23, "with_write": (1,)}, "drivers.modbus.with-write"),
        ({"type": "uint16", "with_write": (1, 2)}, "drivers.modbus.with-write"),
        ({"type": "uint16", "function": 23, "with_write": (1, 65536)}, "drivers.modbus.with-write"),
    ],
)
def test_unusable_point_is_refused_with_its_reason(point: dict[str, Any], code: str) -> None:
    with pytest.raises(BadOption) as caught:
        points({"register": 0, **point}, address=1)
    assert caught.value.code == code


# -- against pymodbus and libmodbus

EXCHANGED = {"function": 23, "register": 40, "type": "uint16", "with_write": (10, 77)}


def test_pymodbus_slave_that_speaks_ascii_is_read() -> None:
    with (
        cable() as (ours, theirs),
        pymodbus_server(
            lambda: ModbusSerialServer(pymodbus_context(), framer=FramerType.ASCII, port=theirs, baudrate=115_200)
        ),
        bus_on(ours) as bus,
    ):
        readings = points(*EVERYTHING, framing="ascii").read(bus)
        assert {reading.point: reading.value for reading in readings} == EXPECTED
        with pytest.raises(DeviceRefused):
            points({"register": 500, "type": "uint16"}, framing="ascii").read(bus)


def test_pymodbus_server_is_read_written_and_identified_by_modbus_tcp() -> None:
    identity = ModbusDeviceIdentification(info_name={"VendorName": "maker", "MajorMinorRevision": "1.23"})
    with (
        pymodbus_server(lambda: ModbusTcpServer(pymodbus_context(), identity=identity, address=("127.0.0.1", 17503))),
        bus_on("socket://127.0.0.1:17503", 9600) as bus,
    ):
        modbus = points(*EVERYTHING, framing="tcp")
        assert {reading.point: reading.value for reading in modbus.read(bus)} == EXPECTED
        modbus.writer(WriteOptions(function=16, register=20, type="float32"), [35.5])(bus)
        assert points({"register": 20, "type": "float32"}, framing="tcp").read(bus)[0].value == 35.5
        assert points(EXCHANGED, framing="tcp").read(bus)[0].value == 40.0
        assert points({"register": 10, "type": "uint16"}, framing="tcp").read(bus)[0].value == 77.0
        for item, text in enumerate(["maker", "", "1.23"]):
            if text:
                options = PointOptions(function=43, register=item, type="text")
                assert modbus.reader(PointSpec("x", options))(bus).text == text
        with pytest.raises(DeviceRefused):
            points({"register": 500, "type": "uint16"}, framing="tcp").read(bus)


def test_libmodbus_slave_takes_function_23() -> None:
    with cable() as (ours, theirs), libmodbus_slave(theirs), bus_on(ours) as bus:
        assert points(EXCHANGED).read(bus)[0].value == 40.0
        assert points({"register": 10, "type": "uint16"}).read(bus)[0].value == 77.0
