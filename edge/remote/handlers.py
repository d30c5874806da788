"""What a platform may ask for, one small handler per command code.

    platform ── request ─▶ admitted? ─▶ 9011 QnRtn ─▶ handler ─▶ data ─▶ 9012 ExeRtn
             ── notice  ─▶ admitted? ─▶ handler ─▶ 9013

The checks stand in the order QN, PW, MN, ST, Flag, CN (the CRC was checked by the decoder); the first that fails is
answered with its QnRtn and nothing is carried out. Answers echo the PW and MN that came. Requests with Flag bit A clear
are carried out silently. HJ 212-2017 §6.1, §6.5, Tables 6, 7 and 9.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from edge.clock import Clock, ClockRefused, plausible
from edge.store.errors import StoreFailed
from edge.uplink.terms import Terms
from edge.values import BEIJING_MS, MINUTE_MS
from protocol import messages, parameters
from protocol.errors import ProtocolError
from protocol.packet import Packet
from protocol.region import Region
from protocol.times import parse_time

ACCEPTED, REFUSED, WRONG_PW, WRONG_MN, WRONG_ST, WRONG_FLAG, WRONG_QN, WRONG_CN = 1, 2, 3, 4, 5, 6, 7, 8
"""QnRtn, Table 7."""
SUCCESS, FAILED, CONDITION, FAULT = 1, 2, 3, 6
"""ExeRtn, Table 6."""
STEP_LIMIT_MS = 600_000
"""Once the clock is synchronised a platform may move it by this much at most."""
QUIET_STEP_MS = 1_000
"""A difference below this is no reason to touch the clock."""
REFUSAL_NOTE_S = 3_600.0
REFUSALS_KNOWN = 64


@dataclass(slots=True)
class Refusals:
    """Commands refused lately: a platform that repeats one for ever must not fill the journal."""

    noted: dict[tuple[str, int], float] = field(default_factory=dict)

    def is_news(self, cn: str, code: int, now_s: float) -> bool:
        """Whether this refusal goes into the journal: the first of its kind within REFUSAL_NOTE_S."""
        key = cn, code
        if now_s - self.noted.get(key, -math.inf) < REFUSAL_NOTE_S:
            return False
        if len(self.noted) >= REFUSALS_KNOWN:
            self.noted.clear()
        self.noted[key] = now_s
        return True


@dataclass(slots=True)
class Context:
    """What a handler may use."""

    terms: Terms
    clock: Clock
    put: Callable[[dict[str, str], str], Awaitable[None]]
    """Keep platform-set values: by name, and the CN that set them; returns when they are committed."""
    note: Callable[[str, dict[str, Any]], Awaitable[None]]
    """An entry in the journal."""
    synchronised: Callable[[], bool]
    """Whether the clock is known to be right."""
    clock_set: Callable[[], None]
    """Tells the daemon that the clock was set."""
    refusals: Refusals


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an execution ended: ExeRtn, and the data to send before it."""

    code: int = SUCCESS
    region: Region | None = None


Handler = Callable[[Context, Packet], Awaitable[Outcome]]


async def set_timeout(context: Context, packet: Packet) -> Outcome:
    """1000: time-out in seconds and number of resends."""
    asked = parameters.read_timeouts(packet)
    await context.put({"timeout": str(asked.timeout_s * 1000), "retries": str(asked.retries)}, "1000")
    return Outcome()


async def get_time(context: Context, packet: Packet) -> Outcome:
    """1011: the logger's clock; an analyzer's clock (PolId) cannot be asked here."""
    if packet.get("PolId"):
        return Outcome(CONDITION)
    return Outcome(region=parameters.SystemTime(context.clock.wall_ms()).region())


async def set_time(context: Context, packet: Packet) -> Outcome:
    """1012: sets the clock, or says that it did not."""
    asked = parameters.read_system_time(packet)
    if asked.pol_id is not None:
        return Outcome(CONDITION)
    before = context.clock.wall_ms()
    code = _step_clock(context, before, asked.ms)
    detail = {"from": before, "to": asked.ms, "ExeRtn": code, "platform": context.terms.platform}
    await context.note("clock.set", detail)
    return Outcome(code)


def _step_clock(context: Context, before: int, target: int) -> int:
    policy = context.terms.site.time
    synchronised = context.synchronised()
    if policy == "refuse" or (policy == "when-unsynchronised" and synchronised):
        return FAILED
    if not plausible(target):
        return CONDITION
    step = target - before
    if abs(step) < QUIET_STEP_MS:
        context.clock_set()
        return SUCCESS
    if synchronised and abs(step) > STEP_LIMIT_MS:
        return CONDITION
    try:
        context.clock.set_wall(target)
    except ClockRefused:
        return FAILED
    context.clock_set()
    return SUCCESS


