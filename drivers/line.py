"""One line: a thread that owns the port, polls its instruments, each in its slot, and asks between the polls.

A line that fails disturbs no other: each has its own thread and port. The thread ends only when it is
stopped, or by a fault of the program; then `alive` is false and the supervisor puts a new worker in its
place.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TypeVar

from drivers.bus import Counters
from drivers.driver import Bus
from drivers.jobs import JobQueue
from drivers.poller import Breaker, LineClock, LineInstrument, LineState, Poller, PollResult
from drivers.port import LineSettings, LineStopped, StopSignal, open_port
from drivers.tap import Tap, TappedPort

__all__ = [
    "Breaker", "Counters", "LineClock", "LineInstrument", "LineSettings", "LineState", "LineWorker", "PollResult",
]  # fmt: skip

T = TypeVar("T")

_STOP_S = 1.0


class LineWorker:
    """A line at work in its own thread; `on_result` is called there."""

    def __init__(
        self,
        name: str,
        settings: LineSettings,
        instruments: Sequence[LineInstrument],
        on_result: Callable[[PollResult], None],
        clock: LineClock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._stop = StopSignal()
        self._jobs = JobQueue(name, monotonic)
        self._names = frozenset(instrument.name for instrument in instruments)
        self.tap = Tap(monotonic)
        """What goes over the line, for listeners."""

        def opened() -> TappedPort:
            return TappedPort(open_port(settings, self._stop), self.tap)

        self._poller = Poller(settings, instruments, on_result, clock, monotonic, opened, self._jobs)
        self._thread = threading.Thread(target=self._run, name=f"line[{name}]", daemon=True)

    def start(self) -> None:
        """Begin polling."""
        self._thread.start()

    def stop(self) -> bool:
        """Stop within 1 s; False when the thread is still opening a far port and will end by itself."""
        self._stop.set()
        if self._thread.ident is None:
            self._jobs.close()
            self._stop.close()
        else:
            self._thread.join(_STOP_S)
        return not self._thread.is_alive()

    def submit(self, instrument: str, job: Callable[[Bus], T]) -> Future[T]:
        """Run one exchange with an instrument of this line in the line's thread, before its next poll.

        Give one exchange at a time: polls come in between. The future holds the result, or the DriverError:
        PortLost while the port is missing, LineClosed when the line is stopped first. Raises LineBusy when too
        much waits already, LineClosed after the stop, KeyError for an instrument of another line.
        """
        if instrument not in self._names:
            raise KeyError(instrument)
        future = self._jobs.submit(instrument, job)
        self._stop.wake()
        return future

    def hold(self, on: bool) -> None:
        """Leave the port to a tool, or take it back; `counters().held` says when the port is free."""
        self._poller.hold(on)
        self._stop.wake()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    @property
    def heartbeat(self) -> float:
        """Monotonic time of the last progress, for a watchdog: at most the longest time-out + 5 s ago."""
        return self._poller.stamp

    def counters(self) -> LineState:
        """A snapshot."""
        return self._poller.state()

    def _run(self) -> None:
        try:
            while True:
                self._stop.idle(self._poller.step())
        except LineStopped:
            pass
        finally:
            self._poller.close()
            self._stop.close()
