"""No bytes bring anything but a ProtocolError out of `protocol`, nor make it slow or fat.

100,000 cases from a seeded driver, since hypothesis takes ten times as long for as many; it looks for more cases of its
own beside them. `python -m tests.fuzz.fuzz_protocol` runs without end.
"""

import random
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import crc, upload
from protocol.errors import ProtocolError
from protocol.frame import FrameDecoder, wrap
from protocol.packet import Packet, examine
from protocol.region import number
from protocol.units import convert
from tests.fuzz.exercise import case, corpus, exercise, explain

CASES = 100_000
BLOCKS = 20


@pytest.mark.parametrize("block", range(BLOCKS))
def test_hundred_thousand_broken_inputs_raise_nothing_else(block: int) -> None:
    chance, frames = random.Random(block), corpus()
    for at in range(CASES // BLOCKS):
        data = case(chance, frames)
        try:
            exercise(data)
            if at % 10 == 0:
                explain(data)
        except Exception as error:
            raise AssertionError(f"seed {block}, case {at}: {data!r}") from error


@settings(max_examples=200)
@given(st.binary(max_size=300))
def test_any_bytes_raise_nothing_else(data: bytes) -> None:
    exercise(data)
    exercise(wrap(data))
    explain(data)


@settings(max_examples=200)
@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=30))
def test_any_texts_in_a_packet_are_written_to_read_back_or_refused(name: str, value: str, head: str) -> None:
    for packet in (
        Packet("20160801085857223", "32", "2011", "123456", "M1", 5, data=(((name, value),),)),
        Packet(head, "32", "2011", "123456", "M1", 5),
        Packet("20160801085857223", "32", "2011", head, "M1", 5),
        Packet("20160801085857223", "32", "2011", "123456", head, 5),
        Packet("20160801085857223", "32", "2011", "123456", "M1", 5, extra=((name, value),)),
    ):
        try:
            written = packet.to_segment()
        except ProtocolError:
            continue
        assert Packet.from_segment(written) == packet


@given(st.floats(), st.integers(0, 9), st.text(max_size=8))
def test_any_number_and_unit_raise_nothing_else(value: float, decimals: int, unit: str) -> None:
    for work in (
        lambda: number(value, decimals),
        lambda: convert(value, unit, "mg/L"),
        lambda: upload.realtime(0, ((unit, (("Rtd", decimals), ("Flag", "N"))),), [value]),
    ):
        try:
            work()
        except ProtocolError:
            continue


@pytest.mark.parametrize(
    "pattern",
    [b"##9999", b"##1024&&", b"a=1,", b"QN=1;", b"//", b"&&", "清".encode(), b"##0050QN=20160801085857223;ST=32;"],
)
def test_memory_stays_under_ten_times_the_input(pattern: bytes) -> None:
    data = (pattern * 65_536)[:65_536]
    exercise(data[:1000])  # tables and patterns are loaded
    tracemalloc.start()
    try:
        decoder = FrameDecoder(cap=9999)
        decoder.feed(data, 0.0)
        decoder.flush()
        assert tracemalloc.get_traced_memory()[1] <= 10 * len(data)
    finally:
        tracemalloc.stop()


def test_parsed_packets_leave_nothing_behind() -> None:
    def packet(seed: int) -> bytes:
        items = b";".join(b"x%d%05d-Rtd=1.5,y%d-Flag=N" % (seed, at, at) for at in range(300))
        head = b"QN=20160801085857223;ST=32;CN=2011;PW=1;MN=M%d;Flag=5;CP=&&DataTime=20160801085857;" % seed
        return head + items + b"&&"

    Packet.from_segment(packet(0))
    tracemalloc.start()
    try:
        for seed in range(200):  # as from a hostile peer: every one with other names
            Packet.from_segment(packet(seed))
        assert tracemalloc.get_traced_memory()[0] <= 131_072  # of 1.7 MB: what is remembered of stations
    finally:
        tracemalloc.stop()


def test_explaining_takes_any_size() -> None:
    assert not examine(b"##9999" * 20_000).ok
    assert crc.crc(b"") == 0xFFFF
