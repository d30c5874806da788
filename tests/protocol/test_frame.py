"""Frames on a stream: the literal frame of HJ 212-2017 Annex A, and what the field does to it."""

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import frame
from protocol.errors import CannotEncode
from protocol.frame import Dropped, Frame, FrameDecoder, Tail, wrap

SEGMENT = b"QN=20160801085857223;ST=32;CN=1062;PW=100000;MN=010000A8900016F000169DC0;Flag=5;CP=&&RtdInterval=30&&"
FRAME = b"##0101" + SEGMENT + b"1C80\r\n"
LOG = "QN=20160801085857223;ST=32;CN=3020;CP=&&i11001-Info=//清洗管路//&&"
ANNEX_C = [
    line.split("\t")[0].encode() + b"\r\n"
    for line in (Path(__file__).parent / "annex_c.tsv").read_text(encoding="utf-8").splitlines()
    if line.startswith("##")
]


def feed(data: bytes, **options: object) -> list[Frame | Dropped]:
    return FrameDecoder(**options).feed(data, 0.0)  # type: ignore[arg-type]  # options of one test each


def segments(found: list[Frame | Dropped]) -> list[bytes]:
    return [each.segment for each in found if isinstance(each, Frame)]


def causes(found: list[Frame | Dropped]) -> list[str]:
    return [each.error.code for each in found if isinstance(each, Dropped)]


def notes(found: list[Frame | Dropped]) -> list[str]:
    return [note.code for each in found if isinstance(each, Frame) for note in each.notes]


def test_wrap_writes_the_frame_of_annex_a() -> None:
    assert wrap(SEGMENT) == FRAME


def test_wrap_refuses_what_four_digits_cannot_say() -> None:
    with pytest.raises(CannotEncode):
        wrap(b"x" * 10_000)


@pytest.mark.parametrize(("tail", "end"), [("crlf", b"\r\n"), ("lf", b"\n"), ("none", b"")])
def test_frame_ends_as_the_link_wants_and_is_found_again(tail: Tail, end: bytes) -> None:
    frame = wrap(SEGMENT, tail=tail)
    assert frame == FRAME[:-2] + end
    assert segments(feed(frame * 3)) == [SEGMENT] * 3


def test_the_frame_of_annex_a_comes_out_with_its_bytes_and_without_notes() -> None:
    assert feed(FRAME) == [Frame(SEGMENT, (), FRAME)]


def test_all_of_annex_c_glued_together_comes_out_whole() -> None:
    found = feed(b"".join(ANNEX_C))
    assert [each.raw for each in found if isinstance(each, Frame)] == ANNEX_C


def test_all_of_annex_c_comes_out_whole_when_it_arrives_byte_by_byte() -> None:
    decoder = FrameDecoder()
    stream = b"".join(ANNEX_C)
    found = [each for at in range(len(stream)) for each in decoder.feed(stream[at : at + 1], 0.0)]
    assert [wrap(segment) for segment in segments(found)] == ANNEX_C
    assert not causes(found)


@pytest.mark.parametrize("tail", [b"", b"\n", b"\r", b"\r\n"])
def test_frames_with_any_line_end_are_taken(tail: bytes) -> None:
    found = feed((FRAME[:-2] + tail) * 3)
    assert segments(found) == [SEGMENT] * 3
    assert not causes(found)
    assert ("protocol.note.tail" in notes(found)) == (tail != b"\r\n")


def test_lower_case_check_code_is_noted() -> None:
    found = feed(FRAME.replace(b"1C80", b"1c80"))
    assert segments(found) == [SEGMENT]
    assert notes(found) == ["protocol.note.crc_case"]


def test_check_code_without_leading_zero_is_noted() -> None:
    segment = next(s for s in (b"QN=%d;CP=&&&&" % n for n in range(1000)) if wrap(s)[-6:-5] == b"0")
    unpadded = wrap(segment)[:-6] + wrap(segment)[-6:].lstrip(b"0")
    found = feed(unpadded + FRAME)
    assert segments(found) == [segment, SEGMENT]
    assert notes(found) == ["protocol.note.crc_digits"]


def test_length_in_characters_is_noted() -> None:
    raw = LOG.encode()
    frame = wrap(raw)
    found = feed(b"##%04d" % len(LOG) + frame[6:] + FRAME)
    assert segments(found) == [raw, SEGMENT]
    assert notes(found) == ["protocol.note.length_characters"]


def test_gbk_text_does_not_make_the_frame_fail() -> None:
    raw = LOG.encode("gbk")
    assert segments(feed(wrap(raw))) == [raw]


