"""What an MQTT broker gets: JSON, one message a record; the topics; birth and last will.

    delivery ─┬─ 2051 2061 2031 2041 ─ a message for each record  ─▶ <root>/minute/w01018
              └─ its text (2011, 2021, 2081, 3015, 3019, 3020)    ─▶ <root>/realtime
    parts of a delivery are its messages, each with an id (a QN) and a PUBACK of its own

The bytes of a message are committed before it is published and never change while its head (site, outlet, MN) holds:
there is no time in it that goes stale. Numbers of records are those of the store, unrounded; realtime ones are as
edition 2017 writes them. No value is null, with its mark. `mqtt.schema.json` describes all messages.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, cast

from edge import __version__
from edge.catalogue import text
from edge.measure.sound_levels import OF_MINUTES
from edge.measure.wire import Wire, runtime_text, wire_code
from edge.store import outbox
from edge.store.outbox import Delivery, OpenPacket
from edge.uplink.build import RUNTIMES, Builder
from edge.uplink.kinds import KIND_OF_CN
from edge.uplink.numbers import Numbers
from edge.uplink.terms import Terms
from edge.values import MINUTE_MS, Kind, Record
from protocol.equipment import is_equipment
from protocol.factors import factor
from protocol.lenient import region_of
from protocol.region import Body, Item, Region
from protocol.times import iso_text, parse_time

SCHEMA = Path(__file__).with_name("mqtt.schema.json")
VERSION = 1
"""Of the schema; keys are only added."""
FRAMES = "packet"
"""Topic of HJ 212 frames (`payload = "hj212"`)."""
_BY_FACTOR = frozenset({"minute", "hour", "day", "runtime"})
_NUMBERS = ("min", "avg", "max", "zs_min", "zs_avg", "zs_max", "cou", "count", "mark")
_FRAME = b"##"

Message = dict[str, Any]


def root(terms: Terms) -> str:
    """The topic under which all of one outlet's topics stand."""
    mqtt = terms.site.mqtt
    assert mqtt is not None  # `config.merge` gives every MQTT platform its table
    return mqtt.named(mqtt.topic, terms.platform, terms.outlet, terms.mn)


def topic(terms: Terms, payload: bytes) -> str:
    """Where a message goes: by its kind, a record also by its factor."""
    if payload.startswith(_FRAME):
        return f"{root(terms)}/{FRAMES}"
    message = json.loads(payload)
    kind = message["kind"]
    return f"{root(terms)}/{kind}/{message['factor']}" if kind in _BY_FACTOR else f"{root(terms)}/{kind}"


@dataclass(frozen=True, slots=True)
class Head:
    """What every message begins with."""

    site: str
    outlet: str
    outlet_name: str
    mn: str
    st: str

    def of(self, kind: str, **fields: Any) -> bytes:
        """A message. Raises ValueError for a number that is none."""
        return _dumps({**self._fields(), "kind": kind, **fields})

    def is_of(self, payload: bytes) -> bool:
        """Whether a message bears this head."""
        return payload.startswith(_dumps(self._fields())[:-1] + b",")

    def over(self, payload: bytes, qn: str) -> bytes:
        """The same message under this head and another id."""
        return _dumps(json.loads(payload) | self._fields() | {"id": qn})

    def status(self, *, online: bool, at_ms: int) -> bytes:
        """Birth (`online`), or last will and farewell. `at`: when this connection began, or when it was ended."""
        return self.of("status", online=online, at=iso_text(at_ms), version=__version__)

    def _fields(self) -> Message:
        return {
            "schema": VERSION,
            "site": self.site,
            "outlet": self.outlet,
            "outlet_name": self.outlet_name,
            "mn": self.mn,
            "st": self.st,
        }


def _dumps(message: Message) -> bytes:
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


class _Plain(Numbers):
    """Numbers without stand-ins: what was not converted has no converted value."""

    def _with_zs(self, wire: Wire, code: str, sentinels: tuple[str, ...], is_absent: bool) -> Wire:
        slots = [(name, what) for name, what in wire.slots if name not in sentinels]
        gone = [place for place, (name, _) in enumerate(_numeric(wire)) if name in sentinels]
        values = tuple(value for place, value in enumerate(wire.values) if place not in gone)
        return super()._with_zs(Wire(tuple(slots), values), code, (), is_absent)


