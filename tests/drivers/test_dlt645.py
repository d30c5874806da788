"""DL/T 645 against worked frames, against damage, and against a slow meter on a pty that is written here anew."""

from __future__ import annotations

import os
import pty
import select
import threading
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from peers import bus_on
from script import Script
from virtual_line import Answers, VirtualPort, VirtualTime

from drivers.bus import Caller, LineBus
from drivers.dlt645 import ANYONE, ITEMS, Dlt645, InstrumentOptions, Item, PointOptions, read_request, search, value_of
from drivers.driver import InstrumentSpec, PointSpec
from drivers.errors import BadAnswer, BadOption, DeviceRefused, DeviceSilent
from drivers.port import LineSettings

METER = "000012345678"


def meter(*points: dict[str, Any], address: Any = METER, **options: Any) -> Dlt645:
    specs = [PointSpec(str(index), PointOptions(**point)) for index, point in enumerate(points)]
    return Dlt645(InstrumentSpec("x", address, specs, InstrumentOptions(**options)))


def reply(data: str, control: int = 0x91, address: str = METER) -> bytes:
    """A frame by its definition (DL/T 645-2007 §5.2); `data` as meant, before 33 is added."""
    masked = bytes((byte + 0x33) % 256 for byte in bytes.fromhex(data))
    body = b"\x68" + bytes.fromhex(address)[::-1] + b"\x68" + bytes((control, len(masked))) + masked
    return body + bytes((sum(body) % 256, 0x16))


# -- worked frames

ENERGY = "68 78 56 34 12 00 00 68 91 08 33 33 34 33 89 67 45 33 B2 16"


@pytest.mark.parametrize(
    ("item", "asked", "answer", "value"),
    [
        ("energy-forward", "FE FE FE FE 68 78 56 34 12 00 00 68 11 04 33 33 34 33 C6 16", ENERGY, 1234.56),
        (
            "voltage-a",
            "FE FE FE FE 68 78 56 34 12 00 00 68 11 04 33 34 34 35 C9 16",
            "68 78 56 34 12 00 00 68 91 06 33 34 34 35 34 55 D4 16",
            220.1,
        ),
        ("current-a", None, "68 78 56 34 12 00 00 68 91 07 33 34 35 35 78 56 34 4F 16", 12.345),
        ("power", None, "68 78 56 34 12 00 00 68 91 07 33 33 36 35 78 56 B4 CF 16", -1.2345),
    ],
)
def test_worked_frames(item: Any, asked: str | None, answer: str, value: float) -> None:
    bus = Script(bytes.fromhex(answer))
    (reading,) = meter({"item": item}).read(bus)
    assert reading.value == pytest.approx(value)
    if asked is not None:
        assert bus.asked == [bytes.fromhex(asked)]


@pytest.mark.parametrize(
    ("item", "identifier", "digits", "value"),
    [
        ("energy", "00 00 00 00", "56 34 12 00", 1234.56),  # XXXXXX.XX kWh
        ("energy-forward", "00 00 01 00", "99 99 99 99", 999999.99),
        ("energy-reverse", "00 00 02 00", "78 56 34 12", 123456.78),
        ("voltage-b", "00 02 01 02", "87 23", 238.7),  # XXX.X V
        ("voltage-c", "00 03 01 02", "05 00", 0.5),
        ("current-b", "00 02 02 02", "45 23 81", -12.345),  # XXX.XXX A, the highest bit is the sign
        ("current-c", "00 03 02 02", "01 00 00", 0.001),
        ("power", "00 00 03 02", "45 23 01", 1.2345),  # XX.XXXX kW
        ("reactive-power", "00 00 04 02", "00 50 80", -0.5),  # XX.XXXX kvar
        ("factor", "00 00 06 02", "98 09", 0.998),  # X.XXX
    ],
)
def test_quantity_stands_under_its_identifier_with_its_digits(
    item: Any, identifier: str, digits: str, value: float
) -> None:
    """DL/T 645-2007 Annex A: identifier and digits, low byte first."""
    bus = Script(reply(f"{identifier} {digits}"))
    (reading,) = meter({"item": item}, wake=0).read(bus)
    assert reading.value == pytest.approx(value)
    assert bus.asked == [reply(identifier, 0x11)]


