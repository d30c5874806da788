"""Frames on a byte stream (HJ 212-2017 §6.3.1, Table 2), and finding them again after anything.

    ##  0101  QN=…;ST=32;…;CP=&&…&&  1C80  CR LF
    head  │   data segment            │    tail
    bytes of the segment         check code of the segment

Frames come glued, halved, with a lone LF or no tail at all, between noise of modems, and with false lengths. The
decoder goes by length and check code; after a failure it searches on behind the head. A head whose segment does not
arrive is given up when a whole sound frame stands inside of it, when the stream falls silent, or when it takes too
long. Memory is bounded by the cap.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from itertools import islice
from typing import Literal

from protocol.crc import KNOWN_LOW_BYTES, Variant, check_code, crc, modbus_crc
from protocol.errors import BadFrame, CannotEncode, Note

MAX_SEGMENT = 9999
"""What four digits of length can say."""
SEGMENT_LIMIT = 1024
"""Longest data segment of the standard (Table 2)."""
Tail = Literal["crlf", "lf", "none"]
"""What ends a frame: CR LF in the standard (Table 2); some platforms want less."""

_HEAD = re.compile(rb"##\d{4}")
_START = re.compile(rb"##(?:\d{4}|\d{0,3}\Z)|#\Z")  # a head, or the end of the bytes where one may begin
_CODE = re.compile(rb"[0-9A-Fa-f]{1,4}")
_END = re.compile(rb"&&([0-9A-Fa-f]{4})")
_PASSWORD = re.compile(rb"PW=[^;]*", re.IGNORECASE)
_HEAD_BYTES = 6
_CODE_BYTES = 4
_ENDS_TRIED = 4  # places where a frame of false length may end
_RUN_LIMIT = 4096  # dropped bytes that are reported at once, at most
_BLANK = b"\r\n"
_TAILS: dict[Tail, bytes] = {"crlf": b"\r\n", "lf": b"\n", "none": b""}


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame whose length and check code are right; `raw` is what stood on the wire, its tail included if there."""

    segment: bytes
    notes: tuple[Note, ...] = ()
    raw: bytes = b""


@dataclass(frozen=True, slots=True)
class Dropped:
    """A run of bytes that is no frame, and why."""

    data: bytes
    error: BadFrame


def wrap(segment: bytes, variant: Variant = "hj212", tail: Tail = "crlf") -> bytes:
    """The frame around a segment; CannotEncode when four digits cannot say its length."""
    if len(segment) > MAX_SEGMENT:
        raise CannotEncode("protocol.encode.segment_length", limit=MAX_SEGMENT, came=len(segment))
    return b"##%04d%b%04X%b" % (len(segment), segment, check_code(segment, variant), _TAILS[tail])


