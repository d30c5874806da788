"""`hj212 demo`: the whole chain on one machine, in a temporary folder, without root.

    simulated instruments ─ptys─▶ daemon (a process of its own, real site file) ─TCP─▶ bench platform

The clock of all three runs several times as fast, and midnight is in the middle of the run, so that minute, hour and
day data all happen. Around midnight the link is cut: the outbox grows; then it is restored and drains. At the end
everything that the platform received is compared with the logger's store. The host's clock is never touched.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from drivers.simulated import SimulatedBus, site_blocks
from edge.bench.audit import KIND_OF_CN, RUNTIMES, Difference, differences
from edge.bench.platform import BenchPlatform
from edge.clock import SimulatedClock, SystemClock
from edge.control import client
from edge.values import DAY_MS, period_start
from protocol.times import time_text

SPEED = 6.0
CUT_SHARE, HEAL_SHARE = 0.35, 0.65
"""The link is cut and restored at these shares of the demo's time."""
START_LIMIT_S = 15.0
STOP_LIMIT_S = 10.0
DRAIN_LIMIT_S = 30.0
DRAIN_LOOK_S = 0.5
"""The last packets of the run are given this long to be answered."""
COMPARE_ATTEMPTS, COMPARE_PAUSE_S = 10, 0.3
FAR_MS = 1 << 52
OUTLETS = {
    "ww1": ("water", "32", "总排口", "010000A8900016F000169DC0"),
    "gas1": ("gas", "31", "锅炉烟囱", "010000A8900016F000169DC1"),
}

Say = Callable[..., None]


