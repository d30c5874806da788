"""CJ/T 188 water meters against frames from the field, and against damage."""

from __future__ import annotations

from typing import Any

import pytest
from script import Script

from drivers.cjt188 import Cjt188, InstrumentOptions, PointOptions, read_request
from drivers.driver import InstrumentSpec, PointSpec
from drivers.errors import BadAnswer, BadOption, DeviceRefused

# two meters' answers as public drivers' tests have them; their sums are right
FIRST = bytes.fromhex(
    "68 10 01 00 00 05 08 00 00 81 16 90 1F 00 00 23 01 00 2C 00 00 00 00 2C 00 00 00 00 00 00 00 00 00 48 16"
)
SECOND = bytes.fromhex(
    "68 10 18 02 12 20 20 00 00 81 16 90 1F 00 00 02 00 00 2C 00 02 00 00 2C 00 00 00 00 00 00 00 00 FF 85 16"
)
ADDRESS = "00000805000001"


def meter(*points: dict[str, Any], address: Any = ADDRESS, **options: Any) -> Cjt188:
    specs = [PointSpec(str(index), PointOptions(**point)) for index, point in enumerate(points)]
    return Cjt188(InstrumentSpec("x", address, specs, InstrumentOptions(**options)))


def changed(frame: bytes, at: int, new: bytes) -> bytes:
    """A frame with other bytes in it and its sum put right."""
    body = (frame[:at] + new + frame[at + len(new) :])[:-2]
    return body + bytes((sum(body) % 256, 0x16))


def test_meter_is_asked_and_read_with_known_bytes() -> None:
    bus = Script(FIRST)
    readings = meter({"item": "total"}, {"item": "settled"}, {"item": "state"}, wake=2).read(bus)
    assert [reading.value for reading in readings] == [123.0, 0.0, 0.0]
    assert bus.asked == [bytes.fromhex("FE FE 68 10 01 00 00 05 08 00 00 01 03 90 1F 00 39 16")]


def test_identifier_may_be_the_other_way_round() -> None:
    """The example of the standard: meter 00112233 44 of maker 7833."""
    bus = Script(changed(changed(FIRST, 2, bytes.fromhex("44 33 22 11 00 33 78")), 11, b"\x1f\x90"))
    assert meter({}, address="78330011223344", di="1F90", wake=0).read(bus)[0].value == 123.0
    assert bus.asked == [bytes.fromhex("68 10 44 33 22 11 00 33 78 01 03 1F 90 00 80 16")]


def test_wildcard_reads_the_one_meter_of_a_line() -> None:
    bus = Script(SECOND)
    meter_ = meter({}, {"item": "settled"}, address="A" * 14)
    assert [reading.value for reading in meter_.read(bus)] == [2.0, 2.0]


@pytest.mark.parametrize(
    ("at", "new", "value", "error"),
    [
        (14, "12 34 56 78 2C", 785634.12, None),
        (14, "12 34 56 78 29", 785.63412, None),
        (14, "12 34 56 78 05", None, "drivers.cjt188.unit"),
        (14, "1A 34 56 78 2C", None, "drivers.not-decimal"),
    ],
)
def test_total_is_in_cubic_metres(at: int, new: str, value: float | None, error: str | None) -> None:
    (reading,) = meter({}).read(Script(changed(FIRST, at, bytes.fromhex(new))))
    assert (reading.value, reading.error) == (value, error)


def test_state_word_is_read_by_bits() -> None:
    """Bits 0-1: the valve; bit 2: battery."""
    frame = changed(FIRST, 31, bytes.fromhex("07 00"))
    points = [{"item": "state", "bits": bits} for bits in ((0, 1), (2, 2))]
    assert [reading.value for reading in meter(*points).read(Script(frame))] == [3.0, 1.0]


@pytest.mark.parametrize(
    "answer",
    [
        SECOND,  # another meter
        changed(FIRST, 9, b"\x83"),
        changed(FIRST, 10, b"\x15"),
        changed(FIRST, 11, b"\xd1\x20"),
        bytes.fromhex("68 10 01 00 00 05 08 00 00 01 03 90 1F 00 39 16"),  # our own request, as an echo
    ],
)
def test_what_belongs_to_another_request_cannot_begin_an_answer(answer: bytes) -> None:
    assert read_request(ADDRESS, 16, b"\x90\x1f").length(answer) == 0


def test_every_damaged_byte_is_refused_and_a_fault_is_told() -> None:
    request = read_request(ADDRESS, 16, b"\x90\x1f")
    for at in range(len(FIRST)):
        damaged = FIRST[:at] + bytes((FIRST[at] ^ 0x21,)) + FIRST[at + 1 :]
        if request.length(damaged) == len(FIRST):
            with pytest.raises(BadAnswer):
                request.check(damaged)
    body = bytes.fromhex("68 10 01 00 00 05 08 00 00 C1 03 00 00 00")
    fault = body + bytes((sum(body) % 256, 0x16))
    assert request.length(fault) == len(fault)
    with pytest.raises(DeviceRefused):
        request.check(fault)


@pytest.mark.parametrize("address", [1, "0000080500001", "0000080500000G"])
def test_unusable_address_is_refused(address: Any) -> None:
    with pytest.raises(BadOption):
        meter({}, address=address)


def test_bits_are_of_the_state_word_only() -> None:
    for point in ({"bits": (0, 1)}, {"item": "state", "bits": (0, 16)}):
        with pytest.raises(BadOption):
            meter(point)
