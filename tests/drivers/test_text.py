"""Instruments that speak text, by declaration: the known legacy ones, check codes, and what is no answer."""

from __future__ import annotations

import os
import pty
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from peers import bus_on
from script import Script
from virtual_line import Answers, VirtualPort, VirtualTime

from drivers.bus import Caller, LineBus
from drivers.driver import InstrumentSpec, PointSpec, Reading, Request
from drivers.errors import BadAnswer, BadOption, DeviceRefused, DeviceSilent, OutcomeUnknown
from drivers.modbus_frame import read_request
from drivers.port import LineSettings
from drivers.text import InstrumentOptions, PointOptions, Text, WriteOptions
from drivers.text_frame import CHECKSUMS


def text(*points: dict[str, Any], address: int | str = 1, **options: Any) -> Text:
    specs = [PointSpec(str(i), PointOptions(**point), point.get("type") == "text") for i, point in enumerate(points)]
    return Text(InstrumentSpec("x", address, specs, InstrumentOptions(**options)))


class Silence:
    """A bus on which silence ends each answer."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.asked: list[bytes] = []

    def ask(self, request: Request) -> bytes:
        self.asked.append(request.data)
        answer = self.answers.pop(0)
        assert request.length(answer) is None
        assert request.idle_s is not None
        request.check(answer)
        return answer


# -- the legacy instruments


def test_shimadzu_toc_by_columns() -> None:
    """Starts with ###, 40 characters and more, the value from the 24th on."""
    answer = b"###001R1 0206 1530 0000  "[:23] + b"  35.62 mg/L OK***"
    bus = Silence(answer)
    shimadzu = text({"request": "###001R1***", "start": "###", "least": 40, "columns": (24, 31)}, terminator="", end="")
    assert shimadzu.read(bus) == [Reading("0", 35.62, b"  35.62 ")]
    assert bus.asked == [b"###001R1***"]
    with pytest.raises(BadAnswer):
        shimadzu.read(Silence(answer[:39]))


def test_yuxing_cod_has_its_decimals_left_out() -> None:
    """Characters 15-20 are a whole number; the point's scale is 0.01."""
    bus = Script(b"%C29A" + b"260206153" + b"003562" + b"0000\r")
    yuxing = text({"request": "%C29A", "start": "%C", "least": 24, "columns": (15, 20)})
    assert yuxing.read(bus)[0].value == 3562.0
    assert bus.asked == [b"%C29A\r"]


def test_wtw_trescon_by_a_pattern_with_the_words_around_the_number() -> None:
    answer = b"T1RCONZ\r\nTresCon> NH4-N  mg/l : 1.254\r\nOK\r\n"
    bus = Silence(answer)
    wtw = text({"request": "T1RCONZ", "pattern": r"TresCon>.*NH4-N[^:]*:\s*([0-9.]+)\s"}, end="")
    assert wtw.read(bus)[0].value == 1.254


def test_jiubo_flow_is_asked_by_one_byte() -> None:
    answer = b"Q =  123.45 m3/h  M =   6789.1 m3    OK  20260206\r\n"
    jiubo = text(
        {"request_hex": "11", "least": 48, "pattern": r"Q =\s*([0-9.]+)"},
        {"request_hex": "11", "least": 48, "pattern": r"M =\s*([0-9.]+)"},
        end="",
    )
    bus = Silence(answer)
    assert [reading.value for reading in jiubo.read(bus)] == [123.45, 6789.1]
    assert bus.asked == [b"\x11"]


def test_huanke_is_binary_bcd_and_a_little_endian_float() -> None:
    """*# date in BCD, value as float in bytes 9-12."""
    answer = b"*#" + bytes.fromhex("26 02 06 15 30 00 CD CC 0E 42")
    huanke = text(
        {"request": "*#GET", "start": "*#", "length": 12, "columns": (9, 12), "type": "float32", "order": "DCBA"},
        {"request": "*#GET", "start": "*#", "length": 12, "columns": (3, 8), "type": "time"},
        terminator="",
        end="",
    )
    readings = huanke.read(Script(answer))
    assert [reading.value for reading in readings] == [pytest.approx(35.7), 20260206153000.0]


