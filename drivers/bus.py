"""One exchange on a line: silence, gap, write, wait, check, retry, and the rule for late answers.

    ──silence+gap──▶ request ──▶ pause until the answer is due ──▶ read ──▶ check ──▶ answer
                                                            └─ nothing ─▶ time-out ─▶ the request stays *open*

A Modbus answer names no register, so an answer that comes after its time-out must not meet another request
that it fits. A request stays open until it is answered, or until no answer can come any more. While it is
open, the same bytes may be sent again (a retry: the same registers), requests that cannot be confused with it
go on, and one that could be waits. What comes and answers an open request is counted as late, the rest as
foreign; both are thrown away. A request that changes something is sent once: unanswered, it may have been
carried out. No clock of its own: time, waiting and the port are handed in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from drivers.driver import Request
from drivers.errors import BadAnswer, DeviceRefused, DeviceSilent, DriverError, OutcomeUnknown
from drivers.port import LineSettings, Port
from drivers.stream import FRESH_S, Stream

_OPEN_FACTOR = 4.0
"""A request stays open for this many time-outs: answers come late by up to three, and later ones are not known."""
_SLOW_FACTOR = 8.0
"""Of an instrument that proves to be slower: for this many."""
_USUAL_FACTOR = 4.0
"""An answer that nothing delays comes within so many mean round trips."""
_PROOF = 3
"""So many answers between the two prove it, with none in time among them: a stranger's frame looks like one."""
_HOLD_S = 4.0
"""So long the line is held for a late answer; a request that would wait longer is given up for this pass."""
NOT_ASKED = "drivers.late-answer-due"
"""Code of the error of a request that was given up so."""
_REMEMBER_S = 60.0
"""So long a late answer is still attributed to whom it comes from."""
_BUSY_S = 2.0
"""So long a line may babble before a request on it is given up."""
_WINDOW = 1024
"""So many of the last bytes are looked at; no frame of an instrument is longer."""
_HANDFUL = 8
"""Bytes that are let come together when strange ones arrive, rather than looking at each."""
_DAMAGED_S = 0.02
"""After a damaged answer, silence of this length means that no more comes (adapters deliver in bursts)."""


@dataclass(slots=True)
class Counters:
    """What one instrument did since the start, in exchanges; round trips in seconds."""

    asked: int = 0
    answered: int = 0
    retries: int = 0
    silent: int = 0
    late: int = 0
    bad_crc: int = 0
    refused: int = 0
    exceptions: dict[str, int] = field(default_factory=dict)
    """Refusals by the code that the instrument gave."""
    foreign: int = 0
    """Times that bytes came which answer nothing asked: echo, noise, another slave."""
    polls: int = 0
    jobs: int = 0
    """Exchanges beside the polls: control commands, parameters, clocks."""
    missed: int = 0
    """Slots that passed without a poll: the line was busy, or a silent instrument was left alone."""
    round_trip_s: float | None = None
    round_trip_mean_s: float | None = None
    round_trip_max_s: float | None = None

    def snapshot(self) -> Counters:
        """A copy that stays as it is."""
        return replace(self, exceptions=dict(self.exceptions))

    def took(self, seconds: float) -> None:
        """An answer was used, so long after its request."""
        self.answered += 1
        mean_s = self.round_trip_mean_s or 0.0
        self.round_trip_s = seconds
        self.round_trip_mean_s = mean_s + (seconds - mean_s) / self.answered
        self.round_trip_max_s = max(seconds, self.round_trip_max_s or 0.0)

    def said_no(self, error: DeviceRefused) -> None:
        """The instrument refused."""
        self.refused += 1
        code = str(error.params.get("exception", "-"))
        self.exceptions[code] = self.exceptions.get(code, 0) + 1


