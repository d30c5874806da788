"""Formulas of derived points, `w01018 * 0.6 + 2`: read once into steps, never run as Python.

    sum     = product { ("+" | "-") product }
    product = signed { ("*" | "/") signed }
    signed  = ("+" | "-") signed | value
    value   = number | factor code | "(" sum ")"

What can go wrong: a character that belongs to nothing, a value or an operator that is missing, a bracket left
open, brackets nested without end. Each is told with its column. A division by zero is no value, never an error.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?(?![\w.]))|(?P<factor>[A-Za-z]\w*)|(?P<sign>[-+*/()]))",
    re.ASCII,
)
_DEEPEST = 20
"""Brackets and signs inside each other."""
_NEGATE = "~"
_OPERATORS: Mapping[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}
Step = float | str
"""A number, a factor code, or an operator that works on what the steps before it have left."""


class FormulaError(ValueError):
    """The formula must change: `code` names the text, `column` counts from 1, `got` is what stands there."""

    def __init__(self, code: str, column: int, got: str) -> None:
        super().__init__(code, column, got)
        self.code = code
        self.column = column
        self.got = got


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula as steps in the order of their work; `places`: factor code → column where it stands first."""

    steps: tuple[Step, ...]
    places: Mapping[str, int]

    @property
    def factors(self) -> tuple[str, ...]:
        """The factor codes it needs, in their order."""
        return tuple(self.places)

    def value(self, values: Mapping[str, float]) -> float | None:
        """The result with the values of all `factors`; None for a division by zero or beyond all numbers."""
        stack: list[float] = []
        try:
            for step in self.steps:
                if isinstance(step, float):
                    stack.append(step)
                elif step == _NEGATE:
                    stack.append(-stack.pop())
                elif step in _OPERATORS:
                    right = stack.pop()
                    stack.append(_OPERATORS[step](stack.pop(), right))
                else:
                    stack.append(float(values[step]))
        except (ZeroDivisionError, OverflowError):
            return None
        return stack[0] if math.isfinite(stack[0]) else None


def parse(text: str) -> Formula:
    """The formula in a text; raises FormulaError."""
    return _Parser(text).whole()


class _Parser:
    """Reads a text from left to right; `steps` grow as operands and then their operator are found."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._steps: list[Step] = []
        self._places: dict[str, int] = {}

    def whole(self) -> Formula:
        self._sum(0)
        kind, token = self._next()
        if kind:
            raise self._error("config.formula.operator" if token != ")" else "config.formula.bracket", token)
        return Formula(tuple(self._steps), self._places)

    def _sum(self, depth: int) -> None:
        self._product(depth)
        while (token := self._sign("+-")) is not None:
            self._product(depth)
            self._steps.append(token)

    def _product(self, depth: int) -> None:
        self._signed(depth)
        while (token := self._sign("*/")) is not None:
            self._signed(depth)
            self._steps.append(token)

    def _signed(self, depth: int) -> None:
        if depth > _DEEPEST:
            raise self._error("config.formula.deep", self._next()[1])
        token = self._sign("+-")
        if token is None:
            self._value(depth)
            return
        self._signed(depth + 1)
        if token == "-":
            self._steps.append(_NEGATE)

    def _value(self, depth: int) -> None:
        kind, token = self._next()
        if kind == "number":
            self._steps.append(float(token))
        elif kind == "factor":
            self._places.setdefault(token, self._column())
            self._steps.append(token)
        elif token != "(":
            raise self._error("config.formula.value", token)
        self._take()
        if token == "(":
            self._sum(depth + 1)
            if self._sign(")") is None:
                raise self._error("config.formula.open", self._next()[1])

    def _sign(self, wanted: str) -> str | None:
        """The next sign where it is one of these, taken."""
        kind, token = self._next()
        if kind != "sign" or token not in wanted:
            return None
        self._take()
        return token

    def _next(self) -> tuple[str | None, str]:
        """Kind and text of what comes next, not taken; (None, "") at the end."""
        match = _TOKEN.match(self._text, self._at)
        if match is not None and match.lastgroup is not None:
            return match.lastgroup, match[match.lastgroup]
        rest = self._text[self._at :].lstrip()
        if rest:
            raise self._error("config.formula.character", rest[0])
        return None, ""

    def _take(self) -> None:
        match = _TOKEN.match(self._text, self._at)
        self._at = match.end() if match else len(self._text)

    def _column(self) -> int:
        rest = self._text[self._at :]
        return self._at + len(rest) - len(rest.lstrip()) + 1

    def _error(self, code: str, got: str) -> FormulaError:
        return FormulaError(code, self._column(), got)
