"""Uploads, answers and parameters against the messages of HJ 212-2017 Annex C."""

import itertools

import pytest

from protocol import messages, parameters, upload
from protocol.errors import BadPacket, CannotEncode
from protocol.messages import Header, Limits
from protocol.packet import Packet
from protocol.region import Region, fields, write
from protocol.split import Incomplete, Reassembler, split
from protocol.times import parse_time

MN = "010000A8900016F000169DC0"
HEADER = Header("32", "123456", MN)
HOUR_MS = parse_time("20160801080000")
HOUR: Region = (
    (("DataTime", "20160801080000"),),
    (
        ("w00000-Cou", "63.0"),
        ("w00000-Min", "16.4"),
        ("w00000-Avg", "17.5"),
        ("w00000-Max", "20.1"),
        ("w00000-Flag", "N"),
    ),
    (("w01001-Min", "7.1"), ("w01001-Avg", "7.5"), ("w01001-Max", "7.8"), ("w01001-Flag", "N")),
    (
        ("w01018-Cou", "63.0"),
        ("w01018-Min", "40.1"),
        ("w01018-Avg", "40.1"),
        ("w01018-Max", "40.1"),
        ("w01018-Flag", "N"),
    ),
)


def segment(qn: str, st: str, cn: str, flag: str, cp: str) -> bytes:
    return f"QN={qn};ST={st};CN={cn};PW=123456;MN={MN};Flag={flag};CP=&&{cp}&&".encode()


def command(cn: str, cp: str = "") -> Packet:
    return Packet.from_segment(segment("20160801085857223", "32", cn, "5", cp))


def one(cn: str, region: Region, qn: str, answer: bool = True) -> bytes:
    (frame,) = upload.frames(HEADER, cn, write(region), lambda: parse_time(qn), answer)
    return frame.data[6:-6]


def parts() -> list[Packet]:
    """The two parts of C.50's hour."""
    qns = itertools.count(HOUR_MS)
    frames = upload.frames(HEADER, "2061", write(HOUR), lambda: next(qns), True, Limits(segment=300))
    return [Packet.from_segment(frame.data[6:-6]) for frame in frames]


def test_states_running_times_and_start_of_c15_c19_c24() -> None:
    when = parse_time("20160801085857")
    assert one("2021", messages.states(when, [("SB1", "1"), ("SB2", "0")]), "20160801085857223").endswith(
        b"Flag=5;CP=&&DataTime=20160801085857;SB1-RS=1;SB2-RS=0&&"
    )
    day = messages.runtimes(parse_time("20160801000000"), [("SB1", "1.1"), ("SB2", "2.1")])
    assert one("2041", day, "20160802000000001", answer=False).endswith(
        b"Flag=4;CP=&&DataTime=20160801000000;SB1-RT=1.1;SB2-RT=2.1&&"
    )
    start = messages.startup(when, parse_time("20160801085624"))
    assert one("2081", start, "20160801085857223").endswith(
        b"CN=2081;PW=123456;MN=010000A8900016F000169DC0;Flag=5;"
        b"CP=&&DataTime=20160801085857;RestartTime=20160801085624&&"
    )


def test_item_longer_than_a_packet_is_refused() -> None:
    with pytest.raises(CannotEncode):
        split(fields(("DataTime", "20160801080000"), ("i11001-Info", "//" + "x" * 900 + "//")), 800)


def test_parts_may_come_in_any_order_and_twice() -> None:
    first, second = parts()
    whole = Reassembler()
    assert whole.add(second, 0.0) is None
    assert whole.add(second, 1.0) is None
    merged = whole.add(first, 2.0)
    assert merged is not None
    assert merged.data == HOUR


def test_missing_part_is_forgotten_after_its_time_and_reported() -> None:
    first, _ = parts()
    whole = Reassembler(timeout_s=60.0)
    whole.add(first, 0.0)
    assert whole.tick(59.0) == []
    assert whole.tick(60.0) == [Incomplete(MN, "2061", "20160801080000", 1, 2)]
    assert whole.tick(99.0) == []


def test_reassembler_refuses_more_parts_than_allowed_and_passes_unsplit_packets() -> None:
    whole = Reassembler(max_parts=4)
    assert whole.add(command("2011"), 0.0) == command("2011")
    with pytest.raises(BadPacket):
        whole.add(Packet("20160801085857223", "32", "2061", "123456", MN, 7, 5, 1), 0.0)


