"""A logger at work for the torture: the real daemon, simulated instruments, and three platforms on one machine.

    city      official, answers at once; its lane shows what comes twice
    province  answers late, so that resends and late answers are under way at any moment
    park      its port is closed until the end: it gets everything as backlog

The clock runs `SPEED` times as fast; the outlet has alarms, marks come in by the control socket and settings from the
platform. What each platform got is written down by the test, before the platform answers.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge.bench.audit import KIND_OF_CN, differences
from edge.bench.conversation import Outcome as Ended
from edge.bench.platform import BenchPlatform
from edge.bench.profiles import NORMAL, profile
from edge.bench.received import Received
from edge.control import client
from tests.edge.daemon import daemonkit
from tests.edge.daemon.daemonkit import MN, PASSWORD
from tests.torture import launch
from tests.torture.oracle import Findings, Snapshot, compare, sent_and_not_kept
from tests.torture.trace import command

SPEED = 40.0
"""A minute ends every 1.5 s, a realtime tick comes every 0.75 s."""
START_MS = daemonkit.START_MS + 40 * 60_000
"""23:39 in Beijing: hour and day end twenty minutes later."""
DRAIN_S = 60.0
START_S, END_S, SETTLE_S = 60.0, 20.0, 2.0
"""Given up after that; whether a start was quick enough is judged apart."""
WINDOW = 1
"""Unanswered packets at most, as the site file leaves it."""
_ALARMS = """
[outlets.ww1.alarms.w01018]
limit = 26.5
"""
_MORE = """
[platforms.{name}]
protocol = "hj212"
edition = "2017"
role = "other"
address = "{address}"
outlets = {{ ww1 = {{ mn = "{mn}", password = "{password}" }} }}
realtime = "30s"
minute = "1min"
backfill_rate = 0.0
timeout = "5s"
retries = 1
"""


@dataclass(slots=True)
class Wire:
    """What one platform has got, written down before it answers."""

    fresh: list[tuple[str, bytes]] = field(default_factory=list)
    """(QN, bytes) of data packets since `taken()` was called last."""
    doubtful: list[tuple[str, bytes]] = field(default_factory=list)
    """Those that came after the power had gone, from a daemon that ran on: see `torture_ext4`."""
    labels: dict[tuple[Any, ...], int] = field(default_factory=dict)
    """A record's packet, whatever QN carried it → the life in which it came first."""
    life: int = 0
    again: defaultdict[int, set[tuple[Any, ...]]] = field(default_factory=lambda: defaultdict(set))
    """Life → packets of records that an earlier life had sent already."""

    def got(self, received: Received) -> None:
        """One packet."""
        packet = received.packet
        if packet is None or packet.cn is None or packet.cn[:1] not in "23" or packet.qn is None:
            return
        self.fresh.append((packet.qn, received.data))
        if packet.cn in KIND_OF_CN:
            names = frozenset(name for item in packet.data for name, _ in item)
            label = packet.cn, packet.get("DataTime"), packet.pno, names
            if self.labels.setdefault(label, self.life) < self.life:
                self.again[self.life].add(label)

    def taken(self) -> list[tuple[str, bytes]]:
        """What came since the last call."""
        taken, self.fresh = self.fresh, []
        return taken


