"""Frames on a byte stream (HJ 212-2017 §6.3.1, Table 2), and finding them again after anything.

    ##  0101  QN=…;ST=32;…;CP=&&…&&  1C80  CR LF
    head  │   data segment            │    tail
    bytes of the segment         check code of the segment

Frames come glued, halved, with a lone LF or no tail at all, between noise of modems, and with false lengths. The
decoder goes by length and check code; after a failure it steps one byte and searches on. A head whose segment does not
arrive is given up when a whole sound frame stands inside of it, or after `stall_s`. Memory is bounded by the cap.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice

from protocol.crc import KNOWN_LOW_BYTES, Variant, check_code, crc, modbus_crc
from protocol.errors import BadFrame, CannotEncode, Note

MAX_SEGMENT = 9999
"""What four digits of length can say."""
SEGMENT_LIMIT = 1024
"""Longest data segment of the standard (Table 2)."""

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


def wrap(segment: bytes, variant: Variant = "hj212") -> bytes:
    """The frame around a segment; CannotEncode when four digits cannot say its length."""
    if len(segment) > MAX_SEGMENT:
        raise CannotEncode("protocol.encode.segment_length", limit=MAX_SEGMENT, came=len(segment))
    return b"##%04d%b%04X\r\n" % (len(segment), segment, check_code(segment, variant))


class FrameDecoder:
    """Finds the frames in a stream; one decoder per link.

    `cap`: longest segment accepted; `stall_s`: how long an unfinished frame may take. `now` is any clock in seconds.
    """

    def __init__(self, cap: int = SEGMENT_LIMIT, stall_s: float = 10.0, variant: Variant = "hj212") -> None:
        self._cap = min(cap, MAX_SEGMENT)
        self._stall_s = stall_s
        self._variant = variant
        self._rest = b""
        self._run = b""  # dropped and not yet reported
        self._cause: BadFrame | None = None  # of the run; None: noise without a head
        self._since: float | None = None  # when the unfinished frame or the run began to wait

    def feed(self, data: bytes, now: float) -> list[Frame | Dropped]:
        """What the stream held up to and with these bytes, in order."""
        if not (self._rest or self._run) and _HEAD.match(data):
            outcome = _judge(data, self._cap, self._variant)
            if isinstance(outcome, Frame) and len(outcome.raw) == len(data):  # one read, one frame: nearly always
                return [outcome]
        self._rest = self._rest + data if self._rest else data
        found: list[Frame | Dropped] = []
        self._scan(found, now)
        if self._stalled(now):
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
        while self._rest:
            self._drop(1, self._unfinished())
            self._scan(found, 0.0)
        self._report(found)
        return found

    def _scan(self, found: list[Frame | Dropped], now: float) -> None:
        """Take frames off the front of the rest until only an unfinished one is left."""
        before = len(self._rest)
        while self._rest:
            if not _HEAD.match(self._rest):
                start = _START.search(self._rest)
                self._drop(start.start() if start else len(self._rest), None)
            outcome = _judge(self._rest, self._cap, self._variant, explain=self._cause is None)
            if outcome is None and (inner := self._sound_frame_inside()):
                self._drop(inner, self._unfinished())
            elif outcome is None:
                break
            elif isinstance(outcome, BadFrame):
                self._drop(1, outcome)
            else:
                self._report(found)
                found.append(outcome)
                self._rest = self._rest[len(outcome.raw) :]
        if (self._cause and not self._rest) or len(self._run) >= _RUN_LIMIT:
            self._report(found)
        if not (self._rest or self._run):
            self._since = None
        elif self._since is None or len(self._rest) < before:
            self._since = now

    def _sound_frame_inside(self) -> int:
        """Where a whole sound frame begins inside the unfinished one, which then has a false length; 0: none."""
        for match in _HEAD.finditer(self._rest, 1):
            if isinstance(_judge(self._rest[match.start() :], self._cap, self._variant), Frame):
                return match.start()
        return 0

    def _stalled(self, now: float) -> bool:
        return self._since is not None and now - self._since >= self._stall_s

    def _give_up(self, found: list[Frame | Dropped], now: float) -> None:
        self._since = None
        if self._rest.startswith(b"##"):
            self._drop(1, self._unfinished())
            self._scan(found, now)

    def _unfinished(self) -> BadFrame:
        if not _HEAD.match(self._rest):
            return BadFrame("protocol.frame.head", came=_shown(self._rest[:_HEAD_BYTES]))
        expected = int(self._rest[2:_HEAD_BYTES])
        came = max(0, len(self._rest.rstrip(_BLANK)) - _HEAD_BYTES - _CODE_BYTES)
        unfinished = BadFrame("protocol.frame.unfinished", expected=expected, came=came)
        return _found_elsewhere(self._rest, expected) or unfinished

    def _drop(self, count: int, cause: BadFrame | None) -> None:
        dropped, self._rest = self._rest[:count], self._rest[count:]
        if self._run or dropped.strip(_BLANK):  # a line end between frames is no loss
            self._run += dropped
            self._cause = self._cause or cause

    def _report(self, found: list[Frame | Dropped]) -> None:
        run = self._run.rstrip(_BLANK)
        if run:
            found.append(Dropped(run, self._cause or _noise(run)))
        self._run, self._cause = b"", None


def _noise(run: bytes) -> BadFrame:
    head = run.find(b"##")
    if head < 0:
        return BadFrame("protocol.frame.noise", count=len(run), came=_shown(run))
    return BadFrame("protocol.frame.length_digits", at=head + 3, came=_shown(run[head + 2 : head + _HEAD_BYTES]))


def _judge(data: bytes, cap: int, variant: Variant, explain: bool = False) -> Frame | BadFrame | None:
    """The frame at the start of `data`, which begins with a head; why it is none; None: more bytes are needed.

    `explain`: find out exactly why, which takes long; a run of dropped bytes is explained once, by its start.
    """
    if len(data) < _HEAD_BYTES:
        return None
    length = int(data[2:_HEAD_BYTES])
    if length > cap:
        return BadFrame("protocol.frame.cap", at=3, expected=cap, came=length)
    end = _HEAD_BYTES + length
    if len(data) < end + _CODE_BYTES:
        return None
    segment, code = data[_HEAD_BYTES:end], data[end : end + _CODE_BYTES]
    expected = check_code(segment, variant)
    if code == b"%04X" % expected and segment.endswith(b"&&"):
        tail = end + _CODE_BYTES
        if length <= SEGMENT_LIMIT and data.startswith(b"\r\n", tail):
            return Frame(segment, (), data[: tail + 2])
        return _accepted(data, end + _CODE_BYTES, segment, [])
    deviation = _judge_deviation(data, segment, expected, variant)
    return _diagnosis(data, segment, expected) if explain and isinstance(deviation, BadFrame) else deviation


def _judge_deviation(data: bytes, segment: bytes, expected: int, variant: Variant) -> Frame | BadFrame | None:
    """The same for a frame that is not in exactly the standard's form."""
    end = _HEAD_BYTES + len(segment)
    match = _CODE.match(data, end)
    if segment.endswith(b"&&") and match and int(match[0], 16) == expected:
        if len(match[0]) == _CODE_BYTES:
            return _accepted(data, match.end(), segment, [Note("protocol.note.crc_case")])
        note = Note("protocol.note.crc_digits", {"came": match[0].decode()})
        return _accepted(data, match.end(), segment, [note])
    if not segment.isascii():
        by_characters = _judge_characters(data, len(segment), variant)
        if not isinstance(by_characters, BadFrame):
            return by_characters
    return BadFrame("protocol.frame.crc_form", at=end + 1, came="")


