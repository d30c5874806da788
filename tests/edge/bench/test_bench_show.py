"""What the technician and programs see, and what stays in the notebook."""

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import annexc
import pytest
from bench_peer import NOW

from edge.bench.conversation import CommandResult, Outcome
from edge.bench.notebook import Notebook
from edge.bench.platform import BenchPlatform
from edge.bench.received import Finding, Received, Repeat
from edge.bench.screen import JsonScreen, TextScreen
from edge.bench.show import masked, packet_lines, packet_object, result_lines, values
from edge.catalogue import use_language
from protocol.packet import Packet

REALTIME = Received(NOW, "127.0.0.1:5", annexc.REALTIME, Packet.from_segment(annexc.REALTIME[6:-6]), answer="9014")
DROPPED = Received(NOW, "127.0.0.1:5", b"noise PW=123456;", None, (Finding("bench.one_per_segment"),))
RESULT = CommandResult(
    annexc.MN, "1011", "20160801085857223", Outcome.DONE, "1", "1",
    (Packet.from_segment(annexc.TIME_REPLY[6:-6]),), 1,
)  # fmt: skip


@pytest.fixture(params=["zh", "en"])
def lang(request: pytest.FixtureRequest) -> Iterator[str]:
    use_language(request.param)
    yield request.param
    use_language(None)


def test_packet_is_shown_with_names_units_and_marks(lang: str) -> None:
    lines = list(packet_lines(REALTIME))
    assert "2011 上传污染物实时数据" in lines[0] if lang == "zh" else "2011 realtime data" in lines[0]
    assert lines[0].startswith("08:58:57.223 ← 010000A8900016F000169DC0")
    cod = next(line for line in lines if "w01018" in line)
    name = "化学需氧量" if lang == "zh" else "Chemical oxygen demand (COD)"
    mark = "N 正常" if lang == "zh" else "N normal"
    assert cod.strip() == f"w01018 {name} [mg/L] SampleTime=20160801070000 Rtd=2.2 EFlag=A01 {mark}"


def test_no_password_is_on_the_screen_or_in_json() -> None:
    new_password = replace(REALTIME.packet or Packet("", "", "", "", ""), data=((("NewPW", "secret"),),))
    shown = "\n".join(packet_lines(DROPPED)) + json.dumps(packet_object(DROPPED))
    shown += json.dumps(packet_object(REALTIME)) + json.dumps(values(new_password))
    assert "123456" not in shown
    assert "secret" not in shown
    assert masked(b"PW=123456;CP=&&NewPW=abc&&") == "PW=***;CP=&&NewPW=***&&"


def test_repeated_name_within_an_item_gives_a_list() -> None:
    packet = Packet(None, "32", "3017", None, "M", data=((("CTime", "04"), ("CTime", "10"), ("CTime", "14")),))
    assert values(packet) == [{"CTime": ["04", "10", "14"]}]


def test_result_shows_codes_in_words(lang: str) -> None:
    text = "\n".join(result_lines(RESULT))
    assert ("ExeRtn=1 执行成功" if lang == "zh" else "ExeRtn=1 done") in text
    assert "SystemTime=20160801085857" in text


def test_json_lines_carry_the_packet_as_on_the_wire() -> None:
    written: list[str] = []
    JsonScreen(written.append, quiet=False).packet(REALTIME)
    line = json.loads(written[0])
    assert line["event"] == "packet"
    assert line["data"][1] == {"w01001-Rtd": "7.1", "w01001-Flag": "N"}
    assert (line["cn"], line["flag"], line["pw"], line["answer"]) == ("2011", 5, "***", "9014")


def test_quiet_screen_shows_only_what_is_wrong() -> None:
    for make in (TextScreen, JsonScreen):
        written: list[str] = []
        screen = make(written.append, quiet=True)
        screen.link("127.0.0.1:5", True)
        screen.packet(REALTIME)
        assert written == []
        screen.packet(DROPPED)
        screen.summary(BenchPlatform())
        assert len(written) == 2


def test_notebook_keeps_bytes_values_and_verdicts(tmp_path: Path) -> None:
    path = tmp_path / "bench.db"
    with Notebook(path) as book:
        book.packet(REALTIME)
        book.packet(replace(REALTIME, repeat=Repeat.RESENT))
        book.packet(DROPPED)
        book.exchange(RESULT, NOW)
    with Notebook(path) as book:
        book.packet(REALTIME)
    db = sqlite3.connect(path)
    columns = "received_at, mn, cn, qn, data_time, verdict, repeat, answer, bytes"
    rows = db.execute(f"SELECT {columns} FROM packets ORDER BY id").fetchall()
    first = (
        "2016-08-01T08:58:57.223+08:00", annexc.MN, "2011", "20160801085857223", "20160801085857",
        "ok", "first", "9014", annexc.REALTIME,
    )  # fmt: skip
    assert rows[0] == rows[3] == first
    assert rows[1][6] == "resent"
    assert rows[2][5:] == ("bad", "first", None, DROPPED.data)
    fields = json.loads(db.execute("SELECT fields FROM packets").fetchone()[0])
    assert fields[2]["w01018-Rtd"] == "2.2"
    assert db.execute("SELECT cn, outcome, exe_rtn FROM exchanges").fetchall() == [("1011", "done", "1")]
    db.close()
    assert path.stat().st_mode & 0o077 == 0
