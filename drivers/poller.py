"""What a line does, step by step, without a thread: polls, single exchanges between them, an open port.

    step ── Schedule: whose turn ──▶ driver.read(bus) ──▶ on_result(PollResult)
      ├─ a job waits: one exchange before the next poll, never two in a row while a poll is due
      ├─ port lost: closed at once, opened again for ever, 1 s … 10 s apart
      └─ held: left to a technician's tool; polls and jobs find the port missing until it is taken back

Slots follow the wall clock that is handed in, which may run faster than the machine's (demo); what happens on
the wire follows real monotonic time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from drivers.bus import NOT_ASKED, Caller, Counters, LineBus
from drivers.driver import Driver, Reading, Request
from drivers.errors import OTHER, BadAnswer, DeviceSilent, DriverError, OutcomeUnknown, PortLost
from drivers.jobs import Job, JobQueue
from drivers.port import LineSettings, LineStopped, Port
from drivers.schedule import Schedule, Turn

_REOPEN_FIRST_S = 1.0
_REOPEN_MAX_S = 10.0
_RETURN_S = 3.0
"""So long after a hold nothing is asked: a late answer to the tool would be taken for one to us."""
IDLE_MAX_S = 1.0
"""Longest sleep: a stepped clock is noticed and the watchdog fed at least this often."""


class LineClock(Protocol):
    """What a line needs of the daemon's clock: `edge.clock.Clock` is one."""

    speed: float

    def wall_ms(self) -> int:
        """UTC milliseconds."""
        ...

    def mono_s(self) -> float:
        """Seconds that never jump, in this clock's own pace."""
        ...


@dataclass(frozen=True, slots=True)
class LineInstrument:
    """One instrument of a line: its driver, cadence and manners. `timeout_s` and `gap_s` are real seconds."""

    name: str
    driver: Driver
    every_ms: int = 5_000
    timeout_s: float = 1.0
    retries: int = 2
    gap_s: float | None = None
    """Silence before this instrument is asked; None: the line's."""
    turnaround_s: float = 0.0
    """Silence after its answer, before anyone is asked."""


@dataclass(frozen=True, slots=True)
class PollResult:
    """What one poll brought, for the slot it was scheduled in (UTC ms).

    `error` is the last thing that went wrong in the pass: with no readings the reason, with some of them the
    reason for the missing ones. `at_mono` is the clock's monotonic time of the end of the pass.
    """

    instrument: str
    slot_ms: int
    readings: tuple[Reading, ...]
    error: DriverError | None
    at_mono: float


@dataclass(frozen=True, slots=True)
class LineState:
    """How a line is doing: per instrument counters, and the port."""

    open: bool
    error: DriverError | None
    """Why the port is not open."""
    opened: int
    lost: int
    foreign: int
    """Times that bytes came which answered nothing, since the start."""
    instruments: dict[str, Counters]
    breakers: dict[str, Breaker]
    held: bool = False
    """Whether the port is left to a tool."""
    rs485: bool | None = None
    """Whether the kernel switches the direction of this port; None: it was not asked to, or the port is not open."""


@dataclass(frozen=True, slots=True)
class Breaker:
    """Whether an instrument is polled in each slot, or has fallen silent and is tried from time to time.

    `silent`: after some polls without an answer, one attempt in the next slot; `thin`: ever more seldom.
    """

    state: Literal["answers", "silent", "thin"]
    failures: int
    """Polls in a row without an answer."""
    next_probe_ms: int | None
    """UTC; None: it answers. The probe may come later, where it would delay those who answer."""


class _InstrumentBus:
    """The bus as one driver sees it during one pass: keeps the last error of the pass."""

    def __init__(self, bus: LineBus, caller: Caller, attempts: int) -> None:
        self._bus = bus
        self._caller = caller
        self._attempts = attempts
        self.error: DriverError | None = None

    def ask(self, request: Request) -> bytes:
        try:
            return self._bus.ask(self._caller, request, self._attempts)
        except DriverError as error:
            self.error = error
            raise


class _LostBus:
    """The bus while the port is missing."""

    def __init__(self, error: DriverError | None) -> None:
        self._error = error or PortLost("drivers.port-closed")

    def ask(self, request: Request) -> bytes:
        raise self._error


