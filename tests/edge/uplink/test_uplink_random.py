"""Any sequence of bad platforms, cuts, kills, clock steps and disk faults: what was sealed arrives as it was sealed."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from virtual_time import MINUTE_MS, NOON, Profile, ScriptedPlatform, Seen, World, realtime_region, rendered, run

from protocol.times import time_text

PROFILES = [
    Profile(),
    Profile(silent=True),
    Profile(silent=frozenset({"2051"})),
    Profile(late_s=12.0),
    Profile(late_s=45.0, times=2),
    Profile(refuse_9011=frozenset({"2051"})),
    Profile(refuse_9014=frozenset({"2011"})),
    Profile(says_9011_only=True),
    Profile(dies_after=1),
]
STEPS = st.one_of(
    st.tuples(st.just("platform"), st.integers(0, len(PROFILES) - 1)),
    st.tuples(st.sampled_from(["cut", "back", "kill", "disk", "password"]), st.just(0)),
    st.tuples(st.just("clock"), st.integers(-300, 300)),
    st.tuples(st.just("wait"), st.integers(1, 900)),
)


class Story:
    """One logger through everything; the platform outlives it."""

    def __init__(self, folder: Path, window: int) -> None:
        self.folder = folder
        self.window = window
        self.sealed: list[int] = []
        self.seen: list[Seen] = []
        self.city = ScriptedPlatform()
        self.world = World(folder)
        self.session = self.world.add(self.city, window=window)

    async def step(self, what: str, number: int) -> None:
        if what == "platform":
            self.city.profile = replace(PROFILES[number])
        elif what == "cut":
            self.city.cut()
        elif what == "back":
            self.city.up = True
        elif what == "disk":
            self.world.store.failing = not self.world.store.failing
        elif what == "clock":
            self.world.clock.set_wall(self.world.clock.wall_ms() + number * 1000)
        elif what == "password":
            self.session.terms.overrides["password"] = f"{len(self.sealed):06d}"
            self.session.terms_changed()
        elif what == "kill":
            await self.restart()
        else:
            await self.work(number)

    async def restart(self) -> None:
        wall_ms = self.world.clock.wall_ms()
        await self.world.stop()
        password = self.session.terms.overrides.get("password")
        self.world = World(self.folder, wall_ms)
        self.session = self.world.add(self.city, window=self.window)
        if password is not None:
            self.session.terms.overrides["password"] = password

    async def work(self, seconds: int) -> None:
        """A minute and a realtime value every 30 s of it."""
        for _ in range(max(1, seconds // 30)):
            start = NOON + len(self.sealed) * MINUTE_MS
            await self.session.offer_fleeting("2011", start, realtime_region(start))
            if not self.world.store.failing:
                self.world.offer(self.world.seal(start))
                self.sealed.append(start)
            await self.world.sleep(min(30, seconds))

    async def end(self) -> None:
        self.city.up, self.city.profile, self.world.store.failing = True, Profile(), False
        await self.world.sleep(2 * 3600)
        self.world.store.now(_take_back_what_stepped_aside)
        await self.world.sleep(2 * 3600)


def _take_back_what_stepped_aside(db: object) -> None:
    from edge.store import outbox

    outbox.retry(db, "city")  # type: ignore[arg-type]  # the store's connection


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(STEPS, max_size=14), window=st.sampled_from([1, 4]))
def test_what_was_sealed_arrives_as_it_was_sealed_whatever_happens(steps: list[tuple[str, int]], window: int) -> None:
    folder = Path(tempfile.mkdtemp(prefix="uplink"))

    async def story() -> None:
        told = Story(folder, window)
        for what, number in steps:
            await told.step(what, number)
        await told.end()
        check(told)
        await told.world.stop()

    try:
        run(story())
    finally:
        shutil.rmtree(folder)


def check(told: Story) -> None:
    city, world = told.city, told.world
    minutes = [seen for seen in city.seen if seen.packet.cn == "2051"]
    answered = {seen.packet.get("DataTime") for seen in minutes if seen.packet.qn in city.answered}
    assert answered == {time_text(start) for start in told.sealed}
    for seen in minutes:
        number = [time_text(start) for start in told.sealed].index(str(seen.packet.get("DataTime")))
        fields = dict(pair for item in seen.packet.data[1:] for pair in item)
        assert fields == rendered(told.sealed[number])
    by_qn: dict[str | None, set[bytes]] = {}
    for seen in city.seen:
        by_qn.setdefault(seen.packet.qn, set()).add(seen.frame)
    assert all(len(frames) == 1 for frames in by_qn.values())
    assert world.open_count() == 0
    if told.sealed:
        assert world.counts().lost == 0
