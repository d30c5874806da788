"""When the source stood still (停产, 停炉): a state of its own, which never changes what a record says.

Only on the wire it may show: a platform with `stopped = "F"` gets F where normal data are of a time in which the
source was stopped throughout. A period with any production in it stays N: a stop must not hide an excess.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edge.measure.marks import NORMAL

Span = tuple[int, int | None]
"""[begin, end); None: it still stands."""
OUT_OF_OPERATION = "F"


class Stops:
    """The stops of all outlets; replaced as a whole, so that another thread may read."""

    def __init__(self) -> None:
        self._spans: Mapping[str, Sequence[Span]] = {}

    def put(self, spans: Mapping[str, Sequence[Span]]) -> None:
        """What is known now, outlet → spans."""
        self._spans = {outlet: _joined(known) for outlet, known in spans.items()}

    def throughout(self, outlet: str, begin: int, end: int) -> bool:
        """Whether an outlet's source stood still during the whole of [begin, end)."""
        return any(first <= begin and (last is None or end <= last) for first, last in self._spans.get(outlet, ()))

    def mark(self, mark: str, outlet: str, begin: int, end: int) -> str:
        """The mark on the wire of a platform that wants F for a stopped source."""
        return OUT_OF_OPERATION if mark == NORMAL and self.throughout(outlet, begin, end) else mark


def _joined(spans: Sequence[Span]) -> list[Span]:
    joined: list[Span] = []
    for begin, end in sorted(spans, key=lambda span: span[0]):
        last = joined[-1][1] if joined else begin - 1
        if joined and (last is None or begin <= last):
            joined[-1] = (joined[-1][0], None if last is None or end is None else max(last, end))
        else:
            joined.append((begin, end))
    return joined
