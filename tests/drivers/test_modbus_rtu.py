"""Modbus RTU against literal bytes, against `construct` as a second declaration, and against damage."""

from __future__ import annotations

import itertools
import math
import struct
from typing import Any

import construct
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers import models
from drivers.driver import InstrumentSpec, PointSpec, Reading, Request
from drivers.errors import BadAnswer, BadOption, DeviceRefused, DeviceSilent, DriverError
from drivers.modbus import InstrumentOptions, Modbus, PointOptions, crc16, read_request


class Script:
    """A bus that answers from a list; the requests it saw are kept."""

    def __init__(self, *answers: bytes | DriverError) -> None:
        self.answers = list(answers)
        self.asked: list[bytes] = []

    def ask(self, request: Request) -> bytes:
        self.asked.append(request.data)
        answer = self.answers.pop(0)
        if isinstance(answer, DriverError):
            raise answer
        assert request.length(answer) == len(answer)
        request.check(answer)
        return answer


def reference_crc(frame: bytes) -> bytes:
    """Modbus CRC bit by bit, from its polynomial."""
    rest = 0xFFFF
    for byte in frame:
        rest ^= byte
        for _ in range(8):
            rest = (rest >> 1) ^ (0xA001 if rest & 1 else 0)
    return rest.to_bytes(2, "little")


def framed(text: str) -> bytes:
    body = bytes.fromhex(text)
    return body + reference_crc(body)


def instrument(*points: dict[str, Any], address: int = 1, **options: Any) -> Modbus:
    specs = [PointSpec(str(index), PointOptions(**point)) for index, point in enumerate(points)]
    return Modbus(InstrumentSpec("x", address, specs, InstrumentOptions(**options)))


def from_model(name: str) -> Modbus:
    parsed = models.model(name)
    keys = ("function", "register", "type", "order")
    points = [
        PointSpec(p["factor"] + p.get("kind", ""), PointOptions(**{k: p[k] for k in keys})) for p in parsed["points"]
    ]
    blocks = tuple(tuple(block) for block in parsed["instrument"].get("blocks", ()))
    return Modbus(InstrumentSpec(name, 1, points, InstrumentOptions(blocks=blocks)))


def values(readings: list[Reading]) -> dict[str, float | None]:
    return {reading.point: reading.value for reading in readings}


# -- real requests and answers


def test_codmax_model_asks_and_reads_the_known_bytes() -> None:
    bus = Script(bytes.fromhex("01 03 04 66 66 42 0E B5 C0"))
    readings = from_model("hach-codmax").read(bus)
    assert bus.asked == [bytes.fromhex("01 03 00 00 00 02 C4 0B")]
    assert values(readings) == {"w01018": pytest.approx(35.6, abs=1e-5)}
    assert readings[0].raw == bytes.fromhex("66 66 42 0E")


def test_scs900uv_model_asks_and_reads_the_known_bytes() -> None:
    bus = Script(
        bytes.fromhex("01 04 18 00 01 00 00 41 E4 CC CD 42 80 33 33 41 08 00 00 40 4C CC CD 42 CB 00 00 40 2C")
    )
    readings = from_model("scs-900uv").read(bus)
    assert bus.asked == [bytes.fromhex("01 04 00 0A 00 0C D0 0D")]
    expected = {"a21026": 28.6, "a21003": 64.1, "a19001": 8.5, "a21004": 3.2, "a21002": 101.5}
    assert values(readings) == {code: pytest.approx(value, abs=1e-4) for code, value in expected.items()}


def test_wl1a1_model_asks_for_its_whole_block() -> None:
    bus = Script(framed("01 03 20 42 28 00 00 00 00 00 00 47 F1 20 00" + "00" * 20))
    readings = from_model("wl-1a1").read(bus)
    assert bus.asked == [bytes.fromhex("01 03 00 00 00 10 44 06")]
    assert values(readings) == {"w00000": 42.0, "w00000total": 123456.0}


@pytest.mark.parametrize(
    ("address", "function", "register", "count", "expected"),
    [
        (1, 4, 0, 9, "01 04 00 00 00 09 30 0C"),
        (1, 3, 0, 15, "01 03 00 00 00 0F 05 CE"),
        (0x30, 3, 4, 2, "30 03 00 04 00 02 81 EB"),
        (1, 3, 0x1000, 9, "01 03 10 00 00 09 81 0C"),
        (1, 3, 0x2000, 12, "01 03 20 00 00 0C 4E 0F"),
        (1, 3, 0x1008, 2, "01 03 10 08 00 02 41 09"),
        (1, 3, 0, 34, "01 03 00 00 00 22 C5 D3"),
        (1, 3, 0, 8, "01 03 00 00 00 08 44 0C"),
        (1, 3, 0x101E, 2, "01 03 10 1E 00 02 A0 CD"),
    ],
)
def test_request_bytes_are_those_that_known_drivers_send(
    address: int, function: int, register: int, count: int, expected: str
) -> None:
    assert read_request(address, function, register, count).data == bytes.fromhex(expected)


