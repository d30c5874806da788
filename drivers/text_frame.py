"""Requests and answers of instruments that speak text: how they begin and end, and their check codes.

    request   text [check code] terminator          "#01" sum "\\r" ─▶ #0184 CR
    answer    start … [check code] end              or a fixed length, or ended by silence

Without a check code nothing but its form tells a damaged answer: the answer has to begin at the first byte that comes,
and an answer of any instrument could be one to this request, so that it is not asked while another may still come.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import reduce
from typing import Literal

from drivers.driver import Request
from drivers.errors import BadAnswer
from drivers.modbus_frame import crc16

ChecksumName = Literal["none", "sum", "xor", "lrc", "crc16"]
CHECKSUMS: dict[str, Callable[[bytes], bytes]] = {
    "none": lambda _: b"",
    "sum": lambda data: b"%02X" % (sum(data) & 0xFF),
    "xor": lambda data: b"%02X" % reduce(lambda one, other: one ^ other, data, 0),
    "lrc": lambda data: b"%02X" % (-sum(data) & 0xFF),
    "crc16": lambda data: b"%04X" % crc16(data),
}
"""Check codes as capital hexadecimal digits, over all that stands before them."""
LONGEST = 1024
_USUAL = 8


@dataclass(frozen=True, slots=True)
class Form:
    """What an answer looks like. `end` empty: ended by `length`, else by silence of `idle_s`."""

    start: bytes = b""
    end: bytes = b"\r"
    length: int | None = None
    """Whole, with start, check code and end."""
    least: int = 0
    """It has at least so many bytes."""
    checksum: str = "none"
    idle_s: float = 0.1
    echo: bytes = b""
    """It repeats this, the request, first."""

    def size(self, received: bytes) -> int | None:
        """How long the answer is that begins here; None: cannot be told yet; 0: it is none."""
        head = self.echo + self.start
        if not (received.startswith(head) or head.startswith(received)) or len(received) > LONGEST:
            return 0
        if self.length is not None:
            return len(self.echo) + self.length
        if not self.end:
            return None
        at = received.find(self.end, len(head))
        return None if at < 0 else at + len(self.end)

    def content(self, answer: bytes) -> bytes:
        """The answer without its echo, check code and end; raises BadAnswer."""
        whole = answer.removeprefix(self.echo)
        size = len(CHECKSUMS[self.checksum](b""))
        body, end = (whole[: -len(self.end)], whole[-len(self.end) :]) if self.end else (whole, b"")
        if end != self.end or len(whole) < max(self.least, size) or len(whole) != (self.length or len(whole)):
            raise BadAnswer("drivers.cut-short", instrument="", answer=answer[:64].hex(" "))
        if not size:
            return body
        content, code = body[:-size], body[-size:]
        if code.upper() != CHECKSUMS[self.checksum](content):
            raise BadAnswer("drivers.checksum", answer=answer[:64].hex(" "))
        return content


def listening(form: Form, check: Callable[[bytes], None]) -> Request:
    """Nothing is sent; `check` gets the content of what comes by itself, line by line."""
    return replace(text_request(b"", form, check), after=form.end)


def text_request(data: bytes, form: Form, check: Callable[[bytes], None], once: bool = False) -> Request:
    """A request with these bytes; `check` gets the content of its answer."""

    def check_answer(answer: bytes) -> None:
        check(form.content(answer))

    return Request(
        data=data,
        length=form.size,
        check=check_answer,
        confusable=(),
        expected=form.length or max(form.least, _USUAL),
        once=once,
        anywhere=False,
        idle_s=None if form.end or form.length is not None else form.idle_s,
    )
