"""Simulated instruments on a pty, at the pace of their baud rate, with faults on demand.

    slaves ─▶ SimulatedBus(…).path ◀── pty ──▶ a line

What an instrument says is built in this folder from the papers, not with the drivers, so that neither hides a fault of
the other.
"""

from __future__ import annotations

import os
import pty
import random
import select
import threading
import time
import tty
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from drivers.simulated.sets import slaves as set_slaves

_CHAR_BITS = 10


class WallClock(Protocol):
    """What the simulated instruments need of a clock."""

    def wall_ms(self) -> int:
        """UTC milliseconds."""
        ...


class Slave(Protocol):
    """One instrument on the bus. `address` tells it apart here; `every_s`: it speaks by itself so often."""

    address: Any
    every_s: float | None

    def length(self, pending: bytes) -> int | None:
        """How long the request is that begins here; None: cannot be told yet; 0: not for this instrument."""
        ...

    def answer(self, request: bytes, time_ms: int) -> bytes:
        """What it answers, or says by itself to an empty request; empty: nothing."""
        ...


@dataclass(frozen=True, slots=True)
class Fault:
    """What an instrument does wrong, in `share` of its answers."""

    kind: Literal["silent", "late", "bad-crc", "noise", "damaged", "cut", "twice"]
    share: float = 1.0
    delay_s: float = 1.5
    """Of a late answer, on top of its time on the wire."""


class SimulatedBus:
    """A set of instruments behind one pty, served by a thread.

    `path` is what a line opens: the pty, or `link`, a symbolic link that follows the pty when the bus is
    unplugged and plugged in again. `faults` (address: Fault) may be changed at any time. Times on the wire
    are real, whatever the pace of `clock`; the clock only says which value is measured.
    """

    def __init__(
        self,
        slaves: str | Sequence[Slave],
        clock: WallClock,
        *,
        baud: int = 9600,
        link: Path | None = None,
        seed: int = 1,
    ) -> None:
        """`slaves`: what is on the bus, or the name of a set."""
        self.slaves: Sequence[Slave] = set_slaves(slaves) if isinstance(slaves, str) else slaves
        self.faults: dict[int | str, Fault] = {}
        self.answered = 0
        self._clock = clock
        self._char_s = _CHAR_BITS / baud
        self._link = link
        self._random = random.Random(seed)
        self._speak_at = {one.address: time.monotonic() + one.every_s for one in self.slaves if one.every_s is not None}
        self._master = self._slave = -1
        self._stopper = os.pipe()
        self._thread: threading.Thread | None = None
        self._plug()

    @property
    def path(self) -> str:
        """The device to open."""
        return str(self._link) if self._link else os.ttyname(self._slave)

    def start(self) -> None:
        """Begin answering."""
        self._thread = threading.Thread(target=self._serve, name="simulated bus", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End, and give the pty back."""
        self._halt()
        self._unplug()
        for fd in self._stopper:
            os.close(fd)

    def unplug(self) -> None:
        """Pull the adapter: the device disappears."""
        self._halt()
        self._unplug()

    def plug(self) -> None:
        """Put it in again: a new device, under the same `link`."""
        self._plug()
        self.start()

    def _halt(self) -> None:
        if self._thread is not None:
            os.write(self._stopper[1], b".")
            self._thread.join()
            os.read(self._stopper[0], 1)
            self._thread = None

    def _plug(self) -> None:
        self._master, self._slave = pty.openpty()
        # Our own hold on the slave keeps the master alive while no line has it open.
        tty.setraw(self._slave)
        if self._link is not None:
            if self._link.is_symlink():  # of a bus that was killed; anything else is not ours
                self._link.unlink()
            self._link.symlink_to(os.ttyname(self._slave))

    def _unplug(self) -> None:
        if self._master < 0:
            return
        if self._link is not None and self._link.is_symlink():
            self._link.unlink()
        os.close(self._slave)
        os.close(self._master)
        self._master = self._slave = -1

    def _serve(self) -> None:
        pending = b""
        while True:
            # a pause of 50 ms inside a request means that the rest of it never comes
            ready, _, _ = select.select([self._master, self._stopper[0]], [], [], 0.05 if pending else self._next_s())
            if self._stopper[0] in ready:
                return
            if self._master in ready:
                pending += os.read(self._master, 4096)
            elif pending:
                pending = b""
            if not self._speak():
                return
            while pending:
                slave, length = self._asked(pending)
                if length is None:
                    break
                request, pending = pending[: length or 1], pending[length or 1 :]
                if slave is not None and not self._reply(slave, request):
                    return

    def _asked(self, pending: bytes) -> tuple[Slave | None, int | None]:
        """Whom the request that begins here is for, and its length; None: cannot be told yet, 0: for nobody."""
        unsure = False
        for slave in self.slaves:
            length = slave.length(pending)
            if length and length <= len(pending):
                return slave, length
            unsure = unsure or length is None or length > len(pending)
        return None, None if unsure else 0

    def _next_s(self) -> float | None:
        """Until an instrument speaks by itself; None: none does."""
        first = min(self._speak_at.values(), default=None)
        return None if first is None else max(0.0, first - time.monotonic())

    def _speak(self) -> bool:
        """What instruments say by themselves; False when the bus is stopped meanwhile."""
        for slave in self.slaves:
            at = self._speak_at.get(slave.address)
            if at is not None and at <= time.monotonic():
                self._speak_at[slave.address] = at + (slave.every_s or 1.0)
                if not self._reply(slave, b""):
                    return False
        return True

    def _reply(self, slave: Slave, request: bytes) -> bool:
        """Answer when its last bit would have arrived; False when the bus is stopped meanwhile."""
        due = time.monotonic() + (len(request) + 3.5) * self._char_s
        fault = self.faults.get(slave.address)
        kind = fault.kind if fault and self._random.random() < fault.share else None
        answer = b"" if kind == "silent" else slave.answer(request, self._clock.wall_ms())
        if not answer:
            return True
        due += len(answer) * self._char_s + (fault.delay_s if fault and kind == "late" else 0.0)
        if select.select([self._stopper[0]], [], [], max(0.0, due - time.monotonic()))[0]:
            return False
        with suppress(BlockingIOError):
            os.write(self._master, spoilt(answer, kind, self._random))
        self.answered += 1
        return True


def spoilt(answer: bytes, kind: str | None, rng: random.Random) -> bytes:
    """An answer with what is wrong with its bytes."""
    match kind:
        case "bad-crc":
            return answer[:-1] + bytes([answer[-1] ^ 0x55])
        case "noise":
            return rng.randbytes(rng.randint(1, 12)) + answer
        case "damaged":
            at = rng.randrange(len(answer))
            return answer[:at] + bytes([answer[at] ^ 1 << rng.randrange(7)]) + answer[at + 1 :]
        case "cut":
            return answer[: rng.randrange(1, len(answer))]
        case "twice":
            return answer + answer
        case _:
            return answer
