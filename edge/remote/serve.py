"""One command of a platform: checked, answered, carried out, its result said.

    platform ── request ─▶ admitted? ─▶ 9011 QnRtn ─▶ handler ─▶ data ─▶ 9012 ExeRtn
             ── notice  ─▶ admitted? ─▶ handler ─▶ 9013

The checks stand in the order QN, PW, MN, ST, Flag, CN (the CRC was checked by the decoder), then what the site allows
this platform and how often; the first that fails is answered with its QnRtn and nothing is carried out. Answers echo
the PW and MN that came. Requests with Flag bit A clear are carried out silently.
HJ 212-2017 §6.1, §6.5, Tables 6, 7 and 9.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Literal

from config.site import Platform
from edge.remote import context as codes
from edge.remote.context import ACCEPTED, BUSY, CONDITION, FAULT, SUCCESS, Context, Handler, Outcome
from edge.remote.handlers import NOTICES, READS, REQUESTS, takes_time
from edge.store.errors import StoreFailed
from edge.uplink.terms import Terms
from protocol import messages
from protocol.errors import ProtocolError
from protocol.packet import ANSWER_BIT, Packet
from protocol.times import parse_time

Answer = Callable[[Packet], Awaitable[None]]


def admit(terms: Terms, packet: Packet) -> int:
    """QnRtn for a command: 1, or the first check that fails."""
    checks = (
        (codes.WRONG_QN, _is_time(packet.qn)),
        (codes.WRONG_PW, packet.pw == terms.password),
        (codes.WRONG_MN, packet.mn == terms.mn),
        (codes.WRONG_ST, packet.st == terms.st),
        (codes.WRONG_FLAG, packet.flag is None or not packet.is_split),
        (codes.WRONG_CN, packet.cn in REQUESTS or packet.cn in NOTICES),
        (codes.REFUSED, allowed(terms.site, packet.cn or "")),
    )
    return next((code for code, fine in checks if not fine), ACCEPTED)


def allowed(platform: Platform, cn: str) -> bool:
    """Whether the site lets this platform give this command; unsaid, a platform of role other may only read."""
    unsaid: Literal["all", "read"] = "read" if platform.role == "other" else "all"
    choice = unsaid if platform.allow is None else platform.allow
    return choice == "all" or cn in (READS if choice == "read" else choice)


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
    """Answer one command and carry it out, or begin to; gives the QnRtn, for the log."""

    async def answer(reply: Packet) -> None:
        if not packet.wants_answer and packet.flag is not None:
            return
        try:
            frame = context.terms.frame(reply)
        except ProtocolError as error:  # it would echo a PW or MN that no packet may bear
            await _note_why(context, "command.unanswerable", packet, error)
        else:
            await write(frame)

    now_s = context.clock.mono_s()
    admitted = admit(context.terms, packet)
    if admitted == ACCEPTED and not context.refusals.within(context.terms.site.commands_per_minute, now_s):
        admitted = codes.REFUSED
    if admitted != ACCEPTED:
        if context.refusals.is_news(packet.cn or "", admitted, now_s):
            detail = {"platform": context.terms.platform, "cn": packet.cn, "QnRtn": admitted}
            await context.note("command.refused", detail)
        await answer(messages.request_answer(packet, admitted))
        return admitted
    await _begin(context, packet, answer)
    return ACCEPTED


async def _begin(context: Context, packet: Packet, answer: Answer) -> None:
    cn = packet.cn or ""
    if cn in NOTICES:
        if (await _carry_out(NOTICES[cn], context, packet)).code == SUCCESS:
            await answer(messages.notice_answer(packet))
        return
    await answer(messages.request_answer(packet, ACCEPTED))
    if not takes_time(packet):
        await _finish(context, packet, answer)
    elif not context.spawn(_finish(context, packet, answer)):
        await answer(messages.execution_result(packet, BUSY))


async def _finish(context: Context, packet: Packet, answer: Answer) -> None:
    """Carry out a request; its data, then its result."""
    outcome = await _carry_out(REQUESTS[packet.cn or ""], context, packet)
    if outcome.region is not None:
        reply = messages.parameter_reply(packet, context.terms.st, outcome.region)
        await answer(replace(reply, flag=(reply.flag or 0) | ANSWER_BIT) if outcome.asks else reply)
    await answer(messages.execution_result(packet, outcome.code))


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
