"""The daemon: opens the store, starts lines, measurement and uplinks, answers the command line, stops in order.

`edge.launch` starts it with a site file that checks. Nothing that fails later ends it: a damaged store, a missing port,
a wrong clock, a full disk are said (event, status, log) and worked around.
"""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from config.site import Site
from drivers.line import LineWorker
from edge import __version__, report
from edge.actions import Actions
from edge.agenda import Agenda
from edge.alarms import Alarms
from edge.catalogue import explain, text
from edge.clock import Clock, machine_up_s, plausible
from edge.control.client import socket_path
from edge.control.queries import QUERIES, mark_shown, official_platforms
from edge.control.server import ControlServer, Denied, SocketTaken, Verb, Who
from edge.delivering import Delivering
from edge.events import Events
from edge.logs import get_logger
from edge.marking import Marking
from edge.measure.statistics import Live
from edge.measuring import Measuring
from edge.on_site import OnSite
from edge.points import points
from edge.remote.daily import set_analyzer_clocks
from edge.revising import Reviser
from edge.store import infos, journal, links
from edge.store.again import Range
from edge.store.backup import Backups
from edge.store.errors import StoreError, StoreFailed
from edge.store.outbox import Aside
from edge.store.retention import Pace
from edge.store.store import Store
from edge.supervise import Watchdog, keep_alive, listen_for_links, notify
from edge.tools.holding import Holds
from edge.tools.listening import Listening
from edge.tools.reading import Reads
from edge.values import Sample
from edge.watch.changes import Changes
from edge.watch.instruments import InstrumentWatch
from edge.watch.logger import LoggerWatch, Observed
from protocol.equipment import is_equipment

SWEEP_S = 60.0
SWEEP_MORE_S = 1.0
MEND_S = 20.0
"""A slice of reading the store through this often; of salvage:"""
MEND_MORE_S = 0.1
RETRY_S = 5.0
ASK_AGAIN = 3
"""So often, where the store refuses what only reads."""
BACKUP_RETRY_S = 600.0
LINE_FATAL_S = 3600.0
"""A line that hangs ends the process once in this time at most: the other lines are not to suffer for it."""


class _Stopping(Exception):
    """The daemon was asked to end."""


