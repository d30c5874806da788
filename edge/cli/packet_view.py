"""A packet in words, for the technician: what each field is called and what its code means."""

from __future__ import annotations

from collections.abc import Mapping

from edge.catalogue import explain, language, text
from protocol import edition2005
from protocol.commands import Command, command, extension
from protocol.edition2005 import EDITION_2005, is_2005
from protocol.factors import Factor, factors
from protocol.forms import form, is_time
from protocol.marks import (
    EXE_RETURNS,
    FIELDS,
    FIELDS_2005,
    MARKS,
    MARKS_2005,
    QN_RETURNS,
    SYSTEM_CODES,
    Named,
)
from protocol.packet import Examined, Packet
from protocol.region import Item

_MEANINGS: Mapping[str, Mapping[str, Named]] = {"QnRtn": QN_RETURNS, "ExeRtn": EXE_RETURNS}
_ASKING = frozenset(("PolId", "InfoId", "BeginTime", "EndTime"))
_EDITIONS = {0: "HJ/T 212-2005", 1: "HJ 212-2017", 2: "HJ 212-2025"}


def view(number: int, examined: Examined, raw: bool = False) -> str:
    """Several lines about one packet; the password only with `raw`."""
    lines = [text("protocol.show.good" if examined.ok else "protocol.show.bad", number=number)]
    lines += ["  " + text("protocol.show.error") + explain(error) for error in examined.errors]
    lines += ["  " + text("protocol.show.note") + text(note.code, **note.params) for note in examined.notes]
    packet = examined.packet
    for name, value in examined.header.items():
        lines.append(_row(2, name, value, _header_meaning(name, value, packet), raw))
    if packet:
        lines += [_row(2, name, value, text("protocol.show.extra"), raw) for name, value in packet.extra]
        old = is_2005(packet)
        for item in packet.data:
            lines += _item_lines(item, raw, old)
    return "\n".join(lines) + "\n"


def _row(indent: int, name: str, value: str, meaning: str, raw: bool) -> str:
    shown = value if raw or name.upper() not in ("PW", "NEWPW") else "***"
    return f"{' ' * indent}{name:<12} {shown:<24} {meaning}".rstrip()


def _name(row: Named | Command | Factor | None) -> str:
    if row is None:
        return text("protocol.show.unknown")
    return row.name_zh if language() == "zh" else row.name_en


def _header_meaning(name: str, value: str, packet: Packet | None) -> str:
    if name == "QN":
        return time_words(value)
    if name == "ST":
        return _name(SYSTEM_CODES.get(value))
    if name == "CN":
        return _name(_command(packet) if packet else None)
    if name == "Flag" and packet and packet.flag is not None:
        edition = _EDITIONS.get(packet.flag >> 2, text("protocol.show.unknown"))
        answer = text("protocol.show.answer" if packet.wants_answer else "protocol.show.no_answer")
        split = text("protocol.show.split" if packet.flag & 2 else "protocol.show.not_split")
        return f"{edition}, {answer}, {split}"
    return text(f"protocol.show.{name.lower()}") if name in ("PW", "MN", "PNUM", "PNO", "RF") else ""


def _command(packet: Packet) -> Command | None:
    """The row of a packet's CN: what only asks goes to the logger, what carries values to the platform."""
    says = any(name not in _ASKING for item in packet.data for name, _ in item)
    direction = "to-platform" if says else "to-logger"
    if is_2005(packet):
        own = [row for row in edition2005.commands() if row.cn == packet.cn]
        row = next((row for row in own if row.direction in (direction, "both")), own[0] if own else None)
        return row or extension(packet.cn)
    return command(packet.cn, "to-platform" if says else "to-logger") or command(packet.cn) or extension(packet.cn)


def _item_lines(item: Item, raw: bool, old: bool) -> list[str]:
    lines: list[str] = []
    shown = ""
    for name, value in item:
        code, dash, attribute = name.rpartition("-")
        if dash and code != shown:
            lines.append(f"  {code:<12} {_factor_words(code, attribute, old)}".rstrip())
            shown = code
        words = _field_words(attribute, value, old)
        if attribute == "Cou" and not old:
            words += " ".join(f" ({row.emission_unit})" for row in factors(code)[:1] if row.emission_unit)
        lines.append(_row(4 if dash else 2, attribute, value, words, raw))
    return lines


def _factor_words(code: str, attribute: str, old: bool) -> str:
    if attribute in ("RS", "RT"):
        return text("protocol.show.equipment")
    if old and (unit := edition2005.unit(code)) is not None:
        new = EDITION_2005.factor(code)
        shown = f" ({unit})" if unit != "1" else ""
        return text("protocol.show.old_code", name=_name(next(iter(factors(new)), None)) + shown, code=new)
    named = [f"{_name(row)} ({row.unit})" if row.unit not in ("", "1") else _name(row) for row in factors(code)]
    return " / ".join(named) or text("protocol.show.unknown")


def _field_words(name: str, value: str, old: bool) -> str:
    fields, marks = (FIELDS_2005, MARKS_2005) if old else (FIELDS, MARKS)
    name = "PolId" if name == "PolID" else name
    words = _name(fields[name]) if name in fields else ""
    if name in _MEANINGS:
        return f"{words}: {_name(_MEANINGS[name].get(value))}"
    if name == "Flag":
        return f"{words}: {_name(marks.get(value))}"
    if name in ("PolId", "InfoId"):
        rows = factors(EDITION_2005.factor(value) if old else value)
        return f"{words}: {' / '.join(map(_name, rows)) or text('protocol.show.unknown')}"
    return f"{words}: {time_words(value)}" if form(name) == "time" and is_time(value) else words


def time_words(digits: str) -> str:
    """14 or 17 digits as a date and a time; nothing where they are none."""
    if not is_time(digits):
        return ""
    day, clock = f"{digits[:4]}-{digits[4:6]}-{digits[6:8]}", f"{digits[8:10]}:{digits[10:12]}:{digits[12:14]}"
    return f"{day} {clock}" + (f".{digits[14:]}" if len(digits) == 17 else "")