# -- types and orders

FLOAT_35_6 = {"ABCD": "42 0E 66 66", "CDAB": "66 66 42 0E", "BADC": "0E 42 66 66", "DCBA": "66 66 0E 42"}


@pytest.mark.parametrize("order", FLOAT_35_6)
def test_float_35_6_is_read_in_each_order(order: str) -> None:
    bus = Script(framed("01 03 04" + FLOAT_35_6[order]))
    readings = instrument({"register": 0, "type": "float32", "order": order}).read(bus)
    assert readings[0].value == pytest.approx(35.6, abs=1e-5)


@pytest.mark.parametrize(
    ("options", "data", "value"),
    [
        ({"type": "int16"}, "FF 9C", -100.0),
        ({"type": "uint16"}, "FF 9C", 65436.0),
        ({"type": "uint16", "order": "BADC"}, "9C FF", 65436.0),
        ({"type": "int32"}, "FF FF FF FE", -2.0),
        ({"type": "uint32", "order": "CDAB"}, "00 02 00 01", 65538.0),
        ({"type": "int64"}, "FF FF FF FF FF FF FF FF", -1.0),
        ({"type": "uint64", "order": "CDAB"}, "00 01 00 00 00 00 00 00", 1.0),
        ({"type": "float64"}, "40 41 CC CC CC CC CC CD", 35.6),
        ({"type": "float64", "order": "DCBA"}, "CD CC CC CC CC CC 41 40", 35.6),
        ({"type": "bcd"}, "12 34", 1234.0),
        ({"type": "bcd", "words": 2}, "00 01 23 45", 12345.0),
        ({"type": "bcd", "words": 2, "order": "CDAB"}, "23 45 00 01", 12345.0),
        ({"type": "bcd", "words": 2, "order": "DCBA"}, "45 23 01 00", 12345.0),
        ({"type": "uint16", "bit": 0}, "00 05", 1.0),
        ({"type": "uint16", "bit": 1}, "00 05", 0.0),
        ({"type": "int16", "bit": 15}, "80 00", 1.0),
    ],
)
def test_each_type_is_read(options: dict[str, Any], data: str, value: float) -> None:
    raw = bytes.fromhex(data)
    bus = Script(framed(f"01 03 {len(raw):02X}" + data))
    assert instrument({"register": 7, **options}).read(bus) == [Reading("0", value, raw)]


@pytest.mark.parametrize("data", ["7F C0 00 00", "7F 80 00 00", "FF 80 00 00"])
def test_nan_and_infinity_are_no_value(data: str) -> None:
    readings = instrument({"register": 0, "type": "float32"}).read(Script(framed("01 03 04" + data)))
    assert (readings[0].value, readings[0].error) == (None, "drivers.modbus.not-a-number")


def test_letters_in_bcd_are_no_value() -> None:
    readings = instrument({"register": 0, "type": "bcd"}).read(Script(framed("01 03 02 1A 00")))
    assert (readings[0].value, readings[0].error) == (None, "drivers.modbus.not-decimal")


def test_bits_are_read_lowest_first() -> None:
    """GB/T 19582.1 §6.1: CD 6B B2 0E 1B is coils 20–56; coil 20 is the lowest bit of CD."""
    points = [{"function": 1, "register": 19 + index, "type": "bool"} for index in range(37)]
    bus = Script(framed("11 01 05 CD 6B B2 0E 1B"))
    readings = instrument(*points, address=0x11).read(bus)
    assert bus.asked == [framed("11 01 00 13 00 25")]
    assert "".join(str(int(r.value or 0)) for r in readings[:8]) == "10110011"


# -- construct as oracle

ORACLE_TYPES = {"int16": construct.Int16sb, "uint16": construct.Int16ub, "int32": construct.Int32sb,
                "uint32": construct.Int32ub, "int64": construct.Int64sb, "uint64": construct.Int64ub,
                "float32": construct.Float32b, "float64": construct.Float64b}  # fmt: skip
