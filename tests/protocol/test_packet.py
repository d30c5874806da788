"""Packets: the standard's messages there and back, tolerated deviations, refusals."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import lenient
from protocol.errors import BadPacket, CannotEncode
from protocol.frame import wrap
from protocol.packet import Packet, damaged, examine
from protocol.region import Region

MN = "010000A8900016F000169DC0"
ANNEX_A = b"QN=20160801085857223;ST=32;CN=1062;PW=100000;MN=010000A8900016F000169DC0;Flag=5;CP=&&RtdInterval=30&&"
ANNEX_C = [
    line.split("\t")
    for line in (Path(__file__).parent / "annex_c.tsv").read_text(encoding="utf-8").splitlines()
    if line.startswith("##")
]


def segment(cp: str = "", head: str = f"QN=20160801085857223;ST=32;CN=2011;PW=123456;MN={MN};Flag=5") -> bytes:
    return f"{head};CP=&&{cp}&&".encode()


def test_annex_c_has_155_messages() -> None:
    assert len(ANNEX_C) == 155


@pytest.mark.parametrize("frame", [row[0] for row in ANNEX_C], ids=[f"{row[1]}-{at}" for at, row in enumerate(ANNEX_C)])
def test_messages_of_annex_c_read_without_notes_and_write_back_byte_for_byte(frame: str) -> None:
    data = frame.encode()
    examined = examine(data, framed=True)
    assert (examined.errors, examined.notes) == ((), ())
    packet = Packet.from_segment(data[6:-4])
    assert packet == examined.packet
    assert packet.to_frame() == data + b"\r\n"


def test_header_and_data_of_c14() -> None:
    (frame,) = [row[0] for row in ANNEX_C if row[1] == "C.14" and "CN=2011" in row[0]]
    packet = Packet.from_segment(frame[6:-4].encode())
    assert packet == Packet(
        "20160801085857223", "32", "2011", "123456", MN, 5, None, None, None,
        (
            (("DataTime", "20160801085857"),),
            (("w01001-Rtd", "7.1"), ("w01001-Flag", "N")),
            (
                ("w01018-SampleTime", "20160801070000"), ("w01018-Rtd", "2.2"), ("w01018-Flag", "N"),
                ("w01018-EFlag", "A01"),
            ),
        ),
    )  # fmt: skip
    assert packet.get("w01018-rtd") == "2.2"
    assert packet.get("w99999-Rtd") is None
    assert (packet.wants_answer, packet.is_split) == (True, False)


@pytest.mark.parametrize(
    ("data", "note", "kept"),
    [
        (segment("DataTime=20160801085857;"), "empty_item", "DataTime=20160801085857"),
        (segment(" PolId = w01018 "), "blanks", "PolId=w01018"),
        (segment("w01018-SampleTime=,w01018-Rtd=2.2"), "empty_value", "w01018-SampleTime=,w01018-Rtd=2.2"),
        (segment("DataTime=20160801085857223"), "milliseconds", "DataTime=20160801085857223"),
        (segment("w01018-Rtd=1.2e3"), "exponent", "w01018-Rtd=1.2e3"),
    ],
)
def test_deviations_in_the_region_are_tolerated_and_noted(data: bytes, note: str, kept: str) -> None:
    examined = examine(data)
    assert examined.ok
    assert [each.code for each in examined.notes] == [f"protocol.note.{note}"]
    assert Packet.from_segment(data).to_segment() == segment(kept)


@pytest.mark.parametrize(
    ("head", "note"),
    [
        (f"ST=32;CN=2011;PW=123456;MN={MN};Flag=5", "missing"),
        (f"QN=20160801085857223;ST=32;CN=2011;PW=123456;MN={MN}", "missing"),
        (f"QN=20160801085857223;ST=32;CN=2011;PW=;MN={MN};Flag=5", "form"),
        ("QN=20160801085857223;ST=32;CN=2011;PW=123456;MN=yc_01-A;Flag=5", "form"),
        (f"QN=20160801085857223;ST=32;CN=2011;PW=123456;MN={MN};FLAG=5", "case"),
        (f"ST=32;CN=2011;QN=20160801085857223;PW=123456;MN={MN};Flag=5", "order"),
        (f"QN=1470013137223;ST=32;CN=2011;PW=123456;MN={MN};Flag=5", "form"),
        (f"QN=20160801085857223;ST=32;CN=2011;PW=123456;MN={MN};Flag=7", "split_flag"),
        (f"QN=20160801085857223;ST=32;CN=2011;PW=123456;MN={MN};Flag=7;PNUM=0002;PNO=0001", "form"),
        (f"QN=20160801085857223;ST=32;CN=2011;PW=123456;MN={MN};Flag=5;Ver=3", "extra"),
        (f"QN=20160801085857223;ST=101;CN=2011;PW=123456;MN={MN};Flag=5", "form"),
        (f";QN=20160801085857223;ST=32;CN=2011;PW=123456;MN={MN};Flag=5", "empty_field"),
    ],
)
def test_deviations_in_the_header_are_tolerated_and_noted(head: str, note: str) -> None:
    examined = examine(segment(head=head))
    assert examined.ok
    assert {each.code for each in examined.notes} == {f"protocol.note.{note}"}
    packet = Packet.from_segment(segment(head=head))
    assert Packet.from_segment(packet.to_segment()) == packet


def test_answer_of_2005_names_its_qn_inside_the_region() -> None:
    packet = Packet.from_segment(b"ST=91;CN=9014;CP=&&QN=20040516010101001;CN=2051&&")
    assert (packet.qn, packet.mn, packet.pw) == (None, "", None)
    assert packet.get("QN") == "20040516010101001"


@pytest.mark.parametrize(
    ("data", "code", "field"),
    [
        (segment("w01018"), "protocol.packet.field", None),
        (segment("w01018-Rtd=1w01001-Rtd=2"), "protocol.packet.field", None),
        (segment("w01018-Rtd=N"), "protocol.packet.number", "w01018-Rtd"),
        (segment("w01018-Rtd=NaN"), "protocol.packet.number", "w01018-Rtd"),
        (segment("DataTime=20160231000000"), "protocol.packet.time", "DataTime"),
        (segment("DataTime=2016080108"), "protocol.packet.time", "DataTime"),
        (segment(head=f"QN=20161301085857223;ST=32;CN=2011;PW=123456;MN={MN};Flag=5"), "protocol.packet.time", "QN"),
        (segment(head=f"QN=20160801085857223;ST=32;CN=201;PW=123456;MN={MN};Flag=5"), "protocol.packet.value", "CN"),
        (segment(head=f"QN=20160801085857223;ST=32;CN=2011;PW=123456;MN={MN};Flag=256"),
         "protocol.packet.value", "Flag"),
        (segment(head=f"QN=20160801085857223;ST=32;PW=123456;MN={MN};Flag=5"), "protocol.packet.missing", "CN"),
        (segment(head="QN=20160801085857223;ST=32;CN=2011;PW=123456;Flag=5"), "protocol.packet.missing", "MN"),
        (segment(head=f"QN=20160801085857223;QN=1;ST=32;CN=2011;MN={MN}"), "protocol.packet.twice", "QN"),
        (segment(head=f"QN=20160801085857223;ST=32;CN=2011;PW=123456;MN={MN};Flag=7;PNUM=2;PNO=3"),
         "protocol.packet.value", "PNO"),
        (segment()[:-2], "protocol.packet.region_open", None),
        (segment() + b"x", "protocol.packet.behind_region", None),
        (b"QN=20160801085857223;ST=32;CN=2011", "protocol.packet.no_region", None),
    ],
)  # fmt: skip
def test_refusals_name_the_place(data: bytes, code: str, field: str | None) -> None:
    with pytest.raises(BadPacket) as caught:
        Packet.from_segment(data)
    assert caught.value.code == code
    assert caught.value.params.get("field") == field
    assert field or caught.value.params["at"]


def test_logs_may_hold_separators_between_their_slashes() -> None:
    data = segment("DataTime=20160801085857;i11001-Info=//清洗,管路;a=b//;PolId=w01018")
    packet = Packet.from_segment(data)
    assert packet.get("i11001-Info") == "//清洗,管路;a=b//"
    assert packet.get("PolId") == "w01018"
    assert packet.to_segment() == data


def test_gbk_log_is_read_with_a_note() -> None:
    examined = examine(wrap(segment("i11001-Info=//清洗管路//").decode().encode("gbk")))
    assert examined.ok
    assert examined.packet is not None
    assert examined.packet.get("i11001-Info") == "//清洗管路//"
    assert [note.code for note in examined.notes] == ["protocol.note.gbk"]


def test_repeated_items_and_names_are_kept() -> None:
    data = segment("e01001-Rtd=1.1;e01001-Rtd=2.2;PolId=w01018,PolId=w01001")
    assert Packet.from_segment(data).to_segment() == data


@pytest.mark.parametrize(
    "change",
    [
        {"pw": "1;ST=1"}, {"mn": "a b"}, {"qn": "2016x"}, {"flag": 256}, {"pnum": 0, "pno": 0}, {"pnum": 1, "pno": 2},
        {"extra": (("CN", "2"),)}, {"extra": (("", "2"),)}, {"cn": ""}, {"qn": "20161301085857223"},
        {"data": (((" a", "1"),),)}, {"data": ((("a", "1,b=2"),),)}, {"data": ((("a", "1;"),),)}, {"data": ((),)},
        {"data": ((("a", "&&"),),)}, {"data": ((("w1-Rtd", "x"),),)}, {"data": ((("DataTime", "20160231000000"),),)},
        {"data": ((("DataTime", "20160801085857;w1-Rtd=1"),),)}, {"data": ((("", "1"),),)}, {"data": ((("a", "\n"),),)},
    ],
)  # fmt: skip
def test_what_would_not_read_back_is_not_written(change: dict[str, object]) -> None:
    packet = Packet("20160801085857223", "32", "2011", "123456", MN, 5)
    with pytest.raises(CannotEncode):
        replace(packet, **change).to_segment()  # type: ignore[arg-type]  # fields by name


_names = st.from_regex(r"[a-z]\w{0,6}(-(Rtd|Flag|Info|Min))?", fullmatch=True).filter(str.isascii)
_values = st.one_of(
    st.from_regex(r"-?\d{1,5}(\.\d{1,3})?", fullmatch=True).filter(str.isascii),
    st.sampled_from(["N", "", "//清洗,管;路=1//", "1e3", "A01", "20160801085857", "x y"]),
)
_regions = st.lists(st.lists(st.tuples(_names, _values), min_size=1, max_size=3).map(tuple), max_size=6).map(tuple)


@given(_regions, st.sampled_from([None, 4, 5, 6, 7]), st.sampled_from([None, "20160801085857223"]))
def test_what_is_written_reads_back_equal(data: Region, flag: int | None, qn: str | None) -> None:
    pnum, pno = (2, 1) if (flag or 0) & 2 else (None, None)
    packet = Packet(qn, "32", "2011", "123456", MN, flag, pnum, pno, None, data)
    try:
        written = packet.to_segment()
    except CannotEncode:
        return
    assert Packet.from_segment(written) == packet
    assert not lenient.read(written).errors


@given(st.sampled_from([row[0][6:-4] for row in ANNEX_C]), st.integers(0, 2000), st.characters(max_codepoint=255))
def test_both_ways_of_reading_agree_on_damaged_messages(text: str, at: int, letter: str) -> None:
    at %= len(text)
    data = (text[:at] + letter + text[at + 1 :]).encode()
    reading = lenient.read(data)
    if reading.errors:
        with pytest.raises(BadPacket):
            Packet.from_segment(data)
    else:
        packet = Packet.from_segment(data)
        assert (packet.data, packet.mn) == (reading.region, reading.header.get("MN", ""))


@given(st.binary(max_size=200))
def test_any_bytes_are_explained_without_failing(data: bytes) -> None:
    examine(data)
    examine(b"##0050" + data + b"CP=&&" + data)


def test_half_a_packet_gives_what_could_be_read() -> None:
    examined = examine(b"##0101QN=20160801085857223;ST=32;CN=1062;PW=100000;MN=0100", framed=True)
    assert not examined.ok
    assert examined.header["CN"] == "1062"
    assert [error.code for error in examined.errors] == ["protocol.frame.unfinished", "protocol.packet.no_region"]


def test_bare_segment_is_no_frame_where_one_is_due() -> None:
    assert examine(segment()).ok
    assert not examine(segment(), framed=True).ok


def test_two_frames_where_one_is_due_are_refused() -> None:
    assert [error.code for error in examine(wrap(segment()) * 2).errors] == ["protocol.frame.several"]


def test_packets_that_are_damaged_in_their_check_code_alone_can_be_read_and_others_cannot() -> None:
    """Annex A's packet; its code is 1C80."""
    whole = b"##0101" + ANNEX_A + b"1C81\r\n"
    assert [packet.cn for packet in damaged(whole)] == ["1062"]
    assert [packet.cn for packet in damaged(b"noise#" + whole + b"##12" + whole)] == ["1062", "1062"]
    for broken in (
        whole.replace(b"##0101", b"##0100"),  # a wrong length besides
        whole.replace(b"1C81", b"1CG1"),  # no check code at all
        b"##0093" + ANNEX_A.replace(b"CN=1062;", b"") + b"1C81\r\n",
        whole[:60],
        b"##0101" * 50,
        b"",
    ):
        assert damaged(broken) == []
    assert len(damaged(whole * 100)) == 16


pieces = st.sampled_from([b"##0101", ANNEX_A, b"1C81", b"&&", b"##0002", b"#"])


@given(st.binary(max_size=300) | st.lists(pieces).map(b"".join))
def test_dropped_bytes_never_raise_and_give_packets_that_were_whole(data: bytes) -> None:
    for packet in damaged(data):
        assert packet.cn.encode() in data
