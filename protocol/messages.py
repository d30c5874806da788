"""Messages of HJ 212-2017 (Table 9, Annex C): data regions of uploads without measured numbers, and the answers.

states, runtimes, startup ─▶ Region ─▶ `region.write` ─▶ `upload.frames`      numbers: `upload.realtime`, `statistics`
request_answer 9011, execution_result 9012, notice_answer 9013, data_answer 9014 ◀─ the packet they answer
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from protocol.crc import Variant
from protocol.frame import SEGMENT_LIMIT, Tail
from protocol.packet import ANSWER_BIT, VERSION_2017, Packet
from protocol.region import Item, Region, fields
from protocol.times import time_text

INTERACTION = "91"
"""ST of every answer (Table 5)."""


class Header(NamedTuple):
    """How the station is known to the platform."""

    st: str
    pw: str
    mn: str


class Limits(NamedTuple):
    """Longest data segment (Table 2) and longest CP field, its name and `&&` included (Table 3), in bytes."""

    segment: int = SEGMENT_LIMIT
    cp: int = 950


LIMITS = Limits()


class Form(NamedTuple):
    """What a link wants of our frames beside their contents; the defaults are the standard's.

    `pno_first`: PNO before PNUM, as 2005 has them, also in an edition that has PNUM first.
    """

    variant: Variant = "hj212"
    tail: Tail = "crlf"
    pno_first: bool = False


FORM = Form()


def states(data_time_ms: int, equipment: Iterable[tuple[str, str]]) -> Region:
    """CN 2021: equipment (`SB1`) and its state: 0 off, 1 running, 2 calibration, 3 maintenance, 4 alarm, 5 blowback."""
    return (_data_time(data_time_ms), *[((f"{name}-RS", value),) for name, value in equipment])


def runtimes(data_time_ms: int, equipment: Iterable[tuple[str, str]]) -> Region:
    """CN 2041: equipment (`SB1`) and the hours it ran on the day that DataTime begins."""
    return (_data_time(data_time_ms), *[((f"{name}-RT", value),) for name, value in equipment])


def startup(data_time_ms: int, restart_ms: int) -> Region:
    """CN 2081: when the logger was switched on."""
    return (_data_time(data_time_ms), (("RestartTime", time_text(restart_ms)),))


def _data_time(ms: int) -> Item:
    return (("DataTime", time_text(ms)),)


def command(header: Header, cn: str, region: Region, qn: str) -> Packet:
    """A request or a notice as Annex C writes them: Flag 5."""
    return Packet(qn, header.st, cn, header.pw, header.mn, VERSION_2017 | ANSWER_BIT, data=region)


def heartbeat(header: Header, cn: str, qn: str) -> Packet:
    """9015 or 9021, which no edition up to 2017 defines and many platforms want: an empty packet.

    Answered by 9013, 9014 or 9022, or not at all. Also used as a login, then once at the start of a link.
    """
    return Packet(qn, INTERACTION, cn, header.pw, header.mn, VERSION_2017 | ANSWER_BIT)


def _answer(packet: Packet, st: str, cn: str, region: Region) -> Packet:
    return Packet(asked_qn(packet), st, cn, packet.pw, packet.mn, VERSION_2017, data=region)


def request_answer(packet: Packet, qn_rtn: str | int) -> Packet:
    """9011: whether a request will be carried out (QnRtn, Table 7)."""
    return _answer(packet, INTERACTION, "9011", fields(("QnRtn", str(qn_rtn))))


def execution_result(packet: Packet, exe_rtn: str | int) -> Packet:
    """9012: how carrying it out ended (ExeRtn, Table 6)."""
    return _answer(packet, INTERACTION, "9012", fields(("ExeRtn", str(exe_rtn))))


def notice_answer(packet: Packet) -> Packet:
    """9013: a notice arrived."""
    return _answer(packet, INTERACTION, "9013", ())


def login_answer(packet: Packet) -> Packet:
    """9022: a 9021 arrived; a private extension like that."""
    return _answer(packet, INTERACTION, "9022", ())


def data_answer(packet: Packet) -> Packet:
    """9014: a data packet arrived."""
    return _answer(packet, INTERACTION, "9014", ())


def parameter_reply(packet: Packet, st: str, region: Region) -> Packet:
    """What a "get" request asked for: its CN and QN, the station's ST, Flag 4 (C.2, C.5, C.7)."""
    return _answer(packet, st, packet.cn, region)


def asked_qn(packet: Packet) -> str | None:
    """QN of a packet, also where 2005 puts it in answers: inside the data region."""
    return packet.qn or packet.get("QN")


def refusal(packet: Packet) -> str | None:
    """The code with which a 9011 or 9014 says no (QnRtn) or a 9012 reports failure (ExeRtn); None: it does not.

    Sloppy platforms put `QnRtn=1` into a 9014: that is no refusal.
    """
    code = packet.get("ExeRtn" if packet.cn == "9012" else "QnRtn")
    return None if code is None or code.lstrip("0") == "1" else code
