"""The checks of a conformance rehearsal, in their order: what is sent, what must come, what is set back.

First what only reads, then wrong addresses and damage (§6.1, Table 7: nothing may be carried out), then settings,
history, the resend of an upload, what asks instruments (by then a factor has been uploaded), and, only where that is
wanted, what acts on instruments and on the clock. The form of all uploads that came meanwhile is the last row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from edge.bench.conversation import CommandResult, Conformity, Outcome
from edge.bench.edition import Edition
from edge.bench.received import Finding
from edge.bench.rehearsal import Rehearsal, Row, Step, row_of, sequence_text, skipped
from edge.bench.unanswered import resend, uploads
from edge.bench.waiting import within
from protocol import parameters
from protocol.frame import wrap
from protocol.packet import ANSWER_BIT, Packet
from protocol.region import Region, fields
from protocol.times import time_text

_NO_PACKET = Packet(None, "", "", None, "")
MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
_BEIJING_MS = 8 * HOUR_MS
NEW_PASSWORD = "Bench1"
UNKNOWN_CN = "1999"
"""Reserved for extension (§6.6.5.1), and in no table."""
_FLOWS = ("B01", "B02")
"""Waste water and waste gas in 2005."""
STANDARD_TIMEOUT = (("OverTime", "10"), ("ReCount", "3"))
"""Table 1, wireless links: what 1000 leaves behind, as no command asks for it."""

_REFUSAL = "9011 QnRtn="

Fields = Callable[[Rehearsal], "Region | None"]


def _none(_: Rehearsal) -> Region:
    return ()


def _with_factor(*more: tuple[str, str]) -> Fields:
    def build(rehearsal: Rehearsal) -> Region | None:
        code = factor(rehearsal)
        return None if code is None else fields(("PolId", code), *more)

    return build


def factor(rehearsal: Rehearsal) -> str | None:
    """The factor for commands about an instrument: as wished, else the first uploaded one that is no flow."""
    if rehearsal.wishes.pol_id:
        return rehearsal.wishes.pol_id
    names = [name for each in rehearsal.packets() if each.packet for item in each.packet.data for name, _ in item]
    codes = [name.partition("-")[0] for name in names if name.endswith(("-Rtd", "-Avg"))]
    return next((code for code in codes if code[1:] != "00000" and code not in _FLOWS), codes[0] if codes else None)


async def _built(rehearsal: Rehearsal, build: Fields) -> Region | None:
    """The region; where it needs a factor, an upload that shows one is waited for."""
    region = build(rehearsal)
    if region is None:
        seen = rehearsal.platform.until(lambda: factor(rehearsal) is not None)
        await within(rehearsal.clock, rehearsal.wishes.wait_s, seen)
        region = build(rehearsal)
    return region


def _period(length_ms: int, count: int) -> Fields:
    """The last `count` complete periods of the logger's time."""

    def build(rehearsal: Rehearsal) -> Region:
        begun = (rehearsal.now_ms() + _BEIJING_MS) // length_ms * length_ms - _BEIJING_MS
        return parameters.Period(begun - count * length_ms, begun - length_ms).region()

    return build


def _last_hour(rehearsal: Rehearsal) -> Region:
    end = rehearsal.now_ms()
    return parameters.Period(end - HOUR_MS, end).region()


def _logs(rehearsal: Rehearsal) -> Region:
    return (*fields(("InfoId", "i21001")), *_last_hour(rehearsal))


def _instrument_logs(rehearsal: Rehearsal) -> Region | None:
    asked = _with_factor(("InfoId", "i11001"))(rehearsal)
    return None if asked is None else (*asked, *_last_hour(rehearsal))


