"""Everything between the records and the platforms: terms, sessions, links, realtime ticks, the start-up packet."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from config.site import Platform, Site
from edge.actions import Actions
from edge.catalogue import explain
from edge.clock import Clock, plausible
from edge.logs import get_logger
from edge.measure.engine import Engine
from edge.measure.rules import factor_rules
from edge.measure.statistics import Live
from edge.measure.wire import sample_wire, with_sample_time
from edge.remote.context import Context, Refusals
from edge.remote.serve import serve
from edge.store import journal, linklog, outbox, settings
from edge.store.errors import StoreFailed
from edge.store.linklog import Logged
from edge.store.outbox import Due
from edge.store.settings import Setting
from edge.store.store import Store
from edge.supervise import keep_alive
from edge.uplink.build import Builder
from edge.uplink.health import SILENT_AFTER
from edge.uplink.history import SealedRecords
from edge.uplink.link import Link
from edge.uplink.session import Session
from edge.uplink.terms import Terms
from edge.values import period_start
from protocol.factors import wire_decimals
from protocol.messages import startup
from protocol.packet import Packet
from protocol.region import Body, write
from protocol.upload import realtime

TICK_S = 0.5
MINUTE_NAMES = ("minute_before", "minute_from")
"""When a platform-set minute interval begins, and what goes before: kept when it is undone."""
PACKETS = 500
"""Packets in and out that wait in memory for the link log."""
PACKETS_MS = 10_000
REALTIME_DELAY_MS = 2_000
"""After a tick of the realtime interval the poll of that moment gets this long."""


class Delivering:
    """All platforms of the site."""

    def __init__(
        self,
        site: Site,
        store: Store,
        clock: Clock,
        live: Callable[[str, int], Sequence[Live]],
        actions: Actions,
        on_event: Callable[[str, dict[str, Any]], None],
    ) -> None:
        self._site = site
        self._actions = actions
        self._store = store
        self._clock = clock
        self._live = live
        self._on_event = on_event
        self._last_values: dict[tuple[str, str], float] = {}
        self._packets: deque[Logged] = deque(maxlen=PACKETS)
        self._ticks: dict[tuple[str, str], int] = {}
        self._last_tick = clock.mono_s()
        self.synchronised = False
        self.sessions: dict[tuple[str, str], Session] = {}
        self._builders: dict[tuple[str, str], Builder] = {}
        self.links: list[Link] = []
        self.link_ups: list[asyncio.Event] = []
        self._decimals = {
            (point.outlet, point.code): point.decimals
            for instrument in site.instruments.values()
            for point in instrument.points
            if point.decimals is not None
        }
        self._refusals: defaultdict[tuple[str, str], Refusals] = defaultdict(Refusals)
        self._log = get_logger("delivering")

    @property
    def terms(self) -> list[Terms]:
        """Terms of every platform and outlet."""
        return [session.terms for session in self.sessions.values()]

    async def load(self) -> None:
        """Sessions and links of every platform, with what the platforms set earlier."""
        for name, platform in self._site.platforms.items():
            kept = await self._store.do(settings.get_all, name)
            now_ms = self._clock.wall_ms()
            moved_ms = await self._store.do(outbox.address_since, name, platform.address, now_ms)
            sessions = [
                self._session(name, platform, outlet, {key[1]: one for key, one in kept.items() if key[0] == outlet})
                for outlet in platform.outlets
            ]
            silent = await self._store.do(outbox.never_answered, name)
            for session in sessions:
                session.terms.address_since_ms = moved_ms
                session.health.misses.update(dict.fromkeys(silent, SILENT_AFTER))
            shared = platform.connection == "shared"
            for users in [sessions] if shared else [[session] for session in sessions]:
                self.links.append(self._link(name if shared else f"{name}/{users[0].terms.outlet}", platform, users))

    def _session(self, name: str, platform: Platform, outlet: str, kept: dict[str, Setting]) -> Session:
        settled = self._site.outlets[outlet]
        terms = Terms(name, outlet, settled.st, platform, platform.outlets[outlet])
        for key, one in kept.items():
            terms.override({key: one.value}, one.at_ms)
        decimals = {factor: count for (where, factor), count in self._decimals.items() if where == outlet}
        builder = Builder(terms, Engine(settled, outlet, factor_rules(self._site, outlet)), decimals)
        self._builders[name, outlet] = builder
        parts = terms, self._store, self._clock, builder, self._command, self._on_event, self._packet
        session = Session(*parts, lambda: not self.synchronised and platform.time != "refuse")
        self.sessions[name, outlet] = session
        return session

    def _link(self, name: str, platform: Platform, users: list[Session]) -> Link:
        event = asyncio.Event()
        self.link_ups.append(event)
        return Link(
            name,
            platform.address,
            users,
            self._clock,
            frame_gap_s=platform.frame_gap / 1000,
            crc=platform.crc,
            link_up=event,
            on_event=self._on_event,
        )

    def start(self, group: asyncio.TaskGroup, count: Callable[[str], None]) -> None:
        """Every link by itself, and the ticks."""
        for link in self.links:
            name = f"uplink[{link.name}]"
            group.create_task(keep_alive(name, link.run, self._clock, count), name=name)
        group.create_task(keep_alive("ticks", self._tick_loop, self._clock, count), name="ticks")

    def offer(self, ids: list[int]) -> None:
        """Deliveries that were just committed; each session picks its own."""
        for session in self.sessions.values():
            session.offer(ids)

    async def announce_start(self, restart_ms: int) -> None:
        """2081 to every platform and MN: this logger has started."""
        now_ms = self._clock.wall_ms()
        region = startup(now_ms, restart_ms)
        dues = [
            Due(terms.platform, terms.outlet, "2081", now_ms // 1000 * 1000, payload=write(region).encode())
            for terms in self.terms
        ]
        self.offer(await self._store.do(outbox.enqueue, dues, now_ms))

    def _packet(self, terms: Terms, incoming: bool, data: bytes) -> None:
        self._packets.append(Logged(self._clock.wall_ms(), terms.platform, terms.outlet, incoming, data))

    async def keep_packets(self) -> None:
        """The last packets to disk, for the technician; batched, and no loss where the disk refuses them."""
        packets, self._packets = list(self._packets), deque(maxlen=PACKETS)
        if packets:
            with suppress(StoreFailed):
                await self._store.do_samples(linklog.log, packets)

    # realtime

    async def _tick_loop(self) -> None:
        while True:
            await self._tick()
            if self._packets and self._packets[0].at_ms < self._clock.wall_ms() - PACKETS_MS:
                await self.keep_packets()
            await self._clock.sleep(TICK_S)

    def age_s(self) -> float:
        """Real seconds since realtime data were last looked at, for the watchdog."""
        return (self._clock.mono_s() - self._last_tick) / self._clock.speed

    def session_age_s(self, key: tuple[str, str]) -> float:
        """Real seconds since a session's last progress; 0 without a link, where there is none to make."""
        session = self.sessions[key]
        return 0.0 if session.link is None else (self._clock.mono_s() - session.last_step) / self._clock.speed

    async def _tick(self) -> None:
        self._last_tick = self._clock.mono_s()
        now_ms = self._clock.wall_ms()
        if not plausible(now_ms):
            return
        for key, session in self.sessions.items():
            tick = period_start(now_ms - REALTIME_DELAY_MS, session.terms.realtime_ms)
            # the first tick after a start is that of the run before, or one for which nothing has been polled yet
            if self._ticks.setdefault(key, tick) == tick or not session.terms.realtime_on:
                continue
            self._ticks[key] = tick
            body = self._realtime(session.terms, tick)
            if body is not None:
                await session.offer_fleeting("2011", tick, body)

    def _realtime(self, terms: Terms, tick: int) -> Body | None:
        items = []
        for one in self._live(terms.outlet, tick):
            sample = one.sample
            decimals = wire_decimals(sample.factor, self._decimals.get((sample.outlet, sample.factor)))
            key = sample.outlet, sample.factor
            if sample.value is not None:
                self._last_values[key] = sample.value
            wire = sample_wire(sample, decimals, terms.site.absent, self._last_values.get(key), one.zs)
            if sample.value is not None:
                wire = with_sample_time(wire, one.sampled_at)
            if wire.slots:
                items.append((sample.factor, wire))
        shape = tuple((factor, wire.slots) for factor, wire in items)
        return realtime(tick, shape, [value for _, wire in items for value in wire.values]) if items else None

    # commands

    async def _command(self, packet: Packet, session: Session) -> None:
        terms = session.terms
        context = Context(
            terms,
            self._clock,
            lambda values, origin: self._put(session, values, f"platform:{origin}"),
            lambda action, detail: self._note(terms, action, detail),
            lambda: self.synchronised,
            self._clock_set,
            self._refusals[terms.platform, terms.outlet],
            self._actions,
            partial(SealedRecords, self._builders[terms.platform, terms.outlet]),
            session.history,
            session.spawn,
            self._pressure(terms.outlet),
        )
        code = await serve(context, packet, session.answer)
        self._log.info("command", platform=terms.platform, outlet=terms.outlet, cn=packet.cn, qn_rtn=code)

    async def reset(self, platform: str | None, name: str | None, who: str) -> list[dict[str, str]]:
        """Undo what platforms have set (None: all of them, all names); what was undone."""
        undone: list[dict[str, str]] = []
        for (where, outlet), session in self.sessions.items():
            if platform not in (None, where):
                continue
            names = [each for each in session.terms.overrides if name in (None, each) and each not in MINUTE_NAMES]
            if not names:
                continue
            if "minute" in names:  # the site file's interval begins at a border, as one that is set does
                border = session.terms.minute_border(session.terms.site.minute, self._clock.wall_ms())
                await self._put(session, border, who)
            await self._store.do(_reset_all, where, outlet, names, who, self._clock.wall_ms())
            session.terms.reset(names)
            session.terms_changed()
            undone += [{"platform": where, "outlet": outlet, "name": each} for each in names]
        return undone

    def _pressure(self, outlet: str) -> float | None:
        """i23001 is the pressure that the flue gas rules count with; where there is no flue gas nobody knows it."""
        settled = self._site.outlets[outlet]
        return settled.gas.ambient_pressure if settled.statistics == "gas" else None

    async def _put(self, session: Session, values: dict[str, str], origin: str) -> None:
        terms = session.terms
        await self._store.do(_put_all, terms.platform, terms.outlet, values, origin, self._clock.wall_ms())
        terms.override(values, self._clock.wall_ms())
        session.terms_changed()

    async def _note(self, terms: Terms, action: str, detail: dict[str, Any]) -> None:
        try:
            await self._store.do(journal.append, f"platform:{terms.platform}", action, detail, self._clock.wall_ms())
        except StoreFailed as error:
            self._on_event("edge.store-failed", {"why": explain(error)})

    def _clock_set(self) -> None:
        self.synchronised = True


def _reset_all(db: Any, platform: str, outlet: str, names: list[str], who: str, now_ms: int) -> None:
    """All in one transaction, each with its journal entry."""
    for name in names:
        settings.reset(db, platform, outlet, name, who, now_ms)


def _put_all(db: Any, platform: str, outlet: str, values: dict[str, str], origin: str, now_ms: int) -> None:
    """All values of one command, with their journal entries, in one transaction."""
    for name, value in values.items():
        settings.put(db, platform, outlet, name, value, origin, now_ms)