@dataclass(slots=True)
class Station:
    """Enter it with `station(…)`."""

    rig: daemonkit.Rig
    platforms: dict[str, BenchPlatform]
    wires: dict[str, Wire]
    ready_forked: list[float] = field(default_factory=list)
    ready_started: list[float] = field(default_factory=list)
    commands: int = 0
    marks: int = 0
    doubtful_lost: int = 0
    _by_exec: bool = False

    @property
    def data(self) -> Path:
        """The logger's data_dir."""
        return self.rig.data

    async def begin(self, *, by_exec: bool = False) -> None:
        """A life: forked from a process that has imported the daemon, or started as a technician does."""
        for wire in self.wires.values():
            wire.life += 1
        self._by_exec = by_exec
        took = await (self._started() if by_exec else self.rig.fork())
        (self.ready_started if by_exec else self.ready_forked).append(took)

    async def _started(self) -> float:
        began = time.monotonic()
        await self.rig.start(ready=False)
        await self.rig.ready(START_S)
        return time.monotonic() - began

    async def begin_traced(self, trace: Path, marks: Path, *options: str) -> None:
        """A life under strace, with a line in `marks` after each commit."""
        rig = self.rig
        program = [
            sys.executable,
            launch.__file__,
            "run",
            *options,
            "--marks",
            str(marks),
            str(rig.config),
            rig.clock_text,
        ]
        with (rig.folder / "daemon.log").open("ab") as log:
            rig.process = await asyncio.create_subprocess_exec(
                *command(trace, program), stdout=log, stderr=log, env=os.environ | rig.env, cwd=daemonkit.ROOT
            )
        await rig.ready(START_S)

    async def end_traced(self, number: int) -> None:
        """The daemon ends by this signal, and strace with it."""
        process = self.rig.process
        assert process is not None
        for pid in _children(process.pid):
            os.kill(pid, number)
        await asyncio.wait_for(process.wait(), END_S)
        self.rig.process = None
        await self.settled()

    async def kill(self) -> None:
        """SIGKILL, and what was on its way to the platforms arrives."""
        if self._by_exec:
            assert self.rig.process is not None
            self.rig.process.kill()
            await self.rig.process.wait()
            self.rig.process = None
        else:
            await self.rig.kill_fork()
        await self.settled()

    async def settled(self) -> None:
        """Until the platforms have seen the end of their links."""
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_S):
                for platform in self.platforms.values():
                    await platform.until(lambda platform=platform: not platform.links)

    def kept(self, before: Snapshot | None) -> Findings:
        """After a restart: what was seen `before` and every packet that a platform has got must be on the disk."""
        found = Findings() if before is None else compare(before, Snapshot.read(self.data))
        for wire in self.wires.values():
            found.add(sent_and_not_kept(self.data, wire.taken()))
            self.doubtful_lost += len(sent_and_not_kept(self.data, wire.doubtful).lost)
            wire.doubtful = []
        return found

    def set_apart(self, counts: Mapping[str, int]) -> None:
        """What came behind so many packets is doubtful."""
        for name, wire in self.wires.items():
            wire.doubtful += wire.fresh[counts[name] :]
            del wire.fresh[counts[name] :]

    async def disturb(self, chance: random.Random) -> None:
        """Now and then a mark by the technician or a setting by the platform, until the life ends."""
        try:
            while True:
                await asyncio.sleep(chance.uniform(0.02, 0.25))
                if chance.random() < 0.5:
                    await self._mark()
                elif self.platforms["city"].connected(MN):
                    interval = [("RtdInterval", str(chance.choice((30, 36, 40, 45, 60))))]
                    result = await self.platforms["city"].command(MN, "1062", interval)
                    self.commands += result.outcome is Ended.DONE
        except (client.NoDaemon, client.Refused, OSError, ValueError):
            pass  # the daemon was killed in the middle of it, or its disk was: then it refuses

    async def _mark(self) -> None:
        args = {"do": "add", "points": ["ww1/w21003"], "mark": "C", "reason": "x", "by": "张三"}
        now_ms = self.rig.clock.wall_ms()
        begin = {"from": now_ms - 60_000, "to": now_ms - 1_000}
        await self.rig.ask("mark-order", args | begin)
        self.marks += 1

    async def drained(self) -> list[str]:
        """All platforms do their best; what is still waiting after `DRAIN_S`."""
        self.platforms["province"].profile = NORMAL
        if not self.platforms["park"].port:
            await self.platforms["park"].resume()
        until, rows = time.monotonic() + DRAIN_S, []
        while time.monotonic() < until:
            for name in self.platforms:
                await self.rig.ask("outbox-retry", {"platform": name})
            await asyncio.sleep(0.25)
            rows = [row for row in (await self.rig.status())["platforms"] if row["outbox"]]
            if not rows:
                return []
        return [json.dumps(row, ensure_ascii=False)[:1000] for row in rows]

    async def compared(self) -> Findings:
        """What the platforms got against what is stored: each record, at least once, with one value, the stored one."""
        found = Findings()
        for name, platform in self.platforms.items():
            for _attempt in range(10):
                wrong = differences(platform.received, await self.rig.records(), {MN: "ww1"})
                if not wrong:
                    break
                await asyncio.sleep(0.2)  # a minute ended between the two looks
            for each in wrong:
                (found.lost if each.what == "missing" else found.corrupt).append(f"{name}: {each}")
            found.corrupt += _two_contents(name, platform)
        return found


def _children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _two_contents(name: str, platform: BenchPlatform) -> list[str]:
    values: defaultdict[tuple[str, str, str], set[str]] = defaultdict(set)
    frames: defaultdict[str, set[bytes]] = defaultdict(set)
    for one in platform.received:
        if one.packet is None or one.packet.cn is None or one.packet.cn[:1] not in "23":
            continue
        frames[one.packet.qn or ""].add(one.data)
        if one.packet.cn in {"2011", *KIND_OF_CN}:
            for field_name, value in (pair for item in one.packet.data for pair in item):
                values[one.packet.cn, one.packet.get("DataTime") or "", field_name].add(value)
    twice = [f"{name}: {key} came as {sorted(texts)}" for key, texts in values.items() if len(texts) > 1]
    return twice + [f"{name}: QN {qn} carried {len(each)} frames" for qn, each in frames.items() if len(each) > 1]


@asynccontextmanager
async def station(
    folder: Path,
    *,
    speed: float = SPEED,
    start_ms: int = START_MS,
    options: Sequence[str] = (),
    more: str = "",
) -> AsyncIterator[Station]:
    """Everything but the daemon is running; whatever was started is ended. `options`: of `launch.py`."""
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    wires = {name: Wire() for name in ("city", "province", "park")}
    async with daemonkit.rig(folder, speed=speed, start_ms=start_ms, on_packet=wires["city"].got) as rig:
        platforms = {"city": rig.platform}
        for name, manner in (("province", profile("late:3")), ("park", NORMAL)):
            platforms[name] = BenchPlatform(profile=manner, clock=rig.clock, on_packet=wires[name].got)
            await platforms[name].start()
        others = "".join(
            _MORE.format(name=name, address=platforms[name].address, mn=MN, password=PASSWORD)
            for name in ("province", "park")
        )
        await platforms["park"].pause()
        rig.write_site(more=f"{_ALARMS}{others}{more}")
        rig.prepared = (sys.executable, launch.__file__, "forks", *options)
        rig.env = {"PYTHONPATH": str(daemonkit.ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            yield Station(rig, platforms, wires)
        finally:
            if rig.process is not None and rig.process.returncode is None:
                for pid in _children(rig.process.pid):  # a daemon outlives a strace that is killed
                    os.kill(pid, signal.SIGKILL)
            for name in ("province", "park"):
                await platforms[name].stop()


def percentile(values: list[float], share: float) -> float:
    """A share of the values is at most this; 0 where there are none."""
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3) if ordered else 0.0
