"""Exchanges in virtual time: silence, time-outs, retries; answers late, twice, in pieces, damaged or not at all."""

from __future__ import annotations

import random
import struct

import pytest
from virtual_line import Answers, VirtualPort, VirtualTime, framed

from drivers.bus import Caller, LineBus
from drivers.driver import Request
from drivers.errors import BadAnswer, DeviceRefused, DeviceSilent, DriverError
from drivers.modbus import read_request
from drivers.port import LineSettings

SETTINGS = LineSettings("virtual", 9600)
CHAR_S = 10 / 9600
SILENCE_S = 3.5 * CHAR_S


class World:
    """A bus on a virtual port whose far end gives one prepared answer a request."""

    def __init__(self, *script: Answers) -> None:
        self.script = list(script)
        self.time = VirtualTime()
        self.port = VirtualPort(self.time, lambda data, end: self.script.pop(0) if self.script else ())
        self.bus = LineBus(self.port, SETTINGS, self.time.mono_s)
        self.a = Caller("a", timeout_s=1.0)
        self.b = Caller("b", timeout_s=1.0)

    def ask(self, request: Request, caller: Caller | None = None, attempts: int = 1) -> bytes:
        return self.bus.ask(caller or self.a, request, attempts)


REGISTER_0 = read_request(1, 3, 0, 2)
REGISTER_10 = read_request(1, 3, 10, 2)
ANSWER_0 = framed("01 03 04 00 00 00 00")
ANSWER_10 = framed("01 03 04 0A 0A 0A 0A")
OTHER_SLAVE = read_request(2, 3, 0, 2)
ANSWER_OTHER = framed("02 03 04 02 02 02 02")


def test_prompt_answer_takes_the_wires_time_and_no_more() -> None:
    world = World([(SILENCE_S, ANSWER_0)])
    began = world.time.now
    assert world.ask(REGISTER_0) == ANSWER_0
    ideal = SILENCE_S + 8 * CHAR_S + SILENCE_S + 9 * CHAR_S
    assert world.time.now - began == pytest.approx(ideal, abs=1e-6)
    assert world.a.counters.answered == 1
    assert world.a.counters.round_trip_s == pytest.approx(ideal - SILENCE_S, abs=1e-6)


def test_silence_and_gap_stand_before_every_request() -> None:
    world = World([(SILENCE_S, ANSWER_0)], [(SILENCE_S, ANSWER_10)])
    world.a.gap_s = 0.25
    world.ask(REGISTER_0)
    answered = world.time.now
    world.ask(REGISTER_10)
    assert world.port.written[1][0] - answered == pytest.approx(SILENCE_S + 0.25, abs=1e-6)


def test_turnaround_stands_after_the_answer_whoever_is_asked_next() -> None:
    world = World([(SILENCE_S, ANSWER_0)], [(SILENCE_S, ANSWER_OTHER)])
    world.a.turnaround_s = 0.3
    world.ask(REGISTER_0)
    answered = world.time.now
    world.ask(OTHER_SLAVE, world.b)
    assert world.port.written[1][0] - answered == pytest.approx(SILENCE_S + 0.3, abs=1e-6)


def test_time_out_is_counted_from_the_end_of_the_question() -> None:
    world = World()
    began = world.time.now + SILENCE_S
    with pytest.raises(DeviceSilent):
        world.ask(REGISTER_0)
    assert world.time.now - began == pytest.approx(1.0 + 17 * CHAR_S, abs=1e-6)


def test_lost_answer_is_asked_for_again_with_the_same_bytes() -> None:
    world = World([], [(SILENCE_S, ANSWER_0)])
    assert world.ask(REGISTER_0, attempts=3) == ANSWER_0
    assert [data for _, data in world.port.written] == [REGISTER_0.data] * 2
    assert (world.a.counters.asked, world.a.counters.retries, world.a.counters.silent) == (2, 1, 1)


def test_late_answer_is_not_used_for_the_next_register() -> None:
    world = World([(1.5, ANSWER_0)], [(SILENCE_S, ANSWER_10)])
    with pytest.raises(DeviceSilent):
        world.ask(REGISTER_0)
    assert world.ask(REGISTER_10) == ANSWER_10
    assert world.a.counters.late == 1


