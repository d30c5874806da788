"""What is wrong with a site file: where it stands, which key, and a code that the catalogue turns into words.

A problem never holds a secret: `shown` writes values for messages, and passwords as `***`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MASK = "***"
_LONGEST = 60


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding. `key` is dotted (`platforms.city.realtime`, empty: the file itself); `line` counts from 1.

    `params` fill the text of `code`; they are texts and numbers only.
    """

    line: int | None
    key: str
    code: str
    params: dict[str, Any] = field(default_factory=dict)
    warning: bool = False


class ConfigError(Exception):
    """The site file, or what should be done with it, must change; `code` names the text (`config.…`)."""

    def __init__(self, code: str, **params: Any) -> None:
        super().__init__(code, params)
        self.code = code
        self.params = params

    def __str__(self) -> str:
        return self.code + "".join(f" {name}={value!r}" for name, value in self.params.items())


class ConfigErrors(ConfigError):
    """The site file does not check; `problems` holds every error that was found, and the warnings."""

    def __init__(self, path: Path | str, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        count = sum(not problem.warning for problem in self.problems)
        super().__init__("config.refused", file=str(path), count=count)

    def __str__(self) -> str:
        file = self.params["file"]
        return "\n".join(f"{file}:{p.line}: {p.key}: {p.code} {p.params}" for p in self.problems if not p.warning)


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """Problems by line, each one once."""
    once = {(p.line, p.key, p.code, repr(p.params)): p for p in problems}
    return sorted(once.values(), key=lambda p: (p.line or 0, p.key, p.code))


def nearest(name: str, names: Iterable[str], cutoff: float = 0.5) -> str | None:
    """The one of `names` that `name` was probably meant to be; None where none is near."""
    by_lower = {other.lower(): other for other in names}
    found = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=cutoff)
    return by_lower[found[0]] if found else None


def listed(names: Iterable[Any]) -> str:
    """Names for a message, `–` for none."""
    return ", ".join(str(name) for name in names) or "–"


def shown(value: Any, secret: bool = False) -> str:
    """A value as the file would have it, shortened; a secret as `***`."""
    if secret:
        return MASK
    text = toml_text(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def toml_text(value: Any) -> str:
    """A value in TOML; what a table holds is left out, since it may hold a password."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04X}" for c in escaped) + '"'
    if isinstance(value, dict):
        return "{…}" if value else "{}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml_text(item) for item in value) + "]"
    return str(value)


def is_secret(key: Iterable[str | int]) -> bool:
    """Whether the value at this key may be a password: all of an outlet's access to a platform but its MN."""
    parts = [str(part) for part in key]
    return parts[:1] == ["platforms"] and parts[2:3] == ["outlets"] and len(parts) > 2 and parts[4:] != ["mn"]
