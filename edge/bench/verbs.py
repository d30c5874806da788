"""The words of the prompt that are commands of the standard: name, CN, the fields of its arguments (Table 9).

    set-timeout 5 3   ──▶   CN 1000   OverTime=5;ReCount=3
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge.bench.errors import BadLine
from protocol.region import Item, Region
from protocol.times import time_text


@dataclass(frozen=True, slots=True)
class Verb:
    """One word of the prompt."""

    name: str
    cn: str
    fields: tuple[str, ...] = ()


VERBS = {
    verb.name: verb
    for verb in (
        Verb("get-time", "1011"),
        Verb("set-time", "1012", ("SystemTime",)),
        Verb("get-realtime-interval", "1061"),
        Verb("set-realtime-interval", "1062", ("RtdInterval",)),
        Verb("get-minute-interval", "1063"),
        Verb("set-minute-interval", "1064", ("MinInterval",)),
        Verb("set-timeout", "1000", ("OverTime", "ReCount")),
        Verb("set-password", "1072", ("NewPW",)),
        Verb("start-realtime", "2011"),
        Verb("stop-realtime", "2012"),
        Verb("start-state", "2021"),
        Verb("stop-state", "2022"),
        Verb("get-minutes", "2051", ("BeginTime", "EndTime")),
        Verb("get-hours", "2061", ("BeginTime", "EndTime")),
        Verb("get-days", "2031", ("BeginTime", "EndTime")),
        Verb("get-runtimes", "2041", ("BeginTime", "EndTime")),
    )
}


def region(verb: Verb, arguments: Sequence[str], now_ms: int) -> Region:
    """The data region of a command; `set-time` alone takes the platform's time. Raises BadLine."""
    if verb.fields == ("SystemTime",) and not arguments:
        arguments = (time_text(now_ms),)
    if len(arguments) != len(verb.fields):
        raise BadLine("bench.line.arguments", verb=verb.name, fields=" ".join(verb.fields) or "-")
    return tuple((pair,) for pair in zip(verb.fields, arguments, strict=True))


def raw_region(text: str) -> Region:
    """The data region written as on the wire: `;` between items, `,` within one. Raises BadLine."""
    return tuple(_item(item) for item in text.split(";") if item)


def _item(text: str) -> Item:
    pairs = []
    for pair in text.split(","):
        name, equals, value = pair.partition("=")
        if not (name and equals):
            raise BadLine("bench.line.field", came=pair)
        pairs.append((name.strip(), value.strip()))
    return tuple(pairs)