class FrameDecoder:
    """Finds the frames in a stream; one decoder per link.

    `cap`: longest segment accepted; `stall_s`: how long the stream may be silent within a frame; `total_s`: how long a
    frame may take while its bytes keep coming. `now` is any clock in seconds. Work is in proportion to the bytes,
    however they come: a head is judged when all its bytes are there, and again at most when it is the first.
    """

    def __init__(
        self, cap: int = SEGMENT_LIMIT, stall_s: float = 10.0, variant: Variant = "hj212", total_s: float = 60.0
    ) -> None:
        self._cap = min(cap, MAX_SEGMENT)
        self._stall_s = stall_s
        self._total_s = total_s
        self._variant = variant
        self._rest = b""  # from where the first head may begin; places below are counted in it
        self._at = 0  # what stands before is done with
        self._seen = 0  # heads before this place are known
        self._waiting: list[int] = []  # heap of heads by the place up to which they need bytes: place << 32 | head
        self._needed = 0  # the same place of the first head
        self._run = bytearray()  # dropped and not yet reported
        self._cause: BadFrame | None = None  # of the run; None: noise without a head
        self._began = self._heard = 0.0  # when the unfinished frame or the run began, and when the last bytes came

    def feed(self, data: bytes, now: float) -> list[Frame | Dropped]:
        """What the stream held up to and with these bytes, in order."""
        if not (self._rest or self._run) and _HEAD.match(data):
            outcome = _judge(data, 0, self._cap, self._variant)
            if isinstance(outcome, Frame) and len(outcome.raw) == len(data):  # one read, one frame: nearly always
                return [outcome]
        found: list[Frame | Dropped] = []
        late = self._stalled(now)
        if not (self._rest or self._run):
            self._began = now
        self._rest = self._rest + data if self._rest else data
        if data:
            self._heard = now
        self._scan(found, now)
        if late:
            self._give_up(found, now)
        return found

    def tick(self, now: float) -> list[Frame | Dropped]:
        """To be called now and then: gives up an unfinished frame that stalled and reports noise that has ended."""
        found: list[Frame | Dropped] = []
        if self._stalled(now):
            self._give_up(found, now)
            self._report(found)
        return found

    def flush(self) -> list[Frame | Dropped]:
        """The stream has ended: everything that is left, frames that stood behind an unfinished head included."""
        found: list[Frame | Dropped] = []
        while self._left():
            self._drop_first()
            self._take(found)
        self._forget_done()
        self._report(found)
        return found

    def _scan(self, found: list[Frame | Dropped], now: float) -> None:
        """Take frames off the front of the rest until only an unfinished one is left."""
        self._find_heads()
        before = self._left()
        self._take(found)
        left = self._left()
        self._forget_done()
        if (self._cause and not left) or len(self._run) >= _RUN_LIMIT:
            self._report(found)
        if left < before:
            self._began = now

    def _find_heads(self) -> None:
        for match in _HEAD.finditer(self._rest, self._seen):
            head = match.start()
            heappush(self._waiting, _needed(self._rest, head, self._cap) << 32 | head)
            self._seen = match.end()
        self._seen = max(self._seen, len(self._rest) - _HEAD_BYTES + 1)

    def _take(self, found: list[Frame | Dropped]) -> None:
        while True:
            head = _HEAD.search(self._rest, self._at)
            self._drop_to(head.start() if head else self._possible_head())
            if not head:
                return
            outcome: Frame | BadFrame | int = self._needed
            if self._needed <= len(self._rest):
                outcome = _judge(self._rest, self._at, self._cap, self._variant, explain=self._cause is None)
            if isinstance(outcome, Frame):
                self._report(found)
                found.append(outcome)
                self._go_to(self._at + len(outcome.raw))
            elif isinstance(outcome, BadFrame):
                self._cause = self._cause or outcome
                self._drop_head()
            elif (inner := self._sound_frame_inside()) is not None:
                self._cause = self._cause or self._unfinished()
                self._drop_to(inner)
            else:
                self._needed = outcome
                return

    def _sound_frame_inside(self) -> int | None:
        """Where a whole sound frame begins inside the unfinished one, which then has a false length."""
        sound: list[int] = []
        while self._waiting and self._waiting[0] >> 32 <= len(self._rest):
            head = heappop(self._waiting) & 0xFFFF_FFFF
            if head <= self._at:
                continue
            outcome = _judge(self._rest, head, self._cap, self._variant)
            if isinstance(outcome, Frame):
                sound.append(head)
            elif isinstance(outcome, int):
                heappush(self._waiting, outcome << 32 | head)
        for head in sound[1:]:
            heappush(self._waiting, len(self._rest) << 32 | head)
        return min(sound, default=None)

    def _possible_head(self) -> int:
        """Where a head may begin whose digits have not come yet."""
        end = len(self._rest)
        start = _START.search(self._rest, max(self._at, end - _HEAD_BYTES + 1))
        return start.start() if start else end

    def _go_to(self, place: int) -> None:
        self._at = place
        self._needed = 0

    def _drop_to(self, place: int) -> None:
        dropped = self._rest[self._at : place]
        if self._run or dropped.strip(_BLANK):  # a line end between frames is no loss
            self._run += dropped
        if place != self._at:
            self._go_to(place)

    def _drop_head(self) -> None:
        """The first head is none: drop up to where the next one may begin."""
        head = _HEAD.search(self._rest, self._at + 1)
        self._drop_to(head.start() if head else max(self._possible_head(), self._at + 1))

    def _drop_first(self) -> None:
        """Give up the unfinished frame at the front."""
        self._cause = self._cause or self._unfinished()
        if self._rest.startswith(b"##", self._at):
            self._drop_head()
        else:
            self._drop_to(len(self._rest))

    def _left(self) -> int:
        return len(self._rest) - self._at

    def _forget_done(self) -> None:
        """Count the places from the front again; not for every few bytes, which would take long."""
        done = self._at
        if done < _RUN_LIMIT and self._left():
            return
        self._rest = self._rest[done:]
        self._at, self._needed, self._seen = 0, max(0, self._needed - done), max(0, self._seen - done)
        back = done << 32 | done
        self._waiting = [entry - back for entry in self._waiting if entry & 0xFFFF_FFFF >= done]
        heapify(self._waiting)

    def _stalled(self, now: float) -> bool:
        waits = self._left() or self._run
        return bool(waits) and (now - self._heard >= self._stall_s or now - self._began >= self._total_s)

    def _give_up(self, found: list[Frame | Dropped], now: float) -> None:
        if self._rest.startswith(b"##", self._at):
            self._drop_first()
            self._scan(found, now)
        self._began = self._heard = now

    def _unfinished(self) -> BadFrame:
        rest = self._rest[self._at :]
        if not _HEAD.match(rest):
            return BadFrame("protocol.frame.head", came=_shown(rest[:_HEAD_BYTES]))
        expected = int(rest[2:_HEAD_BYTES])
        came = max(0, len(rest.rstrip(_BLANK)) - _HEAD_BYTES - _CODE_BYTES)
        unfinished = BadFrame("protocol.frame.unfinished", expected=expected, came=came)
        return _found_elsewhere(rest, expected) or unfinished

    def _report(self, found: list[Frame | Dropped]) -> None:
        run = bytes(self._run).rstrip(_BLANK)
        if run:
            found.append(Dropped(run, self._cause or _noise(run)))
        self._run, self._cause = bytearray(), None


