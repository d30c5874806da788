"""What a platform received against what the logger's store holds: each record once, with its own numbers.

The comparison knows nothing of how packets are built: a number on the wire must be the stored one, rounded to the
decimals that it is written with, and a mark must be the record's. Minutes are compared where they are sent as minutes.
Of equipment the days are compared, with the running times (2041).
A factor that is sealed later than the others comes in a packet of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from edge.bench.received import Received
from protocol.equipment import is_equipment
from protocol.packet import Packet
from protocol.times import iso_text, parse_time

KIND_OF_CN = {"2051": "minute", "2061": "hour", "2031": "day"}
RUNTIMES, RUNTIME = "2041", "runtime"
"""CN and kind of the days of equipment."""
FIELDS = {
    "Min": "min", "Avg": "avg", "Max": "max", "ZsMin": "zs_min", "ZsAvg": "zs_avg", "ZsMax": "zs_max", "Cou": "cou",
}  # fmt: skip
"""Attribute on the wire → field of a record (HJ 212-2017 Table 4)."""

Label = tuple[str, str, str]
"""Outlet, kind, start (ISO 8601)."""
_KINDS = KIND_OF_CN | {RUNTIMES: RUNTIME}


@dataclass(frozen=True, slots=True)
class Difference:
    """`what`: missing, unknown, twice, value; with the label, and the factor and both texts where there are some."""

    what: str
    label: Label
    factor: str = ""
    stored: str = ""
    received: str = ""

    def __str__(self) -> str:
        shown = " ".join(part for part in (self.factor, self.stored, self.received) if part)
        return f"{self.what}: {' '.join(self.label)} {shown}".rstrip()


def differences(
    received: Iterable[Received], records: Iterable[Mapping[str, Any]], outlets: Mapping[str, str]
) -> list[Difference]:
    """All differences. `records`: as `data export --json` gives them; `outlets`: MN → outlet."""
    stored: dict[Label, dict[str, Mapping[str, Any]]] = {}
    for record in records:
        kind = _kind(record)
        if record["revision"] == 0 and kind is not None:
            stored.setdefault((record["outlet"], kind, record["start"]), {})[record["factor"]] = record
    got: dict[Label, dict[str, str]] = {}
    found: list[Difference] = []
    for packet in (one.packet for one in received if one.packet is not None and one.packet.cn in _KINDS):
        label, content = _label(packet, outlets), _content(packet)
        before = got.setdefault(label, content)
        if _factors(before) & _factors(content) and before.items() & content.items() != content.items():
            found.append(Difference("twice", label, stored=str(before), received=str(content)))
        before.update({name: value for name, value in content.items() if name not in before})
    found += [Difference("missing", label) for label in sorted(stored.keys() - got.keys())]
    found += [Difference("unknown", label) for label in sorted(got.keys() - stored.keys())]
    for label in sorted(stored.keys() & got.keys()):
        found += _values(label, stored[label], got[label])
    return found


def _kind(record: Mapping[str, Any]) -> str | None:
    """The kind under which a record is uploaded; None: it is not."""
    if not is_equipment(record["factor"]):
        return str(record["kind"])
    return RUNTIME if record["kind"] == "day" and record["cou"] is not None else None


def _label(packet: Packet, outlets: Mapping[str, str]) -> Label:
    start = iso_text(parse_time(packet.get("DataTime") or ""))
    return outlets.get(packet.mn or "", packet.mn or ""), _KINDS[packet.cn or ""], start


def _content(packet: Packet) -> dict[str, str]:
    return {name: value for item in packet.data for name, value in item if name != "DataTime"}


def _factors(content: Mapping[str, str]) -> set[str]:
    return {name.partition("-")[0] for name in content}


def _values(label: Label, stored: Mapping[str, Mapping[str, Any]], got: Mapping[str, str]) -> list[Difference]:
    found = []
    for factor, record in stored.items():
        if label[1] == RUNTIME:
            text = got.get(f"{factor}-RT")
            if not _same(record["cou"], text):
                found.append(Difference("value", label, f"{factor}-RT", str(record["cou"]), str(text)))
            continue
        for attribute, name in FIELDS.items():
            text, value = got.get(f"{factor}-{attribute}"), record[name]
            if record["avg"] is not None and not _same(value, text):
                found.append(Difference("value", label, f"{factor}-{attribute}", str(value), str(text)))
        flag = got.get(f"{factor}-Flag")
        if flag != record["mark"]:
            found.append(Difference("value", label, f"{factor}-Flag", record["mark"], str(flag)))
    more = sorted(_factors(got) - stored.keys())
    return found + [Difference("value", label, factor, received="?") for factor in more]


def _same(value: float | None, text: str | None) -> bool:
    """Whether `text` is `value`, rounded to as many decimals as it has; rounding binary numbers may tip a half."""
    if value is None or text is None:
        return value is None and text is None
    shown = Decimal(text)
    step = Decimal(1).scaleb(min(0, int(shown.as_tuple().exponent)))
    return abs(shown - Decimal(repr(value))) <= step / 2