def test_next_confusable_request_waits_even_when_the_late_answer_seems_to_have_come() -> None:
    """What came may be one answer twice: a slave answers late, then the retry's answer is doubled."""
    world = World([(1.9, ANSWER_0)], [(SILENCE_S, ANSWER_0 + ANSWER_0)], [(SILENCE_S, ANSWER_10)])
    assert world.ask(REGISTER_0, attempts=2) == ANSWER_0
    assert world.ask(REGISTER_10) == ANSWER_10
    assert world.port.written[2][0] - world.port.written[1][0] == pytest.approx(4.0, abs=0.03)


def test_answer_of_a_wrong_length_to_a_retry_is_not_taken_for_the_next_registers() -> None:
    """The retry was answered by the late answer to the attempt before; its own is still on its way, and too long."""
    too_long, right = framed("01 03 08 00 00 00 00 00 00 00 00"), framed("01 03 08 14 14 14 14 14 14 14 14")
    world = World([(1.05, ANSWER_0)], [(0.3, too_long)], [(0.6, right)])
    assert world.ask(REGISTER_0, attempts=2) == ANSWER_0
    assert world.ask(read_request(1, 3, 20, 4)) == right
    assert world.port.written[2][0] - world.port.written[1][0] == pytest.approx(1.0, abs=0.05)


def test_the_instruments_beside_it_need_not_wait_for_the_answer_to_a_retry() -> None:
    world = World([], [(SILENCE_S, ANSWER_0)], [(SILENCE_S, ANSWER_OTHER)])
    assert world.ask(REGISTER_0, attempts=2) == ANSWER_0
    assert world.ask(OTHER_SLAVE, world.b) == ANSWER_OTHER
    assert world.port.written[2][0] - world.port.written[1][0] < 0.1


def test_answer_that_never_comes_holds_the_next_register_for_its_time_out_and_three_more() -> None:
    world = World([], [(SILENCE_S, ANSWER_10)])
    with pytest.raises(DeviceSilent):
        world.ask(REGISTER_0)
    assert world.ask(REGISTER_10) == ANSWER_10
    assert world.port.written[1][0] - world.port.written[0][0] == pytest.approx(4.0, abs=0.03)


def test_request_of_another_length_does_not_wait_and_drops_the_late_answer() -> None:
    longer = read_request(1, 3, 20, 3)
    answer = framed("01 03 06 14 14 14 14 14 14")
    world = World([(1.1, ANSWER_0)], [(0.15, answer)])
    with pytest.raises(DeviceSilent):
        world.ask(REGISTER_0)
    assert world.ask(longer) == answer
    assert world.port.written[1][0] - world.port.written[0][0] < 1.1
    assert world.a.counters.late == 1


def test_other_slave_does_not_wait_and_the_late_answer_counts_for_its_own() -> None:
    world = World([(1.1, ANSWER_0)], [(0.15, ANSWER_OTHER)])
    with pytest.raises(DeviceSilent):
        world.ask(REGISTER_0)
    assert world.ask(OTHER_SLAVE, world.b) == ANSWER_OTHER
    assert (world.a.counters.late, world.b.counters.late, world.b.counters.foreign) == (1, 0, 0)


def test_second_answer_after_a_retry_is_dropped() -> None:
    world = World([(1.2, ANSWER_0)], [(0.5, ANSWER_0)], [(SILENCE_S, ANSWER_10)])
    assert world.ask(REGISTER_0, attempts=2) == ANSWER_0
    assert world.ask(REGISTER_10) == ANSWER_10
    assert world.a.counters.late == 1


def test_answer_doubled_by_a_repeater_is_dropped() -> None:
    world = World([(SILENCE_S, ANSWER_0 + ANSWER_0)], [(SILENCE_S, ANSWER_10)])
    assert world.ask(REGISTER_0) == ANSWER_0
    assert world.ask(REGISTER_10) == ANSWER_10
    assert world.a.counters.foreign == 1


@pytest.mark.parametrize("late_s", [3.0, 3.5, 3.99])
def test_answer_three_time_outs_late_is_not_used_for_the_next_register(late_s: float) -> None:
    world = World([(late_s, ANSWER_0)], [(SILENCE_S, ANSWER_10)])
    with pytest.raises(DeviceSilent):
        world.ask(REGISTER_0)
    assert world.ask(REGISTER_10) == ANSWER_10
    assert world.a.counters.late == 1


