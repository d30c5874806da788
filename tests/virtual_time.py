"""Virtual time: a loop that jumps to the next timer, a clock on it, a store without a thread, a scripted platform.

    run(main())                 nothing waits for real; a day takes as long as its work
    World                       one data_dir with platforms, sessions and links on in-memory wires

The wire carries whole frames with a round-trip time; what the platform does with them is its `Profile`.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import selectors
import weakref
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from config.site import Access, General, Outlet, Platform, Site
from edge.actions import ActionResult, Actions
from edge.bench import edition as bench_edition
from edge.clock import ClockRefused
from edge.delivering import _put_all
from edge.keeping import entry
from edge.measure.engine import Engine
from edge.measure.rules import factor_rule
from edge.remote.context import Context, Refusals
from edge.remote.serve import serve
from edge.store import journal, outbox, records, settings
from edge.store.database import RECORDS, open_database
from edge.store.errors import StoreFailed
from edge.store.outbox import Due
from edge.uplink.build import Builder
from edge.uplink.history import SealedRecords
from edge.uplink.link import Link
from edge.uplink.session import Session
from edge.uplink.terms import Terms
from edge.uplink.transport import Connection
from edge.uploads import Uploads
from edge.values import MINUTE_MS, Kind, Record
from protocol import edition, messages, upload
from protocol.packet import Packet
from protocol.region import Body

NOON = 1_790_049_600_000
"""2026-09-22 12:00:00 in Beijing."""
MN = "010000A8900016F000169DC0"


class _Jump(selectors.SelectSelector):
    """Waiting is a jump of the loop's time."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "everything waits for something that nobody will do"
            self.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop without real time."""

    def __init__(self) -> None:
        self._jump = _Jump()
        super().__init__(self._jump)

    def time(self) -> float:
        return self._jump.now


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main)


class VirtualClock:
    """The loop's time from NOON on; setting it touches nothing but itself."""

    speed = 1.0

    def __init__(self, start_ms: int = NOON) -> None:
        self.offset_ms = start_ms - round(self.mono_s() * 1000)
        self.refuses = False

    def wall_ms(self) -> int:
        return self.offset_ms + round(self.mono_s() * 1000)

    def mono_s(self) -> float:
        return asyncio.get_running_loop().time()

    def set_wall(self, ms: int) -> None:
        if self.refuses:
            raise ClockRefused
        self.offset_ms += ms - self.wall_ms()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))


class Killed(BaseException):
    """The process ended here."""


