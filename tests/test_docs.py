"""The documents against the program: twins agree, commands exist, links lead somewhere, keys are those printed."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from drivers.bus import Counters
from edge.catalogue import use_language
from edge.cli.main import hj212
from edge.events import Event
from edge.measure.alarms import Alarm
from edge.store import alarms, connection, database, delivery, journal, linklog, links, records, samples
from edge.store.connection import Receipt
from edge.values import HOUR_MS, Kind, Record, Sample

ROOT = Path(__file__).parents[1]
TWINS = [("README.md", "README.zh-CN.md"), ("docs/operation.md", "docs/operation.zh-CN.md")]
DOCUMENTS = [*(name for pair in TWINS for name in pair), "docs/json.md", "docs/architecture.md"]
NOON = 1_790_049_600_000
"""2026-09-22 12:00:00 in Beijing."""


def words(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(name: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", words(name), re.DOTALL | re.MULTILINE)


def headings(name: str) -> list[tuple[int, str]]:
    prose = re.sub(r"^```.*?^```$", "", words(name), flags=re.DOTALL | re.MULTILINE)
    return [(len(marks), title) for marks, title in re.findall(r"^(#+) (.+)$", prose, re.MULTILINE)]


# twins


@pytest.mark.parametrize(("english", "chinese"), TWINS)
def test_twins_have_the_same_headings_commands_and_tables(english: str, chinese: str) -> None:
    assert [level for level, _ in headings(english)] == [level for level, _ in headings(chinese)]
    assert [*map(_commands, blocks(english, "sh"))] == [*map(_commands, blocks(chinese, "sh"))]
    assert len(blocks(english, "text")) == len(blocks(chinese, "text"))
    assert _table_sizes(english) == _table_sizes(chinese)


def _commands(block: str) -> list[str]:
    """The lines of a block without their comments, which are translated."""
    return [re.sub(r"\s+# .*", "", line) for line in block.splitlines()]


def _table_sizes(name: str) -> list[int]:
    return [len(table.splitlines()) for table in re.findall(r"(?:^\|.*\|$\n?)+", words(name), re.MULTILINE)]


# commands


def _hj212_lines() -> Iterator[tuple[str, str]]:
    for name in DOCUMENTS:
        shown = [line for block in blocks(name, "sh") for line in block.splitlines()]
        inline = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", words(name))
        for line in [*shown, *inline]:
            if line.startswith("hj212 ") and "…" not in line:
                yield name, line


@pytest.mark.parametrize(("name", "line"), sorted(set(_hj212_lines())))
def test_command_line_of_a_document_is_one_that_the_program_takes(name: str, line: str) -> None:
    command: click.Command = hj212
    context = click.Context(command, info_name="hj212")
    arguments = shlex.split(line, comments=True)[1:]
    while isinstance(command, click.Group) and arguments and not arguments[0].startswith("-"):
        verb = arguments.pop(0)
        found = command.get_command(context, verb)
        assert found is not None, f"{name}: no verb {verb}"
        command, context = found, click.Context(found, parent=context, info_name=verb)
    given, left, _ = command.make_parser(context).parse_args(arguments)
    while left and isinstance(command, click.Group):
        found = command.get_command(context, left[0])
        assert found is not None, f"{name}: no verb {left[0]}"
        command, context = found, click.Context(found, parent=context, info_name=left[0])
        given, left, _ = command.make_parser(context).parse_args(left[1:])
    assert left == []
    assert [each.name for each in command.params if each.required and each.name not in given] == []


# links


def _links() -> Iterator[tuple[str, str]]:
    for name in DOCUMENTS:
        for target in re.findall(r"\]\(([^)]+)\)", words(name)):
            if "://" not in target:
                yield name, target


@pytest.mark.parametrize(("name", "target"), sorted(set(_links())))
def test_link_leads_to_a_file_and_a_heading(name: str, target: str) -> None:
    path, _, anchor = target.partition("#")
    file = (ROOT / name).parent / path if path else ROOT / name
    assert file.is_file()
    if anchor:
        titles = [title for _, title in headings(str(file.resolve().relative_to(ROOT)))]
        assert anchor in [re.sub(r"[^\w\- ]", "", title).lower().replace(" ", "-") for title in titles]


# docs/json.md


def documented(section: str) -> list[list[str]]:
    """The keys of each table of a section of docs/json.md."""
    text = re.split(r"^## ", words("docs/json.md"), flags=re.MULTILINE)
    body = next(part for part in text if part.startswith(section))
    tables = re.findall(r"(?:^\|.*\|$\n?)+", body, re.MULTILINE)
    first_cells = [[row.split("|")[1] for row in table.splitlines()[2:]] for table in tables]
    return [[key for cell in cells for key in re.findall(r"`(\w+)`", cell)] for cells in first_cells]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """A site with one of everything in its store, and no daemon."""
    runner, path = CliRunner(), tmp_path / "site.toml"
    assert runner.invoke(hj212, ["config", "new", "--preset", "water", "-c", str(path)]).exit_code == 0
    data_dir = tmp_path / "data"
    content = path.read_text(encoding="utf-8").replace("/var/lib/hj212-edge", str(data_dir))
    path.write_text(content, encoding="utf-8")
    data_dir.mkdir()
    _fill_records(data_dir)
    _fill_samples(data_dir)
    yield str(path)
    use_language(None)


def _fill_records(folder: Path) -> None:
    db, _ = database.open_database(folder, database.RECORDS, "", lambda _code, _params: None)
    receipt = Receipt(
        "city", "ww1", "010000A8900016F000169DC0", "127.0.0.1:9212", "official", False, True,
        "20260922120000000", "2011", b"##packet", b"##answer", NOON, NOON, "127.0.0.1:9212",
    )  # fmt: skip
    assert connection.keep(db, receipt, "connection.receipt", NOON)
    record = Record("ww1", Kind.MINUTE, "w01018", NOON, min=1.0, avg=2.0, max=3.0, cou=0.1, count=12, mark="N")
    records.seal(db, [record], [delivery.Due("city", "ww1", "2051", NOON)], NOON + HOUR_MS)
    alarms.keep(db, [Alarm("ww1", "w01018", "limit", NOON, None, 41.0, 40.0)])
    links.begin(db, NOON, NOON)
    links.keep(db, NOON, [links.Connected("city/ww1", NOON, "127.0.0.1:9212", "127.0.0.1:9212")], {}, NOON + HOUR_MS)
    journal.append(db, "logger", "started", {"version": "0"}, NOON)
    db.close()


def _fill_samples(folder: Path) -> None:
    db, _ = database.open_database(folder, database.SAMPLES, "", lambda _code, _params: None)
    samples.append(db, NOON, [Sample(NOON, "ww1", "w01018", 2.0, "N")])
    linklog.log(db, [linklog.Logged(NOON, "city", "ww1", False, b"##0000PW=123456;\r\n")])
    db.close()


def printed(site: str, *arguments: str) -> Any:
    """What a verb prints with `--json`, parsed."""
    result = CliRunner().invoke(hj212, [*arguments, "--json", "-c", site])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


RANGE = ("--from", "2026-09-22T12:00", "--to", "2026-09-22T12:59")


def test_keys_of_outbox_show_are_documented(site: str) -> None:
    page = printed(site, "outbox", "show")
    top, platforms, kinds = documented("`outbox show")
    assert list(page) == top
    assert set(page["platforms"][0]) == set(platforms)
    assert set(page["kinds"][0]) == set(kinds)


def test_keys_of_connection_are_documented(site: str) -> None:
    page = printed(site, "connection", "--raw")
    top, receipt = documented("`connection")
    assert list(page) == top
    assert set(page["official"]) == set(page["receipts"][0]) == set(receipt)


def test_keys_of_data_are_documented(site: str) -> None:
    sample, record = documented("`data show")
    assert set(printed(site, "data", "show", "--kind", "sample", *RANGE)[0]) == set(sample)
    assert set(printed(site, "data", "show", *RANGE)[0]) == set(record)
    assert set(printed(site, "data", "export", *RANGE)) == set(record)


def test_keys_of_an_explained_record_are_documented(site: str) -> None:
    page = printed(site, "data", "explain", "w01018", "minute", "2026-09-22T12:00")
    top, inputs, steps, differences, reasons = documented("`data explain")
    assert list(page) == top
    assert set(page["records"][0]) == set(page["recomputed"]) == set(documented("`data show")[1])
    assert set(page["inputs"][0]) == set(inputs)
    assert set(page["steps"][0]) == set(steps)
    assert set(page["differences"][0]) == set(differences)
    assert set(page["reasons"][0]) == set(reasons)


def test_keys_of_a_replayed_record_are_documented(site: str, tmp_path: Path) -> None:
    rows = [f"2026-09-22T12:00:{second:02}+08:00,ww1,w01018,35.2,N" for second in range(0, 60, 5)]
    file = tmp_path / "samples.csv"
    file.write_text("\n".join(["time,outlet,factor,value,mark", *rows]), encoding="utf-8")
    result = CliRunner().invoke(hj212, ["data", "replay", str(file), "--json", "-c", site])
    keys = {*documented("`data show")[1], *documented("`data replay")[0]}
    assert set(json.loads(result.stdout.splitlines()[0])) == keys


def test_keys_of_platform_packets_are_documented_and_the_password_is_masked(site: str) -> None:
    row = printed(site, "platform", "packets")[0]
    assert set(row) == set(documented("`platform packets")[0])
    assert row["packet"] == "##0000PW=***;"


def test_keys_of_platform_links_are_documented(site: str) -> None:
    page = printed(site, "platform", "links", "--from", "2026-09-22", "--to", "2026-09-23")
    top, runs, links_, connections = documented("`platform links")
    assert list(page) == top
    assert set(page["runs"][0]) == set(runs)
    assert set(page["links"][0]) == set(links_)
    assert set(page["links"][0]["connections"][0]) == set(connections)


def test_keys_of_platform_presets_are_documented(site: str) -> None:
    assert set(printed(site, "platform", "presets")[0]) == set(documented("`platform presets")[0])


def test_keys_of_marks_are_documented(site: str) -> None:
    what = ("--point", "ww1/w01018", "--mark", "M", "--from", "2026-09-22", "--reason", "x")
    marks, classes = documented("`mark list")[0], documented("`mark classes")[0]
    assert set(printed(site, "mark", "add", *what)[0]) == set(marks)
    assert set(printed(site, "mark", "list")[0]) == set(marks)
    assert set(printed(site, "mark", "classes")[0]) == set(classes)


def test_keys_of_the_journal_are_documented(site: str) -> None:
    assert set(printed(site, "journal", "show")[0]) == set(documented("`journal show")[0])
    assert set(printed(site, "journal", "verify")) == set(documented("`journal verify")[0])


def test_keys_of_events_are_documented(site: str) -> None:
    assert set(printed(site, "events")[0]) == set(documented("`events")[0])


def test_keys_of_instrument_models_are_documented(site: str) -> None:
    assert set(printed(site, "instrument", "models")[0]) == set(documented("`instrument models")[0])
    assert {"file", "model", "points"} <= set(printed(site, "instrument", "show", "hach-cod"))


def test_keys_of_config_are_documented(site: str) -> None:
    assert set(printed(site, "config", "check")[0]) == set(documented("`config check")[0])
    assert set(printed(site, "config", "show")[0]) == set(documented("`config show")[0])


def test_keys_of_packet_decode_are_documented() -> None:
    result = CliRunner().invoke(hj212, ["packet", "decode", "--json"], input="##0000\r\n")
    assert {*json.loads(result.stdout), "extra", "order"} == set(documented("`packet decode")[0])


_STATUS = ("edge/points.py", "edge/app.py", "edge/report.py", "edge/delivering.py")


def test_keys_of_status_are_documented() -> None:
    sources = "".join((ROOT / name).read_text(encoding="utf-8") for name in _STATUS)
    page, daemon, platforms, points, lines, infos, events = documented("`status")
    port = ["line", "instrument", "port_open", "port_error"]
    assert [key for key in [*page, *daemon, *platforms, *points, *port, *infos] if f'"{key}"' not in sources] == []
    assert set(lines) == {*port, *(each.name for each in fields(Counters))}
    assert set(events) == {each.name for each in fields(Event)}


def test_keys_of_the_demo_and_of_bench_json_are_documented() -> None:
    demo = (ROOT / "edge/bench/demo.py").read_text(encoding="utf-8")
    assert [key for key in documented("`demo")[0] if f'"{key}"' not in demo] == []
    bench = (ROOT / "tests/bench/run.py").read_text(encoding="utf-8")
    assert [key for key in documented("`bench.json")[0] if f"{key}: " not in bench] == []