def _step(name: str, cn: str, build: Fields = _none, effect: str = "none", example: Region = ()) -> Step:
    """A command that is simply sent; `example` is a region of its kind, for the expected sequence."""

    async def run(rehearsal: Rehearsal, step: Step) -> Sequence[Row]:
        region = await _built(rehearsal, build)
        if region is None:
            return [skipped(step, "bench.step.no_factor")]
        result = await rehearsal.put(await rehearsal.request(cn, region))
        empty = (Finding("bench.step.no_records", grave=False),) if result.exe_rtn == "100" else ()
        return [row_of(step, result, *empty)]

    return Step(name, cn, _sequence(cn, example), run, effect)


def _sequence(cn: str, example: Region = ()) -> str:
    return sequence_text(replace(_NO_PACKET, cn=cn, data=example), Edition())


def _setting(cn: str, getter: str, name: str, values: tuple[str, str], exact: bool) -> Step:
    """Set to another value, read, set back; `exact`: the new value must be read at once."""

    async def run(rehearsal: Rehearsal, step: Step) -> Sequence[Row]:
        before = await rehearsal.value(getter, name)
        if before is None:
            return [skipped(step, "bench.step.no_value", cn=getter)]
        other = next(value for value in values if value != before)
        more: list[Finding] = []
        try:
            result = await rehearsal.ask(cn, (name, other))
            after = await rehearsal.value(getter, name)
            if result.outcome is Outcome.DONE and after != other:
                shown = {"cn": getter, "field": name, "expected": other, "came": after or "-"}
                more.append(Finding("bench.step.read_back", shown, grave=exact))
        finally:
            more += await _set_back(rehearsal, cn, getter, (name, before))
        return [row_of(step, result, *more)]

    return Step(cn, cn, _sequence(cn), run, "undone")


async def _set_back(rehearsal: Rehearsal, cn: str, getter: str, pair: tuple[str, str]) -> list[Finding]:
    result = await rehearsal.ask(cn, pair)
    if result.outcome is Outcome.DONE or await rehearsal.value(getter, pair[0]) == pair[1]:
        return []
    return [Finding("bench.step.not_undone", {"cn": cn})]


async def _password(rehearsal: Rehearsal, step: Step) -> Sequence[Row]:
    """1072: a new one, a command with it, the old one again; both packets of the exchange carry the old one (C.9)."""
    old = rehearsal.platform.loggers[rehearsal.mn].password
    if not (old.isascii() and old.isalnum() and len(old) <= 6):
        return [skipped(step, "bench.step.password_form")]
    more: list[Finding] = []
    result: CommandResult | None = None
    try:
        result = await rehearsal.ask("1072", ("NewPW", NEW_PASSWORD))
        if result.outcome is Outcome.DONE and (await rehearsal.ask("1061")).qn_rtn in (None, "3"):
            more.append(Finding("bench.step.password_dead"))
    finally:
        if result is None or result.outcome is not Outcome.REFUSED:
            more += await _old_password(rehearsal, old)
    return [row_of(step, result, *more)]


async def _old_password(rehearsal: Rehearsal, old: str) -> list[Finding]:
    """Set back under the new one; a logger that never took the new one answers QnRtn 3 and still has the old."""
    request = await rehearsal.request("1072", fields(("NewPW", old)))
    back = await rehearsal.put(replace(request, pw=NEW_PASSWORD))
    is_old = back.outcome is Outcome.DONE or back.qn_rtn == "3"
    rehearsal.platform.loggers[rehearsal.mn].changed_password(old if is_old else NEW_PASSWORD)
    return [] if is_old else [Finding("bench.step.not_undone", {"cn": "1072"})]


async def _realtime(rehearsal: Rehearsal, step: Step) -> Sequence[Row]:
    """2012 and at once 2011 again."""
    return await _stopped_and_started(rehearsal, (STOP_REALTIME, step))


async def _stopped_and_started(rehearsal: Rehearsal, steps: tuple[Step, Step]) -> Sequence[Row]:
    stop, start = steps
    try:
        stopped = await rehearsal.ask(stop.cn)
    finally:
        started = await rehearsal.ask(start.cn)
    is_off = stopped.outcome is Outcome.DONE and started.outcome is not Outcome.DONE
    more = (Finding("bench.step.not_undone", {"cn": stop.cn}),) if is_off else ()
    return [row_of(stop, stopped), row_of(start, started, *more)]


