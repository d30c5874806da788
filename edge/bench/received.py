"""What the platform got: one packet, or bytes that are none, with what was found in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from protocol.packet import Packet


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about a packet: `code` names the text, `params` fill it; `grave`: a reason to refuse it."""

    code: str
    params: dict[str, Any] = field(default_factory=dict)
    grave: bool = True


class Verdict(StrEnum):
    """The judgement on a packet."""

    OK = "ok"
    NOTED = "noted"
    """Acceptable, with something worth a look."""
    BAD = "bad"


class Repeat(StrEnum):
    """Whether the platform has had this before."""

    FIRST = "first"
    RESENT = "resent"
    """The same QN and the same bytes: a retry (§6.2)."""
    AGAIN = "again"
    """The same data under a new QN."""
    REVISED = "revised"
    """Another content for a DataTime that was received before."""


@dataclass(frozen=True, slots=True)
class Received:
    """One packet as it came, or bytes that the decoder dropped (`packet` is None then)."""

    at_ms: int
    peer: str
    data: bytes
    """The frame, or the dropped bytes."""
    packet: Packet | None
    findings: tuple[Finding, ...] = ()
    repeat: Repeat = Repeat.FIRST
    answer: str | None = None
    """CN of the answer that is going to be written; None: none is due, or the profile keeps it back."""
    whole: Packet | None = None
    """The record that this packet, as the last of its parts, completes."""

    @property
    def verdict(self) -> Verdict:
        """Bad with one grave finding, noted with any other."""
        if any(finding.grave for finding in self.findings):
            return Verdict.BAD
        return Verdict.NOTED if self.findings else Verdict.OK