def test_instrument_that_proves_to_be_slower_is_waited_for_longer_until_it_answers_in_time() -> None:
    late, other = [(5.0, ANSWER_0)], [(SILENCE_S, ANSWER_OTHER)]
    world = World(late, other, late, other, late, other, [(SILENCE_S, ANSWER_0)])
    for _ in range(3):
        with pytest.raises(DeviceSilent):
            world.ask(REGISTER_0)
        world.time.now += 5
        world.ask(OTHER_SLAVE, world.b)
    assert (world.a.counters.late, world.a.open_s()) == (3, 8.0)
    world.time.now += 10
    world.ask(REGISTER_0)
    assert world.a.open_s() == 4.0


def test_two_stray_frames_do_not_make_an_instrument_slow() -> None:
    late, other = [(5.0, ANSWER_0)], [(SILENCE_S, ANSWER_OTHER)]
    world = World(late, other, late, other)
    for _ in range(2):
        with pytest.raises(DeviceSilent):
            world.ask(REGISTER_0)
        world.time.now += 5
        world.ask(OTHER_SLAVE, world.b)
    assert world.a.open_s() == 4.0


@pytest.mark.parametrize("split", range(1, 9))
def test_halved_answer_is_put_together(split: int) -> None:
    world = World([(SILENCE_S, ANSWER_0[:split]), (0.4, ANSWER_0[split:])])
    assert world.ask(REGISTER_0) == ANSWER_0


@pytest.mark.parametrize("noise", [b"\x00", b"\xff", b"\x01", b"\x01\x03", b"\x01\x83", REGISTER_0.data])
def test_noise_and_echo_before_the_answer_are_skipped(noise: bytes) -> None:
    world = World([(0.0, noise), (0.02, ANSWER_0)])
    assert world.ask(REGISTER_0) == ANSWER_0
    assert world.a.counters.foreign == 1


def test_lost_answer_of_a_minute_ago_does_not_slow_the_next_pass() -> None:
    world = World([], [(SILENCE_S, ANSWER_0)], [(SILENCE_S, ANSWER_10)])
    with pytest.raises(DeviceSilent):
        world.ask(REGISTER_0)
    world.time.now += 10
    began = world.time.now
    world.ask(REGISTER_0)
    world.ask(REGISTER_10)
    assert world.time.now - began < 0.1


def test_another_slaves_answer_is_not_taken() -> None:
    world = World([(SILENCE_S, ANSWER_OTHER)])
    with pytest.raises(DeviceSilent) as caught:
        world.ask(REGISTER_0)
    assert caught.value.code == "drivers.foreign"
    assert world.a.counters.foreign == 1


def test_damaged_answer_is_asked_again_without_waiting_for_the_time_out() -> None:
    damaged = ANSWER_0[:-1] + bytes([ANSWER_0[-1] ^ 1])
    world = World([(SILENCE_S, damaged)], [(SILENCE_S, ANSWER_0)])
    began = world.time.now
    assert world.ask(REGISTER_0, attempts=2) == ANSWER_0
    assert world.time.now - began < 0.1
    assert world.a.counters.bad_crc == 1


def test_exception_is_passed_on_without_a_retry() -> None:
    world = World([(SILENCE_S, framed("01 83 02"))])
    with pytest.raises(DeviceRefused):
        world.ask(REGISTER_0, attempts=3)
    assert (world.a.counters.refused, world.a.counters.asked) == (1, 1)


def test_refusals_are_counted_by_their_code_and_round_trips_as_mean_and_longest() -> None:
    world = World(
        [(0.1, framed("01 83 02"))], [(0.1, framed("01 83 06"))], [(0.1, framed("01 83 02"))],
        [(0.1, ANSWER_0)], [(0.3, ANSWER_0)],
    )  # fmt: skip
    for _ in range(3):
        with pytest.raises(DeviceRefused):
            world.ask(REGISTER_0)
    for _ in range(2):
        world.ask(REGISTER_0)
    counters = world.a.counters
    assert (counters.refused, counters.exceptions) == (3, {"2": 2, "6": 1})
    assert counters.round_trip_mean_s == pytest.approx(0.2 + 17 * CHAR_S, abs=1e-3)
    assert counters.round_trip_max_s == pytest.approx(0.3 + 17 * CHAR_S, abs=1e-3)


def test_cut_answer_is_told_as_such() -> None:
    world = World([(SILENCE_S, ANSWER_0[:6])])
    with pytest.raises(BadAnswer) as caught:
        world.ask(REGISTER_0)
    assert caught.value.code == "drivers.cut-short"


