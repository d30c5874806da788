"""Opening a port with pyserial, and the five things a line does with it: write, read, wait, pause, close.

    /dev/tty…, /dev/serial/by-path/…, ptys      a device: locked for us alone, low latency where it is offered
    socket://host:port, rfc2217://host:port     a serial server

pyserial opens and configures; waiting is ours: one `select` or one timed sleep, ended by the stop signal.
Every OSError or SerialException of an open port is `PortLost`: the line closes it and opens it anew.
"""

from __future__ import annotations

import errno
import math
import os
import select
import socket
import termios
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import serial
import serial.rs485

from drivers.errors import PortLost

_CHUNK = 4096
_WHY_NOT = {
    errno.ENOENT: "drivers.port-missing",
    errno.EACCES: "drivers.port-denied",
    errno.EPERM: "drivers.port-denied",
    errno.EAGAIN: "drivers.port-in-use",
    errno.EBUSY: "drivers.port-in-use",
}
_RFC2217_WAIT_S = 0.1
"""Longest blocking read on an rfc2217 port: its bytes come through pyserial's thread, not a descriptor."""
_PEER_DEAD_MS = 15_000
"""Unacknowledged for this long, a TCP link to a serial server is dead."""


class LineStopped(Exception):
    """The line is being stopped; passes through the driver."""


@dataclass(frozen=True, slots=True)
class Rs485:
    """The kernel switches the transceiver's direction by RTS (TIOCSRS485)."""

    rts_on_send: bool = True
    """RTS is high while sending, low while receiving; False: the other way round."""
    delay_before_s: float = 0.0
    """Between switching and the first byte."""
    delay_after_s: float = 0.0
    """Between the last byte and switching back."""


@dataclass(frozen=True, slots=True)
class LineSettings:
    """A line's port, and the times that follow from its baud rate and format (seconds)."""

    port: str
    baud: int = 9600
    format: str = "8N1"
    gap_s: float = 0.0
    """Silence between frames, added to the 3.5 characters that Modbus asks for."""
    rs485: Rs485 | None = None
    """None: the adapter does it by itself, as nearly all do."""

    @property
    def char_s(self) -> float:
        """One character on the wire: start, data, parity and stop bits."""
        data, parity, stop = int(self.format[0]), self.format[1] != "N", float(self.format[2:])
        return (1 + data + parity + stop) / self.baud

    @property
    def silence_s(self) -> float:
        """The silence that ends a Modbus frame: 3.5 characters, above 19,200 baud 1.75 ms.

        Source: MODBUS over Serial Line V1.02 §2.5.1.1.
        """
        return 0.001750 if self.baud > 19_200 else 3.5 * self.char_s


