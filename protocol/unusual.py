"""What a tool says about a sound packet beyond its form: codes that no table has. Not for the hot path.

CN         not in Table 9 (or that of 2005), or an extension met in the field
xxx-Flag   a mark that is not in Table 8
xxx-Rtd …  a factor that is not in Annex B; private codes are common, so all of these are notes and no errors
"""

from __future__ import annotations

from collections.abc import Iterator

from protocol import edition2005
from protocol.commands import command, extension
from protocol.edition2005 import EDITION_2005, is_2005
from protocol.errors import Note
from protocol.factors import factors, nearest
from protocol.marks import MARKS, MARKS_2005
from protocol.packet import Packet

_NO_FACTORS = frozenset(("RS", "RT"))
"""Attributes of equipment (`SB1-RS`), which has no table."""


def unusual(packet: Packet) -> list[Note]:
    """Unknown CN, marks and factors of a packet, each once."""
    old = is_2005(packet)
    found: list[Note] = []
    for note in (*_cn(packet.cn, old), *_marks(packet, old), *_factors(packet, old)):
        if note not in found:
            found.append(note)
    return found


def _cn(cn: str, old: bool) -> Iterator[Note]:
    known = any(row.cn == cn for row in edition2005.commands()) if old else command(cn) is not None
    if cn and not known:
        yield Note("protocol.note.cn_extension" if extension(cn) else "protocol.note.cn", {"came": cn})


def _marks(packet: Packet, old: bool) -> Iterator[Note]:
    known = MARKS_2005 if old else MARKS
    for item in packet.data:
        for name, value in item:
            if name.endswith("-Flag") and value and value not in known:
                yield Note("protocol.note.mark", {"field": name, "came": value, "expected": " ".join(known)})


def _factors(packet: Packet, old: bool) -> Iterator[Note]:
    for item in packet.data:
        for name, _ in item:
            code, dash, attribute = name.rpartition("-")
            if not dash or attribute in _NO_FACTORS or (old and edition2005.unit(code) is not None):
                continue
            if not factors(EDITION_2005.factor(code) if old else code):
                yield Note("protocol.note.factor", {"came": code, "nearest": nearest(code) or "–"})
