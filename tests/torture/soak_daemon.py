"""The whole daemon in virtual time, for the soak: `edge.app.Daemon` and what would wait for real is replaced.

    Wire (a line without a port) ─▶ measuring ─▶ the store, in this thread ─▶ delivering ─▶ in-memory link ─▶ Tally

Everything else is the product's: acquisition, sealing, outbox, sessions, retention, watch, journal, log. What is looked
at several times a second or every few seconds is looked at less often (COARSE), or a day would take minutes.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import math
import os
import resource
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from virtual_time import MemoryEnd, MemoryLink, MemoryWire, Profile, ScriptedPlatform, VirtualClock

from config.load import load_in_child
from config.site import Instrument, Platform
from drivers.bus import Counters
from drivers.driver import Reading
from drivers.line import LineState, PollResult
from drivers.poller import Breaker
from drivers.simulated import site_blocks
from edge import app, delivering, measuring, supervise, uploads
from edge.store.store import Store, _Job
from edge.tools import holding
from edge.uplink import link as uplink_link
from edge.values import period_start
from edge.watch import logger as watch_logger
from protocol.edition import edition
from protocol.packet import Packet

MN = "010000A8900016F000169DC0"
POLL_S = 60.0
COARSE = (
    (measuring, "STEP_S", 20.0),
    (measuring, "LOOK_S", 60.0),
    (delivering, "TICK_S", 20.0),
    (uploads, "LOOK_S", 60.0),
    (uplink_link, "LISTEN_S", 60.0),
    (watch_logger, "LOOK_S", 60.0),
    (supervise, "BEAT_S", 60.0),
    (app, "SWEEP_S", 600.0),
    (app, "MEND_S", 600.0),
    (holding, "LOOK_S", 60.0),
)
"""0.2, 2, 0.5, 5, 5, 5, 1, 60, 20 and 1 s in the product."""


class SoakClock(VirtualClock):
    """Also for threads that look at it."""

    def __init__(self, start_ms: int) -> None:
        self._loop = asyncio.get_running_loop()
        super().__init__(start_ms)

    def mono_s(self) -> float:
        return self._loop.time()


class InlineStore(Store):
    """The store without waiting for its thread, and without fsync, which costs no memory."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for side in (self._records, self._samples):
            side.db.execute("PRAGMA synchronous = OFF")

    def _submit(self, run: Callable[..., Any], *, samples: bool, soon: bool = False) -> Future[Any]:
        job = _Job(run, Future(), samples)
        job.future.set_running_or_notify_cancel()
        (self._samples if samples else self._records).run([job])
        return job.future


class Wire:
    """In place of a line: every instrument answers every POLL_S, but for an hour a day."""

    def __init__(
        self, instruments: Mapping[str, Instrument], on_result: Callable[[PollResult], None], clock: SoakClock
    ) -> None:
        self.alive = True
        self._instruments = instruments
        self._on_result = on_result
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    @property
    def heartbeat(self) -> float:
        return time.monotonic()

    def start(self) -> None:
        """Begin polling."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="wire")

    def stop(self) -> bool:
        """End it."""
        self.alive = False
        return self._task is None or self._task.cancel()

    def counters(self) -> LineState:
        """Nothing goes wrong."""
        names = self._instruments
        return LineState(
            open=True,
            error=None,
            opened=1,
            lost=0,
            foreign=0,
            instruments={name: Counters() for name in names},
            breakers={name: Breaker("answers", 0, None) for name in names},
        )

    async def _run(self) -> None:
        while True:
            now_ms = self._clock.wall_ms()
            await self._clock.sleep(POLL_S - now_ms / 1000 % POLL_S)
            slot_ms = period_start(self._clock.wall_ms(), 5_000)
            for name, one in self._instruments.items():
                self._on_result(PollResult(name, slot_ms, self._readings(one, slot_ms), None, self._clock.mono_s()))

    def _readings(self, one: Instrument, slot_ms: int) -> tuple[Reading, ...]:
        if slot_ms // 3_600_000 % 24 == 5:  # 13:00 in Beijing: silence, marks B
            return ()
        wave = 1.5 + math.sin(slot_ms / 7e6)
        return tuple(Reading(f"{point.outlet}/{point.channel}", 3.0 * wave) for point in one.points)


class Tally(ScriptedPlatform):
    """A platform that keeps nothing but numbers."""

    def __init__(self) -> None:
        super().__init__(Profile())
        self.came: Counter[str] = Counter()

    def take(self, frame: bytes, end: MemoryEnd) -> None:
        packet = Packet.from_segment(frame[6 : 6 + int(frame[2:6])])
        self.came[packet.cn] += 1
        for answer in self._answers(packet):
            end.deliver(answer, self.rtt_s / 2)
        self.answered.clear()


def site_text(folder: Path) -> str:
    """One water outlet, six instruments, retention so short that it works from the third day on."""
    return "\n".join(
        (
            f'[site]\nname = "soak"\ndata_dir = "{folder}/data"\nsocket = "{folder}/control.sock"\n',
            '[outlets.ww1]\nname = "a"\nst = "32"\nstatistics = "water"\n',
            site_blocks("water", "/dev/null", "ww1", every="60s", actions=False),
            '[platforms.city]\nprotocol = "hj212"\nedition = "2017"\naddress = "127.0.0.1:9"\nrealtime = "5min"',
            f'minute = "10min"\nbackfill_rate = 0\noutlets = {{ ww1 = {{ mn = "{MN}" }} }}\ntime = "refuse"\n',
            '[store]\nsamples = "1d"\nminute = "2d"\nhour = "2d"\nday = "2d"\ndeliveries = "2d"\n',
        )
    )


def daemon(folder: Path, clock: SoakClock, platform: Tally) -> app.Daemon:
    """The daemon on a fresh folder, not running yet; patches the modules of this process."""
    path = folder / "site.toml"
    path.write_text(site_text(folder), encoding="utf-8")
    site = load_in_child(path)
    for module, name, value in COARSE:
        setattr(module, name, value)

    def link(self: delivering.Delivering, name: str, terms: Platform, users: list[Any]) -> MemoryLink:
        read = edition(terms.edition).read
        wire = MemoryWire(terms.addresses[0], platform)
        return MemoryLink(name, wire, users, clock, read_packet=read, on_event=self._on_event)

    def worker(self: measuring.Measuring, name: str, _line: object, on_result: Callable[[PollResult], None]) -> Wire:
        return Wire({key: one for key, one in site.instruments.items() if one.line == name}, on_result, clock)

    async def no_links(_events: list[asyncio.Event]) -> None:
        return None

    async def at_once(fn: Callable[..., Any], *args: Any) -> Any:
        return fn(*args)

    patches: tuple[tuple[Any, str, Any], ...] = (
        (app, "Store", InlineStore),
        (supervise.Watchdog, "look", lambda self: None),  # real time: a virtual day is over in seconds
        (app, "listen_for_links", no_links),
        (asyncio, "to_thread", at_once),
        (delivering.Delivering, "_link", link),
        (measuring.Measuring, "_worker", worker),
    )
    for where, name, thing in patches:
        setattr(where, name, thing)
    return app.Daemon(site, clock, path)


def memory_mb() -> float:
    """Resident memory in use: what Python and malloc have freed is given back first."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def descriptors() -> int:
    """Open files of this process."""
    return len(os.listdir("/proc/self/fd"))
