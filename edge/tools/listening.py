"""Listening in on the daemon's own lines: what is written and read, for a tool that asks for it again and again."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from drivers.line import LineWorker
from edge.control.server import Denied, Verb, Who


class Listening:
    """The taps of all lines, as the control socket offers them.

    Only for who may change: the bytes may hold unlock codes of instruments.
    """

    def __init__(self, lines: Mapping[str, LineWorker]) -> None:
        self._lines = lines

    def verbs(self) -> dict[str, Verb]:
        """What the control socket answers."""
        return {"line-listen": Verb(self._listen, changes=True)}

    async def _listen(self, args: dict[str, Any], who: Who) -> dict[str, Any]:
        """What went over the line behind `after`; without `after` the listening begins, for this connection's life."""
        line = str(args["line"])
        if line not in self._lines:
            raise Denied("tools.no-line", line=line, known=", ".join(self._lines) or "–")
        tap = self._lines[line].tap
        if "after" not in args:
            tap.listen(1)
            who.at_end.append(lambda: tap.listen(-1))
            return {"now_s": time.monotonic(), "pieces": []}
        heard = tap.since(int(args["after"]))
        pieces = [[piece.number, piece.at_s, piece.to_instrument, piece.data.hex()] for piece in heard]
        return {"now_s": time.monotonic(), "pieces": pieces}
