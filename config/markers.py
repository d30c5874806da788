"""Marks for `Annotated[…]` on the site's dataclasses: durations, closed lists of values, texts of a form.

They tell pydantic how to check a value of the file, and import it only when it asks: the daemon imports
`config.site`, and through it this module, without pydantic. What can go wrong: a duration without a unit
(`60`: seconds? minutes?) is refused, never guessed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema

UNITS_MS = {"ms": 1, "s": 1_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION = re.compile(r"(\d{1,9})(ms|s|min|h|d)", re.ASCII)


def parse_duration(text: str) -> int:
    """Milliseconds of `500ms`, `5s`, `10min`, `1h`, `30d`; ValueError for anything else."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(text)
    return int(match[1]) * UNITS_MS[match[2]]


def duration_text(ms: int) -> str:
    """The text that `parse_duration` reads back to `ms`, in the largest unit that divides it; 0 is `0s`."""
    if ms == 0:
        return "0s"
    unit = max((unit for unit, size in UNITS_MS.items() if ms % size == 0), key=UNITS_MS.__getitem__)
    return f"{ms // UNITS_MS[unit]}{unit}"


@dataclass(frozen=True, slots=True)
class Duration:
    """A text with a unit in the file, milliseconds in Python."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        from pydantic_core import core_schema

        return core_schema.no_info_before_validator_function(_check_duration, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: Any) -> dict[str, Any]:
        return {"type": "string", "pattern": r"^[0-9]+(ms|s|min|h|d)$"}


@dataclass(frozen=True, slots=True)
class NumberAsText:
    """A code that may be written as a number: `st = 32` is `"32"`, filled with zeros to `digits`."""

    digits: int

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        from pydantic_core import core_schema

        return core_schema.no_info_before_validator_function(self._as_text, handler(source))

    def _as_text(self, value: Any) -> Any:
        return f"{value:0{self.digits}d}" if type(value) is int and value >= 0 else value


@dataclass(frozen=True, slots=True, init=False)
class OneOf:
    """One of these values, as Python holds them (milliseconds for durations)."""

    values: tuple[int | str, ...]

    def __init__(self, *values: int | str) -> None:
        object.__setattr__(self, "values", values)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        from pydantic_core import core_schema

        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def _check(self, value: int | str) -> int | str:
        if value not in self.values:
            raise _refusal("one_of", allowed=self.values)
        return value


@dataclass(frozen=True, slots=True)
class Pattern:
    """A text that matches `regex` as a whole; `what` names the form in the catalogue (`config.form.…`)."""

    regex: str
    what: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        from pydantic_core import core_schema

        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: Any) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^{self.regex}$"}

    def _check(self, value: str) -> str:
        if re.fullmatch(self.regex, value) is None:
            raise _refusal("form", what=self.what)
        return value


def _check_duration(value: Any) -> Any:
    if isinstance(value, str):
        try:
            return parse_duration(value)
        except ValueError:
            raise _refusal("duration") from None
    raise _refusal("duration")


def _refusal(kind: str, **context: Any) -> Exception:
    """An error that pydantic collects; `kind` becomes `config.<kind>`."""
    from pydantic_core import PydanticCustomError

    return PydanticCustomError(kind, kind, context)
