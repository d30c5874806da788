"""Command codes (CN) of HJ 212-2017 Table 9; one that is asked for and uploaded has two rows, one a direction.

Heartbeat and login (9015, 9021, 9022) stand in no edition up to 2017 and are met in the field: a table of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal, cast

from protocol.tables import rows

Direction = Literal["to-logger", "to-platform", "both"]
CommandKind = Literal["request", "upload", "notice", "interaction"]


@dataclass(frozen=True, slots=True)
class Command:
    """One row of Table 9. Requests are answered by 9011 and 9012, uploads by 9014 where asked, notices by 9013."""

    cn: str
    name_zh: str
    name_en: str
    direction: Direction
    kind: CommandKind


def load(table: str) -> tuple[Command, ...]:
    """All rows of a table of commands."""
    return tuple(
        Command(cn, zh, en, cast(Direction, direction), cast(CommandKind, kind))
        for cn, direction, kind, zh, en in rows(table)
    )


@cache
def commands() -> tuple[Command, ...]:
    """All rows, in the order of the table."""
    return load("commands")


@cache
def _by_code() -> dict[tuple[str, str], Command]:
    found: dict[tuple[str, str], Command] = {}
    for row in commands():
        for direction in ("to-logger", "to-platform") if row.direction == "both" else (row.direction,):
            found[row.cn, direction] = row
    return found


@cache
def _extensions() -> dict[str, Command]:
    return {row.cn: row for row in load("commands_field")}


def extension(cn: str) -> Command | None:
    """The row of a CN that no edition up to 2017 defines and many platforms use."""
    return _extensions().get(cn)


def command(cn: str, direction: Literal["to-logger", "to-platform"] | None = None) -> Command | None:
    """The row of a CN in a direction; without one, what goes to the platform before what goes to the logger."""
    if direction is not None:
        return _by_code().get((cn, direction))
    return _by_code().get((cn, "to-platform")) or _by_code().get((cn, "to-logger"))
