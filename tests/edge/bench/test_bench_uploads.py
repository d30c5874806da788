"""The form of uploads, split records put together, and answers that nobody asked for."""

import asyncio
from dataclasses import replace

import annexc
import pytest
from bench_peer import NOW, Dial, ManualClock, Peer

from edge.bench.check import check
from edge.bench.edition import Edition
from edge.bench.platform import BenchPlatform
from edge.bench.received import Received
from edge.bench.show import packet_lines, packet_object
from edge.catalogue import use_language
from protocol.packet import Packet

MINUTE = Packet.from_segment(annexc.MINUTE[6:-6])
REALTIME = Packet.from_segment(annexc.REALTIME[6:-6])
DAY = (("DataTime", "20160801000000"),)
LABEL = MINUTE.data[0]
AVG, MAX, MARK = ("w01018-Avg", "40.1"), ("w01018-Max", "40.1"), ("w01018-Flag", "N")


def codes(packet: Packet) -> list[str]:
    return [finding.code for finding in check(packet, NOW, Edition())]


@pytest.mark.parametrize(
    ("packet", "code"),
    [
        (replace(MINUTE, data=(*MINUTE.data[1:], LABEL)), "bench.form.data_time_first"),
        (replace(MINUTE, data=((*LABEL, AVG),)), "bench.form.item"),
        (replace(MINUTE, data=(LABEL, (AVG, ("w01001-Avg", "7.1")))), "bench.form.item"),
        (replace(MINUTE, data=(LABEL, (MAX, AVG, MARK))), "bench.form.order"),
        (replace(MINUTE, data=(LABEL, (AVG, MARK, ("w01018-Cou", "1")))), "bench.form.order"),
        (replace(MINUTE, data=(LABEL, (AVG, ("w01018-Rtd", "1")))), "bench.form.attribute"),
        (replace(MINUTE, data=(LABEL, (MARK,))), "bench.form.no_value"),
        (replace(MINUTE, data=(LABEL, (("lng", "113.75"),), (AVG, MARK))), "bench.form.extra"),
        (replace(MINUTE, data=(LABEL, (("w01018-Avg", "+40.1"),))), "bench.form.number"),
        (replace(MINUTE, data=(LABEL, (("w01018-Avg", "040.1"),))), "bench.form.number"),
        (replace(MINUTE, data=(LABEL, (("w01018-Avg", ".5"),))), "bench.form.number"),
        (replace(MINUTE, data=(LABEL, (("w01018-Avg", ""),))), "bench.form.number"),
        (replace(REALTIME, data=(LABEL, (("w01018-Avg", "1"),))), "bench.form.attribute"),
        (replace(REALTIME, cn="2021", data=(LABEL, (("SB1-RS", "1"), ("SB2-RS", "1")))), "bench.form.item"),
        (replace(REALTIME, cn="2021", data=(LABEL, (("SB1-RS", "10"),))), "bench.form.equipment"),
        (replace(REALTIME, cn="2021", data=(LABEL, (("SB1-RS", "1.0"),))), "bench.form.equipment"),
        (replace(MINUTE, cn="2041", data=(DAY, (("SB1-RT", "24.01"),))), "bench.form.equipment"),
        (replace(MINUTE, cn="2041", data=(DAY, (("SB1-RT", "1.123"),))), "bench.form.equipment"),
        (replace(MINUTE, cn="2041", data=(DAY, (("SB1-RT", ""),))), "bench.form.equipment"),
    ],
)
def test_each_deviation_of_form_is_found(packet: Packet, code: str) -> None:
    assert code in codes(packet)


def test_an_extra_field_is_one_word_and_no_fault_of_a_factor() -> None:
    assert codes(replace(MINUTE, data=(LABEL, (("lng", "113.75"),), (AVG, MARK)))) == ["bench.form.extra"]


@pytest.mark.parametrize("value", ["0", "0.0", "-0.5", "-12.25", "100", "63.0"])
def test_numbers_as_annex_c_prints_them_are_fine(value: str) -> None:
    assert codes(replace(MINUTE, data=(LABEL, (("w01018-Avg", value),)))) == []


