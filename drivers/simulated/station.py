"""A simulated water sampler and the modules of a station room, with what goes wrong with them on demand.

    WaterSampler(21)   registers 0 command (1 keep, 2 draw, 3 drain, 4 lock, 5 unlock, 6 supply), 1 state, 2 bottle,
                       3 mL of the last sample, 4 door (1 open), 5 water to supply, 6 mode, 7 cycle start, 8 h
    IoModule(22)       bits 0–7 inputs (function 1), 16–23 relays (functions 1, 5, 15)
    room_sensor(23)    registers 0 temperature, 1 humidity, × 0.1      voltage_meter(24)  register 0, × 0.1

Frames are built here from the paper (GB/T 19582), not with `drivers.modbus`.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from drivers.panel import BUSY, NO_REGISTER, NO_VALUE, Refused
from drivers.simulated.sets import crc_bytes

IDLE, WORKING, FULL, FAULT, DOOR_OPEN = range(5)
"""States of the sampler."""
_KEEP, _DRAW, _DRAIN, _LOCK, _UNLOCK, _SUPPLY = range(1, 7)
_NO_FUNCTION = 1
_READ_BITS, _READ, _WRITE_BIT, _WRITE_ONE, _WRITE_BITS, _WRITE_MANY = 1, 3, 5, 6, 15, 16
_LONG = (_WRITE_BITS, _WRITE_MANY)
_LONG_HEAD = 7


class _ModbusSlave:
    """Frames of one slave; what they do says the subclass."""

    every_s: float | None = None
    address: int

    def length(self, pending: bytes) -> int | None:
        """8 bytes, but for writes of several places."""
        if pending[0] != self.address:
            return 0
        if len(pending) < _LONG_HEAD:
            return None
        return 9 + pending[6] if pending[1] in _LONG else 8

    def answer(self, request: bytes, time_ms: int) -> bytes:
        """The answer; nothing to a damaged request."""
        if crc_bytes(request[:-2]) != request[-2:]:
            return b""
        function, register, count = struct.unpack(">xBHH", request[:6])
        try:
            body = request[:6]
            if function in (_READ, _READ_BITS):
                data = self.read(function, register, count, time_ms)
                body = bytes((self.address, function, len(data))) + data
            else:
                self.write(function, register, request, time_ms)
        except Refused as refused:
            body = bytes((self.address, function | 0x80, refused.code))
        return body + crc_bytes(body)

    def read(self, function: int, register: int, count: int, time_ms: int) -> bytes:
        """What stands in the registers or bits. Raises Refused."""
        raise Refused(_NO_FUNCTION)

    def write(self, function: int, register: int, request: bytes, time_ms: int) -> None:
        """Carry out a write. Raises Refused."""
        raise Refused(_NO_FUNCTION)


def _words(words: list[int], register: int, count: int) -> bytes:
    if not 1 <= count <= 125 or register + count > len(words):
        raise Refused(NO_REGISTER)
    return struct.pack(f">{count}H", *words[register : register + count])


@dataclass(slots=True)
class WaterSampler(_ModbusSlave):
    """`trouble`: `stuck` says done and fills nothing, `fault` and `door` as its state says, `busy` refuses."""

    address: int
    bottles: int = 24
    lasts_ms: int = 20_000
    """How long a sample takes."""
    bottle: int = 0
    locked: bool = True
    mode: int = 0
    cycle_start: int = 0x0800
    cycle_hours: int = 2
    volume: int = 1000
    commands: list[int] = field(default_factory=list)
    trouble: Literal["stuck", "fault", "door", "busy"] | None = None
    until_ms: int = 0

    def state(self, time_ms: int) -> int:
        """As its register has it."""
        if self.trouble in ("fault", "door"):
            return FAULT if self.trouble == "fault" else DOOR_OPEN
        if time_ms < self.until_ms:
            return WORKING
        return FULL if self.bottle >= self.bottles else IDLE

    def read(self, function: int, register: int, count: int, time_ms: int) -> bytes:
        """Registers 0–9."""
        if function != _READ:
            raise Refused(_NO_FUNCTION)
        door = int(self.trouble == "door" or not self.locked)
        image = [0, self.state(time_ms), self.bottle, self.volume if self.bottle else 0, door, 1]
        return _words([*image, self.mode, self.cycle_start, self.cycle_hours, 30], register, count)

    def write(self, function: int, register: int, request: bytes, time_ms: int) -> None:
        """The command, the mode, the cycle."""
        if function != _WRITE_ONE:
            raise Refused(_NO_FUNCTION)
        value = int.from_bytes(request[4:6], "big")
        match register:
            case 0:
                self._command(value, time_ms)
            case 6:
                self.mode = value
            case 7:
                self.cycle_start = value
            case 8:
                self.cycle_hours = value
            case _:
                raise Refused(NO_REGISTER)

    def _command(self, command: int, time_ms: int) -> None:
        if not _KEEP <= command <= _SUPPLY:
            raise Refused(NO_VALUE)
        if self.trouble == "busy" or time_ms < self.until_ms:
            raise Refused(BUSY)
        self.commands.append(command)
        if command in (_LOCK, _UNLOCK):
            self.locked = command == _LOCK
            return
        self.until_ms = time_ms + self.lasts_ms
        if command == _KEEP and self.trouble != "stuck":
            self.bottle = min(self.bottle + 1, self.bottles)
        elif command == _DRAIN:
            self.bottle = 0


@dataclass(slots=True)
class IoModule(_ModbusSlave):
    """8 digital inputs and 8 relays; `pulses` counts how often each relay was closed."""

    address: int
    inputs: list[int] = field(default_factory=lambda: [0] * 8)
    relays: list[int] = field(default_factory=lambda: [0] * 8)
    pulses: list[int] = field(default_factory=lambda: [0] * 8)

    def read(self, function: int, register: int, count: int, time_ms: int) -> bytes:
        """Bits, the lowest first."""
        bits = [*self.inputs, *[0] * 8, *self.relays]
        if function != _READ_BITS:
            raise Refused(_NO_FUNCTION)
        if not count or register + count > len(bits):
            raise Refused(NO_REGISTER)
        packed = sum(bit << index for index, bit in enumerate(bits[register : register + count]))
        return packed.to_bytes((count + 7) // 8, "little")

    def write(self, function: int, register: int, request: bytes, time_ms: int) -> None:
        """One relay."""
        if function != _WRITE_BIT:
            raise Refused(_NO_FUNCTION)
        if not 16 <= register < 24:
            raise Refused(NO_REGISTER)
        relay, on = register - 16, int(request[4:6] == b"\xff\0")
        self.pulses[relay] += on and not self.relays[relay]
        self.relays[relay] = on


@dataclass(slots=True)
class Registers(_ModbusSlave):
    """An instrument that only holds numbers: a room's temperature and humidity, a mains voltage, × 10."""

    address: int
    words: list[int]

    def read(self, function: int, register: int, count: int, time_ms: int) -> bytes:
        """Its registers."""
        if function != _READ:
            raise Refused(_NO_FUNCTION)
        return _words(self.words, register, count)


def room_sensor(address: int, temperature: float = 23.4, humidity: float = 51.2) -> Registers:
    """°C and %."""
    return Registers(address, [round(temperature * 10) & 0xFFFF, round(humidity * 10)])


def station_room(inputs: Sequence[int] = (0, 0, 0, 1, 0, 0, 0, 0)) -> list[_ModbusSlave]:
    """What the preset `station-room` reads: the I/O module with these inputs (there is mains voltage), the sensors."""
    return [IoModule(22, list(inputs)), room_sensor(23), voltage_meter(24)]


def voltage_meter(address: int, volts: float = 226.4) -> Registers:
    """V."""
    return Registers(address, [round(volts * 10)])
