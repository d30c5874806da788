"""What differs between the editions of the standard, and the edition of this package's own terms: HJ 212-2017.

Inside, everything is said in the terms of 2017: codes, marks, units, the QN of what is answered in the packet's header.
An edition turns that into what stands on its wire, and back. For 2017 both ways change nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from protocol.packet import ANSWER_BIT, SPLIT_BIT, VERSION_2017, Packet
from protocol.region import Region

_ALARMS_2005 = frozenset(("2071", "2072"))
Rate = tuple[int, int]
"""A number on the wire is a number of 2017 × the first / the second."""


class Edition:
    """HJ 212-2017; the base of the others."""

    name = "2017"
    version = VERSION_2017
    """Version bits of Flag."""
    unknown_attributes: frozenset[str] = frozenset()
    """Attributes of 2017 that this edition does not have."""

    def code(self, factor: str) -> str:
        """The edition's code of a factor; one that it does not have stays."""
        return factor

    def factor(self, code: str) -> str:
        """The 2017 code of a factor of this edition; one that is unknown stays."""
        return code

    def mark(self, mark: str) -> str:
        """The edition's letter for a data mark."""
        return mark

    def number_format(self, factor: str, attribute: str, decimals: int) -> tuple[int, Rate]:
        """Decimals and unit of an attribute's numbers that have so many decimals in the unit of 2017."""
        return decimals, (1, 1)

    def sum_decimals(self, factor: str, value: float, decimals: int) -> int:
        """Decimals of a sum (Cou) in the unit of 2017 for which nobody wants others than 2017 has, `decimals`."""
        return decimals

    def flag(self, answer: bool, split: bool) -> int:
        """Flag of an upload in the terms of 2017."""
        return VERSION_2017 | (ANSWER_BIT if answer else 0) | (SPLIT_BIT if split else 0)

    def carries(self, cn: str) -> bool:
        """Whether this edition has a CN towards the platform; what it does not have is not sent."""
        return cn not in _ALARMS_2005

    def wrote(self, head: Iterable[bytes]) -> bool:
        """Whether an upload with these header fields is of this edition: the version bits of Flag say so."""
        flag = next((field for field in head if field.startswith(b"Flag=")), b"Flag=0")
        return int(flag[len(b"Flag=") :]) & ~(ANSWER_BIT | SPLIT_BIT) == self.version

    def region(self, region: Region, cn: str) -> Region:
        """A region of 2017 in the terms of this edition."""
        return region

    def region_2017(self, region: Region, cn: str) -> Region:
        """A region of this edition in the terms of 2017."""
        return region

    def upload(self, packet: Packet) -> bytes:
        """The segment of an upload whose region is in the edition's own terms; CannotEncode."""
        return packet.to_segment()

    def segment(self, packet: Packet) -> bytes:
        """The segment of any packet in the terms of 2017; CannotEncode."""
        return packet.to_segment()

    def read(self, segment: bytes) -> Packet:
        """The packet of a segment in the terms of 2017; BadPacket."""
        return Packet.from_segment(segment)


EDITION_2017 = Edition()


@cache
def edition(name: str) -> Edition:
    """By its year; KeyError for one that this package does not know."""
    if name == "2005":
        from protocol.edition2005 import EDITION_2005  # it is built on this module

        return EDITION_2005
    return {EDITION_2017.name: EDITION_2017}[name]
