"""The bytes of a site file as a TOML document that knows on which line each key stands.

A byte order mark and CR LF, as Windows editors leave them, are fine. Everything else that is no TOML in UTF-8
is one problem with line and column: other encodings (a file saved as GBK or UTF-16), syntax, a key twice.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from config.lines import Path, join_key, scan
from config.problem import ConfigErrors, Problem

_BOM = "\ufeff"
_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_SYNTAX = (
    (
        re.compile(r"Cannot overwrite a value|Cannot declare|Cannot redefine|Cannot mutate|Duplicate"),
        "config.syntax.twice",
    ),
    (re.compile(r"Expected '=' after a key|Invalid initial character for a key part"), "config.syntax.key"),
    (re.compile(r"Invalid value"), "config.syntax.value"),
    (
        re.compile(r"Unterminated string|Illegal character '\\n'|Expected newline or end of document"),
        "config.syntax.end",
    ),
    (re.compile(r"Unclosed array|Unclosed inline table|Expected ']"), "config.syntax.bracket"),
    (re.compile(r"Unescaped '\\'|Invalid hex value|not a valid"), "config.syntax.escape"),
)


@dataclass(frozen=True, slots=True)
class Document:
    """A site file as it was written: plain Python values, and the lines of their keys."""

    raw: dict[str, Any]
    lines: dict[Path, int]

    def line(self, path: Path) -> int | None:
        """Line of the key, else of the table that it belongs to; None for a key of no table."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path)

    def key(self, path: Path) -> str:
        """The dotted key; a point goes by its factor, or by its number from 1 where that is not its own."""
        if path[:1] != ("instruments",) or len(path) < 4 or not isinstance(path[3], int):
            return join_key(path)
        return join_key((*path[:3], point_name(self._points(path[1]), path[3]), *path[4:]))

    def _points(self, instrument: str | int) -> list[Any]:
        table = self.raw["instruments"][instrument]
        points = table.get("points") if isinstance(table, dict) else None
        return points if isinstance(points, list) else []


NAMED_BY = {"points": "factor", "infos": "info", "states": ""}
"""The lists of an instrument, and the key by which their elements go in a dotted key; none: by number."""


def point_name(points: list[Any], index: int, by: str = "factor") -> str | int:
    """How a point is called in a key: its factor where only it has that, else its number from 1."""
    factors = [point.get(by) if isinstance(point, dict) else None for point in points]
    factor = factors[index] if index < len(factors) else None
    return factor if isinstance(factor, str) and factor and factors.count(factor) == 1 else index + 1


def read_bytes(path: FilePath) -> bytes:
    """The file's bytes; raises ConfigErrors."""
    try:
        return path.read_bytes()
    except OSError as error:
        code = {
            FileNotFoundError: "config.file.missing",
            PermissionError: "config.file.forbidden",
            IsADirectoryError: "config.file.folder",
        }.get(type(error), "config.file.unreadable")
        raise ConfigErrors(path, [Problem(None, "", code, {"reason": error.strerror or str(error)})]) from error


def parse(data: bytes, path: FilePath) -> Document:
    """The document in the bytes; `path` is for messages. Raises ConfigErrors."""
    text = decode(data, path)
    try:
        return Document(tomllib.loads(text), scan(text))
    except tomllib.TOMLDecodeError as error:
        raise ConfigErrors(path, [_syntax(str(error), text)]) from error
    except RecursionError as error:
        raise ConfigErrors(path, [Problem(None, "", "config.syntax.deep")]) from error


def decode(data: bytes, path: FilePath) -> str:
    """The text without byte order mark and CR; raises ConfigErrors."""
    try:
        return data.decode("utf-8").removeprefix(_BOM).replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line = before.count(b"\n") + 1
        column = len(before.rpartition(b"\n")[2].decode("utf-8", "replace")) + 1
        guess = "UTF-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "GBK"
        params = {"column": column, "byte": f"0x{data[error.start]:02X}", "guess": guess}
        raise ConfigErrors(path, [Problem(line, "", "config.file.encoding", params)]) from error


def _syntax(message: str, text: str) -> Problem:
    place = _PLACE.search(message)
    what = message[: place.start()] if place else message
    if place and place[1]:
        line, column = int(place[1]), int(place[2])
    else:
        line, column = text.rstrip("\n").count("\n") + 1, len(text.rstrip("\n").rpartition("\n")[2]) + 1
    code = next((code for pattern, code in _SYNTAX if pattern.search(what)), "config.syntax.other")
    return Problem(line, "", code, {"column": column, "detail": what})