def _numeric(wire: Wire) -> list[tuple[str, Any]]:
    return [(name, what) for name, what in wire.slots if not isinstance(what, str)]


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonBuilder(Builder):
    """Builds the messages of one platform and outlet."""

    repeats: ClassVar[bool] = True
    head: Head

    @property
    def numbers(self) -> Numbers:
        """As for HJ 212, without numbers that stand for none."""
        return _Plain(self.terms, self.engine, self.decimals, self.on_event)

    def holds(self, packet: OpenPacket) -> bool:
        """Whether a message bears the head that is in force; frames of data asked for are HJ 212's."""
        if packet.data.startswith(_FRAME):
            return Builder.holds(self, packet)
        return self.head.is_of(packet.data)

    def _is_fresh(self, packet: OpenPacket, fresh_from_ms: int) -> bool:
        return self.holds(packet)

    def _issue(
        self, db: sqlite3.Connection, delivery: Delivery, found: list[Record], now_ms: int
    ) -> list[tuple[str, int, int, bytes]]:
        first = outbox.first_issue(db, delivery.id)
        contents = [] if first else self._contents(db, delivery, found)
        count = len(first) or len(contents)
        qns = [outbox.qn_for(db, now_ms) for _ in range(count)]
        if first:
            payloads = [self.head.over(payload, qn) for payload, qn in zip(first, qns, strict=True)]
        else:
            kind = KIND_OF_CN[delivery.cn]
            payloads = [self.head.of(kind, id=qn, **content) for content, qn in zip(contents, qns, strict=True)]
        return [(qn, pno, count, payload) for pno, (qn, payload) in enumerate(zip(qns, payloads, strict=True), 1)]

    def _contents(self, db: sqlite3.Connection, delivery: Delivery, found: list[Record]) -> list[Message]:
        """One message for each record, or the only one of a text. Raises ValueError where there is no record."""
        if delivery.payload is not None:
            region = region_of(cast(Body, delivery.payload.decode()))
            return [_of_text(KIND_OF_CN[delivery.cn], region)]
        if not found:
            raise ValueError(f"no records of {delivery.cn} at {delivery.start}")
        if delivery.cn == RUNTIMES:
            return [_runtime(one) for one in self._ordered(found) if runtime_text(one) is not None]
        found = [one for one in found if not is_equipment(one.factor)]
        if delivery.end is None:  # a later revision is sent for the records that it changed
            changed = [one for one in self._ordered(found) if one.revision == delivery.revision]
            return [_record(one, one.kind.ms) for one in changed if OF_MINUTES not in one.factor]
        minutes = (delivery.end - delivery.start) // MINUTE_MS
        return [
            _record(replace(one, revision=delivery.revision), minutes * MINUTE_MS)
            for one in self._ordered(self._joined(db, delivery, found, minutes))
        ]

    def _joined(self, db: sqlite3.Connection, delivery: Delivery, found: list[Record], minutes: int) -> list[Record]:
        """Records of a longer interval. A mark that came later does not change the joined numbers."""
        joined = self.engine.derive(found, delivery.start, minutes)
        if not delivery.revision:
            return joined
        first = outbox.records_at(db, delivery, self.first_revision(db, delivery.cn, delivery.start))
        marks = {record.factor: record.mark for record in joined}
        return [
            replace(one, mark=marks.get(one.factor, one.mark))
            for one in self.engine.derive(first, delivery.start, minutes)
        ]


def _names(code: str, unit: bool = True) -> Message:
    row = factor(wire_code(code))
    named = {"factor": code, "name_zh": row.name_zh if row else code, "name_en": row.name_en if row else code}
    return named | ({"unit": (row.unit or None) if row else None} if unit else {})


def _period(start: int, length_ms: int) -> Message:
    return {"start": iso_text(start), "end": iso_text(start + length_ms)}


def _record(record: Record, length_ms: int) -> Message:
    row = factor(wire_code(record.factor))
    total = {"total": record.total, "total_at": iso_text(record.total_at or 0), "caught_up": record.caught_up}
    return {
        **_names(record.factor),
        "cou_unit": (row.emission_unit or None) if row else None,
        **_period(record.start, length_ms),
        "revision": record.revision,
        **{name: getattr(record, name) for name in _NUMBERS},
        **({} if record.total is None else total),
    }


def _runtime(record: Record) -> Message:
    return {
        **_names(record.factor, unit=False),
        **_period(record.start, Kind.DAY.ms),
        "revision": record.revision,
        "hours": record.cou,
        "mark": record.mark,
    }


def _of_text(kind: str, region: Region) -> Message:
    """What a text of HJ 212-2017 says, by names."""
    fields = dict(pair for item in region for pair in item)
    message: Message = {"at": _time(fields.pop("DataTime"))}
    if kind == "realtime":
        return message | {"values": [_live(item) for item in region[1:]]}
    if kind == "state":
        return message | {"states": [_state(name, value) for name, value in fields.items()]}
    if kind == "startup":
        return message | {"restarted": _time(fields["RestartTime"])}
    if kind == "sample":
        return message | {"bottle": fields["VaseNo"]}
    about = fields.pop("PolId", None)
    return message | {"about": _names(about, unit=False) if about else None, "infos": [*map(_info, fields.items())]}


def _time(digits: str) -> str:
    return iso_text(parse_time(digits))


def _live(item: Item) -> Message:
    code = item[0][0].rpartition("-")[0]
    fields = {name.rpartition("-")[2]: value for name, value in item}
    sampled = fields.get("SampleTime")
    return {
        **_names(code),
        "value": _number(fields.get("Rtd")),
        "zs": _number(fields.get("ZsRtd")),
        "mark": fields.get("Flag", "N"),
        "sampled": None if sampled is None else _time(sampled),
    }


def _number(digits: str | None) -> float | None:
    return None if digits is None else float(digits)


def _state(name: str, value: str) -> Message:
    return {**_names(name.removesuffix("-RS"), unit=False), "state": int(value)}


def _info(pair: tuple[str, str]) -> Message:
    """A state or parameter (3020), or the serial number of an instrument (3019)."""
    name, value = pair
    code, _, what = name.rpartition("-")
    if what == "SN":
        names = {"name_zh": text("edge.info-serial", "zh"), "name_en": text("edge.info-serial", "en")}
        return {"info": what, **names, "value": value}
    row = factor(code)
    names = {"name_zh": row.name_zh if row else code, "name_en": row.name_en if row else code}
    return {"info": code, **names, "value": value.removeprefix("//").removesuffix("//")}