class InlineStore:
    """The store's functions on a real file, each a transaction of its own, run at once.

    `failing`: the disk refuses; `kill_at`: the n-th call ends the process, before its commit or (`after`) behind it.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.db, _ = open_database(folder, RECORDS, "20260922120000", lambda code, params: None)
        weakref.finalize(self, self.db.close)  # from 3.13 on Python warns of a connection that is left open
        self.db.execute("PRAGMA synchronous = OFF")
        self.failing = False
        self.calls = 0
        self.longest_page = 0
        self.kill_at: int | None = None
        self.kill_after = False
        self.commit_s = 0.0

    async def do(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        await asyncio.sleep(self.commit_s)
        if self.failing:
            raise StoreFailed("store.failed", file="records.db", reason="disk I/O error")
        self.calls += 1
        dying = self.calls == self.kill_at
        if dying and not self.kill_after:
            raise Killed
        result = self.now(fn, *args, **kwargs)
        if dying:
            raise Killed
        if fn is outbox.open_deliveries:
            self.longest_page = max(self.longest_page, len(result))
        return result

    do_samples = do_soon = do

    def now(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """The same for the test itself."""
        self.db.execute("BEGIN")
        try:
            result = fn(self.db, *args, **kwargs)
        except BaseException:
            self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT")
        return result

    def close(self) -> None:
        self.db.close()


@dataclass(slots=True)
class Profile:
    """How a platform behaves. `silent`: CNs it never answers, or everything; `late_s`: before an answer leaves."""

    silent: bool | frozenset[str] = False
    late_s: float = 0.0
    times: int = 1
    refuse_9014: frozenset[str] = frozenset()
    refuse_9011: frozenset[str] = frozenset()
    says_9011_only: bool = False
    dies_after: int | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """A packet at the platform: virtual seconds, packet, bytes, number of the connection."""

    at: float
    packet: Packet
    frame: bytes
    connection: int


class ScriptedPlatform:
    """The other end of the wire."""

    def __init__(self, profile: Profile | None = None, rtt_s: float = 0.1, edition: str = "2017") -> None:
        self.profile = profile or Profile()
        self.edition = bench_edition.edition(edition)
        self.rtt_s = rtt_s
        self.up = True
        self.drains = True
        self.seen: list[Seen] = []
        self.connects: list[float] = []
        self.answered: set[str] = set()
        self.ends: list[MemoryEnd] = []

    def accept(self) -> MemoryEnd:
        """A new connection; OSError while the platform is away."""
        if not self.up:
            raise ConnectionRefusedError("refused")
        self.connects.append(asyncio.get_running_loop().time())
        self.ends.append(MemoryEnd(self, len(self.connects)))
        return self.ends[-1]

    def cut(self) -> None:
        """All connections end; no new one until `up` is set again."""
        self.up = False
        for end in self.ends:
            end.hang_up()

    def send(self, frame: bytes) -> None:
        """From the platform, on the newest connection."""
        self.ends[-1].deliver(frame, self.rtt_s / 2)

    def of(self, cn: str) -> list[Seen]:
        """What came of one CN."""
        return [seen for seen in self.seen if seen.packet.cn == cn]

    def take(self, frame: bytes, end: MemoryEnd) -> None:
        """A frame has arrived."""
        packet = Packet.from_segment(frame[6 : 6 + int(frame[2:6])])
        self.seen.append(Seen(asyncio.get_running_loop().time(), packet, frame, end.number))
        if self.profile.dies_after is not None and len(self.seen) >= self.profile.dies_after:
            self.profile.dies_after = None
            end.hang_up()
            return
        for answer in self._answers(packet) * self.profile.times:
            end.deliver(answer, self.profile.late_s + self.rtt_s / 2)

    def _answers(self, packet: Packet) -> list[bytes]:
        mute = self.profile.silent
        if not self.edition.wants_answer(packet) or mute is True or (mute is not False and packet.cn in mute):
            return []
        if packet.cn in self.profile.refuse_9011:
            return [messages.request_answer(packet, 3).to_frame()]
        if packet.cn in self.profile.refuse_9014:
            answer = self.edition.answer(packet)
            return [replace(answer, data=(*answer.data, (("QnRtn", "2"),))).to_frame()]
        if self.profile.says_9011_only:
            return [messages.request_answer(packet, 1).to_frame()]
        self.answered.add(packet.qn or "")
        return [self.edition.answer(packet).to_frame()]


class MemoryEnd:
    """The logger's writer of one connection."""

    def __init__(self, platform: ScriptedPlatform, number: int) -> None:
        self.number = number
        self.reader = asyncio.StreamReader()
        self._platform = platform
        self._open = True
        self._under_way: deque[bytes] = deque()

    def write(self, frame: bytes) -> None:
        self._under_way.append(frame)
        asyncio.get_running_loop().call_later(self._platform.rtt_s / 2, self._arrive)

    def _arrive(self) -> None:
        """The oldest frame: of two timers of the same moment the loop may take either first."""
        frame = self._under_way.popleft()
        if self._open:
            self._platform.take(frame, self)

    async def drain(self) -> None:
        if not self._open:
            raise ConnectionResetError("connection lost")

    @property
    def transport(self) -> MemoryEnd:
        return self

    def abort(self) -> None:
        self.hang_up()

    def is_closing(self) -> bool:
        return not self._open

    def deliver(self, frame: bytes, after_s: float) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(after_s, lambda: self._open and self.reader.feed_data(frame))

    def hang_up(self) -> None:
        if self._open:
            self._open = False
            self.reader.feed_eof()


class MemoryWire:
    """A transport without sockets."""

    waits = False
    refused: Mapping[str, int] = {}

    def __init__(self, address: str, platform: ScriptedPlatform) -> None:
        self.address = address
        self.platform = platform

    async def open(self) -> Connection:
        await asyncio.sleep(self.platform.rtt_s)
        end: Any = self.platform.accept()
        return Connection(end.reader, end, self.address, "127.0.0.1:9212")

    def close(self) -> None:
        pass


class MemoryLink(Link):
    """The product's link on an in-memory wire."""

    def drained(self) -> bool:
        wire: Any = self.transport
        return bool(wire.platform.drains)


