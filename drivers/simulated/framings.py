"""The other framings of Modbus around a simulated RTU instrument (GB/T 19582.2, .3).

    Ascii(of_model("hach-cod", 1, …))   ':' address PDU LRC, as hexadecimal digits, CR LF
    Tcp(of_model("hach-cod", 1, …))     transaction(2) 0000 length(2) address PDU

Frames are built here from the papers, not with `drivers.modbus_frame`. TCP has no check code: what damages its bytes on
the way is TCP's to find, not the instrument's reader's.
"""

from __future__ import annotations

from drivers.simulated.bus import Slave
from drivers.simulated.sets import crc_bytes

_MBAP = 6


class _Framed:
    """Hands requests on to an RTU instrument."""

    every_s: float | None = None

    def __init__(self, slave: Slave) -> None:
        self.slave = slave
        self.address = slave.address

    def _asked(self, body: bytes, time_ms: int) -> bytes:
        """Address and PDU of the answer to those of a request; empty: none."""
        return self.slave.answer(body + crc_bytes(body), time_ms)[:-2]


class Ascii(_Framed):
    """Modbus ASCII."""

    def length(self, pending: bytes) -> int | None:
        """To the line's end, of requests with its address."""
        begin = b":%02X" % self.address
        if pending[: len(begin)].upper() != begin[: len(pending)]:
            return 0
        end = pending.find(b"\r\n")
        return None if end < 0 else end + 2

    def answer(self, request: bytes, time_ms: int) -> bytes:
        """Nothing to digits that are none, or with a wrong LRC."""
        try:
            body = bytes.fromhex(request[1:-2].decode("ascii"))
        except ValueError:
            return b""
        said = b"" if sum(body) & 0xFF else self._asked(body[:-1], time_ms)
        return said and b":%s%02X\r\n" % (said.hex().upper().encode("ascii"), -sum(said) & 0xFF)


class Tcp(_Framed):
    """Modbus TCP."""

    def length(self, pending: bytes) -> int | None:
        """As the head says, of requests with its address."""
        if pending[2:4] != b"\0\0"[: len(pending[2:4])]:
            return 0
        if len(pending) <= _MBAP:
            return None
        return _MBAP + int.from_bytes(pending[4:_MBAP], "big") if pending[_MBAP] == self.address else 0

    def answer(self, request: bytes, time_ms: int) -> bytes:
        """With the number of the request."""
        said = self._asked(request[_MBAP:], time_ms)
        return said and request[:4] + len(said).to_bytes(2, "big") + said
