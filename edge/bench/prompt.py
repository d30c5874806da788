"""The prompt of the bench platform, and its script: one line, one act.

    get-time                      a command of the standard (`edge.bench.verbs`), to the chosen logger
    send 1062 RtdInterval=60      any command, its data region as on the wire
    list, use MN, profile NAME, drop, help, quit
    wait 5 | wait logger [30]     seconds; until a logger has sent something
    expect done | conforms        the last command's outcome, or its verdict …
    expect ExeRtn=1               … or a field of its answers
    expect packet 2051 [120]      a packet of that CN from now on

A line at the prompt that cannot be carried out is said and forgotten; in a script it ends the script, as does
an `expect` that is not met.
"""

from __future__ import annotations

import asyncio
import os
import shlex
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from edge.bench import verbs
from edge.bench.conversation import CommandResult, Conformity, Outcome
from edge.bench.errors import BadLine, BenchError, Unmet
from edge.bench.platform import BenchPlatform
from edge.bench.profiles import profile
from edge.bench.screen import Screen
from edge.bench.waiting import within
from edge.catalogue import explain, text
from edge.clock import Clock
from protocol.errors import ProtocolError
from protocol.packet import Region

PATIENCE_S = 60.0
"""How long `wait logger` and `expect packet` wait when they do not say."""


class Prompt:
    """Carries out lines, one after the other; verdicts on commands go where the platform reports them."""

    def __init__(self, platform: BenchPlatform, clock: Clock, screen: Screen) -> None:
        self._platform = platform
        self._clock = clock
        self._screen = screen
        self._chosen: str | None = None
        self._last: CommandResult | None = None
        self._acts: dict[str, Callable[[Sequence[str]], Awaitable[None]]] = {
            "list": self._list,
            "use": self._use,
            "send": self._send,
            "profile": self._profile,
            "drop": self._drop,
            "wait": self._wait,
            "expect": self._expect,
            "help": self._help,
        }

    async def converse(self, lines: AsyncIterator[str]) -> bool:
        """The technician's lines: a fault is said, the next line read. True at `quit`, False at their end."""
        async for line in lines:
            if line.strip() == "quit":
                return True
            try:
                await self.act(line)
            except (BenchError, ProtocolError) as error:
                self._screen.say(explain(error))
        return False

    async def play(self, lines: Sequence[str]) -> bool:
        """A script's lines. True at `quit`. BenchError or ProtocolError at the first line that fails."""
        for line in lines:
            if line.strip() == "quit":
                return True
            await self.act(line)
        return False

    async def act(self, line: str) -> None:
        """One line. BadLine, BadProfile, Unmet, or CannotEncode for a command that no packet can hold."""
        try:
            words = shlex.split(line, comments=True)
        except ValueError:
            raise BadLine("bench.line.quotes", line=line) from None
        if not words:
            return
        name, arguments = words[0], words[1:]
        if name in self._acts:
            await self._acts[name](arguments)
        elif name in verbs.VERBS:
            verb = verbs.VERBS[name]
            await self._command(verb.cn, verbs.region(verb, arguments, self._clock.wall_ms()))
        else:
            raise BadLine("bench.line.unknown", verb=name)

    async def _command(self, cn: str, region: Region) -> None:
        self._last = await self._platform.ask(self._logger(), cn, region)

    def _logger(self) -> str:
        loggers = self._platform.loggers
        if self._chosen is not None:
            return self._chosen
        if not loggers:
            raise BadLine("bench.line.no_logger")
        if len(loggers) > 1:
            raise BadLine("bench.line.which_logger", known=", ".join(loggers))
        return next(iter(loggers))

    async def _list(self, _: Sequence[str]) -> None:
        if not self._platform.loggers:
            self._screen.say(text("bench.list.none"))
        for logger in self._platform.loggers.values():
            mn, st, peer = logger.mn, logger.st, logger.link.peer
            state = text("bench.list.up" if self._platform.connected(mn) else "bench.list.down")
            self._screen.say(text("bench.list.one", mn=mn, st=st, peer=peer, state=state))

    async def _use(self, arguments: Sequence[str]) -> None:
        (mn,) = _exactly(arguments, "use", "MN")
        if mn not in self._platform.loggers:
            raise BadLine("bench.line.which_logger", known=", ".join(self._platform.loggers) or "-")
        self._chosen = mn

    async def _send(self, arguments: Sequence[str]) -> None:
        cn, *fields = _exactly(arguments, "send", "CN", "[FIELD=VALUE;…]")
        await self._command(cn, verbs.raw_region("".join(fields)))

    async def _profile(self, arguments: Sequence[str]) -> None:
        (name,) = _exactly(arguments, "profile", "NAME")
        self._platform.profile = profile(name)
        self._screen.say(text("bench.profile.now", profile=name))

    async def _drop(self, _: Sequence[str]) -> None:
        self._platform.drop_links()

    async def _help(self, _: Sequence[str]) -> None:
        commands = "\n".join("  " + f"{verb.name} {verb.arguments}".rstrip() for verb in verbs.VERBS.values())
        self._screen.say(text("bench.help", commands=commands))

    async def _wait(self, arguments: Sequence[str]) -> None:
        what, *patience = _exactly(arguments, "wait", "N | logger", "[N]")
        if what != "logger":
            await self._clock.sleep(_seconds(what))
            return
        platform = self._platform
        await self._until(lambda: any(map(platform.connected, platform.loggers)), patience, "wait logger")

    async def _expect(self, arguments: Sequence[str]) -> None:
        if arguments[:1] == ["packet"]:
            cn, *patience = _exactly(arguments[1:], "expect packet", "CN", "[N]")
            before = self._platform.counts[cn]
            await self._until(lambda: self._platform.counts[cn] > before, patience, f"expect packet {cn}")
            return
        (wanted,) = _exactly(arguments, "expect", "OUTCOME | VERDICT | FIELD=VALUE")
        name, equals, value = wanted.partition("=")
        came = self._last and (self._last.get(name) if equals else _outcome(self._last, name))
        if came != (value if equals else name):
            raise Unmet("bench.unmet.value", expected=wanted, came=came or "-")

    async def _until(self, condition: Callable[[], bool], patience: Sequence[str], line: str) -> None:
        seconds = _seconds(patience[0]) if patience else PATIENCE_S
        await within(self._clock, seconds, self._platform.until(condition))
        if not condition():
            raise Unmet("bench.unmet.time", line=line, seconds=seconds)


