"""What differs between the editions of the standard, and the edition of this package's own terms: HJ 212-2017.

Inside, everything is said in the terms of 2017: codes, marks, units, a QN in every header. An edition turns that into
what stands on its wire, and back. For 2017 both ways change nothing.
"""

from __future__ import annotations

from protocol.packet import ANSWER_BIT, SPLIT_BIT, VERSION_2017, Packet

Rate = tuple[int, int]
"""A number on the wire is a number of 2017 × over / under."""


class Edition:
    """HJ 212-2017; the base of the others."""

    name = "2017"
    version = VERSION_2017
    """Version bits of Flag."""
    unknown_attributes: frozenset[str] = frozenset()
    """Attributes of 2017 that this edition does not have."""

    def code(self, factor: str) -> str:
        """The edition's code of a factor."""
        return factor

    def factor(self, code: str, st: str) -> str:
        """The 2017 code of a factor of this edition; `st` tells water from gas where a code alone does not."""
        return code

    def mark(self, mark: str) -> str:
        """The edition's letter for a data mark."""
        return mark

    def number_format(self, factor: str, attribute: str, decimals: int) -> tuple[int, Rate]:
        """Decimals and unit of an attribute's numbers that have so many decimals in the unit of 2017."""
        return decimals, (1, 1)

    def upload(self, packet: Packet) -> Packet:
        """An upload with the header fields that this edition gives it; the region stays."""
        return packet

    def to_wire(self, packet: Packet) -> Packet:
        """A packet in the terms of 2017 as it stands on the wire."""
        return packet

    def from_wire(self, packet: Packet) -> Packet:
        """A packet from the wire in the terms of 2017."""
        return packet

    def flag(self, answer: bool, split: bool) -> int:
        """Flag of an upload."""
        return self.version | (ANSWER_BIT if answer else 0) | (SPLIT_BIT if split else 0)


EDITION_2017 = Edition()