@dataclass(slots=True)
class Demo:
    """One run: where it lives, how long it takes, and whom it tells (`say(code, **params)`)."""

    folder: Path
    seconds: float
    say: Say

    async def run(self) -> dict[str, Any]:
        """Play it through; the summary."""
        real_ms = SystemClock().wall_ms()
        start_ms = period_start(real_ms, DAY_MS) + DAY_MS - int(self.seconds * SPEED * 500)
        clock_text = f"{start_ms},{SPEED},{real_ms}"
        clock = SimulatedClock.from_text(clock_text)
        buses = {outlet: SimulatedBus(spec[0], clock) for outlet, spec in OUTLETS.items()}
        platform = BenchPlatform(clock=clock)
        try:
            for bus in buses.values():
                bus.start()
            await platform.start()
            config = self._write_site(buses, platform.address)
            return await self._with_daemon(config, clock_text, platform, clock)
        finally:
            await platform.stop()
            for bus in buses.values():
                bus.stop()

    @property
    def _socket(self) -> Path:
        """In the demo's folder: a real daemon's socket in /run/hj212-edge is not the demo's to take."""
        return self.folder / "control.sock"

    def _write_site(self, buses: dict[str, SimulatedBus], address: str) -> Path:
        """A real site file, as a technician would write it."""
        (self.folder / ".hj212-demo").touch()
        general = f'name = "示例水务有限公司"\ndata_dir = "{self.folder / "data"}"\nsocket = "{self._socket}"\n'
        parts = [f"[site]\n{general}"]
        for outlet, (kind, st, name, _mn) in OUTLETS.items():
            parts.append(f'[outlets.{outlet}]\nname = "{name}"\nst = "{st}"\nstatistics = "{kind}"\n')
        parts.append("[outlets.gas1.gas]\narea = 12.5\nkv = 1.05\no2_reference = 6.0\n")
        for number, (outlet, bus) in enumerate(buses.items(), 1):
            parts.append(site_blocks(OUTLETS[outlet][0], bus.path, outlet, line=f"rs485-{number}"))
        access = ", ".join(
            f'{outlet} = {{ mn = "{spec[3]}", password = "123456" }}' for outlet, spec in OUTLETS.items()
        )
        parts.append(
            f'[platforms.city]\nprotocol = "hj212"\nedition = "2017"\nrole = "official"\naddress = "{address}"\n'
            f'outlets = {{ {access} }}\nrealtime = "30s"\nminute = "1min"\nbackfill_rate = 10.0\n'
        )
        config = self.folder / "site.toml"
        config.write_text("\n".join(parts), encoding="utf-8")
        return config

    async def _with_daemon(
        self, config: Path, clock_text: str, platform: BenchPlatform, clock: SimulatedClock
    ) -> dict[str, Any]:
        log = (self.folder / "daemon.log").open("wb")
        args = (sys.executable, "-m", "edge.cli.main", "run", "-c", str(config), "--simulated-clock", clock_text)
        daemon = await asyncio.create_subprocess_exec(*args, stdout=log, stderr=log, stdin=asyncio.subprocess.DEVNULL)
        try:
            await self._ready(daemon)
            start = _time_of_day(clock.wall_ms())
            self.say("demo.running", platform=platform.address, folder=self.folder, speed=f"{SPEED:g}", start=start)
            await self._play(platform, clock)
            await self._compare(platform)
            return await self._summary()
        finally:
            await _end(daemon)
            log.close()

    async def _ask(self, what: str, args: dict[str, Any] | None = None) -> Any:
        return await asyncio.to_thread(client.ask, [self._socket], what, args)

    async def _ready(self, daemon: asyncio.subprocess.Process) -> None:
        until = time.monotonic() + START_LIMIT_S
        while True:
            try:
                await self._ask("status")
            except client.NoDaemon:
                if daemon.returncode is not None or time.monotonic() > until:
                    raise DemoFailed(self.folder / "daemon.log") from None
                await asyncio.sleep(0.1)
            else:
                return

    async def _play(self, platform: BenchPlatform, clock: SimulatedClock) -> None:
        began = time.monotonic()
        cut_at, heal_at = began + self.seconds * CUT_SHARE, began + self.seconds * HEAL_SHARE
        await self._show_until(cut_at, clock)
        await platform.pause()
        self.say("demo.cut")
        await self._show_until(heal_at, clock)
        await platform.resume()
        self.say("demo.healed")
        await self._show_until(began + self.seconds, clock)
        await self._drain(clock)

    async def _show_until(self, end: float, clock: SimulatedClock) -> None:
        while (left := end - time.monotonic()) > 0:
            await asyncio.sleep(min(3.0, left))
            await self._show(clock)

    async def _show(self, clock: SimulatedClock) -> int:
        rows = (await self._ask("outbox"))["platforms"]
        total: dict[str, int] = {
            name: sum(row[name] for row in rows) for name in ("open", "sent", "answered", "backfilled")
        }
        self.say("demo.tick", clock=_time_of_day(clock.wall_ms()), **total)
        return total["open"]

    async def _drain(self, clock: SimulatedClock) -> None:
        for _look in range(int(DRAIN_LIMIT_S / DRAIN_LOOK_S)):
            if not await self._show(clock):
                return
            await asyncio.sleep(DRAIN_LOOK_S)

    async def _compare(self, platform: BenchPlatform) -> None:
        """Everything that the platform received against everything in the store; raises DemoDiffers."""
        mns = {spec[3]: outlet for outlet, spec in OUTLETS.items()}
        for _attempt in range(COMPARE_ATTEMPTS):
            records = await self._records()
            found = differences(platform.received, records, mns)
            if not found:
                self.say("demo.compared", records=len(records), packets=len(platform.received))
                self._tell_kinds(platform)
                return
            # a minute may have ended since: what is sealed now is on its way
            await asyncio.sleep(COMPARE_PAUSE_S)
        raise DemoDiffers(found)

    def _tell_kinds(self, platform: BenchPlatform) -> None:
        """How many packets of each CN came, and how long the equipment ran."""
        packets = [one.packet for one in platform.received if one.packet is not None]
        counts = Counter(packet.cn for packet in packets if not packet.cn.startswith("9"))
        self.say("demo.kinds", kinds=", ".join(f"{cn} × {count}" for cn, count in sorted(counts.items())))
        for packet in packets:
            if packet.cn == RUNTIMES:
                times = ", ".join(f"{name}={hours}" for item in packet.data[1:] for name, hours in item)
                self.say("demo.runtimes", day=(packet.get("DataTime") or "")[:8], times=times)

    async def _records(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for outlet, kind in product(OUTLETS, KIND_OF_CN.values()):
            args: dict[str, Any] = {"outlet": outlet, "kind": kind, "from": 0, "to": FAR_MS}
            while True:
                page = await self._ask("records", args)
                found += page["records"]
                if page["next"] is None:
                    break
                args["after"] = page["next"]
        return found

    async def _summary(self) -> dict[str, Any]:
        outbox = await self._ask("outbox")
        names = ("sent", "answered", "backfilled", "expired", "lost", "rejected")
        summary: dict[str, Any] = {name: sum(row[name] for row in outbox["platforms"]) for name in names}
        receipts = (await self._ask("connection"))["receipts"]
        keys = ("platform", "outlet", "official_at", "qn", "confirmed")
        summary["connection"] = [{key: receipt[key] for key in keys} for receipt in receipts]
        return summary


async def _end(daemon: asyncio.subprocess.Process) -> None:
    if daemon.returncode is not None:
        return
    daemon.terminate()
    try:
        async with asyncio.timeout(STOP_LIMIT_S):
            await daemon.wait()
    except TimeoutError:
        daemon.kill()
        await daemon.wait()


def _time_of_day(ms: int) -> str:
    digits = time_text(ms)[8:]
    return f"{digits[:2]}:{digits[2:4]}:{digits[4:]}"


class DemoDiffers(Exception):
    """What the platform received is not what the store holds."""

    def __init__(self, found: list[Difference]) -> None:
        super().__init__(len(found))
        self.code = "demo.differs"
        self.params = {"count": len(found), "differences": "\n".join(map(str, found[:20]))}


class DemoFailed(Exception):
    """The daemon did not start; its log says why."""

    def __init__(self, log: Path) -> None:
        super().__init__(str(log))
        self.code = "demo.failed"
        self.params = {"log": log.read_text(encoding="utf-8", errors="replace")[-2000:]}
