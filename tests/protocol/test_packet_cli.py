"""`hj212 packet decode/encode/check` as others call it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from edge import catalogue
from edge.cli.packet import packet_group
from protocol.frame import wrap

FRAMES = [
    line.split("\t")[0]
    for line in (Path(__file__).parent / "annex_c.tsv").read_text(encoding="utf-8").splitlines()
    if line.startswith("##")
]
HEAD = "QN=20160801085857223;ST=32;CN=1062;PW=100000;MN=010000A8900016F000169DC0;Flag=5;"
ANNEX_A = f"##0101{HEAD}CP=&&RtdInterval=30&&1C80"


@pytest.fixture(autouse=True)
def _english() -> Any:
    catalogue.use_language("en")
    yield
    catalogue.use_language(None)


def run(*arguments: str, stdin: bytes | str = b"", code: int = 0) -> bytes:
    result = CliRunner().invoke(packet_group, list(arguments), input=stdin)
    assert result.exit_code == code, result.output
    return result.stdout_bytes


def decoded(*lines: bytes | str) -> list[dict[str, Any]]:
    stdin = b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines)
    return [json.loads(line) for line in run("decode", "--json", stdin=stdin).splitlines()]


def test_annex_c_goes_to_json_and_back_byte_for_byte() -> None:
    stream = "".join(frame + "\r\n" for frame in FRAMES).encode()
    objects = run("decode", "--json", stdin=stream)
    found = [json.loads(line) for line in objects.splitlines()]
    assert all(each["ok"] for each in found)
    # C.29 prints e01001, although there is no process of code 0 (Tables B.4, B.6)
    (note,) = [note for each in found for note in each["notes"]]
    assert "e01001" in note
    assert run("encode", "--json", stdin=objects) == stream
    assert len(objects.splitlines()) == 155


def test_the_object_of_annex_a() -> None:
    assert decoded(ANNEX_A) == [
        {
            "ok": True, "errors": [], "notes": [], "qn": "20160801085857223", "st": "32", "cn": "1062", "pw": "100000",
            "mn": "010000A8900016F000169DC0", "flag": "5", "pnum": None, "pno": None, "rf": None,
            "data": [{"RtdInterval": "30"}],
        }
    ]  # fmt: skip


def test_file_is_read_and_blank_lines_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "packets"
    path.write_bytes(b"\r\n\n" + ANNEX_A.encode() + b"\r\n\n" + ANNEX_A.encode())
    assert len(run("decode", "--json", str(path)).splitlines()) == 2


def test_broken_packet_gives_its_fields_and_why() -> None:
    (found,) = decoded(ANNEX_A.replace("1C80", "0759"))
    assert not found["ok"]
    assert found["data"] == [{"RtdInterval": "30"}]
    assert found["errors"] == [
        "frame byte 108: wrong CRC, expected 1C80, came 0759; 0759 is the Modbus CRC, not the one of HJ 212 Annex A"
    ]


def test_garbage_is_reported_and_does_not_end_the_run() -> None:
    garbage, sound = decoded(b"\xff\xfe\x00AT+OK", ANNEX_A)
    assert (garbage["ok"], garbage["qn"], garbage["data"]) == (False, None, [])
    assert sound["ok"]


@pytest.mark.parametrize(
    "cp",
    [
        "e01001-Rtd=1.1;e01001-Rtd=2.2",
        "PolId=w01018,PolId=w01001;InfoId=i11001",
        "a=1,b=2,a=3",
        "BeginTime=20160801010522,EndTime=20160801085857",
        "i11001-Info=//清洗,管路;a=b//",
        "w01018-SampleTime=",
    ],
)
@pytest.mark.parametrize(
    "head", [HEAD, HEAD.replace("QN=20160801085857223;", ""), HEAD.replace("Flag=5;", ""), HEAD + "Ver=1;Ver=2;"]
)
def test_grouping_repeats_and_odd_headers_go_there_and_back(head: str, cp: str) -> None:
    frame = wrap(f"{head}CP=&&{cp}&&".encode())
    assert run("encode", "--json", stdin=run("decode", "--json", stdin=frame)) == frame


def test_texts_stay_as_on_the_wire() -> None:
    head = HEAD.replace("Flag=5", "Flag=07") + "PNUM=0002;PNO=0001;"
    (found,) = decoded(wrap(f"{head}CP=&&w01018-Rtd=02.20&&".encode()))
    assert (found["flag"], found["pnum"], found["pno"]) == ("07", "0002", "0001")
    assert found["data"] == [{"w01018-Rtd": "02.20"}]


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("nonsense", "JSON"), ("[]", "expected"), ('{"qn": 1}', "qn"), ('{"flag": "x"}', "flag"),
        ('{"data": {}}', "data"), ('{"data": [{"a": 1}]}', "data[0].a"), ('{"data": [{}]}', "data[0]"), ("{}", "ST"),
        ('{"st": "32", "cn": "2011", "mn": "1", "data": [{"a": "1;b=2"}]}', "a"),
    ],
)  # fmt: skip
def test_object_that_is_no_packet_names_line_and_field(line: str, word: str) -> None:
    result = CliRunner().invoke(packet_group, ["encode", "--json"], input="\n" + line)
    assert result.exit_code == 2
    assert "line 2" in result.stderr
    assert word in result.stderr


def test_check_fails_when_one_packet_is_not_accepted() -> None:
    run("check", stdin=ANNEX_A)
    assert b"line 2: not accepted" in run("check", stdin=f"{ANNEX_A}\n{ANNEX_A[:-1]}1", code=1)
    assert json.loads(run("check", "--json", stdin=ANNEX_A[:-4], code=1))["ok"] is False


def test_view_names_fields_and_hides_the_password() -> None:
    frame = next(frame for frame in FRAMES if "w01018-EFlag" in frame)
    shown = run("decode", stdin=frame).decode()
    for words in ("surface water pollution source", "realtime data", "Chemical oxygen demand", "normal"):
        assert words in shown
    assert "2016-08-01 08:58:57" in shown
    assert "123456" not in shown
    assert "123456" in run("decode", "--raw", stdin=frame).decode()
    new = next(frame for frame in FRAMES if "NewPW" in frame)
    assert "654321" not in run("decode", stdin=new).decode()


def test_view_speaks_chinese() -> None:
    catalogue.use_language("zh")
    shown = run("decode", stdin=FRAMES[0]).decode()
    for words in ("报文正确", "设置超时时间及重发次数", "超时时间（秒）"):
        assert words in shown


def test_every_message_of_annex_c_can_be_viewed_in_both_languages() -> None:
    for language in catalogue.LANGUAGES:
        catalogue.use_language(language)
        assert "protocol." not in run("decode", stdin="\n".join(FRAMES)).decode()


def test_every_code_of_the_protocol_has_a_text_with_its_parameters() -> None:
    root = Path(__file__).parents[2]
    sources = [*(root / "protocol").glob("*.py"), root / "edge/cli/packet.py", root / "edge/cli/packet_view.py"]
    used = {code for path in sources for code in re.findall(r'"(protocol\.[a-z_.]+[a-z])"', path.read_text("utf-8"))}
    rows = [line.split("\t") for line in (root / "edge/texts/protocol.tsv").read_text("utf-8").splitlines()]
    texts = {code: (zh, en) for code, zh, en in rows}
    assert len(texts) == len(rows)
    assert used - texts.keys() == set()
    for zh, en in texts.values():
        assert set(re.findall(r"\{\w+\}", zh)) == set(re.findall(r"\{\w+\}", en))


OLD = "PW=123456;MN=88888880000001"


def test_packets_of_2005_are_explained_with_their_own_names() -> None:
    segments = [
        f"ST=32;CN=2051;{OLD};CP=&&DataTime=20040516021000;B01-Cou=200;020-Avg=0.021,020-Flag=P;101-Avg=1.1&&",
        f"QN=20040516010101001;ST=32;CN=3014;{OLD};Flag=3;CP=&&PolID=101,CTime=04&&",
        f"QN=20040516010101001;ST=32;CN=1022;{OLD};Flag=3;CP=&&101-LowValue=1.1,101-UpValue=9.9&&",
    ]
    shown = run("decode", stdin=b"".join(wrap(segment.encode()) for segment in segments)).decode()
    for words in (
        "minute data", "Wastewater (flow) (L/s), in 2017 w00000", "Total mercury (mg/L), in 2017 w20111", "power fault",
        "set the sampling hours", "factor code: Total phosphorus", "hour of the day", "set alarm limits",
        "lower alarm limit",
    ):  # fmt: skip
        assert words in shown
    assert "unknown" not in shown


def test_length_in_characters_and_a_modbus_check_code_are_named() -> None:
    log = "QN=20160801085857223;ST=32;CN=3020;PW=100000;MN=M1;Flag=5;CP=&&i11001-Info=//清洗管路//&&"
    (found,) = decoded(b"##%04d%b" % (len(log), wrap(log.encode())[6:]))
    assert found["ok"]
    assert any("counts characters" in note for note in found["notes"])
    (found,) = decoded(ANNEX_A.replace("1C80", "0759"))
    assert any("Modbus CRC" in error for error in found["errors"])


STATION = "PW=123456;MN=010000A8900016F000169DC0"
HEAD_2011 = f"QN=20160801085857223;ST=32;CN=2011;{STATION};Flag=5;"
DATA = f"{HEAD_2011}CP=&&DataTime=20160801085857;w01018-Rtd=2.2,w01018-Flag=N&&"
GOOD = wrap(DATA.encode())[:-2]
LOG = f"QN=20160801085857223;ST=32;CN=3020;{STATION};Flag=5;CP=&&i11001-Info=//清洗管路//&&"


def changed(old: str, new: str) -> bytes:
    """The packet with something else in it, its length and check code right."""
    return wrap(DATA.replace(old, new).encode())[:-2]


@pytest.mark.parametrize(
    ("line", "ok", "zh", "en"),
    [
        (ANNEX_A.replace("1C80", "0759").encode(), False,
         "第 108 字节：CRC 校验错误，应为 1C80，实际为 0759；0759 是 Modbus 的 CRC",
         "byte 108: wrong CRC, expected 1C80, came 0759; 0759 is the Modbus CRC"),
        (ANNEX_A.replace("1C80", "5907").encode(), False, "5907 是 Modbus 的 CRC", "5907 is the Modbus CRC"),
        (ANNEX_A.replace("1C80", "FFFF").encode(), False, "使用了其他算法", "uses another algorithm"),
        (ANNEX_A.replace("1C80", "1c80").encode(), True, "CRC 使用了小写字母", "the CRC is in lower case"),
        (ANNEX_A.replace("1C80", "1C8").encode(), False, "第 108 字节：CRC 应为 4 位十六进制字符，实际为 1C8",
         "byte 108: the CRC must be 4 hexadecimal digits, came 1C8"),
        (ANNEX_A.replace("0101", "0110").encode(), False,
         "第 3 字节：长度字段错误，数据段实际 101 字节，长度字段为 110",
         "byte 3: wrong length, the data segment has 101 bytes, the length says 110"),
        (ANNEX_A.replace("0101", "0090").encode(), False, "数据段实际 101 字节", "the data segment has 101 bytes"),
        (ANNEX_A.replace("0101", "0x65").encode(), False, "长度应为 4 位十进制数字，实际为 0x65",
         "the length must be 4 decimal digits, came 0x65"),
        (b"##%04d%b" % (len(LOG), wrap(LOG.encode())[6:-2]), True, "长度字段按字符数计",
         "the length counts characters"),
        (wrap(LOG.encode("gbk"))[:-2], True, "不是 UTF-8 编码，已按 GBK 解读", "not UTF-8; read as GBK"),
        (changed("N&&", "N"), False, "数据区应以 && 结束，实际为 =N", "the data region must end with &&, came =N"),
        (changed("CP=&&", "CP="), False, "缺少数据区", "no data region"),
        (changed("Flag=5", "Flag=7;PNUM=2;PNO=3"), False, "PNO 应为 1-2，实际为 3", "PNO: expected 1-2, came 3"),
        (changed("Flag=5", "Flag=7;PNO=1;PNUM=2"), True, "字段的顺序与标准不同", "not in the standard's order"),
        (changed("CN=2011", "CN=1999"), True, "CN=1999 不在标准的命令表中", "CN=1999 is not in the standard's table"),
        (changed("CN=2011", "CN=9015"), True, "CN=9015 是标准之外常用的扩展", "CN=9015 is an extension"),
        (changed("Flag=N", "Flag=Q"), True, "w01018-Flag：数据标识 Q 不在标准中",
         "w01018-Flag: the mark Q is not in the standard"),
        (changed("w01018", "w01108"), True, "没有监测因子 w01108（最接近的是 w01018）",
         "factor w01108 is not in the standard (the nearest is w01018)"),
        (GOOD[6:], False, "没有包头 ##", "no head ##"),
        (GOOD[:60], False, "数据段应为 139 字节，实际收到 50 字节", "should have 139 bytes, came 50"),
        (changed("20160801085857;", "20161301085857;"), False, "格式的有效时间，实际为 20161301085857",
         "of a day that exists, came 20161301085857"),
    ],
)  # fmt: skip
def test_a_broken_packet_is_explained_in_both_languages(line: bytes, ok: bool, zh: str, en: str) -> None:
    for language, words in (("zh", zh), ("en", en)):
        catalogue.use_language(language)
        (found,) = decoded(line)
        assert found["ok"] is ok
        assert any(words in text for text in [*found["errors"], *found["notes"]]), found
        assert words in run("decode", stdin=line).decode()


def test_a_sound_packet_of_known_codes_has_no_note_and_what_could_be_read_of_a_broken_one_is_shown() -> None:
    assert decoded(GOOD)[0]["notes"] == []
    (found,) = decoded(changed("N&&", "N"))
    assert found["data"][1] == {"w01018-Rtd": "2.2", "w01018-Flag": "N"}


def test_equipment_sampling_information_and_codes_of_2005_are_no_unknown_factors() -> None:
    for cn, data in (
        ("2021", "DataTime=20160801085857;SB1-RS=1;SB2-RS=0"),
        ("3019", "PolId=w01018;w01018-SN=001"),
        ("3020", "DataTime=20160801085857;i12001-Info=1;i33315-Info=1"),
        ("2011", "DataTime=20160801085857;e10103-Rtd=1,e10103-Flag=N;LA-Rtd=1,LA-Flag=N;lng=113.7"),
    ):
        (found,) = decoded(wrap(f"QN=20160801085857223;ST=32;CN={cn};{STATION};Flag=5;CP=&&{data}&&".encode()))
        assert (found["ok"], found["notes"]) == (True, []), data
    old = f"ST=32;CN=2011;{STATION};CP=&&DataTime=20040516020111;011-Rtd=1.1,011-Flag=P;B01-Rtd=3&&"
    (found,) = decoded(wrap(old.encode()))
    assert not [note for note in found["notes"] if "factor" in note or "mark" in note]
