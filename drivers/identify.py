"""Which model is this Modbus instrument? Its own identification, and the models whose registers it has.

    function 2B/0E ─▶ maker, product, version (where the instrument knows it)
    each model     ─▶ its points and states are read ─▶ refused or impossible: out; plausible: a score

Many instruments have a float at register 0: a model counts as known only where it stands alone at the top. What is
read is read; models that write before they read are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from drivers import models
from drivers.decode import plausible
from drivers.driver import Bus, InstrumentSpec, PointSpec, Reading, Request
from drivers.errors import BadAnswer, BadOption, DeviceRefused, DeviceSilent, DriverError
from drivers.modbus import InstrumentOptions, Modbus, PointOptions
from drivers.modbus_frame import Framing, FramingName
from drivers.modbus_pdu import identity_ask, identity_text
from drivers.modbus_value import TEXTS

IDENTITY = ("maker", "product", "version")
"""The texts of function 2B/0E, by their number."""
KNOWN_SCORE, KNOWN_LEAD = 4, 2
"""Less evidence, or less more than another model has, names none."""
_SILENT_MOST = 4
"""An instrument that says nothing to registers that it lacks is not asked for ever."""
_STATE = "state/"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model that the instrument may be; `values` by factor, in the model's units."""

    model: str
    score: int
    values: dict[str, float]


class _Remembering:
    """A bus that asks the same thing once."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._known: dict[bytes, bytes | DriverError] = {}
        self.silent = 0

    def ask(self, request: Request) -> bytes:
        if request.data not in self._known:
            self._known[request.data] = self._asked(request)
        known = self._known[request.data]
        if isinstance(known, DriverError):
            raise known
        return known

    def _asked(self, request: Request) -> bytes | DriverError:
        try:
            return self._bus.ask(request)
        except DeviceSilent as error:
            self.silent += 1
            return error
        except (BadAnswer, DeviceRefused) as error:
            return error


def identity(bus: Bus, address: int, framing: FramingName) -> dict[str, str]:
    """What the instrument says of itself; empty where it does not know the question. Raises PortLost."""
    found: dict[str, str] = {}
    wire = Framing(framing)
    for number, name in enumerate(IDENTITY):
        try:
            answer = bus.ask(wire.maker(identity_ask(address, number))())
        except (DeviceRefused, DeviceSilent, BadAnswer):
            break
        found[name] = identity_text(wire.pdu(answer)).partition(b"\0")[0].decode("ascii", "replace").strip()
    return found


def candidates(bus: Bus, address: int, framing: FramingName, extra_dir: Path | None = None) -> list[Candidate]:
    """Models that fit, the best first. Raises PortLost."""
    remembering = _Remembering(bus)
    found = []
    for summary in models.summaries("", extra_dir):
        if summary.driver != "modbus" or remembering.silent > _SILENT_MOST:
            continue
        model = models.model(summary.model, extra_dir)
        try:
            candidate = _judged(remembering, summary.model, model, address, framing)
        except (AttributeError, KeyError, TypeError, ValueError):
            continue  # a site's own file, wrong in a way that `config check` explains
        if candidate is not None:
            found.append(candidate)
    return sorted(found, key=lambda one: -one.score)


def known(found: list[Candidate]) -> Candidate | None:
    """The one model that has the most and enough evidence; None: it could be several, or none."""
    second = found[1].score if len(found) > 1 else 0
    if not found or found[0].score < max(KNOWN_SCORE, second + KNOWN_LEAD):
        return None
    return found[0]


def _judged(bus: Bus, name: str, model: Mapping[str, Any], address: int, framing: FramingName) -> Candidate | None:
    """A model's score; None: it cannot be this one, or it writes."""
    points, states = list(model.get("points", [])), [*model.get("states", []), *model.get("infos", [])]
    states = [state for state in states if "register" in state and state.get("type") not in TEXTS]
    try:
        specs = [PointSpec(str(index), _options(point)) for index, point in enumerate(points)]
        specs += [PointSpec(f"{_STATE}{index}", _options(state)) for index, state in enumerate(states)]
        options = replace(_instrument(model.get("instrument", {})), framing=framing)
        if not points or options.before_read or any(spec.options.with_write for spec in specs):
            return None
        readings = {one.point: one for one in Modbus(InstrumentSpec(name, address, specs, options)).read(bus)}
    except (BadOption, TypeError, DeviceRefused, DeviceSilent, BadAnswer):
        return None
    if len(readings) < len(specs):
        return None
    scores = [_point_score(point, readings[str(index)]) for index, point in enumerate(points)]
    scores += [_state_score(state, readings[f"{_STATE}{index}"]) for index, state in enumerate(states)]
    if None in scores or not any(scores):
        return None
    flows = [(index, point) for index, point in enumerate(points) if point.get("kind") != "total"]
    values = {point["factor"]: _scaled(point, readings[str(index)]) for index, point in flows}
    return Candidate(name, sum(score or 0 for score in scores), {k: v for k, v in values.items() if v is not None})


def _options(table: Mapping[str, Any]) -> PointOptions:
    names = {field.name for field in fields(PointOptions)}
    return PointOptions(**{key: _plain(value) for key, value in table.items() if key in names})


def _instrument(table: Mapping[str, Any]) -> InstrumentOptions:
    names = {field.name for field in fields(InstrumentOptions)}
    return InstrumentOptions(**{key: _plain(value) for key, value in table.items() if key in names})


def _plain(value: Any) -> Any:
    """TOML's lists are the options' tuples."""
    return tuple(_plain(one) for one in value) if isinstance(value, list) else value


def _scaled(point: Mapping[str, Any], reading: Reading) -> float | None:
    if reading.value is None:
        return None
    return reading.value * float(point.get("scale", 1.0)) + float(point.get("offset", 0.0))


def _point_score(point: Mapping[str, Any], reading: Reading) -> int | None:
    """2 for a float as an analyzer has it, 1 for another number, 0 for an empty register; None: impossible."""
    value = _scaled(point, reading)
    if reading.value is None or value is None:
        return None
    if reading.value == 0:
        return 0
    kind = point["type"]
    if not plausible(kind, reading.value):
        return None if "float" in kind else 0
    low, high = point.get("range", (value, value))
    if not low - (high - low) <= value <= high + (high - low):
        return None
    return 2 if "float" in kind else 1


def _state_score(state: Mapping[str, Any], reading: Reading) -> int | None:
    """3 for a whole code of the model's table that is not 0, 1 for a parameter; None for an impossible one."""
    table = state.get("marks") or state.get("map")
    if table is None:
        return None if reading.value is None else min(1, _point_score(state, reading) or 0)
    codes = {int(str(code), 0) for code in table if _is_number(str(code))}
    is_part = "bit" in state or "bits" in state
    return 3 if reading.value and int(reading.value) in codes and not is_part else 0


def _is_number(text: str) -> bool:
    try:
        int(text, 0)
    except ValueError:
        return False
    return True
