"""On which line of a TOML text each key stands; Python's own parser does not tell.

    [[instruments.cod.points]]     ("instruments", "cod", "points", 0)             line 1
    factor = "w01018"              ("instruments", "cod", "points", 0, "factor")   line 2

The text has passed `tomllib`, so this only walks over it: headers, arrays of tables, dotted keys, inline
tables, strings and arrays over several lines.
"""

from __future__ import annotations

import bisect
import re
import tomllib

Path = tuple[str | int, ...]

_SKIP = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^,\]}\n#]*")


def scan(text: str) -> dict[Path, int]:
    """Line, from 1, of every key, table header and array element of a valid TOML text."""
    return _Scanner(text).run()


def split_key(text: str) -> list[str]:
    """Parts of a dotted key, `lines."rs485.1".baud`; ValueError where it is none."""
    scanner = _Scanner(text.strip())
    parts = scanner.key()
    if scanner.pos != len(scanner.text):
        raise ValueError(text)
    return parts


def join_key(parts: Path) -> str:
    """The dotted key of parts, quoted where TOML asks for it; an index is written as it is."""
    return ".".join(str(p) if _BARE.fullmatch(str(p)) else f'"{p}"' for p in parts)


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.pos = 0
        self._breaks = [match.start() for match in re.finditer("\n", text)]
        self._lines: dict[Path, int] = {}
        self._arrays: dict[Path, int] = {}

    def run(self) -> dict[Path, int]:
        table: Path = ()
        self._skip()
        while self.pos < len(self.text):
            if self.text[self.pos] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip()
        return self._lines

    def key(self) -> list[str]:
        parts = [self._key_part()]
        self._blanks()
        while self.text.startswith(".", self.pos):
            self.pos += 1
            parts.append(self._key_part())
            self._blanks()
        return parts

    def _key_part(self) -> str:
        self._blanks()
        bare = _BARE.match(self.text, self.pos)
        match = bare or _STRING.match(self.text, self.pos)
        if match is None:
            raise ValueError(self.text)
        self.pos = match.end()
        return match[0] if bare else str(tomllib.loads(f"k = {match[0]}")["k"])

    def _header(self) -> Path:
        start = self.pos
        is_array = self.text.startswith("[[", start)
        self.pos += 2 if is_array else 1
        *above, last = self.key()
        self.pos += 2 if is_array else 1
        path: Path = ()
        for part in above:
            path = self._into((*path, part), start)
        path = (*path, last)
        if is_array:
            self._note(path, start)
            self._arrays[path] = self._arrays.get(path, -1) + 1
            path = (*path, self._arrays[path])
        self._note(path, start)
        return path

    def _into(self, path: Path, pos: int) -> Path:
        """The table at `path`: of an array of tables the last one."""
        self._note(path, pos)
        return (*path, self._arrays[path]) if path in self._arrays else path

    def _pair(self, table: Path) -> None:
        start = self.pos
        path = table
        for part in self.key():
            path = (*path, part)
            self._note(path, start)
        self.pos += 1
        self._blanks()
        self._value(path)

    def _value(self, path: Path) -> None:
        opening = self.text[self.pos]
        if opening in "\"'":
            string = _STRING.match(self.text, self.pos)
            self.pos = string.end() if string else len(self.text)
        elif opening in "[{":
            self._items(path, "]" if opening == "[" else "}")
        else:
            scalar = _SCALAR.match(self.text, self.pos)
            self.pos = scalar.end() if scalar else len(self.text)

    def _items(self, path: Path, closing: str) -> None:
        """The elements of an array, or the pairs of an inline table."""
        self.pos += 1
        self._skip()
        index = 0
        while not self.text.startswith(closing, self.pos):
            if closing == "]":
                self._note((*path, index), self.pos)
                self._value((*path, index))
                index += 1
            else:
                self._pair(path)
            self._skip()
            if self.text.startswith(",", self.pos):
                self.pos += 1
                self._skip()
        self.pos += 1

    def _note(self, path: Path, pos: int) -> None:
        self._lines.setdefault(path, bisect.bisect_left(self._breaks, pos) + 1)

    def _skip(self) -> None:
        match = _SKIP.match(self.text, self.pos)
        self.pos = match.end() if match else self.pos

    def _blanks(self) -> None:
        while self.text.startswith((" ", "\t"), self.pos):
            self.pos += 1
