"""One packet: the header and the data region of a frame's data segment (HJ 212-2017 §6.3.2, Table 3).

    QN=20160801085857223;ST=32;CN=1062;PW=100000;MN=010000A8900016F000169DC0;Flag=5;CP=&&RtdInterval=30&&

Reading forgives (`protocol.lenient` says what), writing is strict: what is written reads back as the same packet. The
standard's own form takes a short way here; anything else goes through the forgiving reader, with the same result.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from protocol import lenient, region
from protocol.crc import Variant
from protocol.errors import BadFrame, BadPacket, CannotEncode, Note, ProtocolError
from protocol.forms import is_time
from protocol.frame import MAX_SEGMENT, Dropped, Frame, FrameDecoder, wrap
from protocol.region import Field, Region

ANSWER_BIT = 1
"""Flag bit A: the packet must be answered."""
SPLIT_BIT = 2
"""Flag bit D: PNUM and PNO are present."""
VERSION_2017 = 4
"""Flag bits V5…V0 = 000001."""

_HEAD = re.compile(
    r"QN=(\d{17});ST=([0-9A-Z]{2});CN=(\d{4});PW=([^;=&#,\s]{0,24});MN=([^;=&#,\s]{1,24});Flag=(\d{1,3});"
    r"(?:PNUM=([1-9]\d{0,3});PNO=([1-9]\d{0,3});)?(?:RF=(\d);)?CP=&&",
    re.ASCII,
)
_SOME_QN = "20160801085857223"
_QN_END = len("QN=" + _SOME_QN)
_LONGEST_HEAD = 160
_MAX_FLAG = 255
_SEPARATORS = re.compile(r"[^!-~]|[;=&#,]")
_FRAME_HEAD = re.compile(rb"##(\d{4})")
_SOME_CODE = re.compile(rb"[0-9A-Fa-f]{4}")
_DAMAGED_LIMIT = 16
_OPENING = re.compile(rb"CP\s*=\s*\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet of the wire. Absent header fields are None; ST, CN and MN are then empty.

    `extra` holds header fields that the standard does not know, in their order.
    """

    qn: str | None
    st: str
    cn: str
    pw: str | None
    mn: str
    flag: int | None = None
    pnum: int | None = None
    pno: int | None = None
    rf: str | None = None
    data: Region = ()
    extra: tuple[Field, ...] = ()

    @classmethod
    def from_segment(cls, segment: bytes) -> Packet:
        """The packet of a data segment; BadPacket with the first thing that cannot be accepted."""
        packet = _read_standard(segment)
        if packet is not None:
            return packet
        reading = lenient.read(segment)
        if reading.errors:
            raise reading.errors[0]
        return _from_reading(reading)

    def to_segment(self) -> bytes:
        """The data segment; CannotEncode for what would not read back as this packet."""
        head = self.head()
        match = _HEAD.fullmatch(head)
        if self.extra or not match or not head.isascii() or not _plausible(match, self):
            self._check_head()
        body = region.write(self.data)
        return f"{head}{body}&&".encode()

    def to_frame(self, variant: Variant = "hj212") -> bytes:
        """The whole frame with CR LF; CannotEncode as `to_segment`, or when it is longer than 9999 bytes."""
        return wrap(self.to_segment(), variant)

    def get(self, name: str) -> str | None:
        """Value of the first field of that name in the data region; capitals do not count."""
        return region.value_of(self.data, name)

    @property
    def wants_answer(self) -> bool:
        """Flag bit A."""
        return bool((self.flag or 0) & ANSWER_BIT)

    @property
    def is_split(self) -> bool:
        """Flag bit D, with the numbers that belong to it."""
        return bool((self.flag or 0) & SPLIT_BIT) and self.pnum is not None and self.pno is not None

    def head(self) -> str:
        """The segment up to the first `&&`, unchecked."""
        qn, pw, flag = self.qn, self.pw, self.flag
        whole = self.st and self.cn and self.mn and qn is not None and pw is not None and flag is not None
        if whole and self.pnum is None and self.pno is None and self.rf is None and not self.extra:
            return f"QN={qn};ST={self.st};CN={self.cn};PW={pw};MN={self.mn};Flag={flag};CP=&&"
        return (
            ("" if qn is None else f"QN={qn};")
            + (f"ST={self.st};" if self.st else "")
            + (f"CN={self.cn};" if self.cn else "")
            + ("" if pw is None else f"PW={pw};")
            + (f"MN={self.mn};" if self.mn else "")
            + ("" if flag is None else f"Flag={flag};")
            + ("" if self.pnum is None else f"PNUM={self.pnum};")
            + ("" if self.pno is None else f"PNO={self.pno};")
            + ("" if self.rf is None else f"RF={self.rf};")
            + "".join([f"{name}={value};" for name, value in self.extra])
            + "CP=&&"
        )

    def _check_head(self) -> None:
        named = (("QN", self.qn or ""), ("ST", self.st), ("CN", self.cn), ("PW", self.pw or ""), ("MN", self.mn))
        for name, value in (*named, ("RF", self.rf or ""), *self.extra):
            if _SEPARATORS.search(name + value) or not name:
                raise CannotEncode("protocol.encode.value", field=name, came="***" if name == "PW" else value)
        for name, text in (("QN", self.qn), ("RF", self.rf)):
            if text == "":  # reads back as an absent one
                raise CannotEncode("protocol.encode.value", field=name, came="")
        for name, _ in self.extra:
            if name.upper() in ("CP", *map(str.upper, lenient.HEADER)):
                raise CannotEncode("protocol.encode.name", field=name)
        reading = lenient.read(self.head().encode() + b"&&")
        if reading.errors:
            error = reading.errors[0]
            raise CannotEncode(error.code, **error.params)


