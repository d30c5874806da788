"""One command to a logger, from its first byte to its verdict (§6.5).

    request:  CN Flag=5 ──▶   ◀── 9011 QnRtn   ◀── data (get, history)   ◀── 9012 ExeRtn
    notice:   CN Flag=5 ──▶   ◀── 9013

No answer in time: the same bytes again, `retries` times. After a 9011 nothing is resent: when neither data
nor the result come in time, the command has failed (§6.2).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from edge.bench.waiting import within
from edge.clock import Clock
from protocol.exchange import Exchange, Resend
from protocol.messages import asked_qn
from protocol.packet import Packet


class Outcome(StrEnum):
    """How a command ended."""

    DONE = "done"
    """ExeRtn 1, or 9013 for a notice."""
    REFUSED = "refused"
    """QnRtn other than 1."""
    FAILED = "failed"
    """ExeRtn other than 1."""
    TIMEOUT = "timeout"
    """No request answer."""
    NO_RESULT = "no-result"
    """A request answer, and no result after it."""
    NO_LOGGER = "no-logger"
    """No logger of that MN has a link."""


@dataclass(frozen=True, slots=True)
class CommandResult:
    """The verdict on one command: the codes of its answers, its data packets, how often it was written."""

    mn: str
    cn: str
    qn: str
    outcome: Outcome
    qn_rtn: str | None = None
    exe_rtn: str | None = None
    data: tuple[Packet, ...] = ()
    sent: int = 0

    def get(self, name: str) -> str | None:
        """QnRtn, ExeRtn, or the first field of that name in the data."""
        known = {"qnrtn": self.qn_rtn, "exertn": self.exe_rtn}
        if name.lower() in known:
            return known[name.lower()]
        return next((value for packet in self.data if (value := packet.get(name)) is not None), None)


@dataclass(frozen=True, slots=True)
class Timing:
    """Time-outs of a command, seconds in the clock's pace; defaults of Table 1 for wireless links."""

    timeout_s: float = 10.0
    retries: int = 3
    result_s: float = 30.0
    """From a 9011, or the last data packet, to the next packet of the command."""


_REQUEST_ANSWERS = frozenset({"9011", "9012", "9013"})
_RESULT = frozenset({"9012"})


class Conversation:
    """A command that is under way; `inbox` gets every packet that may belong to it."""

    def __init__(self, request: Packet, timing: Timing, clock: Clock, write: Callable[[bytes], None]) -> None:
        self.request = request
        self.inbox: asyncio.Queue[Packet] = asyncio.Queue()
        self._frame = request.to_frame()
        self._timing = timing
        self._clock = clock
        self._write = write
        self._sent = 0
        self._data: list[Packet] = []

    def concerns(self, packet: Packet) -> bool:
        """Answers and parameter replies repeat the QN; history has its own, and lies in the asked range."""
        if asked_qn(packet) == self.request.qn:
            return True
        begin, end = self.request.get("BeginTime"), self.request.get("EndTime")
        label = packet.get("DataTime")
        if packet.cn != self.request.cn or begin is None or end is None or label is None:
            return False
        return begin <= label <= end

    async def run(self) -> CommandResult:
        """Write the command and wait for its end."""
        answer = await self._request_answer()
        if answer is None:
            return self._result(Outcome.TIMEOUT)
        if answer.cn == "9013":
            return self._result(Outcome.DONE)
        qn_rtn = answer.get("QnRtn")
        if answer.cn == "9012":
            return self._executed(answer, None)
        if qn_rtn != "1":
            return self._result(Outcome.REFUSED, qn_rtn)
        result = await self._execution()
        return self._result(Outcome.NO_RESULT, qn_rtn) if result is None else self._executed(result, qn_rtn)

    async def _request_answer(self) -> Packet | None:
        exchange = Exchange(self._timing.timeout_s, self._timing.retries, 1)
        exchange.send(self._qn, self._frame, self._clock.mono_s(), expect=_REQUEST_ANSWERS)
        self._put()
        while (deadline := exchange.deadline()) is not None:
            packet = await self._next(deadline)
            if packet is not None and exchange.answer(packet, self._clock.mono_s()) is not None:
                return packet
            self._keep(packet)
            for event in exchange.poll(self._clock.mono_s()):
                if isinstance(event, Resend):
                    self._put()
        return None

    async def _execution(self) -> Packet | None:
        deadline = self._clock.mono_s() + self._timing.result_s
        while (packet := await self._next(deadline)) is not None:
            if packet.cn in _RESULT and asked_qn(packet) == self._qn:
                return packet
            self._keep(packet)
            deadline = self._clock.mono_s() + self._timing.result_s
        return None

    async def _next(self, deadline_s: float) -> Packet | None:
        return await within(self._clock, deadline_s - self._clock.mono_s(), self.inbox.get())

    def _put(self) -> None:
        self._sent += 1
        self._write(self._frame)

    def _keep(self, packet: Packet | None) -> None:
        if packet is not None and packet.cn == self.request.cn and packet not in self._data:
            self._data.append(packet)

    @property
    def _qn(self) -> str:
        return self.request.qn or ""

    def _executed(self, result: Packet, qn_rtn: str | None) -> CommandResult:
        exe_rtn = result.get("ExeRtn")
        return self._result(Outcome.DONE if exe_rtn == "1" else Outcome.FAILED, qn_rtn, exe_rtn)

    def _result(
        self, outcome: Outcome, qn_rtn: str | None = None, exe_rtn: str | None = None
    ) -> CommandResult:
        mn, cn, data = self.request.mn, self.request.cn, tuple(self._data)
        return CommandResult(mn, cn, self._qn, outcome, qn_rtn, exe_rtn, data, self._sent)