def test_wildcard_reads_the_one_meter_whatever_its_address() -> None:
    bus = Script(bytes.fromhex(ENERGY))
    (reading,) = meter({"item": "energy-forward"}, address="aaaaaaaaaaaa").read(bus)
    assert reading.value == 1234.56
    assert bus.asked == [bytes.fromhex("FE FE FE FE 68 AA AA AA AA AA AA 68 11 04 33 33 34 33 AE 16")]


def test_refusal_is_told_with_the_error_byte() -> None:
    request = read_request(METER, "2007", ITEMS["2007"]["energy"])
    answer = bytes.fromhex("68 78 56 34 12 00 00 68 D1 01 35 EB 16")
    assert request.length(answer) == len(answer)
    with pytest.raises(DeviceRefused) as caught:
        request.check(answer)
    assert caught.value.params == {"exception": "02", "di": "00000000", "address": METER}


def test_edition_1997_has_identifiers_of_two_bytes() -> None:
    bus = Script(reply("10 90 56 34 12 00", 0x81))
    (reading,) = meter({"item": "energy-forward"}, edition="1997", wake=0).read(bus)
    assert reading.value == 1234.56
    assert bus.asked == [reply("10 90", 0x01)]


def test_any_identifier_can_be_read() -> None:
    bus = Script(reply("02 00 80 02 98 49"))
    (reading,) = meter({"di": "02800002", "size": 2}).read(bus)
    assert reading.value == 4998.0


def test_offset_of_33_wraps_at_256() -> None:
    """A byte of CD and more: 0xFF + 0x33 is 0x32."""
    request = read_request(METER, "2007", Item("FF00FFCD", 2, 0), wake=0)
    assert request.data == bytes.fromhex("68 78 56 34 12 00 00 68 11 04 00 32 33 32 90 16")


@given(st.integers(0, 799_999), st.booleans())
def test_every_value_of_three_bytes_comes_back(number: int, negative: bool) -> None:
    """The highest bit is the sign, so that the highest digit is 7 at most."""
    digits = bytes.fromhex(f"{number:06d}")
    high = digits[0] | (0x80 if negative else 0)
    answer = reply("00 00 03 02" + digits[:0:-1].hex() + f"{high:02X}")
    value = value_of(answer, ITEMS["2007"]["power"])
    assert value == pytest.approx(-number / 1e4 if negative else number / 1e4)


def test_letters_are_no_value() -> None:
    (reading,) = meter({"item": "energy-forward"}).read(Script(reply("00 00 01 00 FF FF FF FF")))
    assert (reading.value, reading.error) == (None, "drivers.not-decimal")


# -- what is no answer


@pytest.mark.parametrize(
    "answer",
    [
        reply("00 00 01 00 56 34 12 00", address="000012345679"),  # another meter
        reply("00 00 02 00 56 34 12 00"),  # another quantity
        reply("00 00 01 00 56 34 12"),  # another length, with a right sum
        reply("00 00 01 00 56 34 12 00 00"),
        reply("00 00 01 00", 0x11),  # our own request, as an echo
        reply("00 00 01 00 56 34 12 00", 0x81),  # another edition
        b"\x16\x68",
    ],
)
def test_what_belongs_to_another_request_cannot_begin_an_answer(answer: bytes) -> None:
    assert read_request(METER, "2007", ITEMS["2007"]["energy-forward"]).length(answer) == 0


