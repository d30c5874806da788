"""The journal as logs of CN 3020: which entries concern a platform, how they read, what is uploaded by itself.

    journal entry ─▶ concerns? ─▶ //who action name:value …//      i21001, and i11001 with PolId where it was done at
                                                                   an instrument (HJ 212-2017 Table B.10, C.40, C.41)

A platform is told what it did itself, what was done at the outlet's instruments and to the logger's clock, whoever did
it, and what the logger and its technicians did; never what another platform set for itself. Passwords are `***` in the
journal already.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from edge.clock import plausible
from edge.store import journal, logs
from edge.store.delivery import Due
from edge.store.journal import Entry
from edge.uplink.terms import Terms
from protocol.controls import LOG_BYTES, Information, log_text
from protocol.errors import CannotEncode
from protocol.region import Body, write
from protocol.times import time_text

LOGGER_LOG, INSTRUMENT_LOG = "i21001", "i11001"
_FOR_ALL = ("instrument.", "clock.")
_AT_INSTRUMENT = "instrument."
_TIMES = frozenset({"begin", "end", "from", "to", "at"})
"""Names under which an entry has a time, besides `…_ms`; told as YYYYMMDDhhmmss."""
_SEPARATORS = {ord(char): " " for char in ";,="}
BURST = 20
"""Logs that may be uploaded at once."""
EACH_S = 6.0
"""After a burst, one log in so many seconds: a flood of entries becomes few packets."""
PAGE = 50
"""Entries that are looked at in one transaction."""


def concerns(entry: Entry, platform: str, outlet: str) -> bool:
    """Whether a platform may be told of an entry."""
    if entry.detail.get("outlet") not in (None, outlet):
        return False
    return entry.action.startswith(_FOR_ALL) or entry.detail.get("platform") in (None, platform)


def at_instrument(entry: Entry, outlet: str, pol_id: str | None) -> bool:
    """Whether an entry is about the instrument of a pollutant; None: about any of the outlet's."""
    wanted = {"outlet": outlet} | ({"pol_id": pol_id} if pol_id is not None else {})
    return entry.action.startswith(_AT_INSTRUMENT) and wanted.items() <= entry.detail.items()


def body(terms: Terms, info_id: str, entry: Entry, pol_id: str | None = None) -> Body:
    """A log that fits one packet, with the entry's time."""
    text = log_text(_told(entry), _room(terms, info_id, pol_id))
    return write(Information(entry.at_ms, ((info_id, text),), pol_id).region())


def _told(entry: Entry) -> str:
    """An entry as one line; the separators of HJ 212 become blanks."""
    return f"{entry.who} {entry.action} {_listed(entry.detail)}".translate(_SEPARATORS)


def _listed(detail: Mapping[str, Any]) -> str:
    """`name:value name:{name:value …}`; what has no value is left out."""
    there = {name: value for name, value in detail.items() if value is not None and value not in ({}, [], ())}
    return " ".join(f"{name}:{_said(name, value)}" for name, value in there.items())


def _said(name: str, value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{{{_listed(value)}}}"
    if isinstance(value, list | tuple):
        return f"[{' '.join(_said(name, each) for each in value)}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    is_time = isinstance(value, int) and (name in _TIMES or name.endswith("_ms")) and plausible(value)
    return time_text(value) if is_time else str(value)


def _room(terms: Terms, info_id: str, pol_id: str | None) -> int:
    """Bytes that a log's text may have: 890 at most (Table B.10), and what is left of a packet."""
    head = f"QN=20160801085857223;ST={terms.st};CN=3020;PW={terms.password};MN={terms.mn};Flag=5;"
    rest = write(Information(0, ((info_id, "-"),), pol_id).region())
    field = min(terms.limits.cp, terms.limits.segment - len(head)) - len("CP=&&&&")
    return min(LOG_BYTES, field - len(rest) + len("-"))


@dataclass(slots=True)
class Allowance:
    """How many logs may be uploaded now: BURST at once, then one every EACH_S."""

    left: float = BURST
    at_s: float = 0.0

    def now(self, now_s: float) -> int:
        """Whole packets."""
        self.left = min(float(BURST), self.left + max(0.0, now_s - self.at_s) / EACH_S)
        self.at_s = now_s
        return int(self.left)


@dataclass(slots=True)
class Taken:
    """What one look at the journal brought: deliveries, and entries that were passed over."""

    ids: list[int] = field(default_factory=list)
    passed: int = 0


def upload(db: sqlite3.Connection, terms: Terms, allowed: int, now_ms: int) -> Taken:
    """Take new entries into the outbox, as many as are allowed and have room there."""
    key = terms.platform, terms.outlet
    last, passed = logs.position(db, *key)
    taken = Taken(passed=passed)
    left = 0 if journal.last_id(db) == last else min(allowed, logs.room(db, *key))
    if left <= 0:
        return taken
    dues: list[Due] = []
    for entry in journal.entries(db, PAGE, last):
        found = _dues(terms, entry)
        if dues and len(dues) + len(found) > left:
            break
        last, dues = entry.id, dues + found
    taken.ids = logs.take(db, *key, last, dues, now_ms)
    return taken


def _dues(terms: Terms, entry: Entry) -> list[Due]:
    """None for an entry of a time when the clock was wrong, and for a factor that no packet can name."""
    if not concerns(entry, terms.platform, terms.outlet) or not plausible(entry.at_ms):
        return []
    named: list[tuple[str, str | None]] = [(LOGGER_LOG, None)]
    pol_id = entry.detail.get("pol_id")
    if pol_id and at_instrument(entry, terms.outlet, pol_id):
        named.append((INSTRUMENT_LOG, pol_id))
    dues = []
    for info_id, factor in named:
        with suppress(CannotEncode):
            payload = body(terms, info_id, entry, factor).encode()
            dues.append(Due(terms.platform, terms.outlet, "3020", entry.at_ms // 1000 * 1000, payload=payload))
    return dues
