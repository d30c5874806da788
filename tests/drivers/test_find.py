"""The number on the analyzer's screen, looked for in registers that hold a lot else."""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers import find
from drivers.errors import DeviceRefused, DeviceSilent
from drivers.find import Candidate, Scale, Screen

FLOATS = {"ABCD": [0, 1, 2, 3], "CDAB": [2, 3, 0, 1], "BADC": [1, 0, 3, 2], "DCBA": [3, 2, 1, 0]}


class Slave:
    """Registers of function 3; a block that reaches into a hole is refused, as real ones do."""

    def __init__(self, words: dict[int, int], function: int = 3) -> None:
        self.words = words
        self.function = function
        self.asked: list[tuple[int, int, int]] = []

    def put(self, register: int, data: bytes) -> None:
        for at in range(0, len(data), 2):
            self.words[register + at // 2] = int.from_bytes(data[at : at + 2], "big")

    def __call__(self, function: int, register: int, count: int) -> bytes:
        self.asked.append((function, register, count))
        if function != self.function:
            raise DeviceRefused("drivers.modbus.exception-1", exception=1, function=function, register=register)
        wanted = range(register, register + count)
        if any(number not in self.words for number in wanted):
            raise DeviceRefused("drivers.modbus.exception-2", exception=2, function=function, register=register)
        return b"".join(self.words[number].to_bytes(2, "big") for number in wanted)


def noise(registers: range, seed: int = 1) -> Slave:
    rng = random.Random(seed)
    return Slave({register: rng.randrange(65536) for register in registers})


def surveyed(slave: find.Read, ranges: Sequence[range] = find.USUAL) -> find.Registers:
    return list(find.survey(slave, ranges=ranges))[-1]


def places(found: list[Candidate]) -> list[tuple[int, int, str, str]]:
    return [(one.function, one.register, one.type, one.order) for one in found]


def test_float_in_cdab_is_found_among_noise_and_is_the_first() -> None:
    slave = noise(range(200))
    slave.put(57, bytes.fromhex("66 66 42 0E"))
    found = find.search(surveyed(slave), Screen.from_text("35.6"))
    assert places(found)[0] == (3, 57, "float32", "CDAB")
    assert found[0].value == pytest.approx(35.6, abs=1e-5)


@settings(max_examples=25, deadline=None)
@given(
    order=st.sampled_from(sorted(FLOATS)),
    register=st.integers(0, 58),
    number=st.integers(1, 99_999),
    decimals=st.integers(0, 3),
)
def test_any_float_at_any_place_in_any_order_is_found(order: str, register: int, number: int, decimals: int) -> None:
    shown = f"{number / 10**decimals:.{decimals}f}"
    high_first = struct.pack(">f", float(shown))
    slave = Slave(dict.fromkeys(range(60), 0))
    slave.put(register, bytes(high_first[index] for index in FLOATS[order]))
    found = find.search(surveyed(slave, [range(60)]), Screen.from_text(shown))
    raw = slave(3, register, 2)
    assert (register, "float32", raw) in [(one.register, one.type, one.raw) for one in found]


def test_holes_are_gone_around_and_a_function_that_is_not_known_is_left_at_once() -> None:
    slave = Slave(dict.fromkeys([*range(10), *range(40, 44), *range(4096, 4105)], 0))
    slave.put(41, struct.pack(">f", 7.21))
    slave.put(0x1005, struct.pack(">f", 1.234))
    known = surveyed(slave)
    assert set(known[3]) == set(slave.words)
    assert [asked for asked in slave.asked if asked[0] == 4] == [(4, 0, 125)]
    assert len(slave.asked) < 400
    assert places(find.search(known, Screen.from_text("7.21")))[0] == (3, 41, "float32", "ABCD")
    assert places(find.search(known, Screen.from_text("1.234")))[0] == (3, 0x1005, "float32", "ABCD")


def test_slave_that_says_nothing_to_a_block_beyond_its_registers_is_read_in_smaller_ones() -> None:
    def read(function: int, register: int, count: int) -> bytes:
        if function != 4 or register + count > 16:
            raise DeviceSilent("drivers.silent", instrument="x", timeout_s=1.0)
        return bytes(2 * count)

    assert set(surveyed(read, [range(125)])[4]) >= set(range(15))


def test_integer_of_tenths_is_found_with_its_scale() -> None:
    slave = Slave(dict.fromkeys(range(125), 0))
    slave.put(20, (356).to_bytes(2, "big"))
    (best, *_) = find.search(surveyed(slave), Screen.from_text("35.6"))
    assert (best.register, best.type, best.scale.factor) == (20, "uint16", 0.1)


@pytest.mark.parametrize(
    ("raw", "span", "shown"),
    [
        (struct.pack(">f", 12.8), (0.0, 200.0), "110"),  # domain: 12.8 mA on 0..200
        ((36045).to_bytes(2, "big"), (0.0, 200.0), "110.00"),  # a share of 65535
        ((12_800).to_bytes(2, "big"), (0.0, 200.0), "110.0"),  # µA
        ((16_589).to_bytes(2, "big"), (0.0, 100.0), "50.00"),  # S7: 5530..27648
    ],
)
def test_currents_and_shares_of_a_range_are_found_where_the_range_is_given(
    raw: bytes, span: tuple[float, float], shown: str
) -> None:
    slave = Slave(dict.fromkeys(range(125), 0))
    slave.put(3, raw)
    known = surveyed(slave)
    assert 3 in [one.register for one in find.search(known, Screen.from_text(shown), span)]
    assert 3 not in [one.register for one in find.search(known, Screen.from_text(shown)) if one.scale.factor == 1]


def test_value_in_another_unit_is_found_by_the_scale_that_is_given() -> None:
    slave = Slave(dict.fromkeys(range(125), 0))
    slave.put(8, struct.pack(">f", 36.1))
    (best, *_) = find.search(surveyed(slave), Screen.from_text("10.0"), None, [Scale(1 / 3.6, 0.0, "m3/h", 3)])
    assert (best.register, best.scale.why) == (8, "m3/h")


def test_second_number_tells_the_true_place_from_the_ones_that_stand_still() -> None:
    slave = Slave(dict.fromkeys(range(125), 0))
    for register in (4, 30, 60):
        slave.put(register, struct.pack(">f", 35.6))
    found = find.search(surveyed(slave), Screen.from_text("35.6"))
    assert {4, 30, 60} <= {one.register for one in found}
    slave.put(30, struct.pack(">f", 35.9))
    kept = find.again(slave, found, Screen.from_text("35.9"))
    assert places(kept)[0] == (3, 30, "float32", "ABCD")
    assert {one.register for one in kept} <= {30, 31}
    assert kept[0].value == pytest.approx(35.9, abs=1e-5)


def test_only_functions_3_and_4_are_asked() -> None:
    slave = noise(range(300))
    surveyed(slave)
    assert {function for function, _, _ in slave.asked} == {3, 4}
    assert all(count <= 125 for _, _, count in slave.asked)
