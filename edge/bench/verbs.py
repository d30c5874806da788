"""The words of the prompt that are commands of the standard: name, CN, the fields of its arguments (Table 9).

    set-timeout 5 3                   ──▶   CN 1000   OverTime=5;ReCount=3
    get-time w01018                   ──▶   CN 1011   PolId=w01018          without a factor: the logger's clock
    set-parameter i13004 168 w01018   ──▶   CN 3021   PolId=w01018;InfoId=i13004;i13004-Info=168
    get-hours 2016080108 2016080110   ──▶   CN 2061   times are filled up with zeros

An argument may also be written FIELD=VALUE, in any place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge.bench.errors import BadLine
from protocol.region import Item, Region
from protocol.times import time_text


@dataclass(frozen=True, slots=True)
class Verb:
    """One word of the prompt; `pol_id`: a factor may follow its arguments, which stands first in the packet."""

    name: str
    cn: str
    fields: tuple[str, ...] = ()
    pol_id: bool = False

    @property
    def arguments(self) -> str:
        """The arguments as `help` shows them."""
        return " ".join((*self.fields, *(("[PolId]",) if self.pol_id else ())))


_PERIOD = ("BeginTime", "EndTime")
VERBS = {
    verb.name: verb
    for verb in (
        Verb("get-time", "1011", pol_id=True),
        Verb("set-time", "1012", ("SystemTime",), pol_id=True),
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
        Verb("get-days", "2031", _PERIOD),
        Verb("get-runtimes", "2041", _PERIOD),
        Verb("get-minutes", "2051", _PERIOD),
        Verb("get-hours", "2061", _PERIOD),
        Verb("calibrate", "3011", ("PolId",)),
        Verb("sample-now", "3012", ("PolId",)),
        Verb("clean", "3013", ("PolId",)),
        Verb("compare", "3014", ("PolId",)),
        Verb("keep-sample", "3015"),
        Verb("set-cycle", "3016", ("PolId", "CstartTime", "CTime")),
        Verb("get-cycle", "3017", ("PolId",)),
        Verb("get-time-to-result", "3018", ("PolId",)),
        Verb("get-serial-number", "3019", ("PolId",)),
        Verb("get-info", "3020", ("InfoId",), pol_id=True),
        Verb("get-log", "3020", ("InfoId", *_PERIOD), pol_id=True),
        Verb("set-parameter", "3021", ("InfoId", "Info"), pol_id=True),
    )
}


def region(verb: Verb, arguments: Sequence[str], now_ms: int) -> Region:
    """The data region of a command; `set-time` without a time takes the platform's. Raises BadLine."""
    known = (*verb.fields, *(("PolId",) if verb.pol_id else ()))
    given: dict[str, str] = {}
    plain: list[str] = []
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if equals and name in known:
            given[name] = value
        else:
            plain.append(argument)
    free = [name for name in known if name not in given]
    if verb.cn == "1012" and len(plain) < len(free) and "SystemTime" in free and not _is_time_first(plain):
        given["SystemTime"] = time_text(now_ms)
        free.remove("SystemTime")
    given |= dict(zip(free, plain, strict=False))
    if len(plain) > len(free) or any(name not in given for name in verb.fields):
        raise BadLine("bench.line.arguments", verb=verb.name, fields=verb.arguments or "-")
    return tuple(_pair(name, given) for name in _in_order(verb) if name in given)


def _is_time_first(plain: Sequence[str]) -> bool:
    return bool(plain) and plain[0].isdecimal()


def _in_order(verb: Verb) -> tuple[str, ...]:
    """PolId first, as Annex C has it."""
    return ("PolId", *(name for name in verb.fields if name != "PolId"))


def _pair(name: str, given: dict[str, str]) -> Item:
    value = given[name]
    if name in _PERIOD and value.isdecimal():
        value = value.ljust(14, "0")
    return ((f"{given['InfoId']}-Info" if name == "Info" else name, value),)


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
