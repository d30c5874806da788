"""The enterprise's words for marks, and the columns of its sheet: data that a site edits, not code.

    mark-classes.tsv   class, item, mark (- : data keep their own), name to type where Chinese cannot be typed
    mark-sheet.tsv     heading of a column, field of ours

Files of these names beside the site file take precedence over those shipped. The official vocabulary and a real
template of a portal were not at hand: the names are those seen in use, and no portal's format is claimed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from protocol.marks import MARKS

_SHIPPED = Path(__file__).parent / "tables"
FIELDS = (
    "number", "kind", "outlet", "outlet_name", "factor", "factor_name", "instrument", "class", "item", "mark", "from",
    "to", "reason", "operator", "user", "source", "at", "state",
)  # fmt: skip
"""What a column of the sheet may hold."""


class TableError(Exception):
    """A table must change: `code` names the text, `params` file, line and what stands there."""

    def __init__(self, code: str, **params: Any) -> None:
        super().__init__(code, params)
        self.code = code
        self.params = params


@dataclass(frozen=True, slots=True)
class MarkClass:
    """One word of the vocabulary; `mark` None: a state of production that changes no data."""

    category: str
    item: str
    mark: str | None
    name: str


def classes(folder: Path) -> list[MarkClass]:
    """The vocabulary of the site whose file stands in a folder; raises TableError."""
    found = []
    path, rows = _rows(folder, "mark-classes.tsv", 4)
    for line, (category, item, mark, name) in rows:
        if mark != "-" and mark not in MARKS:
            raise TableError("marks.table-mark", file=path, line=line, got=mark)
        found.append(MarkClass(category, item, None if mark == "-" else mark, name))
    return found


def class_named(folder: Path, text: str) -> MarkClass:
    """The word that is meant by `CLASS/ITEM`, `ITEM` where only one class has it, or its name; raises TableError."""
    known = classes(folder)
    found = [each for each in known if text in (f"{each.category}/{each.item}", each.name)]
    found = found or [each for each in known if text in (each.item, each.name.partition("/")[2])]
    if len(found) == 1:
        return found[0]
    among = ", ".join(f"{each.category}/{each.item} ({each.name})" for each in found or known)
    raise TableError("marks.class-ambiguous" if found else "marks.class-unknown", got=text, known=among)


def columns(folder: Path, file: Path | None = None) -> list[tuple[str, str]]:
    """(heading, field) of the sheet; raises TableError."""
    path, rows = _rows(folder, "mark-sheet.tsv", 2, file)
    for line, (_, name) in rows:
        if name not in FIELDS:
            raise TableError("marks.table-field", file=path, line=line, got=name, known=", ".join(FIELDS))
    return [(heading, name) for _, (heading, name) in rows]


def _rows(folder: Path, name: str, width: int, file: Path | None = None) -> tuple[Path, list[tuple[int, list[str]]]]:
    """Line number and cells of a table's rows, without its heading."""
    own = file or folder / name
    path = own if file is not None or own.is_file() else _SHIPPED / name.replace("-", "_")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TableError("marks.table-unreadable", file=path, why=error) from error
    rows = [(number, line.split("\t")) for number, line in enumerate(lines, 1) if number > 1 and line.strip()]
    for number, cells in rows:
        if len(cells) != width:
            raise TableError("marks.table-width", file=path, line=number, expected=width, got=len(cells))
    return path, [(number, [cell.strip() for cell in cells]) for number, cells in rows]
