"""Rules over the whole tree: a text for every code, one clock, a daemon without the tools of the screen."""

from __future__ import annotations

import ast
import importlib.util
import re
import string
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("protocol", "drivers", "config", "edge")
TEXTS = sorted((ROOT / "edge" / "texts").glob("*.tsv"))
CODE = re.compile(r"[a-z]+(\.[a-z0-9_-]+)+")
FILE_ENDINGS = {"toml", "db", "json", "jsonl", "tsv", "sql", "sock", "py", "log", "lock", "csv", "tmp"}
CJK = re.compile(r"[一-鿿]")
WALL_CLOCKS = {
    ("time", "time"),
    ("time", "time_ns"),
    ("datetime", "now"),
    ("datetime", "utcnow"),
    ("datetime", "today"),
    ("date", "today"),
}
NOT_IN_THE_DAEMON = ("click", "rich", "tomlkit", "pydantic", "sqlite_utils")


@dataclass(frozen=True)
class Text:
    """One line of a file of texts."""

    where: str
    code: str
    zh: str
    en: str


@dataclass(frozen=True)
class Use:
    """A code in the sources; `params` are the names given beside it, None where reading cannot tell them."""

    where: str
    code: str
    params: frozenset[str] | None


def _texts_of(path: Path) -> Iterator[Text]:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line and not line.startswith("#"):
            columns = line.split("\t")
            assert len(columns) == 3, f"{path.name}:{number}: expected code, zh, en; got {len(columns)} columns"
            yield Text(f"{path.name}:{number}", *columns)


@cache
def _catalogue() -> tuple[Text, ...]:
    return tuple(text for path in TEXTS for text in _texts_of(path))


@cache
def _sources() -> dict[str, ast.Module]:
    paths = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    return {str(path.relative_to(ROOT)): ast.parse(path.read_text(encoding="utf-8")) for path in paths}


@cache
def _areas() -> set[str]:
    return {*PACKAGES, "store"} | {text.code.split(".")[0] for text in _catalogue()}


def _is_code(value: object) -> bool:
    """Whether a constant is a code: of a known area, and neither a module nor a folder of ours nor a file."""
    if not isinstance(value, str) or not CODE.fullmatch(value):
        return False
    area, ending = value.split(".")[0], value.rsplit(".", 1)[1]
    path = ROOT / value.replace(".", "/")
    return (
        area in _areas() and ending not in FILE_ENDINGS and not path.exists() and not path.with_suffix(".py").exists()
    )


def _params(call: ast.Call) -> frozenset[str] | None:
    """Names given in `f("code", a=1)` or `f("code", {"a": 1})`; None where they come in a variable."""
    dicts = [argument for argument in call.args[1:] if isinstance(argument, ast.Dict)]
    unseen = any(keyword.arg is None for keyword in call.keywords) or any(None in each.keys for each in dicts)
    if unseen or any(isinstance(argument, ast.Name) for argument in call.args[1:]):
        return None
    names = {keyword.arg for keyword in call.keywords if keyword.arg}
    names |= {str(key.value) for each in dicts for key in each.keys if isinstance(key, ast.Constant)}
    return frozenset(names) if names or len(call.args) == 1 else None


@cache
def _uses() -> tuple[Use, ...]:
    found = []
    for name, tree in _sources().items():
        called: dict[int, frozenset[str] | None] = {}
        parts: set[int] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and node.args:
                called[id(node.args[0])] = _params(node)
            elif (built := _built(node)) is not None:
                parts |= {id(part) for part in built}
            elif isinstance(node, ast.Constant) and _is_code(node.value) and id(node) not in parts:
                found.append(Use(f"{name}:{node.lineno}", str(node.value), called.get(id(node))))
    return tuple(found)


def _built(node: ast.AST) -> list[ast.expr] | None:
    """The parts of a text that is put together: `f"config.{kind}"`, `"config." + kind`."""
    if isinstance(node, ast.JoinedStr):
        return node.values
    return [node.left, node.right] if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add) else None