def _noise(run: bytes) -> BadFrame:
    head = run.find(b"##")
    if head < 0:
        return BadFrame("protocol.frame.noise", count=len(run), came=_shown(run))
    return BadFrame("protocol.frame.length_digits", at=head + 3, came=_shown(run[head + 2 : head + _HEAD_BYTES]))


def _needed(data: bytes, at: int, cap: int) -> int:
    """Place up to which bytes must be there before the head at `at` can be judged."""
    length = int(data[at + 2 : at + _HEAD_BYTES])
    return at + _HEAD_BYTES + (length + _CODE_BYTES if length <= cap else 0)


def _judge(data: bytes, at: int, cap: int, variant: Variant, explain: bool = False) -> Frame | BadFrame | int:
    """The frame whose head stands at `at`; why it is none; or the place up to which more bytes are needed.

    `explain`: find out exactly why, which takes long; a run of dropped bytes is explained once, by its start.
    """
    begin = at + _HEAD_BYTES
    length = int(data[at + 2 : begin])
    if length > cap:
        return BadFrame("protocol.frame.cap", at=3, expected=cap, came=length)
    end = begin + length
    tail = end + _CODE_BYTES
    if len(data) < tail:
        return tail
    if data.startswith(b"&&", max(begin, end - 2)):  # before the check code, which takes longest
        segment = data[begin:end]
        expected = check_code(segment, variant)
        if data[end:tail] == b"%04X" % expected:
            if length <= SEGMENT_LIMIT and data.startswith(b"\r\n", tail):
                return Frame(segment, (), data[at : tail + 2])
            return _accepted(data, at, tail, segment, [])
        deviation = _judge_code(data, at, end, segment, expected)
        if deviation is not None:
            return deviation
    by_characters = _judge_characters(data, at, length, variant)
    if by_characters is not None:
        return by_characters
    return _diagnosis(data[at:], length, variant) if explain else _NO_FRAME


_NO_FRAME = BadFrame("protocol.frame.end", at=1, came="")  # unexplained: the run has its cause already


