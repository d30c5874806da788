"""The command-line library speaks Chinese, too; every verb and option says what it is for in both languages."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from edge.catalogue import codes, text

ROOT = Path(__file__).parents[2]
CJK = re.compile("[\u4e00-\u9fff]")
_TELL = """
import json
import click
from edge.cli.main import hj212
def walk(command, path):
    yield path, command.help
    for option in command.params:
        if isinstance(option, click.Option) and not option.hidden:
            yield f"{path} {option.opts[0]}", option.help
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from walk(command.get_command(context, name), f"{path} {name}")
print(json.dumps(list(walk(hj212, "hj212"))))
"""


def hj212(language: str, *arguments: str) -> str:
    """What the command says, wherever it says it."""
    done = subprocess.run(
        [sys.executable, "-m", "edge.cli.main", *arguments], cwd=ROOT, capture_output=True, text=True, check=False,
        env={"HJ212_LANG": language, "PATH": "", "PYTHONUTF8": "1"}, stdin=subprocess.DEVNULL, timeout=60,
    )  # fmt: skip
    return done.stdout + done.stderr


def library_texts() -> set[str]:
    """Every text that click looks up."""
    found: set[str] = set()
    for path in Path(click.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"_", "ngettext"}:
                found |= {arg.value for arg in node.args if isinstance(arg, ast.Constant)}
    return found


def test_every_text_is_one_that_the_library_asks_for_in_these_very_words() -> None:
    assert {text(code, "en") for code in codes("click.")} - library_texts() == {"required"}  # passed on in a variable


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (("outbx",), "错误：没有命令 'outbx'。"),
        (("outbox", "shw"), "是否想写 'show'？"),
        (("outbox", "show", "--foo"), "错误：没有选项 '--foo'。"),
        (("data", "explain"), "错误：缺少参数 'FACTOR'"),
        (("data", "explain", "w01018", "week", "now"), "'week' 不在 'minute', 'hour', 'day' 之中。"),
        (("outbox", "retry", "city", "one", "two"), "多余的参数（one two）"),
        (("outbox", "show", "-c"), "选项 '-c' 要带一个值。"),
    ],
)
def test_usage_errors_are_in_chinese(arguments: tuple[str, ...], wanted: str) -> None:
    said = hj212("zh", *arguments)
    assert wanted in said
    assert "Error" not in said


def test_usage_errors_are_in_english_where_that_is_asked_for() -> None:
    assert "Error: No such option '--foo'." in hj212("en", "outbox", "show", "--foo")


def test_every_verb_and_option_says_what_it_is_for_in_the_technicians_language() -> None:
    said: dict[str, str] = {}
    for language in ("zh", "en"):
        env = {"HJ212_LANG": language, "PATH": ""}
        told = subprocess.run([sys.executable, "-c", _TELL], cwd=ROOT, env=env, capture_output=True, check=True)
        said |= {f"{language} {path}": words or "" for path, words in json.loads(told.stdout)}
    assert [each for each, words in said.items() if (CJK.search(words) is not None) is not each.startswith("zh")] == []
