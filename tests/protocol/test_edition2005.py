"""Edition HJ/T 212-2005: the example segments of its Annex C, codes, units, number formats and marks of its Annex B."""

import itertools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import edition2005, messages, parameters, upload
from protocol.edition import EDITION_2017
from protocol.edition2005 import EDITION_2005, Threshold
from protocol.errors import BadPacket, ProtocolError
from protocol.factors import all_factors
from protocol.marks import MARKS
from protocol.messages import Header, Limits
from protocol.packet import Packet
from protocol.region import fields, write
from protocol.times import parse_time
from protocol.upload import Shape

EXAMPLES = [
    line.split("\t")[:2]
    for line in (Path(__file__).parent / "examples_2005.tsv").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
]
HEADER = Header("32", "123456", "88888880000001")
QN = "20040516010101001"


def read(direction: str, cn: str) -> Packet:
    """The first example of a CN."""
    return next(
        packet
        for came, segment in EXAMPLES
        if came == direction and (packet := EDITION_2005.read(segment.encode())).cn == cn
    )


def test_all_examples_are_there() -> None:
    assert len(EXAMPLES) == 33


@pytest.mark.parametrize(("direction", "segment"), EXAMPLES)
def test_examples_are_read_and_written_back_byte_for_byte(direction: str, segment: str) -> None:
    assert EDITION_2005.segment(EDITION_2005.read(segment.encode())) == segment.encode()


def test_what_is_read_is_in_the_terms_of_2017() -> None:
    assert read("C", "1072").data == fields(("NewPW", "654321"))
    assert (read("F", "9011").qn, read("F", "9011").data) == (QN, fields(("QnRtn", "1")))
    assert (read("F", "1011").qn, read("F", "1011").get("SystemTime")) == (QN, "20040516010102")
    assert (read("C", "9014").qn, read("C", "9014").mn) == (QN, "")
    assert read("C", "3011").data == fields(("PolId", "w21011"))
    realtime = read("F", "2011")
    assert (realtime.get("w00000-Rtd"), realtime.get("w21011-Rtd"), realtime.qn) == ("100", "1.1", None)
    assert parameters.read_timeouts(read("C", "1000")) == parameters.Timeouts(5, 3)


def test_answers_made_in_the_terms_of_2017_stand_as_in_2005() -> None:
    asked = read("C", "1011")
    pw = "PW=123456;MN=88888880000001"
    reply = messages.parameter_reply(asked, "32", parameters.SystemTime(parse_time("20040516010102")).region())
    for packet, segment in [
        (messages.request_answer(asked, 1), f"ST=91;CN=9011;{pw};Flag=0;CP=&&QN={QN};QnRtn=1&&"),
        (messages.execution_result(asked, 1), f"ST=91;CN=9012;{pw};CP=&&QN={QN};ExeRtn=1&&"),
        (messages.notice_answer(asked), f"ST=91;CN=9013;{pw};CP=&&QN={QN}&&"),
        (reply, f"ST=32;CN=1011;{pw};CP=&&QN={QN};SystemTime=20040516010102&&"),
        (edition2005.data_answer(read("F", "9012")), f"ST=91;CN=9014;CP=&&QN={QN};CN=9012&&"),
    ]:
        assert EDITION_2005.segment(packet) == segment.encode()
    part = Packet(QN, "32", "2051", "123456", "88888880000001", None, 2, 1)
    assert EDITION_2005.segment(edition2005.data_answer(part)) == (
        b"ST=91;CN=9014;CP=&&QN=20040516010101001;CN=2051;PNO=1;PNUM=2&&"
    )


COD: Shape = (("w01018", (("Cou", 0), ("Avg", 2), ("Flag", "B"))), ("w20111", (("Cou", 2), ("Avg", 2), ("Flag", "N"))))


def frames(answer: bool, limits: Limits = messages.LIMITS) -> list[bytes]:
    body = upload.statistics(parse_time("20040516021000"), COD, (2.5, 40.05, 1.5, 21.0), EDITION_2005)
    qns = itertools.count(parse_time(QN))
    issued = upload.frames(HEADER, "2051", body, lambda: next(qns), answer, limits, edition=EDITION_2005)
    return [one.data[6:-6] for one in issued]