def _judge_code(data: bytes, at: int, end: int, segment: bytes, expected: int) -> Frame | None:
    """The frame whose check code is right but not in exactly the standard's form."""
    match = _CODE.match(data, end)
    if match is None or int(match[0], 16) != expected:
        return None
    if len(match[0]) == _CODE_BYTES:
        return _accepted(data, at, match.end(), segment, [Note("protocol.note.crc_case")])
    note = Note("protocol.note.crc_digits", {"came": match[0].decode()})
    return _accepted(data, at, match.end(), segment, [note])


def _judge_characters(data: bytes, at: int, length: int, variant: Variant) -> Frame | int | None:
    """Some senders count characters while they send UTF-8: the same frame, measured that way; None: it is none."""
    begin = at + _HEAD_BYTES
    if data[begin : begin + length].isascii():
        return None
    text = data[begin : begin + 4 * length].decode("utf-8", "ignore")[:length]
    segment = text.encode()
    end = begin + len(segment)
    if not data.startswith(segment, begin) or (len(text) == length and not segment.endswith(b"&&")):
        return None
    needed = end + length - len(text) + _CODE_BYTES
    if len(data) < needed:
        return needed
    if data[end : end + _CODE_BYTES].upper() != b"%04X" % check_code(segment, variant):
        return None
    note = Note("protocol.note.length_characters", {"came": length, "expected": len(segment)})
    return _accepted(data, at, end + _CODE_BYTES, segment, [note])


def _accepted(data: bytes, at: int, end: int, segment: bytes, notes: list[Note]) -> Frame:
    """A sound frame with whatever of its tail is there already."""
    if data.startswith(b"\r\n", end):
        end += 2
    elif len(data) > end:
        notes.append(Note("protocol.note.tail"))
        end += data.startswith((b"\r", b"\n"), end)
    if len(segment) > SEGMENT_LIMIT:
        notes.append(Note("protocol.note.segment_length", {"expected": SEGMENT_LIMIT, "came": len(segment)}))
    return Frame(segment, tuple(notes), data[at:end])


def _diagnosis(data: bytes, length: int, variant: Variant) -> BadFrame:
    """Why the frame at the start of `data`, of full length, is refused, as exactly as its bytes tell."""
    end = _HEAD_BYTES + length
    segment = data[_HEAD_BYTES:end]
    expected = check_code(segment, variant)
    code = data[end : end + _CODE_BYTES]
    if not (segment.endswith(b"&&") and _CODE.fullmatch(code) and len(code) == _CODE_BYTES):
        at = end - 1 if not segment.endswith(b"&&") else end + 1
        came = segment[-2:] if not segment.endswith(b"&&") else code.rstrip(_BLANK)
        error = "protocol.frame.end" if not segment.endswith(b"&&") else "protocol.frame.crc_form"
        return _found_elsewhere(data, len(segment)) or BadFrame(error, at=at, came=_shown(came))
    came_code, modbus = int(code, 16), modbus_crc(segment)
    params = {"at": end + 1, "expected": f"{expected:04X}", "came": code.decode()}
    if came_code in (modbus, (modbus & 0xFF) << 8 | modbus >> 8):
        return BadFrame("protocol.frame.crc_modbus", **params)
    if came_code == crc(segment):
        return BadFrame("protocol.frame.crc_standard", **params)
    foreign = came_code & 0xFF not in KNOWN_LOW_BYTES
    return BadFrame("protocol.frame.crc_foreign" if foreign else "protocol.frame.crc", **params)


def _found_elsewhere(data: bytes, length: int) -> BadFrame | None:
    """The refusal for a length that is wrong while the frame is sound: its end is where `&&` and a right code stand."""
    for match in islice(_END.finditer(data, _HEAD_BYTES), _ENDS_TRIED):
        segment = data[_HEAD_BYTES : match.start() + 2]
        if int(match[1], 16) == crc(segment):
            return BadFrame("protocol.frame.length", at=3, expected=len(segment), came=length)
    return None


def _shown(data: bytes) -> str:
    """Bytes for a message: as text where they are, else escaped; the first 32, without a password."""
    shown = _PASSWORD.sub(b"PW=***", data[:64])[:32]
    return "".join(chr(byte) if 0x20 <= byte < 0x7F else f"\\x{byte:02x}" for byte in shown)