def test_mewtocol_words_are_hexadecimal_digits_low_byte_first() -> None:
    """Reads D1521-D1525; BCC is the xor of all before it. 35.6 is 420E6666, sent as 66 66 0E 42."""
    content = b"%01$RD66660E42010000000000"
    bcc = 0
    for byte in content:
        bcc ^= byte
    plc = text(
        {"request": "%{address:02d}#RDD0152101525", "start": "%01$RD", "columns": (7, 14), "hex": True,
         "type": "float32", "order": "DCBA"},
        {"request": "%{address:02d}#RDD0152101525", "start": "%01$RD", "columns": (15, 18), "hex": True,
         "type": "uint16", "order": "DCBA"},
        checksum="xor",
    )  # fmt: skip
    bus = Script(content + b"%02X\r" % bcc)
    assert [reading.value for reading in plc.read(bus)] == [pytest.approx(35.6, abs=1e-5), 1.0]
    # by hand: 25 30 31 23 52 44 44 give 55, the ten digits 04
    assert bus.asked == [b"%01#RDD015210152551\r"]
    unchecked = text({"request": "%01#RDD0152101525**", "columns": (7, 14), "hex": True, "type": "float32"})
    assert unchecked.read(Script(content + b"**\r"))[0].value is not None


def test_mewtocol_error_answer_is_a_refusal() -> None:
    plc = text({"request": "%01#RDD0152101525**", "columns": (7, 14)}, refusal=r"^%\d\d!")
    bus = Script(DeviceSilent("x"))
    with pytest.raises(DeviceSilent):
        plc.read(bus)

    class Refusing:
        def ask(self, request: Request) -> bytes:
            request.check(b"%01!6102\r")
            return b""

    with pytest.raises(DeviceRefused) as caught:
        plc.read(Refusing())
    assert caught.value.params == {"answer": "%01!6102"}


def test_hex_fields_between_stx_and_etx() -> None:
    station = text(
        {"request": "\x02105\x03", "start": "\x02", "pattern": r"105=([0-9A-F]{4})", "hex": True, "type": "int16"},
        terminator="",
        end="\x03",
    )
    assert station.read(Script(b"\x02105=FF9C;106=0001\x03"))[0].value == -100.0


def test_digit_that_became_a_blank_is_no_number_of_the_other_digits() -> None:
    total = text({"request": "T", "columns": (1, 8), "hex": True, "type": "bcd"})
    assert total.read(Script(b"00120034\r"))[0].value == 120034.0
    (reading,) = total.read(Script(b"  12  34\r"))
    assert (reading.value, reading.error) == (None, "drivers.text.not-a-number")


@pytest.mark.parametrize("number", [b"1e999", b"-1e999", b"inf", b"nan", b"1_0"])
def test_what_no_number_can_hold_is_no_value(number: bytes) -> None:
    (reading,) = text({"request": "S", "pattern": "^(.*)$"}).read(Script(number + b"\r"))
    assert (reading.value, reading.error) == (None, "drivers.text.not-a-number")


def test_flag_character_is_a_text_for_a_state() -> None:
    (reading,) = text({"request": "S", "columns": (1, 1), "type": "text"}).read(Script(b"M 1\r"))
    assert (reading.value, reading.text) == (None, "M")


# -- check codes


@pytest.mark.parametrize(
    ("kind", "content", "code"),
    [
        ("sum", b"#01", b"84"),  # ADAM's manual
        ("sum", b"$012", b"B7"),
        ("lrc", bytes.fromhex("010300000002"), b"FA"),
        ("xor", b"\x0f\xf0\x01", b"FE"),
        ("crc16", b"123456789", b"4B37"),
    ],
)
def test_check_codes_are_the_known_ones(kind: str, content: bytes, code: bytes) -> None:
    assert CHECKSUMS[kind](content) == code


