"""A simulated text instrument, from a model whose head has what it says: `answer`, with the points in braces.

    answer = "TresCon> NH4-N mg/l : {w21003:.3f}\\r\\n"      ─▶      TresCon> NH4-N mg/l : 1.254 CR LF

A point whose number is bytes stands there as its bytes, those above 127 as the characters of Latin-1.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

_BYTES = {"int16": "h", "uint16": "H", "int32": "i", "uint32": "I", "float32": "f", "float64": "d"}


class TextModel:
    """An instrument of a text model without check codes; `values` by factor, in the units of its points."""

    every_s: float | None = None

    def __init__(self, model: Mapping[str, Any], address: int | str, values: Mapping[str, float]) -> None:
        self.address = address
        self.values = dict(values)
        self._said = str(model["model"]["answer"])
        self._points = {channel(point): point for point in model["points"]}
        terminator = str(model["instrument"].get("terminator", "\r"))
        self._requests = {_request(point, address, terminator) for point in model["points"]}

    def length(self, pending: bytes) -> int | None:
        """The length of the request that it knows."""
        for request in self._requests:
            if pending.startswith(request):
                return len(request)
        return None if any(request.startswith(pending) for request in self._requests) else 0

    def answer(self, request: bytes, time_ms: int) -> bytes:
        """What it says, with its values."""
        shown = {factor: _shown(self._points[factor], value) for factor, value in self.values.items()}
        return self._said.format(**shown).encode("latin-1")


def channel(point: Mapping[str, Any]) -> str:
    """What a point is called here: its factor, of a totaliser `w00000-total`."""
    return str(point["factor"]) + ("-total" if point.get("kind") == "total" else "")


def _request(point: Mapping[str, Any], address: int | str, terminator: str) -> bytes:
    if "request_hex" in point:
        return bytes.fromhex(point["request_hex"])
    return (str(point["request"]).format(address=address) + terminator).encode("latin-1")


def _shown(point: Mapping[str, Any], value: float) -> float | str:
    """A number, or the bytes that stand for it."""
    raw = (value - float(point.get("offset", 0.0))) / float(point.get("scale", 1.0))
    letter = _BYTES.get(point.get("type", "decimal"))
    if letter is None:
        return raw
    little = point.get("order", "ABCD") == "DCBA"
    return struct.pack(("<" if little else ">") + letter, raw).decode("latin-1")
