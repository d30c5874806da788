"""One point, or raw registers, read now: by the daemon as a job between the polls, or by the command line itself.

    point ─▶ a driver of that point alone, with the states that mark it ─▶ job ─▶ raw bytes, number, value, mark

Value and mark come out of the same arithmetic as the daemon's samples (`edge.acquire`), and are kept nowhere.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from config.site import General, Instrument, Point, Site
from drivers.driver import Bus, Reading
from drivers.errors import DriverError
from drivers.line import LineWorker, PollResult
from drivers.registry import driver_class
from edge.acquire import Acquirer, instrument_spec, unit_of
from edge.control.server import Denied, Verb, Who
from edge.values import Sample
from protocol.times import iso_text

MAX_COUNT = 125


@dataclass(frozen=True, slots=True)
class Taken:
    """What a job brought: readings or registers, and how long it had the line (seconds)."""

    readings: tuple[Reading, ...]
    took_s: float


Job = Callable[[Bus], Taken]


def chosen(name: str, instrument: Instrument, factor: str | None) -> list[Point]:
    """The points of a factor, by its code or the name of its samples; without one all. Raises Denied."""
    if not instrument.points:
        raise Denied("tools.no-points", instrument=name)
    found = [point for point in instrument.points if factor in (None, point.factor, point.channel)]
    if not found:
        known = ", ".join(point.channel for point in instrument.points)
        raise Denied("tools.no-point", factor=factor or "–", known=known)
    return found


def point_job(name: str, instrument: Instrument, point: Point) -> Job:
    """Reads one point, and the states that its mark comes from."""
    driver = driver_class(instrument.driver)(instrument_spec(name, replace(instrument, points=(point,))))

    def read(bus: Bus) -> Taken:
        began = time.monotonic()
        readings = driver.read(bus)
        return Taken(tuple(readings), time.monotonic() - began)

    return read


def registers_job(instrument: Instrument, function: int, register: int, count: int) -> Job:
    """Reads registers (functions 3, 4) or bits (1, 2) of a Modbus instrument. Raises Denied."""
    from drivers.modbus_frame import Framing
    from drivers.modbus_pdu import read_ask

    if instrument.driver != "modbus" or not isinstance(instrument.address, int):
        raise Denied("tools.not-modbus", driver=instrument.driver)
    if function not in (1, 2, 3, 4) or not 1 <= count <= MAX_COUNT or not 0 <= register <= 65536 - count:
        raise Denied("tools.registers", function=function, register=register, count=count)
    framing = Framing(instrument.options.framing if instrument.options else "rtu")
    make = framing.maker(read_ask(instrument.address, function, register, count))

    def read(bus: Bus) -> Taken:
        began = time.monotonic()
        data = framing.pdu(bus.ask(make()))[2:]
        return Taken((Reading(str(register), None, data),), time.monotonic() - began)

    return read


def point_row(name: str, instrument: Instrument, point: Point, outcome: Taken | DriverError) -> dict[str, Any]:
    """A point as it was read (keys: docs/json.md)."""
    readings = outcome.readings if isinstance(outcome, Taken) else ()
    key = f"{point.outlet}/{point.channel}"
    own = next((one for one in readings if one.point == key), None)
    samples = []
    if readings:
        alone = Site(site=General(name=name), instruments={name: replace(instrument, points=(point,))})
        samples = Acquirer(alone).accept(PollResult(name, 0, readings, None, 0.0))
    sample = samples[0] if samples else None
    return {
        "instrument": name,
        "outlet": point.outlet,
        "factor": point.channel,
        "raw": own.raw.hex(" ") if own else None,
        "number": own.value if own else None,
        "value": sample.value if sample else None,
        "unit": unit_of(point) or None,
        "mark": sample.mark if sample else None,
        "round_trip_s": outcome.took_s if isinstance(outcome, Taken) else None,
        "error": _error(outcome) or _lacking(point, own, sample),
    }


def registers_row(name: str, outcome: Taken | DriverError) -> dict[str, Any]:
    """Registers as they were read (keys: docs/json.md)."""
    taken = outcome if isinstance(outcome, Taken) else None
    return {
        "instrument": name,
        "raw": taken.readings[0].raw.hex(" ") if taken else None,
        "round_trip_s": taken.took_s if taken else None,
        "error": _error(outcome),
    }


def _error(outcome: Taken | DriverError) -> dict[str, Any] | None:
    return {"code": outcome.code, "params": outcome.params} if isinstance(outcome, DriverError) else None


def _lacking(point: Point, own: Reading | None, sample: Sample | None) -> dict[str, Any] | None:
    """Why an answer gives no value; a batch analyzer's needs to be seen more often than once."""
    if own is not None and own.error is not None:
        return {"code": own.error, "params": {}}
    is_believed = sample is not None or point.batch is not None
    return None if is_believed else {"code": "tools.part-unread", "params": {"factor": point.channel}}


