"""What a site file means once models and defaults are put in: the tables that the schema checks.

    instruments.cod       ← keys of the file over the model's; the driver's own keys taken out
      points[i]           ← the model's points; a point of the file over the model's of the same factor
        outlet            ← the point's, else the instrument's, else the site's only one
      infos[i], actions.x ← the model's; one of the file instead of the model's of the same name
    platforms.city      ← keys of the file over those of its preset, of MQTT over its own defaults
      states[i]           ← the file's, else the model's

Tables of a wrong shape pass unchanged: the schema says what is wrong with them. A path here counts the merged
points; `Merged.problem` leads it back to the file's line, or to the `model` or `preset` key that brought the value in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

from config import mqtt, platform_presets, sampler
from config.batch import SOURCES
from config.document import NAMED_BY, Document, point_name
from config.lines import Path, join_key
from config.problem import ConfigError, Problem, listed, nearest
from config.shape import keys, table_at
from drivers import models, registry
from drivers.driver import Driver
from drivers.errors import BadOption

Table = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Merged:
    """The merged tables without the drivers' keys, those keys by the path of their table, and all origins."""

    document: Document
    tree: Table
    models_dir: FilePath | None = None
    options: dict[Path, Table] = field(default_factory=dict)
    drivers: dict[str, type[Driver]] = field(default_factory=dict)
    from_model: set[Path] = field(default_factory=set)
    from_preset: set[Path] = field(default_factory=set)
    filled_in: set[Path] = field(default_factory=set)
    """Keys that stand neither in the file nor in a model: the outlet of a point, what goes without saying of MQTT."""
    written: dict[Path, Path] = field(default_factory=dict)
    """Merged point → the file's point; a point of the model alone is not in it."""
    problems: list[Problem] = field(default_factory=list)

    def problem(self, path: Path, code: str, warning: bool = False, **params: Any) -> Problem:
        """A problem at a merged path."""
        is_element = isinstance(path[-1], int) and table_at(path) is None
        of_list = path[:-1] if is_element else path
        return Problem(self.line(path), self.key(of_list), code, params, warning)

    def line(self, path: Path) -> int | None:
        """The file's line for a merged path: of the key, of its table, or of the `model` key it came with."""
        if is_listed(path) and path[:4] not in self.written:
            return self.document.line((*path[:2], "model"))
        if self.is_of_model(path):
            return self.document.line((*path[:2], "model"))
        if self.is_of_preset(path):
            return self.document.line((*path[:2], "preset"))
        return self.document.line(self.in_file(path))

    def is_of_model(self, path: Path) -> bool:
        """Whether a key, or a table that it stands in, came with the instrument model."""
        return any(path[:length] in self.from_model for length in range(3, len(path) + 1))

    def is_of_preset(self, path: Path) -> bool:
        """Whether a key of a platform came with its preset."""
        return path[:3] in self.from_preset

    def in_file(self, path: Path) -> Path:
        """The file's path of a merged path."""
        return (*self.written.get(path[:4], path[:4]), *path[4:]) if is_listed(path) else path

    def key(self, path: Path) -> str:
        """The dotted key as messages and `config get` have it; a point goes by its factor, others by number."""
        parts = [part + 1 if isinstance(part, int) else part for part in path]
        if is_listed(path):
            rows = self.tree["instruments"][path[1]][path[2]]
            parts[3] = point_name(rows, int(path[3]), NAMED_BY[str(path[2])])
        return join_key(tuple(parts))


def is_listed(path: Path) -> bool:
    """Whether a path leads to a point, a state or an info, or into one."""
    return len(path) > 3 and path[0] == "instruments" and path[2] in NAMED_BY and isinstance(path[3], int)


def merge(document: Document, models_dir: FilePath | None = None, presets_dir: FilePath | None = None) -> Merged:
    """Put models, presets and defaults in; unknown models, presets and drivers are among the problems.

    `models_dir` and `presets_dir` hold the site's own models and platform presets, before those that are shipped.
    """
    merged = Merged(document, dict(document.raw), models_dir)
    _put_presets(merged, presets_dir)
    instruments = document.raw.get("instruments")
    if not isinstance(instruments, dict):
        return merged
    merged.tree["instruments"] = {}
    for name, table in instruments.items():
        whole = _instrument(merged, name, table) if isinstance(table, dict) else table
        merged.tree["instruments"][name] = whole
    return merged


def _put_presets(merged: Merged, presets_dir: FilePath | None) -> None:
    """The keys of each platform's preset under its own."""
    platforms = merged.document.raw.get("platforms")
    if not isinstance(platforms, dict):
        return
    merged.tree["platforms"] = dict(platforms)
    for name, table in platforms.items():
        path: Path = ("platforms", name)
        if isinstance(table, dict) and table.get("protocol") == "mqtt":
            _put_mqtt(merged, path, table)
            continue
        wanted = table.get("preset") if isinstance(table, dict) else None
        if not isinstance(wanted, str):
            continue
        try:
            found = platform_presets.preset(wanted, presets_dir)
        except ConfigError as error:
            merged.problems.append(merged.problem((*path, "preset"), error.code, **error.params))
            continue
        merged.from_preset.update((*path, key) for key in found.keys if key not in table)
        merged.tree["platforms"][name] = {**found.keys, **table}


