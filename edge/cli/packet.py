"""`hj212 packet decode/encode/check`: one packet explained field by field, or turned to JSON and back.

Packets stand one a line, CR LF or LF. A JSON object has `ok errors notes qn st cn pw mn flag pnum pno rf data`, all
values texts as on the wire and null where absent; `extra` (header fields that the standard does not know) and `order`
(names of an item whose repeated names do not stand together) only where there is something to say.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO, cast, get_args

import click

from edge.catalogue import explain, text
from edge.cli.packet_view import view
from protocol.crc import Variant
from protocol.errors import ProtocolError
from protocol.frame import MAX_SEGMENT
from protocol.packet import Examined, Packet, examine
from protocol.region import Item
from protocol.unusual import unusual

_HEADER = ("qn", "st", "cn", "pw", "mn", "flag", "pnum", "pno", "rf")
_WIRE = {"flag": "Flag"}

_file = click.argument("file", type=click.File("rb"), default="-")
_cap = click.option("--cap", type=click.IntRange(1, MAX_SEGMENT), default=MAX_SEGMENT, show_default=True,
                    help=text("cli.packet-cap"))  # fmt: skip
_crc = click.option("--crc", "variant", type=click.Choice(get_args(Variant)), default="hj212", show_default=True,
                    help=text("cli.packet-crc"))  # fmt: skip
_json = click.option("--json", "as_json", is_flag=True, help=text("cli.packet-json"))


@click.group("packet", help=text("cli.packet"))
def packet_group() -> None:
    """One packet explained, field by field."""


@packet_group.command(help=text("cli.packet-decode"))
@_file
@_json
@_cap
@_crc
@click.option("--raw", is_flag=True, help=text("cli.packet-raw"))
def decode(file: BinaryIO, as_json: bool, cap: int, variant: str, raw: bool) -> None:
    """Explain packets, one a line, from FILE or standard input."""
    for number, line in _lines(file):
        examined = examine_line(line, cap, variant)
        if as_json:
            _print(json.dumps(to_object(examined), ensure_ascii=False))
        else:
            _print(view(number, examined, raw))


@packet_group.command(help=text("cli.packet-check"))
@_file
@_json
@_cap
@_crc
def check(file: BinaryIO, as_json: bool, cap: int, variant: str) -> None:
    """Check packets, one a line; exit code 1 when one is not accepted."""
    all_ok = True
    for number, line in _lines(file):
        examined = examine_line(line, cap, variant)
        all_ok &= examined.ok
        if as_json:
            _print(json.dumps(to_object(examined), ensure_ascii=False))
        else:
            _print(_verdict(number, examined))
    sys.exit(0 if all_ok else 1)


@packet_group.command(help=text("cli.packet-encode"))
@_file
@_json
@_crc
def encode(file: BinaryIO, as_json: bool, variant: str) -> None:
    """Write the frames of JSON objects, one a line, as `decode --json` gives them (`ok errors notes` do not count)."""
    for number, line in _lines(file):
        try:
            click.echo(from_object(_parse(line)).to_frame(cast(Variant, variant)), nl=False)
        except ProtocolError as error:
            click.echo(text("protocol.show.line", number=number) + explain(error), err=True)
            sys.exit(2)


def examine_line(line: bytes, cap: int = MAX_SEGMENT, variant: str = "hj212") -> Examined:
    """All that is right and wrong with a frame, and what no table of the standard has."""
    examined = examine(line, cap, cast(Variant, variant), framed=True)
    more = unusual(examined.packet) if examined.packet else []
    return examined._replace(notes=(*examined.notes, *more))


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(file, 1):
        if line.strip():
            yield number, line.rstrip(b"\r\n")


def _print(line: str) -> None:
    """UTF-8 whatever the locale says: the output is read by machines, and logs hold Chinese."""
    click.echo(line.encode("utf-8", "replace"))


def _verdict(number: int, examined: Examined) -> str:
    head = text("protocol.show.good" if examined.ok else "protocol.show.bad", number=number)
    errors = [explain(error) for error in examined.errors]
    notes = [text("protocol.show.note") + text(note.code, **note.params) for note in examined.notes]
    return "\n  ".join([head, *errors, *notes])


def to_object(examined: Examined) -> dict[str, Any]:
    """The JSON object of a packet; what could be read, where it is not accepted."""
    found: dict[str, Any] = {
        "ok": examined.ok,
        "errors": [explain(error) for error in examined.errors],
        "notes": [text(note.code, **note.params) for note in examined.notes],
    }
    for name in _HEADER:
        found[name] = examined.header.get(_WIRE.get(name, name.upper()))
    packet = examined.packet
    found["data"] = [_item_object(item) for item in packet.data] if packet else []
    if packet and packet.extra:
        found["extra"] = _item_object(packet.extra)
    items = enumerate(packet.data if packet else ())
    order = {str(at): [name for name, _ in item] for at, item in items if _mixed(item)}
    if order:
        found["order"] = order
    return found


def _item_object(item: Item) -> dict[str, str | list[str]]:
    values: dict[str, list[str]] = {}
    for name, value in item:
        values.setdefault(name, []).append(value)
    return {name: found[0] if len(found) == 1 else found for name, found in values.items()}


def _mixed(item: Item) -> bool:
    """Whether repeated names of an item stand apart, so that the object alone would lose their order."""
    names = [name for name, _ in item]
    return names != [name for name in dict.fromkeys(names) for _ in range(names.count(name))]


def _parse(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError as error:
        raise ProtocolError("protocol.json.syntax", came=str(error)) from None
    if not isinstance(found, dict):
        raise ProtocolError("protocol.json.type", field="-", expected="{…}", came=_came(found))
    return found


def from_object(found: dict[str, Any]) -> Packet:
    """The packet of a JSON object; ProtocolError names the field."""
    head = {name: _header_text(found, name) for name in _HEADER}
    data = found.get("data", [])
    if not isinstance(data, list):
        raise ProtocolError("protocol.json.type", field="data", expected="[…]", came=_came(data))
    order = found.get("order", {})
    items = [_item(f"data[{at}]", item, order.get(str(at))) for at, item in enumerate(data)]
    extra = _item("extra", found["extra"], None) if found.get("extra") else ()
    flag, pnum, pno = (_whole(name, head[name]) for name in ("flag", "pnum", "pno"))
    st, cn, mn = (head[name] or "" for name in ("st", "cn", "mn"))
    return Packet(head["qn"], st, cn, head["pw"], mn, flag, pnum, pno, head["rf"], tuple(items), extra)


def _header_text(found: dict[str, Any], name: str) -> str | None:
    value = found.get(name)
    if value is not None and not isinstance(value, str):
        raise ProtocolError("protocol.json.type", field=name, expected='"…"', came=_came(value))
    return value


def _whole(name: str, value: str | None) -> int | None:
    if value is None:
        return None
    if not (value.isascii() and value.isdigit() and len(value) <= 4):
        raise ProtocolError("protocol.json.type", field=name, expected='"0-9999"', came=_came(value))
    return int(value)


def _item(where: str, found: Any, order: list[str] | None) -> Item:
    if not isinstance(found, dict) or not found:
        raise ProtocolError("protocol.json.type", field=where, expected='{"…": "…"}', came=_came(found))
    values: dict[str, list[str]] = {}
    for name, value in found.items():
        texts = value if isinstance(value, list) else [value]
        if not texts or not all(isinstance(each, str) for each in texts):
            raise ProtocolError("protocol.json.type", field=f"{where}.{name}", expected='"…"', came=_came(value))
        values[name] = texts
    names = [name for name, texts in values.items() for _ in texts]
    if order is not None and sorted(order) == sorted(names):
        names = order
    rest = {name: iter(texts) for name, texts in values.items()}
    return tuple((name, next(rest[name])) for name in names)


def _came(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)[:60]