def _plausible(match: re.Match[str], packet: Packet) -> bool:
    """What the form of a standard header leaves open: dates, and ranges."""
    pnum, pno = packet.pnum, packet.pno
    return is_time(match[1]) and (packet.flag or 0) <= _MAX_FLAG and (pnum is None or pno is None or pno <= pnum)


def _read_standard(segment: bytes) -> Packet | None:
    """The packet of a segment in the standard's form; None where anything deviates."""
    try:
        text = segment.decode("ascii")
    except UnicodeDecodeError:
        return None
    begin = text.find("&&", 0, _LONGEST_HEAD) + 2
    station = _station(text[_QN_END:begin])
    if station is None or not text.startswith("QN=") or text[-2:] != "&&" or len(text) < begin + 2:
        return None
    qn = text[3:_QN_END]
    header, reader = station
    data = reader.read(text[begin:-2])
    return Packet(qn, *header, data) if data is not None and is_time(qn) else None


_Header = tuple[str, str, str, str, int, int | None, int | None, str | None]


@lru_cache(maxsize=128)
def _station(head: str) -> tuple[_Header, region.Reader] | None:
    """The header behind the QN, the same from packet to packet: ST, CN, PW, MN, Flag, PNUM, PNO, RF."""
    match = _HEAD.fullmatch(f"QN={_SOME_QN}{head}")
    if match is None:
        return None
    _, st, cn, pw, mn, flag, pnum, pno, rf = match.groups()
    if int(flag) > _MAX_FLAG or (pnum and int(pno) > int(pnum)):
        return None
    header = st, cn, pw, mn, int(flag), int(pnum) if pnum else None, int(pno) if pno else None, rf
    return header, region.Reader()


def _from_reading(reading: lenient.Reading) -> Packet:
    """The packet of a reading; fields of a wrong form are left out."""
    head = reading.header

    def whole(name: str) -> int | None:
        text = head.get(name, "")
        return int(text) if text.isascii() and text.isdigit() else None

    return Packet(
        head.get("QN"), head.get("ST", ""), head.get("CN", ""), head.get("PW"), head.get("MN", ""),
        whole("Flag"), whole("PNUM"), whole("PNO"), head.get("RF"), reading.region, tuple(reading.extra),
    )  # fmt: skip


