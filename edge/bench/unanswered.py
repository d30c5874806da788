"""What the logger uploads during a rehearsal: the resend of what is not answered, and the form of everything that came.

2011 QN=…857 ──▶  (no 9014)  ──▶ 2011 QN=…857, the same bytes      §6.2, Table 1
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from edge.bench.conversation import Conformity
from edge.bench.received import Finding, Received, Repeat
from edge.bench.rehearsal import Rehearsal, Row, Step, skipped
from edge.bench.waiting import within
from protocol.packet import Packet

UPLOADS = ("2081", "2011", "2021", "2051", "2061", "2031", "2041", "2071", "2072")
"""Uploads of the logger's own accord, in the order in which they are shown."""
_LATE = frozenset({"bench.answer_late", "bench.answer_unasked"})
_CLOCK = frozenset({"bench.qn_off", "bench.data_time_ahead"})
"""A clock that is off is worth a word, and no deviation of form."""
MOST_REMARKS = 8


async def resend(rehearsal: Rehearsal, step: Step) -> Sequence[Row]:
    """One upload is not answered: it must come again, byte for byte; after that everything is answered as before."""
    platform, wishes, clock = rehearsal.platform, rehearsal.wishes, rehearsal.clock
    begun = platform.counts.total()
    usual = platform.profile

    def since() -> list[Received]:
        count = min(platform.counts.total() - begun, len(platform.received))
        recent = list(platform.received)[len(platform.received) - count :]
        return [each for each in recent if each.packet is not None and each.packet.mn == rehearsal.mn]

    def first() -> Packet | None:
        wanted = (each.packet for each in since() if each.repeat is Repeat.FIRST)
        asks = platform.options.edition.wants_answer
        return next((each for each in wanted if each is not None and asks(each) and each.cn in UPLOADS), None)

    def again() -> Received | None:
        packet = first()
        return next((each for each in since() if packet is not None and _repeats(packet, each)), None)

    platform.profile = replace(usual, silent=True)
    try:
        await within(clock, wishes.wait_s, platform.until(lambda: first() is not None))
        packet = first()
        if packet is None:
            return [skipped(step, "bench.step.no_upload", seconds=wishes.wait_s)]
        await within(clock, wishes.resend_s, platform.until(lambda: again() is not None))
    finally:
        platform.profile = usual
    return [_judged(step, packet, again(), wishes.resend_s)]


def _repeats(packet: Packet, came: Received) -> bool:
    other = came.packet
    if other is None or other is packet or other.cn != packet.cn:
        return False
    return other.qn == packet.qn or (other.get("DataTime"), other.pno) == (packet.get("DataTime"), packet.pno)


def _judged(step: Step, packet: Packet, came: Received | None, seconds: float) -> Row:
    heard = (packet.cn,) if came is None else (packet.cn, packet.cn)
    if came is None:
        finding = Finding("bench.step.not_resent", {"cn": packet.cn, "seconds": seconds})
    elif came.repeat is Repeat.RESENT:
        return Row(step.name, step.expected, heard, Conformity.CONFORMS)
    else:
        finding = Finding("bench.step.resent_changed", {"cn": packet.cn, "qn": packet.qn or "-"})
    return Row(step.name, step.expected, heard, Conformity.DEVIATES, (finding,))


async def uploads(rehearsal: Rehearsal, step: Step) -> Sequence[Row]:
    """One row for each kind of upload that came, one for answers that belong to no open command.

    Realtime data are waited for: a logger that sends none for so long has them switched off.
    """

    def realtime() -> bool:
        return any(each.packet is not None and each.packet.cn == "2011" for each in rehearsal.packets())

    await within(rehearsal.clock, rehearsal.wishes.wait_s, rehearsal.platform.until(realtime))
    came = rehearsal.packets()
    rows = []
    for cn in UPLOADS:
        of_kind = [each for each in came if each.packet is not None and each.packet.cn == cn]
        if of_kind:
            rows.append(_form(f"upload-{cn}", len(of_kind), cn, of_kind))
    if not any(row.check == "upload-2011" for row in rows):
        rows.insert(0, skipped(replace(step, name="upload-2011"), "bench.step.no_kind", cn="2011"))
    late = [finding for each in came for finding in each.findings if finding.code in _LATE]
    verdict = Conformity.DEVIATES if late else Conformity.CONFORMS
    return [*rows, Row("answers", "", (), verdict, _shortened(late))]


def _form(check: str, count: int, cn: str, came: Sequence[Received]) -> Row:
    findings = [finding for each in came for finding in each.findings]
    deviates = any(finding.code not in _CLOCK for finding in findings)
    verdict = Conformity.DEVIATES if deviates else Conformity.CONFORMS
    return Row(check, "", (cn,) * count, verdict, _shortened(findings))


def _shortened(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Each finding once; of many the first, and how many more there are."""
    once: list[Finding] = []
    for finding in findings:
        same_clock = finding.code in _CLOCK and any(finding.code == other.code for other in once)
        if finding not in once and not same_clock:
            once.append(finding)
    rest = len(once) - MOST_REMARKS
    more = (Finding("bench.step.more", {"count": rest}, grave=False),) if rest > 0 else ()
    return (*once[:MOST_REMARKS], *more)