@dataclass(slots=True)
class Caller:
    """One instrument on the line: its manners, and what is remembered about it."""

    name: str
    timeout_s: float = 1.0
    retries: int = 2
    gap_s: float = 0.0
    turnaround_s: float = 0.0
    """Silence after its answer, before anyone is asked: its driver leaves the wire so slowly."""
    counters: Counters = field(default_factory=Counters)
    very_late: int = 0
    """Answers that came after `open_s`, since the last one in time."""
    unnamed: bool = False
    """Its answers do not say whose they are: while any answer may come on the line, it is not asked."""

    def usual_s(self) -> float:
        """How long after a request its answer comes, if nothing delays it; without one so far, no bound."""
        mean_s = self.counters.round_trip_mean_s
        return math.inf if mean_s is None else _USUAL_FACTOR * mean_s + _DAMAGED_S

    def open_s(self) -> float:
        """How long after its answer was due a request can still be answered, in seconds."""
        return (_OPEN_FACTOR if self.very_late < _PROOF else _SLOW_FACTOR) * self.timeout_s


@dataclass(slots=True)
class _Open:
    """A request that was sent and whose answer may still come."""

    request: Request
    caller: Caller
    sent: float
    until: float
    """Until then a request that could be confused with it waits."""
    ask: int
    due: float
    """When an answer of the usual pace must have come: its time-out, or a few of the instrument's round trips."""
    came_late: bool = False

    def keeps(self, caller: Caller, request: Request) -> float:
        """Until when a request has to wait for it.

        Where a retry was answered, it may have been by the answer to the attempt before: until its own has come or
        it is overdue, its instrument is asked nothing else, since that one might be of a wrong length.
        """
        if _confusable(self.request, request):
            return self.until
        return 0.0 if self.came_late or self.caller is not caller else self.due


@dataclass(frozen=True, slots=True)
class _Found:
    """What a look through received bytes gives."""

    answer: bytes | None = None
    refused: DeviceRefused | None = None
    damaged: BadAnswer | None = None
    missing: int | None = None
    """Bytes still to come of an answer that has begun; None: nothing has begun."""
    start: int = 0
    end: int = 0


def _confusable(open_: Request, request: Request) -> bool:
    """Whether an answer to the one could be taken for an answer to the other, which is to be sent."""
    return not request.confusable or open_.confusable == request.confusable


def _starts(data: bytes, request: Request) -> Iterator[int]:
    """Where an answer may begin."""
    if not request.first or not request.anywhere:
        yield from range(len(data) if request.anywhere else min(1, len(data)))
        return
    start = data.find(request.first)
    while start >= 0:
        yield start
        start = data.find(request.first, start + 1)


def _begin(data: bytes, start: int, request: Request) -> int:
    """Where an answer begins with the bytes that lead to it."""
    return len(data[:start].rstrip(request.lead)) if request.lead else start


def _search(data: bytes, request: Request, ended: bool = False) -> _Found:
    """Look for an answer; `ended`: silence has come, which ends one whose length cannot be told."""
    damaged: BadAnswer | None = None
    missing: int | None = None
    for start in _starts(data, request):
        rest = data[start:]
        length = request.length(rest)
        by_silence = ended and length is None and request.idle_s is not None
        length = len(rest) if by_silence else length
        if length is None or length > len(rest):
            if missing is None:
                missing = (length or max(request.expected, len(rest) + 1)) - len(rest)
            continue
        if length <= 0:
            continue
        try:
            request.check(rest[:length])
        except DeviceRefused as error:
            return _Found(refused=error, start=_begin(data, start, request), end=start + length)
        except BadAnswer as error:
            damaged = damaged or error
            missing = 1 if by_silence else missing  # the rest may come after a pause
        else:
            return _Found(answer=rest[:length], start=_begin(data, start, request), end=start + length)
    return _Found(damaged=damaged, missing=missing)


