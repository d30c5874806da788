"""What a platform wants otherwise than the standard: how our frames look, and what of its own frames is borne."""

from __future__ import annotations

from pathlib import Path

import pytest
from virtual_time import MINUTE_MS, MN, NOON, Profile, ScriptedPlatform, World, realtime_region, virtual

from edge.store import connection, outbox
from edge.store.outbox import Due
from edge.uplink.terms import destination
from edge.values import Kind
from protocol.frame import wrap
from protocol.packet import Packet
from protocol.times import time_text

HEAD = f"ST=32;CN=1062;PW=123456;MN={MN};Flag=5"
QN = "20260922120001000"
HOUR_MS = 60 * MINUTE_MS


def region_text(frame: bytes) -> str:
    return frame.partition(b"CP=&&")[2].rpartition(b"&&")[0].decode()


def command(data: str = "RtdInterval=45", qn: str = QN) -> bytes:
    return f"QN={qn};{HEAD};CP=&&{data}&&".encode()


def damaged(segment: bytes) -> bytes:
    """A sound frame but for its check code."""
    frame = wrap(segment)
    return frame[:-6] + (b"0000" if frame[-6:-2] != b"0000" else b"1C80") + b"\r\n"


# our frames


@pytest.mark.parametrize(("tail", "end"), [("crlf", b"\r\n"), ("lf", b"\n"), ("none", b"")])
@virtual
async def test_uploads_answers_and_heartbeats_end_as_the_platform_wants(tmp_path: Path, tail: str, end: bytes) -> None:
    world, city = World(tmp_path, asks_time=True), ScriptedPlatform()
    session = world.add(city, tail=tail, heartbeat="9015")
    await world.sleep(1)
    await session.offer_fleeting("2011", NOON, realtime_region(NOON))
    world.offer(world.seal(NOON))
    city.send(wrap(command()))
    await world.sleep(2)
    assert {"2011", "2051", "9011", "9012", "1013", "9015"} == {seen.packet.cn for seen in city.seen}
    for seen in city.seen:
        behind = seen.frame[6 + int(seen.frame[2:6]) + 4 :]
        assert behind == end
    await world.stop()