class Daemon:
    """All parts of one logger."""

    def __init__(self, site: Site, clock: Clock, path: Path) -> None:
        """`path`: of the site file in force; the journal keeps its SHA-256 with every start."""
        self._site = site
        self._path = path
        self._site_sha256 = sha256(path.read_bytes()).hexdigest()
        self._clock = clock
        self._started_ms = clock.wall_ms()
        self._started_s = clock.mono_s()
        self._events = Events(clock, self._tell)
        self._log = get_logger("daemon")
        self._data_dir = Path(site.site.data_dir)
        self._official = official_platforms({name: asdict(each) for name, each in site.platforms.items()})
        self._store = Store(self._data_dir, retention=site.store, on_event=self._event, clock=clock)
        self._lines: dict[str, LineWorker] = {}
        self._actions = Actions(site, self._lines, clock)
        self._holds = Holds(self._lines, self._note, self._event)
        self._delivering = Delivering(site, self._store, clock, self._live, self._equipment, self._actions, self._event)
        self._marking = Marking(site, self._store, clock, self._event)
        self._delivering.stops = self._marking.stops
        self._watchdog = Watchdog(clock, self._data_dir / "hang.txt")
        self._measuring: Measuring
        self._instruments: InstrumentWatch
        self._logger: LoggerWatch
        self._on_site: OnSite

    async def run(self) -> None:
        """Until SIGTERM or SIGINT."""
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        try:
            await self._marking.load()
            await self._delivering.load()
            agenda = Agenda(self._delivering.terms)
            parts = self._site, self._store, self._clock, agenda, self._delivering.offer, self._event
            alarms = Alarms(self._site, self._actions, self._store, self._clock, self._event)
            self._measuring = Measuring(*parts, self._lines, self._actions.mark_of, alarms)
            self._measuring.observe = self._observe
            self._marking.lay_over(self._measuring.engines)
            changes = Changes(await self._store.do(infos.known))
            on_site = self._site, self._actions, self._store, self._clock, changes, self._delivering.uploads
            self._on_site = OnSite(*on_site)
            await self._on_site.load(alarms, self._measuring.acquirer.batches)
            self._watch(changes)
            await self._until(stop)
        finally:
            await asyncio.to_thread(self._store.close)

    def _watch(self, changes: Changes) -> None:
        """What looks after states, parameters and identities."""
        measuring, delivering = self._measuring, self._delivering
        parts = self._site, self._actions, self._clock, changes, delivering.uploads
        self._instruments = InstrumentWatch(
            *parts, lambda name: self._heard().get(name), self._event, self._on_site.filings
        )
        observed = Observed(
            lambda: measuring.disk_error is not None or bool(self._watchdog.hanging()),
            lambda: {key: session.link is not None for key, session in delivering.sessions.items()},
            measuring.ports,
            self._heard,
        )
        self._logger = LoggerWatch(self._site, self._clock, changes, delivering.uploads, observed)

    def _observe(self, samples: Sequence[Sample]) -> None:
        self._marking.observe(samples)
        self._on_site.observe(samples)

    def _heard(self) -> dict[str, bool]:
        return self._measuring.acquirer.heard(self._clock.wall_ms())

    async def _until(self, stop: asyncio.Event) -> None:
        control = await self._open_control()
        link_ups = await listen_for_links(self._delivering.link_ups)
        try:
            await self._work(stop)
        except* _Stopping:
            self._log.info("stopping")
        finally:
            notify("STOPPING=1")
            if control is not None:
                await control.stop()
            if link_ups is not None:
                link_ups.close()
            await self._measuring.stop()
            await self._delivering.keep_packets()
            await self._delivering.keep_links()
            if plausible(self._clock.wall_ms()):
                await self._note("stopped", {})

    async def _open_control(self) -> ControlServer | None:
        """The control socket where it belongs, else in data_dir; a daemon that cannot be asked still does its work."""
        for path in dict.fromkeys(
            (socket_path(self._site.site.socket, self._data_dir), self._data_dir / "control.sock")
        ):
            control = ControlServer(path, self._verbs())
            try:
                await control.start()
            except (OSError, SocketTaken) as error:
                self._event("edge.control-failed", {"path": str(path), "why": str(error)})
            else:
                return control
        return None

    async def _work(self, stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            self._measuring.start(group, self._restarted)
            self._delivering.start(group, self._restarted)
            self._instruments.start(group, self._restarted)
            self._on_site.start(group, self._restarted)
            states = keep_alive("states", self._logger.run, self._clock, self._restarted)
            group.create_task(states, name="states")
            group.create_task(keep_alive("start", self._announce, self._clock, self._restarted), name="start")
            clocks = keep_alive("clocks", self._set_analyzer_clocks, self._clock, self._restarted)
            group.create_task(clocks, name="clocks")
            if self._site.store.backup_to is not None:
                backups = keep_alive("backups", self._back_up, self._clock, self._restarted)
                group.create_task(backups, name="backups")
            sweep = keep_alive("sweep", self._sweep, self._clock, self._restarted)
            group.create_task(sweep, name="sweep")
            filling = keep_alive("filling", self._fill, self._clock, self._restarted)
            group.create_task(filling, name="filling")
            group.create_task(keep_alive("holds", self._holds.run, self._clock, self._restarted), name="holds")
            group.create_task(keep_alive("mend", self._mend, self._clock, self._restarted), name="mend")
            group.create_task(keep_alive("marks", self._marking.run, self._clock, self._restarted), name="marks")
            group.create_task(keep_alive("revising", self._revise, self._clock, self._restarted), name="revising")
            self._watch_parts()
            group.create_task(keep_alive("watchdog", self._watchdog.run, self._clock, self._restarted), name="watchdog")
            gc.freeze()
            notify(f"READY=1\nSTATUS={self._site.site.name}")
            self._log.info("running", site=self._site.site.name, version=__version__)
            await stop.wait()
            raise _Stopping

    async def _announce(self) -> None:
        """The start goes to the journal and, as 2081, to every platform, once clock and disk allow."""
        while True:
            now_ms = self._clock.wall_ms()
            try:
                if plausible(now_ms):
                    started = {
                        "version": __version__,
                        "site_sha256": self._site_sha256,
                        "machine_up_s": int(machine_up_s()),
                    }
                    await self._store.do(journal.append, "logger", "started", started, now_ms)
                    restart_ms = now_ms - int((self._clock.mono_s() - self._started_s) * 1000)
                    await self._delivering.announce_start(restart_ms)
                    await asyncio.Event().wait()  # said once: nothing more to do
            except StoreFailed as error:
                self._event("edge.store-failed", {"why": explain(error)})
            await self._clock.sleep(RETRY_S)

    async def _set_analyzer_clocks(self) -> None:
        await set_analyzer_clocks(self._actions, self._clock, self._note)

    async def _note(self, action: str, detail: dict[str, Any], who: str = "logger") -> None:
        """An entry in the journal, of the logger itself or of a user."""
        try:
            await self._store.do(journal.append, who, action, detail, self._clock.wall_ms())
        except StoreFailed as error:
            self._event("edge.store-failed", {"why": explain(error)})

    async def _back_up(self) -> None:
        """A backup every `backup_every`, counted from the newest one there; a disk that is away is tried again."""
        plan = Backups(self._data_dir, self._path, self._site.store)
        while True:
            await self._clock.sleep(plan.wait_s(self._clock.wall_ms()))
            try:
                folder = await asyncio.to_thread(plan.make, self._clock.wall_ms())
                self._event("edge.backed-up", {"file": str(folder)})
            except (StoreError, OSError) as error:
                why = explain(error) if isinstance(error, StoreError) else error.strerror or str(error)
                self._event("edge.backup-failed", {"file": str(plan.target), "why": why})
                await self._clock.sleep(BACKUP_RETRY_S)

    async def _sweep(self) -> None:
        """Retention, a slice at a time."""
        pace = Pace(await self._store.do(links.seen), self._clock.mono_s())
        while True:
            try:
                now_ms, served = self._clock.wall_ms(), self._delivering.sessions.keys()
                more = plausible(now_ms) and await self._store.sweep(pace.now(now_ms, self._clock.mono_s()), served)
            except StoreFailed as error:
                more = False
                self._event("edge.store-failed", {"why": explain(error)})
            await self._clock.sleep(SWEEP_MORE_S if more else SWEEP_S)

    async def _mend(self) -> None:
        """What a damaged file still holds, a slice at a time; else the store is read through."""
        while True:
            more = await self._store.mend()
            await self._clock.sleep(MEND_MORE_S if more else MEND_S)

    async def _revise(self) -> None:
        engines, offer = self._measuring.engines, self._delivering.offer
        reviser = Reviser(self._site, self._store, self._clock.wall_ms, self._event, engines, offer)
        await self._marking.revise(reviser, lambda: not self._measuring.waits)

    async def _fill(self) -> None:
        await self._delivering.filling.run(lambda: not self._measuring.waits)

    def _live(self, outlet: str, now_ms: int) -> Sequence[Live]:
        return self._measuring.live(outlet, now_ms)

    def _equipment(self, outlet: str, now_ms: int) -> Sequence[Sample]:
        return [one for one in self._measuring.acquirer.latest(outlet, now_ms) if is_equipment(one.factor)]

    # what happened

    def _event(self, code: str, params: dict[str, Any]) -> None:
        """Kept for `status` and written to the log where it is news; may be called from any thread."""
        self._events.happened(code, params)

    def _tell(self, code: str, params: Mapping[str, Any]) -> None:
        self._log.info(text(code, "en", **params), code=code)

    def _restarted(self, part: str) -> None:
        self._event("edge.part-restarted", {"part": part})

    def _watch_parts(self) -> None:
        self._watchdog.watch("store", self._store.age_s, in_loop=False)
        self._watchdog.watch("measuring", self._measuring.age_s)
        self._watchdog.watch("delivering", self._delivering.age_s)
        for key in self._delivering.sessions:
            name = "session[{}/{}]".format(*key)
            self._watchdog.watch(name, partial(self._delivering.session_age_s, key))
        for name in self._measuring.lines:
            limit_s = self._measuring.line_limit_s(name)
            age_s = partial(self._measuring.line_age_s, name)
            self._watchdog.watch(f"line[{name}]", age_s, limit_s, LINE_FATAL_S, in_loop=False)

    # what the command line asks

    def _verbs(self) -> dict[str, Verb]:
        verbs = {
            "status": Verb(self._status),
            "platform-reset": Verb(self._reset, changes=True),
            "outbox-hold": Verb(self._hold, changes=True),
            "outbox-retry": Verb(self._retry, changes=True),
            "outbox-send-again": Verb(self._send_again, changes=True),
            **self._on_site.verbs(),
        }
        for what in ("mark", "maintain", "source"):
            verbs[f"{what}-order"] = Verb(partial(self._order, what), changes=True)
        for name, query in QUERIES.items():
            verbs[name] = Verb(self._stored(name, query))
        reads = Reads(self._site, self._lines, lambda: self._measuring.last_errors)
        return verbs | self._holds.verbs() | Listening(self._lines).verbs() | reads.verbs()

    async def _order(self, what: str, args: dict[str, Any], who: Who) -> list[dict[str, Any]]:
        return [mark_shown(entry) for entry in await self._marking.order(what, args, who.name)]

    async def _reset(self, args: dict[str, Any], who: Who) -> list[dict[str, str]]:
        platform, name = args.get("platform"), args.get("name")
        if platform is not None and platform not in self._site.platforms:
            raise Denied("remote.unknown-platform", platform=platform)
        user = f"user:{who.name}"
        return await self._delivering.reset(platform, name, user) + await self._on_site.reset(platform, name, user)

    def _platform(self, args: dict[str, Any]) -> str:
        platform = args.get("platform")
        if platform not in self._site.platforms:
            raise Denied("remote.unknown-platform", platform=platform)
        return str(platform)

    async def _hold(self, args: dict[str, Any], who: Who) -> dict[str, bool]:
        held = bool(args["on"])
        return {"held": held, "changed": await self._delivering.hold(self._platform(args), held, f"user:{who.name}")}

    async def _retry(self, args: dict[str, Any], who: Who) -> int:
        return await self._delivering.retry(self._platform(args), f"user:{who.name}")

    async def _send_again(self, args: dict[str, Any], who: Who) -> int:
        wanted = Range(self._platform(args), args["cns"], args["from"], args["to"], args.get("outlet"))
        return await self._delivering.send_again(wanted, f"user:{who.name}")

    def _stored(self, name: str, query: Any) -> Any:
        async def answer(args: dict[str, Any], who: Who) -> Any:
            if name == "packets":
                await self._delivering.keep_packets()
            run = self._store.do_samples if query.samples else self._store.do
            asked = {**args, "raw": bool(args.get("raw")) and who.changes, "official": self._official}
            answered = await run(query.answer, asked)
            if name == "outbox":
                for row in answered["platforms"]:
                    row |= self._delivering.pace(row["platform"], row["outlet"], row["open"])
            return answered

        return answer

    async def _status(self, args: dict[str, Any], who: Who) -> dict[str, Any]:
        now_ms = self._clock.wall_ms()
        counts, aside, ahead = await self._counted(now_ms)
        return {
            "daemon": {
                "site": self._site.site.name,
                "version": __version__,
                "now": report.when(now_ms),
                "clock": "plausible" if plausible(now_ms) else "implausible",
                "started": report.when(self._started_ms),
                "uptime_s": int(self._clock.mono_s() - self._started_s),
                "memory_kb": report.memory_kb(),
            },
            "warnings": [
                *report.warnings(self._site, self._delivering, self._measuring, ahead),
                *report.refusals(aside),
                *report.not_in_site(self._delivering, counts),
                *self._marking.warnings(),
                *self._holds.warnings(),
                *self._on_site.warnings(),
                *self._hanging(),
            ],
            "platforms": report.platforms(self._delivering, counts, aside),
            "points": points(self._measuring, self._site.outlets),
            "lines": report.lines(self._measuring),
            "infos": report.infos(self._instruments, self._logger),
            **self._on_site.status(self._instruments.errors),
            "marks": [mark_shown(entry) for entry in self._marking.open_marks()],
            "events": self._events.shown(),
            "alarms": report.alarms(self._measuring),
        }

    async def _counted(self, now_ms: int) -> tuple[dict[tuple[str, str], dict[str, int]], list[Aside], int]:
        """What status asks of the store; again, where it was asked in the same breath as something that a full disk
        refused.
        """
        for _ in range(ASK_AGAIN):
            try:
                return await self._store.do(report.counted, now_ms)
            except StoreFailed as error:
                self._event("edge.store-failed", {"why": explain(error)})
        return await self._store.do(report.counted, now_ms)

    def _hanging(self) -> list[dict[str, Any]]:
        return [{"code": "edge.warn-hanging", "params": {"part": name}} for name in self._watchdog.hanging()]
