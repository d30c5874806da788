"""Formulas of derived points, against Python's own arithmetic and by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from config.formula import FormulaError, parse

VALUES = {"a": 3.0, "w01018": 40.0, "b2": -0.5}
texts = st.recursive(
    st.one_of(
        st.sampled_from(["a", "w01018", "b2"]), st.floats(0, 1e6).map(lambda x: f"{x:.4f}"), st.integers(0, 99).map(str)
    ),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", " + ", " * "]), inner).map("".join),
        inner.map("({})".format),
        inner.map("-{}".format),
    ),
    max_leaves=12,
)


@given(texts)
def test_a_formula_gives_what_python_gives(text: str) -> None:
    assume(text.count("(") + text.count("-") < 20)
    try:
        expected = eval(text, {"__builtins__": {}}, VALUES)
    except ZeroDivisionError:
        expected = None
    got = parse(text).value(VALUES)
    assert got == (None if expected is None or not math.isfinite(expected) else expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("w01018 * 0.6 + 2", 26.0),
        ("7 - 4 - 2", 1.0),
        ("8 / 4 / 2", 1.0),
        ("2 * -3", -6.0),
        ("-(1 - 3) * 2e1", 40.0),
        (".5 + 1.", 1.5),
        ("w01018 / (a - 3)", None),
        ("1e300 * 1e300", None),
    ],
)
def test_operators_bind_as_on_paper(text: str, expected: float | None) -> None:
    assert parse(text).value(VALUES) == expected


@pytest.mark.parametrize(
    ("text", "code", "column", "got"),
    [
        ("", "value", 1, ""),
        ("1 +", "value", 4, ""),
        ("* 2", "value", 1, "*"),
        ("(1 + 2", "open", 7, ""),
        ("(1 2)", "open", 4, "2"),
        ("1 + 2)", "bracket", 6, ")"),
        ("a b2", "operator", 3, "b2"),
        ("a ^ 2", "character", 3, "^"),
        ("1,5", "character", 2, ","),
        ("1.2.3", "character", 1, "1"),
        ("__import__('os')", "character", 1, "_"),
        ("a.real", "character", 2, "."),
        ("a(1)", "operator", 2, "("),
        ("(" * 40, "deep", 22, "("),
        ("-" * 40 + "1", "deep", 22, "-"),
        ("水 + 1", "character", 1, "水"),
    ],
)
def test_an_error_says_where_and_what(text: str, code: str, column: int, got: str) -> None:
    with pytest.raises(FormulaError) as caught:
        parse(text)
    assert (caught.value.code, caught.value.column, caught.value.got) == (f"config.formula.{code}", column, got)


def column_of_error(text: str) -> int | None:
    """Where a text is refused; None: it is a formula."""
    try:
        formula = parse(text)
    except FormulaError as error:
        return error.column
    formula.value(dict.fromkeys(formula.factors, 1.0))
    return None


@given(st.text(max_size=30))
def test_any_text_is_a_formula_or_is_refused_within_its_length(text: str) -> None:
    assert column_of_error(text) in (None, *range(1, len(text) + 2))


def test_factors_come_once_each_with_their_first_column() -> None:
    assert parse("a + (w01018 - a) * b2").places == {"a": 1, "w01018": 6, "b2": 20}
