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

from edge.bench.edition import Edition
from edge.bench.received import Finding
from edge.bench.sequence import ANSWERS, RESULT, Shape, judge, missing_data, shape
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


class Conformity(StrEnum):
    """The verdict on an exchange against the standard's sequence."""

    CONFORMS = "conforms"
    DEVIATES = "deviates"
    REFUSED = "refused"
    """The sequence is right; QnRtn says no."""
    NOT_SUPPORTED = "not-supported"
    """QnRtn 8, or ExeRtn 3 (2005: 2) where an instrument or a piece of information was asked for."""
    FAILED = "failed"
    """The sequence is right; ExeRtn reports a failure."""
    TIMEOUT = "timeout"
    NOT_CHECKED = "not-checked"
    """Nothing was sent, or what was waited for has not come up."""


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What became of one command: the codes of its answers, its data, how often it was written, the verdict."""

    mn: str
    cn: str
    qn: str
    outcome: Outcome
    qn_rtn: str | None = None
    exe_rtn: str | None = None
    data: tuple[Packet, ...] = ()
    sent: int = 0
    heard: tuple[Packet, ...] = ()
    """All packets of the logger that belong, or should belong, to the exchange, in their order."""
    deviations: tuple[Finding, ...] = ()
    request: Packet | None = None
    unsupported: str = "3"
    """ExeRtn with which the edition says that an instrument cannot do what is asked."""

    def get(self, name: str) -> str | None:
        """QnRtn, ExeRtn, or the first field of that name in the data."""
        known = {"qnrtn": self.qn_rtn, "exertn": self.exe_rtn}
        if name.lower() in known:
            return known[name.lower()]
        return next((value for packet in self.data if (value := packet.get(name)) is not None), None)

    @property
    def conformity(self) -> Conformity:
        """The verdict; a history or a reply without data (ExeRtn 100) is as good as one with."""
        if self.deviations:
            return Conformity.DEVIATES
        if self.outcome is Outcome.REFUSED:
            return Conformity.NOT_SUPPORTED if self.qn_rtn == "8" else Conformity.REFUSED
        if self.outcome is Outcome.FAILED:
            return self._failure()
        return Conformity.CONFORMS if self.outcome is Outcome.DONE else Conformity.TIMEOUT

    def _failure(self) -> Conformity:
        asked = self.request
        about_instrument = asked is not None and (asked.get("PolId") or asked.get("InfoId") or asked.cn == "3015")
        if self.exe_rtn == self.unsupported and about_instrument:
            return Conformity.NOT_SUPPORTED
        brings_data = asked is not None and shape(asked) in (Shape.GET, Shape.HISTORY)
        return Conformity.CONFORMS if self.exe_rtn == "100" and brings_data else Conformity.FAILED


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

    def __init__(
        self,
        request: Packet,
        timing: Timing,
        clock: Clock,
        write: Callable[[bytes], None],
        edition: Edition,
    ) -> None:
        self.request = request
        self.inbox: asyncio.Queue[Packet] = asyncio.Queue()
        self._frame = request.to_frame()
        self._timing = timing
        self._clock = clock
        self._write = write
        self._edition = edition
        self._sent = 0
        self._heard: list[Packet] = []

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
        if not self._edition.has_result(self.request.cn):
            return self._result(Outcome.DONE, qn_rtn)
        result = await self._execution()
        return self._result(Outcome.NO_RESULT, qn_rtn) if result is None else self._executed(result, qn_rtn)

    async def _request_answer(self) -> Packet | None:
        exchange = Exchange(self._timing.timeout_s, self._timing.retries, 1)
        exchange.send(self._qn, self._frame, self._clock.mono_s(), expect=ANSWERS)
        self._put()
        while (deadline := exchange.deadline()) is not None:
            packet = await self._next(deadline)
            if packet is not None and exchange.answer(packet, self._clock.mono_s()) is not None:
                return packet
            for event in exchange.poll(self._clock.mono_s()):
                if isinstance(event, Resend):
                    self._put()
        return None

    async def _execution(self) -> Packet | None:
        deadline = self._clock.mono_s() + self._timing.result_s
        while (packet := await self._next(deadline)) is not None:
            if packet.cn == RESULT and asked_qn(packet) == self._qn:
                return packet
            deadline = self._clock.mono_s() + self._timing.result_s
        return None

    async def _next(self, deadline_s: float) -> Packet | None:
        packet = await within(self._clock, deadline_s - self._clock.mono_s(), self.inbox.get())
        if packet is not None:
            self._heard.append(packet)
        return packet

    def _put(self) -> None:
        self._sent += 1
        self._write(self._frame)

    @property
    def _qn(self) -> str:
        return self.request.qn or ""

    def _executed(self, result: Packet, qn_rtn: str | None) -> CommandResult:
        exe_rtn = result.get("ExeRtn")
        return self._result(Outcome.DONE if exe_rtn == "1" else Outcome.FAILED, qn_rtn, exe_rtn)

    def _result(self, outcome: Outcome, qn_rtn: str | None = None, exe_rtn: str | None = None) -> CommandResult:
        while not self.inbox.empty():  # what came in one reading with the last answer
            self._heard.append(self.inbox.get_nowait())
        request, heard = self.request, tuple(self._heard)
        data = tuple(dict.fromkeys(packet for packet in heard if packet.cn == request.cn))
        deviations = (
            *judge(request, heard, self._sent > 1, self._edition),
            *missing_data(request, heard, exe_rtn),
        )
        ended = (request.mn, request.cn, self._qn, outcome, qn_rtn, exe_rtn)
        return CommandResult(*ended, data, self._sent, heard, deviations, request, self._edition.unsupported)