def test_answers_repeat_qn_password_and_mn() -> None:
    asked = command("1062", "RtdInterval=30")
    qn = "20160801085857223"
    assert messages.request_answer(asked, 1).to_segment() == segment(qn, "91", "9011", "4", "QnRtn=1")
    assert messages.execution_result(asked, "1").to_segment() == segment(qn, "91", "9012", "4", "ExeRtn=1")
    assert messages.notice_answer(asked).to_segment() == segment(qn, "91", "9013", "4", "")
    assert messages.data_answer(asked).to_segment() == segment(qn, "91", "9014", "4", "")
    reply = messages.parameter_reply(command("1061"), "32", parameters.realtime_interval(30))
    assert reply.to_segment() == segment(qn, "32", "1061", "4", "RtdInterval=30")


def test_commands_as_annex_c_writes_them() -> None:
    when = parse_time("20160801085857")
    qn = "20160801085857223"
    for cn, region, cp in [
        ("1000", parameters.Timeouts(5, 3).region(), "OverTime=5;ReCount=3"),
        ("1012", parameters.SystemTime(when, "w01018").region(), "PolId=w01018;SystemTime=20160801085857"),
        ("1013", parameters.pol_id("w01018"), "PolId=w01018"),
        ("1064", parameters.minute_interval(10), "MinInterval=10"),
        ("1072", parameters.new_password("654321"), "NewPW=654321"),
        ("2061", parameters.Period(HOUR_MS, HOUR_MS).region(), "BeginTime=20160801080000;EndTime=20160801080000"),
        ("2012", (), ""),
    ]:
        assert messages.command(HEADER, cn, region, qn).to_segment() == segment(qn, "32", cn, "5", cp)


def test_parameters_are_read() -> None:
    assert parameters.read_timeouts(command("1000", "Overtime=5;ReCount=3")) == parameters.Timeouts(5, 3)
    assert parameters.read_system_time(command("1012", "SystemTime=20160801085857")).pol_id is None
    assert parameters.read_realtime_interval(command("1062", "RtdInterval=0030")) == 30
    assert parameters.read_minute_interval(command("1064", "MinInterval=10")) == 10
    assert parameters.read_new_password(command("1072", "NewPW=aB3456")) == "aB3456"
    for between in ",;":
        cp = f"BeginTime=20160801080000{between}EndTime=20160801090000"
        assert parameters.read_period(command("2061", cp)) == parameters.Period(HOUR_MS, HOUR_MS + 3_600_000)


@pytest.mark.parametrize(
    ("read", "cp", "field"),
    [
        (parameters.read_timeouts, "OverTime=0;ReCount=3", "OverTime"),
        (parameters.read_timeouts, "OverTime=100;ReCount=3", "OverTime"),
        (parameters.read_timeouts, "OverTime=5", "ReCount"),
        (parameters.read_realtime_interval, "RtdInterval=29", "RtdInterval"),
        (parameters.read_realtime_interval, "RtdInterval=3601", "RtdInterval"),
        (parameters.read_realtime_interval, "RtdInterval=30.5", "RtdInterval"),
        (parameters.read_realtime_interval, "", "RtdInterval"),
        (parameters.read_minute_interval, "MinInterval=7", "MinInterval"),
        (parameters.read_new_password, "NewPW=1234567", "NewPW"),
        (parameters.read_new_password, "NewPW=", "NewPW"),
        (parameters.read_pol_id, "PolId=w01018000", "PolId"),
        (parameters.read_system_time, "PolId=w01018", "SystemTime"),
        (parameters.read_period, "BeginTime=20160801090000;EndTime=20160801080000", "EndTime"),
    ],
)  # fmt: skip
def test_parameters_out_of_bounds_name_their_field(read: object, cp: str, field: str) -> None:
    with pytest.raises(BadPacket) as caught:
        read(command("1000", cp))  # type: ignore[operator]  # one of the readers
    assert caught.value.params["field"] == field
    assert "expected" in caught.value.params


def test_refusals_are_told_from_sloppy_yeses() -> None:
    assert messages.refusal(command("9014", "QnRtn=1")) is None
    assert messages.refusal(command("9014")) is None
    assert messages.refusal(command("9014", "QnRtn=2")) == "2"
    assert messages.refusal(command("9011", "QnRtn=3")) == "3"
    assert messages.refusal(command("9012", "ExeRtn=100")) == "100"
