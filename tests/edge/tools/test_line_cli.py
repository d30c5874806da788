"""The tools of the command line on ptys, without a daemon and without a site."""

from __future__ import annotations

import json
import os
import pty
import struct
import threading
import time
import tomllib
import tty
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import click
import pytest
from click.testing import CliRunner, Result

from drivers import decode as core
from drivers import find
from drivers.capture import Capture
from drivers.simulated import SimulatedBus
from drivers.simulated.station import Registers
from edge.cli.decode import show_guesses
from edge.cli.line_find import place
from edge.cli.main import hj212
from edge.tools.site_block import point_block

ASKED, ANSWERED = bytes.fromhex("01 03 00 00 00 02 C4 0B"), bytes.fromhex("01 03 04 66 66 42 0E B5 C0")


@pytest.fixture(autouse=True)
def _english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HJ212_LANG", "en")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(hj212, [*arguments])


@pytest.fixture
def pair() -> Iterator[tuple[int, str]]:
    """The far end of a port, and its name."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    yield master, os.ttyname(slave)
    os.close(slave)
    os.close(master)


def test_decode_shows_the_orders_side_by_side_and_names_a_wrong_check() -> None:
    row = next(row for row in run("decode", "66 66 42 0E").stdout.splitlines() if "float32" in row)
    assert "35.6 *" in row
    assert "check right" in run("decode", ANSWERED.hex()).stdout
    assert "check WRONG" in run("decode", "01 03 04 66 66 42 0E B5 C1").stdout
    packet = run("decode", "##0008QN=1;CN=XXXX")
    assert packet.exit_code == 0
    refused = run("decode", "hello")
    assert (refused.exit_code, refused.stderr) == (2, "not hexadecimal: hello\n")


@pytest.mark.parametrize(
    ("given", "raw"),
    [
        ("４２，４８、00 00", "42 48 00 00"),  # as a Chinese input method has them
        ("0x1 0x3,4", "01 03 04"),
        ("4248-0000", "42 48 00 00"),
    ],
)
def test_bytes_are_taken_as_people_write_them(given: str, raw: str) -> None:
    assert json.loads(run("decode", "--json", given).stdout)["bytes"] == raw


@pytest.mark.parametrize("given", ["", " ", "424", "42 480 0", "zz"])
def test_half_a_byte_or_nothing_is_refused_and_never_shifted(given: str) -> None:
    result = run("decode", given)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "not hexadecimal" in result.stderr


def test_no_number_is_broken_over_two_lines_on_a_screen_of_80_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "dumb")
    raw = struct.pack(">f", 2.718407e23) + b"\xff" * 8 + b"\x80" + b"\0" * 7
    show_guesses(core.block(raw), everything=True)
    rows = capsys.readouterr().out.splitlines()[3:-2]
    assert "2.72e+23" in rows[3] + rows[4], rows
    assert max(map(len, rows)) <= 80
    places = [row.index("int16") for row in rows if " int16" in row]
    below_the_type = [row[places[0] + 12 :] for row in rows if not row[:3].strip()]
    assert not "".join(below_the_type).strip(), rows


def test_sniff_on_a_port_of_its_own_prints_both_directions_sends_nothing_and_saves_a_capture(
    pair: tuple[int, str], tmp_path: Path
) -> None:
    master, port = pair
    stop = threading.Event()

    def speak() -> None:
        while not stop.wait(0.2):
            os.write(master, ASKED + ANSWERED)

    speaking = threading.Thread(target=speak)
    speaking.start()
    file = tmp_path / "x.capture"
    none = ("-c", str(tmp_path / "none.toml"))
    try:
        result = run("line", "sniff", port, "--seconds", "1.5", "--save", str(file), "--model", "hach-cod", *none)
    finally:
        stop.set()
        speaking.join()
    assert result.exit_code == 0, result.output
    rows = result.stdout.splitlines()
    assert "> 01 03 00 00 00 02 C4 0B   modbus-rtu  request  address 1" in rows[0]
    assert "[0 CDAB 35.6]" in rows[1]
    saved = Capture.from_text(file.read_text(encoding="utf-8"))
    assert (saved.header["source"], saved.header["model"], saved.header["line"]) == ("seen", "hach-cod", "9600 8N1")
    assert [(one.to_instrument, one.data) for one in saved.frames[:2]] == [(True, ASKED), (False, ANSWERED)]
    os.set_blocking(master, False)
    with pytest.raises(BlockingIOError):
        os.read(master, 1)


def test_replayed_capture_is_an_instrument_that_find_finds(tmp_path: Path) -> None:
    file, link = tmp_path / "x.capture", tmp_path / "port"
    lines = "instrument: COD\nsource: made\n\n0.000 > 01 03 00 00 00 02 C4 0B\n0.020 < 01 03 04 66 66 42 0E B5 C0\n"
    file.write_text(lines, encoding="utf-8")
    replaying = threading.Thread(target=run, args=("line", "replay", str(file), "--link", str(link), "--seconds", "6"))
    replaying.start()
    try:
        until = time.monotonic() + 5
        while not link.exists() and time.monotonic() < until:
            time.sleep(0.02)
        found = run("line", "find", "35.6", str(link), "--address", "1", "--registers", "0-1", "--function", "3",
                    "--factor", "w01018", "-c", str(tmp_path / "none.toml"))  # fmt: skip
        assert found.exit_code == 0, found.output
        assert 'factor = "w01018"\nfunction = 3\nregister = 0\ntype = "float32"\norder = "CDAB"\n' in found.stdout
        site = tmp_path / "site.toml"  # its driver stands in the model
        site.write_text(f'[lines.l]\nport = "{link}"\n[instruments.cod]\nline = "l"\nmodel = "hach-cod"\n')
        named = run("line", "find", "35.6", "--instrument", "cod", "--registers", "0-1", "-c", str(site))
        assert "[[instruments.cod.points]]" in named.stdout, named.output
    finally:
        replaying.join()


def test_what_is_missing_is_said_in_one_line(tmp_path: Path) -> None:
    none = ("-c", str(tmp_path / "none.toml"))
    for arguments, said in (
        (("line", "scan", "rs485-9", *none), "there is no line rs485-9"),
        (("line", "find", "x", "/dev/null", "--address", "1", *none), "not a number"),
        (("line", "find", "3", "/dev/null", *none), "say which instrument"),
        (("line", "find", "3", "--instrument", "cod", *none), "none.toml"),
        (("line", "scan", str(tmp_path / "absent"), *none), "absent"),
        (("line", "replay", __file__), "is no capture"),
        (("line", "scan", "/dev/null", "--format", "9X1", *none), "like 8N1; got 9X1"),
        (("line", "find", "3", "/dev/null", "--address", "1", "--format", "x", *none), "like 8N1; got x"),
        (("line", "sniff", "/dev/null", "--format", "8N3", *none), "like 8N1; got 8N3"),
    ):
        result = run(*arguments)
        assert result.exit_code in (1, 2), arguments
        assert said in result.stderr, (arguments, result.stderr)
        assert "Traceback" not in result.output
        assert isinstance(result.exception, SystemExit), result.exception


@pytest.mark.parametrize(
    ("raw", "kind", "scale", "offset"),
    [
        (struct.pack(">f", 12.8), "float32", None, None),  # mA itself
        ((36045).to_bytes(2, "big"), "uint16", 16 / 65535, 4.0),  # ADAM-4017+: 12.8 mA of 4..20
        ((12_800).to_bytes(2, "big"), "uint16", 0.001, None),
    ],
)
def test_current_that_was_found_is_a_current_in_the_block_so_that_a_broken_loop_is_no_value(
    raw: bytes, kind: str, scale: float | None, offset: float | None
) -> None:
    words = {at: raw[2 * at : 2 * at + 2] for at in range(len(raw) // 2)}
    screen = find.Screen.from_text("110.00", 0.01)
    best = next(one for one in find.search({3: words}, screen, (0.0, 200.0)) if one.type == kind)
    read = tomllib.loads(point_block("dust", place(best, (0.0, 200.0)), "a34013", "ww1"))
    (point,) = read["instruments"]["dust"]["points"]
    assert (point["current"], point.get("scale"), point.get("offset")) == ([0.0, 200.0], scale, offset)


class StillClock:
    def wall_ms(self) -> int:
        return 1_763_784_000_000


def test_block_of_a_scan_is_added_to_a_site_that_has_the_address_on_another_line_already(tmp_path: Path) -> None:
    link, site = tmp_path / "port", tmp_path / "site.toml"
    site.write_text(
        f'[lines.a]\nport = "/dev/other"\n[lines.b]\nport = "{link}"\n'
        '[instruments.modbus-1]\nline = "a"\naddress = 1\n[instruments.known]\nline = "b"\naddress = 2\n',
        encoding="utf-8",
    )
    bus = SimulatedBus([Registers(1, [0] * 9), Registers(2, [0] * 9)], StillClock(), baud=115200, link=link)
    bus.start()
    try:
        how = ("--protocol", "modbus", "--address", "1-2", "--baud", "9600", "--format", "8N1", "--outlet", "ww1")
        result = run("line", "scan", "b", "-c", str(site), *how)
    finally:
        bus.stop()
    assert result.exit_code == 0, result.output
    whole = tomllib.loads(site.read_text(encoding="utf-8") + result.stdout)
    assert sorted(whole["instruments"]) == ["b-modbus-1", "known", "modbus-1"]
    assert whole["instruments"]["b-modbus-1"] | {"address": 1, "line": "b"} == whole["instruments"]["b-modbus-1"]
    assert "address 2 is in the site file already: known" in result.stderr


@pytest.fixture
def analyzer(tmp_path: Path) -> Iterator[list[str]]:
    """12.5 as a float32 in register 2 of address 1; the words of `line find` up to the number's options."""
    link = tmp_path / "analyzer"
    words = [0, 0, *struct.unpack(">2H", struct.pack(">f", 12.5)), 0, 0]
    bus = SimulatedBus([Registers(1, words)], StillClock(), baud=115200, link=link)
    bus.start()
    yield ["line", "find", "12.5", str(link), "--address", "1", "--function", "3", "-c", str(tmp_path / "none.toml")]
    bus.stop()