def _put_mqtt(merged: Merged, path: Path, table: Table) -> None:
    """What the keys of HJ 212 mean to an MQTT platform; `config.check_mqtt` refuses those that mean nothing."""
    own = table.get("mqtt", {})
    is_json = not isinstance(own, dict) or own.get("payload", "json") == "json"
    defaults = {**mqtt.DEFAULTS, **(mqtt.JSON_DEFAULTS if is_json else {})}
    merged.filled_in.update((*path, key) for key in defaults if key not in table)
    merged.tree["platforms"][path[1]] = defaults | table


def _instrument(merged: Merged, name: str, table: Table) -> Table:
    path: Path = ("instruments", name)
    model = _model(merged, path, table)
    whole: Table = dict(model.get("instrument", {}))
    if "driver" in model.get("model", {}):
        whole["driver"] = model["model"]["driver"]
    merged.from_model.update((*path, key) for key in whole if key not in table)
    _check_driver(merged, path, table, whole)
    whole |= table
    written = table.get("points", [])
    if isinstance(written, list):
        whole["points"] = list(_points(merged, path, written, model.get("points", []), whole.get("outlet")))
    _put_states(merged, path, whole, table, model)
    _put_controls(merged, path, whole, table, model)
    _put_sampler(merged, path, whole, table, model)
    return _without_options(merged, path, whole)


def _put_states(merged: Merged, path: Path, whole: Table, table: Table, model: Table) -> None:
    """The states of the file, else those of the model."""
    states = table.get("states", model.get("states", []))
    if not isinstance(states, list) or not states:
        return
    for index in range(len(states)):
        where = (*path, "states", index)
        if "states" in table:
            merged.written[where] = where
        else:
            merged.from_model.add(where)
    whole["states"] = [_taken_out(merged, (*path, "states", index), state) for index, state in enumerate(states)]


def _put_controls(merged: Merged, path: Path, whole: Table, table: Table, model: Table) -> None:
    """The instrument's infos and actions, where it has any."""
    infos, actions = table.get("infos", []), table.get("actions", {})
    if isinstance(infos, list) and (infos or model.get("infos")):
        whole["infos"] = list(_infos(merged, path, infos, model.get("infos", []), _outlet_of(whole)))
    if isinstance(actions, dict) and (actions or model.get("actions")):
        of_model = {name: action for name, action in model.get("actions", {}).items() if name not in actions}
        merged.from_model.update((*path, "actions", name) for name in of_model)
        both: Table = of_model | actions
        whole["actions"] = {
            name: _with_nested(merged, (*path, "actions", name), action) for name, action in both.items()
        }


def _put_sampler(merged: Merged, path: Path, whole: Table, table: Table, model: Table) -> None:
    """The keys of the file over those of the model."""
    of_model, own = model.get("sampler", {}), table.get("sampler", {})
    if isinstance(own, dict) and (of_model or "sampler" in table):
        where = (*path, "sampler")
        merged.from_model.update((*where, key) for key in of_model if key not in own)
        whole["sampler"] = _with_nested(merged, where, of_model | own, sampler.SOURCES)


def _outlet_of(instrument: Table) -> Any:
    """The instrument's outlet, else the one that all its points have."""
    points = instrument.get("points")
    outlets = [point.get("outlet") for point in points if isinstance(point, dict)] if isinstance(points, list) else []
    same = outlets[0] if outlets and all(outlet == outlets[0] for outlet in outlets) else None
    return instrument.get("outlet", same)


def _infos(merged: Merged, path: Path, written: list[Any], of_model: list[Table], outlet: Any) -> Iterator[Any]:
    """The model's infos that the file has not, then the file's."""
    named = {_info_key(info) for info in written}
    plan: list[tuple[Any, int | None]] = [(info, None) for info in of_model if _info_key(info) not in named]
    plan += [(info, number) for number, info in enumerate(written)]
    for index, (info, number) in enumerate(plan):
        where = (*path, "infos", index)
        if number is not None:
            merged.written[where] = (*path, "infos", number)
        if isinstance(info, dict):
            whole = _with_nested(merged, where, _with_outlet(merged, where, info, outlet))
            yield _without_options(merged, where, whole)
        else:
            yield info


def _info_key(info: Any) -> tuple[str, str]:
    return (str(info.get("info")), str(info.get("factor"))) if isinstance(info, dict) else ("", "")


