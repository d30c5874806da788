"""A packet in words, for the technician: what each field is called and what its code means."""

from __future__ import annotations

from collections.abc import Mapping

from edge.catalogue import explain, language, text
from protocol.commands import Command, command
from protocol.factors import Factor, factors
from protocol.forms import form, is_time
from protocol.marks import EXE_RETURNS, FIELDS, MARKS, QN_RETURNS, SYSTEM_CODES, Named
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
        for item in packet.data:
            lines += _item_lines(item, raw)
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
    return command(packet.cn, "to-platform" if says else "to-logger") or command(packet.cn)


def _item_lines(item: Item, raw: bool) -> list[str]:
    lines: list[str] = []
    shown = ""
    for name, value in item:
        code, dash, attribute = name.rpartition("-")
        if dash and code != shown:
            lines.append(f"  {code:<12} {_factor_words(code, attribute)}".rstrip())
            shown = code
        words = _field_words(attribute, value)
        if attribute == "Cou":
            words += " ".join(f" ({row.emission_unit})" for row in factors(code)[:1] if row.emission_unit)
        lines.append(_row(4 if dash else 2, attribute, value, words, raw))
    return lines


def _factor_words(code: str, attribute: str) -> str:
    if attribute in ("RS", "RT"):
        return text("protocol.show.equipment")
    named = [f"{_name(row)} ({row.unit})" if row.unit not in ("", "1") else _name(row) for row in factors(code)]
    return " / ".join(named) or text("protocol.show.unknown")


def _field_words(name: str, value: str) -> str:
    words = _name(FIELDS[name]) if name in FIELDS else ""
    if name in _MEANINGS:
        return f"{words}: {_name(_MEANINGS[name].get(value))}"
    if name == "Flag":
        return f"{words}: {_name(MARKS.get(value))}"
    if name in ("PolId", "InfoId"):
        return f"{words}: {' / '.join(map(_name, factors(value))) or text('protocol.show.unknown')}"
    return f"{words}: {time_words(value)}" if form(name) == "time" and is_time(value) else words


def time_words(digits: str) -> str:
    """14 or 17 digits as a date and a time; nothing where they are none."""
    if not is_time(digits):
        return ""
    day, clock = f"{digits[:4]}-{digits[4:6]}-{digits[6:8]}", f"{digits[8:10]}:{digits[10:12]}:{digits[12:14]}"
    return f"{day} {clock}" + (f".{digits[14:]}" if len(digits) == 17 else "")