def test_every_damaged_byte_is_refused() -> None:
    request = read_request(METER, "2007", ITEMS["2007"]["energy-forward"])
    good = bytes.fromhex(ENERGY)
    for at in range(len(good)):
        damaged = good[:at] + bytes((good[at] ^ 0x21,)) + good[at + 1 :]
        if request.length(damaged) == len(good):
            with pytest.raises(BadAnswer):
                request.check(damaged)


@pytest.mark.parametrize("cut", range(20))
def test_length_is_known_from_the_tenth_byte_on(cut: int) -> None:
    request = read_request(METER, "2007", ITEMS["2007"]["energy-forward"])
    assert request.length(bytes.fromhex(ENERGY)[:cut]) == (None if cut < 10 else 20)


def on_virtual_line(*script: Answers) -> tuple[LineBus, VirtualPort]:
    clock, answers = VirtualTime(), list(script)
    port = VirtualPort(clock, lambda data, end: answers.pop(0))
    return LineBus(port, LineSettings("virtual"), clock.mono_s), port


def test_late_answer_is_not_used_for_the_next_quantity_and_need_not_be_waited_for() -> None:
    late, right = reply("00 01 01 02 01 22"), reply("00 02 01 02 02 23")
    bus, port = on_virtual_line([(1.5, late)], [(0.6, right)])
    with pytest.raises(DeviceSilent):
        bus.ask(Caller("a"), read_request(METER, "2007", ITEMS["2007"]["voltage-a"]), 1)
    answer = bus.ask(Caller("a"), read_request(METER, "2007", ITEMS["2007"]["voltage-b"]), 1)
    assert (value_of(answer, ITEMS["2007"]["voltage-b"]), len(port.written)) == (230.2, 2)
    assert port.written[1][0] - port.written[0][0] < 1.2


def test_bytes_that_wake_the_line_before_an_answer_are_not_foreign_and_noise_before_them_is() -> None:
    waking, noisy = b"\xfe" * 4 + bytes.fromhex(ENERGY), b"\x00" + b"\xfe" * 4 + bytes.fromhex(ENERGY)
    refusing = b"\xfe" * 4 + bytes.fromhex("68 78 56 34 12 00 00 68 D1 01 35 EB 16")
    script: list[Answers] = [[(0.1, waking)], [(0.1, refusing)], [(0.1, noisy)]]
    clock = VirtualTime()
    port = VirtualPort(clock, lambda data, end: script.pop(0), 2400)
    bus, caller = LineBus(port, LineSettings("virtual", 2400, "8E1"), clock.mono_s), Caller("a")
    ask = read_request(METER, "2007", ITEMS["2007"]["energy-forward"])
    assert (bus.ask(caller, ask, 1), caller.counters.foreign) == (bytes.fromhex(ENERGY), 0)
    with pytest.raises(DeviceRefused):
        bus.ask(caller, ask, 1)
    assert caller.counters.foreign == 0
    assert (bus.ask(caller, ask, 1), caller.counters.foreign) == (bytes.fromhex(ENERGY), 1)


def test_wildcard_waits_for_any_answer_that_may_still_come() -> None:
    """To the wildcard every meter's answer fits."""
    late, right = reply("00 00 01 00 11 11 11 11", address="000000000001"), reply("00 00 01 00 22 22 22 22")
    bus, _ = on_virtual_line([(1.6, late)], [(0.3, right)])
    item = ITEMS["2007"]["energy-forward"]
    with pytest.raises(DeviceSilent):
        bus.ask(Caller("a"), read_request("000000000001", "2007", item), 1)
    assert value_of(bus.ask(Caller("b"), read_request(ANYONE, "2007", item), 1), item) == 222222.22


# -- options that cannot be used


@pytest.mark.parametrize("address", [1, "12345678", "00001234567", "0000123456789", "00001234567G"])
def test_unusable_address_is_refused(address: Any) -> None:
    with pytest.raises(BadOption) as caught:
        meter(address=address)
    assert caught.value.code == "drivers.dlt645.address"