def test_upload_has_old_codes_units_and_decimals_and_b_becomes_d() -> None:
    # COD mg/L N6.1, total kg N14.2; total mercury µg/L -> mg/L N2.3, g -> kg; half-even
    body = (
        b"DataTime=20040516021000;011-Cou=2.50,011-Avg=40.0,011-Flag=D;020-Cou=0.00,020-Avg=0.021,020-Flag=N"
    )  # fmt: skip
    assert frames(answer=False) == [b"ST=32;CN=2051;PW=123456;MN=88888880000001;CP=&&" + body + b"&&"]
    assert frames(answer=True) == [
        b"ST=32;CN=2051;QN=20040516010101001;PW=123456;MN=88888880000001;CP=&&" + body + b"&&"
    ]


def test_split_upload_has_pno_before_pnum_and_a_qn_of_its_own_in_each_part() -> None:
    first, second = frames(True, Limits(segment=160))
    assert first.startswith(b"ST=32;CN=2051;QN=20040516010101001;PW=123456;MN=88888880000001;PNO=1;PNUM=2;CP=&&Data")
    assert second.startswith(b"ST=32;CN=2051;QN=20040516010101002;PW=123456;MN=88888880000001;PNO=2;PNUM=2;CP=&&Data")


def test_region_of_2017_is_turned_into_2005_and_back() -> None:
    region = Packet.from_segment(
        b"QN=20160801085857223;ST=32;CN=2061;PW=123456;MN=M1;Flag=5;CP=&&DataTime=20160801080000;"
        b"w20111-Avg=21.5,w20111-Flag=B;w20121-Avg=-0.001,w20121-EFlag=A01;a01013-Avg=-12.345;x9-Avg=1.239&&"
    ).data
    old = EDITION_2005.region(region, "2061")
    assert write(old) == (
        "DataTime=20160801080000;020-Avg=0.022,020-Flag=D;028-Avg=0.00;S08-Avg=-0.01;x9-Avg=1.24"
    )  # fmt: skip
    back = EDITION_2005.read(b"ST=32;CN=2061;PW=1;MN=M1;CP=&&" + write(old).encode() + b"&&")
    assert write(back.data).startswith(
        "DataTime=20160801080000;w20111-Avg=22,w20111-Flag=D;w20121-Avg=0.00;a01013-Avg=-10"
    )


def test_every_code_with_a_predecessor_comes_back() -> None:
    for row in all_factors():
        if row.old_code:
            assert EDITION_2005.factor(EDITION_2005.code(row.code)) == row.code
    assert (EDITION_2005.code("w01009"), EDITION_2005.factor("B03")) == ("w01009", "B03")


def test_every_mark_has_a_letter_of_2005() -> None:
    assert {mark: EDITION_2005.mark(mark) for mark in MARKS if EDITION_2005.mark(mark) != mark} == {"B": "D"}
    assert {EDITION_2005.mark(mark) for mark in MARKS} <= set("PFCMTDSN")


def test_thresholds_are_read_in_both_units() -> None:
    packet = EDITION_2005.read(
        b"QN=20040516010101001;ST=32;CN=1022;PW=123456;MN=M1;Flag=3;CP=&&020-LowValue=0.001,020-UpValue=0.05;"
        b"101-LowValue=1.1,101-UpValue=9.9&&"
    )
    limits = (Threshold("w20111", "1", "50"), Threshold("w21011", "1.1", "9.9"))
    assert edition2005.read_thresholds(packet) == limits
    assert EDITION_2005.region(edition2005.thresholds(limits), "1022") == (
        (("020-LowValue", "0.001"), ("020-UpValue", "0.05")), (("101-LowValue", "1.1"), ("101-UpValue", "9.9")),
    )  # fmt: skip
    assert edition2005.read_threshold_request(read("C", "1021")) == ("w21011", "102")


def test_alarms_and_sampling_hours_of_the_examples() -> None:
    when = parse_time("20040506010101")
    assert EDITION_2005.region(edition2005.alarm_record(when, (("w21011", "1.1"),)), "2071") == fields(
        ("DataTime", "20040506010101"), ("101-Ala", "1.1")
    )
    notice = Packet(
        QN, "32", "2072", "123456", "88888880000001", 4, data=edition2005.alarm_notice(when, "w21011", "1.1", True)
    )
    assert EDITION_2005.segment(notice) == next(seg.encode() for _, seg in EXAMPLES if "CN=2072" in seg)
    assert edition2005.read_sampling_hours(read("C", "3014")) == ("w21011", (4, 10, 14, 16))
    assert edition2005.read_warn_time(read("C", "1001")) == 5


