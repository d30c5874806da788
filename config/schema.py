"""The schema of the site file: pydantic over the dataclasses of `config.site`, all errors at once.

Strict: no `"5"` for 5, no 1 for true; an integer where a number is asked for is fine. A key that no table
knows is an error with the nearest key; a driver's keys are checked against its `InstrumentOptions` and
`PointOptions`. pydantic's own texts, which would show a password, are not used.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from functools import cache
from typing import Any, cast

from annotated_types import Ge, Le
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from config.lines import Path
from config.merge import Merged, Table, is_listed
from config.problem import Problem, is_secret, listed, nearest, shown
from config.shape import OPTIONS, TABLES, Key, file_name, key_at, keys, table_at
from config.site import Instrument, Site
from drivers import registry
from drivers.driver import Driver

_STRICT = ConfigDict(
    extra="forbid", strict=True, allow_inf_nan=False, hide_input_in_errors=True, alias_generator=file_name
)
_TYPES = {
    "int_type": "integer",
    "float_type": "number",
    "finite_number": "number",
    "string_type": "text",
    "bool_type": "boolean",
    "tuple_type": "list",
    "dict_type": "table",
    "dataclass_type": "table",
}
_ROUNDS = 20
"""Taking out what is wrong may bring out more; then only the schema is checked."""
_MISSING = ("config.missing", "config.missing-choice", "config.outlet-needed")
_BOUNDS = {"greater_than_equal": Ge, "less_than_equal": Le}


@cache
def _adapter(cls: type) -> TypeAdapter[Any]:
    """The adapter of a dataclass that knows no other keys than its own."""
    for table in (Site, *TABLES.values()) if cls is Site else (cls,):
        table.__pydantic_config__ = _STRICT  # type: ignore[attr-defined]  # where pydantic looks for it in a plain dataclass
    return TypeAdapter(cls)


def json_schema() -> dict[str, Any]:
    """JSON Schema of the site file. Instruments, points and the like take their driver's keys besides."""
    schema = _adapter(Site).json_schema()
    for cls in OPTIONS:
        table = schema["$defs"][cls.__name__]
        del table["properties"]["options"]
        table["additionalProperties"] = True
    return schema


def check_schema(merged: Merged) -> tuple[Site | None, list[Problem]]:
    """The site, None where the schema found errors; and those errors."""
    options, problems = _options(merged)
    site, details = _validated(Site, merged.tree)
    problems += _problems(merged, details)
    if site is None or problems or merged.problems:
        return None, _without_misspelt(problems)
    return _with_options(site, options), []


def check_remainder(merged: Merged) -> Site | None:
    """The site without what has errors, for the checks between tables; None where nothing sound is left."""
    tree = copy.deepcopy(merged.tree)
    for _ in range(_ROUNDS):
        site, details = _validated(Site, tree)
        if site is not None:
            return cast(Site, site)
        for path, kind in [(_place(tree, detail), detail["type"]) for detail in details]:
            _take_out(tree, path, kind)
    return None


def _validated(cls: type, table: Table) -> tuple[Any, list[ErrorDetails]]:
    """The dataclass, None where pydantic finds errors; and those. No exception that shows values leaves."""
    try:
        return _adapter(cls).validate_json(_json(table)), []
    except ValidationError as error:
        return None, error.errors(include_url=False)


def _take_out(tree: Table, path: Path, kind: str) -> None:
    """Remove a wrong key, so that its default holds, or the named table that cannot be without it."""
    while path and isinstance(path[-1], int):
        path = path[:-1]
    key = key_at(path)
    if kind == "missing" or (key is not None and key.required):
        # of a list at the top all of it; `site = 1` has no more than its name
        path = path[:1] if len(path) == 1 or isinstance(path[1], int) else path[:2]
    if path[:1] == ("site",):
        tree["site"] = {"name": "–"}
        return
    *above, last = path
    table: Any = tree
    for part in above:
        if isinstance(table, dict) and part not in table:
            return
        table = table[part]
    table.pop(last, None)


