"""Findings in decoded packets, and what counts as repeated."""

import re
from dataclasses import replace
from pathlib import Path

import annexc
import pytest
from bench_peer import NOW

from edge.bench.check import Memory, check
from edge.bench.edition import Edition
from edge.bench.received import Repeat
from protocol.packet import Packet

MINUTE = Packet.from_segment(annexc.MINUTE[6:-6])
REALTIME = Packet.from_segment(annexc.REALTIME[6:-6])


def codes(packet: Packet) -> dict[str, bool]:
    return {finding.code: finding.grave for finding in check(packet, NOW, Edition())}


def labelled(packet: Packet, data_time: str) -> Packet:
    return replace(packet, data=((("DataTime", data_time),), *packet.data[1:]))


MARKED = replace(MINUTE, data=(*MINUTE.data, (("w01018-Avg", "1"), ("w01018-Flag", "Q"))))


@pytest.mark.parametrize("frame", [annexc.REALTIME, annexc.MINUTE, annexc.ACCEPTED, annexc.CALIBRATION_REQUEST])
def test_packets_of_the_standard_have_no_findings(frame: bytes) -> None:
    assert codes(Packet.from_segment(frame[6:-6])) == {}


@pytest.mark.parametrize(
    ("packet", "code", "grave"),
    [
        (replace(MINUTE, qn=None), "bench.qn_missing", True),
        (replace(MINUTE, qn="1470013137223"), "bench.qn_form", True),
        (replace(MINUTE, qn="20160801070000001"), "bench.qn_off", False),
        (replace(MINUTE, cn="2099"), "bench.cn_unknown", False),
        (replace(MINUTE, flag=9), "bench.flag_version", False),
        (replace(MINUTE, flag=1), "bench.flag_version", False),
        (replace(MINUTE, data=MINUTE.data[1:]), "bench.data_time_missing", True),
        (labelled(MINUTE, "20160801084001"), "bench.data_time_ending", True),
        (labelled(replace(MINUTE, cn="2061"), "20160801084000"), "bench.data_time_ending", True),
        (labelled(replace(MINUTE, cn="2031"), "20160801080000"), "bench.data_time_ending", True),
        (labelled(MINUTE, "20160801094000"), "bench.data_time_ahead", False),
        (replace(MINUTE, data=(*MINUTE.data, (("w99999-Avg", "1"),))), "bench.factor_unknown", False),
        (labelled(MARKED, "20160801084000"), "bench.mark_unknown", False),
    ],
)
def test_each_defect_has_its_finding(packet: Packet, code: str, grave: bool) -> None:
    assert codes(packet) == {code: grave}


def test_upload_without_qn_that_asks_for_nothing_is_fine() -> None:
    assert codes(replace(MINUTE, qn=None, flag=4)) == {}


def test_equipment_is_no_unknown_factor() -> None:
    states = replace(REALTIME, cn="2021", data=(REALTIME.data[0], (("SB1-RS", "1"),)))
    assert codes(states) == {}


def test_parts_of_a_split_record_are_not_repetitions() -> None:
    memory = Memory(100)
    parts = [replace(MINUTE, qn=f"2016080108500000{n}", flag=7, pnum=2, pno=n) for n in (1, 2)]
    assert [memory.judge(part, b"%d" % (part.pno or 0))[0] for part in parts] == [Repeat.FIRST] * 2


def test_answers_that_repeat_the_qn_of_a_command_are_not_repetitions() -> None:
    memory = Memory(100)
    for frame in (annexc.TIME_REPLY, annexc.ACCEPTED, annexc.EXECUTED):
        assert memory.judge(Packet.from_segment(frame[6:-6]), frame) == (Repeat.FIRST, ())


def test_memory_is_bounded_and_forgets_the_oldest() -> None:
    memory = Memory(2)
    for second in range(4):
        packet = labelled(replace(MINUTE, qn=f"2016080108500{second}000"), f"20160801084{second}00")
        memory.judge(packet, b"%d" % second)
    first = labelled(replace(MINUTE, qn="20160801085000000"), "20160801084000")
    assert memory.judge(first, b"0") == (Repeat.FIRST, ())


COMPOSED = ("verdict", "repeat", "outcome", "profile.option", "conformity", "what", "effect", "col")


def test_every_text_of_the_bench_exists_in_both_languages() -> None:
    folder = Path(__file__).parents[3] / "edge"
    verbs = [*(folder / "cli").glob("platform*.py"), folder / "cli" / "listening.py"]
    sources = [*(folder / "bench").glob("*.py"), *verbs]
    used = {code for path in sources for code in re.findall(r'"(bench\.[a-z_0-9.-]+)"', path.read_text("utf-8"))}
    rows = [line.split("\t") for line in (folder / "texts" / "bench.tsv").read_text("utf-8").splitlines()]
    known = {code for code, zh, en in rows if zh and en}
    composed = tuple(f"bench.{part}." for part in COMPOSED)
    assert used <= known
    assert {code for code in known - used if not code.startswith(composed)} == set()