def _judge_characters(data: bytes, length: int, variant: Variant) -> Frame | BadFrame | None:
    """Some senders count characters while they send UTF-8: the same frame, measured that way."""
    text = data[_HEAD_BYTES : _HEAD_BYTES + 4 * length].decode("utf-8", "ignore")[:length]
    segment = text.encode()
    end = _HEAD_BYTES + len(segment)
    if not data.startswith(segment, _HEAD_BYTES) or (len(text) == length and not segment.endswith(b"&&")):
        return BadFrame("protocol.frame.end")
    if len(data) < end + _CODE_BYTES:
        return None
    code = data[end : end + _CODE_BYTES]
    if code.upper() != b"%04X" % check_code(segment, variant):
        return BadFrame("protocol.frame.end")
    note = Note("protocol.note.length_characters", {"came": length, "expected": len(segment)})
    return _accepted(data, end + _CODE_BYTES, segment, [note])


def _accepted(data: bytes, end: int, segment: bytes, notes: list[Note]) -> Frame:
    """A sound frame with whatever of its tail is there already."""
    if data.startswith(b"\r\n", end):
        end += 2
    elif len(data) > end:
        notes.append(Note("protocol.note.tail"))
        end += data.startswith((b"\r", b"\n"), end)
    if len(segment) > SEGMENT_LIMIT:
        notes.append(Note("protocol.note.segment_length", {"expected": SEGMENT_LIMIT, "came": len(segment)}))
    return Frame(segment, tuple(notes), data[:end])


def _diagnosis(data: bytes, segment: bytes, expected: int) -> BadFrame:
    """Why a frame of full length is refused, as exactly as its bytes tell."""
    end = _HEAD_BYTES + len(segment)
    code = data[end : end + _CODE_BYTES]
    if not (segment.endswith(b"&&") and _CODE.fullmatch(code) and len(code) == _CODE_BYTES):
        at = end - 1 if not segment.endswith(b"&&") else end + 1
        came = segment[-2:] if not segment.endswith(b"&&") else code
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
    shown = _PASSWORD.sub(b"PW=***", data[:64])[:32].decode("ascii", "backslashreplace")
    return shown.encode("unicode_escape").decode("ascii")
