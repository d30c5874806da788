"""Reading and changing keys: comments stay, what does not check is refused, the file is replaced whole."""

from __future__ import annotations

import os
import stat
import tomllib
from pathlib import Path

import pytest

from config import edit
from config import load as loading
from config.edit import get_key, set_key, write_file
from config.effective import settings
from config.load import examine, load
from config.problem import ConfigError, ConfigErrors

PRESETS = Path(loading.__file__).parent / "presets"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "site.toml"
    path.write_bytes((PRESETS / "water.toml").read_bytes())
    path.chmod(0o600)
    return path


def changed_lines(path: Path) -> list[str]:
    before = (PRESETS / "water.toml").read_text("utf-8").split("\n")
    after = path.read_text("utf-8").split("\n")
    assert len(before) == len(after)
    return [new for old, new in zip(before, after, strict=True) if old != new]


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("platforms.city.realtime", "90s", 'realtime = "90s"                         # realtime data'),
        ("platforms.city.realtime", '"90s"', 'realtime = "90s"                         # realtime data'),
        ("platforms.city.outlets.ww1.password", "654321", 'password = "654321"                      # >>> given'),
        ("outlets.ww1.name", "东门总排口", 'name       = "东门总排口"'),
        ("lines.rs485-1.baud", "19200", "baud   = 19200"),
        ("instruments.tp.points.w21011.range", "[0, 5]", "  range    = [0, 5]"),
        ("instruments.ph.points.2.scale", "0.01", "  scale    = 0.01"),
    ],
)
def test_change_touches_its_line_only_and_keeps_the_comment(file: Path, key: str, value: str, line: str) -> None:
    set_key(file, key, value)
    (changed,) = changed_lines(file)
    assert changed.startswith(line)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert os.listdir(file.parent) == ["site.toml"]


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [
        ("platforms.city.realtime", "5s", "config.between"),
        ("platforms.city.realtime", "60", "config.duration"),
        ("platforms.city.realtme", "60s", "config.unknown-key"),
        ("platforms.town.realtime", "60s", "config.missing"),
        ("lines.rs485-1.baud", "fast", "config.type.integer"),
        ("instruments.cod.every", "7s", "config.every"),
        ("instruments.cod.line", "rs485-2", "config.unknown-line"),
        ("instruments.cod.points.w99999.range", "[0, 1]", "config.unknown-factor"),
    ],
)
def test_change_that_does_not_check_is_refused_and_the_file_untouched(
    file: Path, key: str, value: str, code: str
) -> None:
    before = file.read_bytes(), file.stat().st_ino
    with pytest.raises(ConfigErrors) as caught:
        set_key(file, key, value)
    assert code in [p.code for p in caught.value.problems]
    assert (file.read_bytes(), file.stat().st_ino) == before


@pytest.mark.parametrize("key", ["", "a..b", "platforms.", "a b"])
def test_text_that_is_no_key_is_refused(file: Path, key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        set_key(file, key, "1")
    assert caught.value.code == "config.key-form"


def test_point_number_beyond_the_last_is_refused(file: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        set_key(file, "instruments.cod.points.2.scale", "1")
    assert (caught.value.code, caught.value.params) == ("config.no-such-point", {"got": "2", "count": 1})


@pytest.mark.parametrize("key", ["site", "site.name.x", "instruments.cod.points", "platforms.city.outlets.ww1"])
def test_table_cannot_be_overwritten_by_a_value(file: Path, key: str) -> None:
    before = file.read_bytes()
    with pytest.raises(ConfigError):
        set_key(file, key, "1")
    assert file.read_bytes() == before


def test_key_of_a_new_table_is_added(file: Path) -> None:
    set_key(file, "store.samples", "60d")
    assert tomllib.loads(file.read_text("utf-8"))["store"] == {"samples": "60d"}


def test_key_of_a_point_that_only_the_model_has_adds_the_point(file: Path) -> None:
    text = file.read_text("utf-8").replace(
        "[instruments.flow]",
        '[instruments.m]\nline = "rs485-1"\nmodel = "hach-codmax"\naddress = 9\noutlet = "ww2"\n[instruments.flow]',
    )
    text = text.replace("[lines.rs485-1]", '[outlets.ww2]\nname = "b"\nst = 32\nstatistics = "water"\n[lines.rs485-1]')
    text = text.replace('  factor   = "', '  outlet = "ww1"\n  factor   = "')
    file.write_text(text, "utf-8")
    set_key(file, "instruments.m.points.w01018.range", "[0, 99]")
    (point,) = load(file).instruments["m"].points
    assert (point.range, point.options.order) == ((0.0, 99.0), "CDAB")


def test_windows_file_keeps_its_mark_and_line_ends(file: Path) -> None:
    data = b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n")
    file.write_bytes(data)
    set_key(file, "lines.rs485-1.baud", "19200")
    assert file.read_bytes() == data.replace(b"9600", b"19200", 1)


def test_tables_out_of_order_are_changed_in_their_place(file: Path) -> None:
    text = file.read_text("utf-8") + '\n[lines.b]\nport = "/dev/ttyS1"   # second\n'
    file.write_text(text, "utf-8")
    set_key(file, "lines.b.port", "/dev/ttyS2")
    assert file.read_text("utf-8") == text.replace("/dev/ttyS1", "/dev/ttyS2")


def test_symbolic_link_stays_and_its_target_changes(file: Path) -> None:
    link = file.parent / "link.toml"
    link.symlink_to(file)
    set_key(link, "lines.rs485-1.baud", "19200")
    assert link.is_symlink()
    assert load(file).lines["rs485-1"].baud == 19_200


def test_failed_write_leaves_the_file_and_no_rest(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = file.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(edit.os, "fsync", full)
    with pytest.raises(ConfigError) as caught:
        set_key(file, "lines.rs485-1.baud", "19200")
    assert caught.value.code == "config.file.unwritable"
    assert (file.read_bytes(), os.listdir(file.parent)) == (before, ["site.toml"])


def test_new_file_is_not_for_everyone_to_read(tmp_path: Path) -> None:
    write_file(tmp_path / "new.toml", b"x")
    assert stat.S_IMODE((tmp_path / "new.toml").stat().st_mode) == 0o640


def test_get_gives_the_value_and_where_it_comes_from(file: Path) -> None:
    (realtime,) = get_key(file, "platforms.city.realtime")
    assert (realtime.value, realtime.origin) == ("60s", "file")
    assert file.read_text("utf-8").split("\n")[(realtime.line or 0) - 1].startswith("realtime")
    (window,) = get_key(file, "platforms.city.window")
    assert (window.value, window.origin, window.line) == (1, "default", None)
    (outlet,) = get_key(file, "instruments.cod.points.w01018.outlet")
    assert (outlet.value, outlet.origin) == ("ww1", "default")


def test_get_of_a_table_gives_its_keys_with_the_password_masked(file: Path) -> None:
    found = {s.key: s.value for s in get_key(file, "platforms.city.outlets")}
    assert found["platforms.city.outlets.ww1.password"] == "***"
    (raw,) = get_key(file, "platforms.city.outlets.ww1.password", secrets=True)
    assert raw.value == "123456"


def test_get_of_an_unknown_key_names_the_nearest(file: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        get_key(file, "platforms.city.realtme")
    assert caught.value.params["nearest"] == "platforms.city.realtime"


def test_value_set_by_a_platform_is_laid_over_the_files(file: Path) -> None:
    found = settings(examine(file), overrides={"platforms.city.realtime": "30s"})
    (realtime,) = [s for s in found if s.key == "platforms.city.realtime"]
    assert (realtime.value, realtime.origin) == ("30s", "platform")
