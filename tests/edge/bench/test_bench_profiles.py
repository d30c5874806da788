"""Each bad platform behaves as its name says."""

import asyncio
from dataclasses import replace

import annexc
import pytest
from bench_peer import ManualClock, Peer, settle

from edge.bench.errors import BadProfile
from edge.bench.platform import BenchPlatform
from edge.bench.profiles import NAMES, NORMAL, Profile, profile
from protocol.packet import Packet


def under(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("platform", names, indirect=True)


async def received(platform: BenchPlatform, count: int) -> None:
    await asyncio.wait_for(platform.until(lambda: len(platform.received) >= count), 5)
    await settle()


@under("silent", "mute:2011,2021")
async def test_kept_back_answer_never_comes_and_the_packet_is_kept(platform: BenchPlatform, peer: Peer) -> None:
    peer.say(annexc.REALTIME)
    await received(platform, 1)
    assert peer.heard_nothing()
    assert (platform.received[0].answer, platform.answered.total()) == (None, 0)


@under("mute:2011,2021")
async def test_kinds_that_are_not_muted_are_answered(peer: Peer) -> None:
    peer.say(annexc.REALTIME, annexc.MINUTE)
    assert await peer.hear() == annexc.MINUTE_ANSWER


@under("late:3")
async def test_late_answer_comes_after_its_time_and_not_before(
    platform: BenchPlatform, peer: Peer, clock: ManualClock
) -> None:
    peer.say(annexc.REALTIME)
    await received(platform, 1)
    await clock.advance(2.9)
    assert peer.heard_nothing()
    await clock.advance(0.2)
    assert await peer.hear() == annexc.REALTIME_ANSWER


@under("twice")
async def test_answer_comes_twice(peer: Peer) -> None:
    peer.say(annexc.REALTIME)
    assert [await peer.hear(), await peer.hear()] == [annexc.REALTIME_ANSWER] * 2


@under("station-st", "flag5", "qnrtn", "refuse", "station-st+flag5+qnrtn")
async def test_sloppy_answer_keeps_cn_and_qn(platform: BenchPlatform, peer: Peer) -> None:
    peer.say(annexc.REALTIME)
    answer = await peer.hear_packet()
    assert (answer.cn, answer.qn, answer.mn) == ("9014", "20160801085857223", annexc.MN)
    name = platform.profile.name
    assert answer.st == ("32" if "station-st" in name else "91")
    assert answer.flag == (5 if "flag5" in name else 4)
    assert answer.get("QnRtn") == ("2" if name == "refuse" else "1" if "qnrtn" in name else None)


@under("qnrtn")
async def test_notice_answer_never_has_a_qnrtn(peer: Peer) -> None:
    peer.say(annexc.CALIBRATION_REQUEST)
    assert await peer.hear() == annexc.NOTICE_ANSWER


@under("segment")
async def test_second_frame_of_a_segment_is_lost_and_said_to_be(platform: BenchPlatform, peer: Peer) -> None:
    peer.say(annexc.REALTIME + annexc.MINUTE)
    assert await peer.hear() == annexc.REALTIME_ANSWER
    await received(platform, 2)
    assert platform.received[1].findings[0].code == "bench.one_per_segment"
    peer.say(annexc.MINUTE)
    assert await peer.hear() == annexc.MINUTE_ANSWER


@under("segment")
async def test_half_a_frame_is_lost_with_its_segment(platform: BenchPlatform, peer: Peer) -> None:
    peer.say(annexc.MINUTE[:50])
    await received(platform, 1)
    peer.say(annexc.MINUTE[50:])
    await received(platform, 2)
    assert [each.packet for each in platform.received] == [None, None]


@under("idle:30")
async def test_idle_link_is_closed_and_a_busy_one_is_not(
    platform: BenchPlatform, peer: Peer, clock: ManualClock
) -> None:
    for _ in range(3):
        await clock.advance(20)
        peer.say(annexc.REALTIME)
        assert await peer.hear() == annexc.REALTIME_ANSWER
    assert platform.links == 1
    await clock.advance(31)
    assert await peer.ended()


@under("slow:0.1")
async def test_slow_answer_comes_byte_by_byte(platform: BenchPlatform, peer: Peer, clock: ManualClock) -> None:
    peer.say(annexc.REALTIME)
    await received(platform, 1)
    assert await peer.reader.readexactly(1) == b"#"
    await clock.advance(0.1)
    assert await peer.reader.readexactly(1) == b"#"
    assert peer.heard_nothing()
    await clock.advance(20)
    assert await peer.hear() == annexc.REALTIME_ANSWER[2:]


async def test_profile_changes_while_a_link_is_up(platform: BenchPlatform, peer: Peer) -> None:
    platform.profile = profile("silent")
    peer.say(annexc.REALTIME)
    await received(platform, 1)
    platform.profile = NORMAL
    peer.say(annexc.REALTIME)
    assert await peer.hear() == annexc.REALTIME_ANSWER


def test_every_listed_name_is_a_profile() -> None:
    options = {"late": "late:3", "idle": "idle:3", "mute": "mute:2011"}
    assert all(isinstance(profile(options.get(name, name)), Profile) for name in NAMES)


def test_joined_profiles_do_both() -> None:
    both = profile("late:3+flag5")
    assert (both.delay_s, both.flag) == (3.0, 5)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("nonsense", "bench.profile.unknown"),
        ("", "bench.profile.unknown"),
        ("late", "bench.profile.option.late"),
        ("late:soon", "bench.profile.option.late"),
        ("late:-1", "bench.profile.option.late"),
        ("idle:nan", "bench.profile.option.idle"),
        ("mute:20", "bench.profile.option.mute"),
        ("twice:3", "bench.profile.no_option"),
    ],
)
def test_wrong_profile_says_what_is_wrong(text: str, code: str) -> None:
    with pytest.raises(BadProfile) as caught:
        profile(text)
    assert caught.value.code == code


def test_shaped_answer_leaves_the_region_of_other_answers_alone() -> None:
    upload = Packet.from_segment(annexc.REALTIME[6:-6])
    notice = replace(upload, cn="9013", st="91", data=())
    assert profile("qnrtn").shaped(notice, upload) == notice
