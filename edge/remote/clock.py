"""1011, 1012: the logger's clock, or with PolId that of an analyzer (HJ 212-2017 C.2, C.3)."""

from __future__ import annotations

from edge.clock import ClockRefused, plausible
from edge.remote.context import CONDITION, FAILED, SUCCESS, Context, Outcome
from edge.remote.control import act
from protocol import parameters
from protocol.packet import Packet
from protocol.region import fields

STEP_LIMIT_MS = 600_000
"""Once the clock is synchronised a platform may move it by this much at most."""
QUIET_STEP_MS = 1_000
"""A difference below this is no reason to touch the clock."""


async def get_time(context: Context, packet: Packet) -> Outcome:
    """1011."""
    pol_id = parameters.read_pol_id(packet)
    if pol_id is None:
        return Outcome(region=parameters.SystemTime(context.clock.wall_ms()).region())
    result = await act(context, packet, pol_id, "get-time")
    if result.code != "done":
        return Outcome(result.exe_rtn)
    return Outcome(region=fields(("PolId", pol_id), ("SystemTime", result.data["SystemTime"])))


async def set_time(context: Context, packet: Packet) -> Outcome:
    """1012: sets the clock, or says that it did not."""
    asked = parameters.read_system_time(packet)
    if asked.pol_id is not None:
        return Outcome((await act(context, packet, asked.pol_id, "set-time", time_ms=asked.ms)).exe_rtn)
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
