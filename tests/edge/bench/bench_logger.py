"""A small logger that does what HJ 212-2017 says, so that the rehearsal has somebody to find nothing against; each
defect is put in by a test, as a function over the packets that it would send.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import annexc
from bench_peer import NOW, Peer

from protocol.frame import wrap
from protocol.packet import Packet
from protocol.region import Region
from protocol.times import qn_text

Spoil = Callable[[Packet, list[Packet]], list[Packet]]

NOTICES = ("2012", "2022")
FIXED: dict[str, Region] = {
    "1011": ((("SystemTime", "20160801085857"),),),
    "3015": ((("DataTime", "20160801085857"),), (("VaseNo", "1"),)),
    "3017": ((("CstartTime", "000000"),), (("CTime", "2"),)),
    "3018": ((("Stime", "40"),),),
    "3019": ((("w01001-SN", "010000A8900016F000169DC1"),),),
    "3020": ((("DataTime", "20160801085857"),), (("i12001-Info", "1"), ("i13003-Info", "40"), ("i22001-Info", "0"))),
}
SILENT_SETS = ("1000", "1012", "2011", "2021", "3011", "3012", "3013", "3014", "3016", "3021")
HISTORY = ("2031", "2041", "2051", "2061")


def damaged(frame: bytes) -> bool:
    """Annex A, bit by bit."""
    register = 0xFFFF
    for byte in frame[6:-6]:
        register = register >> 8 ^ byte
        for _ in range(8):
            register = register >> 1 ^ (0xA001 if register & 1 else 0)
    return int(frame[-6:-2], 16) != register


class Logger:
    """One link of the logger; `spoil` may change what it answers to a command."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.pw = "123456"
        self.intervals = {"RtdInterval": "30", "MinInterval": "10"}
        self.commands: list[str] = []
        """CN of what was carried out."""
        self.spoil: Spoil = lambda request, answers: answers
        self.takes_damaged = False
        self.takes_any_password = False
        self._qn_ms = NOW

    async def run(self) -> None:
        """Answer until the link ends."""
        while True:
            try:
                frame = await self.peer.reader.readuntil(b"\r\n")
            except (asyncio.IncompleteReadError, ConnectionResetError):
                return
            if damaged(frame) and not self.takes_damaged:
                continue
            request = Packet.from_segment(frame[6:-6])
            if request.cn in ("9013", "9014"):
                continue
            answers = self.spoil(request, self.answers(request))
            self.peer.say(*(answer.to_frame() for answer in answers if request.wants_answer))

    def upload(self, frame: bytes = annexc.REALTIME) -> None:
        """An upload of Annex C, with the password that is in force."""
        self.peer.say(wrap(frame[6:-6].replace(b"PW=123456", b"PW=" + self.pw.encode())))

    def answers(self, request: Packet) -> list[Packet]:
        """What goes back, the checks in the order PW, MN, ST, CN."""

        def said(cn: str, *fields: tuple[str, str]) -> Packet:
            return replace(request, st="91", cn=cn, flag=4, data=tuple((pair,) for pair in fields))

        code = self._checked(request)
        if code != "1":
            return [said("9011", ("QnRtn", code))]
        self.commands.append(request.cn)
        if request.cn in NOTICES:
            return [said("9013")]
        data = self._data(request)
        none = request.get("BeginTime") and not data
        exe_rtn = "100" if none else "1"
        return [said("9011", ("QnRtn", "1")), *data, said("9012", ("ExeRtn", exe_rtn))]

    def _checked(self, request: Packet) -> str:
        known = (*FIXED, *SILENT_SETS, *HISTORY, *NOTICES, "1061", "1062", "1063", "1064", "1072")
        checks = (
            ("3", self.takes_any_password or request.pw == self.pw),
            ("4", request.mn == annexc.MN),
            ("5", request.st == "32"),
            ("8", request.cn in known),
        )
        return next((code for code, fine in checks if not fine), "1")

    def _data(self, request: Packet) -> list[Packet]:
        cn = request.cn
        if cn in HISTORY or (cn == "3020" and request.get("BeginTime")):
            return self._history(request)
        if cn in ("1062", "1064", "1072"):
            self._set(request)
            return []
        names = {"1061": "RtdInterval", "1063": "MinInterval"}
        if cn in names:
            return [replace(request, flag=4, data=(((names[cn], self.intervals[names[cn]]),),))]
        if cn not in FIXED:
            return []
        pol_id = request.get("PolId")
        data = (*(((("PolId", pol_id),),) if pol_id else ()), *FIXED[cn])
        return [replace(request, flag=5 if cn == "3015" else 4, data=data)]

    def _set(self, request: Packet) -> None:
        for item in request.data:
            for name, value in item:
                if name == "NewPW":
                    self.pw = value
                else:
                    self.intervals[name] = value

    def _history(self, request: Packet) -> list[Packet]:
        """Two records, at the bounds that were asked for; no log."""
        if request.cn == "3020":
            return []
        records = []
        for name in ("BeginTime", "EndTime"):
            self._qn_ms += 1
            values = (("SB1-RT", "1.1"),) if request.cn == "2041" else (("w01018-Avg", "40.1"), ("w01018-Flag", "N"))
            data = ((("DataTime", request.get(name) or ""),), values)
            records.append(replace(request, qn=qn_text(self._qn_ms), flag=4, data=data))
        return records