class LineBus:
    """The exchanges of one line. `port` is replaced when it was lost: what is open stays open."""

    def __init__(self, port: Port, settings: LineSettings, monotonic: Callable[[], float]) -> None:
        self.port = port
        self._char_s = settings.char_s
        self._silence_s = settings.silence_s
        self._now = monotonic
        self._quiet_from = monotonic()
        self._open: list[_Open] = []
        self._asks = 0
        self._stream: Stream | None = None
        self._stream_port: Port | None = None
        self.foreign = 0
        """Times that bytes came which answered nothing."""
        self.stamp = self._quiet_from
        """When the line last did something, for a watchdog."""

    def ask(self, caller: Caller, request: Request, attempts: int) -> bytes:
        """One request, sent `attempts` times at most; the checked answer.

        Raises DeviceSilent, BadAnswer, DeviceRefused, PortLost, LineStopped; OutcomeUnknown, without another
        attempt, where a request that is sent once went out and was not answered.
        """
        self._asks += 1
        if request.after is not None:
            return self._listen(caller, request)
        caller.unnamed = not request.confusable
        self._await_turn(caller, request)
        last: DriverError | None = None
        for attempt in range(attempts):
            caller.counters.retries += attempt > 0
            try:
                self._await_silence(caller)
                return self._exchange(caller, request)
            except (DeviceSilent, BadAnswer) as error:
                last = error
        raise last or DeviceSilent("drivers.silent", instrument=caller.name, timeout_s=caller.timeout_s)

    # -- instruments that speak by themselves

    def _listen(self, caller: Caller, request: Request) -> bytes:
        """The newest telegram since the last look, else the first one that comes within the time-out."""
        if self._stream is None or self._stream_port is not self.port:
            self._stream, self._stream_port = Stream(self._now() - FRESH_S - 1.0), self.port
        caller.counters.asked += 1
        began = self.stamp = self._now()
        while True:
            heard = self._stream.take(self._all(), request, self._now())
            if heard is not None:
                caller.counters.answered += 1
                return heard
            left = began + caller.timeout_s - self._now()
            if left <= 0 or not self.port.wait(left):
                caller.counters.silent += 1
                raise DeviceSilent("drivers.no-telegram", instrument=caller.name, timeout_s=caller.timeout_s)
            self.port.pause(min(left, _HANDFUL * self._char_s))

    def _all(self) -> bytes:
        """All that has come."""
        data = b""
        while came := self._read():
            data += came
        return data

    # -- before the request

    def open_until(self, caller: Caller) -> float:
        """Until when (monotonic) a late answer may come that this instrument's could be taken for."""
        return max((o.until for o in self._open if o.caller is caller or caller.unnamed), default=0.0)

    def _await_turn(self, caller: Caller, request: Request) -> None:
        """Wait while an answer may come that this request would take for its own."""
        while True:
            self.stamp = now = self._now()
            self._open = [o for o in self._open if max(o.until, o.sent + _REMEMBER_S) > now]
            until = max((o.keeps(caller, request) for o in self._open), default=now)
            if until <= now:
                return
            if until - now > _HOLD_S:
                wait_s = round(until - now, 1)
                raise DeviceSilent(NOT_ASKED, instrument=caller.name, wait_s=wait_s)
            if self.port.wait(until - now):
                self.port.pause(max(1, request.expected) * self._char_s)
                self._stray(caller, self._read())

    def _await_silence(self, caller: Caller) -> None:
        """The silence that ends the frame before, and the gap; what comes meanwhile is thrown away."""
        need = self._silence_s + caller.gap_s
        began = self._now()
        strays = b""
        while True:
            left = self._quiet_from + need - self._now()
            if left > 0:
                self.port.pause(left)
            data = self._read()
            strays += data
            if not data or self._now() - began > _BUSY_S:
                break
        self._stray(caller, strays)
        if data:
            raise BadAnswer("drivers.line-busy", instrument=caller.name)

    # -- the exchange

    def _exchange(self, caller: Caller, request: Request) -> bytes:
        if not request.once:
            return self._spoken(caller, request)
        try:
            return self._spoken(caller, request)
        except (DeviceSilent, BadAnswer) as error:
            raise OutcomeUnknown("drivers.write-unknown", instrument=caller.name, reason=error.code) from error

    def _spoken(self, caller: Caller, request: Request) -> bytes:
        caller.counters.asked += 1
        sent = self._now()
        self.stamp = sent
        through = sent + (len(request.data) + request.expected) * self._char_s
        deadline = (through if request.paced else sent) + caller.timeout_s
        due = min(deadline, through + caller.usual_s())  # long answers take the wire longer than the mean knows
        self._open.append(_Open(request, caller, sent, through + caller.open_s(), self._asks, due))
        self.port.write(request.data)
        if request.paced:
            self.port.pause(through + self._silence_s - self._now())
        return self._receive(caller, request, sent, deadline)

    def _receive(self, caller: Caller, request: Request, sent: float, deadline: float) -> bytes:
        data, ended = b"", False
        while True:
            came = self._read()
            ended = ended and not came
            data = (data + came)[-_WINDOW:]
            found = _search(data, request, ended)
            if found.answer is not None or found.refused is not None:
                return self._accept(caller, sent, data, found)
            left = deadline - self._now()
            if left > 0 and data and request.idle_s is not None and not ended:
                ended = not self.port.wait(min(left, request.idle_s)) and left >= request.idle_s
                continue
            if left > 0 and data and request.paced:
                pause_s = min(left, (found.missing or _HANDFUL) * self._char_s)
                self.port.pause(pause_s)
                left -= pause_s
            if found.damaged is not None and found.missing is None:
                left = min(left, self._silence_s + _DAMAGED_S)
            if left < 0 or not self.port.wait(left):
                raise self._failed(caller, data, found)

    def _read(self) -> bytes:
        data = self.port.read()
        if data:
            self._quiet_from = max(self._quiet_from, self._now())
        return data

    def _accept(self, caller: Caller, sent: float, data: bytes, found: _Found) -> bytes:
        # An exception names less than an answer: it may be that of another open request; then both stay open.
        ambiguous = found.refused is not None and self._others_open(caller)
        if not ambiguous:
            self._close_oldest()
        self._stray(caller, data[: found.start])
        self._stray(caller, data[found.end :])
        if found.refused is not None:
            caller.counters.said_no(found.refused)
            raise found.refused
        self._quiet_from += caller.turnaround_s
        caller.very_late = 0
        caller.counters.took(self._now() - sent)
        return found.answer or b""

    def _others_open(self, caller: Caller) -> bool:
        now = self._now()
        return any(o.caller is caller and o.ask != self._asks and o.until > now for o in self._open)

    def _failed(self, caller: Caller, data: bytes, found: _Found) -> DriverError:
        if not data:
            caller.counters.silent += 1
            return DeviceSilent("drivers.silent", instrument=caller.name, timeout_s=caller.timeout_s)
        if found.damaged is not None:
            caller.counters.bad_crc += 1
            if found.missing is None:
                self._close_oldest()
            return found.damaged
        self._stray(caller, data)
        if found.missing is not None:
            return BadAnswer("drivers.cut-short", instrument=caller.name, answer=data[:64].hex(" "))
        caller.counters.silent += 1
        return DeviceSilent("drivers.foreign", instrument=caller.name, answer=data[:64].hex(" "))

    # -- what nobody waits for

    def _close_oldest(self) -> None:
        """An answer to this ask has come; where it was sent twice, the other one may still come."""
        for index, open_ in enumerate(self._open):
            if open_.ask == self._asks:
                del self._open[index]
                return

    def _stray(self, caller: Caller, data: bytes) -> None:
        """Attribute bytes that answer no present request: late for an open one, else foreign."""
        if not data:
            return
        now = self._now()
        for open_ in reversed(self._open):  # of two that were asked the same the later one: nobody is as slow as that
            # It stays open: these bytes may be the same answer twice, and the late one still to come.
            if not open_.came_late and _search(data, open_.request, ended=True).answer is not None:
                open_.came_late = True
                open_.caller.counters.late += 1
                open_.caller.very_late += open_.until < now < open_.sent + _SLOW_FACTOR * open_.caller.timeout_s
                return
        caller.counters.foreign += 1
        self.foreign += 1