@pytest.mark.parametrize(
    ("cn", "cp", "field"),
    [
        ("1022", "", "xxx-LowValue"),
        ("1022", "101-LowValue=1", "w21011-UpValue"),
        ("1022", "101-LowValue=9,101-UpValue=1", "w21011-UpValue"),
        ("3014", "PolID=101", "CTime"),
        ("3014", "PolID=101,CTime=24", "CTime"),
        ("1001", "WarnTime=x", "WarnTime"),
        ("1021", "", "PolId"),
    ],
)
def test_parameters_out_of_bounds_name_their_field(cn: str, cp: str, field: str) -> None:
    packet = EDITION_2005.read(f"QN={QN};ST=32;CN={cn};PW=1;MN=M1;Flag=3;CP=&&{cp}&&".encode())
    readers = {
        "1022": edition2005.read_thresholds,
        "3014": edition2005.read_sampling_hours,
        "1001": edition2005.read_warn_time,
        "1021": edition2005.read_threshold_request,
    }
    with pytest.raises(BadPacket) as caught:
        readers[cn](packet)
    assert caught.value.params["field"] == field


def test_edition_2017_changes_nothing() -> None:
    segment = b"QN=20160801085857223;ST=32;CN=1062;PW=100000;MN=010000A8900016F000169DC0;Flag=5;CP=&&RtdInterval=30&&"
    assert EDITION_2017.segment(EDITION_2017.read(segment)) == segment


def test_table_of_commands_has_what_2005_has_and_2017_has_not() -> None:
    assert {"1001", "1021", "1022", "1031", "1032", "1041", "1042", "2071", "2072"} <= {
        row.cn for row in edition2005.commands()
    }


READERS = (
    edition2005.read_thresholds, edition2005.read_threshold_request, edition2005.read_warn_time,
    edition2005.read_timeouts, edition2005.read_alarm_target, edition2005.read_report_time,
    edition2005.read_sampling_hours,
)  # fmt: skip


@given(st.sampled_from(EXAMPLES), st.integers(0, 250), st.binary(max_size=6), st.integers(0, 6))
@settings(max_examples=500, deadline=None)
def test_a_mutated_example_is_read_or_refused_and_so_are_its_parameters(
    example: list[str], at: int, put: bytes, cut: int
) -> None:
    segment = example[1].encode()
    mutated = segment[:at] + put + segment[at + cut :]
    try:
        packet = EDITION_2005.read(mutated)
    except ProtocolError:
        return
    for read_parameters in READERS:
        try:
            read_parameters(packet)
        except ProtocolError:
            continue
    try:
        EDITION_2005.segment(packet)
    except ProtocolError:
        return


@pytest.mark.parametrize("number", ["1" * 390 + ".555", "-0." + "0" * 300 + "5"])
def test_a_number_of_any_length_is_rounded(number: str) -> None:
    (((_, told),),) = EDITION_2005.region(fields(("w01018-Max", number)), "2051")
    assert told == ("1" * 390 + ".6" if number[0] == "1" else "0.0")


def test_codes_that_2005_does_not_have_are_a_plain_no() -> None:
    def told(name: str, code: int) -> str:
        return EDITION_2005.region(fields((name, str(code))), "9011")[0][0][1]

    assert [told("QnRtn", code) for code in range(1, 11)] == ["1", "2", "3", *["2"] * 7]
    assert [told("ExeRtn", code) for code in (1, 2, 3, 4, 5, 6, 100)] == ["1", *["2"] * 5, "100"]


def test_each_edition_knows_its_own_uploads() -> None:
    old = b"ST=32;CN=2051;PW=1;MN=M1".split(b";")
    notice = b"QN=20040516010101001;ST=32;CN=2072;PW=1;MN=M1;Flag=1".split(b";")
    new = b"QN=20160801085857223;ST=32;CN=2051;PW=1;MN=M1;Flag=7;PNUM=2;PNO=1".split(b";")
    assert [EDITION_2005.wrote(head) for head in (old, notice, new)] == [True, True, False]
    assert [EDITION_2017.wrote(head) for head in (old, notice, new)] == [False, False, True]
    assert [cn for cn in ("2011", "2051", "1013", "2081", "3015", "3019", "3020") if EDITION_2005.carries(cn)] == [
        "2011", "2051",
    ]  # fmt: skip
    assert [cn for cn in ("2051", "2081", "2071", "2072") if EDITION_2017.carries(cn)] == ["2051", "2081"]