class _Seat:
    """One instrument on the line, with its turn and its counters."""

    def __init__(self, index: int, instrument: LineInstrument, settings: LineSettings, speed: float) -> None:
        gap_s = settings.gap_s if instrument.gap_s is None else instrument.gap_s
        self.instrument = instrument
        self.caller = Caller(instrument.name, instrument.timeout_s, instrument.retries, gap_s, instrument.turnaround_s)
        self.turn = Turn(index, instrument.every_ms, instrument.timeout_s * speed)

    @property
    def attempts(self) -> int:
        """A silent instrument costs one time-out a probe."""
        return 1 if self.turn.probing else 1 + self.caller.retries

    def counters(self) -> Counters:
        self.caller.counters.missed = self.turn.missed
        return self.caller.counters.snapshot()


class Poller:
    """A line at work; `step` is called for ever by whoever owns the thread.

    `open_port` opens the line's port or raises PortLost; `jobs` takes what is asked beside the polls.
    """

    def __init__(
        self,
        settings: LineSettings,
        instruments: Sequence[LineInstrument],
        on_result: Callable[[PollResult], None],
        clock: LineClock,
        monotonic: Callable[[], float],
        open_port: Callable[[], Port],
        jobs: JobQueue | None = None,
    ) -> None:
        self._settings = settings
        self._on_result = on_result
        self._clock = clock
        self._now = monotonic
        self._open_port = open_port
        self._seats = [_Seat(index, one, settings, clock.speed) for index, one in enumerate(instruments)]
        self._by_name = {seat.instrument.name: seat for seat in self._seats}
        self._schedule = Schedule([seat.turn for seat in self._seats])
        self._jobs = jobs or JobQueue(settings.port, monotonic)
        self._job_was_last = False
        self._port: Port | None = None
        self._bus: LineBus | None = None
        self._port_error: DriverError | None = None
        self._reopen_at = monotonic()
        self._reopen_s = _REOPEN_FIRST_S
        self._opened = 0
        self._lost = 0
        self._held = self._hold_wanted = False
        self._stamp = monotonic()

    @property
    def stamp(self) -> float:
        """Monotonic time of the last progress."""
        return max(self._stamp, self._bus.stamp if self._bus else 0.0)

    def state(self) -> LineState:
        """A snapshot."""
        bus, port = self._bus, self._port
        return LineState(
            open=port is not None,
            error=self._port_error,
            opened=self._opened,
            lost=self._lost,
            foreign=bus.foreign if bus else 0,
            instruments={seat.instrument.name: seat.counters() for seat in self._seats},
            breakers={seat.instrument.name: self._breaker(seat.turn) for seat in self._seats},
            held=self._held,
            rs485=port.rs485 if port is not None else None,
        )

    def hold(self, on: bool) -> None:
        """Leave the port to a technician's tool, or take it back: by the next step; may be called from any thread."""
        self._hold_wanted = on

    def _breaker(self, turn: Turn) -> Breaker:
        if not turn.probing:
            return Breaker("answers", 0, None)
        wait_s = max(0.0, max(turn.not_before_s, turn.held_until_s) - self._clock.mono_s())
        at_ms = self._clock.wall_ms() + int(wait_s * 1000)
        return Breaker("thin" if turn.thin else "silent", turn.failures, at_ms)

    def step(self) -> float:
        """Run a job or poll whose turn it is; how long to wait then, in real seconds."""
        self._stamp = self._now()
        self._follow_hold()
        if self._port is None and not self._held and self._stamp >= self._reopen_at:
            self._open()
        wall_ms, mono_s = self._clock.wall_ms(), self._clock.mono_s()
        turn = self._schedule.pick(wall_ms, mono_s)
        job = self._job(turn, wall_ms, mono_s)
        self._job_was_last = job is not None
        if job is not None:
            self._run(job)
            return 0.0
        if turn is None:
            wait_s = self._schedule.wait_s(wall_ms, mono_s) / self._clock.speed
            return min(IDLE_MAX_S, wait_s)
        slot_ms = turn.slot(wall_ms)
        turn.polled(slot_ms)
        self._on_result(self._poll(self._seats[turn.index], slot_ms))
        return 0.0

    def _job(self, turn: Turn | None, wall_ms: int, mono_s: float) -> Job | None:
        """The job that goes before this turn."""
        if self._job_was_last and turn is not None:
            return None
        return self._jobs.take(lambda job: self._schedule.has_room(self._by_name[job.instrument].turn, wall_ms, mono_s))

    def _run(self, job: Job) -> None:
        seat = self._by_name[job.instrument]
        seat.caller.counters.jobs += 1
        bus = _LostBus(self._port_error) if self._bus is None or self._port is None else self._bus_of(self._bus, seat)
        error = self._jobs.run(job, bus)
        if self._port is not None:
            self._learn(seat, (), error)

    @staticmethod
    def _bus_of(bus: LineBus, seat: _Seat) -> _InstrumentBus:
        return _InstrumentBus(bus, seat.caller, seat.attempts)

    def _poll(self, seat: _Seat, slot_ms: int) -> PollResult:
        if self._port is None or self._bus is None:
            return self._result(seat, slot_ms, (), self._port_error)
        bus = self._bus_of(self._bus, seat)
        seat.caller.counters.polls += 1
        readings: list[Reading] = []
        error: DriverError | None = None
        try:
            readings = seat.instrument.driver.read(bus)
        except DriverError as caught:
            error = caught
        except Exception as fault:  # another package's driver is at fault: its neighbours are polled all the same
            if isinstance(fault, LineStopped):
                raise
            error = BadAnswer(OTHER, reason=f"{type(fault).__name__}: {fault}")
        self._learn(seat, readings, bus.error or error)
        return self._result(seat, slot_ms, tuple(readings), bus.error or error)

    def _learn(self, seat: _Seat, readings: Sequence[Reading], error: DriverError | None) -> None:
        if isinstance(error, PortLost):
            self._lost += 1
            self._give_up_port(error)
            return
        mono_s = self._clock.mono_s()
        self._hold(seat, mono_s)
        if readings or not isinstance(error, (DeviceSilent, BadAnswer, OutcomeUnknown)):
            self._schedule.heard(seat.turn, mono_s)
        elif error.code != NOT_ASKED:
            seat.turn.unheard(mono_s, silent=not isinstance(error, BadAnswer))

    def _hold(self, seat: _Seat, mono_s: float) -> None:
        """Nobody is asked while a late answer may come that would be taken for his."""
        if self._bus is None:
            return
        for each in self._seats:
            if each is seat or each.caller.unnamed:
                held_s = max(0.0, self._bus.open_until(each.caller) - self._now())
                each.turn.held_until_s = mono_s + held_s * self._clock.speed
        if seat.caller.unnamed:  # what holds it up holds up the others as well
            seat.turn.hold_s = seat.caller.open_s() * self._clock.speed

    def _result(
        self, seat: _Seat, slot_ms: int, readings: tuple[Reading, ...], error: DriverError | None
    ) -> PollResult:
        return PollResult(seat.instrument.name, slot_ms, readings, error, self._clock.mono_s())

    # -- the port

    def _follow_hold(self) -> None:
        if self._hold_wanted == self._held:
            return
        self._held = self._hold_wanted
        if self._held:
            self._close_port()
            self._port_error = PortLost("drivers.line-held")
        else:
            self._port_error = None
            self._reopen_at, self._reopen_s = self._now() + _RETURN_S, _REOPEN_FIRST_S

    def _open(self) -> None:
        try:
            self._port = self._open_port()
        except PortLost as error:
            self._give_up_port(error)
            return
        if self._bus is None:
            self._bus = LineBus(self._port, self._settings, self._now)
        self._bus.port = self._port
        self._port_error = None
        self._reopen_s = _REOPEN_FIRST_S
        self._opened += 1

    def _give_up_port(self, error: PortLost) -> None:
        self._close_port()
        self._port_error = error
        self._reopen_at = self._now() + self._reopen_s
        self._reopen_s = min(_REOPEN_MAX_S, self._reopen_s * 2)

    def close(self) -> None:
        """The end: gives the port back, and tells whoever waits."""
        self._jobs.close()
        self._close_port()

    def _close_port(self) -> None:
        port, self._port = self._port, None
        if port is not None:
            port.close()
