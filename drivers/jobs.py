"""What is asked of a line's instruments beside the polls: single exchanges, queued, each with a future.

    any thread ── submit ──▶ queue (bounded) ──▶ the line's thread, between two polls ──▶ future

A job is one exchange, so that polls come in between; two jobs never follow each other while a poll is due.
Whoever waits on a future is always told: a full queue, a lost port and a stopped line are errors.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from drivers.driver import Bus
from drivers.errors import DriverError, LineBusy, LineClosed

T = TypeVar("T")

LIMIT = 32
"""Jobs that wait for one line at most."""
PATIENCE_S = 10.0
"""After this long a job no longer waits for a better moment."""


@dataclass(frozen=True, slots=True)
class Job:
    """One exchange that waits for its turn; `since`: monotonic time of its coming."""

    instrument: str
    run: Callable[[Bus], Any]
    future: Future[Any]
    since: float


class JobQueue:
    """The jobs of one line; `submit` may be called from any thread."""

    def __init__(self, line: str, monotonic: Callable[[], float]) -> None:
        self._line = line
        self._now = monotonic
        self._lock = threading.Lock()
        self._jobs: list[Job] = []
        self._closed = False

    def submit(self, instrument: str, run: Callable[[Bus], T]) -> Future[T]:
        """Queue an exchange. Raises LineBusy for a full queue and LineClosed after the end."""
        job = Job(instrument, run, Future(), self._now())
        with self._lock:
            if self._closed:
                raise self._stopped()
            if len(self._jobs) >= LIMIT:
                raise LineBusy("drivers.line-full", line=self._line, count=LIMIT)
            self._jobs.append(job)
        return job.future

    def take(self, may_run: Callable[[Job], bool]) -> Job | None:
        """The first job that may run now or has waited too long; one that was cancelled meanwhile is dropped."""
        with self._lock:
            self._jobs = [job for job in self._jobs if not job.future.cancelled()]
            late = self._now() - PATIENCE_S
            for job in self._jobs:
                if (job.since <= late or may_run(job)) and job.future.set_running_or_notify_cancel():
                    self._jobs.remove(job)
                    return job
        return None

    def run(self, job: Job, bus: Bus) -> DriverError | None:
        """Run a job that was taken; the error it ended with, which its future holds as well."""
        try:
            result = job.run(bus)
        except DriverError as error:
            job.future.set_exception(error)
            return error
        else:
            job.future.set_result(result)
            return None
        finally:
            if not job.future.done():  # the line is being stopped, or the job is at fault
                job.future.set_exception(self._stopped())

    def close(self) -> None:
        """The line ends: what waits is told, and no more is taken."""
        with self._lock:
            self._closed = True
            jobs, self._jobs = self._jobs, []
        for job in jobs:
            if job.future.set_running_or_notify_cancel():
                job.future.set_exception(self._stopped())

    def _stopped(self) -> LineClosed:
        return LineClosed("drivers.line-stopped", line=self._line)