class Reads:
    """What the daemon reads for a tool, on the lines at work.

    Only for who may change: it changes nothing, but takes time of the line.
    """

    def __init__(
        self,
        site: Site,
        lines: Mapping[str, LineWorker],
        last_errors: Callable[[], Mapping[str, tuple[int, DriverError]]],
    ) -> None:
        self._site = site
        self._lines = lines
        self._last_errors = last_errors

    def verbs(self) -> dict[str, Verb]:
        """What the control socket answers."""
        return {
            "instrument-list": Verb(self._list),
            "instrument-read": Verb(self._read, changes=True),
            "instrument-registers": Verb(self._registers, changes=True),
        }

    async def _list(self, _args: dict[str, Any], _who: Who) -> list[dict[str, Any]]:
        states = {name: worker.counters() for name, worker in self._lines.items()}
        found = []
        for name, one in self._site.instruments.items():
            state, error = states.get(one.line), self._last_errors().get(name)
            counters = state.instruments.get(name) if state else None
            last = {"code": error[1].code, "params": error[1].params, "time": iso_text(error[0])} if error else None
            port = {"port_open": state.open, "held": state.held} if state else {"port_open": False, "held": False}
            known = {"counters": asdict(counters) if counters else None, "last_error": last}
            found.append(listed(name, one) | port | known)
        return found

    async def _read(self, args: dict[str, Any], _who: Who) -> list[dict[str, Any]]:
        """Point after point, each a job of its own: polls come in between."""
        name, instrument = self._instrument(args)
        rows = []
        for point in chosen(name, instrument, args.get("factor")):
            outcome = await self._outcome(name, instrument, point_job(name, instrument, point))
            rows.append(point_row(name, instrument, point, outcome))
        return rows

    async def _registers(self, args: dict[str, Any], _who: Who) -> dict[str, Any]:
        name, instrument = self._instrument(args)
        job = registers_job(instrument, int(args["function"]), int(args["register"]), int(args["count"]))
        return registers_row(name, await self._outcome(name, instrument, job))

    def _instrument(self, args: dict[str, Any]) -> tuple[str, Instrument]:
        return named(self._site, str(args["instrument"]))

    async def _outcome(self, name: str, instrument: Instrument, job: Job) -> Taken | DriverError:
        try:
            return await asyncio.wrap_future(self._lines[instrument.line].submit(name, job))
        except DriverError as error:
            return error


def named(site: Site, name: str) -> tuple[str, Instrument]:
    """An instrument by its name. Raises Denied."""
    if name not in site.instruments:
        raise Denied("tools.no-instrument", instrument=name, known=", ".join(site.instruments) or "–")
    return name, site.instruments[name]


def listed(name: str, one: Instrument) -> dict[str, Any]:
    """An instrument as the site file has it (keys: docs/json.md)."""
    return {
        "instrument": name,
        "line": one.line,
        "driver": one.driver,
        "model": one.model,
        "address": one.address,
        "every_s": one.every / 1000,
        "factors": [point.channel for point in one.points],
    }