def test_later_number_that_is_none_is_said_before_the_survey(analyzer: list[str]) -> None:
    result = run(*analyzer, "--registers", "0-5", "--again", "12.6", "--again", "12,7", "--pause", "600")
    assert (result.exit_code, result.stderr) == (2, "not a number: 12,7\n")


def test_what_was_found_stays_when_the_wait_for_a_later_number_is_ended_by_ctrl_c(
    analyzer: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("edge.cli.line_find.time.sleep", interrupted)
    result = run(*analyzer, "--registers", "0-5", "--again", "12.6")
    assert (result.exit_code, "register = 2\n" in result.stdout) == (0, True), result.output


@pytest.mark.parametrize("typed", [["12,5", "x", ""], ["12.5", click.Abort()]])
def test_slip_or_ctrl_c_at_the_question_for_a_later_number_loses_nothing(
    analyzer: list[str], monkeypatch: pytest.MonkeyPatch, typed: list[object]
) -> None:
    def prompt(*_args: object, **_more: object) -> object:
        answer = typed.pop(0)
        if isinstance(answer, click.Abort):
            raise answer
        return answer

    monkeypatch.setattr("edge.cli.line_find.sys", SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True)))
    monkeypatch.setattr("edge.cli.line_find.click.prompt", prompt)
    result = CliRunner().invoke(hj212, [*analyzer, "--registers", "0-5", "--tolerance", "1"])
    assert (result.exit_code, "register = 2\n" in result.stdout) == (0, True), result.output
    assert typed == []