def _without_misspelt(problems: list[Problem]) -> list[Problem]:
    """One problem for a misspelt key: not also that the key which was meant is missing."""
    meant = {
        (problem.key.rpartition(".")[0] + "." + problem.params["nearest"]).lstrip(".")
        for problem in problems
        if problem.code == "config.unknown-key"
    }
    return [p for p in problems if not (p.code in _MISSING and p.key in meant)]


def _json(tree: Any) -> bytes:
    """The tables as JSON, where pydantic takes a list for a tuple also when strict; dates as texts."""
    return json.dumps(tree, default=str).encode()


def _options(merged: Merged) -> tuple[dict[Path, Any], list[Problem]]:
    """The drivers' options by the path of their table."""
    built: dict[Path, Any] = {}
    problems: list[Problem] = []
    for path, table in merged.options.items():
        driver = merged.drivers.get(str(path[1]))
        if driver is None:
            problems += _without_driver(merged, path, table)
            continue
        cls = options_class(driver, path)
        if cls is None:
            problems.append(merged.problem(path, "config.no-writes", driver=driver.name))
            continue
        built[path], details = _validated(cls, table)
        problems += _problems(merged, details, path, cls)
    return built, problems


def options_class(driver: type[Driver], path: Path) -> type | None:
    """The driver's class of the keys that stand in the table at a path; None where it has none."""
    table = table_at(path)
    return getattr(driver, OPTIONS[table], None) if table in OPTIONS else None


def _without_driver(merged: Merged, path: Path, table: Table) -> Iterator[Problem]:
    """Of an unknown driver's keys only those are surely wrong that no driver has and that look like an absent one."""
    generic = keys(Instrument if len(path) == 2 else table_at(path) or Instrument)
    here = _at(merged.tree, path)
    classes = [options_class(registry.driver_class(name), path) for name in registry.shipped()]
    of_drivers = {key for cls in classes if cls is not None for key in keys(cls)}
    for name in table:
        near = None if name in of_drivers else nearest(name, generic)
        if near is not None and near not in here:
            yield merged.problem((*path, name), "config.unknown-key", nearest=near, allowed=listed(generic))


def _with_options(site: Site, options: dict[Path, Any]) -> Site:
    instruments = {name: _complete(i, ("instruments", name), options) for name, i in site.instruments.items()}
    return replace(site, instruments=instruments)


def _complete(value: Any, path: Path, options: dict[Path, Any]) -> Any:
    """A table and all tables in it, with the options of the driver."""
    if isinstance(value, dict):
        return {name: _complete(table, (*path, name), options) for name, table in value.items()}
    if isinstance(value, tuple):
        return tuple(_complete(table, (*path, index), options) for index, table in enumerate(value))
    if not is_dataclass(value) or isinstance(value, type):
        return value
    changed = {f.name: _complete(getattr(value, f.name), (*path, f.name), options) for f in fields(value)}
    if path in options:
        changed["options"] = options[path]
    return replace(value, **changed)


def _problems(merged: Merged, details: list[ErrorDetails], base: Path = (), cls: type | None = None) -> list[Problem]:
    """pydantic's errors as problems, one a key; `base`, `cls`: a driver's table and its options."""
    table = merged.options[base] if cls else merged.tree
    by_path: dict[Path, list[ErrorDetails]] = {}
    for detail in details:
        by_path.setdefault(_place(table, detail), []).append(detail)
    found = []
    for path, same in by_path.items():
        is_union_member = any(path == other[: len(path)] and path != other for other in by_path)
        if not (is_union_member and same[0]["type"] in _TYPES):
            found.append(_problem(merged, base, path, same, cls))
    return found


def _place(table: Any, detail: ErrorDetails) -> Path:
    """The part of pydantic's location that leads through the file, without the names of union members."""
    path: Path = ()
    here = table
    location = detail["loc"]
    for part in location:
        if isinstance(here, dict) and part in here:
            here = here[str(part)]
        elif isinstance(here, list) and isinstance(part, int) and part < len(here):
            here = here[part]
        elif detail["type"] != "missing" or part is not location[-1]:
            continue
        path = (*path, part)
    return path


def _at(table: Any, path: Path) -> Any:
    for part in path:
        table = table[part]
    return table


