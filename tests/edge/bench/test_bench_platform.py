"""What the platform receives, records and answers, over real TCP on the loopback."""

import asyncio
from dataclasses import replace

import annexc
import pytest
from bench_peer import Dial, ManualClock, Peer

from edge.bench.platform import BenchPlatform, Options
from edge.bench.received import Received, Repeat, Verdict
from edge.bench.show import packet_lines
from edge.catalogue import use_language
from protocol.frame import wrap
from protocol.packet import Packet


def packet_of(frame: bytes) -> Packet:
    return Packet.from_segment(frame[6:-6])


def findings(received: Received) -> set[str]:
    return {finding.code for finding in received.findings}


async def heard(platform: BenchPlatform, count: int = 1) -> Received:
    await asyncio.wait_for(platform.until(lambda: len(platform.received) >= count), 5)
    return platform.received[count - 1]


async def test_upload_that_asks_is_answered_with_9014_of_its_qn(platform: BenchPlatform, peer: Peer) -> None:
    peer.say(annexc.REALTIME)
    assert await peer.hear() == annexc.REALTIME_ANSWER
    received = platform.received[0]
    assert (received.verdict, received.answer, received.data) == (Verdict.OK, "9014", annexc.REALTIME)
    assert (platform.counts["2011"], platform.answered["2011"]) == (1, 1)


async def test_upload_that_does_not_ask_is_kept_and_not_answered(platform: BenchPlatform, peer: Peer) -> None:
    peer.say(annexc.MINUTE_HISTORY, annexc.REALTIME)
    assert await peer.hear() == annexc.REALTIME_ANSWER
    assert (platform.received[0].answer, platform.answered["2051"]) == (None, 0)


async def test_notice_of_the_logger_is_answered_with_9013(peer: Peer) -> None:
    peer.say(annexc.CALIBRATION_REQUEST)
    assert await peer.hear() == annexc.NOTICE_ANSWER


@pytest.mark.parametrize(("cn", "answer"), [("9015", b"9013"), ("9021", b"9022")])
async def test_heartbeat_and_login_are_shown_by_name_and_answered(
    platform: BenchPlatform, peer: Peer, cn: str, answer: bytes
) -> None:
    station = f"PW=123456;MN={annexc.MN}"
    peer.say(wrap(f"QN=20160801085857223;ST=91;CN={cn};{station};Flag=5;CP=&&&&".encode()))
    expected = b"QN=20160801085857223;ST=91;CN=%b;%b;Flag=4;CP=&&&&" % (answer, station.encode())
    assert await peer.hear() == wrap(expected)
    received = platform.received[0]
    assert (received.verdict, received.answer) == (Verdict.OK, answer.decode())
    use_language("en")
    assert "heartbeat" in next(packet_lines(received))
    use_language(None)


async def test_a_heartbeat_alone_makes_no_logger_to_command_as_it_does_not_tell_the_stations_st(
    platform: BenchPlatform, peer: Peer
) -> None:
    peer.say(wrap(f"QN=20160801085857223;ST=91;CN=9021;PW=123456;MN={annexc.MN};Flag=5;CP=&&&&".encode()))
    await peer.hear()
    assert not platform.loggers
    peer.say(annexc.REALTIME)
    await peer.hear()
    assert platform.loggers[annexc.MN].st == "32"


async def test_answers_of_the_logger_are_never_answered(platform: BenchPlatform, peer: Peer) -> None:
    asking = replace(packet_of(annexc.EXECUTED), flag=5).to_frame()
    peer.say(asking, annexc.MINUTE)
    assert await peer.hear() == annexc.MINUTE_ANSWER
    assert platform.answered["9012"] == 0


async def test_on_packet_has_it_before_the_answer_is_written(clock: ManualClock) -> None:
    got: list[Received] = []
    platform = BenchPlatform("127.0.0.1:0", clock=clock, on_packet=got.append)
    await platform.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", platform.port)
    writer.write(annexc.REALTIME)
    await reader.readuntil(b"\r\n")
    assert [received.packet and received.packet.cn for received in got] == ["2011"]
    writer.close()
    await platform.stop()


async def test_damaged_frame_is_kept_as_bad_and_the_next_one_is_answered(platform: BenchPlatform, peer: Peer) -> None:
    peer.say(annexc.REALTIME.replace(b"w01001-Rtd=7.1", b"w01001-Rtd=7.2"), annexc.MINUTE)
    assert await peer.hear() == annexc.MINUTE_ANSWER
    first = platform.received[0]
    assert (first.verdict, first.packet, platform.counts["-"]) == (Verdict.BAD, None, 1)
    assert findings(first) == {"protocol.frame.crc"}


async def test_sound_frame_with_an_impossible_time_is_bad_and_not_answered(platform: BenchPlatform, peer: Peer) -> None:
    # CRC computed with the bitwise definition of Annex A for a 13th month.
    segment = annexc.MINUTE[6:-6].replace(b"DataTime=20160801084000", b"DataTime=20161301084000")
    register = 0xFFFF
    for byte in segment:
        register = register >> 8 ^ byte
        for _ in range(8):
            register = register >> 1 ^ (0xA001 if register & 1 else 0)
    peer.say(b"##%04d%b%04X\r\n" % (len(segment), segment, register), annexc.REALTIME)
    assert await peer.hear() == annexc.REALTIME_ANSWER
    assert (platform.received[0].verdict, platform.received[0].answer) == (Verdict.BAD, None)


