"""The daemon as a process: memory, start, `hj212 status`, and how long a minute's data take to the wire.

A real site file; memory with 8 instruments of 20 points beside the simulated set. For the way to the wire the clock of
daemon and platform runs SPEED times as fast, so that many minutes pass.
"""

from __future__ import annotations

import asyncio
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from drivers.simulated import SimulatedBus, site_blocks
from edge.bench.platform import BenchPlatform
from edge.clock import SimulatedClock, SystemClock
from edge.control import client
from edge.values import MINUTE_MS
from protocol.times import parse_time

ROOT = Path(__file__).parents[2]
SPEED = 40.0
SECONDS = 25.0
IDLE_S = 5.0
START_MS = 1_792_681_140_000
MN = "010000A8900016F000169DC0"


def _site(folder: Path, bus: SimulatedBus, platform: BenchPlatform, points: int) -> Path:
    """`points`: registers more on each of two instruments that nobody answers for."""
    parts = [
        f'[site]\nname = "b"\ndata_dir = "{folder}/data"\nsocket = "{folder}/control.sock"\n',
        '[outlets.ww1]\nname = "a"\nst = "32"\nstatistics = "water"\n',
        site_blocks("water", bus.path, "ww1", baud=115_200),
    ]
    for number in range(8 if points else 0):
        parts.append(f'[instruments.x{number}]\nline = "rs485-1"\ndriver = "modbus"\naddress = {20 + number}\n')
        parts += [
            f'[[instruments.x{number}.points]]\nfactor = "w9{number:01d}{register:03d}"\n'
            f'outlet = "ww1"\nunit = "mg/L"\n'
            f'function = 3\nregister = {2 * register}\ntype = "float32"\norder = "ABCD"\n'
            for register in range(points)
        ]
    parts.append(
        f'[platforms.city]\nprotocol = "hj212"\nedition = "2017"\naddress = "{platform.address}"\nrealtime = "60s"\n'
        f'minute = "1min"\noutlets = {{ ww1 = {{ mn = "{MN}" }} }}\ntime = "refuse"\n'
    )
    path = folder / "site.toml"
    path.write_text("\n".join(parts), encoding="utf-8")
    return path


async def _daemon(config: Path, clock: str) -> tuple[asyncio.subprocess.Process, float]:
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "edge.launch", str(config), "text", clock, cwd=ROOT, stderr=asyncio.subprocess.DEVNULL
    )
    while True:
        try:
            await asyncio.to_thread(client.ask, [config.parent / "control.sock"], "status")
        except client.NoDaemon:
            if process.returncode is not None:
                raise RuntimeError(f"the daemon ended with {process.returncode}") from None
            await asyncio.sleep(0.01)
        else:
            return process, time.monotonic() - began


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def _rss_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def _status_s(config: Path) -> float:
    began = time.monotonic()
    command = [sys.executable, "-m", "edge.cli.main", "status", "-c", str(config)]
    subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - began


async def _measure(speed: float, points: int, seconds: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / ".hj212-demo").touch()
        text = f"{START_MS},{speed},{SystemClock().wall_ms()}"
        clock = SimulatedClock.from_text(text)
        bus, platform = SimulatedBus("water", clock, baud=115_200), BenchPlatform(clock=clock)
        bus.start()
        await platform.start()
        process, start_s = await _daemon(_site(folder, bus, platform, points), text)
        try:
            before = _cpu_s(process.pid)
            await asyncio.sleep(seconds)
            cpu = (_cpu_s(process.pid) - before) / seconds
            status = [await asyncio.to_thread(_status_s, folder / "site.toml") for _ in range(3)]
            late = [
                (one.at_ms - parse_time(one.packet.get("DataTime") or "") - MINUTE_MS) / 1000
                for one in platform.received
                if one.packet is not None and one.packet.cn == "2051"
            ]
            rss = _rss_mb(process.pid)
            return {"start": start_s, "cpu": cpu, "status": min(status), "late": late, "rss": rss}
        finally:
            process.terminate()
            await process.wait()
            await platform.stop()
            bus.stop()


def run() -> list[dict[str, Any]]:
    """The figures, in about 40 s."""
    fast = asyncio.run(_measure(SPEED, 0, SECONDS))
    wide = asyncio.run(_measure(1.0, 20, IDLE_S))
    late = sorted(fast["late"])
    minutes = f"{len(late)} minutes, clock {SPEED:g} times as fast"
    median, worst = statistics.median(late), late[min(len(late) - 1, int(len(late) * 0.99))]
    return [
        _figure("daemon: memory, 14 instruments, 166 points, one platform", wide["rss"], "MB RSS", 40.0),
        _figure("daemon: start until its socket answers", fast["start"], "s", 3.0),
        _figure("hj212 status", fast["status"], "s", 0.3),
        _figure("daemon: CPU, six instruments every 5 s", wide["cpu"] * 100, "% of a core", None),
        _figure(f"minute's end to its packet, median of {minutes}, daemon's clock", median, "s", None),
        _figure(f"minute's end to its packet, p99 of {minutes}, daemon's clock", worst, "s", None),
        _figure("the same, median, real time", median / SPEED * 1000, "ms", None),
        _figure("the same, p99, real time", worst / SPEED * 1000, "ms", None),
    ]


def _figure(name: str, value: float, unit: str, against: float | None) -> dict[str, Any]:
    ratio = None if against is None else round(against / value, 2)
    return {"name": name, "value": round(value, 4), "unit": unit, "against": against, "ratio": ratio}
