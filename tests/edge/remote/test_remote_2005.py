"""Commands of edition 2005: the examples of its Annex C replayed at the logger, and what they leave behind.

Segments are those of `tests/protocol/examples_2005.tsv`. Examples repeat one QN, and print neither the data marks of
statistics nor trailing zeros: numbers are compared as numbers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from virtual_time import Profile, ScriptedPlatform, World, virtual

from edge.actions import ActionResult
from edge.store import alarms2005 as alarms
from edge.store import records, settings
from edge.store.alarms2005 import Alarm
from edge.store.errors import StoreFailed
from edge.uplink.session import Session
from edge.uplink.terms import Terms
from edge.values import MINUTE_MS, Kind, Record
from protocol import edition2005, upload
from protocol.edition2005 import EDITION_2005
from protocol.frame import wrap
from protocol.packet import Packet
from protocol.times import parse_time

TABLE = Path(__file__).parents[2] / "protocol" / "examples_2005.tsv"
EXAMPLES = [line.split("\t")[:2] for line in TABLE.read_text("utf-8").splitlines() if not line.startswith("#")]
REQUESTS = {
    packet.cn: segment.encode()
    for direction, segment in EXAMPLES
    if direction == "C" and (packet := Packet.from_segment(segment.encode())).cn < "9"
}
MN, QN = "88888880000001", "20040516010101001"
PW = f"PW=123456;MN={MN}"
MOMENT = parse_time("20040516010101")
ACCEPTED = f"ST=91;CN=9011;{PW};Flag=0;CP=&&QN={QN};QnRtn=1&&".encode()
EXECUTED = f"ST=91;CN=9012;{PW};CP=&&QN={QN};ExeRtn=1&&".encode()
NOTICED = f"ST=91;CN=9013;{PW};CP=&&QN={QN}&&".encode()


def ended(code: int) -> bytes:
    return EXECUTED.replace(b"ExeRtn=1", f"ExeRtn={code}".encode())


def refused(code: int) -> bytes:
    return ACCEPTED.replace(b"QnRtn=1", f"QnRtn={code}".encode())


class Instruments:
    """Instruments that do everything at once, or end with one code."""

    def __init__(self, code: Any = "done") -> None:
        self.code = code
        self.done: list[tuple[Any, ...]] = []

    async def run(self, outlet: str, pol_id: str | None, action: str, **values: Any) -> ActionResult:
        self.done.append((pol_id, action, values))
        return ActionResult(self.code)


class Site:
    """A logger with one platform of 2005, in which virtual time begins at the examples' moment."""

    def __init__(self, folder: Path, profile: Profile | None = None, **changes: Any) -> None:
        self.world = World(folder, MOMENT)
        self.city = ScriptedPlatform(profile, edition="2005")
        self.session: Session = self.world.add(self.city, edition="2005", mn=MN, **changes)
        self.instruments = self.world.actions = Instruments()

    @property
    def terms(self) -> Terms:
        return self.session.terms

    async def ask(self, segment: bytes, seconds: float = 2.0) -> list[bytes]:
        """What comes of a command."""
        await self.world.sleep(1)
        known = len(self.city.seen)
        self.city.send(wrap(segment))
        await self.world.sleep(seconds)
        return [each.frame[6:-6] for each in self.city.seen[known:]]

    def overrides(self) -> dict[str, str]:
        """As a restart would find them."""
        kept = self.world.store.now(settings.get_all, "city")
        return {name: one.value for (_, name), one in kept.items()}


def request(cn: str, cp: str = "", flag: str = "Flag=3;") -> bytes:
    return f"QN={QN};ST=32;CN={cn};{PW};{flag}CP=&&{cp}&&".encode()


def test_the_examples_ask_for_everything_but_what_has_no_example() -> None:
    asked = {row.cn for row in edition2005.commands() if row.direction == "to-logger"}
    assert asked - REQUESTS.keys() == {"1031", "1041", "1061", "2021", "2022", "2031", "2041", "2061", "2071", "3013"}


# the printed sequences