def _allowed(merged: Merged, path: Path, cls: type | None) -> dict[str, Key]:
    """The keys of the table at `path`: the generic ones, and those of its driver."""
    table = table_at(path)
    generic = keys(table) if table else {}
    driver = merged.drivers.get(str(path[1])) if cls is None and path[:1] == ("instruments",) else None
    if driver is not None:
        cls = options_class(driver, path)
    return generic | keys(cls) if cls else generic


def _problem(merged: Merged, base: Path, path: Path, details: list[ErrorDetails], cls: type | None) -> Problem:
    where = (*base, *path)
    types = [detail["type"] for detail in details]
    if "unexpected_keyword_argument" in types:
        return _unknown_key(merged, where, cls)
    if "missing" in types:
        return _missing(merged, where, cls, shown(details[0]["input"], is_secret(where)))
    detail = next((d for d in details if d["type"] not in _TYPES), details[0])
    key = keys(cls).get(str(path[0])) if cls else key_at(where)
    code, params = _refusal(detail, key, types)
    got = shown(detail["input"], is_secret(where))
    return merged.problem(where, code, got=got, **params)


def _unknown_key(merged: Merged, where: Path, cls: type | None) -> Problem:
    name = str(where[-1])
    allowed = _allowed(merged, where[:-1], cls)
    homes = [header for header, table in TABLES.items() if name in keys(table)]
    if len(where) == 1:
        homes = []
    near = nearest(name, allowed)
    is_slip = near is not None and name in (near[:-1], near + "s")  # `mark` for `marks` is no key of another table
    if homes and not is_slip:
        return merged.problem(where, "config.misplaced-key", tables=listed(homes), allowed=listed(allowed))
    code = "config.unknown-key" if near else "config.unknown-key-far"
    return merged.problem(where, code, nearest=near or "", allowed=listed(allowed))


def _missing(merged: Merged, where: Path, cls: type | None, table: str) -> Problem:
    if is_listed(where) and where[4:] == ("outlet",):
        outlets = merged.tree.get("outlets")
        return merged.problem(
            where, "config.outlet-needed", allowed=listed(outlets if isinstance(outlets, dict) else ())
        )
    if isinstance(where[-1], int):
        return merged.problem(where[:-1], "config.list-length", got=table, allowed=_length(merged, where, cls))
    key = keys(cls).get(str(where[-1])) if cls else key_at(where)
    choices = key.choices() if key else []
    if choices:
        return merged.problem(where, "config.missing-choice", allowed=listed(choices))
    return merged.problem(where, "config.missing")


def _length(merged: Merged, where: Path, cls: type | None) -> int | str:
    """How many elements the list that holds `where` must have."""
    base = next((n for n in range(len(where), 0, -1) if where[:n] in merged.options), 0)
    key = keys(cls).get(str(where[base])) if cls else key_at(where)
    return (key.length() if key else None) or "–"


def _refusal(detail: ErrorDetails, key: Key | None, types: list[str]) -> tuple[str, dict[str, Any]]:
    """Code and what is allowed, for one refused value."""
    kind, context = detail["type"], detail.get("ctx", {})
    if kind in _BOUNDS:
        return _out_of_bounds(key, kind, context)
    if kind in ("literal_error", "one_of"):
        if key is not None and key.name == "edition":
            return "config.edition", {"allowed": listed(key.choices())}
        return "config.choice", {"allowed": listed(key.choices()) if key else context["expected"]}
    if kind == "form":
        return f"config.form.{context['what']}", {}
    if kind == "duration":
        return "config.duration", {}
    if kind in _TYPES:
        names = sorted({_TYPES[t] for t in types if t in _TYPES})
        return "config.type." + "-or-".join(names), {}
    if kind in ("too_long", "too_short"):
        return "config.list-length", {"allowed": (key.length() if key else None) or "–"}
    return "config.value", {"reason": detail["msg"]}


def _out_of_bounds(key: Key | None, kind: str, context: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    low, high = (key.bound(Ge), key.bound(Le)) if key else (None, None)
    if low is not None and high is not None:
        return "config.between", {"low": low, "high": high}
    if kind == "greater_than_equal":
        return "config.at-least", {"low": low or context["ge"]}
    return "config.at-most", {"high": high or context["le"]}