def _patterns() -> Iterator[tuple[str, re.Pattern[str]]]:
    """Codes put together in the sources, as patterns with `.+` for what comes in a variable."""
    beginning = re.compile(rf"({'|'.join(_areas())})\.[a-z0-9_.-]*")
    for name, tree in _sources().items():
        for node in ast.walk(tree):
            parts = [part.value if isinstance(part, ast.Constant) else None for part in _built(node) or ()]
            if parts and isinstance(parts[0], str) and beginning.fullmatch(parts[0]):
                pattern = "".join(".+" if part is None else re.escape(str(part)) for part in parts)
                yield f"{name}:{getattr(node, 'lineno', 0)}", re.compile(pattern)


def _placeholders(text: str) -> list[str]:
    return sorted({name for _, name, _, _ in string.Formatter().parse(text) if name is not None})


def _none(found: list[str]) -> None:
    """Fail with the whole list: a long one is cut where it stands in an assertion."""
    assert not found, "\n".join(["", *found])


def test_every_code_in_the_sources_has_a_text() -> None:
    known = {text.code for text in _catalogue()}

    _none([f"{use.where} {use.code}" for use in _uses() if use.code not in known])


def test_every_code_put_together_in_the_sources_can_be_found_in_the_texts() -> None:
    known = {text.code for text in _catalogue()}

    _none([f"{w} {p.pattern}" for w, p in _patterns() if not any(map(p.fullmatch, known))])


def test_what_a_text_asks_for_is_given_where_its_code_is_used() -> None:
    asked = {text.code: {*_placeholders(text.zh), *_placeholders(text.en)} for text in _catalogue()}

    _none(
        [
            f"{use.where} {use.code}: {' '.join(sorted(asked[use.code] - use.params))}"
            for use in _uses()
            if use.params is not None and not asked.get(use.code, set()) <= use.params
        ]
    )


def test_no_code_has_two_texts() -> None:
    counts = Counter(text.code for text in _catalogue())

    _none([f"{text.where} {text.code}" for text in _catalogue() if counts[text.code] > 1])


def test_chinese_and_english_have_the_same_placeholders() -> None:
    """But for names that come in two languages: `{name_zh}` in the one is `{name_en}` in the other."""
    pairs = {t: (_placeholders(t.zh), [re.sub("_en$", "_zh", n) for n in _placeholders(t.en)]) for t in _catalogue()}

    _none([f"{t.where} {t.code}" for t, (zh, en) in pairs.items() if zh != sorted(en)])


def test_placeholders_are_names() -> None:
    names = [(t.where, name) for t in _catalogue() for name in _placeholders(t.zh + t.en)]

    _none([f"{where} {{{name}}}" for where, name in names if not name.isidentifier()])


def test_the_chinese_text_is_chinese() -> None:
    """But for a bare format such as `{value} mg/L` or `QN {qn}`: no word of three small letters in it."""
    words = {t: re.search(r"[a-z]{3}", re.sub(r"\{[^}]*\}", "", t.zh)) for t in _catalogue()}

    _none([f"{t.where} {t.code}" for t, word in words.items() if word and not CJK.search(t.zh)])


def _wall_clock_lines(tree: ast.Module) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            if (ast.unparse(node.value).split(".")[-1], node.attr) in WALL_CLOCKS:
                yield node.lineno
        elif isinstance(node, ast.ImportFrom) and any((node.module, a.name) in WALL_CLOCKS for a in node.names):
            yield node.lineno


def test_wall_clocks_are_read_in_the_one_clock_only() -> None:
    others = {name: tree for name, tree in _sources().items() if name != "edge/clock.py"}

    _none([f"{name}:{line}" for name, tree in others.items() for line in _wall_clock_lines(tree)])


def test_the_daemon_imports_no_tool_of_the_command_line() -> None:
    listing = "import sys, edge.launch, edge.app; print(*sorted({name.partition('.')[0] for name in sys.modules}))"

    result = subprocess.run(
        [sys.executable, "-c", listing], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )

    assert result.returncode == 0, result.stderr
    assert [name for name in NOT_IN_THE_DAEMON if importlib.util.find_spec(name) is None] == []
    assert set(NOT_IN_THE_DAEMON) & set(result.stdout.split()) == set()
