"""What the standard expects of an exchange, and every deviation from it (HJ 212-2017 §6.1, §6.5, Annex C).

    set      9011 ─▶ 9012                       1000 1012 1062 1064 1072 2011 2021 3011–3014 3016 3021
    get      9011 ─▶ same CN, same QN ─▶ 9012   1011 1061 1063 3015 3017–3019, states and parameters of 3020
    history  9011 ─▶ n × same CN, own QN ─▶ 9012   2031 2041 2051 2061, logs of 3020
    notice   9013                               2012 2022

Which one it is follows from Table 9 and from the request's fields; nothing here waits or writes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum

from edge.bench.edition import NOTICES_UP, Edition, any_command
from edge.bench.received import Finding
from protocol import marks, parameters
from protocol.errors import BadPacket, ProtocolError
from protocol.forms import is_time
from protocol.messages import INTERACTION, asked_qn
from protocol.packet import ANSWER_BIT, SPLIT_BIT, Packet

REQUEST_ANSWER, RESULT, NOTICE_ANSWER = "9011", "9012", "9013"
ANSWERS = frozenset({REQUEST_ANSWER, RESULT, NOTICE_ANSWER})
"""What a logger answers to commands."""
_STREAMS = frozenset({"2011", "2021"})
_LIMITS = "1021"
_EVENTS = frozenset({"3019", "3020"})
"""CN of replies that are also uploads of their own accord, at any moment and in the same form as a history of them."""
_OWN_ACCORD = _EVENTS | {"2011", "2021", "2031", "2041", "2051", "2061", "2071", "2081", "3015"} | NOTICES_UP
"""CN of what a logger sends unasked."""


class Shape(StrEnum):
    """The kind of exchange."""

    SET = "set"
    GET = "get"
    HISTORY = "history"
    NOTICE = "notice"


def shape(request: Packet) -> Shape:
    """By the rows of Table 9, or of 2005, and BeginTime for what is asked of the past."""
    row = any_command(request.cn, "to-logger")
    if row is not None and row.kind == "notice":
        return Shape.NOTICE
    if request.get("BeginTime") is not None:
        return Shape.HISTORY
    if any_command(request.cn, "to-platform") is None or request.cn in _STREAMS:
        return Shape.SET
    return Shape.GET


def expected(cn: str, kind: Shape, edition: Edition) -> tuple[str, ...]:
    """The CN of the logger's packets in their order; data of a history stand once."""
    if kind is Shape.NOTICE:
        return (NOTICE_ANSWER,)
    result = (RESULT,) if edition.has_result(cn) else ()
    return (REQUEST_ANSWER, *(() if kind is Shape.SET else (cn,)), *result)


def concerns(request: Packet, packet: Packet) -> bool:
    """Whether a packet is, or should be, part of the exchange; a stale QN of an answer is for the caller to decide.

    Answers and replies repeat the QN; history has its own, lies in the asked range and is of what was asked for. What
    the logger sends unasked is not part of it, though its QN, a time, may happen to be that of the request.
    """
    kind = shape(request)
    is_data = packet.cn == request.cn and kind in (Shape.GET, Shape.HISTORY)
    if asked_qn(packet) == request.qn:
        is_own = not is_data or (packet.cn in _EVENTS and packet.wants_answer and not _is_about(request, packet))
        return not (packet.cn in _OWN_ACCORD and is_own)
    if not is_data:
        return False
    if kind is Shape.GET:
        return request.cn not in _EVENTS
    if request.cn in _EVENTS and not _is_about(request, packet):
        return False
    begin, end, label = request.get("BeginTime"), request.get("EndTime"), packet.get("DataTime")
    return bool(begin and end and label) and str(begin) <= str(label)[:14] <= str(end)


def _is_about(request: Packet, packet: Packet) -> bool:
    """Whether an event is of the pollutant and the piece of information that was asked for."""
    info_id = request.get("InfoId")
    same = (packet.get("PolId") or None) == (request.get("PolId") or None)
    return same and (info_id is None or packet.get(f"{info_id}-Info") is not None)


