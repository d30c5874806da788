"""Writes against the standard's own bytes, against construct, and against answers that come late, wrong or never."""

from __future__ import annotations

import random
from typing import Any

import construct
import pytest
from hypothesis import given
from hypothesis import strategies as st
from virtual_line import Answers, VirtualPort, VirtualTime, framed

from drivers.bus import Caller, LineBus
from drivers.driver import InstrumentSpec, PointSpec, Request
from drivers.errors import BadAnswer, BadOption, DeviceRefused, DeviceSilent, OutcomeUnknown
from drivers.modbus import Modbus, PointOptions, WriteOptions
from drivers.modbus_frame import write_request
from drivers.port import LineSettings

SILENCE_S = 3.5 * 10 / 9600
DRIVER = Modbus(InstrumentSpec("x", 0x11, []))


class Echo:
    """A bus that answers every write as it should be and keeps the requests."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []

    def ask(self, request: Request) -> bytes:
        self.asked.append(request.data)
        answer = framed(request.data[:6].hex())
        assert request.length(answer) == len(answer)
        request.check(answer)
        return answer


def written(options: Any, *values: Any) -> bytes:
    bus = Echo()
    DRIVER.writer(options, values)(bus)
    (request,) = bus.asked
    return request


# -- literal bytes: the examples of GB/T 19582.1 §6.5, §6.6, §6.11, §6.12 at slave 17


def test_one_coil_is_written_as_in_the_standard() -> None:
    request = written(WriteOptions(function=5, register=0xAC), 1)
    assert request == bytes.fromhex("11 05 00 AC FF 00 4E 8B")


def test_one_register_is_written_as_in_the_standard() -> None:
    assert written(WriteOptions(function=6, register=1), 3) == bytes.fromhex("11 06 00 01 00 03 9A 9B")


def test_ten_coils_are_written_as_in_the_standard() -> None:
    bits = (1, 0, 1, 1, 0, 0, 1, 1, 1, 0)
    request = written(WriteOptions(function=15, register=19), *bits)
    assert request == bytes.fromhex("11 0F 00 13 00 0A 02 CD 01 BF 0B")


def test_two_registers_are_written_as_in_the_standard() -> None:
    request = written(WriteOptions(function=16, register=1), 10, 258)
    assert request == bytes.fromhex("11 10 00 01 00 02 04 00 0A 01 02 C6 F0")


@pytest.mark.parametrize("answer", ["11 05 00 AC FF 00 4E 8B", "11 0F 00 13 00 0A 26 99", "11 10 00 01 00 02 12 98"])
def test_answer_of_the_standard_confirms_its_write(answer: str) -> None:
    data = bytes.fromhex(answer)
    function, register = data[1], int.from_bytes(data[2:4], "big")
    count = 1 if function == 5 else int.from_bytes(data[4:6], "big")
    payload = b"\xff\x00" if function == 5 else bytes(4)
    request = write_request(0x11, function, register, count, payload)
    assert request.length(data) == 8
    request.check(data)


# -- values


@pytest.mark.parametrize(
    ("options", "value", "data"),
    [
        ({"type": "int16"}, -100, "FF 9C"),
        ({"type": "uint16", "order": "BADC"}, 65436, "9C FF"),
        ({"type": "uint32", "order": "CDAB"}, 65538, "00 02 00 01"),
        ({"type": "float32"}, 35.6, "42 0E 66 66"),
        ({"type": "float32", "order": "DCBA"}, 35.6, "66 66 0E 42"),
        ({"type": "bcd"}, 830, "08 30"),
        ({"type": "bcd"}, "261231235959", "26 12 31 23 59 59"),
        ({"type": "bcd", "words": 3}, 10203, "00 00 00 01 02 03"),
        ({"type": "bcd", "order": "CDAB"}, "261231235959", "59 59 31 23 26 12"),
        ({"type": "uint32"}, "1798732799", "6B 36 7B FF"),
        ({"type": "uint16"}, 2.0, "00 02"),
    ],
)
def test_value_is_coded_as_its_type_and_order_say(options: dict[str, Any], value: Any, data: str) -> None:
    payload = bytes.fromhex(data)
    head = f"11 10 00 07 00 {len(payload) // 2:02X} {len(payload):02X}"
    assert written(WriteOptions(function=16, register=7, **options), value) == framed(head + data)


ORACLE = {"int16": construct.Int16sb, "uint16": construct.Int16ub, "int32": construct.Int32sb,
          "uint32": construct.Int32ub, "int64": construct.Int64sb, "uint64": construct.Int64ub,
          "float32": construct.Float32b, "float64": construct.Float64b}  # fmt: skip


@given(
    kind=st.sampled_from(sorted(ORACLE)),
    order=st.sampled_from(["ABCD", "CDAB", "BADC", "DCBA"]),
    noise=st.binary(min_size=8, max_size=8),
)
def test_what_is_written_is_read_back_and_agrees_with_construct(kind: Any, order: Any, noise: bytes) -> None:
    oracle = ORACLE[kind]
    value = oracle.parse(noise[: oracle.sizeof()])
    if value != value or value in (float("inf"), float("-inf")):
        return
    request = written(WriteOptions(function=16, register=0, type=kind, order=order), value)
    payload = request[7:-2]
    words = [payload[at : at + 2] for at in range(0, len(payload), 2)]
    words = words[::-1] if order in ("CDAB", "DCBA") else words
    high_first = b"".join(word[::-1] if order in ("BADC", "DCBA") else word for word in words)
    assert high_first == oracle.build(value)

    class Memory:
        def ask(self, request: Request) -> bytes:
            return framed(f"11 03 {len(payload):02X}" + payload.hex())

    reading = DRIVER.reader(PointSpec("p", PointOptions(register=0, type=kind, order=order)))(Memory())
    assert reading.value == float(value)


@pytest.mark.parametrize(
    ("options", "values"),
    [
        ({"type": "uint16"}, [65536]),
        ({"type": "uint16"}, [-1]),
        ({"type": "uint16"}, [1.5]),
        ({"type": "uint16"}, ["abc"]),
        ({"type": "uint16"}, [float("nan")]),
        ({"type": "float32"}, [1e39]),
        ({"type": "bcd"}, [-5]),
        ({"type": "bcd", "words": 1}, [10000]),
        ({"type": "bcd"}, ["12A4"]),
        ({"type": "bool", "function": 5}, [2]),
        ({"type": "bool", "function": 5}, [1, 1]),
        ({"type": "bool"}, [1]),
        ({"type": "text"}, ["1"]),
        ({"type": "uint16", "function": 5}, [1]),
        ({"type": "uint16", "words": 2}, [1]),
        ({"type": "uint32", "function": 6}, [1]),
        ({"type": "uint16"}, [1] * 124),
        ({"type": "uint16"}, []),
        ({"type": "uint32", "register": 65535}, [1]),
    ],
)
def test_what_cannot_be_written_is_refused_before_anything_is_sent(options: dict[str, Any], values: list[Any]) -> None:
    with pytest.raises(BadOption):
        DRIVER.writer(WriteOptions(**{"function": 16, "register": 0, **options}), values)


@pytest.mark.parametrize(
    ("options", "request_"),
    [
        ({"register": 9, "type": "uint16"}, "11 06 00 09 00 01"),
        ({"register": 9, "type": "float32", "order": "CDAB"}, "11 10 00 09 00 02 04 00 00 3F 80"),
        ({"register": 9, "type": "bool", "function": 1}, "11 05 00 09 FF 00"),
        ({"register": 9, "type": "bcd"}, "11 06 00 09 00 01"),
    ],
)
def test_parameter_is_written_where_it_is_read(options: dict[str, Any], request_: str) -> None:
    assert written(PointOptions(**options), 1) == framed(request_)


@pytest.mark.parametrize("options", [{"function": 4}, {"bit": 3}, {"type": "text"}, {"function": 2, "type": "bool"}])
def test_parameter_that_can_only_be_read_is_not_written(options: dict[str, Any]) -> None:
    with pytest.raises(BadOption) as caught:
        DRIVER.writer(PointOptions(**{"register": 9, "type": "uint16", **options}), [1])
    assert caught.value.code == "drivers.modbus.read-only"


# -- texts


@pytest.mark.parametrize(
    ("options", "data", "text"),
    [
        ({"type": "text", "words": 4}, b"AB12\0\0xy", "AB12"),
        ({"type": "text", "words": 2, "order": "BADC"}, b"BA21", "AB12"),
        ({"type": "hex", "words": 2}, b"\x01\xab\xcd\xef", "01ABCDEF"),
    ],
)
def test_serial_number_is_read_as_text(options: dict[str, Any], data: bytes, text: str) -> None:
    class Memory:
        def ask(self, request: Request) -> bytes:
            assert request.data[4:6] == (len(data) // 2).to_bytes(2, "big")
            return framed(f"11 03 {len(data):02X}" + data.hex())

    reading = DRIVER.reader(PointSpec("p", PointOptions(register=0, **options)))(Memory())
    assert (reading.value, reading.text, reading.error) == (None, text, None)


def test_text_is_no_point() -> None:
    with pytest.raises(BadOption) as caught:
        Modbus(InstrumentSpec("x", 1, [PointSpec("p", PointOptions(register=0, type="text"))]))
    assert caught.value.code == "drivers.modbus.no-number"


# -- answers late, wrong or never


class World:
    """A bus on a virtual port whose far end gives one prepared answer a request."""

    def __init__(self, *script: Answers) -> None:
        self.script = list(script)
        self.time = VirtualTime()
        self.port = VirtualPort(self.time, lambda data, end: self.script.pop(0) if self.script else ())
        self.bus = LineBus(self.port, LineSettings("virtual"), self.time.mono_s)
        self.caller = Caller("a", timeout_s=1.0)

    def ask(self, request: Request, attempts: int = 3) -> bytes:
        return self.bus.ask(self.caller, request, attempts)


START = write_request(1, 6, 100, 1, b"\0\1")
START_AGAIN = write_request(1, 6, 100, 1, b"\0\1", repeat=True)
STOP = write_request(1, 6, 101, 1, b"\0\0")
STARTED, STOPPED = framed("01 06 0064 0001"), framed("01 06 0065 0000")


def test_unanswered_write_is_sent_once_and_its_outcome_is_unknown() -> None:
    world = World()
    with pytest.raises(OutcomeUnknown) as caught:
        world.ask(START)
    assert caught.value.code == "drivers.write-unknown"
    assert [data for _, data in world.port.written] == [START.data]


@pytest.mark.parametrize(
    "answer", [STARTED[:-1] + bytes([STARTED[-1] ^ 1]), STARTED[:5], framed("01 06 0064 0002"), STOPPED]
)
def test_answer_that_confirms_nothing_leaves_the_outcome_unknown(answer: bytes) -> None:
    world = World([(SILENCE_S, answer)])
    with pytest.raises(OutcomeUnknown):
        world.ask(START)
    assert len(world.port.written) == 1


def test_write_that_may_be_repeated_is_sent_again() -> None:
    world = World([], [], [(SILENCE_S, STARTED)])
    assert world.ask(START_AGAIN) == STARTED
    assert len(world.port.written) == 3


def test_write_that_may_be_repeated_and_is_never_answered_is_silence() -> None:
    with pytest.raises(DeviceSilent):
        World().ask(START_AGAIN)


def test_write_that_never_left_is_not_unknown() -> None:
    world = World()
    world.port.deliver(world.time.now, bytes(20_000))
    with pytest.raises(BadAnswer) as caught:
        world.ask(START, attempts=1)
    assert caught.value.code == "drivers.line-busy"
    assert world.port.written == []


def test_late_confirmation_is_not_that_of_the_next_write() -> None:
    world = World([(1.5, STARTED)], [])
    with pytest.raises(OutcomeUnknown):
        world.ask(START)
    with pytest.raises(OutcomeUnknown):
        world.ask(STOP)
    assert world.caller.counters.late == 1
    assert world.port.written[1][0] - world.port.written[0][0] == pytest.approx(4.0, abs=0.03)


def test_late_refusal_is_not_that_of_the_next_write() -> None:
    world = World([(1.5, framed("01 86 06"))], [(SILENCE_S, STOPPED)])
    with pytest.raises(OutcomeUnknown):
        world.ask(START)
    assert world.ask(STOP) == STOPPED


def test_same_write_again_is_not_confirmed_by_the_first_ones_late_answer() -> None:
    world = World([(2.0, STARTED)], [])
    for _ in range(2):
        with pytest.raises(OutcomeUnknown):
            world.ask(START)


def test_refused_write_tells_the_exception() -> None:
    with pytest.raises(DeviceRefused) as caught:
        World([(SILENCE_S, framed("01 86 06"))]).ask(START)
    assert (caught.value.code, caught.value.params["register"]) == ("drivers.modbus.exception-6", 100)


class Refusing:
    """A bus whose instrument answers every write with one exception."""

    def __init__(self, exception: int) -> None:
        self.exception = exception

    def ask(self, request: Request) -> bytes:
        request.check(framed(f"11 86 {self.exception:02X}"))
        raise AssertionError


def test_exception_5_means_accepted_and_in_work() -> None:
    DRIVER.writer(WriteOptions(register=100), [1])(Refusing(5))


@pytest.mark.parametrize("exception", [1, 4, 6])
def test_other_exceptions_are_refusals(exception: int) -> None:
    with pytest.raises(DeviceRefused):
        DRIVER.writer(WriteOptions(register=100), [1])(Refusing(exception))


class FaultySlaves:
    """Slaves that keep every write they carry out; the wire loses, delays, damages and doubles their answers."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.done: list[bytes] = []

    def __call__(self, request: bytes, end: float) -> Answers:
        dice = self.random
        kind = dice.choices(["good", "lost", "silent", "late", "flip", "double", "refused"], [40, 6, 8, 14, 6, 4, 8])[0]
        late = dice.choice([dice.uniform(0.0, 0.4), dice.uniform(0.5, 2.9)])
        if kind == "lost":
            return ()
        if kind == "refused":
            return [(late, framed(f"{request[0]:02x} {request[1] | 0x80:02x} 04"))]
        self.done.append(request)
        echo = framed(request[:6].hex())
        if kind == "silent":
            return ()
        if kind == "flip":
            spoiled = bytearray(echo)
            spoiled[dice.randrange(8)] ^= 1 << dice.randrange(8)
            return [(0.1, bytes(spoiled))]
        return [(late if kind == "late" else 0.1, echo * (2 if kind == "double" else 1))]