def _with_nested(
    merged: Merged, path: Path, table: Any, names: Sequence[str] = ("write", "read", "until", "after")
) -> Any:
    """An action, info or point with the driver's keys taken out of the tables in it."""
    if not isinstance(table, dict):
        return table
    whole = dict(table)
    for name in names:
        if isinstance(table.get(name), list) and table_at((*path, name, 0)) is not None:
            rows = enumerate(table[name])
            whole[name] = [_taken_out(merged, (*path, name, index), row) for index, row in rows]
        elif name in table and table_at((*path, name)) is not None:
            whole[name] = _taken_out(merged, (*path, name), table[name])
    return whole


def _taken_out(merged: Merged, path: Path, table: Any) -> Any:
    return _without_options(merged, path, table) if isinstance(table, dict) else table


def _model(merged: Merged, path: Path, table: Table) -> Table:
    """The instrument model's tables, none where there is no (known) model."""
    name = table.get("model")
    if not isinstance(name, str):
        return {}
    known = models.names(merged.models_dir)
    where = (*path, "model")
    if name not in known:
        near, allowed = nearest(name, known) or "–", listed(known)
        merged.problems.append(merged.problem(where, "config.unknown-model", got=name, nearest=near, allowed=allowed))
        return {}
    try:
        model = models.model(name, merged.models_dir)
    except BadOption as error:
        merged.problems.append(merged.problem(where, error.code, **error.params))
        return {}
    if _is_sound(model):
        return model
    merged.problems.append(merged.problem(where, "config.model-shape", model=name))
    return {}


def _is_sound(model: Table) -> bool:
    """Whether a model file has the shape of one; what its keys hold is checked with the site's."""
    points, infos, actions = model.get("points", []), model.get("infos", []), model.get("actions", {})
    states = model.get("states", [])
    return (
        isinstance(model.get("model", {}), dict)
        and isinstance(actions, dict)
        and isinstance(model.get("sampler", {}), dict)
        and isinstance(infos, list)
        and all(isinstance(info, dict) for info in infos)
        and isinstance(states, list)
        and all(isinstance(state, dict) for state in states)
        and isinstance(model.get("instrument", {}), dict)
        and isinstance(points, list)
        and all(isinstance(point, dict) and isinstance(point.get("factor"), str) for point in points)
    )


def _check_driver(merged: Merged, path: Path, table: Table, of_model: Table) -> None:
    driver = table.get("driver", of_model.get("driver"))
    if not isinstance(driver, str):
        return
    where, expected = (*path, "driver"), of_model.get("driver")
    if driver not in registry.names():
        near, allowed = nearest(driver, registry.names()) or "–", listed(registry.names())
        problem = merged.problem(where, "config.unknown-driver", got=driver, nearest=near, allowed=allowed)
        merged.problems.append(problem)
    elif expected is not None and driver != expected:
        problem = merged.problem(where, "config.model-driver", got=driver, model=table["model"], allowed=expected)
        merged.problems.append(problem)
    else:
        try:
            merged.drivers[str(path[1])] = registry.driver_class(driver)
        except BadOption as error:  # another package's, which does not work
            merged.problems.append(merged.problem(where, error.code, **error.params))


def _points(merged: Merged, path: Path, written: list[Any], of_model: list[Table], outlet: Any) -> Iterator[Any]:
    """The model's points that the file leaves alone, then the file's."""
    bases: dict[tuple[str, ...] | None, Table] = {_quantity(point): point for point in of_model}
    named = {_quantity(point) for point in written}
    plan: list[tuple[Table, int | None]] = [(point, None) for f, point in bases.items() if f not in named]
    plan += [(bases.get(_quantity(point), {}), number) for number, point in enumerate(written)]
    for index, (base, number) in enumerate(plan):
        where = (*path, "points", index)
        own = {} if number is None else written[number]
        if number is not None:
            merged.written[where] = (*path, "points", number)
        if not isinstance(own, dict):
            yield own
            continue
        merged.from_model.update((*where, key) for key in base if key not in own)
        whole = _with_nested(merged, where, _with_outlet(merged, where, base | own, outlet), SOURCES)
        yield _without_options(merged, where, whole)


def _quantity(point: Any) -> tuple[str, ...] | None:
    """What a point reads: its factor, and which quantity of it: a flow and its totaliser share the factor."""
    factor = point.get("factor") if isinstance(point, dict) else None
    if not isinstance(factor, str):
        return None
    return factor, str(point.get("quantity", "value")), str(point.get("kind", "value"))


def _with_outlet(merged: Merged, path: Path, point: Table, of_instrument: Any) -> Table:
    outlets = merged.tree.get("outlets")
    only = next(iter(outlets)) if isinstance(outlets, dict) and len(outlets) == 1 else None
    outlet = of_instrument if of_instrument is not None else only
    if "outlet" in point or outlet is None:
        return point
    merged.filled_in.add((*path, "outlet"))
    return {**point, "outlet": outlet}


def _without_options(merged: Merged, path: Path, table: Table) -> Table:
    """The table's generic keys; the rest is put aside for the driver."""
    cls = table_at(path)
    generic = keys(cls) if cls else {}
    merged.options[path] = {key: value for key, value in table.items() if key not in generic}
    return {key: value for key, value in table.items() if key in generic}
