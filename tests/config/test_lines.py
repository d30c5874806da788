"""Line numbers of keys, against texts written by hand and against Python's own TOML parser."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest
import tomlkit
from hypothesis import given, settings
from hypothesis import strategies as st

from config.lines import Path, join_key, scan, split_key

TEXT = '''# a comment with = and [x]
[site]
name = "x # no comment"
[a.b]           # implicit a
k = """
[not.a.table]
q = 1 \\"""
"""
list = [
  1,            # one
  [2, 3],
  { x = 1, "y z" = 2 },
]
"quoted.key" = 'it''s'
c.d.e = 1979-05-27 07:32:00

[[p.q]]
f = 1
[[p.q.r]]
g = 2
[[p.q]]
f = 3
  [p.q.sub]
  h = 4
'''.replace("'it''s'", "'it'")


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("site",), 2),
        (("site", "name"), 3),
        (("a",), 4),
        (("a", "b"), 4),
        (("a", "b", "k"), 5),
        (("a", "b", "list"), 9),
        (("a", "b", "list", 0), 10),
        (("a", "b", "list", 1), 11),
        (("a", "b", "list", 2, "y z"), 12),
        (("a", "b", "quoted.key"), 14),
        (("a", "b", "c", "d"), 15),
        (("a", "b", "c", "d", "e"), 15),
        (("p", "q"), 17),
        (("p", "q", 0), 17),
        (("p", "q", 0, "f"), 18),
        (("p", "q", 0, "r", 0, "g"), 20),
        (("p", "q", 1, "f"), 22),
        (("p", "q", 1, "sub", "h"), 24),
    ],
)
def test_key_is_found_on_its_line(path: Path, line: int) -> None:
    assert scan(TEXT)[path] == line


def paths(value: Any, path: Path = ()) -> list[Path]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return ([path] if path else []) + [p for part, v in inner for p in paths(v, (*path, part))]


def test_every_key_that_tomllib_reads_has_a_line() -> None:
    assert set(paths(tomllib.loads(TEXT))) == set(scan(TEXT))


names = st.text("abz_-. é\"'#=[", min_size=1, max_size=5)
scalars = st.one_of(
    st.integers(), st.booleans(), st.text("ab\"'\\#[]{},=\n é", max_size=12), st.floats(allow_nan=False)
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(names, inner, max_size=3),
        st.lists(st.dictionaries(names, inner, max_size=3), min_size=1, max_size=3),
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(names, values, max_size=4))
def test_every_key_of_any_document_has_the_line_that_bears_it(document: dict[str, Any]) -> None:
    text = tomlkit.dumps(document)
    found, lines = scan(text), text.split("\n")
    assert set(paths(tomllib.loads(text))) <= set(found)
    for path, line in found.items():
        if isinstance(path[-1], str) and path[-1].isalnum():
            assert path[-1] in lines[line - 1]


def test_dotted_key_splits_and_joins_with_quotes() -> None:
    assert split_key('lines."rs485.1".baud') == ["lines", "rs485.1", "baud"]
    assert join_key(("lines", "rs485.1", "baud")) == 'lines."rs485.1".baud'


@pytest.mark.parametrize("text", ["", "a.", ".a", "a b", "a = 1"])
def test_text_that_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        split_key(text)