def test_babbling_line_is_given_up_in_bounded_time() -> None:
    world = World()
    world.port.deliver(world.time.now, bytes(20_000))
    began = world.time.now
    with pytest.raises(BadAnswer) as caught:
        world.ask(REGISTER_0)
    assert caught.value.code == "drivers.line-busy"
    assert world.time.now - began < 3.0
    assert world.port.written == []


# -- everything at once


class FaultyLine:
    """Slaves whose every register says who it is and when it was read; the wire does what wires do."""

    def __init__(self, seed: int, timeout_s: float) -> None:
        self.random = random.Random(seed)
        self.timeout_s = timeout_s

    def __call__(self, request: bytes, end: float) -> Answers:
        address, function, register, count = struct.unpack(">BBHH", request[:6])
        data = b"".join(
            struct.pack(">BHBI", address, register + 4 * index, function, int(end * 100) & 0xFFFFFFFF)
            for index in range(count // 4)
        )
        answer = framed(bytes((address, function, len(data))).hex() + data.hex())
        return self.spoil(answer, address, function)

    def spoil(self, answer: bytes, address: int, function: int) -> Answers:
        dice, prompt = self.random, self.random.uniform(0.0, 0.4)
        kind = dice.choices(
            [
                "good",
                "silent",
                "late",
                "flip",
                "cut",
                "halved",
                "noise",
                "foreign",
                "double",
                "refused",
                "gone",
            ],
            [40, 8, 14, 6, 4, 6, 6, 6, 4, 4, 2],
        )[0]
        match kind:
            case "silent":
                return ()
            case "late":
                return [(dice.uniform(0.5, 2.9) * self.timeout_s, answer)]
            case "flip":
                spoiled = bytearray(answer)
                for _ in range(dice.randint(1, 3)):
                    spoiled[dice.randrange(len(spoiled))] ^= 1 << dice.randrange(8)
                return [(prompt, bytes(spoiled))]
            case "cut":
                return [(prompt, answer[: dice.randrange(1, len(answer))])]
            case "halved":
                at = dice.randrange(1, len(answer))
                return [
                    (prompt, answer[:at]),
                    (prompt + dice.uniform(0.0, 2.0) * self.timeout_s, answer[at:]),
                ]
            case "noise":
                return [(0.0, dice.randbytes(dice.randint(1, 20))), (prompt + 0.03, answer)]
            case "foreign":
                stranger = framed(f"{address ^ 8:02x} {function:02x} 08 {dice.randbytes(8).hex()}")
                return [(0.0, stranger), (prompt + 0.03, answer)]
            case "double":
                return [(prompt, answer + answer)]
            case "refused":
                late = dice.choice([prompt, dice.uniform(0.5, 2.9) * self.timeout_s])
                return [(late, framed(f"{address:02x} {function | 0x80:02x} 06"))]
            case "gone":
                return [(prompt, answer[1:])]
            case _:
                return [(prompt, answer)]


@pytest.mark.parametrize("seed", range(8))
def test_no_wrong_value_in_thousands_of_faulty_exchanges(seed: int) -> None:
    """Every value that is accepted was read from the register that was asked for, during this very ask."""
    time = VirtualTime()
    dice = random.Random(1000 + seed)
    line = FaultyLine(seed, 1.0)
    bus = LineBus(VirtualPort(time, line), SETTINGS, time.mono_s)
    callers = {address: Caller(f"s{address}", timeout_s=1.0) for address in (1, 2, 3)}
    accepted = asked = 0
    while asked < 3000:
        address, register = dice.choice((1, 2, 3)), 4 * dice.randrange(4)
        count = dice.choice((4, 4, 4, 8))
        began = time.now
        if dice.random() < 0.2:
            time.now += dice.uniform(0, 5)
            began = time.now
        try:
            answer = bus.ask(callers[address], read_request(address, 3, register, count), dice.randint(1, 3))
        except DriverError:
            pass
        else:
            accepted += 1
            who, where, function, when = struct.unpack(">BHBI", answer[3:11])
            assert (who, where, function) == (address, register, 3)
            assert int(began * 100) <= when <= int(time.now * 100)
        asked = sum(caller.counters.asked for caller in callers.values())
    assert accepted > asked / 4
    assert sum(caller.counters.late for caller in callers.values()) > 50
