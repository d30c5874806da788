"""Records that do not fit one packet: cut at factor borders, put together again (HJ 212-2017 §6.3.2 PNUM, PNO; C.49).

Flag=6;PNUM=2;PNO=1;CP=&&DataTime=…;w00000-Cou=…&&      each part is a whole packet with a QN of its own,
Flag=6;PNUM=2;PNO=2;CP=&&DataTime=…;w01018-Cou=…&&      and repeats DataTime
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from protocol.errors import BadPacket, CannotEncode
from protocol.packet import SPLIT_BIT, Packet
from protocol.region import Item, Region

_Key = tuple[str, str, str | None, int]  # MN, CN, DataTime, PNUM


def _length(item: Item) -> int:
    """Bytes of an item on the wire with one separator behind each field."""
    return sum(len(name) + len(value.encode()) + 2 for name, value in item)


def split(region: Region, room: int) -> list[Region]:
    """The region in parts of at most `room` bytes, cut between items only; a leading DataTime stands in every part.

    CannotEncode when one item alone does not fit.
    """
    label = region[:1] if region and region[0][0][0] == "DataTime" else ()
    base = sum(map(_length, label)) - 1
    parts: list[Region] = []
    part, used = label, base
    for item in region[len(label) :]:
        if used + _length(item) > room and part != label:
            parts.append(part)
            part, used = label, base
        used += _length(item)
        if used > room:
            raise CannotEncode("protocol.encode.item_length", field=item[0][0], limit=room, came=used)
        part = (*part, item)
    return [*parts, part]


@dataclass(slots=True)
class _Open:
    since: float
    parts: dict[int, Packet] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Incomplete:
    """A split record whose parts did not all come in time."""

    mn: str
    cn: str
    data_time: str | None
    came: int
    expected: int


class Reassembler:
    """Merges parts by MN, CN, DataTime and PNUM, as their QNs differ. Bounded in parts, open records and time."""

    def __init__(self, timeout_s: float = 60.0, max_parts: int = 64, max_open: int = 16) -> None:
        self._timeout_s = timeout_s
        self._max_parts = max_parts
        self._max_open = max_open
        self._open: dict[_Key, _Open] = {}

    def add(self, packet: Packet, now: float) -> Packet | None:
        """The whole packet once its last part is there (QN of part 1, PNUM and PNO gone); an unsplit one at once.

        A part that comes twice counts once. BadPacket for more parts than allowed.
        """
        pnum, pno = packet.pnum, packet.pno
        if not packet.is_split or pnum is None or pno is None:
            return packet
        if pnum > self._max_parts:
            raise BadPacket("protocol.packet.value", field="PNUM", expected=f"1-{self._max_parts}", came=pnum)
        key = (packet.mn, packet.cn, packet.get("DataTime"), pnum)
        if key not in self._open and len(self._open) >= self._max_open:
            del self._open[next(iter(self._open))]
        open_ = self._open.setdefault(key, _Open(now))
        open_.parts.setdefault(pno, packet)
        if len(open_.parts) < pnum:
            return None
        del self._open[key]
        return _merged([open_.parts[number] for number in sorted(open_.parts)])

    def tick(self, now: float) -> list[Incomplete]:
        """Forget what is too old, and say what that was."""
        late = [key for key, open_ in self._open.items() if now - open_.since >= self._timeout_s]
        return [Incomplete(*key[:3], came=len(self._open.pop(key).parts), expected=key[3]) for key in late]


def _merged(parts: list[Packet]) -> Packet:
    first = parts[0]
    label = first.data[:1]
    data = first.data
    for part in parts[1:]:
        data += part.data[1:] if part.data[:1] == label else part.data
    flag = None if first.flag is None else first.flag & ~SPLIT_BIT
    return replace(first, flag=flag, pnum=None, pno=None, data=data)