def site_platform(**changes: Any) -> Platform:
    """A platform's part of the site file."""
    base = {
        "edition": "2017",
        "address": "city.example:9212",
        "outlets": {"ww1": Access(mn=MN, password="123456")},
        "minute": MINUTE_MS,
        "backfill_rate": 0.0,
    }
    return Platform(**(base | changes))


WATER = Outlet(name="总排口", st="32", statistics="water")
FACTORS = {name: factor_rule(name) for name in ("w00000", "w01001", "w01018")}


@dataclass
class World:
    """One logger's delivering side on one data_dir."""

    folder: Path
    start_ms: int = NOON
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    sessions: dict[str, Session] = field(default_factory=dict)
    links: dict[str, Link] = field(default_factory=dict)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    synchronised: bool = False
    asks_time: bool = False
    refusals: dict[str, Refusals] = field(default_factory=dict)
    builders: dict[str, Builder] = field(default_factory=dict)
    actions: Any = None
    """What the instruments can do; None: nothing."""

    def __post_init__(self) -> None:
        self.clock = VirtualClock(self.start_ms)
        self.actions = self.actions or Actions(Site(site=General(name="test")), {}, self.clock)
        self.store = InlineStore(self.folder)
        store: Any = self.store
        self.keyed: dict[tuple[str, str], Session] = {}
        self.uploads = Uploads(self.keyed, store, self.clock, self._event)

    def add(self, platform: ScriptedPlatform, name: str = "city", mn: str = MN, **changes: Any) -> Session:
        """A platform, its session and its link, which connects at once."""
        site = site_platform(outlets={"ww1": Access(mn=mn, password="123456")}, **changes)
        kept = self.store.now(settings.get_all, name)
        overrides = {key: one.value for (_, key), one in kept.items()}
        moved_ms = self.store.now(outbox.address_since, name, site.addresses[0], self.clock.wall_ms())
        terms = Terms(name, "ww1", "32", site, site.outlets["ww1"], overrides, moved_ms)
        builder = Builder(terms, Engine(WATER, "ww1", FACTORS), {})
        self.builders[name] = builder
        store: Any = self.store
        parts = terms, store, self.clock, builder, self._command, self._event, lambda *args: None
        session = Session(*parts, lambda: self.asks_time and not self.synchronised)
        link = self.link(name, site, session, platform)
        self.sessions[name], self.links[name] = session, link
        self.keyed[name, "ww1"] = session
        self.tasks.append(asyncio.get_running_loop().create_task(link.run()))
        return session

    def link(self, name: str, site: Platform, session: Session, platform: ScriptedPlatform) -> Link:
        """A session's link: on an in-memory wire, unless a world has another."""
        read = edition.edition(site.edition).read
        wire = MemoryWire(site.addresses[0], platform)
        return MemoryLink(name, wire, [session], self.clock, read_packet=read, on_event=self._event)

    async def sleep(self, seconds: float) -> None:
        """Let virtual time pass; a part that fails ends the test."""
        await asyncio.sleep(seconds)
        for task in self.tasks:
            if task.done():
                task.result()

    async def stop(self) -> None:
        """As SIGKILL: nothing is said to anybody."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.tasks.clear()
        self.store.close()

    def seal(self, start: int, platforms: tuple[str, ...] = ("city",), kind: Kind = Kind.MINUTE) -> list[int]:
        """Records of one period, and what is due for them, as the daemon commits them."""
        cn, end = {
            Kind.MINUTE: ("2051", start + MINUTE_MS),
            Kind.HOUR: ("2061", None),
            Kind.DAY: ("2031", None),
        }[kind]
        dues = [Due(name, "ww1", cn, start, end=end) for name in platforms]
        ids: list[int] = self.store.now(records.seal, sample_records(start, kind), dues, self.clock.wall_ms())
        return ids

    def offer(self, ids: list[int]) -> None:
        for session in self.sessions.values():
            session.offer(ids)

    async def realtime(self, every_s: float = 60.0) -> None:
        """Realtime data at every tick, for ever."""
        while True:
            tick = self.clock.wall_ms() // 1000 * 1000
            for session in self.sessions.values():
                await session.offer_fleeting("2011", tick, realtime_region(tick))
            await asyncio.sleep(every_s)

    async def minutes(self, count: int) -> None:
        """A minute is sealed at every full minute of virtual time."""
        for _ in range(count):
            now = self.clock.wall_ms()
            await asyncio.sleep((MINUTE_MS - now % MINUTE_MS) / 1000)
            start = self.clock.wall_ms() // MINUTE_MS * MINUTE_MS - MINUTE_MS
            self.offer(self.seal(start, tuple(self.sessions)))

    def task(self, work: Coroutine[Any, Any, None]) -> None:
        self.tasks.append(asyncio.get_running_loop().create_task(work))

    def open_count(self) -> int:
        row = self.store.db.execute("SELECT count(*) FROM delivery WHERE state < 2").fetchone()
        return int(row[0])

    def counts(self) -> outbox.Counts:
        (found,) = self.store.now(outbox.counts)
        assert isinstance(found, outbox.Counts)
        return found

    def counts_of(self, platform: str) -> outbox.Counts:
        return next(one for one in self.store.now(outbox.counts) if one.platform == platform)

    def _event(self, code: str, params: dict[str, Any]) -> None:
        self.events.append((code, params))

    def codes(self) -> list[str]:
        return [code for code, _ in self.events]

    async def _command(self, packet: Packet, session: Session) -> None:
        await serve(self.context(session), packet, session.answer)

    def context(self, session: Session) -> Context:
        """What the daemon hands to a handler."""
        terms = session.terms

        async def put(values: dict[str, str], origin: str) -> None:
            key = terms.platform, terms.outlet
            await self.store.do(_put_all, *key, values, f"platform:{origin}", self.clock.wall_ms())
            terms.overrides.update(values)
            session.terms_changed()

        async def note(action: str, detail: dict[str, Any]) -> None:
            await self.store.do(journal.append, f"platform:{terms.platform}", action, detail, self.clock.wall_ms())

        def clock_set() -> None:
            self.synchronised = True

        parts = partial(SealedRecords, self.builders[terms.platform]), session.history, session.spawn
        refusals = self.refusals.setdefault(terms.platform, Refusals())
        synchronised = lambda: self.synchronised  # noqa: E731 - one of six

        async def kept(at_ms: int, result: ActionResult) -> None:
            one = entry(result, terms.outlet, at_ms, "platform", terms.platform)
            await self.uploads.kept_sample(terms.outlet, at_ms, result.data.get("VaseNo"), terms.platform, one)

        told = None, kept
        return Context(terms, self.clock, put, note, synchronised, clock_set, refusals, self.actions, *parts, *told)


def sample_records(start: int, kind: Kind = Kind.MINUTE) -> list[Record]:
    """Three factors whose values tell their period."""
    step = start // MINUTE_MS % 10_000
    return [
        Record("ww1", kind, "w00000", start, min=1.0, avg=2.5, max=4.0, cou=step + 0.25, count=12),
        Record("ww1", kind, "w01001", start, min=7.1, avg=7.5, max=7.8, count=12),
        Record("ww1", kind, "w01018", start, min=step / 10, avg=step / 10, max=step / 10, cou=None, count=12),
    ]


def rendered(start: int) -> dict[str, str]:
    """What `sample_records` of a minute must look like on the wire, worked out without the product's code."""
    step = start // MINUTE_MS % 10_000
    whole, tenth = divmod(step, 10)
    value = f"{whole}.{tenth}"
    return {
        "w00000-Cou": f"{step}.250",
        "w00000-Min": "1.00", "w00000-Avg": "2.50", "w00000-Max": "4.00", "w00000-Flag": "N",
        "w01001-Min": "7.10", "w01001-Avg": "7.50", "w01001-Max": "7.80", "w01001-Flag": "N",
        "w01018-Min": value, "w01018-Avg": value, "w01018-Max": value, "w01018-Flag": "N",
    }  # fmt: skip


def realtime_region(tick: int) -> Body:
    return upload.realtime(tick, (("w01018", (("Rtd", 1), ("Flag", "N"))),), (2.2,))


def virtual(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """A test in virtual time; its fixtures are those of the function."""

    @functools.wraps(test)
    def wrapper(*args: Any, **kwargs: Any) -> None:
        async def main() -> None:
            await test(*args, **kwargs)

        run(main())

    wrapper.__signature__ = inspect.signature(test)  # type: ignore[attr-defined]  # pytest reads the fixtures from it
    return wrapper
