"""How a platform behaves towards one outlet: what `status` says, and which kinds of upload it never answers."""

from __future__ import annotations

from dataclasses import dataclass, field

SILENT_AFTER = 3
"""Packets of a kind given up in a row after which the kind is silent: sent once instead of `retries` times."""


@dataclass(slots=True)
class Health:
    """Counters of one session since the daemon started."""

    sent: int = 0
    resent: int = 0
    answered: int = 0
    last_answer: int | None = None
    last_received: int | None = None
    misses: dict[str, int] = field(default_factory=dict)
    """Packets given up in a row, by CN."""
    damaged: int = 0
    """Commands whose check code was wrong."""
    unheard: int = 0
    """Packets in a row during which nothing at all arrived."""

    def missed(self, cn: str) -> bool:
        """A packet got no answer; whether its kind has just become silent."""
        self.misses[cn] = self.misses.get(cn, 0) + 1
        self.unheard += 1
        return self.misses[cn] == SILENT_AFTER

    def is_silent(self, cn: str) -> bool:
        """Whether the platform does not answer this CN."""
        return self.misses.get(cn, 0) >= SILENT_AFTER

    def silent_kinds(self) -> list[str]:
        """CNs that the platform does not answer."""
        return sorted(cn for cn in self.misses if self.is_silent(cn))
