"""All sequences of Annex C as conversations over TCP: who speaks first, byte for byte, and the platform's verdict."""

import asyncio
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import annexc
import pytest
from bench_peer import Peer

from edge.bench.conversation import CommandResult, Conformity, Outcome
from edge.bench.platform import BenchPlatform
from edge.bench.received import Verdict
from protocol.frame import wrap
from protocol.packet import Packet

Line = tuple[str, bytes]  # who speaks, and the frame
STALE, ASKED = b"QN=20101110010101001", b"QN=20160801085857223"


def _sequences() -> Iterator[tuple[str, list[Line]]]:
    text = (Path(__file__).parent / "annex_c_sequences.tsv").read_text("utf-8")
    rows = [line.split("\t") for line in text.splitlines() if not line.startswith("#")]
    for table, lines in groupby(rows, key=lambda row: row[0]):
        yield table, [(who, packet.encode() + b"\r\n") for _, who, packet in lines]


SEQUENCES = dict(_sequences())
COMMANDED = [table for table, lines in SEQUENCES.items() if lines[0][0] == "platform"]
UPLOADED = [table for table, lines in SEQUENCES.items() if lines[0][0] == "logger"]


def packet_of(frame: bytes) -> Packet:
    return Packet.from_segment(frame[6:-6])


async def rehearse(platform: BenchPlatform, peer: Peer, lines: list[Line]) -> CommandResult:
    """The platform begins; the peer plays the logger as printed, and insists on what the platform must say."""
    peer.say(annexc.MINUTE)
    await peer.hear()
    request = packet_of(lines[0][1])
    task = asyncio.create_task(platform.ask(annexc.MN, request.cn, request.data))
    for who, frame in lines:
        if who == "platform":
            assert await peer.hear() == frame
        else:
            peer.say(frame)
    return await asyncio.wait_for(task, 5)


def test_all_fifty_tables_are_here() -> None:
    assert [*SEQUENCES] == [f"C.{number}" for number in range(1, 51)]
    assert sum(map(len, SEQUENCES.values())) == 155


@pytest.mark.parametrize("table", [table for table in COMMANDED if table != "C.43"])
async def test_printed_sequence_of_a_command_conforms(platform: BenchPlatform, peer: Peer, table: str) -> None:
    result = await rehearse(platform, peer, SEQUENCES[table])
    assert (result.outcome, result.conformity, result.deviations) == (Outcome.DONE, Conformity.CONFORMS, ())
    printed = [packet_of(frame) for who, frame in SEQUENCES[table] if who == "logger"]
    assert list(result.heard) == printed


async def test_c43_as_printed_deviates_by_its_stale_qn(platform: BenchPlatform, peer: Peer) -> None:
    result = await rehearse(platform, peer, SEQUENCES["C.43"])
    assert result.conformity is Conformity.DEVIATES
    (deviation,) = result.deviations
    shown = {"cn": "9011", "field": "QN", "expected": "20160801085857223", "came": "20101110010101001"}
    assert (deviation.code, deviation.params) == ("bench.seq.field", shown)


async def test_c43_corrected_conforms(platform: BenchPlatform, peer: Peer) -> None:
    lines = [(who, wrap(frame[6:-6].replace(STALE, ASKED))) for who, frame in SEQUENCES["C.43"]]
    result = await rehearse(platform, peer, lines)
    assert (result.conformity, result.get("i12001-Info")) == (Conformity.CONFORMS, "1")


@pytest.mark.parametrize("table", UPLOADED)
async def test_printed_upload_is_answered_as_printed(platform: BenchPlatform, peer: Peer, table: str) -> None:
    for who, frame in SEQUENCES[table]:
        if who == "logger":
            peer.say(frame)
        else:
            assert await peer.hear() == frame
    assert platform.received[0].verdict is not Verdict.BAD
    assert peer.heard_nothing()