async def _states(rehearsal: Rehearsal, step: Step) -> Sequence[Row]:
    """2022 and at once 2021 again, as no command reads whether states go up: on loses nothing."""
    return await _stopped_and_started(rehearsal, (STOP_STATES, step))


def _refusal(name: str, qn_rtn: str, change: Callable[[Packet], Packet]) -> Step:
    """A command with one thing wrong: 9011 with the code for it, and nothing is carried out."""

    async def run(rehearsal: Rehearsal, step: Step) -> Sequence[Row]:
        before, probe = await _probe(rehearsal)
        result = await rehearsal.put(change(probe))
        more = await _unchanged(rehearsal, before, probe)
        wanted = rehearsal.edition.qn_rtn(qn_rtn)
        if result.qn_rtn != wanted and result.outcome is not Outcome.TIMEOUT:
            shown = {"cn": "9011", "field": "QnRtn", "expected": wanted, "came": result.qn_rtn or "-"}
            more.append(Finding("bench.seq.field", shown))
        row = row_of(step, result, *more)
        refused = row.verdict in (Conformity.REFUSED, Conformity.NOT_SUPPORTED)
        return [replace(row, verdict=Conformity.CONFORMS) if refused else row]

    return Step(name, "", _REFUSAL + qn_rtn, run, "undone")


async def _probe(rehearsal: Rehearsal) -> tuple[str | None, Packet]:
    """The realtime interval, and a command that would change it."""
    before = await rehearsal.value("1061", "RtdInterval")
    other = "60" if before != "60" else "90"
    return before, await rehearsal.request("1062", fields(("RtdInterval", other)))


async def _unchanged(rehearsal: Rehearsal, before: str | None, probe: Packet) -> list[Finding]:
    """Whether the probe left the interval alone; where it did not, the interval is set back."""
    if before is None:
        return [Finding("bench.step.cannot_see", grave=False)]
    after = await rehearsal.value("1061", "RtdInterval")
    if after in (before, None):
        return []
    executed = Finding("bench.step.executed", {"field": "RtdInterval", "came": after})
    return [executed, *await _set_back(rehearsal, "1062", "1061", ("RtdInterval", before))]


def _wrong_password(packet: Packet) -> Packet:
    return replace(packet, pw="000000" if packet.pw != "000000" else "111111")


def _wrong_mn(packet: Packet) -> Packet:
    return replace(packet, mn=packet.mn[:-1] + ("0" if packet.mn[-1] != "0" else "1"))


def _wrong_st(packet: Packet) -> Packet:
    return replace(packet, st="21" if packet.st != "21" else "22")


def _unknown_cn(packet: Packet) -> Packet:
    return replace(packet, cn=UNKNOWN_CN)


async def _damaged(rehearsal: Rehearsal, step: Step) -> Sequence[Row]:
    """A command whose check code is wrong is dropped; a 9011 with QnRtn 9 is an answer that Table 7 knows."""
    before, probe = await _probe(rehearsal)
    sound = probe.to_frame()
    code = int(sound[-6:-2], 16) ^ 0x1000
    rehearsal.platform.throw(rehearsal.mn, probe, b"%b%04X\r\n" % (sound[:-6], code))
    more = await _unchanged(rehearsal, before, probe)
    return [await _silence(rehearsal, step, probe, more)]


async def _silent(rehearsal: Rehearsal, step: Step) -> Sequence[Row]:
    """Flag bit A clear: carried out, and not a word."""
    before, probe = await _probe(rehearsal)
    probe = replace(probe, flag=(probe.flag or 0) & ~ANSWER_BIT)
    rehearsal.platform.throw(rehearsal.mn, probe, wrap(probe.to_segment()))
    executed = await _unchanged(rehearsal, before, probe)
    more = [finding for finding in executed if finding.code != "bench.step.executed"]
    if not executed:
        more = [Finding("bench.step.not_executed", grave=False)]
    return [await _silence(rehearsal, step, probe, more)]