def test_noise_before_and_between_frames_is_reported_in_runs() -> None:
    found = feed(b"AT+CSQ\r\n#" + FRAME + b"OK\r\n" + FRAME)
    assert segments(found) == [SEGMENT, SEGMENT]
    assert [each.data for each in found if isinstance(each, Dropped)] == [b"AT+CSQ\r\n#", b"OK"]
    assert causes(found) == ["protocol.frame.noise", "protocol.frame.noise"]


def test_a_single_hash_at_the_end_is_kept_for_the_next_bytes() -> None:
    decoder = FrameDecoder()
    assert decoder.feed(b"#", 0.0) == []
    assert segments(decoder.feed(FRAME[1:], 0.0)) == [SEGMENT]


def test_third_hash_before_a_frame_is_stepped_over() -> None:
    assert segments(feed(b"#" + FRAME)) == [SEGMENT]


@pytest.mark.parametrize("digits", [b"0x10", b" 101", b"-101", b"01O1"])
def test_length_that_is_no_decimal_number_is_no_head(digits: bytes) -> None:
    found = feed(b"##" + digits + FRAME)
    assert segments(found) == [SEGMENT]
    assert causes(found) == ["protocol.frame.length_digits"]


def test_length_above_the_cap_does_not_wait() -> None:
    found = feed(b"##1025" + FRAME)
    assert segments(found) == [SEGMENT]
    assert causes(found) == ["protocol.frame.cap"]


def test_segment_between_1024_and_a_wider_cap_is_noted() -> None:
    segment = b"QN=1;CP=&&" + b"x" * 1100 + b"&&"
    assert segments(feed(wrap(segment))) == []
    found = feed(wrap(segment), cap=9999)
    assert segments(found) == [segment]
    assert notes(found) == ["protocol.note.segment_length"]


def test_false_length_does_not_hold_up_the_frames_behind_it() -> None:
    found = feed(b"##9999" + FRAME, cap=9999)
    assert segments(found) == [SEGMENT]
    assert causes(found) == ["protocol.frame.unfinished"]


def test_unfinished_frame_is_given_up_after_the_stall_time() -> None:
    decoder = FrameDecoder(cap=9999, stall_s=5.0)
    assert decoder.feed(b"##9999QN=", 10.0) == []
    assert decoder.tick(14.9) == []
    assert causes(decoder.tick(15.0)) == ["protocol.frame.unfinished"]
    assert segments(decoder.feed(FRAME, 16.0)) == [SEGMENT]


def test_noise_that_ends_is_reported_by_tick() -> None:
    decoder = FrameDecoder(stall_s=5.0)
    assert decoder.feed(b"NO CARRIER", 0.0) == []
    assert causes(decoder.tick(5.0)) == ["protocol.frame.noise"]
    assert decoder.tick(50.0) == []


def test_endless_noise_stays_bounded_and_is_reported() -> None:
    decoder = FrameDecoder()
    found = [each for _ in range(100) for each in decoder.feed(b"~" * 1000, 0.0)]
    assert 95_000 <= sum(len(each.data) for each in found if isinstance(each, Dropped)) <= 100_000
    assert len(found) < 30


def test_flush_reports_half_a_frame_and_finds_what_stands_behind_it() -> None:
    decoder = FrameDecoder(cap=9999)
    assert decoder.feed(b"##0500QN=2016", 0.0) == []
    assert causes(decoder.flush()) == ["protocol.frame.unfinished"]
    assert decoder.flush() == []


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        (b"1C81", "protocol.frame.crc"),
        (b"1C08", "protocol.frame.crc_foreign"),  # the misprint in Annex A's explanation
        (b"0759", "protocol.frame.crc_modbus"),
        (b"5907", "protocol.frame.crc_modbus"),
        (b"1C8x", "protocol.frame.crc_form"),
    ],
)
def test_wrong_check_code_says_which_kind_of_wrong(code: bytes, cause: str) -> None:
    found = feed(FRAME.replace(b"1C80", code))
    assert causes(found) == [cause]
    assert segments(feed(FRAME.replace(b"1C80", code) + FRAME)) == [SEGMENT]


def test_crc_error_names_byte_expected_and_came() -> None:
    (dropped,) = feed(FRAME.replace(b"1C80", b"1C81"))
    assert isinstance(dropped, Dropped)
    assert dropped.error.params == {"at": 108, "expected": "1C80", "came": "1C81"}


