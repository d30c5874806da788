"""HJ 212 frames that an instrument sends on a serial line, for `drivers`, which do not know the protocol.

A Flag that is no mark of Table 8 does not make a value good: it counts as D.
"""

from __future__ import annotations

from typing import cast

from drivers.driver import Telegram
from drivers.errors import BadAnswer
from edge.catalogue import explain
from protocol.crc import Variant
from protocol.errors import ProtocolError
from protocol.frame import MAX_SEGMENT, Dropped, FrameDecoder
from protocol.marks import MARKS
from protocol.packet import Packet

FAULT = "D"


def decode(frame: bytes, variant: str) -> Telegram:
    """What one whole frame says; `variant`: its CRC. Raises BadAnswer."""
    decoder = FrameDecoder(cap=MAX_SEGMENT, variant=cast("Variant", variant))
    first = next(iter(decoder.feed(frame, 0.0) or decoder.flush()), None)
    if first is None or isinstance(first, Dropped):
        raise BadAnswer("edge.telegram", reason=explain(first.error) if first else "–")
    try:
        packet = Packet.from_segment(first.segment)
    except ProtocolError as error:
        raise BadAnswer("edge.telegram", reason=explain(error)) from error
    return Telegram(packet.cn, packet.mn, _factors(packet))


def _factors(packet: Packet) -> dict[str, dict[str, str]]:
    factors: dict[str, dict[str, str]] = {}
    for item in packet.data:
        for full_name, value in item:
            code, dash, name = full_name.partition("-")
            if dash:
                is_strange = name == "Flag" and value not in MARKS
                factors.setdefault(code, {})[name] = FAULT if is_strange else value
    return factors