@given(st.binary(min_size=1, max_size=20).filter(lambda data: b"\r" not in data), st.integers(0, 7))
def test_damaged_checked_answer_is_refused(noise: bytes, bit: int) -> None:
    one = text({"request": "#01", "pattern": "(.*)", "type": "text"}, checksum="sum")
    good = noise + CHECKSUMS["sum"](noise) + b"\r"
    assert one.read(Script(good))
    damaged = bytes((good[0] ^ 1 << bit,)) + good[1:]

    class Passing:
        def ask(self, request: Request) -> bytes:
            request.check(damaged)
            return damaged

    with pytest.raises(BadAnswer):
        one.read(Passing())


# -- on a line


def on_virtual_line(*script: Answers) -> tuple[LineBus, VirtualPort]:
    clock, answers = VirtualTime(), list(script)
    port = VirtualPort(clock, lambda data, end: answers.pop(0) if answers else ())
    return LineBus(port, LineSettings("virtual"), clock.mono_s), port


class Line:
    """One instrument on a virtual line."""

    def __init__(self, *script: Answers) -> None:
        self.bus, self.port = on_virtual_line(*script)
        self.caller = Caller("x")

    def ask(self, request: Request) -> bytes:
        return self.bus.ask(self.caller, request, 1)


PLAIN = {"request": "Q", "pattern": r"Q=([0-9.]+)$"}


def test_silence_ends_an_answer_and_pieces_are_put_together() -> None:
    line = Line([(0.1, b"Q=12"), (0.12, b"3.4")])
    began = line.port.time.now
    assert text(PLAIN, end="", idle_ms=50).read(line)[0].value == 123.4
    assert line.port.time.now - began == pytest.approx(0.18, abs=0.02)


def test_answer_that_pauses_for_longer_than_its_silence_is_whole_where_its_least_length_is_known() -> None:
    strict = text({**PLAIN, "least": 7}, end="", idle_ms=50)
    assert strict.read(Line([(0.1, b"Q=12"), (0.5, b"3.4")]))[0].value == 123.4
    line = Line([(0.1, b"Q=12")])
    with pytest.raises(BadAnswer):
        strict.read(line)


@pytest.mark.parametrize("noise", [b"1", b"\xff", b"Q"])
def test_answer_has_to_begin_at_the_first_byte_where_its_start_is_known(noise: bytes) -> None:
    line = Line([(0.1, noise + b"Q=1.5\r")])
    with pytest.raises((DeviceSilent, BadAnswer)):
        text({**PLAIN, "start": "Q="}).read(line)


def test_digit_lost_to_noise_does_not_give_the_rest_of_the_number() -> None:
    """Of `1x23.4` only the whole answer is looked at, not `23.4`."""
    line = Line([(0.1, b"1x23.4\r")])
    with pytest.raises(BadAnswer) as caught:
        text({"request": "Q", "pattern": r"^([0-9.]+)$"}).read(line)
    assert caught.value.code == "drivers.text.no-match"


def test_echo_is_skipped_where_the_instrument_repeats_the_request() -> None:
    line = Line([(0.0, b"Q1\r"), (0.1, b"35.6\r")])
    assert text({"request": "Q1", "pattern": r"^([0-9.]+)$"}, echo=True).read(line)[0].value == 35.6


def test_text_waits_for_any_late_answer_and_delays_no_modbus_instrument() -> None:
    late = (1.5, bytes.fromhex("01 03 04 66 66 42 0E B5 C0"))
    line = Line([late], [(0.1, b"Q=1\r")])
    with pytest.raises(DeviceSilent):
        line.ask(read_request(1, 3, 0, 2))
    assert text(PLAIN).read(line)[0].value == 1.0
    first, second = (at for at, _ in line.port.written)
    assert second - first == pytest.approx(4.0, abs=0.03)
    silent = Line([], [(0.01, bytes.fromhex("01 03 04 66 66 42 0E B5 C0"))])
    with pytest.raises(DeviceSilent):
        text(PLAIN).read(silent)
    silent.ask(read_request(1, 3, 0, 2))
    first, second = (at for at, _ in silent.port.written)
    assert second - first < 1.1