ORACLE_ANSWER = construct.Struct(
    "body"
    / construct.RawCopy(
        construct.Struct(
            "address" / construct.Byte,
            "function" / construct.Byte,
            "data" / construct.Prefixed(construct.Byte, construct.GreedyBytes),
        )
    ),
    "crc" / construct.Checksum(construct.Bytes(2), reference_crc, construct.this.body.data),
)


def rearranged(high_first: bytes, order: str) -> bytes:
    """The wire's bytes of a number, by the letters of its order."""
    words = [high_first[at : at + 2] for at in range(0, len(high_first), 2)]
    if order in ("CDAB", "DCBA"):
        words.reverse()
    if order in ("BADC", "DCBA"):
        words = [word[::-1] for word in words]
    return b"".join(words)


@given(
    kind=st.sampled_from(sorted(ORACLE_TYPES)),
    order=st.sampled_from(["ABCD", "CDAB", "BADC", "DCBA"]),
    noise=st.binary(min_size=8, max_size=8),
)
def test_values_agree_with_construct(kind: str, order: str, noise: bytes) -> None:
    oracle = ORACLE_TYPES[kind]
    high_first = noise[: oracle.sizeof()]
    value = float(oracle.parse(high_first))
    frame = ORACLE_ANSWER.build(
        {"body": {"value": {"address": 1, "function": 3, "data": rearranged(high_first, order)}}}
    )
    [reading] = instrument({"register": 0, "type": kind, "order": order}).read(Script(frame))
    assert reading.value == (value if math.isfinite(value) else None)


@given(st.binary(max_size=260))
def test_crc_agrees_with_its_definition(data: bytes) -> None:
    assert crc16(data).to_bytes(2, "little") == reference_crc(data)


# -- which registers are read together


def test_contiguous_points_are_one_request_and_others_another() -> None:
    modbus = instrument(
        {"register": 0, "type": "float32"},
        {"register": 2, "type": "float32"},
        {"register": 6, "type": "uint16"},
    )
    bus = Script(framed("01 03 08 3F800000 40000000"), framed("01 03 02 0005"))
    assert values(modbus.read(bus)) == {"0": 1.0, "1": 2.0, "2": 5.0}
    assert bus.asked == [framed("01 03 0000 0004"), framed("01 03 0006 0001")]


def test_a_gap_is_read_along_where_that_is_allowed() -> None:
    modbus = instrument({"register": 0, "type": "uint16"}, {"register": 3, "type": "uint16"}, block_gap=2)
    bus = Script(framed("01 03 08 0001 FFFF FFFF 0004"))
    assert values(modbus.read(bus)) == {"0": 1.0, "1": 4.0}


def test_blocks_end_at_the_most_registers_and_split_no_value() -> None:
    points = [{"register": index * 2, "type": "float32"} for index in range(63)]
    bus = Script(DeviceRefused("drivers.modbus.exception-2"), framed("01 03 02 0001"))
    with pytest.raises(DeviceRefused):
        instrument(*points).read(Script(*[DeviceRefused("a"), DeviceRefused("b")]))
    assert bus.asked == []
    requests = Script(DeviceRefused("a"), framed("01 03 04 3F800000"))
    assert values(instrument(*points).read(requests)) == {"62": 1.0}
    assert requests.asked == [framed("01 03 0000 007C"), framed("01 03 007C 0002")]


def test_two_points_on_one_register_share_it() -> None:
    bus = Script(framed("01 03 02 0003"))
    modbus = instrument({"register": 5, "type": "uint16"}, {"register": 5, "type": "uint16", "bit": 1})
    assert values(modbus.read(bus)) == {"0": 3.0, "1": 1.0}


@given(
    st.lists(
        st.tuples(st.integers(0, 400), st.sampled_from(["uint16", "float32", "float64"])),
        min_size=1,
        max_size=40,
    ),
    st.integers(0, 10),
    st.integers(4, 125),
)
def test_every_point_gets_its_own_registers_whatever_the_blocks(
    layout: list[tuple[int, str]], gap: int, most: int
) -> None:
    """Each register holds its own number; a value read from anywhere else would differ."""

    class Memory:
        def ask(self, request: Request) -> bytes:
            start, count = struct.unpack(">HH", request.data[2:6])
            assert count <= most
            data = b"".join(struct.pack(">H", 0x4000 + start + index) for index in range(count))
            return framed(f"01 03 {len(data):02X}" + data.hex())

    modbus = instrument(*({"register": r, "type": t} for r, t in layout), block_gap=gap, block_max=most)
    readings = modbus.read(Memory())
    assert sorted(int(r.point) for r in readings) == list(range(len(layout)))
    for reading in readings:
        register = layout[int(reading.point)][0]
        assert int.from_bytes(reading.raw[:2], "big") == 0x4000 + register


