"""The standard's tables as tab separated files, one heading line each; changed by editing the file."""

from __future__ import annotations

from pathlib import Path


def rows(name: str) -> list[list[str]]:
    """The lines of `name`.tsv without its heading, split into columns."""
    text = (Path(__file__).parent / f"{name}.tsv").read_text(encoding="utf-8")
    return [line.split("\t") for line in text.splitlines()[1:]]
