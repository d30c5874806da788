"""`hj212 mark`, `maintain`, `source` as they are typed, on a store without a daemon."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from config.site import Retention
from edge.catalogue import text, use_language
from edge.cli.common import Where
from edge.cli.main import hj212
from edge.cli.moments import Time
from edge.clock import SystemClock
from edge.store import records, samples
from edge.store.store import Store
from edge.values import HOUR_MS, MINUTE_MS, Kind, Record, Sample

NOON = 1_790_049_600_000
"""2026-09-22 12:00:00 in Beijing."""
SITE = """
[site]
name = "x"
data_dir = "{data}"
language = "en"
[outlets.ww1]
name = "总排口"
st = 32
statistics = "water"
[lines.a]
port = "/dev/ttyS0"
[instruments.cod]
line = "a"
driver = "modbus"
  [[instruments.cod.points]]
  factor = "w01018"
  register = 0
  type = "float32"
  [[instruments.cod.points]]
  factor = "w01001"
  register = 2
  type = "float32"
"""
Hj212 = Callable[..., Result]


@pytest.fixture
def hj(tmp_path: Path) -> Iterator[Hj212]:
    """Two sealed minutes of 7.0 and their hour, and the command line."""
    config = tmp_path / "site.toml"
    config.write_text(SITE.format(data=tmp_path / "data"), encoding="utf-8")
    store = Store(tmp_path / "data", retention=Retention(), on_event=lambda code, params: None)
    for time in range(NOON, NOON + 2 * MINUTE_MS, 5_000):
        store.call_samples(samples.append, time, [Sample(time, "ww1", "w01001", 7.0, "N")]).result()
    sealed = [
        Record("ww1", kind, "w01001", start, min=7.0, avg=7.0, max=7.0, count=count)
        for kind, start, count in ((Kind.MINUTE, NOON, 12), (Kind.MINUTE, NOON + MINUTE_MS, 12), (Kind.HOUR, NOON, 2))
    ]
    store.call(records.seal, sealed, [], NOON + HOUR_MS).result()
    store.close()

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(hj212, [*arguments, "-c", str(config)])

    yield run
    use_language(None)


def parsed(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def exported(hj: Hj212, kind: str) -> list[tuple[str, int, str, float, int]]:
    rows = hj("data", "export", "--kind", kind, "--json", "--from", "2026-09-22", "--to", "2026-09-22").stdout
    return [
        (row["start"][11:16], row["revision"], row["mark"], row["avg"], row["count"])
        for row in map(json.loads, rows.splitlines())
    ]


def test_a_mark_in_the_past_gives_revisions_beside_what_was_sealed(hj: Hj212) -> None:
    what = ("--point", "ww1/w01001", "--mark", "C", "--reason", "校准", "--by", "张三")
    (mark,) = parsed(hj("mark", "add", *what, "--from", "2026-09-22 12:00", "--to", "2026-09-22 12:01", "--json"))
    assert (mark["number"], mark["from"], mark["to"]) == (1, "2026-09-22T12:00:00+08:00", "2026-09-22T12:01:00+08:00")
    assert (mark["operator"], mark["reason"], mark["mark"]) == ("张三", "校准", "C")
    assert exported(hj, "minute") == [("12:00", 0, "N", 7.0, 12), ("12:00", 1, "C", 7.0, 0), ("12:01", 0, "N", 7.0, 12)]
    assert exported(hj, "hour") == [("12:00", 0, "N", 7.0, 2), ("12:00", 1, "C", 7.0, 1)]
    assert hj("mark", "correct", "1", "--to", "2026-09-22 12:02", "--mark", "M", "--reason", "longer").exit_code == 0
    assert [row[:3] for row in exported(hj, "minute")] == [
        ("12:00", 0, "N"), ("12:00", 1, "C"), ("12:00", 2, "M"), ("12:01", 0, "N"), ("12:01", 1, "M"),
    ]  # fmt: skip
    assert hj("mark", "withdraw", "1", "--reason", "wrong day").exit_code == 0
    assert [row[2] for row in exported(hj, "minute")] == ["N", "C", "M", "N", "N", "M", "N"]
    assert parsed(hj("mark", "list", "--json")) == []
    history = parsed(hj("mark", "list", "--number", "1", "--json"))
    assert [(each["action"], each["revised"]) for each in history] == [
        ("add", True), ("correct", True), ("withdraw", True),
    ]  # fmt: skip
    assert parsed(hj("journal", "verify", "--json"))["ok"]


def test_samples_are_shown_with_both_marks(hj: Hj212) -> None:
    hj("mark", "add", "--point", "ww1", "--mark", "D", "--from", "2026-09-22 12:01:30", "--reason", "x")
    shown = parsed(
        hj("data", "show", "--kind", "sample", "--json", "--from", "2026-09-22T12:01:20", "--to", "2026-09-22T12:01:34")
    )
    assert [(row["time"][17:19], row["mark"], row["manual"]) for row in shown] == [
        ("20", "N", None), ("25", "N", None), ("30", "N", "D"),
    ]  # fmt: skip


def test_the_class_brings_its_mark_and_may_be_typed_in_ascii(hj: Hj212) -> None:
    for named in ("device/calibration", "calibration", "校准", "自动监测设备维护/校准"):
        (mark,) = parsed(
            hj("mark", "add", "--point", "ww1", "--class", named, "--from", "now", "--reason", "x", "--json")
        )
        assert (mark["class"], mark["item"], mark["mark"]) == ("自动监测设备维护", "校准", "C")
    (mark,) = parsed(hj("mark", "add", "--point", "ww1", "--class", "启炉", "--from", "now", "--reason", "x", "--json"))
    assert (mark["item"], mark["mark"]) == ("启炉", None)


def test_a_site_has_its_own_words_and_columns(hj: Hj212, tmp_path: Path) -> None:
    (tmp_path / "mark-classes.tsv").write_text("class\titem\tmark\tname\n设备\t比对\tM\tcompare\n", encoding="utf-8")
    (tmp_path / "mark-sheet.tsv").write_text(
        "heading\tfield\n点位\toutlet_name\n因子\tfactor\n备注\treason\n", encoding="utf-8"
    )
    assert [each["item"] for each in parsed(hj("mark", "classes", "--json"))] == ["比对"]
    what = (
        "--point",
        "ww1/w01001",
        "--point",
        "ww1/w01018",
        "--class",
        "比对",
        "--from",
        "2026-09-22",
        "--to",
        "2026-09-23",
    )
    assert hj("mark", "add", *what, "--reason", "第一次").exit_code == 0
    sheet = list(csv.reader(io.StringIO(hj("mark", "export").stdout)))
    assert sheet == [["点位", "因子", "备注"], ["总排口", "w01001", "第一次"], ["总排口", "w01018", "第一次"]]
    (tmp_path / "mark-sheet.tsv").write_text("heading\tfield\n点位\tplace\n", encoding="utf-8")
    result = hj("mark", "export")
    assert (result.exit_code, "line 2" in result.stderr, "outlet_name" in result.stderr) == (2, True, True)


def test_the_sheet_has_a_row_for_each_mark_and_opens_in_a_spreadsheet(hj: Hj212, tmp_path: Path) -> None:
    hj(
        "mark",
        "add",
        "--point",
        "ww1",
        "--class",
        "故障",
        "--from",
        "2026-09-22 12:00",
        "--reason",
        "灯坏",
        "--by",
        "李四",
    )
    hj("source", "stop", "--at", "2026-09-23 08:00", "--reason", "检修")
    assert hj("mark", "export", "-o", str(tmp_path / "sheet.csv")).exit_code == 0
    data = (tmp_path / "sheet.csv").read_bytes()
    assert data.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"))))
    assert [(row["标记类别"], row["标记项"], row["数据标识"], row["开始时间"], row["结束时间"]) for row in rows] == [
        ("自动监测设备维护", "故障", "D", "2026-09-22 12:00", ""), ("工况", "停运", "", "2026-09-23 08:00", ""),
    ]  # fmt: skip
    assert rows[0]["操作人"] == "李四"


def test_maintenance_and_a_stop_begin_and_end(hj: Hj212) -> None:
    (begun,) = parsed(hj("maintain", "start", "--reason", "pump", "--at", "2026-09-22 12:01", "--json"))
    assert (begun["kind"], begun["instrument"], begun["points"]) == ("maintenance", "cod", ["ww1/w01018", "ww1/w01001"])
    assert [row[2] for row in exported(hj, "minute")] == ["N", "N", "M"]
    assert "nothing was changed" in hj("maintain", "start").stdout
    (over,) = parsed(hj("maintain", "end", "--instrument", "cod", "--at", "2026-09-22 13:00", "--json"))
    assert over["to"] == "2026-09-22T13:00:00+08:00"
    assert (
        "stopped from 2026-09-22 12:00 to open"
        in hj("source", "stop", "--at", "2026-09-22 12:00", "--reason", "x").stdout
    )
    assert [row[2] for row in exported(hj, "minute")] == ["N", "N", "M"]
    assert "running again from 2026-09-22 14:00 on" in hj("source", "start", "--at", "2026-09-22 14:00").stdout


@pytest.mark.parametrize(
    ("arguments", "exit_code", "words"),
    [
        (("mark", "add", "--point", "ww1", "--mark", "M", "--from", "8点", "--reason", "x"), 2, "2026-11-26 08:00"),
        (("mark", "add", "--point", "ww2", "--mark", "M", "--from", "now", "--reason", "x"), 1, "did you mean ww1"),
        (
            ("mark", "add", "--point", "ww1/w01081", "--mark", "M", "--from", "now", "--reason", "x"),
            1,
            "did you mean w01018",
        ),
        (
            ("mark", "add", "--point", "ww1", "--mark", "N", "--from", "now", "--reason", "x"),
            1,
            "No hand makes data normal",
        ),
        (("mark", "add", "--point", "ww1", "--from", "now", "--reason", "x"), 1, "--mark or --class"),
        (
            ("mark", "add", "--point", "ww1", "--class", "校零", "--from", "now", "--reason", "x"),
            2,
            "device/calibration",
        ),
        (("mark", "end", "3"), 1, "no mark 3"),
        (("mark", "add", "--point", "ww1", "--mark", "M", "--from", "now"), 2, "--reason"),
        (("maintain", "start", "--instrument", "ph"), 1, "There are: cod"),
    ],
)
def test_what_cannot_be_is_refused_in_words(hj: Hj212, arguments: tuple[str, ...], exit_code: int, words: str) -> None:
    result = hj(*arguments)
    assert result.exit_code == exit_code
    assert words in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("typed", "last", "expected"),
    [
        ("2026-09-22 12:00", False, NOON), ("2026-09-22T12:00", True, NOON + MINUTE_MS - 1),
        ("2026-09-22 12:00:30", False, NOON + 30_000), ("20260922120030", False, NOON + 30_000),
        ("2026-09-22T12", False, NOON), ("2026-09-22T12", True, NOON + HOUR_MS - 1),
        ("9:00", False, NOON - 3 * HOUR_MS),
        ("2026-09-22", False, NOON - 12 * HOUR_MS), ("2026-09-22", True, NOON + 12 * HOUR_MS - 1),
        ("2026-09-22T04:00:00Z", False, NOON), ("2026-09-22T12:00:00+08:00", False, NOON),
        ("12:00", False, NOON), ("0:00", False, NOON - 12 * HOUR_MS), ("23:59:59", False, NOON + 12 * HOUR_MS - 1_000),
        ("now", False, NOON + 1),
    ],
)  # fmt: skip
def test_times_as_they_are_typed(monkeypatch: pytest.MonkeyPatch, typed: str, last: bool, expected: int) -> None:
    monkeypatch.setattr(SystemClock, "wall_ms", lambda self: NOON + 1)
    assert Time(last).convert(typed, None, None) == expected


@pytest.mark.parametrize(
    "typed", ["", "24:00", "12:60", "2026-13-01", "2026-02-30 08:00", "2026-09-22 25:00", "8", "2026-09-22T12:3"]
)
def test_no_time_is_guessed(typed: str) -> None:
    with pytest.raises(click.BadParameter):
        Time().convert(typed, None, None)


def test_a_bare_date_where_a_mark_ends_is_its_midnight(hj: Hj212) -> None:
    what = ("--point", "ww1", "--mark", "M", "--reason", "x", "--json")
    (added,) = parsed(hj("mark", "add", *what, "--from", "1990-01-01", "--to", "1991-01-01"))
    assert (added["from"], added["to"]) == ("1990-01-01T00:00:00+08:00", "1991-01-01T00:00:00+08:00")
    (changed,) = parsed(hj("mark", "correct", "1", "--to", "1992-01-01", "--reason", "x", "--json"))
    assert changed["to"] == "1992-01-01T00:00:00+08:00"
    hj("mark", "add", *what, "--from", "1993-01-01")
    (ended,) = parsed(hj("mark", "end", "2", "--at", "1994-01-01", "--json"))
    assert ended["to"] == "1994-01-01T00:00:00+08:00"
    (stop,) = parsed(hj("source", "stop", "--at", "2026-09-22", "--to", "2026-09-23", "--reason", "x", "--json"))
    assert (stop["from"], stop["to"]) == ("2026-09-22T00:00:00+08:00", "2026-09-23T00:00:00+08:00")


def test_data_takes_the_times_that_marks_take(hj: Hj212, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SystemClock, "wall_ms", lambda self: NOON + HOUR_MS)
    shown = parsed(hj("data", "show", "--from", "12:01", "--to", "now", "--json"))
    assert [row["start"][11:16] for row in shown] == ["12:01"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("mark", "add", "--point", "zz", "--mark", "M", "--from", "now", "--reason", "x"),
         "there is no outlet zz. There are: ww1"),
        (("source", "stop", "--outlet", "nope", "--reason", "x"), "there is no outlet nope. There are: ww1"),
        (("maintain", "start", "--instrument", "nope"), "there is no instrument nope. There are: cod"),
    ],
)  # fmt: skip
def test_nothing_is_suggested_where_nothing_is_near(hj: Hj212, arguments: tuple[str, ...], expected: str) -> None:
    assert hj(*arguments).stderr.strip() == expected


def test_what_is_suggested_is_a_sentence_in_both_languages() -> None:
    params = {"got": "zz", "known": "ww1"}
    assert text("marks.no-outlet", "zh", **params, nearest="–") == "没有排放口 zz。有：ww1"
    assert text("marks.no-outlet", "zh", **params, nearest="ww1") == "没有排放口 zz，是否想写 ww1？有：ww1"
    assert text("config.no-such-key", "en", got="zz", nearest="–") == "no key zz"


@pytest.mark.parametrize(
    "command",
    [
        ("data", "export", "--from", "2026-09-22", "--to", "2026-09-22", "-o"),
        ("mark", "export", "-o"),
        ("connection", "export"),
    ],
)
def test_a_file_that_cannot_be_written_is_said_in_one_line(
    hj: Hj212, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    if command[0] == "connection":
        monkeypatch.setattr(Where, "query", lambda *_: ["{}"])
    file = str(tmp_path / "nowhere" / "x")
    result = hj(*command, file)
    assert (result.exit_code, result.stderr) == (2, f"cannot write {file}: No such file or directory\n")


def test_a_class_goes_with_no_other_mark_than_its_own(hj: Hj212) -> None:
    what = ("mark", "add", "--point", "ww1", "--from", "now", "--reason", "x", "--class", "校准")
    refused = hj(*what, "--mark", "M")
    assert (refused.exit_code, "has mark C, not M" in refused.stderr) == (2, True)
    assert parsed(hj("mark", "list", "--json")) == []
    (taken,) = parsed(hj(*what, "--mark", "C", "--json"))
    assert (taken["item"], taken["mark"]) == ("校准", "C")


def test_revisions_are_promised_where_there_will_be_some(hj: Hj212) -> None:
    what = ("mark", "add", "--point", "ww1", "--reason", "x", "--from")
    promise = "Sealed data get a revision"
    assert promise in hj(*what, "2026-09-22", "--mark", "M").stdout
    assert promise not in hj(*what, "2030-01-01", "--mark", "M").stdout
    assert promise not in hj(*what, "2026-09-22", "--class", "启炉").stdout


@pytest.mark.parametrize(
    "command",
    [("data", "show"), ("data", "results"), ("data", "export"), ("data", "gaps"), ("data", "plot", "w01001"),
     ("mark", "list"), ("mark", "export"), ("outbox", "send-again", "city")],
)  # fmt: skip
def test_a_range_that_ends_before_it_begins_is_an_error(hj: Hj212, command: tuple[str, ...]) -> None:
    result = hj(*command, "--from", "2026-09-23", "--to", "2026-09-22")
    assert result.exit_code == 2
    assert "--from (2026-09-23T00:00:00+08:00) lies after --to (2026-09-22T23:59:59.999+08:00)" in result.stderr


@pytest.mark.parametrize("verb", [("show", "--factor"), ("results", "--factor"), ("export", "--factor"), ("plot",)])
def test_a_factor_that_nobody_knows_is_an_error_that_names_the_known_ones(hj: Hj212, verb: tuple[str, ...]) -> None:
    result = hj("data", *verb, "nonsense")
    assert (result.exit_code, result.stderr) == (2, "there is no factor nonsense; there are: w01001, w01018\n")
    samples = hj("data", "show", "--kind", "sample", "--factor", "nonsense")
    assert (samples.exit_code, "w01018" in samples.stderr) == (2, True)
    assert hj("data", "show", "--factor", "w01018").exit_code == 0  # measured, without records yet


def test_what_is_cut_from_a_table_is_said_and_json_stays_json(hj: Hj212) -> None:
    span = ("data", "show", "--from", "2026-09-22", "--to", "2026-09-22", "--limit")
    assert "only the newest 1 rows of 2 are shown" in hj(*span, "1").stdout
    assert "only the newest" not in hj(*span, "2").stdout
    assert len(parsed(hj(*span, "1", "--json"))) == 1