@pytest.mark.parametrize("cn", ["1000", "1001", "1022", "1032", "1042", "1062", "1072", "3011", "3012"])
@virtual
async def test_a_request_is_answered_9011_and_9012_as_printed(tmp_path: Path, cn: str) -> None:
    site = Site(tmp_path)
    assert await site.ask(REQUESTS[cn]) == [ACCEPTED, EXECUTED]
    await site.world.stop()


@virtual
async def test_the_time_is_told_as_printed(tmp_path: Path) -> None:
    site = Site(tmp_path)
    reply = f"ST=32;CN=1011;{PW};CP=&&QN={QN};SystemTime=20040516010102&&".encode()
    assert reply.decode() in [segment for _, segment in EXAMPLES]
    assert await site.ask(REQUESTS["1011"]) == [ACCEPTED, reply, EXECUTED]
    await site.world.stop()


@virtual
async def test_the_clock_is_set_or_refused_with_a_code_that_2005_has(tmp_path: Path) -> None:
    site = Site(tmp_path, time="refuse")
    assert await site.ask(REQUESTS["1012"]) == [ACCEPTED, ended(2)]
    await site.world.stop()


@virtual
async def test_realtime_begins_after_a_9011_without_9012_and_ends_with_a_9013_under_the_same_qn(tmp_path: Path) -> None:
    site = Site(tmp_path, acknowledge=False)
    assert await site.ask(REQUESTS["2012"]) == [NOTICED]
    assert site.overrides() == {"realtime_on": "0"}
    assert await site.ask(REQUESTS["2011"]) == [ACCEPTED]
    assert site.overrides() == {"realtime_on": "1"}
    printed = next(segment for way, segment in EXAMPLES if way == "F" and "CN=2011" in segment)
    shape = (
        ("w00000", (("Rtd", 0),)), ("w21011", (("Rtd", 1), ("Flag", "N"))), ("w21001", (("Rtd", 1), ("Flag", "N"))),
    )  # fmt: skip
    body = upload.realtime(parse_time("20040516020111"), shape, (100, 1.1, 2.2), EDITION_2005)
    await site.session.offer_fleeting("2011", MOMENT, body)
    await site.world.sleep(2)
    (came,) = (each.frame[6:-6].decode() for each in site.city.of("2011"))
    assert numbers(came) == numbers(printed.replace("102-", f"{EDITION_2005.code('w21001')}-"))
    assert await site.ask(REQUESTS["2012"]) == [NOTICED]
    await site.world.stop()


@pytest.mark.parametrize("cn", ["2021", "2022"])
@virtual
async def test_states_are_switched_as_realtime_is(tmp_path: Path, cn: str) -> None:
    site = Site(tmp_path)
    assert await site.ask(request(cn)) == [ACCEPTED if cn == "2021" else NOTICED]
    assert site.overrides() == {"state_on": "1" if cn == "2021" else "0"}
    await site.world.stop()


@virtual
async def test_a_stream_that_the_disk_does_not_let_begin_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise StoreFailed("store.failed", file="records.db", reason="No space left on device")

    site = Site(tmp_path)
    monkeypatch.setattr(settings, "put", full)
    assert await site.ask(request("2011")) == [refused(2)]
    await site.world.stop()


def numbers(segment: str) -> tuple[str, dict[str, float | str]]:
    """Header, and the fields with their numbers as numbers."""
    head, _, rest = segment.partition("CP=&&")
    pairs = (pair.split("=") for item in rest.removesuffix("&&").split(";") for pair in item.split(","))
    return head, {name: value if name.endswith("Flag") else float(value) for name, value in pairs}


MINUTE = parse_time("20040516021000")
HISTORY = [
    Record("ww1", Kind.MINUTE, "w00000", MINUTE, avg=1.0, min=1.0, max=1.0, cou=200.0),
    Record("ww1", Kind.MINUTE, "w21011", MINUTE, min=1.1, avg=1.1, max=1.1, cou=2.5),
    Record("ww1", Kind.MINUTE, "w00000", MINUTE + MINUTE_MS, avg=1.0, min=1.0, max=1.0, cou=201.0),
]
PRINTED_PERIOD = b"BeginTime=20040506111000,EndTime=20040506151000"
ASK_MINUTES = REQUESTS["2051"].replace(PRINTED_PERIOD, b"BeginTime=20040516021000,EndTime=20040516021100")


