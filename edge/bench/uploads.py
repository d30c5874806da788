"""The form of uploads: items, their fields and order, numbers (HJ 212-2017 §6.3.3, Table 4, C.14–C.28).

    DataTime=…;w01018-Cou=…,w01018-Min=…,w01018-Avg=…,w01018-Max=…,w01018-Flag=N;w01001-Min=…
    └ first ──┘└ one factor an item, its attributes in the order of Annex C ────┘

Platforms accept most of these deviations; a technician wants to know of them before a strict one comes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from edge.bench.received import Finding
from protocol.packet import Packet
from protocol.region import Item

_REALTIME = ("SampleTime", "Rtd", "ZsRtd", "Flag", "EFlag")
_STATISTICS = ("Cou", "Min", "Avg", "Max", "ZsMin", "ZsAvg", "ZsMax", "Data", "DayData", "NightData", "Flag")
ORDER: Mapping[str, tuple[str, ...]] = {
    "2011": _REALTIME,
    "2051": _STATISTICS,
    "2061": _STATISTICS,
    "2031": _STATISTICS,
    "2021": ("RS",),
    "2041": ("RT",),
}
"""Attributes of an item by CN, as Annex C orders them."""
_VALUES = {
    "2011": frozenset({"Rtd"}),
    "2021": frozenset({"RS"}),
    "2041": frozenset({"RT"}),
}
"""One of these an item must have; statistics a mean, a noise value, or at least a volume."""
_STATISTIC_VALUES = frozenset({"Avg", "Data", "DayData", "NightData", "Cou"})
_EQUIPMENT = {
    "RS": ("0 … 9", re.compile("[0-9]")),
    "RT": ("0.00 … 24.00", re.compile(r"(?:1?[0-9]|2[0-3])(?:\.[0-9]{1,2})?|24(?:\.00?)?")),
}
"""What a state (N1) and the running hours of a day (N2.2) may be, in words and as a form."""
_NO_NUMBER = frozenset({"SampleTime", "Flag", "EFlag"})
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?", re.ASCII)


def form(packet: Packet) -> Iterator[Finding]:
    """Deviations of an upload from the form that Annex C shows; nothing for other packets."""
    order = ORDER.get(packet.cn)
    if order is None or not packet.data:
        return
    label, *items = packet.data
    if label[0][0] != "DataTime":
        if packet.get("DataTime") is not None:  # none at all is a grave finding of its own
            yield Finding("bench.form.data_time_first", grave=False)
        items = [item for item in packet.data if item[0][0] != "DataTime"]
    elif len(label) > 1:
        yield Finding("bench.form.item", {"field": label[1][0]}, grave=False)
    for item in items:
        yield from _item(packet.cn, item, order)


def _item(cn: str, item: Item, order: tuple[str, ...]) -> Iterator[Finding]:
    code = item[0][0].rpartition("-")[0]
    if not code:  # some platforms want such fields, a position for example
        yield Finding("bench.form.extra", {"field": item[0][0]}, grave=False)
        return
    attributes = []
    for name, value in item:
        owner, _, attribute = name.rpartition("-")
        if owner != code:
            yield Finding("bench.form.item", {"field": name}, grave=False)
            return
        attributes.append(attribute)
        words, pattern = _EQUIPMENT.get(attribute, ("", None))
        if pattern is not None and not pattern.fullmatch(value):
            shown = {"field": name, "came": value or "-", "expected": words}
            yield Finding("bench.form.equipment", shown, grave=False)
        elif attribute not in _NO_NUMBER and attribute in order and not _NUMBER.fullmatch(value):
            yield Finding("bench.form.number", {"field": name, "came": value or "-"}, grave=False)
    unknown = [attribute for attribute in attributes if attribute not in order]
    places = [order.index(attribute) for attribute in attributes if attribute in order]
    if unknown:
        yield Finding("bench.form.attribute", {"field": f"{code}-{unknown[0]}", "cn": cn}, grave=False)
    if places != sorted(places):
        shown = {"field": code, "came": ",".join(attributes), "expected": ",".join(order)}
        yield Finding("bench.form.order", shown, grave=False)
    if not _VALUES.get(cn, _STATISTIC_VALUES) & set(attributes):
        yield Finding("bench.form.no_value", {"field": code}, grave=False)