def test_states_and_running_times_as_annex_c_prints_them_are_fine() -> None:
    """C.15, C.19; and a whole day."""
    for times in (("1.1", "2.1"), ("24.00", "0.00")):
        running = tuple(((f"SB{number}-RT", hours),) for number, hours in enumerate(times, 1))
        assert codes(replace(MINUTE, cn="2041", data=(DAY, *running))) == []
    assert codes(replace(REALTIME, cn="2021", data=(LABEL, (("SB1-RS", "1"),), (("SB2-RS", "0"),)))) == []


def _parts() -> tuple[Packet, Packet]:
    """C.50, with this hour's records in two parts that ask for answers."""
    first = replace(MINUTE, flag=7, pnum=2, pno=1, data=MINUTE.data[:3])
    return first, replace(first, qn="20160801085000002", pno=2, data=(LABEL, MINUTE.data[3]))


async def test_last_part_brings_the_whole_record_in_any_order(platform: BenchPlatform, peer: Peer) -> None:
    first, second = _parts()
    peer.say(second.to_frame(), first.to_frame())
    await peer.hear()
    await peer.hear()
    wholes = [received.whole for received in platform.received]
    assert wholes[0] is None
    assert wholes[1] == replace(MINUTE, flag=5)


async def test_resent_part_of_a_complete_record_opens_no_new_one(
    platform: BenchPlatform, peer: Peer, clock: ManualClock
) -> None:
    first, second = _parts()
    peer.say(first.to_frame(), second.to_frame(), second.to_frame())
    await asyncio.wait_for(platform.until(lambda: len(platform.received) == 3), 5)
    await clock.advance(120)
    peer.say(annexc.REALTIME)
    await asyncio.wait_for(platform.until(lambda: len(platform.received) == 4), 5)
    assert "bench.parts_missing" not in {finding.code for each in platform.received for finding in each.findings}


async def test_part_that_never_comes_is_said_with_a_later_packet(
    platform: BenchPlatform, dial: Dial, clock: ManualClock
) -> None:
    (await dial()).say(_parts()[0].to_frame())
    await asyncio.wait_for(platform.until(lambda: len(platform.received) == 1), 5)
    await clock.advance(61)
    (await dial()).say(annexc.REALTIME)
    await asyncio.wait_for(platform.until(lambda: len(platform.received) == 2), 5)
    missing = [each for each in platform.received[1].findings if each.code == "bench.parts_missing"]
    assert [each.params for each in missing] == [{"data_time": "20160801084000", "came": 1, "expected": 2}]


def test_whole_record_is_shown_below_its_last_part() -> None:
    use_language("en")
    received = Received(NOW, "1.2.3.4:5", b"", _parts()[1], whole=MINUTE)
    lines = list(packet_lines(received))
    assert any("2 parts put together" in line for line in lines)
    assert sum("w01018" in line for line in lines) == 2
    assert packet_object(received)["whole"][0] == {"DataTime": "20160801084000"}
    use_language(None)


async def test_answer_that_nobody_asked_for_is_noted_and_makes_no_logger(platform: BenchPlatform, peer: Peer) -> None:
    peer.say(annexc.ACCEPTED)
    await asyncio.wait_for(platform.until(lambda: len(platform.received) == 1), 5)
    (finding,) = platform.received[0].findings
    assert (finding.code, finding.params) == ("bench.answer_unasked", {"cn": "9011", "qn": "20160801085857223"})
    assert platform.loggers == {}


async def test_password_of_an_answer_is_not_taken_for_the_loggers(platform: BenchPlatform, peer: Peer) -> None:
    peer.say(annexc.REALTIME, replace(Packet.from_segment(annexc.ACCEPTED[6:-6]), pw="999999").to_frame())
    await asyncio.wait_for(platform.until(lambda: len(platform.received) == 2), 5)
    assert platform.loggers[annexc.MN].password == "123456"