def test_only_the_registers_that_were_named_are_read(analyzer: list[str]) -> None:
    result = run(*analyzer, "--registers", "0-1,4-5", "--json")
    assert (result.exit_code, json.loads(result.stdout)["registers"]) == (1, 4), result.output


def test_instrument_of_which_nothing_could_be_read_is_not_said_to_lack_the_number(analyzer: list[str]) -> None:
    result = run(*analyzer, "--registers", "100-101")
    assert (result.exit_code, "no register could be read" in result.stderr) == (1, True), result.output


@pytest.mark.parametrize("bad", ['baud = "abc"', "baud = 0", 'gap = "5"', 'format = "8X1"'])
def test_line_whose_settings_cannot_be_is_named(tmp_path: Path, bad: str) -> None:
    site = tmp_path / "site.toml"
    site.write_text(f'[lines.rs485-1]\nport = "/dev/null"\n{bad}\n', encoding="utf-8")
    for verb in (("scan",), ("sniff", "rs485-1"), ("find", "3", "--address", "1")):
        result = run("line", *verb, "-c", str(site))
        assert (result.exit_code, "line rs485-1" in result.stderr) == (2, True), result.output


def test_scan_for_addresses_that_no_protocol_has_does_not_say_that_nobody_answered(tmp_path: Path) -> None:
    none = str(tmp_path / "none.toml")
    result = run("line", "scan", "/dev/null", "-c", none, "--protocol", "modbus", "--address", "400")
    assert (result.exit_code, "none of these addresses" in result.stderr) == (2, True), result.output


@pytest.mark.parametrize("before", ["a technician's file", None])
def test_replay_puts_its_link_in_nothings_place_but_an_old_links(tmp_path: Path, before: str | None) -> None:
    file, link = tmp_path / "x.capture", tmp_path / "port"
    file.write_text("source: made\n\n0.000 > 01 03 00 00 00 02 C4 0B\n", encoding="utf-8")
    if before is None:
        link.symlink_to(tmp_path / "gone")  # of a replay that was killed
    else:
        link.write_text(before, encoding="utf-8")
    result = run("line", "replay", str(file), "--link", str(link), "--seconds", "0.1")
    if before is None:
        assert (result.exit_code, link.is_symlink()) == (0, False)
    else:
        assert (result.exit_code, link.read_text(encoding="utf-8")) == (2, before)
        assert str(link) in result.stderr


def test_replay_says_where_its_link_cannot_be(tmp_path: Path) -> None:
    file, link = tmp_path / "x.capture", tmp_path / "absent" / "port"
    file.write_text("source: made\n\n0.000 > 01 03 00 00 00 02 C4 0B\n", encoding="utf-8")
    result = run("line", "replay", str(file), "--link", str(link), "--seconds", "0.1")
    assert result.exit_code == 2
    assert str(link) in result.stderr