class StopSignal:
    """Ends every wait of a line at once, from any thread; `wake` ends its idling only."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._awake = threading.Event()
        self._lock = threading.Lock()
        self._closed = False
        self._reader, self._writer = os.pipe()

    def fileno(self) -> int:
        """Readable from the stop on."""
        return self._reader

    def set(self) -> None:
        """Stop."""
        with self._lock:
            if not self._closed and not self._event.is_set():
                os.write(self._writer, b".")
            self._event.set()
            self._awake.set()

    def wake(self) -> None:
        """There is something to do: end the present `idle`, or the next one."""
        self._awake.set()

    def idle(self, seconds: float) -> None:
        """Let time pass while there is nothing to do. Raises LineStopped."""
        self._awake.wait(max(0.0, seconds))
        self._awake.clear()
        self.pause(0.0)

    def pause(self, seconds: float) -> None:
        """Let time pass. Raises LineStopped."""
        if self._event.wait(max(0.0, seconds)):
            raise LineStopped

    def close(self) -> None:
        """Give the descriptors back."""
        with self._lock:
            if not self._closed:
                self._closed = True
                os.close(self._reader)
                os.close(self._writer)


class Port(Protocol):
    """An open port. `write`, `read` and `wait` raise PortLost; `wait` and `pause` raise LineStopped."""

    rs485: bool | None
    """Whether the kernel switches its direction; None: it was not asked to."""

    def write(self, data: bytes) -> None:
        """Hand one frame to the port."""
        ...

    def read(self) -> bytes:
        """What has come so far; empty where nothing has. Does not wait."""
        ...

    def wait(self, seconds: float) -> bool:
        """Wait until something has come (True), at most so long."""
        ...

    def pause(self, seconds: float) -> None:
        """Let time pass, whatever comes."""
        ...

    def close(self) -> None:
        """Give the port back; never fails."""
        ...


def open_port(settings: LineSettings, stop: StopSignal) -> Port:
    """Open a port by device path or URL. Raises PortLost when it is missing, refused or in use."""
    remote = "://" in settings.port
    blocking = settings.port.startswith("rfc2217://")
    options: dict[str, Any] = {
        "baudrate": settings.baud,
        "bytesize": int(settings.format[0]),
        "parity": settings.format[1],
        "stopbits": float(settings.format[2:]),
        "timeout": _RFC2217_WAIT_S if blocking else 0,
        "exclusive": None if remote else True,
    }
    try:
        device = serial.serial_for_url(settings.port, **options)
    except (OSError, ValueError, termios.error) as error:  # SerialException is an OSError
        raise _not_opened(error, settings.port) from error
    port: _DescriptorPort | _Rfc2217Port = (_Rfc2217Port if blocking else _DescriptorPort)(device, stop)
    if settings.rs485 is not None:
        port.rs485 = not remote and _switched(device, settings.rs485)
    return port


def _switched(device: Any, wanted: Rs485) -> bool:
    """Let the kernel switch the direction; False where the port does not offer it."""
    settings = serial.rs485.RS485Settings(
        rts_level_for_tx=wanted.rts_on_send,
        rts_level_for_rx=not wanted.rts_on_send,
        delay_before_tx=wanted.delay_before_s,
        delay_before_rx=wanted.delay_after_s,
    )
    try:
        device.rs485_mode = settings
    except (OSError, ValueError, NotImplementedError):
        return False
    return True


def _lost(error: Exception, port: str) -> PortLost:
    return PortLost("drivers.port-lost", port=port, reason=str(error))


def _not_opened(error: Exception, port: str) -> PortLost:
    """What a technician can do something about has a text of its own."""
    code = _WHY_NOT.get(getattr(error, "errno", None) or 0, "drivers.port-lost")
    return PortLost(code, port=port, reason=str(error))


class _DescriptorPort:
    """A device or a TCP socket: has a descriptor."""

    def __init__(self, device: Any, stop: StopSignal) -> None:
        self._device = device
        self._stop = stop
        self.rs485: bool | None = None
        self._fd: int = device.fileno()
        self.pause = stop.pause
        if hasattr(device, "set_low_latency_mode"):
            with suppress(ValueError, NotImplementedError):  # a pty or an adapter that has no such mode
                device.set_low_latency_mode(True)
        else:
            self._watch_peer()

    def _watch_peer(self) -> None:
        with socket.socket(fileno=os.dup(self._fd)) as twin:
            twin.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            twin.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            twin.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _PEER_DEAD_MS)

    def write(self, data: bytes) -> None:
        try:
            written = os.write(self._fd, data)
        except OSError as error:
            raise _lost(error, self._device.port) from error
        if written != len(data):
            raise PortLost("drivers.port-stuck", port=self._device.port)

    def read(self) -> bytes:
        if not self._ready(0.0):
            return b""
        try:
            data = os.read(self._fd, _CHUNK)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise _lost(error, self._device.port) from error
        if not data:  # readable and empty: the adapter is unplugged, or the peer has closed
            raise PortLost("drivers.port-gone", port=self._device.port)
        return data

    def wait(self, seconds: float) -> bool:
        return self._ready(max(0.0, seconds))

    def _ready(self, seconds: float) -> bool:
        try:
            ready, _, _ = select.select([self._fd, self._stop.fileno()], [], [], seconds)
        except (OSError, ValueError) as error:
            raise _lost(error, self._device.port) from error
        if self._stop.fileno() in ready:
            raise LineStopped
        return bool(ready)

    def close(self) -> None:
        # pyserial leaves a socket whose peer has gone to the garbage collector
        twin = getattr(self._device, "_socket", None)
        with suppress(OSError):
            self._device.close()
        if twin is not None:
            twin.close()


class _Rfc2217Port:
    """A serial server by RFC 2217: pyserial's thread fills a queue."""

    def __init__(self, device: Any, stop: StopSignal) -> None:
        self.rs485: bool | None = None
        self._device = device
        self._stop = stop
        self._ahead = b""
        self.pause = stop.pause

    def write(self, data: bytes) -> None:
        try:
            self._device.write(data)
        except OSError as error:
            raise _lost(error, self._device.port) from error

    def read(self) -> bytes:
        try:
            waiting = self._device.in_waiting
            data = self._ahead + (self._device.read(waiting) if waiting else b"")
        except OSError as error:
            raise _lost(error, self._device.port) from error
        self._ahead = b""
        return data

    def wait(self, seconds: float) -> bool:
        # whole blocking reads: on silence up to one of them too long, on an answer not at all
        for _ in range(max(1, math.ceil(seconds / _RFC2217_WAIT_S))):
            self._stop.pause(0.0)
            if self._ahead:
                return True
            try:
                self._ahead = self._device.read(1)
            except OSError as error:
                raise _lost(error, self._device.port) from error
        return bool(self._ahead)

    def close(self) -> None:
        with suppress(OSError):
            self._device.close()
