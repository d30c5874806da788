"""How the platform behaves: well, or like one of the bad platforms of the field.

    NAME[:OPTION][+NAME[:OPTION]…]      late:3    mute:2011,2021    late:3+flag5

A profile says what becomes of a due answer: none, later, twice, slowly, or in another form. It never changes
what is recorded: a packet is kept before its answer is written, as by a platform that stores and then fails
to answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from edge.bench.errors import BadProfile
from protocol.packet import Packet


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One behaviour; the default is a platform that does everything right."""

    name: str = "normal"
    silent: bool = False
    """Never answers anything."""
    muted: frozenset[str] = frozenset()
    """CN of the uploads that are never answered."""
    delay_s: float = 0.0
    """From the packet to its answer."""
    times: int = 1
    """How often each answer is written."""
    byte_gap_s: float | None = None
    """Pause after each byte of an answer; None: an answer is one write."""
    idle_s: float | None = None
    """The link is closed when nothing has come for so long; None: never."""
    one_per_segment: bool = False
    """Reads one frame of what one reading of the socket gives and throws the rest away."""
    station_st: bool = False
    """Answers with the logger's ST in place of 91."""
    flag: int | None = None
    """Flag of the answers; None: 4, as the standard shows."""
    qn_rtn: str | None = None
    """QnRtn inside a 9014, where the standard has an empty data region."""

    def answers(self, cn: str) -> bool:
        """Whether a packet of this CN gets an answer that is due."""
        return not self.silent and cn not in self.muted

    def shaped(self, answer: Packet, packet: Packet) -> Packet:
        """The answer to `packet` as this platform writes it."""
        if self.station_st:
            answer = replace(answer, st=packet.st)
        if self.flag is not None:
            answer = replace(answer, flag=self.flag)
        if self.qn_rtn is not None and answer.cn == "9014":
            answer = replace(answer, data=((("QnRtn", self.qn_rtn),),))
        return answer


NORMAL = Profile()

_Changes = Mapping[str, Any]
_PLAIN: Mapping[str, _Changes] = {
    "normal": {},
    "silent": {"silent": True},
    "twice": {"times": 2},
    "station-st": {"station_st": True},
    "flag5": {"flag": 5},
    "qnrtn": {"qn_rtn": "1"},
    "refuse": {"qn_rtn": "2"},
    "segment": {"one_per_segment": True},
    "slow": {"byte_gap_s": 0.02},
}


def _seconds(field: str) -> Callable[[str], _Changes]:
    def read(option: str) -> _Changes:
        seconds = float(option)
        if not (math.isfinite(seconds) and seconds > 0):
            raise ValueError(option)
        return {field: seconds}

    return read


def _kinds(option: str) -> _Changes:
    kinds = frozenset(option.split(","))
    if not all(len(cn) == 4 and cn.isdigit() for cn in kinds):
        raise ValueError(option)
    return {"muted": kinds}


_OPTIONED: Mapping[str, Callable[[str], _Changes]] = {
    "late": _seconds("delay_s"),
    "idle": _seconds("idle_s"),
    "slow": _seconds("byte_gap_s"),
    "mute": _kinds,
}
NAMES = tuple(dict.fromkeys((*_PLAIN, *_OPTIONED)))


def profile(text: str) -> Profile:
    """The profile of a text such as `late:3`; several are joined with `+`. Raises BadProfile."""
    changes: dict[str, Any] = {}
    for part in text.split("+"):
        changes.update(_one(part.strip()))
    return Profile(name=text, **changes)


def _one(text: str) -> _Changes:
    name, _, option = text.partition(":")
    if option and name in _OPTIONED:
        try:
            return _OPTIONED[name](option)
        except ValueError:
            raise BadProfile(f"bench.profile.option.{name}", option=option) from None
    if option and name in _PLAIN:
        raise BadProfile("bench.profile.no_option", name=name, option=option)
    if name in _PLAIN:
        return _PLAIN[name]
    if name in _OPTIONED:
        raise BadProfile(f"bench.profile.option.{name}", option="")
    raise BadProfile("bench.profile.unknown", name=name, known=", ".join(NAMES))
