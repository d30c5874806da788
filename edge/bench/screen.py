"""Where `hj212 platform serve` writes: text for a technician, or JSON lines for a program."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from edge.bench.conversation import CommandResult
from edge.bench.platform import BenchPlatform
from edge.bench.received import Received, Verdict
from edge.bench.show import packet_lines, packet_object, result_lines, result_object
from edge.catalogue import text

Write = Callable[[str], None]


class Screen(Protocol):
    """What the platform's user gets to see."""

    def listening(self, address: str, profile: str) -> None: ...
    def link(self, peer: str, up: bool) -> None: ...
    def unreached(self, address: str, reason: str) -> None: ...
    def packet(self, received: Received) -> None: ...
    def result(self, result: CommandResult) -> None: ...
    def say(self, words: str) -> None:
        """A notice, an error, or the answer to a word of the prompt."""
        ...

    def summary(self, platform: BenchPlatform) -> None: ...


class TextScreen:
    """Lines for the technician; `quiet` leaves out packets with nothing wrong, and links."""

    def __init__(self, write: Write, quiet: bool) -> None:
        self._write = write
        self._quiet = quiet

    def listening(self, address: str, profile: str) -> None:
        self.say(text("bench.listening", address=address, profile=profile))

    def link(self, peer: str, up: bool) -> None:
        if not self._quiet:
            self.say(text("bench.link.up" if up else "bench.link.down", peer=peer))

    def unreached(self, address: str, reason: str) -> None:
        self.say(text("bench.link.unreached", address=address, reason=reason))

    def packet(self, received: Received) -> None:
        if not (self._quiet and received.verdict is Verdict.OK):
            self._lines(packet_lines(received))

    def result(self, result: CommandResult) -> None:
        self._lines(result_lines(result))

    def say(self, words: str) -> None:
        self._write(words)

    def summary(self, platform: BenchPlatform) -> None:
        self.say(text("bench.summary", **_totals(platform)))
        for cn, count in sorted(platform.counts.items()):
            self.say(text("bench.summary.kind", cn=cn, count=count, answered=platform.answered[cn]))

    def _lines(self, lines: Iterable[str]) -> None:
        self._write("\n".join(lines))


class JsonScreen:
    """One object a line, told apart by `event`; `quiet` leaves out packets with nothing wrong, and links."""

    def __init__(self, write: Write, quiet: bool) -> None:
        self._write = write
        self._quiet = quiet

    def listening(self, address: str, profile: str) -> None:
        self._object(event="listening", address=address, profile=profile)

    def link(self, peer: str, up: bool) -> None:
        if not self._quiet:
            self._object(event="connected" if up else "disconnected", peer=peer)

    def unreached(self, address: str, reason: str) -> None:
        self._object(event="unreached", address=address, reason=reason)

    def packet(self, received: Received) -> None:
        if not (self._quiet and received.verdict is Verdict.OK):
            self._object(**packet_object(received))

    def result(self, result: CommandResult) -> None:
        self._object(**result_object(result))

    def say(self, words: str) -> None:
        self._object(event="text", text=words)

    def summary(self, platform: BenchPlatform) -> None:
        self._object(
            event="summary",
            **_totals(platform),
            kinds=dict(sorted(platform.counts.items())),
            answered_kinds=dict(sorted(platform.answered.items())),
        )

    def _object(self, **fields: Any) -> None:
        self._write(json.dumps(fields, ensure_ascii=False))


def _totals(platform: BenchPlatform) -> dict[str, Any]:
    return {
        "received": platform.counts.total(),
        "answered": platform.answered.total(),
        "bad": platform.verdicts[Verdict.BAD],
        "noted": platform.verdicts[Verdict.NOTED],
        "repeated": platform.repeated,
        "loggers": len(platform.loggers),
    }