@pytest.mark.parametrize("asks", [False, True])
@virtual
async def test_history_comes_with_and_without_answers_as_printed(tmp_path: Path, asks: bool) -> None:
    site = Site(tmp_path, acknowledge=asks, minute=MINUTE_MS)
    site.world.store.now(records.seal, HISTORY, [], MINUTE)
    first, one, two, last = await site.ask(ASK_MINUTES, 5)
    # the 9011 of a request whose data want answers has Flag bit A
    assert first == (ACCEPTED.replace(b"Flag=0", b"Flag=1") if asks else ACCEPTED)
    assert last == EXECUTED
    printed = [segment for way, segment in EXAMPLES if way == "F" and "CN=2051" in segment and "PNO" not in segment]
    head, fields = numbers(one.decode())
    expected_head, expected = numbers(next(each for each in printed if ("QN=" in each) == asks))
    own = Packet.from_segment(one).qn
    assert (own is not None) == asks
    assert head == expected_head.replace(QN, own or QN)
    assert {name: fields[name] for name in expected if not name.startswith("102")}.items() <= expected.items()
    assert b"B01-Cou=201.00" in two
    assert own is None or own != Packet.from_segment(two).qn
    await site.world.stop()


@virtual
async def test_the_platforms_answer_to_the_result_of_a_history_is_no_event(tmp_path: Path) -> None:
    site = Site(tmp_path, minute=MINUTE_MS)
    site.world.store.now(records.seal, HISTORY, [], MINUTE)
    await site.ask(ASK_MINUTES, 5)
    answer = next(segment for _, segment in EXAMPLES if segment.endswith("CN=9012&&"))
    assert await site.ask(answer.encode()) == []
    assert site.world.codes() == ["edge.link-up"]
    await site.world.stop()


@virtual
async def test_no_data_is_100(tmp_path: Path) -> None:
    site = Site(tmp_path)
    came = await site.ask(ASK_MINUTES)
    assert came == [ACCEPTED.replace(b"Flag=0", b"Flag=1"), ended(100)]
    await site.world.stop()


# codes


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (request("1061").replace(b"PW=123456", b"PW=654321"), 3),
        (request("1061").replace(MN.encode(), b"88888880000002"), 2),
        (request("1061").replace(b"ST=32", b"ST=31"), 2),
        (request("1063"), 2),
        (request("3020", "InfoId=i12001"), 2),
        (request("1999"), 2),
    ],
)
@virtual
async def test_a_refusal_has_one_of_the_three_codes(tmp_path: Path, command: bytes, code: int) -> None:
    site = Site(tmp_path)
    (answer,) = await site.ask(command)
    assert answer.endswith(f"CP=&&QN={QN};QnRtn={code}&&".encode())
    await site.world.stop()


@pytest.mark.parametrize(
    ("ends", "code"),
    [("done", 1), ("fault", 2), ("no-action", 2), ("refused", 2), ("timeout", 2), ("busy", 2), ("no-data", 100)],
)
@virtual
async def test_an_execution_ends_with_one_of_the_three_codes(tmp_path: Path, ends: str, code: int) -> None:
    site = Site(tmp_path)
    site.instruments.code = ends
    assert await site.ask(REQUESTS["3011"]) == [ACCEPTED, ended(code)]
    await site.world.stop()


@pytest.mark.parametrize(("flag", "count"), [("", 2), ("Flag=0;", 0), ("Flag=1;", 2), ("Flag=2;", 0)])
@virtual
async def test_a_request_without_flag_is_answered_one_whose_flag_says_no_is_not(
    tmp_path: Path, flag: str, count: int
) -> None:
    site = Site(tmp_path)
    assert len(await site.ask(request("1062", "RtdInterval=45", flag))) == count
    assert site.terms.realtime_ms == 45_000
    await site.world.stop()


