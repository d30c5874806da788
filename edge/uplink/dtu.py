"""A transparent DTU (数传终端) on a serial port: bytes in, bytes out; the network behind it is its own business.

The port is opened by pyserial in a thread (a USB adapter may take its time) and then read and written by the event
loop. "Connected" means that the port is open: whether the platform is there shows in its answers alone, so `no_answer`
and `heartbeat` are worth a thought. A port that vanishes ends the link; it is opened again after the back-off.
"""

from __future__ import annotations

import asyncio
import errno
import io
import os
import termios
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from config.addresses import SerialPort
from edge.uplink.transport import Connection, LinkDown

if TYPE_CHECKING:
    import serial


class Dtu:
    """One serial port."""

    waits = False
    refused: Mapping[str, int] = MappingProxyType({})

    def __init__(self, address: str, port: SerialPort) -> None:
        self._address = address
        self._port = port

    async def open(self) -> Connection:
        """Open the port. Raises LinkDown."""
        try:
            device = await asyncio.to_thread(self._opened)
        except (OSError, ValueError, termios.error) as error:  # SerialException is an OSError
            raise LinkDown("port", f"{self._port.device}: {_reason(error)}") from error
        try:
            return await self._streams(device)
        finally:
            device.close()

    def close(self) -> None:
        """Nothing is held."""

    def _opened(self) -> serial.Serial:
        import serial  # of the uplinks only a DTU needs it

        data, parity, stop = self._port.format[0], self._port.format[1], self._port.format[2:]
        return serial.Serial(
            self._port.device, self._port.baud, int(data), parity, float(stop), timeout=0, exclusive=True
        )

    async def _streams(self, device: serial.Serial) -> Connection:
        """The port's descriptor twice, one end for each direction; pyserial's own is closed."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        incoming, outgoing = (io.FileIO(os.dup(device.fileno()), mode) for mode in ("r", "w"))
        reading, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), incoming)
        unread = asyncio.StreamReaderProtocol(asyncio.StreamReader())  # the flow control of the other direction
        writing, _ = await loop.connect_write_pipe(lambda: unread, outgoing)
        writer = asyncio.StreamWriter(writing, unread, reader, loop)
        made = Connection(reader, writer, self._address, self._port.device, outgoing.fileno)
        made.end_cause, made.also = "port", [reading]
        return made


def _reason(error: Exception) -> str:
    number = getattr(error, "errno", None)
    if number == errno.EAGAIN:  # of a lock: somebody else has the port
        number = errno.EBUSY
    return os.strerror(number) if number else str(error)
