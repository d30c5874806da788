"""Filed parameters (参数备案) in the running logger: what is filed, what is there, and who is told of a difference.

    site file, store ─ what is filed ─╮
    InstrumentWatch ─ what is read ───┼─▶ Comparison ─▶ event, journal, 3020 of the parameter; `status` until it agrees
    `[outlets.NAME.gas]` ─ constants ─╯

A difference is never taken over by itself: it ends when the value is right again, or when a person files another one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from config import filed as site_file
from config.controls import Info
from config.problem import listed, nearest
from config.site import GasRules, Instrument, Site
from edge.catalogue import text
from edge.clock import Clock, plausible
from edge.control.server import Denied
from edge.store import filed as store_filed
from edge.store.infos import Note
from edge.store.store import Store
from edge.values import DAY_MS, Change, InfoKey, Known, period_start
from edge.watch.changes import Changes
from edge.watch.filed import Comparison, Filed, State, Telling, in_force
from protocol.factors import factor as table_row
from protocol.times import iso_text, parse_time

TOLD = "filed "
"""Before the InfoId: the key under which the store has what was told of a filed parameter."""
_LONGEST = 200


def key_of(instrument: str, info: Info) -> InfoKey:
    """The key of a parameter that is read from an instrument."""
    return InfoKey(instrument, info.outlet, info.factor or "", info.info)


@dataclass(frozen=True, slots=True)
class Finding:
    """What is to be told of a parameter, and the change under which the store keeps that it was."""

    key: InfoKey
    filed: Filed
    telling: Telling
    change: Change

    @property
    def code(self) -> str:
        """The event."""
        return f"edge.filed-{'differs' if self.telling.state.differs else 'agrees'}"

    def params(self) -> dict[str, Any]:
        """Of the event; `count`: changes that were not told."""
        key = self.key
        return {
            "part": f"{key.owner or key.outlet} {key.info}" + (f" {key.factor}" if key.factor else ""),
            "instrument": key.owner or None,
            "outlet": self.key.outlet,
            "info": self.key.info,
            "value": self.telling.state.value,
            "filed": self.filed.value,
            "unit": self.filed.unit or "",
            "filed_no": self.filed.filed_no or "",
            "count": self.telling.untold or "",
        }

    def note(self, who: str, pol_id: str | None) -> Note:
        """Its entry in the journal, which is also a log of 3020."""
        word = "differs" if self.telling.state.differs else "agrees"
        before = self.telling.before.value if self.telling.before else None
        detail = self.params() | {"pol_id": pol_id, "before": before, "tolerance": self.filed.tolerance}
        place = "instrument" if self.key.owner else "outlet"
        told = {name: None if each == "" else each for name, each in detail.items() if name != "part"}
        return Note(who, f"{place}.filed-{word}", told)


class Filings:
    """All filed parameters of the site."""

    def __init__(self, site: Site, store: Store, clock: Clock, changes: Changes) -> None:
        self._site = site
        self._store = store
        self._clock = clock
        self._changes = changes
        self.look_at: Callable[[InfoKey], None] = lambda _key: None
        """Told of a parameter that was filed anew: it is to be read now."""
        self._filed: dict[InfoKey, list[Filed]] = {}
        self._compared: dict[InfoKey, Comparison] = {}
        self._renewed: set[InfoKey] = set()
        for name, instrument in site.instruments.items():
            for one in instrument.filed:
                self._add(_info_key(name, instrument, one), _from_site(one))
        for name, outlet in site.outlets.items():
            for one in outlet.filed:
                self._add(InfoKey("", name, "", one.parameter), _from_site(one))

    async def load(self) -> None:
        """What was filed from the command line; what the site has no longer is left out."""
        for key, filed in await self._store.do(store_filed.entries):
            if self._exists(key):
                self._add(key, filed)

    def _add(self, key: InfoKey, filed: Filed) -> None:
        self._filed.setdefault(key, []).append(filed)

    def _exists(self, key: InfoKey) -> bool:
        if not key.owner:
            return key.outlet in self._site.outlets and key.info in site_file.CONSTANTS
        instrument = self._site.instruments.get(key.owner)
        return instrument is not None and any(key_of(key.owner, info) == key for info in instrument.infos)

    # comparing

    def __contains__(self, key: InfoKey) -> bool:
        return in_force(self._filed.get(key, ()), self._clock.wall_ms()) is not None

    def see(self, key: InfoKey, value: str, *, at_once: bool = False) -> Finding | None:
        """A filed parameter has this value now; `at_once`: a platform has just set it."""
        now_ms = self._clock.wall_ms()
        filed = in_force(self._filed.get(key, ()), now_ms)
        if filed is None:
            return None
        compared = self._compared.get(key)
        if compared is None:
            compared = self._compared[key] = Comparison(self._told(key))
        is_renewed = key in self._renewed
        self._renewed.discard(key)
        state = State(not filed.agrees(value), value)
        telling = compared.see(state, now_ms, self._clock.mono_s(), at_once=at_once or is_renewed)
        if telling is None:
            return None
        before = telling.before.text() if telling.before else None
        told_key = key._replace(info=TOLD + key.info)
        return Finding(key, filed, telling, Change(told_key, before, state.text(), now_ms))

    def _told(self, key: InfoKey) -> Known | None:
        """What was told last; of a parameter that was not filed yet, its last value."""
        told, known = self._changes.value(key._replace(info=TOLD + key.info)), self._changes.value(key)
        if told is None and known is not None:
            return replace(known, value=State(differs=False, value=known.value).text())
        return told

    def constants(self) -> Iterator[tuple[InfoKey, str]]:
        """The site file's own constants that are filed, with their values."""
        for key in self._filed:
            if not key.owner:
                yield key, constant_text(self._site.outlets[key.outlet].gas, key.info)

    # status and orders

    def rows(self, errors: Mapping[InfoKey, str]) -> list[dict[str, Any]]:
        """Every filed parameter as plain data (docs/json.md); `errors`: why one could not be read."""
        now_ms = self._clock.wall_ms()
        pairs = ((key, in_force(filings, now_ms)) for key, filings in self._filed.items())
        return [self._row(key, filed, errors.get(key)) for key, filed in pairs if filed is not None]

    def _row(self, key: InfoKey, filed: Filed, error: str | None) -> dict[str, Any]:
        compared, row = self._compared.get(key), table_row(key.info)
        now = compared.now if compared else None
        return {
            "owner": owner_of(key),
            "outlet": key.outlet,
            "factor": key.factor or None,
            "parameter": key.info,
            "name_zh": row.name_zh if row else _constant_name(key, "zh"),
            "name_en": row.name_en if row else _constant_name(key, "en"),
            "filed": filed.value,
            "tolerance": filed.tolerance,
            "unit": filed.unit,
            "filed_on": iso_text(filed.since_ms)[:10] if filed.since_ms else None,
            "filed_no": filed.filed_no,
            "filed_by": filed.filed_by,
            "now": now.value if now else None,
            "differs": now.differs if now else None,
            "since": iso_text(compared.since_ms) if compared and compared.since_ms is not None else None,
            "untold": compared.untold if compared else 0,
            "error": error,
        }

    def warnings(self) -> Iterator[dict[str, Any]]:
        """One for each parameter that differs now."""
        for row in self.rows({}):
            if row["differs"]:
                params = {name: row[name] for name in ("owner", "parameter", "now", "filed", "since")}
                yield {"code": "edge.warn-filed", "params": {**params, "unit": row["unit"] or ""}}

    async def file(self, args: Mapping[str, Any], user: str) -> dict[str, Any]:
        """File a value: owner, parameter, value, factor, tolerance, unit, on (UTC ms), no, by, why. Raises Denied."""
        now_ms = self._clock.wall_ms()
        if not plausible(now_ms):
            raise Denied("marks.no-clock", now=iso_text(now_ms))
        key = self._named(str(args["owner"]), str(args["parameter"]), args.get("factor"))
        before = in_force(self._filed.get(key, ()), now_ms)
        if not str(args.get("no") or "").strip() or not str(args.get("why") or "").strip():
            raise Denied("edge.filed-reason")
        compared = self._compared.get(key)
        known = [before.value if before else "", compared.now.value if compared and compared.now else ""]
        is_number = not key.owner or any(map(_is_number, known))
        if is_number and not _is_number(args["value"]):
            raise Denied("edge.filed-number", owner=owner_of(key), parameter=key.info, got=str(args["value"]))
        filed = Filed(
            value=_short(args["value"]) or "",
            tolerance=float(args["tolerance"]) if "tolerance" in args else before.tolerance if before else 0.0,
            unit=_short(args.get("unit")) or (before.unit if before else None),
            since_ms=int(args.get("on") or period_start(now_ms, DAY_MS)),
            filed_no=_short(args["no"]),
            filed_by=_short(args.get("by")) or user,
            at_ms=now_ms,
        )
        await self._store.do(store_filed.add, key, filed, f"user:{user}", str(args["why"])[:_LONGEST], before)
        self._add(key, filed)
        self._renewed.add(key)
        self.look_at(key)
        return self._row(key, filed, None)

    def _named(self, owner: str, parameter: str, factor: str | None) -> InfoKey:
        """The parameter that a person means."""
        if owner in self._site.instruments and parameter not in site_file.CONSTANTS:
            infos = self._site.instruments[owner].infos
            found = [key_of(owner, one) for one in infos if one.info == parameter and factor in (None, one.factor)]
            if len(found) == 1:
                return found[0]
            known = [one.info for one in infos]
            code = "edge.filed-which" if found else "edge.filed-unknown"
            near = nearest(parameter, known) or "–"
            raise Denied(code, owner=owner, got=parameter, nearest=near, known=listed(dict.fromkeys(known)) or "–")
        if owner in self._site.outlets and parameter in site_file.CONSTANTS:
            return InfoKey("", owner, "", parameter)
        names = [*self._site.instruments, *self._site.outlets]
        if owner not in names:
            raise Denied("edge.filed-owner", got=owner, nearest=nearest(owner, names) or "–", known=listed(names))
        known = list(site_file.CONSTANTS)
        near = nearest(parameter, known) or "–"
        raise Denied("edge.filed-unknown", owner=owner, got=parameter, nearest=near, known=listed(known))


