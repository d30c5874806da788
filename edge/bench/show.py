"""What the platform got, in words for the technician and as one JSON object a line for programs.

Passwords are masked in both; the notebook has the bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

from edge.bench.conversation import CommandResult, Conformity
from edge.bench.edition import any_command
from edge.bench.received import Finding, Received, Repeat
from edge.catalogue import LANGUAGES, language, text
from protocol import factors, marks
from protocol.commands import extension
from protocol.packet import Packet
from protocol.region import Item, Region
from protocol.times import iso_text

MASK = "***"
_SECRETS = re.compile(rb"(?<![A-Za-z])((?:New)?PW=)[^;,&]*", re.IGNORECASE)
_FIELD = re.compile(r"(.+)-(\w+)")


def finding_text(finding: Finding) -> str:
    """A finding in words."""
    return text(finding.code, **finding.params)


def masked(data: bytes) -> str:
    """Bytes from the wire, readable, without passwords."""
    return _SECRETS.sub(rb"\1***", data).decode("utf-8", "backslashreplace")


def values(packet: Packet) -> list[dict[str, str | list[str]]]:
    """The items in order; a name repeated within an item gives a list."""
    return [_object(item) for item in packet.data]


def _object(item: Item) -> dict[str, str | list[str]]:
    fields: dict[str, str | list[str]] = {}
    for name, value in item:
        value = MASK if name.lower() in ("newpw", "pw") else value
        before = fields.get(name)
        if before is None:
            fields[name] = value
        else:
            fields[name] = [*([before] if isinstance(before, str) else before), value]
    return fields


def packet_object(received: Received) -> dict[str, Any]:
    """A received packet for `--json`."""
    head = {
        "event": "packet",
        "received_at": iso_text(received.at_ms),
        "peer": received.peer,
        "verdict": received.verdict.value,
        "repeat": received.repeat.value,
        "answer": received.answer,
        "findings": [finding_text(finding) for finding in received.findings],
    }
    packet = received.packet
    if packet is None:
        return {**head, "event": "dropped", "bytes": masked(received.data)}
    header = {name: getattr(packet, name) for name in ("qn", "st", "cn", "mn", "flag", "pnum", "pno", "rf")}
    shown = {**head, **header, "pw": MASK, "data": values(packet)}
    return shown if received.whole is None else {**shown, "whole": values(received.whole)}


def packet_lines(received: Received) -> Iterator[str]:
    """A received packet for the screen: one line about it, one a factor, one a finding."""
    at = iso_text(received.at_ms)[11:23]
    verdict = text(f"bench.verdict.{received.verdict.value}")
    packet = received.packet
    if packet is None:
        count, shown = len(received.data), masked(received.data)
        yield text("bench.dropped", at=at, peer=received.peer, count=count, bytes=shown)
    else:
        again = "" if received.repeat is Repeat.FIRST else " " + text(f"bench.repeat.{received.repeat.value}")
        cn, name, qn = packet.cn, cn_name(packet.cn), packet.qn or "-"
        yield text("bench.packet", at=at, mn=packet.mn, cn=cn, name=name, qn=qn) + _part(packet)
        yield text("bench.answer", answer=received.answer or text("bench.no_answer"), verdict=verdict) + again
        yield from region_lines(packet.data)
        if received.whole is not None:
            yield "    " + text("bench.whole", parts=packet.pnum)
            yield from region_lines(received.whole.data)
    yield from finding_lines(received.findings)


def finding_lines(findings: Iterable[Finding]) -> Iterator[str]:
    """One line a finding."""
    for finding in findings:
        yield f"  {'!!' if finding.grave else '!'} {finding_text(finding)}"


def _part(packet: Packet) -> str:
    return f" {packet.pno}/{packet.pnum}" if packet.is_split else ""


def region_lines(region: Region) -> Iterator[str]:
    """The items of a data region, factors by name and unit."""
    for item in region:
        shown = _object(item)
        codes = {match[1] for name in shown if (match := _FIELD.fullmatch(name))}
        if len(codes) == 1 and len(codes) == len({name.rpartition("-")[0] for name in shown}):
            yield "    " + _factor_line(codes.pop(), shown)
        else:
            yield "    " + "  ".join(f"{name}={value}" for name, value in shown.items())


def _factor_line(code: str, shown: Mapping[str, str | list[str]]) -> str:
    fields = {name[len(code) + 1 :]: value for name, value in shown.items()}
    mark = fields.get("Flag")
    parts = [f"{name}={value}" for name, value in fields.items() if name != "Flag"]
    row = factors.factor(code)
    named = marks.MARKS.get(mark) if isinstance(mark, str) else None
    name = (row.name_zh if _zh() else row.name_en) if row else ""
    unit = f"[{row.unit}]" if row and row.unit not in ("", "1", "-", "--") else ""
    meaning = (named.name_zh if _zh() else named.name_en) if named else ""
    return " ".join(filter(None, (code, name, unit, *parts, f"{mark} {meaning}".strip() if mark else "")))


def cn_name(cn: str) -> str:
    """What a CN of the logger means; empty for unknown ones."""
    row = any_command(cn) or extension(cn)
    return "" if row is None else row.name_zh if _zh() else row.name_en


def command_name(cn: str) -> str:
    """What a CN of the platform means; empty for unknown ones."""
    row = any_command(cn, "to-logger")
    return "" if row is None else row.name_zh if _zh() else row.name_en


def _zh() -> bool:
    return language() == LANGUAGES[0]


def result_object(result: CommandResult) -> dict[str, Any]:
    """The verdict on a command for `--json`."""
    return {
        "event": "command",
        "mn": result.mn,
        "cn": result.cn,
        "qn": result.qn,
        "outcome": result.outcome.value,
        "qn_rtn": result.qn_rtn,
        "exe_rtn": result.exe_rtn,
        "sent": result.sent,
        "data": [values(packet) for packet in result.data],
        "verdict": result.conformity.value,
        "heard": [packet.cn for packet in result.heard],
        "deviations": [finding_text(finding) for finding in result.deviations],
    }


def result_lines(result: CommandResult) -> Iterator[str]:
    """The verdict on a command for the screen."""
    outcome = text(f"bench.outcome.{result.outcome.value}")
    yield text("bench.result", mn=result.mn, cn=result.cn, outcome=outcome, sent=result.sent)
    yield from _code_line("QnRtn", result.qn_rtn, marks.QN_RETURNS)
    for packet in result.data:
        yield from region_lines(packet.data)
    yield from _code_line("ExeRtn", result.exe_rtn, marks.EXE_RETURNS)
    heard = " → ".join(runs(packet.cn for packet in result.heard)) or "-"
    yield "    " + text("bench.sequence", heard=heard, verdict=conformity_text(result.conformity))
    yield from finding_lines(result.deviations)


def conformity_text(conformity: Conformity) -> str:
    """The verdict on an exchange in words."""
    return text(f"bench.conformity.{conformity.value}")


def runs(came: Iterable[str]) -> Iterator[str]:
    """The CN that came, each run of one CN once with its length."""
    for cn, run in groupby(came):
        count = sum(1 for _ in run)
        yield cn if count == 1 else f"{count} × {cn}"


def _code_line(name: str, code: str | None, table: Mapping[str, marks.Named]) -> Iterator[str]:
    if code is not None:
        row = table.get(code)
        yield f"    {name}={code} {(row.name_zh if _zh() else row.name_en) if row else ''}".rstrip()
