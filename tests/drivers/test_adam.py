"""ADAM-4000 modules: the manual's frames, their set-up before their values, and what is no answer."""

from __future__ import annotations

from typing import Any

import pytest
from script import Script
from virtual_line import Answers, VirtualPort, VirtualTime

from drivers.adam import Adam, InstrumentOptions, PointOptions
from drivers.bus import Caller, LineBus
from drivers.driver import InstrumentSpec, PointSpec, Request
from drivers.errors import BadAnswer, BadOption, DeviceRefused, DeviceSilent, DriverError
from drivers.port import LineSettings

SETUP = b"!01070600\r"
VALUES = b">+04.000+12.800+20.000+11.200+03.500+21.000+00.000-00.123\r"


def module(*channels: int, address: Any = 1, **options: Any) -> Adam:
    points = [PointSpec(str(channel), PointOptions(channel=channel)) for channel in channels]
    return Adam(InstrumentSpec("x", address, points, InstrumentOptions(**options)))


def test_all_channels_come_in_one_answer_after_the_setup_was_seen_once() -> None:
    bus = Script(SETUP, VALUES, VALUES)
    adam = module(1, 0, 7)
    assert {r.point: r.value for r in adam.read(bus)} == {"1": 12.8, "0": 4.0, "7": -0.123}
    adam.read(bus)
    assert bus.asked == [b"$012\r", b"#01\r", b"#01\r"]


def test_what_a_channel_says_beyond_its_range_is_no_number() -> None:
    """The manual of the 4017+: over range +999999, under range -000000 (which a float takes for 0)."""
    bus = Script(SETUP, b">+999999-000000+09.999-00.000+000.00-0.0000+00.000+00.000\r")
    readings = module(*range(5)).read(bus)
    assert [(r.value, r.mark) for r in readings] == [(None, "T"), (None, "D"), (9.999, None), (0.0, None), (0.0, None)]
    assert [r.error for r in readings[:2]] == ["drivers.adam.over-range", "drivers.adam.under-range"]


def test_check_sum_is_that_of_the_manual() -> None:
    """#01 is #0184, $012 is $012B7."""

    def summed(content: bytes) -> bytes:
        return content + b"%02X\r" % (sum(content) % 256)

    bus = Script(summed(b"!01070640"), summed(VALUES[:-1]))
    assert module(1, checksum=True).read(bus)[0].value == 12.8
    assert bus.asked == [b"$012B7\r", b"#0184\r"]


def test_box_with_its_own_number_of_values_and_no_setup() -> None:
    bus = Script(b">+123.45-0.1000\r")
    assert [r.value for r in module(0, 1, address=0x1F, channels=2, check_setup=False).read(bus)] == [123.45, -0.1]
    assert bus.asked == [b"#1F\r"]


class Answers1:
    """A bus that passes one answer through the request's check alone."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)

    def ask(self, request: Request) -> bytes:
        answer = self.answers.pop(0)
        request.check(answer)
        return answer


@pytest.mark.parametrize(
    ("setup", "options", "error"),
    [
        (b"!01070601\r", {}, DeviceRefused),  # percent of the range
        (b"!01070602\r", {}, DeviceRefused),  # hexadecimal
        (b"!01080600\r", {"input_type": "07"}, DeviceRefused),  # ±10 V instead of 4-20 mA
        (b"!02070600\r", {}, BadAnswer),  # another module
        (b"!010706xx\r", {}, BadAnswer),
    ],
)
def test_module_that_is_set_up_otherwise_gives_no_values(
    setup: bytes, options: dict[str, Any], error: type[DriverError]
) -> None:
    with pytest.raises(error):
        module(0, **options).read(Answers1(setup, VALUES))


def test_setup_is_looked_at_again_after_a_silence() -> None:
    adam = module(0)
    adam.read(Script(SETUP, VALUES))
    with pytest.raises(DeviceSilent):
        adam.read(Script(DeviceSilent("drivers.silent")))
    bus = Script(SETUP, VALUES)
    adam.read(bus)
    assert bus.asked == [b"$012\r", b"#01\r"]


@pytest.mark.parametrize(
    "answer",
    [
        VALUES.replace(b"+12.800", b"+12.8x0"),
        VALUES.replace(b"+12.800", b"012.800"),
        VALUES.replace(b"+12.800", b"+......"),
        VALUES[:-8] + b"\r",
        VALUES[:-1] + b"+00.001\r",
    ],
)
def test_answer_of_another_form_is_refused(answer: bytes) -> None:
    with pytest.raises(BadAnswer):
        module(0, check_setup=False).read(Answers1(answer))


def test_late_answer_of_one_module_is_not_taken_for_another_ones() -> None:
    """No address stands in it."""
    other = VALUES.replace(b"+04.000", b"+05.000")
    script: list[Answers] = [[(1.5, VALUES)], [(0.1, other)]]
    clock = VirtualTime()
    port = VirtualPort(clock, lambda data, end: script.pop(0))
    bus = LineBus(port, LineSettings("virtual"), clock.mono_s)

    class As:
        def __init__(self, name: str) -> None:
            self.caller = Caller(name)

        def ask(self, request: Request) -> bytes:
            return bus.ask(self.caller, request, 1)

    with pytest.raises(DeviceSilent):
        module(0, check_setup=False).read(As("a"))
    assert module(0, address=2, check_setup=False).read(As("b"))[0].value == 5.0


def test_unusable_address_and_channel_are_refused() -> None:
    for address in (-1, 256, "1"):
        with pytest.raises(BadOption):
            module(0, address=address)
    with pytest.raises(BadOption):
        module(2, channels=2)