@pytest.mark.parametrize("seed", range(4))
def test_confirmed_writes_were_carried_out_once_and_refused_ones_never(seed: int) -> None:
    """Each write has a value of its own, so that what a slave did can be laid beside what was said of it."""
    time, slaves, dice = VirtualTime(), FaultySlaves(seed), random.Random(seed)
    bus = LineBus(VirtualPort(time, slaves), LineSettings("virtual"), time.mono_s)
    callers = {address: Caller(f"s{address}", timeout_s=1.0) for address in (1, 2)}
    said: dict[str, int] = {"confirmed": 0, "refused": 0, "unknown": 0, "not sent": 0}
    for number in range(1500):
        address, function = dice.choice((1, 2)), dice.choice((6, 16))
        request = write_request(address, function, number, 1, (number & 0xFFFF).to_bytes(2, "big"))
        try:
            bus.ask(callers[address], request, 3)
        except OutcomeUnknown:
            outcome, allowed = "unknown", (0, 1)
        except DeviceRefused:
            outcome, allowed = "refused", (0, 0)
        except DeviceSilent:
            outcome, allowed = "not sent", (0, 0)
        else:
            outcome, allowed = "confirmed", (1, 1)
        said[outcome] += 1
        assert allowed[0] <= slaves.done.count(request.data) <= allowed[1], outcome
    assert said["confirmed"] > 500
    assert said["unknown"] > 200