@pytest.mark.parametrize(
    ("point", "edition", "code"),
    [
        ({}, "2007", "drivers.dlt645.item"),
        ({"item": "power", "di": "02030000"}, "2007", "drivers.dlt645.item"),
        ({"item": "energy"}, "1997", "drivers.dlt645.no-item"),
        ({"di": "9010"}, "2007", "drivers.dlt645.di"),
        ({"di": "02030000"}, "1997", "drivers.dlt645.di"),
        ({"di": "0203000G"}, "2007", "drivers.dlt645.di"),
    ],
)
def test_unusable_point_is_refused_with_its_reason(point: dict[str, Any], edition: str, code: str) -> None:
    with pytest.raises(BadOption) as caught:
        meter(point, edition=edition)
    assert caught.value.code == code


# -- slow meters on a pty

VALUES = {"00 00 01 00": "56 34 12 00", "00 01 01 02": "01 22", "00 00 03 02": "45 23 81"}


def matches(pattern: bytes, address: str) -> bool:
    return all(want in (0xAA, got) for want, got in zip(pattern, bytes.fromhex(address)[::-1], strict=True))


@contextmanager
def meters(*addresses: str, pause_s: float = 0.05) -> Iterator[str]:
    """Meters that need `pause_s`, wake the line themselves and answer in pieces; several at once garble each other."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    stop_r, stop_w = os.pipe()

    def answer(frame: bytes) -> None:
        whom = [address for address in addresses if matches(frame[1:7], address)]
        di = bytes((byte - 0x33) % 256 for byte in frame[10:14]).hex(" ")
        answers = [
            reply(di + VALUES[di], address=address) if di in VALUES else reply("02", 0xD1, address) for address in whom
        ]
        if answers:
            time.sleep(pause_s)
            garbled = bytes(map(max, *answers)) if len(answers) > 1 else answers[0]
            for piece in (b"\xfe" * 4, garbled[:7], garbled[7:]):
                os.write(master, piece)
                time.sleep(0.005)

    def serve() -> None:
        pending = b""
        while True:
            ready, _, _ = select.select([master, stop_r], [], [])
            if stop_r in ready:
                return
            pending = (pending + os.read(master, 1024)).lstrip(b"\xfe")
            if len(pending) >= 16:
                answer(pending)
                pending = b""

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield os.ttyname(slave)
    finally:
        os.write(stop_w, b".")
        thread.join()
        for fd in (master, slave, stop_r, stop_w):
            os.close(fd)


def test_slow_meter_on_a_pty_is_read() -> None:
    points = [{"item": "energy-forward"}, {"item": "factor"}, {"item": "voltage-a"}, {"item": "power"}]
    with meters(METER) as path, bus_on(path, 19_200, line_format="8E1") as bus:
        readings = {reading.point: reading.value for reading in meter(*points).read(bus)}
    assert readings == {"0": 1234.56, "2": 220.1, "3": pytest.approx(-1.2345)}


def test_only_meter_of_a_line_is_found_by_one_question() -> None:
    with meters(METER, pause_s=0.0) as path, bus_on(path, 115_200) as bus:
        assert search(bus) == [METER]


def test_meters_that_answer_at_once_are_found_by_their_last_digits() -> None:
    class Line:
        """Three meters without a wire: silence, one answer, or several garbled."""

        def __init__(self) -> None:
            self.meters = ("000012345678", "000012345601", "000099999978")

        def ask(self, request: Any) -> bytes:
            whom = [one for one in self.meters if matches(request.data.lstrip(b"\xfe")[1:7], one)]
            if not whom:
                raise DeviceSilent("drivers.silent")
            if len(whom) > 1:
                raise BadAnswer("drivers.checksum")
            return reply("00 00 01 00 00 00 00 00", address=whom[0])

    assert sorted(search(Line())) == ["000012345601", "000012345678", "000099999978"]
