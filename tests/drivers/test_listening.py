"""Instruments that speak by themselves: HJ 212 on a serial line, lines of text; what is old, cut or another's."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from virtual_line import VirtualPort, VirtualTime

from drivers.bus import Caller, LineBus
from drivers.driver import InstrumentSpec, PointSpec, Reading, Request
from drivers.errors import BadAnswer, BadOption, DeviceSilent
from drivers.hj212 import Hj212, InstrumentOptions, PointOptions
from drivers.port import LineSettings
from drivers.text import InstrumentOptions as TextOptions
from drivers.text import PointOptions as TextPoint
from drivers.text import Text
from edge.telegrams import decode

# the standard's example of realtime data (HJ 212-2017 Annex C.12), shortened; check code by hand-made tables of Annex A
MN = "010000A8900016F000169DC0"


def check_code(segment: bytes) -> int:
    """Annex A of HJ 212-2017, step by step: the register's high byte meets the data."""
    register = 0xFFFF
    for byte in segment:
        register = register >> 8 ^ byte
        for _ in range(8):
            register = register >> 1 ^ 0xA001 if register & 1 else register >> 1
    return register


def modbus_code(segment: bytes) -> int:
    register = 0xFFFF
    for byte in segment:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ 0xA001 if register & 1 else register >> 1
    return register


def packet(value: str, flag: str = "N", cn: str = "2011", mn: str = MN, code: Any = check_code) -> bytes:
    segment = (
        f"QN=20160801085857223;ST=32;CN={cn};PW=100000;MN={mn};Flag=4;"
        f"CP=&&DataTime=20160801085857;w01018-Rtd={value},w01018-Flag={flag};w01001-Rtd=7.1,w01001-Flag=N&&"
    ).encode()
    return b"##%04d%b%04X\r\n" % (len(segment), segment, code(segment))


def listener(*codes: str, **options: Any) -> Hj212:
    points = [PointSpec(code, PointOptions(code=code)) for code in codes or ("w01018",)]
    return Hj212(InstrumentSpec("x", 1, points, InstrumentOptions(**options), decode))


def lines(pattern: str = r"^([0-9.]+)$", **options: Any) -> Text:
    point = PointSpec("0", TextPoint(pattern=pattern))
    return Text(InstrumentSpec("x", 1, [point], TextOptions(listen=True, **options)))


class Speaker:
    """A virtual line on which something speaks by itself, at seconds after the start."""

    def __init__(self, *spoken: tuple[float, bytes], timeout_s: float = 3.0) -> None:
        self.time = VirtualTime()
        self.port = VirtualPort(self.time, lambda data, end: pytest.fail("something was sent"))
        self.began = self.time.now
        for at, data in spoken:
            self.port.deliver(self.began + at, data)
        self.bus = LineBus(self.port, LineSettings("virtual"), self.time.mono_s)
        self.caller = Caller("x", timeout_s)

    def until(self, seconds: float) -> None:
        self.time.now = self.began + seconds

    def ask(self, request: Request) -> bytes:
        return self.bus.ask(self.caller, request, 3)


# -- HJ 212


def test_packet_gives_its_values_with_the_instruments_own_marks() -> None:
    speaker = Speaker((1.0, packet("35.6", "M")))
    readings = listener("w01018", "w01001", "w21003").read(speaker)
    assert readings == [
        Reading("w01018", 35.6, b"35.6", mark="M"),
        Reading("w01001", 7.1, b"7.1", mark="N"),
    ]


def test_newest_packet_since_the_last_poll_counts() -> None:
    speaker = Speaker((0.5, packet("1.0")), (2.0, packet("2.0")), (3.0, packet("3.0")), (4.9, packet("4.0")))
    one = listener()
    assert one.read(speaker)[0].value == 1.0
    speaker.until(4.95)  # the last one is not whole yet
    assert one.read(speaker)[0].value == 3.0
    assert one.read(speaker)[0].value == 4.0


def test_what_has_waited_for_too_long_is_not_what_the_instrument_shows_now() -> None:
    speaker = Speaker((0.5, packet("1.0")), (2.0, packet("2.0")), (61.0, packet("3.0")))
    one = listener()
    one.read(speaker)
    speaker.until(60.0)
    assert one.read(speaker)[0].value == 3.0


def test_what_came_before_the_first_look_is_thrown_away() -> None:
    speaker = Speaker((0.1, packet("1.0")), (5.5, packet("2.0")))
    speaker.until(5.0)
    assert listener().read(speaker)[0].value == 2.0