class Examined(NamedTuple):
    """What can be said about bytes that should be one packet.

    `header`: the fields as on the wire; `packet`: what could be read, None where that is nothing at all.
    """

    packet: Packet | None
    header: Mapping[str, str]
    errors: tuple[ProtocolError, ...]
    notes: tuple[Note, ...]

    @property
    def ok(self) -> bool:
        """Whether the packet is accepted."""
        return not self.errors


def examine(data: bytes, cap: int = MAX_SEGMENT, variant: Variant = "hj212", framed: bool = False) -> Examined:
    """All that is right and wrong with one frame, for tools that explain packets.

    A bare data segment is taken as well, unless `framed` says that a frame is due.
    """
    errors: list[ProtocolError] = []
    notes: list[Note] = []
    segment = data.strip()
    if framed or b"##" in segment or not segment.lstrip(b"; ").startswith((b"QN=", b"ST=")):
        segment = _unwrap(data, cap, variant, errors, notes)
    if not segment:
        return Examined(None, {}, tuple(errors), tuple(notes))
    reading = lenient.read(segment)
    errors += reading.errors
    something = reading.header or reading.region
    packet = _from_reading(reading) if something else None
    return Examined(packet, reading.header, tuple(errors), (*notes, *reading.notes))


def _unwrap(data: bytes, cap: int, variant: Variant, errors: list[ProtocolError], notes: list[Note]) -> bytes:
    """The segment of the frame in `data`, or what looks most like one where no frame is sound."""
    decoder = FrameDecoder(cap, variant=variant)
    ended = data if data.endswith((b"\r", b"\n")) else data + b"\r\n"  # a line has lost its end, and no more comes
    found = decoder.feed(ended, 0.0) + decoder.flush()
    frames = [each for each in found if isinstance(each, Frame)]
    dropped = [each for each in found if isinstance(each, Dropped)]
    if len(frames) == 1:
        notes += frames[0].notes
        notes += [Note("protocol.note.dropped", {"count": len(each.data)}) for each in dropped]
        return frames[0].segment
    if frames:
        errors.append(BadFrame("protocol.frame.several", came=len(frames)))
        return frames[0].segment
    errors += [each.error for each in dropped]
    if not errors:
        errors.append(BadFrame("protocol.frame.empty"))
    return _likely_segment(data)


def _likely_segment(data: bytes) -> bytes:
    start = re.search(rb"(?:##[^;=]{0,6}?)?((?:QN|ST|CN|PW|MN)\s*=)", data, re.IGNORECASE)
    if not start:
        return b""
    segment = data[start.start(1) :].rstrip()
    end = segment.rfind(b"&&")
    if end > 0 and not _OPENING.search(segment[:end]):
        return segment[: end + 2]
    return segment[:-4] if _fits(data.rstrip()) else segment  # the region's end is missing


def _fits(data: bytes) -> bool:
    """Whether a frame is as long as it says."""
    head = _FRAME_HEAD.match(data)
    return head is not None and int(head[1]) == len(data) - len("##0000") - len("1C80")


def damaged(dropped: bytes) -> list[Packet]:
    """The packets in dropped bytes that are sound but for their check code: length, `&&` and fields are right.

    Nothing in them can be trusted: they may be refused (QnRtn 9), never carried out. At most 16.
    """
    found: list[Packet] = []
    head = _FRAME_HEAD.search(dropped)
    while head and len(found) < _DAMAGED_LIMIT:
        begin, end = head.end(), head.end() + int(head[1])
        whole = dropped[begin:end].endswith(b"&&") and _SOME_CODE.match(dropped, end)
        reading = lenient.read(dropped[begin:end]) if whole else None
        if reading is not None and not reading.errors:
            found.append(_from_reading(reading))
        head = _FRAME_HEAD.search(dropped, end if whole else begin)
    return found


__all__ = ["BadPacket", "Examined", "Packet", "Region", "damaged", "examine"]
