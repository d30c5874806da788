"""Time and types of the store's tests."""

from __future__ import annotations

from typing import Any

NOON = 1_790_049_600_000
"""2026-09-22 12:00:00 in Beijing."""
Events = list[tuple[str, dict[str, Any]]]
