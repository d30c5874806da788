"""The check code against its definition (HJ 212-2017 Annex A), known frames, and what it must not be taken for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.crc import KNOWN_LOW_BYTES, check_code, crc, modbus_crc

HEAD = b"QN=20160801085857223;ST=23;CN=2011;PW=123456;MN=010000A8900016F000169DC0;Flag=5;"


def by_definition(data: bytes) -> int:
    """Annex A step by step, bit by bit."""
    register = 0xFFFF
    for byte in data:
        register = (register >> 8) ^ byte
        for _ in range(8):
            carry = register & 1
            register >>= 1
            if carry:
                register ^= 0xA001
    return register


@given(st.binary(max_size=300))
def test_folding_gives_what_the_definition_gives(data: bytes) -> None:
    assert crc(data) == by_definition(data)


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 15, 16, 17, 63, 64, 65, 1024, 9999])
def test_every_length_around_the_fold_borders(length: int) -> None:
    data = bytes((7 * at + 3) & 0xFF for at in range(length))
    assert crc(data) == by_definition(data)


@pytest.mark.parametrize(
    ("segment", "code"),
    [
        (b"123456789", 0x2F80),
        (b"QN=20160801085857223;ST=32;CN=1062;PW=100000;MN=010000A8900016F000169DC0;Flag=5;CP=&&RtdInterval=30&&",
         0x1C80),  # the frame of HJ 212-2017 Annex A
        (HEAD + b"CP=&&DataTime=20160801085857; LA-Rtd=50.1&&", 0x1E00),  # Annex C.25 with its printed blank
        (b"QN=20240601085857223;ST=32;CN=1011;PW=123456;MN=010000A8900016F000169DC0;Flag=9;CP=&&&&",
         0x2200),  # HJ 212-2025 Annex A.1
    ],
)  # fmt: skip
def test_known_check_codes(segment: bytes, code: int) -> None:
    assert crc(segment) == code


def test_modbus_crc_of_the_usual_check_text() -> None:
    assert modbus_crc(b"123456789") == 0x4B37
    assert check_code(b"123456789", "modbus-hi-lo") == 0x4B37
    assert check_code(b"123456789", "modbus-lo-hi") == 0x374B


def test_only_256_codes_with_eight_low_bytes_exist() -> None:
    codes = {crc(bytes((a, b))) for a in range(256) for b in range(256)}
    assert len(codes) == 256
    assert {code & 0xFF for code in codes} == KNOWN_LOW_BYTES