# instruments


@pytest.mark.parametrize(
    ("cn", "cp", "done"),
    [
        ("3011", "PolID=011", ("w01018", "zero-span", {})),
        ("3012", "PolID=011", ("w01018", "sample-now", {})),
        ("3013", "PolID=011", ("w01018", "clean", {})),
        ("3014", "PolID=011,CTime=02,CTime=08,CTime=14,CTime=20", ("w01018", "set-cycle", ("020000", 6))),
        ("3014", "PolID=011,CTime=20,CTime=8", ("w01018", "set-cycle", ("080000", 12))),
        ("3014", "PolID=011,CTime=07", ("w01018", "set-cycle", ("070000", 24))),
    ],
)
@virtual
async def test_what_a_command_says_reaches_the_instrument(
    tmp_path: Path, cn: str, cp: str, done: tuple[Any, ...]
) -> None:
    site = Site(tmp_path)
    assert await site.ask(request(cn, cp)) == [ACCEPTED, EXECUTED]
    ((pol_id, action, values),) = site.instruments.done
    assert (pol_id, action, (values["cstart"], values["ctime"]) if values else {}) == done
    await site.world.stop()


@pytest.mark.parametrize(
    "command",
    [
        REQUESTS["3014"],  # 4, 10, 14 and 16 h: no cycle
        request("3014", "PolID=011,CTime=00,CTime=12,CTime=12"),
        request("3014", "PolID=011,CTime=01,CTime=02"),
    ],
)
@virtual
async def test_sampling_hours_that_are_no_even_cycle_are_refused_and_nothing_is_set(
    tmp_path: Path, command: bytes
) -> None:
    site = Site(tmp_path)
    assert await site.ask(command) == [ACCEPTED, ended(2)]
    assert site.instruments.done == []
    await site.world.stop()


