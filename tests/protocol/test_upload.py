"""Uploads of numbers against Annex C, and against packets written field by field."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import upload
from protocol.errors import BadPacket, CannotEncode
from protocol.lenient import checked, region_of
from protocol.messages import Form, Header, Limits
from protocol.packet import Packet
from protocol.region import Body, number
from protocol.split import Reassembler
from protocol.times import parse_time, time_text
from protocol.upload import Shape

HEADER = Header("32", "123456", "010000A8900016F000169DC0")
HOUR_MS = parse_time("20160801080000")
MEANS = (("Cou", 1), ("Min", 1), ("Avg", 1), ("Max", 1), ("Flag", "N"))
HOUR: Shape = (("w00000", MEANS), ("w01001", MEANS[1:]), ("w01018", MEANS))
HOUR_VALUES = (63, 16.4, 17.5, 20.1, 7.1, 7.5, 7.8, 63.0, 40.1, 40.1, 40.1)


def hour(limits: Limits = Limits(), answer: bool = True) -> list[upload.Issued]:  # noqa: B008 - it is immutable
    qns = itertools.count(parse_time("20160801090000001"))
    body = upload.statistics(HOUR_MS, HOUR, HOUR_VALUES)
    return upload.frames(HEADER, "2061", body, lambda: next(qns), answer, limits)


def segment(frame: bytes) -> bytes:
    return frame[6:-6]


def test_hour_upload_of_c17() -> None:
    (frame,) = hour()
    assert (frame.qn, frame.pno, frame.pnum) == ("20160801090000001", 1, 1)
    assert segment(frame.data) == (
        b"QN=20160801090000001;ST=32;CN=2061;PW=123456;MN=010000A8900016F000169DC0;Flag=5;CP=&&DataTime=20160801080000;"
        b"w00000-Cou=63.0,w00000-Min=16.4,w00000-Avg=17.5,w00000-Max=20.1,w00000-Flag=N;"
        b"w01001-Min=7.1,w01001-Avg=7.5,w01001-Max=7.8,w01001-Flag=N;"
        b"w01018-Cou=63.0,w01018-Min=40.1,w01018-Avg=40.1,w01018-Max=40.1,w01018-Flag=N&&"
    )


def test_realtime_upload_of_c14_with_sampling_time_and_makers_mark() -> None:
    shape: Shape = (
        ("w01001", (("Rtd", 1), ("Flag", "N"))),
        ("w01018", (("SampleTime", "20160801070000"), ("Rtd", 1), ("Flag", "N"), ("EFlag", "A01"))),
    )
    assert upload.realtime(parse_time("20160801085857"), shape, [7.1, 2.2]) == (
        "DataTime=20160801085857;w01001-Rtd=7.1,w01001-Flag=N;"
        "w01018-SampleTime=20160801070000,w01018-Rtd=2.2,w01018-Flag=N,w01018-EFlag=A01"
    )


def test_record_too_long_for_one_packet_is_cut_as_in_c50() -> None:
    first, second = hour(Limits(segment=300))
    assert b"Flag=7;PNUM=2;PNO=1;CP=&&DataTime=20160801080000;w00000-Cou=63.0" in first.data
    assert b"QN=20160801090000002;" in second.data
    assert b"Flag=7;PNUM=2;PNO=2;CP=&&DataTime=20160801080000;w01018-Cou=63.0" in second.data
    assert b"Flag=6;PNUM=2;PNO=1;" in hour(Limits(segment=300), answer=False)[0].data


def test_part_numbers_stand_in_the_order_that_the_link_wants() -> None:
    usual, other = (
        upload.frames(HEADER, "2061", upload.statistics(HOUR_MS, HOUR, HOUR_VALUES),
                      itertools.count(HOUR_MS).__next__, True, Limits(segment=300), Form(pno_first=pno_first))
        for pno_first in (False, True)
    )  # fmt: skip
    for one, two in zip(usual, other, strict=True):
        swapped = b"PNUM=2;PNO=%d;" % one.pno, b"PNO=%d;PNUM=2;" % one.pno
        assert segment(two.data) == segment(one.data).replace(*swapped)
        assert Packet.from_segment(segment(two.data)) == Packet.from_segment(segment(one.data))


@pytest.mark.parametrize("count", [1, 9, 10, 17, 60, 130])
@pytest.mark.parametrize("limits", [Limits(), Limits(segment=300), Limits(cp=200), Limits(9999, 9999)])
def test_parts_keep_both_limits_and_merge_to_the_whole(count: int, limits: Limits) -> None:
    shape: Shape = tuple((f"w{at:05}", MEANS) for at in range(count))
    body = upload.statistics(HOUR_MS, shape, [40.1] * 4 * count)
    qns = itertools.count(parse_time("20160801085857534"))
    whole = Reassembler(max_parts=999)
    merged = None
    for frame in upload.frames(HEADER, "2061", body, lambda: next(qns), True, limits):
        data = segment(frame.data)
        assert len(data) <= limits.segment
        assert len(data[data.index(b"CP=") :]) <= limits.cp
        merged = whole.add(Packet.from_segment(data), 0.0)
    assert merged is not None
    assert merged.data == region_of(body)


def test_944_bytes_of_cp_beside_a_usual_header_are_one_packet_and_945_are_two() -> None:
    def count(size: int) -> int:
        body = checked("DataTime=20160801080000;a=1;b=" + "x" * size)
        return len(upload.frames(HEADER, "3020", body, itertools.count(HOUR_MS).__next__, True))

    fixed = len("CP=&&DataTime=20160801080000;a=1;b=&&")
    assert count(944 - fixed) == 1
    with pytest.raises(CannotEncode):  # b alone fits no part any more, as each has PNUM and PNO
        count(945 - fixed)


def test_qn_that_does_not_rise_is_refused() -> None:
    body = upload.statistics(HOUR_MS, HOUR, HOUR_VALUES)
    with pytest.raises(CannotEncode):
        upload.frames(HEADER, "2061", body, lambda: HOUR_MS, True, Limits(segment=300))


numbers = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False, min_value=-1e15, max_value=1e15),
    st.builds(lambda whole, places: (whole + 0.5) / 10**places, st.integers(-(10**7), 10**7), st.integers(0, 5)),
    st.sampled_from([0.0, -0.0, -0.004, 2.675, 1e9, 1e22]),
)


@given(st.lists(numbers, min_size=1, max_size=12), st.integers(0, 6), st.integers(0, 4_000_000_000_000))
def test_bodies_hold_the_numbers_that_single_rounding_gives(values: list[float], decimals: int, ms: int) -> None:
    shape: Shape = tuple((f"w{at:05}", (("Rtd", decimals), ("Flag", "N"))) for at in range(len(values)))
    items = [f"w{at:05}-Rtd={number(value, decimals)},w{at:05}-Flag=N" for at, value in enumerate(values)]
    assert upload.realtime(ms, shape, values) == ";".join([f"DataTime={time_text(ms)}", *items])


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_not_sent(wrong: float) -> None:
    with pytest.raises(CannotEncode):
        upload.realtime(HOUR_MS, (("w01018", (("Rtd", 1), ("Flag", "N"))), ("w01001", (("Rtd", 1),))), [1.0, wrong])


@pytest.mark.parametrize("values", [[], [1.0, 2.0]])
def test_other_than_one_number_a_place_is_refused(values: list[float]) -> None:
    with pytest.raises(CannotEncode):
        upload.realtime(HOUR_MS, (("w01018", (("Rtd", 1),)),), values)


@pytest.mark.parametrize(
    "shape",
    [
        (("w01018", (("Avg", 1), ("Cou", 1))),),
        (("w01018", (("Avg", 1), ("Avg", 1))),),
        (("w01018", (("Rtd", 1),)),),
        (("w01018", ()),),
        (("w01,018", (("Avg", 1),)),),
        (("w0=1018", (("Avg", 1),)),),
        (("w01018", (("Avg", 1), ("Flag", "N;"))),),
        (("w01018", (("Avg", 1), ("Flag", " N"))),),
    ],
)
def test_attributes_out_of_order_and_names_that_would_break_the_region_are_refused(shape: Shape) -> None:
    with pytest.raises((CannotEncode, BadPacket)):
        upload.statistics(HOUR_MS, shape, [1.0] * sum(isinstance(what, int) for _, slots in shape for _, what in slots))


def test_percent_signs_of_a_password_stand_as_they_are() -> None:
    (frame,) = upload.frames(Header("32", "5%d%%", "M1"), "2011", Body("a=1"), lambda: HOUR_MS, False)
    assert segment(frame.data) == b"QN=20160801080000000;ST=32;CN=2011;PW=5%d%%;MN=M1;Flag=4;CP=&&a=1&&"


@pytest.mark.parametrize("header", [Header("32", "1;2", "M1"), Header("3=2", "1", "M1"), Header("32", "1", "")])
def test_header_that_would_not_read_back_is_refused(header: Header) -> None:
    with pytest.raises(CannotEncode):
        upload.frames(header, "2011", Body("a=1"), lambda: HOUR_MS, False)


@pytest.mark.parametrize("text", ["a=1;", "a = 1", "a=1;;b=2", "a=1&&", "a", "w01018-Rtd=x", "DataTime=20161301000000"])
def test_kept_text_that_would_read_back_otherwise_is_refused(text: str) -> None:
    with pytest.raises((CannotEncode, BadPacket)):
        checked(text)