def _outcome(result: CommandResult, wanted: str) -> str:
    """The verdict where that is asked for, else the outcome; `refused` and `failed` are in both."""
    by_verdict = wanted in set(Conformity) - set(Outcome)
    return result.conformity.value if by_verdict else result.outcome.value


def _exactly(arguments: Sequence[str], verb: str, *names: str) -> Sequence[str]:
    needed = sum(not name.startswith("[") for name in names)
    if not needed <= len(arguments) <= len(names):
        raise BadLine("bench.line.arguments", verb=verb, fields=" ".join(names))
    return arguments


def _seconds(word: str) -> float:
    if not word.replace(".", "", 1).isdecimal():
        raise BadLine("bench.line.seconds", came=word)
    return float(word)


async def lines_of(fd: int) -> AsyncIterator[str]:
    """Lines of a terminal, a pipe or a file, as they come."""
    rest = b""
    while True:
        await _readable(fd)
        chunk = os.read(fd, 4096)
        if not chunk:
            break
        *complete, rest = (rest + chunk).split(b"\n")
        for line in complete:
            yield line.decode("utf-8", "replace")
    if rest:
        yield rest.decode("utf-8", "replace")


async def _readable(fd: int) -> None:
    """Watches only while somebody waits: unread lines would keep the loop busy during a command."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    try:
        loop.add_reader(fd, ready.set)
    except PermissionError:
        return  # a plain file, which no selector takes, is always readable
    try:
        await ready.wait()
    finally:
        loop.remove_reader(fd)