def judge(request: Packet, heard: Sequence[Packet], repeats: bool, edition: Edition) -> tuple[Finding, ...]:
    """Every deviation of what the logger said, in order; `repeats`: the request was written more than once.

    What did not come at all is for the caller, who knows what was waited for.
    """
    kind = shape(request)
    wanted = expected(request.cn, kind, edition)
    found: list[Finding] = []
    for packet in heard:
        if packet.cn not in wanted:
            found.append(Finding("bench.seq.unexpected", {"cn": packet.cn, "expected": " ".join(wanted)}))
        elif packet.cn in ANSWERS:
            found += _answer(request, packet, edition)
        else:
            found += _data(request, packet, kind, edition)
    found += _order([packet.cn for packet in heard if packet.cn in wanted], wanted, repeats)
    if kind is Shape.HISTORY:
        found += _history(request, heard)
    return tuple(_once(found))


def _once(findings: Sequence[Finding]) -> Iterator[Finding]:
    seen: list[Finding] = []
    for finding in findings:
        if finding not in seen:
            seen.append(finding)
            yield finding


def _wrong(packet: Packet, field: str, should_be: object, came: object) -> Finding:
    shown = {"expected": should_be, "came": "-" if came is None else came}
    return Finding("bench.seq.field", {"cn": packet.cn, "field": field, **shown})


def _answer(request: Packet, packet: Packet, edition: Edition) -> Iterator[Finding]:
    yield from _echo(request, packet)
    if packet.st != INTERACTION:
        yield _wrong(packet, "ST", INTERACTION, packet.st)
    if packet.flag not in edition.answer_flags:
        yield _wrong(packet, "Flag", edition.version, packet.flag)
    if edition.qn_in_region != (packet.qn is None):
        yield Finding("bench.seq.qn_place", {"cn": packet.cn, "edition": edition.name})
    codes = {REQUEST_ANSWER: ("QnRtn", marks.QN_RETURNS), RESULT: ("ExeRtn", marks.EXE_RETURNS)}
    if packet.cn in codes:
        name, table = codes[packet.cn]
        if packet.get(name) not in table:
            yield _wrong(packet, name, " ".join(table), packet.get(name))
    elif packet.data and not edition.qn_in_region:
        yield Finding("bench.seq.not_empty", {"cn": packet.cn})


def _echo(request: Packet, packet: Packet) -> Iterator[Finding]:
    if asked_qn(packet) != request.qn:
        yield _wrong(packet, "QN", request.qn, asked_qn(packet))
    if packet.pw != request.pw:
        yield Finding("bench.seq.password", {"cn": packet.cn})
    if packet.mn != request.mn:
        yield _wrong(packet, "MN", request.mn, packet.mn)


def _data(request: Packet, packet: Packet, kind: Shape, edition: Edition) -> Iterator[Finding]:
    if packet.st != request.st:
        yield _wrong(packet, "ST", request.st, packet.st)
    if kind is Shape.HISTORY:
        if asked_qn(packet) == request.qn and not edition.qn_in_region:
            yield Finding("bench.seq.history_qn", {"cn": packet.cn, "qn": packet.qn or "-"})
        return
    yield from _echo(request, packet)
    # The printed answer to 3015 asks for an answer (C.34); every other reply does not.
    allowed = (*edition.answer_flags, *((edition.version | ANSWER_BIT,) if packet.cn == "3015" else ()))
    if packet.flag not in allowed and not packet.is_split:
        yield _wrong(packet, "Flag", edition.version, packet.flag)
    yield from _reply(request, packet)


def _order(came: Sequence[str], wanted: tuple[str, ...], repeats: bool) -> Iterator[Finding]:
    reached = 0
    for cn in came:
        place = wanted.index(cn)
        if place < reached and not repeats:
            yield Finding("bench.seq.order", {"cn": cn, "before": wanted[reached]})
        reached = max(reached, place)
    for cn in wanted:
        if cn in ANSWERS and came.count(cn) > 1 and not repeats:
            yield Finding("bench.seq.twice", {"cn": cn})
    if RESULT in came and REQUEST_ANSWER in wanted and REQUEST_ANSWER not in came:
        yield Finding("bench.seq.missing", {"cn": REQUEST_ANSWER, "before": RESULT})