async def _silence(rehearsal: Rehearsal, step: Step, probe: Packet, more: list[Finding]) -> Row:
    """Nothing may have come under the probe's QN by the time when a later command was answered."""
    later = await rehearsal.ask("1061")
    came = rehearsal.answers_to(probe.qn)
    optional = step.name == "CRC" and [packet.get("QnRtn") for packet in came] == ["9"]
    if came:
        shown = {"cn": " ".join(packet.cn for packet in came)}
        more = [*more, Finding("bench.step.not_silent", shown, grave=not optional)]
    verdict = Conformity.DEVIATES if any(finding.grave for finding in more) else Conformity.CONFORMS
    if later.outcome in (Outcome.TIMEOUT, Outcome.NO_LOGGER):
        verdict = Conformity.TIMEOUT
    return Row(step.name, step.expected, tuple(packet.cn for packet in came), verdict, tuple(more))


def _same_again(
    cn: str, getter: str, ask: Fields, take: Callable[[CommandResult], Region | None], effect: str = "control"
) -> Step:
    """A setting is set to what the logger says it is."""

    async def run(rehearsal: Rehearsal, step: Step) -> Sequence[Row]:
        asked = await _built(rehearsal, ask)
        if asked is None:
            return [skipped(step, "bench.step.no_factor")]
        region = take(await rehearsal.put(await rehearsal.request(getter, asked)))
        if region is None:
            return [skipped(step, "bench.step.no_value", cn=getter)]
        return [row_of(step, await rehearsal.put(await rehearsal.request(cn, region)))]

    return Step(cn, cn, _sequence(cn), run, effect)


def _cycle(result: CommandResult) -> Region | None:
    names = ("PolId", "CstartTime", "CTime")
    values = [result.get(name) for name in names]
    return None if None in values else fields(*((name, str(value)) for name, value in zip(names, values, strict=True)))


def _parameter(result: CommandResult) -> Region | None:
    pol_id, value = result.get("PolId"), result.get(f"{_PARAMETER}-Info")
    if pol_id is None or value is None:
        return None
    return fields(("PolId", pol_id), ("InfoId", _PARAMETER), (f"{_PARAMETER}-Info", value))


def _limits(result: CommandResult) -> Region | None:
    found = (tuple(item for item in packet.data if len(item) > 1) for packet in result.data)
    return next(filter(None, found), None)


def _sampling_hours(rehearsal: Rehearsal) -> Region | None:
    code = factor(rehearsal)
    return None if code is None else ((("PolID", code), *(("CTime", hour) for hour in ("00", "06", "12", "18"))),)


def _time(rehearsal: Rehearsal) -> Region:
    return fields(("SystemTime", time_text(rehearsal.clock.wall_ms())))


_PARAMETER = "i13003"
"""Measuring interval of an instrument (Table B.10)."""
_STATE = "i12001"
_LOGGER_STATE = "i22001"
"""Working state of the logger itself: not tied to a pollutant, so asked for without PolId."""
_PAST = fields(("BeginTime", ""), ("EndTime", ""))
STOP_REALTIME = Step("2012", "2012", "9013", _realtime, "undone")
STOP_STATES = Step("2022", "2022", "9013", _states, "undone")

