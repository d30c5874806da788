"""What differs between the editions that the platform speaks: answers, commands, and where the QN stands.

    2017   QN=…;ST=91;CN=9014;PW=…;MN=…;Flag=4;CP=&&&&
    2005   ST=91;CN=9014;CP=&&QN=…;CN=2051&&              the QN inside the data region, no PW, no MN, no Flag

HJ 212-2017 §6.3.2, Annex C; HJ/T 212-2005 Annex C.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from edge.bench.errors import BadEdition
from protocol import commands, edition2005, factors, marks, messages
from protocol.commands import Command
from protocol.errors import Note
from protocol.messages import Header, asked_qn
from protocol.packet import VERSION_2017, Packet
from protocol.region import Field, Region, fields

LOGIN = "9021"
NOTICES_UP = frozenset({"1013", "2072", "9015", LOGIN})
"""Notices of the logger: calibration request, alarm of 2005, heartbeat, all answered with 9013; a login with 9022."""

_STREAMS = frozenset({"2011", "2021"})
_QN_RTN_2005 = frozenset("123")
_FORM_2005 = frozenset({"protocol.note.order", "protocol.note.missing"})
_MN_LENGTH = 14


def any_command(cn: str, direction: Literal["to-logger", "to-platform"] | None = None) -> Command | None:
    """The row of a CN of any edition; where both have it, that of 2017."""
    wanted = ("to-platform", "both", "to-logger") if direction is None else (direction, "both")
    own = (row for way in wanted for row in edition2005.commands() if (row.cn, row.direction) == (cn, way))
    return commands.command(cn, direction) or next(own, None)


class Edition:
    """HJ 212-2017."""

    name = "2017"
    version = VERSION_2017
    """Version bits of Flag."""
    marks = frozenset(marks.MARKS)
    answer_flags: tuple[int | None, ...] = (VERSION_2017,)
    """What Flag may be in 9011, 9012 and 9013."""
    unsupported = "3"
    """ExeRtn of an instrument that cannot do what is asked."""
    qn_in_region = False
    """Whether answers carry the QN of what they answer inside the data region."""

    def command(self, header: Header, cn: str, region: Region, qn: str) -> Packet:
        """A request or a notice to the logger."""
        return messages.command(header, cn, region, qn)

    def has_result(self, cn: str) -> bool:
        """Whether a request of this CN ends with a 9012."""
        return True

    def knows(self, cn: str) -> bool:
        """Whether a CN is in the edition's table."""
        return commands.command(cn) is not None

    def foreign(self, factor: str) -> bool:
        """Whether a factor's code is one of another edition, although this one has a code for it."""
        return False

    def usual(self, note: Note) -> bool:
        """Whether what reading tolerates is the very form of this edition."""
        return False

    def qn_rtn(self, code: str) -> str:
        """How the edition says a QnRtn of 2017."""
        return code

    def wants_answer(self, packet: Packet) -> bool:
        """Whether an upload or a notice is to be answered."""
        return packet.wants_answer and bool(packet.qn)

    def answer(self, packet: Packet) -> Packet:
        """9013 to a notice, 9022 to a login, 9014 to data."""
        if packet.cn == LOGIN:
            return messages.login_answer(packet)
        return messages.notice_answer(packet) if packet.cn in NOTICES_UP else messages.data_answer(packet)

    def result_answer(self, result: Packet) -> Packet | None:
        """The platform's answer to a 9012; there is none in 2017."""
        return None


class Edition2005(Edition):
    """HJ/T 212-2005."""

    name = "2005"
    version = 0
    marks = frozenset("PFCMTDSN0123")
    """Of pollution sources, and 0 to 3 of ambient air stations."""
    answer_flags = (None, 0, 1, 2, 3)
    unsupported = "2"
    qn_in_region = True

    def command(self, header: Header, cn: str, region: Region, qn: str) -> Packet:
        """Flag 3 as in the examples of 2005; a new password is called PW there."""
        named = tuple(tuple(_renamed(pair) for pair in item) for item in region)
        return Packet(qn, header.st, cn, header.pw, header.mn, 3, data=named)

    def has_result(self, cn: str) -> bool:
        """2011 and 2021 start streams that end with a notice: no 9012."""
        return cn not in _STREAMS

    def knows(self, cn: str) -> bool:
        """Its own table has no 1013, 1063, 2081 and the like."""
        return any(row.cn == cn for row in edition2005.commands())

    def foreign(self, factor: str) -> bool:
        """A code of 2017 that has a predecessor."""
        row = factors.factor(factor)
        return row is not None and bool(row.old_code)

    def usual(self, note: Note) -> bool:
        """ST before QN, no Flag, no QN where no answer is wanted, an MN of 14 characters."""
        is_mn = note.params.get("field") == "MN" and note.params.get("length") == _MN_LENGTH
        return note.code in _FORM_2005 or (note.code == "protocol.note.form" and is_mn)

    def qn_rtn(self, code: str) -> str:
        """1, 2 or 3: every reason but a wrong password is a 2."""
        return code if code in _QN_RTN_2005 else "2"

    def wants_answer(self, packet: Packet) -> bool:
        """Data that want an answer bring a QN, and often no Flag; notices always do (Flag 0 in the example)."""
        asks = packet.flag is None or packet.wants_answer or packet.cn in NOTICES_UP
        return bool(asked_qn(packet)) and asks

    def answer(self, packet: Packet) -> Packet:
        """9013 with the QN in the data region; 9014 with the answered CN and part number, without PW and MN."""
        qn = asked_qn(packet) or ""
        if packet.cn in NOTICES_UP:
            bare = super().answer(packet)
            return replace(bare, qn=None, flag=0, data=fields(("QN", qn)))
        part: tuple[Field, ...] = ()
        if packet.pnum is not None and packet.pno is not None:
            part = (("PNO", str(packet.pno)), ("PNUM", str(packet.pnum)))
        return Packet(None, messages.INTERACTION, "9014", None, "", data=fields(("QN", qn), ("CN", packet.cn), *part))

    def result_answer(self, result: Packet) -> Packet | None:
        """In 2005 the result of a history request with answers is answered as well."""
        return self.answer(result)


def _renamed(pair: Field) -> Field:
    return ("PW", pair[1]) if pair[0] == "NewPW" else pair


EDITIONS = {edition.name: edition for edition in (Edition(), Edition2005())}


def edition(name: str) -> Edition:
    """By its year; BadEdition."""
    if name not in EDITIONS:
        raise BadEdition("bench.edition.unknown", came=name, known=", ".join(EDITIONS))
    return EDITIONS[name]
