"""A daemon as a process of its own, with simulated instruments and a bench platform, and the oracle over all three.

The daemon runs with a simulated clock in a demo's folder: faster than real time; the host's clock is never touched.
`Rig.start` execs the real command; `Rig.fork` forks a process that has imported the daemon and checked the site file,
so that a hundred starts do not take minutes; from there on both are the same program.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drivers.simulated import SimulatedBus, site_blocks
from edge.bench.audit import KIND_OF_CN, Difference, differences
from edge.bench.edition import edition as bench_edition
from edge.bench.platform import BenchPlatform, Options
from edge.bench.profiles import NORMAL, Profile
from edge.bench.received import Received
from edge.clock import SimulatedClock, SystemClock
from edge.control import client

ROOT = Path(__file__).parents[3]
MN = "010000A8900016F000169DC0"
MN_2005, PASSWORD_2005 = "88888880000001", "Secret"
PASSWORD = "Secret7"
START_MS = 1_792_681_140_000
"""2026-10-22 22:59:00 +08:00: an hour ends after a minute."""
READY_S = 3.0
FAR_MS = 1 << 52
BAUD = 115_200
"""Characters take no time to speak of, so that a fast clock does not outrun the wire."""
_ZYGOTE = """
import asyncio, os, sys
from pathlib import Path
import edge.app as app
from config.load import load_in_child
from edge.clock import SimulatedClock
from edge.logs import set_up_logs
site = load_in_child(sys.argv[1])
set_up_logs("text", sys.stderr)
print("prepared", flush=True)
for line in sys.stdin:
    pid = os.fork()
    if not pid:
        asyncio.run(app.Daemon(site, SimulatedClock.from_text(line.strip()), Path(sys.argv[1])).run())
        os._exit(0)
    print(pid, flush=True)
    print(os.waitpid(pid, 0)[1], flush=True)