def owner_of(key: InfoKey) -> str:
    """The instrument, or the outlet of a constant."""
    return key.owner or key.outlet


def _is_number(value: Any) -> bool:
    try:
        return math.isfinite(float(value))
    except ValueError:
        return False


def constant_text(rules: GasRules, name: str) -> str:
    """A constant as the site file has it; `-` where it has none."""
    value = getattr(rules, name)
    return "-" if value is None else f"{value:.10g}"


def _constant_name(key: InfoKey, lang: str) -> str:
    """Of an unknown InfoId itself."""
    return key.info if key.owner else text(f"edge.constant-{key.info}", lang)


def _info_key(name: str, instrument: Instrument, one: site_file.Filed) -> InfoKey:
    """The site file was checked: exactly one info is meant."""
    meant = (info for info in instrument.infos if info.info == one.parameter and one.factor in (None, info.factor))
    return key_of(name, next(meant))


def _from_site(one: site_file.Filed) -> Filed:
    since_ms = parse_time(one.filed_on.replace("-", "") + "000000") if one.filed_on else 0
    value = one.value if isinstance(one.value, str) else f"{one.value:.10g}"
    return Filed(value, one.tolerance, one.unit, since_ms, one.filed_no, one.filed_by)


def _short(value: Any) -> str | None:
    """A text of a person, on one line."""
    line = " ".join(str(value).split()) if value is not None else ""
    return line[:_LONGEST] or None
