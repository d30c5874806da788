"""The one clock: wall time for records, monotonic time for waiting.

`time.time()` and `datetime.now()` stand nowhere else. A simulated clock (demo, tests) runs its own time, `speed` times
as fast; what waits on sockets and threads converts with `real_s`.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import struct
import time
from contextlib import suppress
from typing import Protocol

PLAUSIBLE_FROM_MS = 1_735_689_600_000
"""2025-01-01 UTC: an earlier wall clock was not set since power came on."""
PLAUSIBLE_TO_MS = 4_102_444_800_000
"""2100-01-01 UTC."""


STEP_MS = 1_000
"""NTP slews by 0.5 ms a second at most: what is larger between two looks is a step."""
RTC = "/dev/rtc0"
RTC_SET_TIME = 0x4024_700A
"""_IOW('p', 0x0a, struct rtc_time), linux/rtc.h."""


class ClockRefused(Exception):
    """The clock could not be set: no right to (CAP_SYS_TIME)."""


class Clock(Protocol):
    """Wall and monotonic time, and waiting in it."""

    speed: float

    def wall_ms(self) -> int:
        """UTC milliseconds."""
        ...

    def mono_s(self) -> float:
        """Seconds that never jump, in this clock's own pace."""
        ...

    def set_wall(self, ms: int) -> None:
        """Set the wall clock; raises ClockRefused."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait in this clock's pace."""
        ...


def plausible(wall_ms: int) -> bool:
    """Whether a wall clock can be right at all."""
    return PLAUSIBLE_FROM_MS <= wall_ms < PLAUSIBLE_TO_MS


def machine_up_s() -> float:
    """Seconds since the machine was switched on, sleep included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Steps:
    """Notices that the wall clock was set: it went another way than the monotonic clock since the last look."""

    def __init__(self) -> None:
        self._offset_ms: int | None = None

    def since(self, wall_ms: int, mono_s: float) -> tuple[int, int] | None:
        """(what the clock showed, what it shows now) of a step of STEP_MS or more since the last call."""
        before, self._offset_ms = self._offset_ms, wall_ms - round(mono_s * 1000)
        if before is None or abs(self._offset_ms - before) < STEP_MS:
            return None
        return wall_ms - (self._offset_ms - before), wall_ms


class SystemClock:
    """The machine's clock."""

    speed = 1.0

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def mono_s(self) -> float:
        return time.monotonic()

    def set_wall(self, ms: int) -> None:
        try:
            time.clock_settime_ns(time.CLOCK_REALTIME, ms * 1_000_000)
        except OSError as error:
            raise ClockRefused(error.strerror) from error
        _set_rtc(ms)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))


def rtc_time(ms: int) -> bytes:
    """`struct rtc_time` of Linux for UTC milliseconds: the clock chip runs in UTC."""
    at = time.gmtime(ms // 1000)
    return struct.pack(
        "9i", at.tm_sec, at.tm_min, at.tm_hour, at.tm_mday, at.tm_mon - 1, at.tm_year - 1900, 0, at.tm_yday - 1, 0
    )


def _set_rtc(ms: int) -> None:
    """The clock chip too: the time is to survive a power cut. Without a chip, or the right, nothing is lost."""
    try:
        device = os.open(RTC, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        with suppress(OSError):
            fcntl.ioctl(device, RTC_SET_TIME, rtc_time(ms))
    finally:
        os.close(device)


class SimulatedClock:
    """A clock of its own, started at `start_ms`, `speed` times as fast; setting it touches nothing but itself."""

    def __init__(self, start_ms: int, speed: float = 1.0, since_real_ms: int | None = None) -> None:
        """`since_real_ms`: the machine's wall time at which this clock showed `start_ms`, so that processes agree."""
        self.speed = speed
        self._began = time.monotonic()
        elapsed_ms = 0 if since_real_ms is None else time.time_ns() // 1_000_000 - since_real_ms
        self._start_ms = start_ms + int(elapsed_ms * speed)

    @classmethod
    def from_text(cls, text: str) -> SimulatedClock:
        """`START_MS,SPEED,SINCE_REAL_MS`, as one process tells another."""
        start_ms, speed, since_real_ms = text.split(",")
        return cls(int(start_ms), float(speed), int(since_real_ms))

    def wall_ms(self) -> int:
        return self._start_ms + int(self.mono_s() * 1000)

    def mono_s(self) -> float:
        return (time.monotonic() - self._began) * self.speed

    def set_wall(self, ms: int) -> None:
        self._start_ms += ms - self.wall_ms()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds) / self.speed)