def test_late_answer_to_one_question_is_not_taken_for_another() -> None:
    line = Line([(1.5, b"Q=1\r")], [(0.1, b"Q=2\r")])
    with pytest.raises(DeviceSilent):
        text({"request": "A", "pattern": r"Q=(.)"}).read(line)
    assert text({"request": "B", "pattern": r"Q=(.)"}).read(line)[0].value == 2.0
    assert line.caller.counters.late == 1


# -- commands


def test_command_is_sent_once_and_confirmed() -> None:
    one = text()
    line = Line([(0.1, b"OK 5\r")], [(0.1, b"ERR\r")])
    one.writer(WriteOptions(request="SET {value}", answer="^OK"), [5.0])(line)
    assert line.port.written[0][1] == b"SET 5\r"
    with pytest.raises(OutcomeUnknown):
        one.writer(WriteOptions(request="SET {value:.2f}", answer="^OK"), [5.5])(line)
    assert line.port.written[1][1] == b"SET 5.50\r"


# -- options that cannot be used


@pytest.mark.parametrize(
    ("point", "code"),
    [
        ({"pattern": "(.)"}, "drivers.text.request"),
        ({"request": "a", "request_hex": "11", "pattern": "(.)"}, "drivers.text.request"),
        ({"request_hex": "1", "pattern": "(.)"}, "drivers.text.request-text"),
        ({"request": "{adress}", "pattern": "(.)"}, "drivers.text.request-text"),
        ({"request": "{address:02d}x{", "pattern": "(.)"}, "drivers.text.request-text"),
        ({"request": "水", "pattern": "(.)"}, "drivers.text.request-text"),
        ({"request": "a"}, "drivers.text.where"),
        ({"request": "a", "pattern": "(.)", "columns": (1, 2)}, "drivers.text.where"),
        ({"request": "a", "columns": (0, 2)}, "drivers.text.columns"),
        ({"request": "a", "columns": (3, 2)}, "drivers.text.columns"),
        ({"request": "a", "pattern": "("}, "drivers.text.pattern"),
        ({"request": "a", "pattern": "."}, "drivers.text.group"),
    ],
)
def test_unusable_point_is_refused_with_its_reason(point: dict[str, Any], code: str) -> None:
    with pytest.raises(BadOption) as caught:
        text(point)
    assert caught.value.code == code


def test_text_is_no_point() -> None:
    with pytest.raises(BadOption):
        Text(InstrumentSpec("x", 1, [PointSpec("0", PointOptions(request="a", pattern="(.)", type="text"))]))


# -- on a pty


@contextmanager
def speaking(answer: Callable[[bytes], bytes]) -> Iterator[str]:
    """Something that speaks text at the other end of a pty."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            data = os.read(master, 1024)
            for piece in answer(data).split(b"|"):
                os.write(master, piece)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield os.ttyname(slave)
    finally:
        stop.set()
        fd = os.open(os.ttyname(slave), os.O_WRONLY | os.O_NOCTTY)
        os.write(fd, b"bye")
        thread.join()
        for each in (fd, master, slave):
            os.close(each)


def test_instrument_on_a_pty_is_read_by_terminator_and_by_silence() -> None:
    answers = {b"Q\r": b"Q=1|2.5\r", b"\x11": b"M = 7|.25 m3"}
    with speaking(lambda data: answers.get(data, b"")) as path, bus_on(path) as bus:
        assert text({"request": "Q", "pattern": r"Q=([0-9.]+)$"}).read(bus)[0].value == 12.5
        silent = text({"request_hex": "11", "pattern": r"M = ([0-9.]+) m3"}, end="", idle_ms=60)
        assert silent.read(bus)[0].value == 7.25
