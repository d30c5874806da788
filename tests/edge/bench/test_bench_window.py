"""`hj212 platform test`: a platform that bears so many unanswered packets and no more, and what is never sent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import annexc
import pytest
from bench_peer import ManualClock, Peer
from pymodbus.framer.rtu import FramerRTU

from edge.bench.errors import NotTested
from edge.bench.platform import BenchPlatform
from edge.bench.window import Target, Trial, find_window, largest
from protocol.crc import Variant
from protocol.messages import Header
from protocol.packet import Packet

HEADER = Header("32", "123456", annexc.MN)
REFUSED = (  # C.1 with QnRtn 2; CRC computed bit by bit after Annex A
    b"##0094QN=20160801085857223;ST=91;CN=9011;PW=123456;MN=010000A8900016F000169DC0;Flag=4;CP=&&QnRtn=2&&"
)


class Narrow:
    """A platform with room for `room` packets: what comes beyond it in one burst is lost."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.heard: list[Packet] = []
        self.extra = b""
        """Written once, in front of the first answer."""

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        yield f"{host}:{port}"
        server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(65536):
            packets = [Packet.from_segment(frame[6:-4]) for frame in chunk.split(b"\r\n") if frame]
            self.heard += packets
            writer.write(self.extra)
            self.extra = b""
            for packet in [packet for packet in packets if packet.cn == "1013"][: self.room]:
                answer = annexc.NOTICE_ANSWER[6:-6].replace(b"20160801085857223", (packet.qn or "").encode())
                writer.write(framed(answer))
        writer.close()


def framed(segment: bytes) -> bytes:
    register = 0xFFFF
    for byte in segment:
        register = register >> 8 ^ byte
        for _ in range(8):
            register = register >> 1 ^ (0xA001 if register & 1 else 0)
    return b"##%04d%b%04X\r\n" % (len(segment), segment, register)


async def find(address: str, most: int, clock: ManualClock, hurry: int | None = None) -> list[Trial]:
    """With `hurry`, the time-out passes once so many trials are done."""
    done: list[Trial] = []
    news = asyncio.Event()

    def on_trial(trial: Trial) -> None:
        done.append(trial)
        news.set()

    finding = asyncio.create_task(find_window(Target(address=address, header=HEADER), most, 10, clock, on_trial))
    while hurry is not None and len(done) < hurry:
        news.clear()
        await asyncio.wait_for(news.wait(), 5)
    if hurry is not None:
        await clock.advance(11)
    return await asyncio.wait_for(finding, 5)


async def test_bench_platform_bears_every_window_up_to_the_maximum(platform: BenchPlatform, clock: ManualClock) -> None:
    trials = await find(platform.address, 20, clock)
    assert [(trial.window, trial.answered) for trial in trials] == [(1, 1), (2, 2), (4, 4), (8, 8), (16, 16), (20, 20)]
    assert largest(trials) == 20


async def test_largest_window_is_the_last_that_was_answered_in_full(clock: ManualClock) -> None:
    narrow = Narrow(3)
    async with narrow.listening() as address:
        trials = await find(address, 64, clock, hurry=2)
    assert [trial.window for trial in trials] == [1, 2, 4]
    assert (trials[-1].fine, trials[-1].is_open, largest(trials)) == (False, True, 2)


async def test_nothing_but_notices_of_one_form_is_sent(platform: BenchPlatform, clock: ManualClock) -> None:
    await find(platform.address, 4, clock)
    packets = [received.packet for received in platform.received]
    assert {packet.cn for packet in packets if packet} == {"1013"}
    assert {packet.data for packet in packets if packet} == {()}
    qns = [packet.qn for packet in packets if packet]
    assert qns == sorted(set(qns), key=str)


async def test_platform_that_closes_is_said(clock: ManualClock) -> None:
    async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.close()

    server = await asyncio.start_server(close, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    trials = await find(f"{host}:{port}", 8, clock)
    server.close()
    assert [(trial.window, trial.answered, trial.is_open) for trial in trials] == [(1, 0, False)]
    assert largest(trials) == 0


async def test_nobody_at_the_address_is_an_error(clock: ManualClock) -> None:
    with pytest.raises(NotTested) as caught:
        await find("127.0.0.1:1", 8, clock)
    assert (caught.value.code, caught.value.params["reason"]) == ("bench.window.no_link", "Connection refused")


async def test_command_of_the_platform_is_refused_and_counts_as_no_answer(clock: ManualClock) -> None:
    narrow = Narrow(64)
    narrow.extra = framed(
        b"QN=20160801085857223;ST=32;CN=1012;PW=123456;MN=010000A8900016F000169DC0;Flag=5;"
        b"CP=&&SystemTime=20160801085857&&"
    )
    async with narrow.listening() as address:
        trials = await find(address, 2, clock)
    assert [trial.answered for trial in trials] == [1, 2]
    refusals = [packet for packet in narrow.heard if packet.cn != "1013"]
    assert [packet.to_frame()[:-6] for packet in refusals] == [REFUSED]


async def test_logger_in_table_c4_speaks_as_printed(clock: ManualClock) -> None:
    """Annex C prints PolId, which stands for an analyzer's clock; the logger's own has none."""
    heard: asyncio.Future[Peer] = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.set_result(Peer(reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    finding = asyncio.create_task(find(f"{host}:{port}", 1, clock))
    peer = await heard
    printed = annexc.CALIBRATION_REQUEST[6:-6].replace(b"PolId=w01018", b"")
    assert await peer.hear() == framed(printed)
    peer.say(annexc.NOTICE_ANSWER)
    assert largest(await finding) == 1
    peer.writer.close()
    server.close()


@pytest.mark.parametrize("crc", ["modbus-hi-lo", "modbus-lo-hi"])
async def test_the_links_own_check_code_and_line_end_are_used_both_ways(crc: Variant) -> None:
    """The CRC of pymodbus, another implementation, low byte first as Modbus sends it."""
    heard: list[bytes] = []

    def modbus(segment: bytes) -> bytes:
        low_first = FramerRTU.compute_CRC(segment)
        swapped = low_first >> 8 | (low_first & 0xFF) << 8
        return b"%04X" % (low_first if crc == "modbus-lo-hi" else swapped)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\n"))
        segment = heard[0][6:-5]
        answer = segment.replace(b"ST=32;CN=1013", b"ST=91;CN=9013").replace(b"Flag=5", b"Flag=4")
        writer.write(b"##%04d%b%b\r\n" % (len(answer), answer, modbus(answer)))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    target = Target(address=f"{host}:{port}", header=HEADER, crc=crc, tail="lf")
    trials = await find_window(target, 1, 10, ManualClock(), lambda trial: None)
    server.close()
    assert largest(trials) == 1
    assert heard[0][-5:-1] == modbus(heard[0][6:-5])
