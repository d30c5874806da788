"""2031, 2041, 2051, 2061: data of a range of start labels, both bounds included (HJ 212-2017 C.20-C.23, C.47-C.50).

They travel behind the live data, however much is asked for (`edge.uplink.history`).
"""

from __future__ import annotations

from edge.remote.context import Context, Outcome
from protocol import parameters
from protocol.packet import Packet


async def get_records(context: Context, packet: Packet) -> Outcome:
    """2031, 2041, 2051, 2061: ExeRtn 100 where there are none, 5 while an earlier request is not ended."""
    period = parameters.read_period(packet)
    source = context.source(packet.cn or "", period.begin_ms, period.end_ms)
    return Outcome(await context.history(packet.cn or "", source))
