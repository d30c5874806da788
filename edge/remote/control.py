"""3011 to 3019: what a platform has done at an instrument (HJ 212-2017 §6.6.5, C.30 to C.39).

An instrument without the action is answered with the ExeRtn that fits, never with success. Each is in the journal.
"""

from __future__ import annotations

from collections.abc import Mapping

from config.controls import Scalar
from edge.actions import ActionResult
from edge.remote.context import Context, Handler, Outcome
from protocol.packet import Packet
from protocol.parameters import read_cycle, read_pol_id_of_action
from protocol.region import fields
from protocol.times import time_text

_GIVES: Mapping[str, tuple[str, ...]] = {
    "3017": ("CstartTime", "CTime"),
    "3018": ("Stime",),
}
"""Fields that a command gives beside PolId."""


async def act(context: Context, packet: Packet, pol_id: str | None, action: str, **values: Scalar) -> ActionResult:
    """One action to its end, and its entry in the journal."""
    terms = context.terms
    result = await context.actions.run(terms.outlet, pol_id, action, **values)
    detail = {
        "platform": terms.platform, "outlet": terms.outlet, "pol_id": pol_id, "cn": packet.cn, "ExeRtn": result.exe_rtn,
        "why": getattr(result.why, "code", None),
    }  # fmt: skip
    await context.note(f"instrument.{action}", detail)
    return result


def order(action: str) -> Handler:
    """3011 to 3014: an action that gives nothing."""

    async def handle(context: Context, packet: Packet) -> Outcome:
        return Outcome((await act(context, packet, read_pol_id_of_action(packet), action)).exe_rtn)

    return handle


def inquiry(action: str) -> Handler:
    """3017, 3018: an action that gives values."""

    async def handle(context: Context, packet: Packet) -> Outcome:
        pol_id = read_pol_id_of_action(packet)
        result = await act(context, packet, pol_id, action)
        if result.code != "done":
            return Outcome(result.exe_rtn)
        given = [(name, result.data[name]) for name in _GIVES[packet.cn or ""]]
        return Outcome(region=fields(("PolId", pol_id), *given))

    return handle


async def keep_sample(context: Context, packet: Packet) -> Outcome:
    """3015: the time of keeping and the bottle; an instrument that does not name one is answered without data."""
    result = await act(context, packet, None, "keep-sample")
    if result.code != "done":
        return Outcome(result.exe_rtn)
    now_ms, bottle = context.clock.wall_ms(), result.data.get("VaseNo")
    await context.kept_sample(now_ms, result)
    if bottle is None:
        return Outcome(result.exe_rtn)
    return Outcome(region=fields(("DataTime", time_text(now_ms)), ("VaseNo", bottle)), asks=True)


async def set_cycle(context: Context, packet: Packet) -> Outcome:
    """3016."""
    pol_id, cycle = read_pol_id_of_action(packet), read_cycle(packet)
    result = await act(context, packet, pol_id, "set-cycle", cstart=cycle.start, ctime=cycle.hours)
    return Outcome(result.exe_rtn)


async def serial_number(context: Context, packet: Packet) -> Outcome:
    """3019."""
    pol_id = read_pol_id_of_action(packet)
    result = await act(context, packet, pol_id, "serial-number")
    if result.code != "done":
        return Outcome(result.exe_rtn)
    return Outcome(region=fields(("PolId", pol_id), (f"{pol_id}-SN", result.data["SN"])))
