"""Instrument models: register maps as TOML beside this file, one a model, editable on site.

    [model]        name maker kind source grade driver; of a text instrument also `answer`, for the simulated one
    [instrument]   defaults of the instrument: the keys of the site file
    [[points]]     the site file's points without `outlet`
    [[states]]     the site file's states: what marks the values bear
    [[infos]], [actions.NAME]   the site file's infos and actions, where the maker's book gives their registers
    [sampler]      the site file's sampler: what a water sampler tells of itself

`grade` says how far a map can be trusted: `from-notes` (taken from another driver's notes), `from-book` (the
maker's register book), `seen-in-field` (seen on the real instrument), `template` (no instrument's: what there is to be
filled in, with the registers of the simulated one). The same model differs by firmware and by
province, so a map is a hint: a folder of one's own takes precedence over the shipped ones. Where a map cannot know
a unit or a range, its unit is none that converts, so that the site file has to say it.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drivers.errors import BadOption

GRADES = ("from-notes", "from-book", "seen-in-field", "template")
_SHIPPED = Path(__file__).parent


def names(extra_dir: Path | None = None) -> tuple[str, ...]:
    """The models' names (file names without `.toml`), sorted."""
    return tuple(sorted({path.stem for folder in _folders(extra_dir) for path in folder.glob("*.toml")}))


def model(name: str, extra_dir: Path | None = None) -> dict[str, Any]:
    """The parsed TOML of a model. Raises BadOption for an unknown name or a file that is no TOML."""
    return _parsed(path_of(name, extra_dir))


@dataclass(frozen=True, slots=True)
class Summary:
    """A model in one row."""

    model: str
    name: str
    maker: str
    kind: str
    driver: str
    grade: str
    factors: tuple[str, ...]
    own: bool
    """Of the site, not shipped."""


def summaries(text: str = "", extra_dir: Path | None = None) -> list[Summary]:
    """The models that `text` fits: each of its words stands in the file's name, the name, maker, kind or a factor.

    A file of the site that is no model is left out: `faulty` names it.
    """
    found = []
    for name in names(extra_dir):
        try:
            one = _summary(name, extra_dir)
        except BadOption:
            continue
        words = " ".join((one.model, one.name, one.maker, one.kind, one.driver, *one.factors)).lower()
        if all(word in words for word in text.lower().split()):
            found.append(one)
    return found


def faulty(extra_dir: Path | None = None) -> list[BadOption]:
    """What is wrong with the files that are no models."""
    found = []
    for name in names(extra_dir):
        try:
            _summary(name, extra_dir)
        except BadOption as error:
            found.append(error)
    return found


def _summary(name: str, extra_dir: Path | None) -> Summary:
    parsed = model(name, extra_dir)
    head, points = parsed.get("model", {}), parsed.get("points", [])
    if not isinstance(head, dict) or not isinstance(points, list) or not all(map(_is_point, points)):
        raise BadOption("drivers.model-shape", file=str(path_of(name, extra_dir)))
    return Summary(
        model=name,
        name=str(head.get("name", "–")),
        maker=str(head.get("maker", "–")),
        kind=str(head.get("kind", "–")),
        driver=str(head.get("driver", "–")),
        grade=str(head.get("grade", "–")),
        factors=tuple(str(point["factor"]) for point in points),
        own=path_of(name, extra_dir).parent != _SHIPPED,
    )


def _is_point(table: object) -> bool:
    return isinstance(table, dict) and "factor" in table


def path_of(name: str, extra_dir: Path | None = None) -> Path:
    """The file of a model. Raises BadOption for an unknown name."""
    for folder in _folders(extra_dir):
        path = folder / f"{name}.toml"
        if path.parent == folder and path.is_file():
            return path
    raise BadOption("drivers.unknown-model", model=name, known=", ".join(names(extra_dir)))


def _folders(extra_dir: Path | None) -> tuple[Path, ...]:
    return (_SHIPPED,) if extra_dir is None else (extra_dir, _SHIPPED)


def _parsed(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadOption("drivers.model-file", file=str(path), reason=str(error)) from error
