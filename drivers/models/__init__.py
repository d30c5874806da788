"""Instrument models: register maps as TOML beside this file, one a model, editable on site.

    [model]        name maker kind source grade driver
    [instrument]   defaults of the instrument: the keys of the site file
    [[points]]     the site file's points without `outlet`
    [[infos]], [actions.NAME]   the site file's infos and actions, where the maker's book gives their registers

`grade` says how far a map can be trusted: `from-notes` (taken from another driver's notes), `from-book` (the
maker's register book), `proven` (seen on the real instrument). The same model differs by firmware and by
province, so a map is a hint: a folder of one's own takes precedence over the shipped ones.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from drivers.errors import BadOption

_SHIPPED = Path(__file__).parent


def names(extra_dir: Path | None = None) -> tuple[str, ...]:
    """The models' names (file names without `.toml`), sorted."""
    return tuple(sorted({path.stem for folder in _folders(extra_dir) for path in folder.glob("*.toml")}))


def model(name: str, extra_dir: Path | None = None) -> dict[str, Any]:
    """The parsed TOML of a model. Raises BadOption for an unknown name or a file that is no TOML."""
    for folder in _folders(extra_dir):
        path = folder / f"{name}.toml"
        if path.parent == folder and path.is_file():
            return _parsed(path)
    raise BadOption("drivers.unknown-model", model=name, known=", ".join(names(extra_dir)))


def _folders(extra_dir: Path | None) -> tuple[Path, ...]:
    return (_SHIPPED,) if extra_dir is None else (extra_dir, _SHIPPED)


def _parsed(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadOption("drivers.model-file", file=str(path), reason=str(error)) from error