@pytest.mark.parametrize("step", [1, 2, 3, 4, 6, 8, 12, 24])
def test_every_even_cycle_is_found_whatever_hour_it_is_told_from(step: int) -> None:
    for first in range(step):
        hours = [(first + number * step) % 24 for number in range(24 // step)]
        for turn in range(len(hours)):
            cycle = edition2005.even_cycle((*hours[turn:], *hours[:turn]))
            assert cycle is not None
            assert (cycle.start, cycle.hours) == (f"{first:02d}0000", step)


# what a platform sets


@virtual
async def test_the_new_password_holds_from_the_next_packet_on(tmp_path: Path) -> None:
    site = Site(tmp_path)
    assert await site.ask(REQUESTS["1072"]) == [ACCEPTED, EXECUTED]
    assert site.terms.password == "654321"
    site.session.offer(site.world.seal(MOMENT))
    await site.world.sleep(2)
    assert b";PW=654321;" in site.city.of("2051")[0].frame
    await site.world.stop()


@pytest.mark.parametrize(("resends", "code"), [("0", 1), ("99", 1), ("100", 2)])
@virtual
async def test_no_resend_at_all_is_a_setting_of_2005(tmp_path: Path, resends: str, code: int) -> None:
    site = Site(tmp_path)
    assert await site.ask(request("1000", f"OverTime=5;ReCount={resends}")) == [ACCEPTED, ended(code)]
    assert site.terms.retries == (int(resends) if code == 1 else 3)
    await site.world.stop()


@pytest.mark.parametrize(
    ("setter", "getter", "given"),
    [("1032", "1031", "AlarmTarget=3882566"), ("1042", "1041", "ReportTime=0101"), ("1062", "1061", "RtdInterval=30")],
)
@virtual
async def test_what_was_set_is_told_and_kept(tmp_path: Path, setter: str, getter: str, given: str) -> None:
    site = Site(tmp_path)
    if getter != "1061":
        assert await site.ask(request(getter)) == [ACCEPTED, ended(100)]
    await site.ask(REQUESTS[setter])
    reply = f"ST=32;CN={getter};{PW};CP=&&QN={QN};{given}&&".encode()
    assert await site.ask(request(getter)) == [ACCEPTED, reply, EXECUTED]
    assert len(site.overrides()) == 1
    await site.world.stop()


@virtual
async def test_limits_are_kept_in_our_units_and_told_in_theirs(tmp_path: Path) -> None:
    site = Site(tmp_path)
    assert await site.ask(request("1021", "PolId=020")) == [ACCEPTED, ended(100)]
    set_both = request("1022", "020-LowValue=0,020-UpValue=0.05;101-LowValue=1.1,101-UpValue=9.9")
    assert await site.ask(set_both) == [ACCEPTED, EXECUTED]
    assert site.overrides() == {"limit.w20111": "0 50", "limit.w21011": "1.1 9.9"}
    reply = f"ST=32;CN=1021;{PW};CP=&&QN={QN};101-LowValue=1.1,101-UpValue=9.9;020-LowValue=0,020-UpValue=0.05&&"
    assert await site.ask(request("1021", "PolId=101;PolId=011;PolId=020")) == [ACCEPTED, reply.encode(), EXECUTED]
    await site.world.stop()


@pytest.mark.parametrize(
    ("cn", "cp"),
    [
        ("1022", "101-LowValue=9.9,101-UpValue=1.1"),
        ("1022", f"101-LowValue=1,101-UpValue={'9' * 60}"),
        ("1022", ";".join(f"x{number:03d}-LowValue=1,x{number:03d}-UpValue=2" for number in range(201))),
        ("1001", "WarnTime=soon"),
        ("1032", "AlarmTarget=//a b"),
        ("1042", "ReportTime=2400"),
        ("1042", "ReportTime=7"),
        ("1021", ""),
    ],
)
@virtual
async def test_what_is_out_of_bounds_is_not_set(tmp_path: Path, cn: str, cp: str) -> None:
    site = Site(tmp_path)
    assert await site.ask(request(cn, cp)) == [ACCEPTED, ended(2)]
    assert site.overrides() == {}
    await site.world.stop()


@virtual
async def test_alarm_records_are_told_when_asked_for(tmp_path: Path) -> None:
    site = Site(tmp_path, acknowledge=False)
    when = parse_time("20040506010101")
    noted = [Alarm(when, "w21011", 1.1, True), Alarm(when + 5000, "w21011", 0.9, False)]
    noted.append(Alarm(when + 10_000, "w20111", 61.4, True))
    site.world.store.now(alarms.note, "city", "ww1", noted, [], when)
    site.world.store.now(alarms.note, "other", "ww1", [Alarm(when, "w01018", 99.0, True)], [], when)
    printed = next(segment for _, segment in EXAMPLES if "CN=2071" in segment)
    first, record, mercury, last = await site.ask(request("2071", "BeginTime=20040506010101,EndTime=20040506010111"), 5)
    assert (first, last) == (ACCEPTED, EXECUTED)
    assert numbers(record.decode()) == numbers(printed)
    assert mercury.endswith(b"CP=&&DataTime=20040506010111;020-Ala=0.061&&")
    assert await site.ask(request("2071", "BeginTime=20040506010112;EndTime=20040506020000")) == [ACCEPTED, ended(100)]
    await site.world.stop()


@pytest.mark.parametrize("count", [0, 1, 7])
@virtual
async def test_all_alarm_records_come_in_pages(tmp_path: Path, count: int) -> None:
    # one after the other: packets of one instant may overtake each other on the test's wire
    site = Site(tmp_path, acknowledge=False, backfill_rate=10.0)
    noted = [Alarm(MOMENT - number * 1000, "w01018", 50.0 + number, True) for number in range(count)]
    site.world.store.now(alarms.note, "city", "ww1", noted, [], MOMENT)
    came = await site.ask(request("2071", "BeginTime=20040516000000,EndTime=20040516020000"), 10)
    values = [Packet.from_segment(each).get("011-Ala") for each in came[1:-1]]
    assert values == [f"{50.0 + number:.1f}" for number in reversed(range(count))]
    await site.world.stop()