@virtual
async def test_extra_fields_stand_behind_data_time_in_data_and_nowhere_else(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform()
    session = world.add(city, extra={"lng": "113.75", "lat": "23.04"})
    await world.sleep(1)
    await session.offer_fleeting("2011", NOON, realtime_region(NOON))
    for kind in Kind:
        world.offer(world.seal(NOON - 24 * HOUR_MS, kind=kind))
    startup = Due("city", "ww1", "2081", NOON, payload=b"DataTime=20260922120000;RestartTime=20260922120000")
    world.offer(world.store.now(outbox.enqueue, [startup], NOON))
    await world.sleep(5)
    for cn in ("2011", "2051", "2061", "2031"):
        (seen,) = city.of(cn)
        label, lng, lat, factor = region_text(seen.frame).split(";")[:4]
        assert label.startswith("DataTime=")
        assert (lng, lat) == ("lng=113.75", "lat=23.04")
        assert factor.startswith("w")
    assert "lng" not in region_text(city.of("2081")[0].frame)
    city.seen.clear()
    city.send(wrap(f"QN={QN};ST=32;CN=2051;PW=123456;MN={MN};Flag=5;CP=&&BeginTime={time_text(NOON - 24 * HOUR_MS)},"
                   f"EndTime={time_text(NOON - 24 * HOUR_MS)}&&".encode()))  # fmt: skip
    await world.sleep(5)
    assert region_text(city.of("2051")[0].frame).split(";")[1:3] == ["lng=113.75", "lat=23.04"]
    await world.stop()


@virtual
async def test_a_packet_that_is_issued_anew_keeps_the_extra_fields_it_had_first(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform(Profile(silent=True))
    world.seal(NOON)
    world.add(city, extra={"lng": "113.75"})
    await world.sleep(60)
    await world.stop()
    first = region_text(city.of("2051")[0].frame)
    world, again = World(tmp_path, NOON + 3 * HOUR_MS), ScriptedPlatform()
    world.add(again, extra={"lng": "114.00"})
    await world.sleep(60)
    assert again.of("2051")[0].packet.qn != city.of("2051")[0].packet.qn
    assert region_text(again.of("2051")[0].frame) == first
    assert first.count("lng=") == 1
    await world.stop()


@virtual
async def test_a_short_limit_splits_and_the_order_of_the_part_numbers_is_the_platforms(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform()
    world.add(city, segment_limit=256, part_order="pno-pnum", extra={"lng": "113.75"}, window=4)
    await world.sleep(1)
    world.offer(world.seal(NOON))
    await world.sleep(10)
    parts = city.of("2051")
    assert len(parts) == 2
    for number, seen in enumerate(parts, 1):
        assert len(seen.frame) <= 256 + 12
        assert f"Flag=7;PNO={number};PNUM=2;CP=&&DataTime={time_text(NOON)};".encode() in seen.frame
    assert [seen.frame.count(b"lng=113.75") for seen in parts] == [1, 0]
    assert (world.open_count(), world.counts().answered) == (0, 1)
    await world.stop()


@virtual
async def test_another_check_code_gets_its_own_packets_of_what_is_not_delivered(tmp_path: Path) -> None:
    """What was made for another one would be refused as often as it is resent."""

    world = World(tmp_path)
    usual = world.add(ScriptedPlatform()).terms.site
    modbus = world.add(ScriptedPlatform(), "county", "M2", crc="modbus-hi-lo").terms.site
    since = [
        world.store.now(outbox.address_since, "p", destination(site), now)
        for now, site in enumerate((usual, usual, modbus, modbus), 1)
    ]
    assert since == [0, 0, 3, 3]
    await world.stop()


# its frames


@virtual
async def test_a_damaged_command_is_dropped_and_counted(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform()
    session = world.add(city)
    await world.sleep(1)
    city.send(damaged(command()))
    await world.sleep(20)
    assert city.seen == []
    assert session.health.damaged == world.links["city"].bad_frames == 1
    assert session.terms.realtime_ms == 60_000
    await world.stop()


@virtual
async def test_a_damaged_command_is_answered_9_where_the_site_says_so_and_never_carried_out(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform()
    session = world.add(city, crc_error="answer")
    await world.sleep(1)
    odd = command().replace(b"PW=123456", b"PW=999999").replace(MN.encode(), b"STRANGE")
    city.send(damaged(command()) + damaged(odd) + wrap(command("RtdInterval=40")))
    await world.sleep(20)
    echoed = [f"PW=123456;MN={MN}", "PW=999999;MN=STRANGE"]
    refusals = [seen.frame for seen in city.of("9011") if seen.packet.get("QnRtn") == "9"]
    assert refusals == [wrap(f"QN={QN};ST=91;CN=9011;{station};Flag=4;CP=&&QnRtn=9&&".encode()) for station in echoed]
    assert session.terms.realtime_ms == 40_000  # the sound one behind them
    assert session.health.damaged == 2
    await world.stop()


@virtual
async def test_what_is_damaged_and_no_readable_request_is_not_answered(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform(Profile(silent=True))
    world.add(city, crc_error="answer")
    await world.sleep(1)
    world.offer(world.seal(NOON))
    await world.sleep(1)
    (sent,) = city.of("2051")
    silent = [
        f"QN={sent.packet.qn};ST=91;CN=9014;PW=123456;MN={MN};Flag=4;CP=&&&&",  # an answer
        f"{HEAD};CP=&&RtdInterval=45&&",  # no QN to echo
        f"QN={QN};{HEAD.replace('Flag=5', 'Flag=4')};CP=&&RtdInterval=45&&",  # asks for no answer
        f"QN={QN};{HEAD};CP=&&RtdInterval&&",  # cannot be read
    ]
    for segment in silent:
        city.send(damaged(segment.encode()))
    city.send(b"##0199QN=1;noise\r\n")
    await world.sleep(20)
    assert {seen.packet.cn for seen in city.seen} == {"2051"}
    assert world.open_count() == 1
    assert world.store.now(connection.receipts) == []
    await world.stop()


@pytest.mark.parametrize("end", ["crlf", "lf", "none"])
@virtual
async def test_extra_fields_a_missing_line_end_and_any_order_of_the_header_are_borne(tmp_path: Path, end: str) -> None:
    world, city = World(tmp_path), ScriptedPlatform(Profile(silent=True))
    session = world.add(city)
    await world.sleep(1)
    world.offer(world.seal(NOON))
    await world.sleep(1)
    (sent,) = city.of("2051")
    answer = f"ST=91;CN=9014;QN={sent.packet.qn};PW=123456;MN={MN};PNO=1;PNUM=1;Flag=4;X=1;CP=&&CN=2051;Site=A1&&"
    asking = f"QN={QN};{HEAD};CP=&&RtdInterval=45;lng=113.75;lat=23.04&&"
    segments = [answer.encode(), asking.encode()]
    city.send(b"".join(wrap(segment, tail=end) for segment in segments))  # type: ignore[arg-type]  # a Tail
    await world.sleep(2)
    assert (world.open_count(), world.counts().answered) == (0, 1)
    assert session.terms.realtime_ms == 45_000
    assert [seen.packet.cn for seen in city.seen][-2:] == ["9011", "9012"]
    await world.stop()


def test_part_numbers_are_read_in_either_order_padded_or_not() -> None:
    station = f"QN={QN};ST=32;CN=2051;PW=123456;MN={MN};Flag=7"
    for parts in ("PNUM=2;PNO=1", "PNO=1;PNUM=2", "PNO=0001;PNUM=0002"):
        packet = Packet.from_segment(f"{station};{parts};CP=&&DataTime=20260922120000;w01018-Avg=1.0&&".encode())
        assert (packet.pno, packet.pnum, packet.is_split) == (1, 2, True)
