"""Lines that are lent: every way in which one comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from drivers.line import LineWorker
from edge.control.server import Denied, Verb, Who
from edge.tools.holding import LEASE_S, LIMIT_S, Holds


@dataclass
class Worker:
    """What a hold needs of a line: it lets go at once."""

    held: bool = False

    def hold(self, on: bool) -> None:
        self.held = on

    def counters(self) -> Worker:
        return self


@dataclass
class World:
    line: Worker = field(default_factory=Worker)
    other: Worker = field(default_factory=Worker)
    now: float = 100.0
    notes: list[tuple[str, dict[str, Any], str]] = field(default_factory=list)
    events: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        async def note(action: str, detail: dict[str, Any], who: str) -> None:
            self.notes.append((action, detail, who))

        lines = cast("dict[str, LineWorker]", {"a": self.line, "b": self.other})
        self.holds = Holds(lines, note, lambda code, _params: self.events.append(code), lambda: self.now)
        self.verbs: dict[str, Verb] = self.holds.verbs()

    async def ask(self, what: str, who: Who, line: str = "a") -> dict[str, Any]:
        answer: dict[str, Any] = await self.verbs[f"line-{what}"].answer({"line": line, "tool": "scan"}, who)
        return answer

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.holds.run())
        try:
            yield
            await self.looked()
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def looked(self) -> None:
        """Let the loop have one look: it is waiting for news."""
        self.holds._news.set()
        for _ in range(5):
            await asyncio.sleep(0)

    def whys(self) -> list[tuple[str, str | None, str]]:
        return [(action, detail.get("why"), who) for action, detail, who in self.notes]


def technician() -> Who:
    return Who("wang", True, True)


async def test_line_that_is_given_back_is_the_daemons_again_and_both_are_noted() -> None:
    world, who = World(), technician()
    async with world.running():
        assert await world.ask("take", who) == {"line": "a", "held": True, "lease_s": LEASE_S}
        assert (world.line.held, world.other.held) == (True, False)
        assert [one["params"]["by"] for one in world.holds.warnings()] == ["wang"]
        await world.ask("return", who)
    assert not world.line.held
    assert world.holds.warnings() == []
    assert world.whys() == [("line.held", None, "user:wang"), ("line.returned", "returned", "user:wang")]
    assert world.events == ["edge.line-held", "edge.line-returned"]


async def test_connection_that_ends_gives_the_line_back_once() -> None:
    world, who = World(), technician()
    async with world.running():
        await world.ask("take", who)
        for _ in range(2):
            for give_back in who.at_end:
                give_back()
    assert not world.line.held
    assert world.whys()[1:] == [("line.returned", "broken", "logger")]


async def test_lease_is_over_without_renewal_and_goes_on_with_it_up_to_the_limit() -> None:
    world, who = World(), technician()
    async with world.running():
        await world.ask("take", who)
        while world.now < 100.0 + LIMIT_S - LEASE_S:
            world.now += LEASE_S / 2
            await world.ask("renew", who)
            await world.looked()
            assert world.line.held
        for _ in range(3):
            world.now += LEASE_S / 2
            with suppress(Denied):
                await world.ask("renew", who)
            await world.looked()
        assert not world.line.held
        assert world.whys()[1:] == [("line.returned", "limit", "logger")]
        await world.ask("take", who)
        world.now += LEASE_S
        await world.looked()
        assert world.whys()[3:] == [("line.returned", "lapsed", "logger")]
        with pytest.raises(Denied, match="taken-back"):
            await world.ask("renew", who)


async def test_a_second_tool_is_refused_and_cannot_give_back_what_it_does_not_have() -> None:
    world, who, other = World(), technician(), technician()
    async with world.running():
        await world.ask("take", who)
        with pytest.raises(Denied, match="is-held"):
            await world.ask("take", other)
        with pytest.raises(Denied, match="taken-back"):
            await world.ask("return", other)
        assert world.line.held
        await world.ask("take", other, "b")
        with pytest.raises(Denied, match="no-line"):
            await world.ask("take", other, "c")


async def test_worker_that_took_a_dead_ones_place_leaves_the_port_to_the_tool_too() -> None:
    world = World()
    async with world.running():
        await world.ask("take", technician())
        world.line.held = False  # a new worker knows nothing of it
        await world.looked()
        assert world.line.held