async def get_realtime_interval(context: Context, packet: Packet) -> Outcome:
    """1061, seconds."""
    return Outcome(region=parameters.realtime_interval(context.terms.realtime_ms // 1000))


async def set_realtime_interval(context: Context, packet: Packet) -> Outcome:
    """1062, 30–3600 s."""
    await context.put({"realtime": str(parameters.read_realtime_interval(packet) * 1000)}, "1062")
    return Outcome()


async def get_minute_interval(context: Context, packet: Packet) -> Outcome:
    """1063, minutes."""
    return Outcome(region=parameters.minute_interval(context.terms.minute_ms // 60_000))


async def set_minute_interval(context: Context, packet: Packet) -> Outcome:
    """1064, one of 1 2 3 4 5 6 10 12 15 20 30 min."""
    now_ms = context.clock.wall_ms()
    # what is in force now, which is not what was set last where that has not begun yet
    before, after = context.terms.minute_at(now_ms), parameters.read_minute_interval(packet) * MINUTE_MS
    border = math.lcm(before, after)
    begin = -(-(now_ms + BEIJING_MS) // border) * border - BEIJING_MS
    await context.put({"minute": str(after), "minute_before": str(before), "minute_from": str(begin)}, "1064")
    return Outcome()


async def set_password(context: Context, packet: Packet) -> Outcome:
    """1072: used for this platform's packets from now on; both packets of this exchange still carry the old one."""
    await context.put({"password": parameters.read_new_password(packet)}, "1072")
    return Outcome()


def switch(name: str, value: str) -> Handler:
    """2011, 2012, 2021, 2022: start or stop a stream."""

    async def handle(context: Context, packet: Packet) -> Outcome:
        await context.put({name: value}, packet.cn or "")
        return Outcome()

    return handle


REQUESTS: dict[str, Handler] = {
    "1000": set_timeout,
    "1011": get_time,
    "1012": set_time,
    "1061": get_realtime_interval,
    "1062": set_realtime_interval,
    "1063": get_minute_interval,
    "1064": set_minute_interval,
    "1072": set_password,
    "2011": switch("realtime_on", "1"),
    "2021": switch("state_on", "1"),
}
NOTICES: dict[str, Handler] = {
    "2012": switch("realtime_on", "0"),
    "2022": switch("state_on", "0"),
}


def admit(terms: Terms, packet: Packet) -> int:
    """QnRtn for a command: 1, or the first check that fails."""
    checks = (
        (WRONG_QN, _is_time(packet.qn)),
        (WRONG_PW, packet.pw == terms.password),
        (WRONG_MN, packet.mn == terms.mn),
        (WRONG_ST, packet.st == terms.st),
        (WRONG_FLAG, packet.flag is None or not packet.is_split),
        (WRONG_CN, packet.cn in REQUESTS or packet.cn in NOTICES),
    )
    return next((code for code, fine in checks if not fine), ACCEPTED)


def _is_time(qn: str | None) -> bool:
    """A QN is a time of 17 digits (Table 3)."""
    if qn is None or len(qn) != 17:
        return False
    try:
        parse_time(qn)
    except ValueError:
        return False
    return True


async def serve(context: Context, packet: Packet, write: Callable[[bytes], Awaitable[None]]) -> int:
    """Carry out one command and answer it; gives the QnRtn, for the log."""

    async def answer(reply: Packet) -> None:
        if not packet.wants_answer and packet.flag is not None:
            return
        try:
            frame = reply.to_frame(context.terms.site.crc)
        except ProtocolError as error:  # it would echo a PW or MN that no packet may bear
            await _note_why(context, "command.unanswerable", packet, error)
        else:
            await write(frame)

    admitted = admit(context.terms, packet)
    if admitted != ACCEPTED:
        if context.refusals.is_news(packet.cn, admitted, context.clock.mono_s()):
            detail = {"platform": context.terms.platform, "cn": packet.cn, "QnRtn": admitted}
            await context.note("command.refused", detail)
        await answer(messages.request_answer(packet, admitted))
        return admitted
    cn = packet.cn
    if cn in NOTICES:
        if (await _carry_out(NOTICES[cn], context, packet)).code == SUCCESS:
            await answer(messages.notice_answer(packet))
        return ACCEPTED
    await answer(messages.request_answer(packet, ACCEPTED))
    outcome = await _carry_out(REQUESTS[cn], context, packet)
    if outcome.region is not None:
        await answer(messages.parameter_reply(packet, context.terms.st, outcome.region))
    await answer(messages.execution_result(packet, outcome.code))
    return ACCEPTED


async def _carry_out(handler: Handler, context: Context, packet: Packet) -> Outcome:
    """A handler's outcome; what it cannot read or the disk does not take is a failure with its code."""
    try:
        return await handler(context, packet)
    except ProtocolError as error:
        await _note_why(context, "command.malformed", packet, error)
        return Outcome(CONDITION)
    except StoreFailed as error:
        await _note_why(context, "command.failed", packet, error)
        return Outcome(FAULT)


async def _note_why(context: Context, action: str, packet: Packet, error: Exception) -> None:
    await context.note(action, {"platform": context.terms.platform, "cn": packet.cn, "why": str(error)})
