"""2011, 2012, 2021, 2022: a platform starts or stops its stream of realtime data or states (C.10 to C.13)."""

from __future__ import annotations

from edge.remote.context import Context, Handler, Outcome
from protocol.packet import Packet


def switch(name: str, value: str) -> Handler:
    """Start or stop a stream."""

    async def handle(context: Context, packet: Packet) -> Outcome:
        await context.put({name: value}, packet.cn or "")
        return Outcome()

    return handle
