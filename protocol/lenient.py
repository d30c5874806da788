"""Reading a data segment with forgiveness: what is there, what was tolerated (notes), what cannot be accepted (errors).

Tolerated, since peers send it: other order and capitals of header fields, missing QN, Flag or PW, MN and PW of other
lengths, padded PNUM, blanks around names and values, empty items (`;` before `&&`), empty values, GBK, exponents.
Positions are bytes of the data segment counted from 1, HJ 212-2017 §6.3.2 (Table 3) and §6.3.3.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from protocol import region as regions
from protocol.errors import BadPacket, CannotEncode, Note
from protocol.forms import form, is_exponent, is_number, is_time
from protocol.region import Body, Field, Region

HEADER = ("QN", "ST", "CN", "PW", "MN", "Flag", "PNUM", "PNO", "RF")
_SPELLING = {name.lower(): name for name in HEADER}
_SPLIT_BIT = 2

_FORMS = {
    "QN": (re.compile(r"\d{1,20}", re.ASCII), "17 × 0-9"),
    "ST": (re.compile(r"[0-9A-Za-z]{1,4}"), "2 × 0-9 A-Z"),
    "CN": (re.compile(r"\d{4}", re.ASCII), "4 × 0-9"),
    "Flag": (re.compile(r"0*(?:1?\d{1,2}|2[0-4]\d|25[0-5])", re.ASCII), "0-255"),
    "PNUM": (re.compile(r"0*[1-9]\d{0,3}", re.ASCII), "1-9999"),
    "PNO": (re.compile(r"0*[1-9]\d{0,3}", re.ASCII), "1-9999"),
    "RF": (re.compile(r"\d", re.ASCII), "1"),
}
_USUAL = {
    "QN": re.compile(r"\d{17}"),
    "ST": re.compile(r"[0-9A-Z]{2}"),
    "PW": re.compile(r"[0-9A-Za-z]{6}"),
    "MN": re.compile(r"[0-9A-F]{24}"),
    "PNUM": re.compile(r"[1-9]\d*"),
    "PNO": re.compile(r"[1-9]\d*"),
}
_CP = re.compile(r"(^|;)\s*CP\s*=\s*&&", re.IGNORECASE)
# one field, up to the separator behind it; a log's text between // and // may hold separators
_FIELD = re.compile(
    r"(?P<name>[^=,;]*)(?P<equals>=?)(?P<value>\s*//.*?//\s*(?=[,;]|\Z)|[^,;]*)(?P<end>[,;]|\Z)", re.DOTALL
)


@dataclass(slots=True)
class Reading:
    """What a segment says: header fields as on the wire, in their order; the region; errors and notes."""

    header: dict[str, str] = field(default_factory=dict)
    extra: list[Field] = field(default_factory=list)
    region: Region = ()
    errors: list[BadPacket] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)

    def refuse(self, code: str, **params: Any) -> None:
        """Add an error."""
        self.errors.append(BadPacket(code, **params))

    def note(self, code: str, **params: Any) -> None:
        """Add a note, once."""
        note = Note(code, params)
        if note not in self.notes:
            self.notes.append(note)


def read(segment: bytes) -> Reading:
    """Everything that a segment says, however broken it is."""
    reading = Reading()
    text = _decode(segment, reading)
    cp = _CP.search(text)
    if cp is None:
        reading.refuse("protocol.packet.no_region", at=len(segment) + 1)
        _read_header(re.split(r"(?:^|;)\s*CP\s*=", text, flags=re.IGNORECASE)[0], reading)
    else:
        _read_header(text[: cp.start()], reading)
        reading.region = _read_region(text, cp.end(), reading)
    _check_header(reading)
    _check_values(reading)
    return reading


def region_of(body: str) -> Region:
    """The region of the text between `CP=&&` and `&&`; BadPacket with the first thing that cannot be accepted."""
    short = regions.read(body)
    if short is not None:
        return short
    reading = Reading()
    reading.region = _read_region(body + "&&", 0, reading)
    _check_values(reading)
    if reading.errors:
        raise reading.errors[0]
    return reading.region


def checked(body: str) -> Body:
    """A text that was kept, as a body; CannotEncode or BadPacket for what would not read back as the very same text."""
    written = regions.write(region_of(body))
    if written != body:
        raise CannotEncode("protocol.encode.body", came=body)
    return written


def _decode(segment: bytes, reading: Reading) -> str:
    try:
        return segment.decode("utf-8")
    except UnicodeDecodeError:
        reading.note("protocol.note.gbk")
        return segment.decode("gbk", "replace")


def _at(text: str, position: int) -> int:
    """Byte, counted from 1, of a position in the text."""
    return len(text[:position].encode()) + 1


def _read_header(text: str, reading: Reading) -> None:
    position = 0
    for part in text.split(";"):
        at, position = _at(text, position), position + len(part) + 1
        name, equals, value = part.partition("=")
        if part != part.strip() or name != name.strip() or value != value.strip():
            reading.note("protocol.note.blanks", field=name.strip())
        name, value = name.strip(), value.strip()
        if not part.strip():
            reading.note("protocol.note.empty_field", at=at)
        elif not equals or not name or "=" in value:
            reading.refuse("protocol.packet.field", at=at, came="PW=***" if name.upper() == "PW" else part)
        elif name.lower() in _SPELLING:
            _read_known(name, value, at, reading)
        else:
            reading.note("protocol.note.extra", field=name)
            reading.extra.append((name, value))


def _read_known(name: str, value: str, at: int, reading: Reading) -> None:
    standard = _SPELLING[name.lower()]
    if name != standard:
        reading.note("protocol.note.case", field=name, expected=standard)
    if standard in reading.header:
        reading.refuse("protocol.packet.twice", field=standard, at=at)
    elif value == "" and standard not in ("PW", "ST", "CN", "MN"):
        reading.note("protocol.note.empty_value", field=standard)
    else:
        reading.header[standard] = value


def _check_header(reading: Reading) -> None:
    header = reading.header
    for name, value in header.items():
        pattern, expected = _FORMS.get(name, (None, ""))
        if pattern is not None and not pattern.fullmatch(value):
            reading.refuse("protocol.packet.value", field=name, expected=expected, came=value)
        elif name == "QN" and len(value) == 17 and not is_time(value):
            reading.refuse("protocol.packet.time", field=name, came=value)
        elif name in _USUAL and not _USUAL[name].fullmatch(value):
            shown = "***" if name == "PW" else value
            reading.note("protocol.note.form", field=name, came=shown, length=len(value))
    if tuple(header) != tuple(name for name in HEADER if name in header):
        reading.note("protocol.note.order")
    _check_presence(reading)
    _check_split(reading)


def _check_presence(reading: Reading) -> None:
    header = reading.header
    answer = header.get("CN", "").startswith("90")  # answers of 2005 name neither the station nor its password
    for name in ("ST", "CN", "MN"):
        if not header.get(name) and not (name == "MN" and answer):
            reading.refuse("protocol.packet.missing", field=name)
    for name in ("QN", "PW", "MN", "Flag"):
        if name not in header and (name != "MN" or answer):
            reading.note("protocol.note.missing", field=name)


def _check_split(reading: Reading) -> None:
    header = reading.header
    pnum, pno = header.get("PNUM", ""), header.get("PNO", "")
    if pnum.isdecimal() and pno.isdecimal() and int(pno) > int(pnum):
        reading.refuse("protocol.packet.value", field="PNO", expected=f"1-{int(pnum)}", came=pno)
    if (pnum == "") != (pno == ""):
        reading.note("protocol.note.split_half")
    flag = header.get("Flag", "")
    if flag.isdecimal() and bool(int(flag) & _SPLIT_BIT) != bool(pnum):
        reading.note("protocol.note.split_flag", came=flag)


def _read_region(text: str, start: int, reading: Reading) -> Region:
    end = text.rfind("&&", start)
    if end < 0:
        reading.refuse("protocol.packet.region_open", at=_at(text, len(text)), came=text[-2:])
        end = len(text)
    elif text[end + 2 :].strip():
        reading.refuse("protocol.packet.behind_region", at=_at(text, end + 2), came=text[end + 2 :][:32])
    elif text[end + 2 :]:
        reading.note("protocol.note.blanks", field="CP")
    items: list[list[Field]] = [[]]
    for match in _FIELD.finditer(text, start, end):
        _read_field(match, items[-1], reading)
        if match["end"] == ";":
            items.append([])
        elif not match["end"]:
            break
    return tuple(tuple(item) for item in items if item)


def _read_field(match: re.Match[str], item: list[Field], reading: Reading) -> None:
    name, value = match["name"].strip(), match["value"].strip()
    if not name and not match["equals"]:
        if match.string[match.start() - 2 : match.end()] != "&&":  # CP=&&&& has no item at all
            reading.note("protocol.note.empty_item")
        return
    if (name, value) != (match["name"], match["value"]):
        reading.note("protocol.note.blanks", field=name)
    is_log = value.startswith("//") and value.endswith("//")
    bad = not match["equals"] or not name or re.search(r"[\s&#]", name)
    if bad or "&" in value or ("=" in value and not is_log):
        came = match[0].rstrip(",;")
        reading.refuse("protocol.packet.field", at=_at(match.string, match.start()), came=came)
    else:
        item.append((name, value))


def _check_values(reading: Reading) -> None:
    for item in reading.region:
        for name, value in item:
            wanted = form(name)
            if not value:
                reading.note("protocol.note.empty_value", field=name)
            elif wanted == "time":
                _check_time(name, value, reading)
            elif wanted == "number" and not is_number(value):
                if is_exponent(value):
                    reading.note("protocol.note.exponent", field=name, came=value)
                else:
                    reading.refuse("protocol.packet.number", field=name, came=value)


def _check_time(name: str, value: str, reading: Reading) -> None:
    if not is_time(value):
        reading.refuse("protocol.packet.time", field=name, came=value)
    elif len(value) != 14:
        reading.note("protocol.note.milliseconds", field=name, came=value)
