"""What was found, as a block of the site file: ready to be copied, and no more than what is known.

A model stands there only where the instrument can be no other; else the candidates stand as remarks, and the points
are for `hj212 line find`. What cannot be known is a remark, too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from drivers.identify import Candidate, known
from drivers.scan import Found

_DRIVERS = {"modbus": "modbus", "modbus-ascii": "modbus", "adam": "adam", "cjt188": "cjt188"}
_MODELS = {"dlt645-2007": "dlt645-2007", "dlt645-1997": "dlt645-1997", "cjt188": "cjt188-2004"}
_ADAM = "adam-4017"
_BARE = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Instrument:
    """Somebody on the line, and what is known about it."""

    found: Found
    identity: Mapping[str, str] = field(default_factory=dict)
    candidates: Sequence[Candidate] = ()
    prefix: str = ""
    """Before its name, where the site has another instrument that is called so."""

    @property
    def name(self) -> str:
        """For the site file."""
        return f"{self.prefix}{self.found.protocol.split('-')[0]}-{self.found.address}"

    @property
    def model(self) -> str | None:
        """The model that it can only be."""
        best = known(list(self.candidates))
        return _MODELS.get(self.found.protocol, best.model if best else None)


def line_block(line: str, port: str, baud: int, line_format: str) -> str:
    """`[lines.NAME]`."""
    return f"[lines.{_key(line)}]\nport = {_text(port)}\nbaud = {baud}\nformat = {_text(line_format)}\n"


def instrument_block(one: Instrument, line: str, outlet: str) -> str:
    """`[instruments.NAME]` with what is known."""
    found = one.found
    driver = _DRIVERS.get(found.protocol, "dlt645")
    address = found.address if isinstance(found.address, int) else _text(found.address)
    rows = [*_remarks(one), f"[instruments.{_key(one.name)}]", f"line = {_text(line)}", f"driver = {_text(driver)}"]
    if one.model is not None:
        rows.append(f"model = {_text(one.model)}")
    rows += [f"address = {address}", f"outlet = {_text(outlet)}"]
    rows += {
        "modbus-ascii": ['framing = "ascii"'],
        "cjt188": [f"di = {_text(found.said)}"] if found.said else [],
        "dlt645-1997": ['edition = "1997"'],
    }.get(found.protocol, [])
    return "\n".join(rows) + "\n"


def _remarks(one: Instrument) -> Iterable[str]:
    said = one.found.said if one.found.protocol == "adam" else " ".join(one.identity.values())
    if said:
        yield f"# {said}"
    if one.found.protocol == "adam":
        yield f'# model = "{_ADAM}", points: channel = 0 …, current = [low, high]'
    if one.model is None and one.candidates:
        yield "# model = " + " | ".join(_text(candidate.model) for candidate in one.candidates[:6])
    best = next((each for each in one.candidates if each.model == one.model), None)
    if best is not None:
        shown = ", ".join(f"{factor} {value:.6g}" for factor, value in best.values.items())
        yield f"# {shown}"


@dataclass(frozen=True, slots=True)
class PointPlace:
    """Where a value was found; `factor` None: not said."""

    function: int
    register: int
    type: str
    order: str
    scale: float = 1.0
    offset: float = 0.0
    unit: str | None = None
    words: int | None = None
    current: tuple[float, float] | None = None
    """raw × scale + offset is a current in mA, of this range."""


def point_block(instrument: str, place: PointPlace, factor: str | None, outlet: str | None) -> str:
    """`[[instruments.NAME.points]]`; a factor that was not said has to be filled in."""
    rows: dict[str, Any] = {"factor": factor or "?"}
    rows |= {"outlet": outlet} if outlet else {}
    rows |= {"function": place.function, "register": place.register, "type": place.type}
    rows |= {} if place.type in ("int16", "uint16") and place.order == "ABCD" else {"order": place.order}
    rows |= {"words": place.words} if place.words is not None else {}
    rows |= {"scale": place.scale} if place.scale != 1.0 else {}
    rows |= {"offset": place.offset} if place.offset else {}
    rows |= {"current": list(place.current)} if place.current else {}
    rows |= {"unit": place.unit} if place.unit else {}
    lines = [f"{key} = {_text(value) if isinstance(value, str) else value}" for key, value in rows.items()]
    return "\n".join([f"[[instruments.{_key(instrument)}.points]]", *lines]) + "\n"


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _text(name)


def _text(value: object) -> str:
    return json.dumps(str(value), ensure_ascii=False)