STEPS: tuple[Step, ...] = (
    _step("1011", "1011"),
    _step("1061", "1061"),
    _step("1063", "1063"),
    _step("3020-log", "3020", _logs, example=_PAST),
    _step("3020-logger", "3020", lambda _: fields(("InfoId", _LOGGER_STATE))),
    _refusal("PW", "3", _wrong_password),
    _refusal("MN", "4", _wrong_mn),
    _refusal("ST", "5", _wrong_st),
    _refusal("CN", "8", _unknown_cn),
    Step("CRC", "", "", _damaged, "undone"),
    Step("Flag", "", "", _silent, "undone"),
    _step("1000", "1000", lambda _: fields(*STANDARD_TIMEOUT), "kept"),
    _setting("1062", "1061", "RtdInterval", ("60", "90"), exact=True),
    _setting("1064", "1063", "MinInterval", ("10", "5"), exact=False),
    Step("1072", "1072", _sequence("1072"), _password, "undone"),
    Step("2011", "2011", _sequence("2011"), _realtime, "undone", "2012"),
    Step("2021", "2021", _sequence("2021"), _states, "undone", "2022"),
    _step("2051", "2051", _period(10 * MINUTE_MS, 3), example=_PAST),
    _step("2061", "2061", _period(HOUR_MS, 3), example=_PAST),
    _step("2031", "2031", _period(DAY_MS, 2), example=_PAST),
    _step("2041", "2041", _period(DAY_MS, 2), example=_PAST),
    Step("resend", "", "", resend),
    _step("1011-PolId", "1011", _with_factor()),
    _step("3017", "3017", _with_factor()),
    _step("3018", "3018", _with_factor()),
    _step("3019", "3019", _with_factor()),
    _step("3020-state", "3020", _with_factor(("InfoId", _STATE))),
    _step("3020-parameter", "3020", _with_factor(("InfoId", _PARAMETER))),
    _step("3020-log-PolId", "3020", _instrument_logs, example=_PAST),
    _step("3011", "3011", _with_factor(), "control"),
    _step("3012", "3012", _with_factor(), "control"),
    _step("3013", "3013", _with_factor(), "control"),
    _step("3014", "3014", _with_factor(), "control"),
    _step("3015", "3015", effect="control"),
    _same_again("3016", "3017", _with_factor(), _cycle),
    _same_again("3021", "3020", _with_factor(("InfoId", _PARAMETER)), _parameter),
    _step("1012", "1012", _time, "time"),
    _step("1012-PolId", "1012", lambda rehearsal: _with_factor(*(_time(rehearsal)[0]))(rehearsal), "time"),
    Step("uploads", "", "", uploads),
)
"""In the order in which they are carried out; `2011` is checked together with 2012, and `2021` with 2022."""

_OWN_2005: tuple[Step, ...] = (
    _step("1001", "1001", lambda _: fields(("WarnTime", "60")), "warn-time"),
    _step("1021", "1021", _with_factor()),
    _same_again("1022", "1021", _with_factor(), _limits, "undone"),
    _step("1031", "1031"),
    _setting("1032", "1031", "AlarmTarget", ("3882566", "3882567"), exact=True),
    _step("1041", "1041"),
    _setting("1042", "1041", "ReportTime", ("0000", "0101"), exact=True),
    _step("2071", "2071", _period(HOUR_MS, 3), example=_PAST),
    _step("3014-hours", "3014", _sampling_hours, "control"),
)
_ONLY_2017 = frozenset({"1011-PolId", "1012-PolId", "3014"})


def steps_of(edition: Edition) -> tuple[Step, ...]:
    """The checks of an edition: those of 2017, or those that 2005 has too and its own."""
    if edition.name == Edition.name:
        return STEPS
    *same, last = (
        replace(step, expected=_expected(step, edition))
        for step in STEPS
        if step.name not in _ONLY_2017 and (not step.cn or edition.knows(step.cn))
    )
    return (*same, *_OWN_2005, last)


def _expected(step: Step, edition: Edition) -> str:
    if step.expected.startswith(_REFUSAL):
        return _REFUSAL + edition.qn_rtn(step.expected.removeprefix(_REFUSAL))
    return step.expected if edition.has_result(step.cn) else step.expected.removesuffix(" → 9012")
