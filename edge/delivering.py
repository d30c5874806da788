"""Everything between the records and the platforms: terms, sessions, links, realtime ticks, the start-up packet."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from config.site import Platform, Site
from edge.actions import ActionResult, Actions
from edge.alarms2005 import Alarming
from edge.catalogue import explain
from edge.clock import Clock, plausible
from edge.filling import Filling
from edge.keeping import entry
from edge.link_log import LinkLog
from edge.logs import get_logger
from edge.measure.engine import Engine
from edge.measure.rules import decimals_of, factor_rules
from edge.measure.statistics import Live
from edge.measure.stops import OUT_OF_OPERATION, Stops
from edge.measure.wire import state_text, with_sample_time
from edge.remote.context import Context, Refusals
from edge.remote.serve import serve
from edge.store import again, journal, linklog, outbox, settings
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
from edge.uplink.terms import MINUTE_NAMES, Terms, destination
from edge.uplink.ways import transport
from edge.uploads import Uploads
from edge.values import Sample, period_start
from protocol.edition import edition
from protocol.messages import startup, states
from protocol.packet import Packet
from protocol.region import Body, write
from protocol.upload import realtime

if TYPE_CHECKING:
    from edge.uplink.mqtt_messages import Head

TICK_S = 0.5
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
        equipment: Callable[[str, int], Sequence[Sample]],
        actions: Actions,
        on_event: Callable[[str, dict[str, Any]], None],
    ) -> None:
        self._site = site
        self._actions = actions
        self.stops = Stops()
        """When the sources stood still; set before `load`."""
        self._store = store
        self._clock = clock
        self._live = live
        self._equipment = equipment
        self._on_event = on_event
        self._last_values: dict[tuple[str, str], float] = {}
        self._packets: deque[Logged] = deque(maxlen=PACKETS)
        self._ticks: dict[tuple[str, str, str], int] = {}
        self._last_tick = clock.mono_s()
        self.synchronised = False
        self.sessions: dict[tuple[str, str], Session] = {}
        self._builders: dict[tuple[str, str], Builder] = {}
        self.links: list[Link] = []
        self.link_log = LinkLog(store, clock)
        self._link_of: dict[tuple[str, str], Link] = {}
        self.link_ups: list[asyncio.Event] = []
        self._alarming = Alarming(store, clock, live, on_event)
        self.uploads = Uploads(self.sessions, store, clock, on_event)
        self.filling = Filling(store, clock, on_event)
        self._refusals: defaultdict[tuple[str, str], Refusals] = defaultdict(Refusals)
        self._log = get_logger("delivering")

    def link_of(self, session: Session) -> Link:
        """The link that a session sends over, also while it is down."""
        return self._link_of[session.terms.platform, session.terms.outlet]

    @property
    def terms(self) -> list[Terms]:
        """Terms of every platform and outlet."""
        return [session.terms for session in self.sessions.values()]

    async def load(self) -> None:
        """Sessions and links of every platform, with what the platforms set earlier."""
        await self.link_log.begin()
        for name, platform in self._site.platforms.items():
            kept = await self._store.do(settings.get_all, name)
            now_ms = self._clock.wall_ms()
            moved_ms = await self._store.do(outbox.address_since, name, destination(platform), now_ms)
            sessions = [
                self._session(name, platform, outlet, {key[1]: one for key, one in kept.items() if key[0] == outlet})
                for outlet in platform.outlets
            ]
            silent = await self._store.do(outbox.never_answered, name)
            held = await self._store.do(again.is_held, name)
            for session in sessions:
                session.terms.held = held
                session.terms.address_since_ms = moved_ms
                session.health.misses.update(dict.fromkeys(silent, SILENT_AFTER))
            shared = platform.connection == "shared"
            for users in [sessions] if shared else [[session] for session in sessions]:
                link = self._link(name if shared else f"{name}/{users[0].terms.outlet}", platform, users)
                self.links.append(link)
                self.link_log.watch(link, users)
                self._link_of |= {(name, user.terms.outlet): link for user in users}
        await self.filling.load(self.terms)
        await self.uploads.load()

    def _session(self, name: str, platform: Platform, outlet: str, kept: dict[str, Setting]) -> Session:
        terms = Terms(name, outlet, self._site.outlets[outlet].st, platform, platform.outlets[outlet])
        for key, one in kept.items():
            terms.override({key: one.value}, one.at_ms)
        builder = self._builder(terms)
        self._builders[name, outlet] = builder
        parts = terms, self._store, self._clock, builder, self._command, self._on_event, self._packet
        session = Session(*parts, lambda: not self.synchronised and platform.time != "refuse")
        self.sessions[name, outlet] = session
        return session

    def _builder(self, terms: Terms) -> Builder:
        settled = self._site.outlets[terms.outlet]
        engine = Engine(settled, terms.outlet, factor_rules(self._site, terms.outlet))
        parts = terms, engine, decimals_of(self._site, terms.outlet), self._on_event, self.stops
        if terms.site.mqtt is None or terms.site.mqtt.payload == "hj212":
            return Builder(*parts)
        from edge.uplink.mqtt_messages import JsonBuilder  # no part of a site without MQTT

        return JsonBuilder(*parts, head=self._head(terms))

    def _head(self, terms: Terms) -> Head:
        """What the messages of an outlet begin with."""
        from edge.uplink.mqtt_messages import Head

        outlet = self._site.outlets[terms.outlet]
        return Head(self._site.site.name, terms.outlet, outlet.name, terms.mn, terms.st)

    def _mqtt_link(self, name: str, session: Session, event: asyncio.Event) -> Link:
        from edge.uplink.mqtt import MqttLink

        parts = session, self._head(session.terms), self._clock, event, self._on_event
        return MqttLink(name, *parts, watcher=self.link_log)

    def _link(self, name: str, platform: Platform, users: list[Session]) -> Link:
        event = asyncio.Event()
        self.link_ups.append(event)
        if platform.protocol == "mqtt":
            return self._mqtt_link(name, users[0], event)
        return Link(
            name,
            transport(name, platform, self._on_event),
            users,
            self._clock,
            frame_gap_s=platform.frame_gap / 1000,
            crc=platform.crc,
            read_packet=edition(platform.edition).read,
            link_up=event,
            on_event=self._on_event,
            watcher=self.link_log,
        )

    def start(self, group: asyncio.TaskGroup, count: Callable[[str], None]) -> None:
        """Every link by itself, and the ticks."""
        for link in self.links:
            name = f"uplink[{link.name}]"
            group.create_task(keep_alive(name, link.run, self._clock, count), name=name)
        group.create_task(keep_alive("ticks", self._tick_loop, self._clock, count), name="ticks")
        self.uploads.start(group, count)

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
            if terms.edition.carries("2081")
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

    async def keep_links(self) -> None:
        """The rest of the link log, when the daemon stops."""
        with suppress(StoreFailed):
            await self.link_log.close()

    # realtime

    async def _tick_loop(self) -> None:
        while True:
            await self._tick()
            if self._packets and self._packets[0].at_ms < self._clock.wall_ms() - PACKETS_MS:
                await self.keep_packets()
            with suppress(StoreFailed):  # begun with the next look
                await self.link_log.look()
            await self._clock.sleep(TICK_S)

    def age_s(self) -> float:
        """Real seconds since realtime data were last looked at, for the watchdog."""
        return (self._clock.mono_s() - self._last_tick) / self._clock.speed

    def session_age_s(self, key: tuple[str, str]) -> float:
        """Real seconds for which a session has owed progress; 0 without a link, where there is none to make."""
        session = self.sessions[key]
        return 0.0 if session.link is None else (self._clock.mono_s() - session.rests_until) / self._clock.speed

    async def _tick(self) -> None:
        self._last_tick = self._clock.mono_s()
        now_ms = self._clock.wall_ms()
        if not plausible(now_ms):
            return
        await self._alarming.look(self.sessions.values(), now_ms)
        for session in self.sessions.values():
            session.health.look(self._last_tick)
            tick = period_start(now_ms - REALTIME_DELAY_MS, session.terms.realtime_ms)
            due = [(cn, body) for cn in ("2011", "2021") if (body := self._due(cn, session.terms, tick)) is not None]
            if due:
                (cn, body), *more = due
                await session.offer_fleeting(cn, tick, body, *more)

    def _due(self, cn: str, terms: Terms, tick: int) -> Body | None:
        """The realtime or state upload of a tick; None: not due, stopped by the platform, or nothing to say."""
        key = terms.platform, terms.outlet, cn
        # the first tick after a start is that of the run before, or one for which nothing has been polled yet
        if self._ticks.setdefault(key, tick) == tick or not (terms.realtime_on if cn == "2011" else terms.state_on):
            return None
        self._ticks[key] = tick
        return self._realtime(terms, tick) if cn == "2011" else self._states(terms, tick)

    def _states(self, terms: Terms, tick: int) -> Body | None:
        known = [(one.factor, state) for one in self._equipment(terms.outlet, tick) if (state := state_text(one))]
        return write(states(tick, known)) if known else None

    def _realtime(self, terms: Terms, tick: int) -> Body | None:
        items, numbers = [], self._builders[terms.platform, terms.outlet].numbers
        for one in self._live(terms.outlet, tick):
            sample = self._on_wire(one.sample, terms)
            key = sample.outlet, sample.factor
            if sample.value is not None:
                self._last_values[key] = sample.value
            wire = numbers.sample(replace(one, sample=sample), self._last_values.get(key))
            if sample.value is not None:
                wire = with_sample_time(wire, one.sampled_at)
            if wire.slots:
                items.append((sample.factor, wire))
        shape = tuple((factor, wire.slots) for factor, wire in items)
        values = [value for _, wire in items for value in wire.values]
        return realtime(tick, shape, values, terms.edition, numbers.units) if items else None

    def _on_wire(self, sample: Sample, terms: Terms) -> Sample:
        """A sample with the mark that this platform wants while the source stands still."""
        if terms.site.stopped != OUT_OF_OPERATION:
            return sample
        return replace(sample, mark=self.stops.mark(sample.mark, sample.outlet, sample.time, sample.time + 1))

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
            partial(self._kept_sample, terms),
        )
        code = await serve(context, packet, session.answer)
        self._log.info("command", platform=terms.platform, outlet=terms.outlet, cn=packet.cn, qn_rtn=code)

    async def _kept_sample(self, terms: Terms, at_ms: int, result: ActionResult) -> None:
        kept = entry(result, terms.outlet, at_ms, "platform", terms.platform)
        await self.uploads.kept_sample(terms.outlet, at_ms, result.data.get("VaseNo"), terms.platform, kept)

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

    async def hold(self, platform: str, on: bool, who: str) -> bool:
        """Send nothing to a platform until it is released; kept across restarts. False: it was so already."""
        now_ms = self._clock.wall_ms()
        if not await self._store.do(_hold, platform, on, who, now_ms):
            return False
        for terms in self.terms:
            terms.held = on if terms.platform == platform else terms.held
        self._look_again(platform)
        return True

    async def retry(self, platform: str, who: str) -> int:
        """Try at once what waits for its next round, and what the platform has refused; how many."""
        count: int = await self._store.do(_retry, platform, who, self._clock.wall_ms())
        self._look_again(platform)
        return count

    async def send_again(self, wanted: again.Range, who: str) -> int:
        """Send delivered data once more, as backlog; how many deliveries."""
        total = 0
        detail = {**asdict(wanted), "cns": list(wanted.cns)}
        await self._store.do(journal.append, who, "outbox.send-again", detail, self._clock.wall_ms())
        place: again.Place | None = again.FIRST
        while place is not None:
            count, place = await self._store.do(again.reopen, wanted, place)
            total += count
        self._look_again(wanted.platform)
        return total

    def pace(self, platform: str, outlet: str, waiting: int) -> dict[str, float | None]:
        """Answers a minute, and how long what waits will take at that rate, s."""
        session = self.sessions.get((platform, outlet))
        rate = session.health.per_minute() if session is not None and session.link is not None else None
        left = round(waiting / rate * 60) if rate else None if waiting else 0
        return {"rate_per_min": None if rate is None else round(rate, 1), "time_left_s": left}

    def _look_again(self, platform: str) -> None:
        for session in self.sessions.values():
            if session.terms.platform == platform:
                session.look_again()

    def _pressure(self, outlet: str) -> float | None:
        """i23001 is the pressure that the flue gas rules count with; where there is no flue gas nobody knows it."""
        settled = self._site.outlets[outlet]
        return settled.gas.ambient_pressure if settled.statistics == "gas" else None

    async def _put(self, session: Session, values: dict[str, str], origin: str) -> None:
        terms, now_ms = session.terms, self._clock.wall_ms()
        same = terms.as_file(values)
        await self._store.do(partial(_put_all, same=same), terms.platform, terms.outlet, values, origin, now_ms)
        terms.override(values, now_ms)
        terms.reset(same)
        session.terms_changed()

    async def _note(self, terms: Terms, action: str, detail: dict[str, Any]) -> None:
        try:
            await self._store.do(journal.append, f"platform:{terms.platform}", action, detail, self._clock.wall_ms())
        except StoreFailed as error:
            self._on_event("edge.store-failed", {"why": explain(error)})

    def _clock_set(self) -> None:
        self.synchronised = True


def _hold(db: Any, platform: str, on: bool, who: str, now_ms: int) -> bool:
    """False, and no entry in the journal, where it is so already."""
    if again.is_held(db, platform) == on:
        return False
    again.hold(db, platform, on)
    journal.append(db, who, "outbox.held" if on else "outbox.released", {"platform": platform}, now_ms)
    return True


def _retry(db: Any, platform: str, who: str, now_ms: int) -> int:
    count = outbox.retry(db, platform)
    journal.append(db, who, "outbox.retry", {"platform": platform, "count": count}, now_ms)
    return count


def _reset_all(db: Any, platform: str, outlet: str, names: list[str], who: str, now_ms: int) -> None:
    """All in one transaction, each with its journal entry."""
    for name in names:
        settings.reset(db, platform, outlet, name, who, now_ms)


def _put_all(
    db: Any, platform: str, outlet: str, values: dict[str, str], origin: str, now_ms: int, *, same: Sequence[str] = ()
) -> None:
    """All values of one command, with their journal entries, in one transaction; `same`: not kept, as the site file
    says the same and is to count when it is edited.
    """
    for name, value in values.items():
        settings.put(db, platform, outlet, name, value, origin, now_ms)
    for name in same:
        settings.forget(db, platform, outlet, name)
