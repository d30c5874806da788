"""What is heard on a line becomes frames: cut, put together, told apart by direction."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st
from virtual_line import framed

from drivers.sniff import Heard, Splitter
from drivers.tap import KEPT, Tap

ASKED = bytes.fromhex("01 03 00 00 00 02 C4 0B")
ANSWERED = bytes.fromhex("01 03 04 66 66 42 0E B5 C0")
METER = bytes.fromhex("FE FE FE FE 68 78 56 34 12 00 00 68 11 04 33 33 34 33 C6 16")
PACKET = b"##0008QN=1;CN=XXXX\r\n"
SILENCE_S = 0.004


def told(heard: list[Heard]) -> list[tuple[bool | None, bytes]]:
    return [(one.to_instrument, one.data) for one in heard]


def test_request_and_answer_in_one_breath_are_two_frames() -> None:
    heard = Splitter(SILENCE_S).feed(0.0, ASKED + ANSWERED)
    assert told(heard) == [(True, ASKED), (False, ANSWERED)]


def test_answer_in_pieces_is_one_frame_and_what_a_pause_ends_is_one_too() -> None:
    splitter = Splitter(SILENCE_S)
    assert splitter.feed(0.0, ANSWERED[:4]) == []
    assert told(splitter.feed(0.01, ANSWERED[4:] + b"\x99\x98")) == [(False, ANSWERED)]
    assert told(splitter.silent(0.5)) == [(None, b"\x99\x98")]
    assert splitter.silent(1.0) == []


def test_answer_whose_crc_ends_in_00_is_not_cut_before_its_last_byte() -> None:
    """09 03 04 66 66 42 0E 3C has a right CRC, too: it would be a request."""
    asked, answered = framed("09 03 00 00 00 02"), bytes.fromhex("09 03 04 66 66 42 0E 3C 00")
    assert answered == framed("09 03 04 66 66 42 0E")
    by_turn = Splitter(SILENCE_S)
    assert told(by_turn.feed(0.0, asked + answered[:8])) == [(True, asked)]
    assert told(by_turn.feed(0.01, answered[8:])) == [(False, answered)]
    known = Splitter(SILENCE_S)
    known.feed(0.0, asked, True)
    assert known.feed(0.02, answered[:8], False) == []
    assert told(known.feed(0.021, answered[8:], False)) == [(False, answered)]


def test_request_that_is_repeated_is_a_request_also_where_an_answer_is_due() -> None:
    asked = framed("09 03 04 00 00 02")
    splitter = Splitter(SILENCE_S)
    assert told(splitter.feed(0.0, asked)) == [(True, asked)]
    assert splitter.feed(1.0, asked) == []
    assert told(splitter.silent(1.5)) == [(True, asked)]
    answered = framed("09 03 04 66 66 42 0E")
    assert told(splitter.feed(2.0, asked + answered)) == [(True, asked), (False, answered)]


def test_noise_before_a_frame_is_a_frame_of_its_own() -> None:
    heard = Splitter(SILENCE_S).feed(0.0, b"\x00\xff" + METER)
    assert [one.data for one in heard] == [b"\x00\xff", METER]
    assert heard[1].frame is not None
    assert (heard[0].frame, heard[1].frame.protocol) == (None, "dlt645-2007")


def test_echo_of_a_write_is_its_answer() -> None:
    write = framed("01 06 00 01 00 03")
    splitter = Splitter(SILENCE_S)
    assert told(splitter.feed(0.0, write)) == [(True, write)]
    assert told(splitter.feed(0.1, write)) == [(False, write)]
    assert told(splitter.feed(5.0, write)) == [(True, write)]


def test_direction_that_is_known_is_kept() -> None:
    splitter = Splitter(SILENCE_S)
    assert told(splitter.feed(0.0, ASKED, True)) == [(True, ASKED)]
    assert splitter.feed(0.1, ANSWERED[:3], False) == []
    assert told(splitter.feed(0.11, ASKED, True)) == [(False, ANSWERED[:3]), (True, ASKED)]


def test_instrument_that_speaks_hj212_is_heard_as_one() -> None:
    (heard,) = Splitter(SILENCE_S).feed(0.0, PACKET)
    assert heard.frame is not None
    assert (heard.to_instrument, heard.frame.protocol) == (False, "hj212")


@given(st.lists(st.sampled_from([ASKED, ANSWERED, METER]), min_size=1, max_size=8), st.integers(0, 1000))
def test_frames_come_out_whole_however_they_are_delivered(frames: list[bytes], seed: int) -> None:
    rng, stream, at = random.Random(seed), b"".join(frames), 0.0
    splitter, heard = Splitter(SILENCE_S), []
    while stream:
        size = rng.randint(1, 12)
        heard += splitter.feed(at, stream[:size])
        stream, at = stream[size:], at + 0.001
    heard += splitter.flush()
    assert [one.data for one in heard] == frames


def test_tap_keeps_nothing_without_a_listener_and_the_newest_for_a_slow_one() -> None:
    tap = Tap(lambda: 1.0)
    tap.heard(True, ASKED)
    assert tap.since(0) == []
    tap.listen(1)
    for _ in range(KEPT + 10):
        tap.heard(False, ANSWERED)
    pieces = tap.since(0)
    assert [piece.number for piece in pieces] == list(range(11, KEPT + 11))
    assert tap.since(KEPT + 9) == pieces[-1:]
    tap.listen(-1)
    assert tap.since(0) == []
