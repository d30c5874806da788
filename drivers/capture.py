"""Captures: what went over a line, as text that a person can read, a test can check and a simulator can answer with.

    instrument: COD analyzer          0.000 > 01 03 00 00 00 02 C4 0B
    model: hach-cod                   0.015 < 01 03 04 66 66 42 0E B5 C0
    firmware: -                       = w01018 35.6 N
    source: made
    date: 2026-02-06
    line: 9600 8N1

`>` went to the instrument, `<` came from it, at seconds since the start. `=` says what the reading of it must be:
point, value (`-`: none), mark. `source` is `seen` for what was recorded at a real instrument, `made` for all else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from drivers.errors import BadOption

FIELDS = ("instrument", "model", "firmware", "source", "date", "line")
SOURCES = ("seen", "made")
NONE = "-"
_FRAME = re.compile(r"(\d+(?:\.\d+)?) ([<>]) ([0-9A-Fa-f]{2}(?: ?[0-9A-Fa-f]{2})*)")
_EXPECTED = re.compile(r"= (\S+) (\S+) (\S+)")


@dataclass(frozen=True, slots=True)
class Frame:
    """Bytes in one direction, at seconds since the start."""

    at_s: float
    to_instrument: bool
    data: bytes


@dataclass(frozen=True, slots=True)
class Expected:
    """What a point's reading must be; `value` None: no value."""

    point: str
    value: float | None
    mark: str


@dataclass(frozen=True, slots=True)
class Capture:
    """One capture. `header` has all of `FIELDS`, `-` where a thing is not known."""

    header: dict[str, str]
    frames: tuple[Frame, ...]
    expected: tuple[Expected, ...] = ()

    @classmethod
    def from_text(cls, text: str) -> Capture:
        """The capture in a text; lines beginning with # are remarks. Raises BadOption with the line."""
        header: dict[str, str] = {}
        frames: list[Frame] = []
        expected: list[Expected] = []
        for number, line in enumerate(text.splitlines(), 1):
            if frame := _FRAME.fullmatch(line.strip()):
                frames.append(Frame(float(frame[1]), frame[2] == ">", bytes.fromhex(frame[3])))
            elif wanted := _EXPECTED.fullmatch(line.strip()):
                expected.append(Expected(wanted[1], _number(wanted[2], number), wanted[3]))
            elif (name := line.partition(":")[0]) in FIELDS and not frames:
                header[name] = line.partition(":")[2].strip() or NONE
            elif line.strip() and not line.startswith("#"):
                raise BadOption("drivers.capture-line", line=number, text=line[:60])
        if header.get("source") not in SOURCES:
            raise BadOption("drivers.capture-source", allowed=", ".join(SOURCES))
        return cls({name: header.get(name, NONE) for name in FIELDS}, tuple(frames), tuple(expected))

    def to_text(self) -> str:
        """The text that reads back as this capture."""
        lines = [f"{name}: {self.header[name]}" for name in FIELDS] + [""]
        for frame in self.frames:
            arrow = ">" if frame.to_instrument else "<"
            lines.append(f"{frame.at_s:.3f} {arrow} {frame.data.hex(' ').upper()}")
        for wanted in self.expected:
            value = NONE if wanted.value is None else repr(wanted.value)
            lines.append(f"= {wanted.point} {value} {wanted.mark}")
        return "\n".join(lines) + "\n"

    def exchanges(self) -> list[tuple[bytes, tuple[Frame, ...]]]:
        """Each request with what came before the next one; before the first request it is empty."""
        found: list[tuple[bytes, list[Frame]]] = []
        for frame in self.frames:
            if frame.to_instrument:
                found.append((frame.data, []))
            else:
                if not found:
                    found.append((b"", []))
                found[-1][1].append(frame)
        return [(request, tuple(answers)) for request, answers in found]


def _number(text: str, line: int) -> float | None:
    if text == NONE:
        return None
    try:
        return float(text)
    except ValueError as error:
        raise BadOption("drivers.capture-line", line=line, text=text) from error
