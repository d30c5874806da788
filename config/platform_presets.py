"""Platform presets: what platforms of a kind want on the wire, as TOML, one file a preset.

    [preset]     name_zh name_en grade notes
    [platform]   keys of `[platforms.NAME]`; those of the site file stand over them

`grade` says how far a preset can be trusted: `from-notes` (public notes and code), `seen-in-field` (against the real
platform). It is a hint to begin with: a folder `platforms` beside the site file takes precedence over the shipped ones.
What is the site's own (address, outlets, role …) has no place in a preset.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config.problem import ConfigError, listed, nearest

OWN_PRESETS = "platforms"
"""The folder of a site's own presets, beside its file."""
GRADES = ("from-notes", "seen-in-field")
OF_THE_SITE = frozenset({"address", "listen", "outlets", "role", "connect_from", "preset"})
"""Keys that no preset may bring."""
_SHIPPED = Path(__file__).parent / "presets" / "platforms"
_TEXTS = ("name_zh", "name_en", "notes")


@dataclass(frozen=True, slots=True)
class Preset:
    """One preset; `keys` as the site file has them."""

    name: str
    name_zh: str
    name_en: str
    grade: str
    notes: str
    keys: dict[str, Any]


def names(own: Path | None = None) -> tuple[str, ...]:
    """All presets, sorted; `own`: the site's folder."""
    return tuple(sorted({path.stem for folder in _folders(own) for path in folder.glob("*.toml")}))


def preset(name: str, own: Path | None = None) -> Preset:
    """A preset by its name; raises ConfigError where there is none, or its file is not sound."""
    for folder in _folders(own):
        path = folder / f"{name}.toml"
        if path.parent == folder and path.is_file():
            return _read(name, path)
    known = names(own)
    raise ConfigError("config.unknown-preset", got=name, nearest=nearest(name, known) or "–", allowed=listed(known))


def _folders(own: Path | None) -> tuple[Path, ...]:
    return (_SHIPPED,) if own is None else (own, _SHIPPED)


def _read(name: str, path: Path) -> Preset:
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError("config.preset-file", file=str(path), reason=str(error)) from error
    head, keys = found.get("preset"), found.get("platform")
    if not isinstance(head, dict) or not isinstance(keys, dict) or found.keys() != {"preset", "platform"}:
        raise ConfigError("config.preset-shape", file=str(path))
    if head.get("grade") not in GRADES or any(not isinstance(head.get(each), str) for each in _TEXTS):
        raise ConfigError("config.preset-head", file=str(path), allowed=listed(GRADES))
    if taken := OF_THE_SITE & keys.keys():
        raise ConfigError("config.preset-key", file=str(path), got=listed(sorted(taken)))
    return Preset(name, head["name_zh"], head["name_en"], head["grade"], head["notes"], keys)
