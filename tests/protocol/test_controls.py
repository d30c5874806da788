"""Control commands 3011 to 3021 against the messages of HJ 212-2017 Annex C.34 to C.46, and their bounds of Table 4."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import controls, messages, parameters
from protocol.errors import BadPacket
from protocol.packet import Packet
from protocol.region import fields, write

QN = "20160801085857223"
MN = "010000A8900016F000169DC0"
ANNEX_C = [
    Packet.from_segment(line.split("\t")[0].encode()[6:-4])
    for line in (Path(__file__).parent / "annex_c.tsv").read_text(encoding="utf-8").splitlines()
    if line.startswith("##")
]


def reader(packet: Packet) -> Callable[[Packet], Any] | None:
    """What reads a message of Annex C that carries parameters; its direction shows in them."""
    says = packet.get("DataTime") is not None
    return {
        "3015": controls.read_kept_sample if says else None,
        "3016": controls.read_sampling_cycle,
        "3017": controls.read_sampling_cycle if packet.get("CTime") else None,
        "3018": controls.read_result_time if packet.get("Stime") else None,
        "3019": controls.read_identity if packet.get("w01018-SN") else None,
        "3020": controls.read_information if says else controls.read_info_request,
        "3021": controls.read_parameter_setting,
    }.get(packet.cn)


SAYING = [packet for packet in ANNEX_C if reader(packet)]


def command(cp: str) -> Packet:
    return Packet.from_segment(f"QN={QN};ST=32;CN=3011;PW=123456;MN={MN};Flag=5;CP=&&{cp}&&".encode())


def test_annex_c_has_all_these_messages() -> None:
    assert len(SAYING) == 17
    assert {packet.cn for packet in SAYING} == {"3015", "3016", "3017", "3018", "3019", "3020", "3021"}


@pytest.mark.parametrize("packet", SAYING, ids=lambda packet: packet.cn)
def test_parameters_of_annex_c_are_read_and_written_as_they_stand_there(packet: Packet) -> None:
    read = reader(packet)
    assert read is not None
    # C.41 has a comma between BeginTime and EndTime, all other messages a semicolon
    assert write(read(packet).region()) == write(packet.data).replace(",EndTime", ";EndTime")


def test_what_annex_c_says_is_understood() -> None:
    by_cn = {packet.cn: reader(packet)(packet) for packet in SAYING}  # type: ignore[misc]  # SAYING have readers
    assert by_cn["3017"] == controls.SamplingCycle("w01018", "000000", 2)
    assert by_cn["3018"] == controls.ResultTime("w01018", 40)
    assert by_cn["3021"] == controls.ParameterSetting("i13004", "168.0", "w01018")
    assert controls.read_sampling_cycle(command("PolID=w01018;CstartTime=083015;Ctime=24")).start == "083015"


@pytest.mark.parametrize(
    ("read", "cp", "field"),
    [
        (parameters.read_pol_id_of_action, "", "PolId"),
        (parameters.read_pol_id_of_action, "PolId=", "PolId"),
        (parameters.read_pol_id_of_action, "PolId=w01018000", "PolId"),
        (controls.read_kept_sample, "DataTime=20160801085857;VaseNo=0", "VaseNo"),
        (controls.read_kept_sample, "DataTime=20160801085857;VaseNo=100", "VaseNo"),
        (controls.read_kept_sample, "VaseNo=1", "DataTime"),
        (controls.read_sampling_cycle, "PolId=w01018;CstartTime=000000;CTime=25", "CTime"),
        (controls.read_sampling_cycle, "PolId=w01018;CstartTime=000000;CTime=0", "CTime"),
        (controls.read_sampling_cycle, "PolId=w01018;CstartTime=240000;CTime=2", "CstartTime"),
        (controls.read_sampling_cycle, "PolId=w01018;CstartTime=0000;CTime=2", "CstartTime"),
        (controls.read_sampling_cycle, "CstartTime=000000;CTime=2", "PolId"),
        (controls.read_result_time, "PolId=w01018;Stime=121", "Stime"),
        (controls.read_result_time, "PolId=w01018;Stime=4.5", "Stime"),
        (controls.read_identity, "PolId=w01018", "w01018-SN"),
        (controls.read_identity, "PolId=w01018;w01018-SN=XYZ", "w01018-SN"),
        (controls.read_identity, "PolId=w01018;w01018-SN=" + "0" * 25, "w01018-SN"),
        (controls.read_info_request, "PolId=w01018", "InfoId"),
        (controls.read_info_request, "InfoId=w01018", "InfoId"),
        (controls.read_info_request, "InfoId=i11001", "BeginTime"),
        (controls.read_info_request, "InfoId=i11001;BeginTime=20160802000000,EndTime=20160801000000", "EndTime"),
        (controls.read_information, "DataTime=20160801085857", "xxxxxx-Info"),
        (controls.read_information, "i12001-Info=1", "DataTime"),
        (controls.read_parameter_setting, "InfoId=i13004", "i13004-Info"),
        (controls.read_parameter_setting, "InfoId=i13004;i13004-Info=", "i13004-Info"),
        (controls.read_parameter_setting, "i13004-Info=1", "InfoId"),
    ],
)
def test_parameters_out_of_bounds_name_their_field(read: Callable[[Packet], Any], cp: str, field: str) -> None:
    with pytest.raises(BadPacket) as caught:
        read(command(cp))
    assert caught.value.params["field"] == field
    assert "expected" in caught.value.params


def test_only_logs_are_asked_for_with_a_period() -> None:
    assert [controls.is_log(code) for code in ("i11001", "i21001", "i31001", "i12001", "I33400")] == [
        True, True, True, False, False,
    ]  # fmt: skip
    assert controls.read_info_request(command("InfoId=i22001")) == controls.InfoRequest("i22001")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("清洗管路", "//清洗管路//"),
        ("a\r\nb\tc", "//a b c//"),
        ("http://host & more", "//http:/ /host ＆ more//"),
        ("///", "////"),
        ("ends with /", "//ends with//"),
        ("", "////"),
    ],
)  # fmt: skip
def test_logs_stand_between_slashes_and_hold_nothing_that_ends_them(text: str, value: str) -> None:
    assert controls.log_text(text) == value


def test_log_is_cut_at_890_bytes_on_a_character_border() -> None:
    # 886 bytes of text: 295 characters of three bytes, and one byte that would be a third of the next
    assert controls.log_text("洗" * 400) == "//" + "洗" * 295 + "//"
    assert len(controls.log_text("x" * 2000)) == 890


@given(st.text(max_size=500), st.integers(8, 890))
def test_any_log_reads_back_from_a_packet(text: str, limit: int) -> None:
    value = controls.log_text(text, limit)
    assert len(value.encode()) <= limit
    region = controls.Information(0, (("i11001", value),)).region()
    packet = Packet(QN, "32", "3020", "123456", MN, 5, data=region)
    assert Packet.from_segment(packet.to_segment()) == packet


def test_heartbeat_is_empty_and_wants_an_answer() -> None:
    packet = messages.heartbeat(messages.Header("32", "123456", MN), "9015", QN)
    assert packet.to_segment() == f"QN={QN};ST=91;CN=9015;PW=123456;MN={MN};Flag=5;CP=&&&&".encode()


def test_fields_of_commands_with_a_factor() -> None:
    assert parameters.read_pol_id_of_action(command("PolId=w01018")) == "w01018"
    assert parameters.pol_id("w01018") == fields(("PolId", "w01018"))
