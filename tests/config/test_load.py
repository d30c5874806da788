"""Files that cannot be read, models and defaults, and the way through the checking child."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import tomlkit
from hypothesis import given, settings
from hypothesis import strategies as st

from config import load as loading
from config.load import load, load_in_child, problems
from config.plain import from_plain, to_plain
from config.problem import ConfigErrors
from drivers.modbus import PointOptions

PRESETS = Path(loading.__file__).parent / "presets"
EVERY_KEY = Path(__file__).with_name("every_key.toml")

MODEL = """
[model]
driver = "modbus"
[instrument]
timeout = "2s"
block_gap = 4
[[points]]
factor = "w01018"
register = 10
type = "float32"
order = "CDAB"
unit = "mg/L"
[[points]]
factor = "w21003"
register = 12
type = "float32"
"""


@pytest.fixture
def file(tmp_path: Path, site_text: str) -> Path:
    path = tmp_path / "site.toml"
    path.write_text(site_text, encoding="utf-8")
    return path


def only(path: Path) -> tuple[int | None, str, dict[str, object]]:
    (problem,) = problems(path)
    return problem.line, problem.code, problem.params


def test_missing_file_is_one_problem(tmp_path: Path) -> None:
    assert only(tmp_path / "no.toml")[1] == "config.file.missing"


def test_folder_is_one_problem(tmp_path: Path) -> None:
    assert only(tmp_path)[1] == "config.file.folder"


def test_file_in_gbk_is_told_with_line_column_and_byte(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_bytes('[site]\nname = "示例"\n'.encode("gbk"))
    assert only(path) == (2, "config.file.encoding", {"column": 10, "byte": "0xC0", "guess": "GBK"})


def test_file_in_utf16_is_told(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_bytes("[site]\n".encode("utf-16"))
    assert only(path)[2]["guess"] == "UTF-16"


@pytest.mark.parametrize(
    ("text", "line", "column", "code"),
    [
        ("[site]\nname = x\n", 2, 8, "config.syntax.value"),
        ('[site]\nname = "x\n', 2, 10, "config.syntax.end"),
        ('[site]\nname "x"\n', 2, 6, "config.syntax.key"),
        ('[site]\nname = "x"\nname = "y"\n', 3, 11, "config.syntax.twice"),
        ("[site]\n[site]\n", 2, 6, "config.syntax.twice"),
        ("a = [1, 2\n", 1, 10, "config.syntax.bracket"),
        ('a = "C:\\data"\n', 1, 10, "config.syntax.escape"),
    ],
)
def test_syntax_error_has_line_and_column(tmp_path: Path, text: str, line: int, column: int, code: str) -> None:
    path = tmp_path / "site.toml"
    path.write_text(text, encoding="utf-8")
    (problem,) = problems(path)
    assert (problem.line, problem.params["column"], problem.code) == (line, column, code)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=60), st.integers(0, 500))
def test_no_damage_to_the_file_is_more_than_a_problem(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, at: int
) -> None:
    data = EVERY_KEY.read_bytes()
    path = tmp_path_factory.getbasetemp() / "noise.toml"
    path.write_bytes(data[:at] + noise + data[at + len(noise) :])
    assert isinstance(problems(path), list)


def test_load_raises_all_errors_and_not_the_warnings_alone(file: Path, site_text: str) -> None:
    file.write_text(site_text.replace("4Xp9sQ", "123456"), encoding="utf-8")
    assert load(file).platforms["city"].outlets["ww1"].password == "123456"
    file.write_text(site_text.replace("baud = 9600", "baud = 1"), encoding="utf-8")
    with pytest.raises(ConfigErrors) as caught:
        load(file)
    assert [p.key for p in caught.value.problems] == ["lines.rs485-1.baud"]
    assert caught.value.params["count"] == 1


def with_model(file: Path, site_text: str, points: str = "") -> None:
    (file.parent / "models").mkdir(exist_ok=True)
    (file.parent / "models" / "mine.toml").write_text(MODEL, encoding="utf-8")
    head, _, tail = site_text.partition("  [[instruments.cod.points]]")
    head = head.replace('driver = "modbus"', 'model = "mine"')
    file.write_text(head + points + tail[tail.index("\n\n") :], encoding="utf-8")


def test_model_beside_the_file_gives_driver_defaults_and_points(file: Path, site_text: str) -> None:
    with_model(file, site_text)
    cod = load(file).instruments["cod"]
    assert (cod.driver, cod.timeout, cod.options.block_gap) == ("modbus", 2_000, 4)
    assert [(p.factor, p.outlet, p.options.register) for p in cod.points] == [
        ("w01018", "ww1", 10),
        ("w21003", "ww1", 12),
    ]


def test_point_of_the_file_overrides_the_models_keys_and_keeps_the_others(file: Path, site_text: str) -> None:
    with_model(file, site_text, '[[instruments.cod.points]]\nfactor = "w01018"\nregister = 20\nscale = 2\n')
    points = {p.factor: p for p in load(file).instruments["cod"].points}
    assert points["w01018"].options == PointOptions(register=20, type="float32", order="CDAB")
    assert (points["w01018"].scale, points["w01018"].unit) == (2.0, "mg/L")
    assert points["w21003"].options.register == 12


def test_states_of_the_model_hold_until_the_file_has_its_own(file: Path, site_text: str) -> None:
    with_model(file, site_text)
    model = file.parent / "models" / "mine.toml"
    state = '[[states]]\nregister = 8\ntype = "uint16"\nmarks = { 0x44 = "D" }\n'
    model.write_text(MODEL + state, encoding="utf-8")
    (of_model,) = load(file).instruments["cod"].states
    assert (of_model.marks, of_model.options) == ({"0x44": "D"}, PointOptions(register=8, type="uint16"))
    file.write_text(file.read_text("utf-8") + state.replace("[[s", "[[instruments.cod.s").replace("8", "9"), "utf-8")
    (of_file,) = load(file).instruments["cod"].states
    assert of_file.options.register == 9


def test_error_in_a_model_is_reported_at_the_model_key(file: Path, site_text: str) -> None:
    with_model(file, site_text)
    model = file.parent / "models" / "mine.toml"
    model.write_text(MODEL.replace("register = 12", "register = -1"), encoding="utf-8")
    (problem,) = problems(file)
    assert (problem.line, problem.key) == (15, "instruments.cod.points.w21003.register")


@pytest.mark.parametrize("text", ["x = ", "model = 1", "[[points]]\nregister = 1", "points = 5"])
def test_malformed_model_is_one_problem(file: Path, site_text: str, text: str) -> None:
    with_model(file, site_text)
    (file.parent / "models" / "mine.toml").write_text(text, encoding="utf-8")
    assert [p.key for p in problems(file) if p.key.endswith(".model")] == ["instruments.cod.model"]


def test_model_of_another_driver_is_an_error(file: Path, site_text: str) -> None:
    with_model(file, site_text)
    model = file.parent / "models" / "mine.toml"
    model.write_text(MODEL.replace('"modbus"', '"ascii"'), encoding="utf-8")
    file.write_text(file.read_text("utf-8").replace('model = "mine"', 'model = "mine"\ndriver = "modbus"'), "utf-8")
    assert "config.model-driver" in [p.code for p in problems(file)]


@pytest.mark.parametrize("path", [EVERY_KEY, PRESETS / "water.toml", PRESETS / "gas.toml"], ids=lambda p: p.stem)
def test_site_survives_its_plain_form(path: Path) -> None:
    site = load(path)
    assert from_plain(to_plain(site)) == site


def test_child_gives_the_same_site_from_any_folder(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (file.parent / "config.py").write_text("raise SystemExit('the wrong module')")
    monkeypatch.chdir(file.parent)
    assert load_in_child(file.name) == load(file)


def test_child_reports_what_the_file_has_wrong(file: Path, site_text: str) -> None:
    file.write_text(site_text.replace("baud = 9600", "baud = 1"), encoding="utf-8")
    with pytest.raises(ConfigErrors) as caught:
        load_in_child(file)
    assert caught.value.problems == tuple(problems(file))


def test_child_that_takes_too_long_is_an_error(file: Path) -> None:
    with pytest.raises(ConfigErrors) as caught:
        load_in_child(file, timeout_s=0.001)
    assert caught.value.problems[0].code == "config.child.slow"


def test_child_that_fails_is_an_error_with_its_last_words(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = file.parent / "python"
    script.write_text("#!/bin/sh\necho half; echo first >&2; echo broken >&2; exit 7\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    with pytest.raises(ConfigErrors) as caught:
        load_in_child(file)
    assert caught.value.problems[0].params == {"status": 7, "reason": "broken"}


def test_child_that_cannot_be_started_is_an_error(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(file.parent / "nothing"))
    with pytest.raises(ConfigErrors) as caught:
        load_in_child(file)
    assert caught.value.problems[0].code == "config.child.start"


def test_process_that_loads_through_the_child_never_imports_pydantic(file: Path) -> None:
    code = "import sys, config.load as l; l.load_in_child(sys.argv[1]); print('pydantic' in sys.modules)"
    root = str(Path(loading.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", code, str(file)], cwd=root, env=os.environ, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


ODD = st.sampled_from(
    [5, -1, 1.5, True, "", "x", "a.b", [], [1], ["x"], [[1]], {}, {"a": 1}, [{"a": 1}], [{}, 3], 10**30]
)


def places(table: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    inner = table.items() if isinstance(table, dict) else enumerate(table) if isinstance(table, list) else ()
    return [path, *(p for part, value in inner for p in places(value, (*path, part)))]


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_no_value_of_another_shape_is_more_than_a_problem(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    document = tomllib.loads(EVERY_KEY.read_text("utf-8"))
    for _ in range(data.draw(st.integers(1, 3))):
        *above, last = data.draw(st.sampled_from([p for p in places(document) if p]))
        table: Any = document
        for part in above:
            table = table[part]
        table[last] = deepcopy(data.draw(ODD))
    path = tmp_path_factory.getbasetemp() / "odd.toml"
    path.write_text(tomlkit.dumps(document), encoding="utf-8")
    for problem in problems(path):
        assert problem.line is not None or problem.key == "site"
