"""From what is heard on a line to frames: bytes are put together, cut where a frame ends, and told apart by direction.

    chunks (time, bytes, direction or not known) ─▶ Splitter ─▶ Heard: time, to or from the instrument, bytes, Frame

A listener with a port of its own hears both directions on one wire: frames with a right check code are cut out of what
comes in one breath, what a pause ends is a frame as well. A request is followed by its answer: what looks the same in
both directions (writes) is told by its turn.
"""

from __future__ import annotations

from dataclasses import dataclass

from drivers import frames
from drivers.frames import Frame

BREATH_S = 0.02
"""Adapters deliver in bursts: only a pause of more than this ends a frame on a fast line."""
_LONGEST = 1100


@dataclass(frozen=True, slots=True)
class Heard:
    """One frame on the line; `to_instrument` None: cannot be told; `frame` None: of no protocol known."""

    at_s: float
    to_instrument: bool | None
    data: bytes
    frame: Frame | None


class Splitter:
    """Puts together what one line says."""

    def __init__(self, silence_s: float) -> None:
        """`silence_s`: 3.5 characters of the line."""
        self._pause_s = max(BREATH_S, 2 * silence_s)
        self._pending = b""
        self._direction: bool | None = None
        self._began_s = self._last_s = 0.0
        self._request: Frame | None = None

    def feed(self, at_s: float, data: bytes, to_instrument: bool | None = None) -> list[Heard]:
        """Bytes that came; the frames that are complete now. What was written by us is a frame by itself."""
        found: list[Heard] = []
        if self._pending and (at_s - self._last_s > self._pause_s or to_instrument != self._direction):
            found += self.flush()
        if not self._pending:
            self._began_s = at_s
        self._direction, self._last_s = to_instrument, at_s
        self._pending += data
        return found + self._cut()

    def silent(self, at_s: float) -> list[Heard]:
        """Nothing has come until now."""
        return self.flush() if self._pending and at_s - self._last_s > self._pause_s else []

    def flush(self) -> list[Heard]:
        """What is left, as one frame."""
        data, self._pending = self._pending, b""
        return [self._heard(data, frames.frame(data))] if data else []

    def _cut(self) -> list[Heard]:
        """Whole frames with a right check code, and what stood before them."""
        found: list[Heard] = []
        at = 0
        while at < len(self._pending):
            frame = frames.first(self._pending[at:], self._answer_is_due(self._pending[at:]))
            if frame is None:
                at += 1
                continue
            if at:
                found.append(self._heard(self._pending[:at], None))
            found.append(self._heard(frame.raw, frame))
            self._pending = self._pending[at + len(frame.raw) :]
            at, self._began_s = 0, self._last_s
        if len(self._pending) > _LONGEST:
            found += self.flush()
        return found

    def _answer_is_due(self, data: bytes) -> bool:
        """From the instrument by its direction, or by its turn: from whom was asked, with the function asked for."""
        if self._direction is not None:
            return not self._direction
        asked = self._request
        return asked is not None and asked.protocol == "modbus-rtu" and asked.raw[:2] == data[:2]

    def _heard(self, data: bytes, frame: Frame | None) -> Heard:
        direction = self._direction if self._direction is not None else self._told(frame)
        if frame is not None and direction is True:
            self._request = frame
        elif direction is not True:
            self._request = None
        return Heard(self._began_s, direction, data, frame)

    def _told(self, frame: Frame | None) -> bool | None:
        """The direction by the frame's form, or by its turn."""
        if frame is None:
            return None
        if frame.kind == "request":
            return True
        if frame.kind in ("answer", "refusal"):
            return False
        if frame.protocol == "hj212":
            return False  # an instrument that speaks by itself
        asked = self._request
        return not (asked is not None and (asked.protocol, asked.address) == (frame.protocol, frame.address))
