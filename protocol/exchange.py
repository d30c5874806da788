"""Who waits for which answer, until when (HJ 212-2017 §6.1, §6.2): a machine without sockets and without a clock.

    send ─▶ open ─▶ answer with the same QN ─▶ closed
             │ time-out ─▶ Resend, the same bytes ─▶ … `retries` times ─▶ GaveUp
An answer is the expected CN with the QN of an open packet, nothing less; ST, Flag and PW of sloppy peers do not
count. The window of open packets grows by one an answer up to its maximum and falls to one after a time-out. Both sides
use it: the logger for its uploads, a platform for its commands (first 9011 or 9013; then `send` again with no data and
no retries for the 9012).
"""

from __future__ import annotations

from dataclasses import dataclass

from protocol.messages import asked_qn
from protocol.packet import Packet

DATA_ANSWER = frozenset({"9014"})


@dataclass(frozen=True, slots=True)
class Resend:
    """To be written again, byte for byte; `attempt` counts writings, so the first resend is 2."""

    qn: str
    data: bytes
    attempt: int


@dataclass(frozen=True, slots=True)
class GaveUp:
    """No answer after all resends; the packet is no longer open here (a late answer may still deliver it)."""

    qn: str


@dataclass(slots=True)
class _Open:
    data: bytes
    due: float
    resends_left: int
    expect: frozenset[str]
    attempt: int = 1


class Exchange:
    """Unanswered packets of one link. `now` is any clock in seconds that never jumps."""

    def __init__(self, timeout_s: float, retries: int, window: int = 1) -> None:
        self.timeout_s = timeout_s
        self.retries = retries
        """Resends after the first sending."""
        self.window = window
        """Open packets at most."""
        self.last_answer: float | None = None
        """When the last answer came."""
        self._size = 1
        self._open: dict[str, _Open] = {}

    def send(
        self,
        qn: str,
        data: bytes,
        now: float,
        retries: int | None = None,
        expect: frozenset[str] = DATA_ANSWER,
    ) -> None:
        """Register a packet that was just written and wants one of the answers `expect`."""
        left = self.retries if retries is None else retries
        self._open[qn] = _Open(data, now + self.timeout_s, left, expect)

    def answer(self, packet: Packet, now: float) -> str | None:
        """The QN that a packet answers, which is then closed; None: it answers nothing that is open."""
        qn = asked_qn(packet)
        open_ = self._open.get(qn) if qn else None
        if qn is None or open_ is None or packet.cn not in open_.expect:
            return None
        self.landed(qn, now)
        return qn

    def landed(self, qn: str, now: float) -> None:
        """A packet is answered: the window grows."""
        if self._open.pop(qn, None) is not None:
            self.last_answer = now
            self._size = min(self._size + 1, self.window)

    def poll(self, now: float) -> list[Resend | GaveUp]:
        """What is overdue now, oldest first."""
        due: list[Resend | GaveUp] = []
        for qn, open_ in list(self._open.items()):
            if now < open_.due:
                continue
            self._size = 1
            if open_.resends_left <= 0:
                del self._open[qn]
                due.append(GaveUp(qn))
                continue
            open_.resends_left -= 1
            open_.attempt += 1
            open_.due = now + self.timeout_s
            due.append(Resend(qn, open_.data, open_.attempt))
        return due

    def deadline(self) -> float | None:
        """When `poll` has something to do next."""
        return min((open_.due for open_ in self._open.values()), default=None)

    def room(self) -> int:
        """How many more packets may be open now."""
        return max(0, min(self._size, self.window) - len(self._open))

    def open(self) -> tuple[str, ...]:
        """QNs of the open packets, oldest first."""
        return tuple(self._open)

    def drop(self, qn: str) -> None:
        """No longer waited for: a newer packet takes its place (a late answer may still deliver it)."""
        self._open.pop(qn, None)

    def clear(self) -> None:
        """The link is down: nothing is open any more, and the window starts again at one."""
        self._open.clear()
        self._size = 1