def test_wrong_length_of_a_sound_frame_says_the_right_one() -> None:
    (dropped,) = feed(b"##0099" + FRAME[6:])
    assert isinstance(dropped, Dropped)
    assert dropped.error.code == "protocol.frame.length"
    assert dropped.error.params == {"at": 3, "expected": 101, "came": 99}


@pytest.mark.parametrize(("variant", "code"), [("modbus-hi-lo", b"0759"), ("modbus-lo-hi", b"5907")])
def test_links_with_another_check_code(variant: str, code: bytes) -> None:
    assert wrap(SEGMENT, variant) == FRAME.replace(b"1C80", code)  # type: ignore[arg-type]  # a Variant
    assert segments(feed(FRAME.replace(b"1C80", code), variant=variant)) == [SEGMENT]
    assert causes(feed(FRAME, variant=variant)) == ["protocol.frame.crc_standard"]


def test_dropped_bytes_show_no_password() -> None:
    (dropped,) = [each for each in feed(b"PW=secret;x" + FRAME) if isinstance(each, Dropped)]
    assert "secret" not in str(dropped.error)


_surroundings = [FRAME, b"##", b"#", b"##0010", b"##9999", b"&&1C80", b"\r\n", b"noise", b"##0101QN=1&&"]


@given(st.lists(st.sampled_from(_surroundings)), st.randoms(use_true_random=False))
def test_every_sound_frame_survives_any_surroundings_and_any_cutting(parts: list[bytes], chance: random.Random) -> None:
    stream = b"".join([*parts, FRAME])
    decoder = FrameDecoder(cap=9999)
    found: list[Frame | Dropped] = []
    while stream:
        size = chance.randint(1, 40)
        found += decoder.feed(stream[:size], 0.0)
        stream = stream[size:]
    found += decoder.flush()
    assert segments(found).count(SEGMENT) == parts.count(FRAME) + 1


@given(st.binary(max_size=400))
def test_every_byte_is_a_frame_or_dropped_or_a_line_end(data: bytes) -> None:
    decoder = FrameDecoder()
    found = decoder.feed(data, 0.0) + decoder.flush()
    kept = b"".join(each.raw if isinstance(each, Frame) else each.data for each in found)
    assert kept.translate(None, b"\r\n") == data.translate(None, b"\r\n")


@pytest.mark.parametrize("pattern", [b"#", b"##0010", b"##1000&&1C80", b"##0010&&1C80", b"&&1C80"])
def test_hostile_bytes_are_bounded_work(pattern: bytes) -> None:
    # 64 KB of heads and ends that never fit: each head may be judged, but only the first of a run is explained.
    found = feed((pattern * 65_536)[:65_536] + FRAME, cap=1024)
    assert segments(found) == [SEGMENT]


@pytest.mark.parametrize("cap", [1024, 9999])
@pytest.mark.parametrize("pattern", [b"##9999", b"##1024", b"##0010&&1C80", b"##9998\xe6\xb8\x85", b"&&0000##0990"])
def test_work_is_in_proportion_to_the_bytes_whatever_their_size(
    pattern: bytes, cap: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = 0
    judge = frame._judge

    def counted(*args: Any, **named: Any) -> Any:
        nonlocal judged
        judged += 1
        return judge(*args, **named)

    monkeypatch.setattr(frame, "_judge", counted)
    stream = (pattern * 65_536)[:65_536]
    for size in (65_536, 1_000, 7):
        judged, decoder = 0, FrameDecoder(cap=cap)
        for at in range(0, len(stream), size):
            decoder.feed(stream[at : at + size], 0.0)
        decoder.flush()
        assert judged <= 6 * stream.count(b"##")


@pytest.mark.parametrize("size", [1, 7])
def test_frame_of_a_slow_but_live_peer_is_taken(size: int) -> None:
    decoder = FrameDecoder(stall_s=5.0, total_s=60.0)
    found = [
        each
        for at in range(0, len(FRAME), size)
        for each in (*decoder.tick(at * 0.4), *decoder.feed(FRAME[at : at + size], at * 0.4))
    ]
    assert segments(found) == [SEGMENT]


def test_frame_that_never_ends_is_given_up_after_the_total_time_though_its_bytes_keep_coming() -> None:
    decoder = FrameDecoder(stall_s=5.0, total_s=60.0)
    found = [each for at in range(61) for each in decoder.feed(b"##0500QN=" if at == 0 else b"x", float(at))]
    assert causes(found) + causes(decoder.flush()) == ["protocol.frame.unfinished"]
    assert segments(decoder.feed(FRAME, 70.0)) == [SEGMENT]