# -- answers that are none


def test_exception_is_told_with_code_and_register() -> None:
    request = read_request(1, 3, 40, 2)
    answer = framed("01 83 02")
    assert request.length(answer) == 5
    with pytest.raises(DeviceRefused) as caught:
        request.check(answer)
    assert caught.value.code == "drivers.modbus.exception-2"
    assert caught.value.params == {"exception": 2, "function": 3, "register": 40, "count": 2}


def test_unknown_exception_is_told_as_a_number() -> None:
    with pytest.raises(DeviceRefused) as caught:
        read_request(1, 3, 0, 1).check(framed("01 83 63"))
    assert (caught.value.code, caught.value.params["exception"]) == ("drivers.modbus.exception", 99)


@pytest.mark.parametrize(
    "answer",
    [
        "02 03 04 3F 80 00 00",  # another slave
        "01 04 04 3F 80 00 00",  # another function
        "01 03 02 3F 80",  # another length
        "01 84 02",  # an exception to another function
        "FF",
    ],
)
def test_what_belongs_to_another_request_cannot_begin_an_answer(answer: str) -> None:
    assert read_request(1, 3, 0, 2).length(bytes.fromhex(answer)) == 0


@pytest.mark.parametrize(("received", "expected"), [("", None), ("01", None), ("01 03", 9), ("01 83", 5)])
def test_length_is_known_from_the_second_byte_on(received: str, expected: int | None) -> None:
    assert read_request(1, 3, 0, 2).length(bytes.fromhex(received)) == expected


def test_every_single_and_double_bit_error_is_refused() -> None:
    request = read_request(1, 3, 0, 2)
    good = framed("01 03 04 41 0E 66 66")
    request.check(good)
    for flips in itertools.chain(((b,) for b in range(72)), itertools.combinations(range(72), 2)):
        damaged = bytearray(good)
        for bit in flips:
            damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(BadAnswer):
            request.check(bytes(damaged))


def test_requests_of_the_same_shape_can_be_confused_and_others_cannot() -> None:
    key = read_request(1, 3, 0, 2).confusable
    assert key == read_request(1, 3, 100, 2).confusable
    others = [read_request(2, 3, 0, 2), read_request(1, 4, 0, 2), read_request(1, 3, 0, 3)]
    assert all(other.confusable != key for other in others)


def test_silence_ends_the_pass_and_keeps_what_was_read() -> None:
    modbus = instrument(*({"register": r, "type": "uint16"} for r in (0, 10, 20)))
    bus = Script(framed("01 03 02 0007"), DeviceSilent("drivers.silent"))
    assert values(modbus.read(bus)) == {"0": 7.0}
    with pytest.raises(DeviceSilent):
        modbus.read(Script(DeviceSilent("drivers.silent")))


# -- options that cannot be used


@pytest.mark.parametrize(
    ("point", "code"),
    [
        ({"register": 65536, "type": "uint16"}, "drivers.modbus.register"),
        ({"register": 65535, "type": "float32"}, "drivers.modbus.register"),
        ({"register": -1, "type": "uint16"}, "drivers.modbus.register"),
        ({"register": 0, "type": "bool"}, "drivers.modbus.type-function"),
        ({"register": 0, "type": "uint16", "function": 1}, "drivers.modbus.type-function"),
        ({"register": 0, "type": "float32", "bit": 3}, "drivers.modbus.bit"),
        ({"register": 0, "type": "uint16", "words": 2}, "drivers.modbus.words"),
    ],
)
def test_unusable_point_is_refused_with_its_reason(point: dict[str, Any], code: str) -> None:
    with pytest.raises(BadOption) as caught:
        instrument(point)
    assert caught.value.code == code


@pytest.mark.parametrize("address", [0, 256, -1, "1"])
def test_unusable_address_is_refused(address: Any) -> None:
    with pytest.raises(BadOption):
        Modbus(InstrumentSpec("x", address, []))


@pytest.mark.parametrize("block", [(3, 0, 126), (5, 0, 1), (3, 65535, 2), (1, 0, 2001), (3, 0, 0)])
def test_unusable_block_is_refused(block: tuple[int, int, int]) -> None:
    with pytest.raises(BadOption):
        instrument({"register": 0, "type": "uint16"}, blocks=(block,))
