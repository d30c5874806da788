"""A conformance rehearsal: command after command against one logger, with a verdict each.

    wait for the logger ─▶ step ─▶ Row ─▶ step ─▶ Row … ─▶ table, exit code

A step leaves the logger as it found it, also when the rehearsal is broken off. What a step does stands in
`edge.bench.steps`; here is what all of them use.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from edge.bench.conversation import CommandResult, Conformity, Outcome
from edge.bench.edition import Edition
from edge.bench.platform import BenchPlatform
from edge.bench.received import Finding, Received
from edge.bench.sequence import Shape, expected, shape
from edge.bench.waiting import within
from edge.clock import Clock
from protocol.messages import asked_qn
from protocol.packet import Packet
from protocol.region import Region
from protocol.times import parse_time

FAILING = frozenset({Conformity.DEVIATES, Conformity.TIMEOUT, Conformity.FAILED})
"""Verdicts with which a rehearsal is not passed; a site may refuse commands, and lack instruments."""


@dataclass(frozen=True, slots=True)
class Row:
    """The verdict on one check."""

    check: str
    expected: str
    heard: tuple[str, ...]
    """CN of what came, in order."""
    verdict: Conformity
    remarks: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """One check: how `--only` and `--skip` call it, what is to be expected, what it leaves behind."""

    name: str
    cn: str
    """The command, or the upload, that it is about; empty: more than one."""
    expected: str
    run: Callable[[Rehearsal, Step], Awaitable[Sequence[Row]]]
    effect: str = "none"
    """none, undone, kept, warn-time, control, time: what it does to the logger."""
    also: str = ""
    """A second command that is checked with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the technician wants of a rehearsal."""

    mn: str | None = None
    """None: the first logger that sends something."""
    wait_s: float = 120.0
    """For the logger, for an upload, for its return after a cut link."""
    resend_s: float = 60.0
    """For the resend of an upload that is not answered."""
    pause_s: float = 0.0
    """Before each command, for loggers that limit their rate."""
    only: frozenset[str] = frozenset()
    skip: frozenset[str] = frozenset()
    with_control: bool = False
    with_time: bool = False
    pol_id: str | None = None
    """Factor of the commands about an instrument; None: the first that the logger uploads."""

    def wants(self, step: Step) -> bool:
        """Whether a step is part of the rehearsal."""
        names = {step.name, step.cn, step.also}
        if (step.effect == "control" and not self.with_control) or (step.effect == "time" and not self.with_time):
            return False
        return not names & self.skip and (not self.only or bool(names & self.only))


@dataclass(slots=True)
class Rehearsal:
    """One run against one logger; `on_row` gets each verdict as it is known."""

    platform: BenchPlatform
    clock: Clock
    wishes: Wishes
    on_row: Callable[[Row], None]
    mn: str = ""

    async def run(self, steps: Iterable[Step]) -> list[Row]:
        """Wait for the logger and go through the steps."""
        rows = [await self._connect()]
        self.on_row(rows[0])
        if rows[0].verdict is not Conformity.CONFORMS:
            return rows
        for step in steps:
            for row in await step.run(self, step):
                self.on_row(row)
                rows.append(row)
        return rows

    async def _connect(self) -> Row:
        loggers, wanted = self.platform.loggers, self.wishes.mn

        def there() -> str | None:
            return next((mn for mn in loggers if wanted in (None, mn) and self.platform.connected(mn)), None)

        await within(self.clock, self.wishes.wait_s, self.platform.until(lambda: there() is not None))
        mn = there()
        if mn is None:
            known = " ".join(loggers) or "-"
            finding = Finding("bench.step.no_logger", {"seconds": self.wishes.wait_s, "known": known})
            return Row("connect", "", (), Conformity.TIMEOUT, (finding,))
        self.mn = mn
        return Row("connect", "", (), Conformity.CONFORMS, (Finding("bench.step.logger", {"mn": mn}, False),))

    @property
    def edition(self) -> Edition:
        """The edition that platform and logger speak."""
        return self.platform.options.edition

    async def ask(self, cn: str, *fields: tuple[str, str]) -> CommandResult:
        """A command with one item a field."""
        return await self.put(await self.request(cn, tuple((pair,) for pair in fields)))

    async def request(self, cn: str, region: Region) -> Packet:
        """The next command, once the logger is there."""
        if not self.platform.connected(self.mn):
            back = self.platform.until(lambda: self.platform.connected(self.mn))
            await within(self.clock, self.wishes.wait_s, back)
        return self.platform.request(self.mn, cn, region)

    async def put(self, request: Packet) -> CommandResult:
        """Carry out a ready request; NO_LOGGER where the logger has not come back."""
        await self.clock.sleep(self.wishes.pause_s)
        if not self.platform.connected(self.mn):
            return CommandResult(self.mn, request.cn, request.qn or "", Outcome.NO_LOGGER)
        return await self.platform.carry_out(self.mn, request)

    async def value(self, cn: str, name: str) -> str | None:
        """A setting of the logger as one of its replies says it."""
        return (await self.ask(cn)).get(name)

    def packets(self) -> list[Received]:
        """What the logger has sent since the platform began, as far as it is remembered."""
        return [each for each in self.platform.received if each.packet is not None and each.packet.mn == self.mn]

    def answers_to(self, qn: str | None) -> tuple[Packet, ...]:
        """What has come under the QN of a command."""
        came = (each.packet for each in self.platform.received)
        return tuple(packet for packet in came if packet is not None and asked_qn(packet) == qn)

    def now_ms(self) -> int:
        """The logger's time, as its last upload shows it; the platform's without one."""
        for each in reversed(self.packets()):
            qn = asked_qn(each.packet) if each.packet is not None and not each.packet.cn.startswith("9") else None
            if qn:
                try:
                    return parse_time(qn)
                except ValueError:
                    continue
        return self.clock.wall_ms()


def row_of(step: Step, result: CommandResult, *more: Finding) -> Row:
    """The verdict on an exchange; grave findings beyond it make it deviate."""
    remarks = (*result.deviations, *more, *_codes(result))
    verdict = Conformity.DEVIATES if any(finding.grave for finding in more) else result.conformity
    return Row(step.name, step.expected, tuple(packet.cn for packet in result.heard), verdict, remarks)


def _codes(result: CommandResult) -> Iterable[Finding]:
    if result.qn_rtn not in (None, "1"):
        yield Finding("bench.step.qn_rtn", {"came": result.qn_rtn}, grave=False)
    if result.exe_rtn not in (None, "1"):
        yield Finding("bench.step.exe_rtn", {"came": result.exe_rtn}, grave=False)
    if result.outcome is Outcome.NO_RESULT:
        yield Finding("bench.step.no_result", grave=False)


def skipped(step: Step, code: str, **params: object) -> Row:
    """A check that could not be done, and why."""
    return Row(step.name, step.expected, (), Conformity.NOT_CHECKED, (Finding(code, dict(params), grave=False),))


def sequence_text(request: Packet, edition: Edition) -> str:
    """The expected sequence as it is shown."""
    kind = shape(request)
    many = f"n × {request.cn}" if kind is Shape.HISTORY else request.cn
    return " → ".join(many if cn == request.cn else cn for cn in expected(request.cn, kind, edition))
