"""Sick links: the logger's own links on loopback TCP, a fault proxy between, a bench platform behind, in real time.

    sound ──▶ sick ──▶ sound again ──▶ until nothing waits      records are sealed twice a second throughout

Each scenario is a logger of its own with its own proxy and platform; all run at once. In the long form each goes on
with one sickness after the other, drawn by lot. The platform and the file of what was sealed are the oracle.
"""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from config.site import Platform
from edge.bench.platform import BenchPlatform
from edge.bench.profiles import profile
from edge.bench.received import Received
from edge.store import outbox
from edge.uplink.link import Link
from edge.uplink.session import Session
from edge.uplink.ways import transport
from protocol import edition
from protocol.crc import crc
from tests.faultproxy import BYTEWISE, DUPLICATE, PASS, STALL, SWALLOW, Fault, FaultProxy
from tests.torture.rig import Outcome, Rig
from tests.virtual_time import NOON, ScriptedPlatform, World, rendered

SEAL_S, REALTIME_S = 0.5, 1.0
SOUND_S, SICK_S, AFTER_S = 5.0, 12.0, 10.0
DRAIN_S = 90.0
STAGGER_S = 0.4
LAG_S = 0.05
MINUTE_MS = 60_000
LIVE_LATER_S, FIRST_LIVE_S = 1.0, 2.0
MEMORY = Path("/dev/shm")
HOST = "{name}.sick.test"
_NAMES: dict[str, str | None] = {}
"""What our names resolve to; None: the resolver knows them not."""
_resolve = socket.getaddrinfo