@pytest.mark.parametrize(
    "other",
    [
        packet("9.9", cn="2051"),
        packet("9.9", code=modbus_code),
        packet("9.9").replace(b"9.9", b"9.8"),
        packet("9.9")[:-20],
        b"##9999" + packet("9.9")[6:],
        b"noise",
    ],
)
def test_another_packet_and_damage_are_passed_over(other: bytes) -> None:
    speaker = Speaker((0.2, other), (1.0, packet("1.5")))
    assert listener().read(speaker)[0].value == 1.5
    with pytest.raises(DeviceSilent) as caught:
        listener().read(Speaker((0.2, other)))
    assert caught.value.code == "drivers.no-telegram"


def test_modbus_crc_and_the_mn_can_be_asked_for() -> None:
    speaker = Speaker((0.2, packet("1.5", code=modbus_code)))
    assert listener(crc="modbus-hi-lo").read(speaker)[0].value == 1.5
    assert listener(mn=MN).read(Speaker((0.2, packet("1.5"))))[0].value == 1.5
    with pytest.raises(DeviceSilent):
        listener(mn="OTHER").read(Speaker((0.2, packet("1.5"))))


@pytest.mark.parametrize(("value", "flag", "expected"), [("1.5", "Q", (1.5, "D")), ("", "B", (None, "B"))])
def test_strange_flag_is_no_good_value_and_no_number_is_no_value(value: str, flag: str, expected: Any) -> None:
    (reading,) = listener().read(Speaker((0.2, packet(value, flag))))
    assert (reading.value, reading.mark) == expected


@given(st.integers(1, 150), st.binary(max_size=30))
def test_packet_behind_any_cut_one_and_noise_is_found(cut: int, noise: bytes) -> None:
    speaker = Speaker((0.2, packet("9.9")[cut:] + noise), (1.0, packet("1.5")))
    assert listener().read(speaker)[0].value == 1.5


def test_decoder_tells_why_a_frame_is_none() -> None:
    for frame in (b"##0004x&&0000", packet("1").replace(b"QN=2016", b"QN=2X16"), b""):
        with pytest.raises(BadAnswer):
            decode(frame, "hj212")


# -- lines of text


def test_line_is_whole_only_behind_the_end_of_another_one() -> None:
    """The first one may be the rest of a longer number."""
    speaker = Speaker((0.2, b"3.4\r12.5\r"))
    assert lines().read(speaker)[0].value == 12.5
    with pytest.raises(DeviceSilent):
        lines().read(Speaker((0.2, b"3.4\r")))


def test_line_that_straddles_two_polls_is_put_together() -> None:
    speaker = Speaker((0.2, b"\r1.5\r12"), (1.0, b"3.4\r"))
    one = lines()
    assert one.read(speaker)[0].value == 1.5
    assert one.read(speaker)[0].value == 123.4


def test_line_behind_a_buffer_that_ran_over_is_not_put_together() -> None:
    """The terminal's buffer holds 4095 bytes and drops what comes then: `12` and `3.4` are parts of two numbers."""
    speaker = Speaker()
    one = lines()
    with pytest.raises(DeviceSilent):
        one.read(speaker)
    speaker.port.deliver(speaker.time.now, b"\r" + b"1.5\r" * 1023 + b"12")
    speaker.time.now += 6.0
    assert one.read(speaker)[0].value == 1.5
    speaker.port.deliver(speaker.time.now, b"3.4\r7.5\r")
    assert one.read(speaker)[0].value == 7.5


def test_lost_port_leaves_no_half_line_behind() -> None:
    speaker = Speaker((0.2, b"\r1.5\r12"))
    one = lines()
    one.read(speaker)
    again = VirtualPort(speaker.time, lambda data, end: ())
    again.deliver(speaker.time.now, b"3.4\r7.5\r")
    speaker.bus.port = again
    assert one.read(speaker)[0].value == 7.5


def test_listening_needs_an_end_and_no_request() -> None:
    for options, point in [({"end": ""}, {}), ({}, {"request": "Q"}), ({}, {"request_hex": "11"})]:
        with pytest.raises(BadOption) as caught:
            Text(
                InstrumentSpec(
                    "x", 1, [PointSpec("0", TextPoint(pattern="(.)", **point))], TextOptions(listen=True, **options)
                )
            )
        assert caught.value.code == "drivers.text.listen"
