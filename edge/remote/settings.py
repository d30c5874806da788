"""1000, 1061 to 1064, 1072: values that a platform reads and sets for itself (HJ 212-2017 C.1, C.5 to C.9)."""

from __future__ import annotations

from edge.remote.context import Context, Outcome
from edge.values import MINUTE_MS
from protocol import parameters
from protocol.packet import Packet


async def set_timeout(context: Context, packet: Packet) -> Outcome:
    """1000: time-out in seconds and number of resends."""
    asked = parameters.read_timeouts(packet)
    await context.put({"timeout": str(asked.timeout_s * 1000), "retries": str(asked.retries)}, "1000")
    return Outcome()


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
    after = parameters.read_minute_interval(packet) * MINUTE_MS
    border = context.terms.minute_border(after, context.clock.wall_ms())
    await context.put({"minute": str(after), **border}, "1064")
    return Outcome()


async def set_password(context: Context, packet: Packet) -> Outcome:
    """1072: used for this platform's packets from now on; both packets of this exchange still carry the old one."""
    await context.put({"password": parameters.read_new_password(packet)}, "1072")
    return Outcome()
