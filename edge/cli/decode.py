"""`hj212 decode "42 48 00 00"`: a register block in every type and byte order, or a whole frame taken apart."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

import click

from drivers import decode as core
from drivers import frames
from edge.catalogue import text
from edge.cli.common import Stop, json_option, print_json, table

_FEW = 4
"""Registers whose every guess fits on a screen; of more, the plausible ones are shown."""
_WIDEST = 10
"""Characters of a cell: a uint32 is whole."""
_SAID = ("function", "register", "count", "exception", "di", "item", "value", "meter_type")
"""Fields of a frame that are said in its one line."""
_CHECKS = {True: "tools.check-right", False: "tools.check-wrong", None: "tools.check-none"}


@click.command("decode", help=text("cli.verb-decode"))
@click.argument("data", nargs=-1, required=True, metavar="HEX…")
@click.option("--register", type=click.IntRange(0, 65535), default=0, help=text("tools.decode-register-option"))
@click.option("--all", "everything", is_flag=True, help=text("tools.decode-all-option"))
@json_option
def decode(data: tuple[str, ...], register: int, everything: bool, as_json: bool) -> None:
    """A frame where it is one, and the numbers in it."""
    raw = parsed(" ".join(data))
    found = frames.frame(raw)
    payload = raw if found is None else found.data if found.protocol.startswith("modbus") else b""
    guesses = core.block(payload, register) + (core.meter_digits(raw) if found is None else [])
    if as_json:
        shown_frame = None if found is None else frame_object(found)
        print_json({"bytes": raw.hex(" "), "frame": shown_frame, "guesses": [guess_object(one) for one in guesses]})
        return
    if found is not None:
        click.echo("\n".join(frame_lines(found)))
    if not payload:
        return
    show_guesses(guesses, everything or len(payload) <= 2 * _FEW)


def parsed(given: str) -> bytes:
    """The bytes of hexadecimal text, or of a text frame as it stands (`:0103…`, `##0153…`, `#01`)."""
    if given.startswith((":", "#", "$", ">", "!")):
        ending = "\r\n" if given.startswith((":", "##")) else "\r"
        return (given.rstrip("\r\n") + ending).encode("utf-8")
    plain = unicodedata.normalize("NFKC", given)  # ０１，０３ of a Chinese input method
    parts = plain.replace("0x", " ").replace("0X", " ").translate(str.maketrans(",;-:\t、", "      ")).split()
    try:
        # 1 3 is 01 03, never 13
        found = bytes.fromhex("".join(f"0{part}" if len(part) == 1 else _even(part) for part in parts))
    except ValueError as error:
        raise Stop("tools.not-hex", given=given[:60]) from error
    if not found:
        raise Stop("tools.not-hex", given=given[:60])
    return found


def _even(part: str) -> str:
    """The same; ValueError for half a byte, which might stand anywhere."""
    if len(part) % 2:
        raise ValueError(part)
    return part


def guess_object(one: core.Guess) -> dict[str, Any]:
    """A guess as plain data (keys: docs/json.md)."""
    return {
        "register": one.register,
        "type": one.type,
        "order": one.order,
        "raw": one.raw.hex(" "),
        "value": one.value,
        "text": one.text,
        "plausible": one.plausible,
    }


def frame_object(one: frames.Frame) -> dict[str, Any]:
    """A frame as plain data (keys: docs/json.md)."""
    found: dict[str, Any] = {
        "protocol": one.protocol,
        "check": one.check,
        "kind": one.kind,
        "address": one.address,
        "data": one.data.hex(" "),
        "fields": one.fields,
    }
    if one.protocol == "hj212":
        from edge.cli.packet import examine_line, to_object

        found["packet"] = to_object(examine_line(one.raw.strip()))
    return found


def frame_lines(one: frames.Frame) -> list[str]:
    """A frame in words."""
    if one.protocol == "hj212":
        from edge.cli.packet import examine_line
        from edge.cli.packet_view import view

        return [view(1, examine_line(one.raw.strip())).rstrip()]
    return [summary(one), *([f"  {one.data.hex(' ').upper()}"] if one.data else [])]


def summary(one: frames.Frame) -> str:
    """A frame in one line."""
    details = "  ".join(f"{text(f'tools.field-{key}')} {value}" for key, value in one.fields.items() if key in _SAID)
    check = text(_CHECKS[one.check])
    address = "" if one.address is None else text("tools.address", address=one.address)
    return "  ".join(part for part in (one.protocol, text(f"tools.kind-{one.kind}"), address, details, check) if part)


def show_guesses(guesses: Sequence[core.Guess], everything: bool) -> None:
    """One row a register and type, the four orders side by side; `*`: plausible."""
    rows: dict[tuple[int, str, int], dict[str, str]] = {}
    texts = [one for one in guesses if one.text is not None]
    for one in guesses:
        if one.text is None and (everything or one.plausible):
            rows.setdefault((one.register, one.type, one.words), {})[one.order] = _cell(one)
    if not rows and not texts:
        click.echo(text("tools.nothing" if everything else "tools.nothing-plausible"))
        return
    titles = ("tools.col-register", "tools.col-type", "tools.col-words")
    orders = [f"tools.col-{order.lower()}" for order in core.ORDERS]
    lines = [
        [
            register,
            kind,
            words,
            *(cells.get(order, cells.get("", "") if order == "ABCD" else "") for order in core.ORDERS),
        ]
        for (register, kind, words), cells in sorted(rows.items())
    ]
    if lines:
        table([*titles, *orders], lines, whole=orders)
    for one in texts:
        click.echo(f"text  {one.order}  {one.text}")
    click.echo(text("tools.decode-hint"))


def _cell(one: core.Guess) -> str:
    """Narrow enough for four in a row of 80: of what is no value the size tells enough (`--json` has all digits)."""
    if one.plausible:
        return f"{core.shown(one)} *"
    said = core.shown(one)
    return said if one.value is None or len(said) <= _WIDEST else f"{one.value:.3g}"
