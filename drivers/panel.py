"""What a simulated instrument can be told: a command register, a state, a clock, a cycle, a serial number.

    register  100 command     1 zero and span, 2 sample now, 3 clean, 4 compare, 5 keep a sample
              101 state       0 running, 3 calibrating, 5 cleaning, 7 measuring (the codes of i12001)
              102–104 clock   BCD yymmddhhmmss, Beijing          105 cycle start, BCD hhmm      106 cycle, h
              107 time to result, min     108 bottle     110–121 serial number, 24 characters
              122–123 slope, float32 ABCD     124 measuring interval, min

Read with function 3, written with functions 6 and 16. A command takes a while of the clock's time; another one
meanwhile is refused as busy (exception 6). `action_blocks` is the same table as TOML.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

FIRST, LAST = 100, 124
COMMAND, STATE, CLOCK, CYCLE_START, CYCLE_HOURS, RESULT, BOTTLE, SERIAL, SLOPE, INTERVAL = (
    100, 101, 102, 105, 106, 107, 108, 110, 122, 124
)  # fmt: skip
_WRITABLE = frozenset({COMMAND, CLOCK, CLOCK + 1, CLOCK + 2, CYCLE_START, CYCLE_HOURS, SLOPE, SLOPE + 1, INTERVAL})
_RUNNING = 0
_KEEP_SAMPLE = 5
_COMMANDS = {1: (3, 90_000), 2: (7, 60_000), 3: (5, 45_000), 4: (7, 60_000), _KEEP_SAMPLE: (_RUNNING, 0)}
"""Command: state meanwhile, and how long, in ms."""
_BOTTLES = 24
_BEIJING = timezone(timedelta(hours=8))
NO_REGISTER, NO_VALUE, BUSY = 2, 3, 6
"""Exception codes (GB/T 19582.1 §7)."""


class Refused(Exception):
    """The simulated instrument says no; `code` is its exception code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@dataclass(slots=True)
class Panel:
    """The registers 100–124 of one simulated instrument."""

    serial: str
    state: int = _RUNNING
    until_ms: int = 0
    clock_ahead_ms: int = 0
    """How far the instrument's own clock goes ahead."""
    cycle_start: int = 0x0000
    cycle_hours: int = 2
    bottle: int = 0
    slope: bytes = struct.pack(">f", 1.0)
    interval: int = 120

    def read(self, register: int, count: int, time_ms: int) -> bytes:
        """The registers as they go on the wire. Raises Refused."""
        if not FIRST <= register <= register + count - 1 <= LAST or count < 1:
            raise Refused(NO_REGISTER)
        image = self._image(time_ms)
        return image[(register - FIRST) * 2 : (register - FIRST + count) * 2]

    def write(self, register: int, data: bytes, time_ms: int) -> None:
        """Write registers, all or none. Raises Refused."""
        places = range(register, register + len(data) // 2)
        if not _WRITABLE.issuperset(places):
            raise Refused(NO_REGISTER)
        image = bytearray(self._image(time_ms))
        image[(register - FIRST) * 2 : (register - FIRST) * 2 + len(data)] = data
        self._take(bytes(image), places, time_ms)

    def _image(self, time_ms: int) -> bytes:
        if time_ms >= self.until_ms:
            self.state = _RUNNING
        clock = datetime.fromtimestamp((time_ms + self.clock_ahead_ms) / 1000, _BEIJING)
        return (
            struct.pack(">HH", 0, self.state)
            + bytes.fromhex(clock.strftime("%y%m%d%H%M%S"))
            + struct.pack(">HHHHH", self.cycle_start, self.cycle_hours, 30, self.bottle, 0)
            + self.serial.encode("ascii").ljust(24, b"\0")[:24]
            + self.slope
            + struct.pack(">H", self.interval)
        )

    def _take(self, image: bytes, places: range, time_ms: int) -> None:
        def word(register: int) -> int:
            return int.from_bytes(image[(register - FIRST) * 2 : (register - FIRST + 1) * 2], "big")

        if CLOCK in places:
            self._set_clock(image[4:10].hex(), time_ms)
        self.cycle_start, self.cycle_hours = word(CYCLE_START), word(CYCLE_HOURS)
        self.slope, self.interval = image[44:48], word(INTERVAL)
        if COMMAND in places:
            self._begin(word(COMMAND), time_ms)

    def _set_clock(self, digits: str, time_ms: int) -> None:
        try:
            shown = datetime.strptime(digits, "%y%m%d%H%M%S").replace(tzinfo=_BEIJING)
        except ValueError as error:
            raise Refused(NO_VALUE) from error
        self.clock_ahead_ms = int(shown.timestamp() * 1000) - time_ms

    def _begin(self, command: int, time_ms: int) -> None:
        if command not in _COMMANDS:
            raise Refused(NO_VALUE)
        if self.state != _RUNNING:
            raise Refused(BUSY)
        self.state, lasts_ms = _COMMANDS[command]
        self.until_ms = time_ms + lasts_ms
        if command == _KEEP_SAMPLE:
            self.bottle = self.bottle % _BOTTLES + 1


_UNTIL = 'until = { function = 3, register = 101, type = "uint16", equals = 0, timeout = "5min", every = "5s" }'


def action_blocks(name: str) -> str:
    """TOML of the site file: the actions and infos of a simulated instrument."""
    commands = {"zero-span": 1, "sample-now": 2, "clean": 3, "compare": 4}
    blocks = [
        f"  [instruments.{name}.actions.{action}]\n  write = [{{ register = {COMMAND}, value = {code} }}]\n  {_UNTIL}\n"
        for action, code in commands.items()
    ]
    blocks.append(
        f"""\
  [instruments.{name}.actions.keep-sample]
  write = [{{ register = {COMMAND}, value = {_KEEP_SAMPLE} }}]
  read = [{{ register = {BOTTLE}, type = "uint16" }}]

  [instruments.{name}.actions.set-cycle]
  write = [
    {{ register = {CYCLE_START}, type = "bcd", value = "{{cstart_hhmm}}" }},
    {{ register = {CYCLE_HOURS}, value = "{{ctime}}" }},
  ]

  [instruments.{name}.actions.get-cycle]
  read = [{{ register = {CYCLE_START}, type = "bcd" }}, {{ register = {CYCLE_HOURS}, type = "uint16" }}]

  [instruments.{name}.actions.time-to-result]
  read = [{{ register = {RESULT}, type = "uint16" }}]

  [instruments.{name}.actions.serial-number]
  read = [{{ register = {SERIAL}, type = "text", words = 12 }}]

  [instruments.{name}.actions.set-time]
  write = [{{ function = 16, register = {CLOCK}, type = "bcd", words = 3, value = "{{now_bcd}}" }}]

  [instruments.{name}.actions.get-time]
  read = [{{ register = {CLOCK}, type = "bcd", words = 3 }}]

  [[instruments.{name}.infos]]
  info = "i12001"
  register = {STATE}
  type = "uint16"

  [[instruments.{name}.infos]]
  info = "i13003"
  register = {INTERVAL}
  type = "uint16"
  writable = true

  [[instruments.{name}.infos]]
  info = "i13008"
  register = {SLOPE}
  type = "float32"
  decimals = 3
  writable = true
"""
    )
    return "\n".join(blocks)
