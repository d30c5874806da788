"""3020, 3021: logs, states and parameters of the logger and its instruments (HJ 212-2017 Table B.10, C.40 to C.46)."""

from __future__ import annotations

from edge.remote.context import NO_DATA, Context, Outcome
from edge.uplink.history import LogEntries
from edge.uplink.logs import INSTRUMENT_LOG, LOGGER_LOG
from protocol.controls import Information, read_info_request, read_parameter_setting
from protocol.packet import Packet

LOGS = (INSTRUMENT_LOG, LOGGER_LOG)
_RUNNING, _CONNECTED = "0", "0"


async def get_info(context: Context, packet: Packet) -> Outcome:
    """3020: logs travel behind live data, one a packet; a state or parameter is in the reply."""
    asked = read_info_request(packet)
    pol_id, info = asked.pol_id, asked.info_id.lower()
    if asked.period is not None:
        entries = LogEntries(context.terms, info, pol_id, asked.period.begin_ms, asked.period.end_ms)
        return Outcome(await context.history("3020", entries) if info in LOGS else NO_DATA)
    text = _own(context, info)
    if text is None:
        result = await context.actions.read_info(context.terms.outlet, pol_id, info)
        if result.code != "done":
            return Outcome(result.exe_rtn)
        text = result.data["Info"]
    return Outcome(region=Information(context.clock.wall_ms(), ((info, text),), pol_id).region())


def _own(context: Context, info: str) -> str | None:
    """The logger's own states and parameters: it works and is connected, or it would not answer."""
    pressure = context.ambient_kpa
    own = {"i22001": _RUNNING, "i22003": _CONNECTED, "i23001": None if pressure is None else f"{pressure:g}"}
    return own.get(info)


async def set_info(context: Context, packet: Packet) -> Outcome:
    """3021: a parameter that the site file says is writable."""
    asked = read_parameter_setting(packet)
    pol_id, info, text = asked.pol_id, asked.info_id.lower(), asked.value
    terms = context.terms
    result = await context.actions.write_info(terms.outlet, pol_id, info, text, terms.platform)
    detail = {"platform": terms.platform, "outlet": terms.outlet, "pol_id": pol_id, "info": info, "value": text}
    await context.note("instrument.set-info", {**detail, "ExeRtn": result.exe_rtn})
    return Outcome(result.exe_rtn)