def missing_data(request: Packet, heard: Sequence[Packet], exe_rtn: str | None) -> Iterator[Finding]:
    """What ExeRtn and the data say about each other: success brings data, and 100 brings none."""
    kind = shape(request)
    if kind in (Shape.SET, Shape.NOTICE):
        return
    has_data = any(packet.cn == request.cn for packet in heard)
    if exe_rtn == "1" and not has_data:
        yield Finding("bench.seq.no_data", {"cn": request.cn})
    if exe_rtn == "100" and has_data and not (kind is Shape.HISTORY and request.cn in _EVENTS):
        yield Finding("bench.seq.data_despite", {"cn": request.cn})


def _history(request: Packet, heard: Sequence[Packet]) -> Iterator[Finding]:
    """Records in time order under rising QNs; a record that is cut has all of its parts.

    What the logger uploads of its own accord meanwhile looks the same, but comes in an order of its own: events, which
    may come at any time, are not judged by their order, nor is a record that comes both live and as history.
    """
    data = [packet for packet in heard if packet.cn == request.cn]
    if request.cn not in _EVENTS:
        times = Counter((packet.get("DataTime"), packet.pno) for packet in data)
        once = [packet for packet in data if times[packet.get("DataTime"), packet.pno] == 1]
        yield from _history_order(request, once)
    parts: dict[tuple[str, int], set[int]] = {}
    for packet in data:
        label = packet.get("DataTime") or ""
        if packet.is_split:
            parts.setdefault((label, packet.pnum or 0), set()).add(packet.pno or 0)
        elif (packet.flag or 0) & SPLIT_BIT:
            yield Finding("bench.seq.split_numbers", {"came": packet.flag})
    for (label, pnum), came in parts.items():
        if len(came) < pnum:
            yield Finding("bench.parts_missing", {"data_time": label, "came": len(came), "expected": pnum})


def _history_order(request: Packet, data: Sequence[Packet]) -> Iterator[Finding]:
    last_label, last_qn = "", ""
    for packet in data:
        label, qn = packet.get("DataTime") or "", asked_qn(packet) or ""
        if label < last_label:
            yield Finding("bench.seq.history_order", {"came": label, "before": last_label})
        if qn and last_qn and qn <= last_qn and qn != request.qn:
            yield Finding("bench.seq.history_qn_order", {"came": qn, "before": last_qn})
        last_label, last_qn = max(label, last_label), max(qn, last_qn)


def _field(name: str, fine: Callable[[str], bool], words: str) -> Callable[[Packet], object]:
    def read(packet: Packet) -> object:
        came = packet.get(name)
        if came is None:
            raise BadPacket("protocol.packet.parameter", field=name, expected=words)
        if not fine(came):
            raise BadPacket("protocol.packet.value", field=name, expected=words, came=came)
        return came

    return read


def _whole(low: int, high: int) -> Callable[[str], bool]:
    return lambda text: text.isascii() and text.isdigit() and len(text) <= 4 and low <= int(text) <= high


def _of_day(text: str) -> bool:
    return len(text) == 6 and is_time("20000101" + text)


_DATA_TIME = _field("DataTime", is_time, "YYYYMMDDhhmmss")
_REPLIES: dict[str, tuple[Callable[[Packet], object], ...]] = {
    "1011": (parameters.read_system_time,),
    "1061": (parameters.read_realtime_interval,),
    "1063": (parameters.read_minute_interval,),
    "3015": (_DATA_TIME, _field("VaseNo", _whole(1, 99), "1-99")),
    "3017": (_field("CstartTime", _of_day, "hhmmss"), _field("CTime", _whole(1, 24), "1-24")),
    "3018": (_field("Stime", _whole(1, 120), "1-120"),),
    "3020": (_DATA_TIME,),
}
"""Readers of what a reply must hold (Table 4); each raises ProtocolError."""


def _reply(request: Packet, packet: Packet) -> Iterator[Finding]:
    for read in _REPLIES.get(packet.cn, ()):
        try:
            read(packet)
        except ProtocolError as error:
            yield Finding(error.code, error.params)
    pol_id, info_id = request.get("PolId"), request.get("InfoId")
    if (packet.get("PolId") or None) != (pol_id or None) and packet.cn != _LIMITS:
        yield _wrong(packet, "PolId", pol_id or "-", packet.get("PolId"))
    named = {"3019": f"{pol_id}-SN", "3020": f"{info_id}-Info", _LIMITS: f"{pol_id}-UpValue"}.get(packet.cn)
    if named is not None and packet.get(named) is None:
        yield Finding("protocol.packet.parameter", {"field": named, "expected": named})