"""


@dataclass(slots=True)
class Rig:
    """One logger with everything around it. Enter it with `rig(…)`."""

    folder: Path
    speed: float
    platform: BenchPlatform
    bus: SimulatedBus
    clock: SimulatedClock
    clock_text: str
    process: asyncio.subprocess.Process | None = None
    pid: int = 0
    env: dict[str, str] = field(default_factory=dict)
    preexec: Callable[[], None] | None = None
    prepared: Sequence[str] = (sys.executable, "-c", _ZYGOTE)
    """What `fork` forks from."""
    mn: str = MN
    password: str = PASSWORD
    _zygote: asyncio.subprocess.Process | None = None

    @property
    def config(self) -> Path:
        return self.folder / "site.toml"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> str:
        return (self.folder / "daemon.log").read_text(encoding="utf-8")

    def write_site(self, *, platform: str = "", more: str = "", port: str | None = None) -> None:
        """`platform`: lines added to `[platforms.city]`; `more`: whole tables."""
        socket = self.folder / "control.sock"
        general = f'[site]\nname = "试验站"\ndata_dir = "{self.data}"\nsocket = "{socket}"\nlanguage = "en"\n'
        outlet = '[outlets.ww1]\nname = "总排口"\nst = "32"\nstatistics = "water"\n'
        lines = site_blocks("water", port or self.bus.path, "ww1", baud=BAUD)
        access = f'{{ ww1 = {{ mn = "{self.mn}", password = "{self.password}" }} }}'
        edition = self.platform.options.edition.name
        city = (
            f'[platforms.city]\nprotocol = "hj212"\nedition = "{edition}"\naddress = "{self.platform.address}"\n'
            f'outlets = {access}\nrealtime = "30s"\nminute = "1min"\nbackfill_rate = 0.0\n{platform}\n'
        )
        self.config.write_text("\n".join((general, outlet, lines, city, more)), encoding="utf-8")

    async def start(self, *, ready: bool = True) -> float:
        """Exec the daemon; real seconds until its control socket answered."""
        began = time.monotonic()
        with (self.folder / "daemon.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "edge.cli.main", "run", "-c", str(self.config),
                "--simulated-clock", self.clock_text,
                stdout=log, stderr=log, stdin=asyncio.subprocess.DEVNULL, cwd=ROOT, env=os.environ | self.env,
                preexec_fn=self.preexec,
            )  # fmt: skip
        self.pid = self.process.pid
        if ready:
            await self.ready()
        return time.monotonic() - began

    async def fork(self) -> float:
        """The daemon out of the prepared process; real seconds until its control socket answered."""
        if self._zygote is None:
            with (self.folder / "daemon.log").open("ab") as log:
                pipe = asyncio.subprocess.PIPE
                self._zygote = await asyncio.create_subprocess_exec(
                    *self.prepared, str(self.config), stdin=pipe, stdout=pipe, stderr=log, cwd=ROOT,
                    env=os.environ | self.env,
                )  # fmt: skip
            assert self._zygote.stdout is not None
            assert await self._zygote.stdout.readline() == b"prepared\n", self.log[-4000:]
        assert self._zygote.stdin is not None
        assert self._zygote.stdout is not None
        began = time.monotonic()
        self._zygote.stdin.write(f"{self.clock_text}\n".encode())
        self.pid = int(await self._zygote.stdout.readline())
        await self.ready()
        return time.monotonic() - began

    async def kill_fork(self) -> None:
        """SIGKILL, as a power cut looks to the process."""
        assert self._zygote is not None
        assert self._zygote.stdout is not None
        os.kill(self.pid, signal.SIGKILL)
        assert int(await self._zygote.stdout.readline()) == signal.SIGKILL

    async def ready(self, limit_s: float = 15.0) -> None:
        """Until the control socket answers."""
        until = time.monotonic() + limit_s
        while True:
            try:
                await self.ask("status")
            except client.NoDaemon:
                ended = self.process is not None and self.process.returncode is not None
                if ended or time.monotonic() > until:
                    raise AssertionError(self.log[-4000:]) from None
                await asyncio.sleep(0.01)
            else:
                return

    async def ask(self, what: str, args: dict[str, Any] | None = None) -> Any:
        return await asyncio.to_thread(client.ask, [self.folder / "control.sock"], what, args)

    async def raw(self, line: bytes) -> bytes:
        """One line to the control socket, as it stands; the answer's line."""
        reader, writer = await asyncio.open_unix_connection(self.folder / "control.sock")
        writer.write(line)
        writer.write_eof()
        try:
            return await reader.readline()
        finally:
            writer.close()

    async def status(self) -> dict[str, Any]:
        found: dict[str, Any] = await self.ask("status")
        return found

    async def until(self, condition: Callable[[dict[str, Any]], bool], limit_s: float = 15.0) -> dict[str, Any]:
        """The first status that fulfils the condition."""
        until = time.monotonic() + limit_s
        while True:
            page = await self.status()
            if condition(page):
                return page
            assert time.monotonic() < until, json.dumps(page, ensure_ascii=False, indent=1)[-6000:]
            await asyncio.sleep(0.05)

    async def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.terminate()
        return await self.process.wait()

    async def drained(self, limit_s: float = 40.0) -> None:
        """Until nothing waits for the platform."""
        await self.until(lambda page: all(row["outbox"] == 0 for row in page["platforms"]), limit_s)

    async def hj212(self, *arguments: str, env: Mapping[str, str] | None = None) -> tuple[int, str, str]:
        """The command line: exit code, standard output, standard error."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "edge.cli.main", *arguments, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE, cwd=ROOT, env=os.environ | {"LANG": "C"} | dict(env or {}),
        )  # fmt: skip
        out, err = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()

    async def records(self) -> list[dict[str, Any]]:
        """Everything sealed, by way of the daemon."""
        found: list[dict[str, Any]] = []
        for kind in KIND_OF_CN.values():
            args: dict[str, Any] = {"outlet": "ww1", "kind": kind, "from": 0, "to": FAR_MS}
            while True:
                page = await self.ask("records", args)
                found += page["records"]
                if page["next"] is None:
                    break
                args["after"] = page["next"]
        return found

    async def differences(self) -> list[Difference]:
        """What the platform received against the store, minute by minute, when nothing is under way."""
        for _attempt in range(10):
            found = differences(self.platform.received, await self.records(), {MN: "ww1"})
            if not found:
                break
            await asyncio.sleep(0.2)  # a minute ended between the two looks
        return found

    def distinct(self) -> dict[tuple[str, str, str], set[str]]:
        """(CN, DataTime, factor's field) → the different texts that the platform got for it."""
        found: dict[tuple[str, str, str], set[str]] = {}
        for packet in (one.packet for one in self.platform.received if one.packet is not None):
            for name, value in (pair for item in packet.data for pair in item if packet.cn in {"2011", *KIND_OF_CN}):
                found.setdefault((packet.cn, packet.get("DataTime") or "", name), set()).add(value)
        return found

    def bytes_by_qn(self) -> dict[str, set[bytes]]:
        """QN → the different frames that carried it."""
        found: dict[str, set[bytes]] = {}
        for one in self.platform.received:
            if one.packet is not None and one.packet.cn[:1] in "23":
                found.setdefault(one.packet.qn or "", set()).add(one.data)
        return found

    def sqlite(self, file: str, query: str) -> list[tuple[Any, ...]]:
        """A look into the database, read only."""
        db = sqlite3.connect(f"file:{self.data / file}?mode=ro", uri=True)
        try:
            return db.execute(query).fetchall()
        finally:
            db.close()


def ready_limit_s() -> float:
    """Ready in 3 s where the machine has a core to spare; more where others hold it up: load over cores."""
    return READY_S * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


@asynccontextmanager
async def rig(
    folder: Path,
    *,
    speed: float = 20.0,
    start_ms: int = START_MS,
    profile: Profile = NORMAL,
    platform: str = "",
    edition: str = "2017",
    on_packet: Callable[[Received], None] = lambda received: None,
) -> AsyncIterator[Rig]:
    """A site with the water set and one platform, not started; whatever was started is ended."""
    (folder / ".hj212-demo").touch()
    clock_text = f"{start_ms},{speed},{SystemClock().wall_ms()}"
    clock = SimulatedClock.from_text(clock_text)
    options = Options(edition=bench_edition(edition))
    bench = BenchPlatform(profile=profile, clock=clock, on_packet=on_packet, options=options)
    await bench.start()
    bus = SimulatedBus("water", clock, baud=BAUD, link=folder / "port")
    bus.start()
    mn, password = (MN, PASSWORD) if edition == "2017" else (MN_2005, PASSWORD_2005)
    made = Rig(folder, speed, bench, bus, clock, clock_text, mn=mn, password=password)
    made.write_site(platform=platform)
    try:
        yield made
    finally:
        if made._zygote is not None and made.pid and _is_ours(made.pid, made.folder):
            os.kill(made.pid, signal.SIGKILL)  # first: it holds the pipes of the process that it came from
        for process in (made.process, made._zygote):
            if process is not None and process.returncode is None:
                process.kill()
                await process.wait()
        await bench.stop()
        bus.stop()


def _is_ours(pid: int, folder: Path) -> bool:
    try:
        return str(folder).encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
