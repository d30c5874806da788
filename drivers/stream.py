"""Instruments that speak by themselves: the newest whole telegram in what has come since the last look.

    …3.4\\r 12.5\\r 12.6\\r 12       a line of text is whole only behind the end of another one ─▶ 12.6
    …##0101…1C80 ##01               a frame with a check of its own may begin anywhere

What is older than `FRESH_S` is not what the instrument shows now and is thrown away. Where the port's buffer ran over,
bytes are missing behind what it holds: the telegram that follows is not put together.
"""

from __future__ import annotations

from drivers.driver import Request
from drivers.errors import BadAnswer, DeviceRefused

FRESH_S = 10.0
_FULL = 4_095
"""So much a terminal's buffer holds."""
_LONGEST = 16_384


class Stream:
    """What has come and belongs to no telegram yet; for one port."""

    def __init__(self, now: float) -> None:
        self._rest = b""
        self._looked = now

    def take(self, data: bytes, request: Request, now: float) -> bytes | None:
        """The newest telegram in what was read now and is left from before; None: none yet."""
        is_fresh = now - self._looked <= FRESH_S
        self._looked = now
        if not is_fresh:
            self._rest = b""
            return None  # what was read now has waited for an unknown time
        whole = (self._rest + data)[-_LONGEST:]
        found, rest = _by_end(whole, request) if request.after else _by_check(whole, request)
        self._rest = b"" if len(data) >= _FULL else rest
        return found


def _by_end(data: bytes, request: Request) -> tuple[bytes | None, bytes]:
    end = request.after or b""
    *lines, rest = data.split(end)
    for line in reversed(lines[1:]):
        if _is_sound(line + end, request):
            return line + end, end + rest
    return None, end + rest if lines else data


def _by_check(data: bytes, request: Request) -> tuple[bytes | None, bytes]:
    found: bytes | None = None
    at = behind = 0
    while at < len(data):
        rest = data[at:]
        length = request.length(rest)
        if length and 0 < length <= len(rest) and _is_sound(rest[:length], request):
            found = rest[:length]
            at = behind = at + length
        else:
            at += 1
    return found, data[behind:]


def _is_sound(telegram: bytes, request: Request) -> bool:
    if request.length(telegram) != len(telegram):
        return False
    try:
        request.check(telegram)
    except (BadAnswer, DeviceRefused):
        return False
    return True