async def test_bytewise_and_glued_frames_are_all_answered(peer: Peer) -> None:
    for byte in annexc.REALTIME:
        peer.say(bytes((byte,)))
        await peer.writer.drain()
    peer.say(annexc.MINUTE, annexc.CALIBRATION_REQUEST)
    expected = [annexc.REALTIME_ANSWER, annexc.MINUTE_ANSWER, annexc.NOTICE_ANSWER]
    assert [await peer.hear() for _ in range(3)] == expected


async def test_same_bytes_again_count_as_resent_and_are_answered_again(platform: BenchPlatform, peer: Peer) -> None:
    peer.say(annexc.MINUTE, annexc.MINUTE)
    assert [await peer.hear(), await peer.hear()] == [annexc.MINUTE_ANSWER] * 2
    assert [received.repeat for received in platform.received] == [Repeat.FIRST, Repeat.RESENT]
    assert platform.repeated == 1


async def test_same_data_under_a_new_qn_count_as_again_and_other_data_as_revised(
    platform: BenchPlatform, peer: Peer
) -> None:
    first = packet_of(annexc.MINUTE)
    again = replace(first, qn="20160801085500000")
    revised = replace(first, qn="20160801085500001", data=first.data[:-1])
    peer.say(annexc.MINUTE, again.to_frame(), revised.to_frame())
    await heard(platform, 3)
    assert [received.repeat for received in platform.received] == [Repeat.FIRST, Repeat.AGAIN, Repeat.REVISED]


async def test_qn_used_for_two_different_packets_is_grave(platform: BenchPlatform, peer: Peer) -> None:
    first = packet_of(annexc.MINUTE)
    other = replace(first, data=((("DataTime", "20160801085000"),), *first.data[1:]))
    peer.say(annexc.MINUTE, other.to_frame())
    assert findings(await heard(platform, 2)) == {"bench.qn_twice"}


async def test_frame_cut_by_the_end_of_the_link_is_reported(platform: BenchPlatform, peer: Peer) -> None:
    peer.say(annexc.MINUTE[:100])
    peer.writer.close()
    assert findings(await heard(platform)) == {"protocol.frame.unfinished"}


async def test_stalled_frame_is_given_up_and_the_link_lives_on(
    platform: BenchPlatform, peer: Peer, clock: ManualClock
) -> None:
    peer.say(annexc.REALTIME, b"##9999QN=")
    await peer.hear()
    await clock.advance(0)
    await clock.advance(7)
    assert findings(await heard(platform, 2)) == {"protocol.frame.unfinished"}
    peer.say(annexc.MINUTE)
    assert await peer.hear() == annexc.MINUTE_ANSWER


async def test_each_logger_is_answered_on_its_own_link(platform: BenchPlatform, dial: Dial) -> None:
    other = replace(packet_of(annexc.REALTIME), mn="010000A8900016F000169DC1")
    one, two = await dial(), await dial()
    two.say(other.to_frame())
    one.say(annexc.REALTIME)
    assert (await two.hear_packet()).mn == "010000A8900016F000169DC1"
    assert await one.hear() == annexc.REALTIME_ANSWER
    assert set(platform.loggers) == {annexc.MN, "010000A8900016F000169DC1"}
    assert platform.links == 2


async def test_dropped_links_end_and_the_port_takes_new_ones(platform: BenchPlatform, peer: Peer, dial: Dial) -> None:
    peer.say(annexc.REALTIME)
    await peer.hear()
    platform.drop_links()
    assert await peer.ended()
    again = await dial()
    again.say(annexc.MINUTE)
    assert await again.hear() == annexc.MINUTE_ANSWER


async def test_paused_platform_refuses_and_comes_back_on_its_port(
    platform: BenchPlatform, peer: Peer, dial: Dial
) -> None:
    peer.say(annexc.REALTIME)
    await peer.hear()
    address = platform.address
    await platform.pause()
    assert await peer.ended()
    host, port = address.split(":")
    try:
        await asyncio.open_connection(host, int(port))
        refused = False
    except ConnectionRefusedError:
        refused = True
    assert refused
    await platform.resume()
    again = await dial()
    again.say(annexc.MINUTE)
    assert await again.hear() == annexc.MINUTE_ANSWER
    assert (platform.address, len(platform.received)) == (address, 2)


async def test_on_link_hears_of_coming_and_going(clock: ManualClock) -> None:
    changes: list[tuple[str, bool]] = []
    options = Options(on_link=lambda peer, up: changes.append((peer, up)))
    platform = BenchPlatform("127.0.0.1:0", clock=clock, options=options)
    await platform.start()
    _, writer = await asyncio.open_connection("127.0.0.1", platform.port)
    host, port = writer.get_extra_info("sockname")
    writer.close()
    await asyncio.wait_for(platform.until(lambda: len(changes) == 2), 5)
    assert changes == [(f"{host}:{port}", True), (f"{host}:{port}", False)]
    await platform.stop()
