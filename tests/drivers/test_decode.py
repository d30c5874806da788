"""A block of registers in every order, and frames that are recognised without knowing what was asked."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from virtual_line import reference_crc

from drivers import decode, frames

ENERGY = "FE FE FE FE 68 78 56 34 12 00 00 68 91 08 33 33 34 33 89 67 45 33 B2 16"
RS = bytes.fromhex


def value(guesses: list[decode.Guess], register: int, kind: str, order: str, words: int) -> decode.Guess:
    (found,) = [g for g in guesses if (g.register, g.type, g.order, g.words) == (register, kind, order, words)]
    return found


@pytest.mark.parametrize(
    ("order", "data"),
    [("ABCD", "42 0E 66 66"), ("CDAB", "66 66 42 0E"), ("BADC", "0E 42 66 66"), ("DCBA", "66 66 0E 42")],
)
def test_float_35_6_is_seen_in_each_order_and_no_other_order_is_as_plausible(order: str, data: str) -> None:
    found = decode.block(RS(data))
    assert value(found, 0, "float32", order, 2).value == pytest.approx(35.6, abs=1e-5)
    assert [g.order for g in found if g.type == "float32" and g.plausible] == [order]


def test_neighbour_registers_stand_beside_the_one_that_was_meant() -> None:
    found = decode.block(RS("00 01 42 48 00 00"), register=40)
    assert value(found, 41, "float32", "ABCD", 2).value == 50.0
    assert value(found, 40, "uint16", "ABCD", 1).value == 1.0
    assert value(found, 42, "uint16", "ABCD", 1).value == 0.0


@given(st.binary(max_size=40), st.integers(0, 65000))
def test_any_bytes_can_be_looked_at(data: bytes, register: int) -> None:
    for guess in decode.block(data, register):
        assert register <= guess.register < register + len(data) // 2 or guess.type == "text"
        assert decode.shown(guess)


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_float_is_what_struct_says(number: float) -> None:
    guess = value(decode.block(struct.pack(">f", number)), 0, "float32", "ABCD", 2)
    assert guess.value == number


def test_bcd_date_text_and_a_whole_number_with_its_fraction() -> None:
    assert value(decode.block(RS("25 11 22 09 30 00")), 0, "time", "ABCD", 3).value == 20251122093000
    (text,) = [g for g in decode.block(b"OC-DAM  ") if g.type == "text" and g.order == "BADC"]
    assert text.text == "COD-MA"
    total = struct.pack(">If", 1234, 0.5)
    assert value(decode.block(total), 0, "uint32+float32", "ABCD", 4).value == 1234.5


def test_meter_digits_with_and_without_the_33() -> None:
    found = {g.type: g.value for g in decode.meter_digits(RS("89 67 45 33"))}
    assert found == {"dlt645": 123456.0, "bcd-low-first": 33456789.0}
    assert {g.type: g.value for g in decode.meter_digits(RS("56 34 12 00"))} == {"bcd-low-first": 123456.0}


# frames


def test_answer_is_taken_apart_and_its_crc_judged() -> None:
    right = frames.frame(RS("01 03 04 66 66 42 0E B5 C0"))
    assert right is not None
    assert (right.protocol, right.check, right.kind, right.address) == ("modbus-rtu", True, "answer", 1)
    assert (right.data, right.fields) == (RS("66 66 42 0E"), {"function": 3})
    wrong = frames.frame(RS("01 03 04 66 66 42 0E B5 C1"))
    assert wrong is not None
    assert (wrong.protocol, wrong.check) == ("modbus-rtu", False)


@pytest.mark.parametrize(
    ("data", "protocol", "kind", "address", "fields"),
    [
        (RS("01 03 00 00 00 02 C4 0B"), "modbus-rtu", "request", 1, {"function": 3, "register": 0, "count": 2}),
        (RS("01 83 02 C0 F1"), "modbus-rtu", "refusal", 1, {"function": 3, "exception": 2}),
        (b":010300000002FA\r\n", "modbus-ascii", "request", 1, {"function": 3, "register": 0, "count": 2}),
        (RS("00 07 00 00 00 06 11 03 00 6B 00 03"), "modbus-tcp", "request", 17,
         {"function": 3, "register": 107, "count": 3}),
        (RS(ENERGY), "dlt645-2007", "answer", "000012345678",
         {"control": 0x91, "di": "00010000", "item": "energy-forward", "value": 1234.56}),
        (RS("68 AA AA AA AA AA AA 68 13 00 DF 16"), "dlt645-2007", "request", "AAAAAAAAAAAA", {"control": 0x13}),
        (RS("68 78 56 34 12 00 00 68 D1 01 35 EB 16"), "dlt645-2007", "refusal", "000012345678", {"control": 0xD1}),
        (b"#01\r", "adam", "request", 1, {}),
    ],
)  # fmt: skip
def test_frames_of_the_papers_are_recognised(
    data: bytes, protocol: str, kind: str, address: object, fields: dict[str, object]
) -> None:
    found = frames.frame(data)
    assert found is not None
    assert (found.protocol, found.kind, found.address, found.fields) == (protocol, kind, address, fields)
    assert found.check is not False
    assert found.raw == data


@given(st.binary(max_size=64))
def test_no_bytes_make_a_recogniser_fail_and_a_frame_in_a_stream_has_a_right_check(data: bytes) -> None:
    frames.frame(data)
    found = frames.first(data)
    assert found is None or (found.check is not False and data.startswith(found.raw))


@given(st.integers(1, 247), st.sampled_from([3, 4]), st.integers(0, 0xFF00), st.integers(1, 125), st.binary(max_size=9))
def test_a_right_request_is_found_at_the_head_of_a_stream(
    address: int, function: int, register: int, count: int, more: bytes
) -> None:
    body = struct.pack(">BBHH", address, function, register, count)
    request = body + reference_crc(body)
    found = frames.first(request + more)
    assert found is not None
    assert found.raw == request