def _getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
    text = host.decode() if isinstance(host, bytes) else host
    if text in _NAMES:
        host = _NAMES[text]
        if host is None:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    return _resolve(host, *args, **kwargs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sickness:
    """What is wrong with a link or its platform."""

    up: Fault = PASS
    down: Fault = PASS
    profile: str = "normal"
    away: bool = False
    """The link is cut and new ones are refused."""
    cut: bool = False
    """The link is cut at the beginning."""
    again_s: float = 0.0
    """So often the link is cut, or what happens once happens again."""
    name: str | None = "127.0.0.1"
    """What the platform's name resolves to."""
    lingers_s: float = 0.0
    """So long after its recovery the platform still writes answers of before."""
    refuses: bool = False
    """A technician says `outbox retry` afterwards."""


def _other_qn(chunk: bytes) -> bytes:
    """Answers under QNs that nobody has used, with a right check code."""
    out, at = b"", 0
    while (begin := chunk.find(b"##", at)) >= 0:
        length = int(chunk[begin + 2 : begin + 6])
        segment = chunk[begin + 6 : begin + 6 + length]
        qn = segment.find(b"QN=") + 3
        segment = segment[:qn] + b"1999" + segment[qn + 4 :]
        out += b"##%04d" % length + segment + b"%04X\r\n" % crc(segment)
        at = begin + 6 + length + 6
    return out


def _damaged(chunk: bytes) -> bytes:
    """A digit of the check code is another one."""
    place = chunk.rfind(b"\r\n") - 1
    return chunk[:place] + (b"0" if chunk[place : place + 1] != b"0" else b"1") + chunk[place + 1 :]


def _noisy(chunk: bytes) -> bytes:
    return b"\x00\xff##00" + chunk + b"##9999"


_SLOW = 64_000 / 8
SICKNESSES = {
    "stalled": Sickness(up=STALL, down=STALL),
    "answers-stalled": Sickness(down=STALL),
    "packets-stalled": Sickness(up=STALL),
    "half-open": Sickness(up=SWALLOW, down=SWALLOW),
    "packets-swallowed": Sickness(up=SWALLOW),
    "answers-lost": Sickness(down=SWALLOW),
    "reset": Sickness(cut=True, again_s=1.0),
    "away": Sickness(away=True),
    "byte-by-byte": Sickness(up=BYTEWISE, down=BYTEWISE),
    "64-kbit": Sickness(up=Fault(rate=_SLOW), down=Fault(rate=_SLOW)),
    "2-s-each-way": Sickness(up=Fault(delay_s=2.0), down=Fault(delay_s=2.0)),
    "cut-in-a-packet": Sickness(up=Fault(cut_after=100), again_s=0.7),
    "cut-in-an-answer": Sickness(down=Fault(cut_after=30), again_s=0.7),
    "packets-twice": Sickness(up=DUPLICATE),
    "answers-twice": Sickness(down=DUPLICATE),
    "answers-of-others": Sickness(down=Fault(change=_other_qn)),
    "answers-damaged": Sickness(down=Fault(change=_damaged)),
    "noise": Sickness(down=Fault(change=_noisy)),
    "name-unknown": Sickness(cut=True, name=None, again_s=3.0),
    "name-moved": Sickness(cut=True, name="127.0.0.77", again_s=3.0),
    "silent": Sickness(profile="silent"),
    "mute-minutes": Sickness(profile="mute:2051"),
    "late": Sickness(profile="late:2.5", lingers_s=2.5),
    "refuses": Sickness(profile="refuse", refuses=True),
    "one-a-segment": Sickness(profile="segment"),
    "slow-answers": Sickness(profile="slow:0.004", lingers_s=3.0),
    "closes-idle": Sickness(profile="idle:0.3"),
    "odd-answers": Sickness(profile="station-st+flag5"),
    "late-and-twice": Sickness(profile="late:1.5+twice", down=Fault(delay_s=0.5), lingers_s=3.0),
    "twice-and-cut": Sickness(up=DUPLICATE, down=DUPLICATE, cut=True, again_s=2.0),
}


class Wired(World):
    """The logger's delivering side on a real link."""

    def link(self, name: str, site: Platform, session: Session, platform: ScriptedPlatform) -> Link:
        read = edition.edition(site.edition).read
        wire = transport(name, site, self._event)
        return Link(name, wire, [session], self.clock, read_packet=read, on_event=self._event)


Course = Callable[["Patient"], Awaitable[None]]


@dataclass
class Patient:
    """One logger, its link and its platform; `sealed` and `arrived`: loop time by DataTime."""

    name: str
    folder: Path
    sealed: dict[str, float] = field(default_factory=dict)
    starts: dict[str, int] = field(default_factory=dict)
    arrived: dict[str, float] = field(default_factory=dict)
    texts: dict[str, set[frozenset[tuple[str, str]]]] = field(default_factory=dict)
    copies: int = 0
    accepted: list[float] = field(default_factory=list)
    heard: set[str] = field(default_factory=set)

    async def live(self, course: Course) -> None:
        """From the first record until nothing waits."""
        self.platform = BenchPlatform("127.0.0.1:0", on_packet=self._got)
        await self.platform.start()
        host = HOST.format(name=self.name)
        _NAMES[host] = "127.0.0.1"
        async with FaultProxy("127.0.0.1", self.platform.port) as self.proxy:
            self.proxy.on_accept = lambda: self.accepted.append(self._now())
            self.world = Wired(self.folder)
            self.world.add(ScriptedPlatform(), address=f"{host}:{self.proxy.port}", timeout=1_000, retries=2)
            work = [asyncio.create_task(self._seal()), asyncio.create_task(self._realtime())]
            try:
                await course(self)
                work.pop(0).cancel()
                await self._drained()
            finally:
                for task in work:
                    task.cancel()
                await self.world.stop()
        await self.platform.stop()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _got(self, received: Received) -> None:
        packet = received.packet
        if packet is None:
            return
        self.heard.add(packet.qn or "")
        if packet.cn != "2051":
            return
        label = packet.get("DataTime") or ""
        self.copies += 1
        self.arrived.setdefault(label, self._now())
        fields = frozenset(pair for item in packet.data for pair in item if pair[0] != "DataTime")
        self.texts.setdefault(label, set()).add(fields)

    async def _seal(self) -> None:
        start = NOON
        while True:
            label = f"{datetime.fromtimestamp(start / 1000, UTC) + timedelta(hours=8):%Y%m%d%H%M%S}"
            self.sealed[label], self.starts[label] = self._now(), start
            self.world.offer(self.world.seal(start))
            start += MINUTE_MS
            await asyncio.sleep(SEAL_S)

    async def _realtime(self) -> None:
        await self.world.realtime(REALTIME_S)

    async def _drained(self) -> None:
        async with asyncio.timeout(DRAIN_S):
            while self.world.open_count():
                await self.world.sleep(0.1)

    async def fall_ill(self, sickness: Sickness, seconds: float) -> None:
        """Sick for so long; sound when it returns."""
        proxy, until = self.proxy, self._now() + seconds
        _NAMES[HOST.format(name=self.name)] = sickness.name
        self.platform.profile = profile(sickness.profile)
        proxy.up, proxy.down = sickness.up, sickness.down
        if sickness.away:
            await proxy.refuse()
        if sickness.away or sickness.cut:
            proxy.cut()
        while (left := until - self._now()) > 0:
            await self.world.sleep(min(left, sickness.again_s or left))
            proxy.up, proxy.down = sickness.up, sickness.down
            if sickness.cut and self._now() < until:
                proxy.cut()
        await self.heal(sickness)
        await self.world.sleep(sickness.lingers_s)

    async def heal(self, sickness: Sickness) -> None:
        """All is well again."""
        _NAMES[HOST.format(name=self.name)] = "127.0.0.1"
        self.platform.profile = profile("normal")
        self.proxy.both(PASS)
        await self.proxy.accept()
        if sickness.refuses:
            self.world.store.now(outbox.retry, "city")
            self.world.sessions["city"].look_again()

    async def well(self) -> float:
        """When, from now on, the second packet has come: with a window of one, the first was answered before it."""
        self.heard.clear()
        async with asyncio.timeout(DRAIN_S):
            while len(self.heard) < 2:
                await self.world.sleep(0.02)
        return self._now()

    def delivered(self) -> set[str]:
        """DataTime of what the store holds to be answered."""
        rows = self.world.store.db.execute("SELECT start FROM delivery WHERE cn = '2051' AND state = 2").fetchall()
        labels = {start: label for label, start in self.starts.items()}
        return {labels[start] for (start,) in rows}

    def delays(self, since: float, until: float) -> list[float]:
        """How long each record of a time took to its first arrival, s, sorted; never: infinite."""
        return sorted(
            self.arrived.get(label, float("inf")) - at for label, at in self.sealed.items() if since <= at < until
        )


class Lag:
    """How late this machine wakes its own loop: that is not the link's delay."""

    def __init__(self) -> None:
        self._seen: list[tuple[float, float]] = []

    async def measure(self) -> None:
        """For ever."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LAG_S
            await asyncio.sleep(LAG_S)
            self._seen.append((loop.time(), loop.time() - due))

    def worst(self, since: float) -> float:
        """The largest since then, s."""
        return max((lag for at, lag in self._seen if at >= since), default=0.0)


_lag = Lag()


def p99(values: list[float]) -> float:
    """The value that 99 of 100 do not pass; of fewer values the largest."""
    return values[min(len(values) - 1, int(len(values) * 0.99))]


async def _once(patient: Patient, sickness: Sickness, outcome: Outcome) -> None:
    """One sickness, with the live delays before and after it."""
    name, began = patient.name, await patient.well()
    await patient.world.sleep(SOUND_S)
    baseline = p99(patient.delays(began, began + SOUND_S - 0.5))
    await patient.fall_ill(sickness, SICK_S)
    if false := patient.delivered() - patient.arrived.keys():
        outcome.fail(f"{name}: held to be delivered, and the platform never had them: {sorted(false)[:5]}")
    known = len(patient.accepted)
    well = await patient.well()
    await patient.world.sleep(AFTER_S)
    later = p99(patient.delays(well, well + AFTER_S - 2.0)) - _lag.worst(well)
    outcome.figures[f"{name}: live p99 before, after"] = f"{baseline:.3f} s, {later:.3f} s"
    if later > baseline + LIVE_LATER_S:
        outcome.fail(f"{name}: live delay p99 {later:.2f} s after healing, {baseline:.2f} s before")
    if len(patient.accepted) > known:
        accepted = patient.accepted[-1]
        first = min(at for label, at in patient.arrived.items() if patient.sealed[label] >= accepted) - accepted
        outcome.figures[f"{name}: first live packet after TCP"] = f"{first:.3f} s"
        if first > FIRST_LIVE_S:
            outcome.fail(f"{name}: first live packet {first:.2f} s after TCP is established")


async def _by_lot(patient: Patient, lot: random.Random, seconds: float, outcome: Outcome) -> None:
    """One sickness after the other."""
    until = patient._now() + seconds
    while patient._now() < until:
        await patient.world.sleep(lot.uniform(1, 20))
        name = lot.choice(tuple(SICKNESSES))
        await patient.fall_ill(SICKNESSES[name], min(60.0, lot.expovariate(1 / 15)))
        outcome.cases += 1
        if false := patient.delivered() - patient.arrived.keys():
            outcome.fail(f"{patient.name}, {name}: held to be delivered: {sorted(false)[:5]}")
    patient.world.store.now(outbox.retry, "city")
    patient.world.sessions["city"].look_again()


def _judge(patient: Patient, outcome: Outcome) -> None:
    for label, start in patient.starts.items():
        texts = patient.texts.get(label, set())
        outcome.lost += not texts
        outcome.corrupt += bool(texts) and texts != {frozenset(rendered(start).items())}
    outcome.corrupt += len(patient.texts.keys() - patient.starts.keys())


async def _scenario(patient: Patient, course: Course, outcome: Outcome) -> None:
    # one after the other: thirty backlogs in the same moment would measure this machine's processor
    await asyncio.sleep(tuple(SICKNESSES).index(patient.name) * STAGGER_S)
    try:
        await patient.live(course)
    except (TimeoutError, AssertionError) as error:
        outcome.fail(f"{patient.name}: {type(error).__name__} {error}; {patient.world.open_count()} wait")
    _judge(patient, outcome)


async def _all(rig: Rig, outcome: Outcome, folder: Path) -> None:
    patients = {name: Patient(name, folder / name) for name in SICKNESSES}
    lag = asyncio.create_task(_lag.measure())
    async with asyncio.TaskGroup() as group:
        for name, patient in patients.items():
            if rig.short:
                outcome.cases += 1
                course: Course = partial(_once, sickness=SICKNESSES[name], outcome=outcome)
            else:
                course = partial(_by_lot, lot=rig.random(name), seconds=rig.hours * 3600, outcome=outcome)
            group.create_task(_scenario(patient, course, outcome))
    lag.cancel()
    outcome.figures["this machine's own lag, worst"] = f"{_lag.worst(0.0):.3f} s"
    outcome.figures["records sealed"] = sum(len(one.sealed) for one in patients.values())
    outcome.figures["packets of records"] = sum(one.copies for one in patients.values())
    outcome.figures["connections"] = sum(len(one.accepted) for one in patients.values())


def sick_links(rig: Rig) -> Outcome:
    """Every sickness once, or for hours."""
    outcome = Outcome()
    socket.getaddrinfo = _getaddrinfo
    # in memory: what the disk of a busy machine does is not to be measured here
    with TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        asyncio.run(_all(rig, outcome, Path(folder)))
    return outcome


TESTS = {"sick-links": sick_links}
