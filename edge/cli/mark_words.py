"""Marks by hand as words for the screen; apart, so that `hj212 status` stays quick."""

from __future__ import annotations

from typing import Any

from edge.catalogue import text


def in_words(mark: dict[str, Any]) -> dict[str, Any]:
    """A mark for a line on the screen."""
    words = {name: short(mark[name]) for name in ("from", "to", "at")}
    label = "/".join(part for part in (mark["class"], mark["item"]) if part)
    state = "withdrawn" if mark["withdrawn"] else "open" if mark["to"] is None else "closed"
    return {
        **{name: "–" if value is None else value for name, value in mark.items()},
        "begin": words["from"],
        "end": words["to"] or text("marks.open"),
        "at": words["at"],
        "points": ", ".join(mark["points"]),
        "label": label or "–",
        "state": text(f"marks.state-{state}"),
        "kind": text(f"marks.kind-{mark['kind']}"),
        "instrument": mark["instrument"] or "–",
    }


def short(moment: str | None) -> str | None:
    """`2026-11-26 08:00`, with seconds where there are some."""
    if moment is None:
        return None
    shown = moment[:19].replace("T", " ")
    return shown.removesuffix(":00") if shown.count(":") == 2 else shown
