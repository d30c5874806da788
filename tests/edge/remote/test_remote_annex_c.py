"""The sequences of HJ 212-2017 Annex C that a platform begins, replayed at the logger: requests and printed answers.

Numbers are compared as numbers (the annex prints fewer decimals than the factor's format), QNs of history data are
fresh ones, C.43's stale QN is the request's. C.23 ends with 100: no equipment is watched. C.41 has its own test:
texts of logs are the journal's. C.49 and C.50 split what is too long (test_remote_history).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from virtual_time import ScriptedPlatform, World, virtual

from edge.actions import ActionResult
from edge.store import records
from edge.values import Kind, Record
from protocol.packet import Packet
from protocol.times import parse_time

TABLE = Path(__file__).parents[2] / "protocol" / "annex_c.tsv"
MOMENT = parse_time("20160801085857")
DATA = {
    "get-time": {"SystemTime": "20160801085857"},
    "keep-sample": {"VaseNo": "1"},
    "get-cycle": {"CstartTime": "000000", "CTime": "2"},
    "time-to-result": {"Stime": "40"},
    "serial-number": {"SN": "010000A8900016F000169DC1"},
}
INFOS = {"i12001": "1", "i13004": "168.0"}


class Instruments:
    """Instruments that can do everything, at once, with the annex's values."""

    def __init__(self) -> None:
        self.done: list[tuple[Any, ...]] = []

    async def run(self, outlet: str, pol_id: str | None, action: str, **values: Any) -> ActionResult:
        self.done.append((outlet, pol_id, action, values))
        return ActionResult("done", DATA.get(action, {}))

    async def read_info(self, outlet: str, pol_id: str | None, info_id: str) -> ActionResult:
        return ActionResult("done", {"Info": INFOS[info_id]})

    async def write_info(
        self, outlet: str, pol_id: str | None, info_id: str, text: str, asked_by: str | None = None
    ) -> ActionResult:
        self.done.append((outlet, pol_id, info_id, text))
        return ActionResult("done")


def sequences() -> dict[str, list[tuple[str, Packet, bytes]]]:
    """Direction, packet and frame of each row, by table."""
    found: dict[str, list[tuple[str, Packet, bytes]]] = {}
    for line in TABLE.read_text("utf-8").splitlines():
        if not line.startswith("##0"):
            continue
        text, table, _page, direction, *_ = line.split("\t")
        frame = text.encode()
        packet = Packet.from_segment(frame[6 : 6 + int(frame[2:6])])
        found.setdefault(table, []).append((direction, packet, frame + b"\r\n"))
    return found


HISTORY = ("2031", "2041", "2051", "2061")
ALL = sequences()
BEGUN = [
    table
    for table, rows in ALL.items()
    if rows[0][0] == "center->field" and len(rows) > 1 and rows[1][0] == "field->center"
    and rows[1][1].cn in ("9011", "9013") and table not in ("C.41", "C.49", "C.50")
]  # fmt: skip


def records_of_the_annex() -> list[Record]:
    found = []
    for kind, start, cou_water, cou_cod in (
        (Kind.MINUTE, "20160801084000", 10.5, 10.5),
        (Kind.HOUR, "20160801080000", 63.0, 63.0),
        (Kind.DAY, "20160801000000", 1512.0, 2142.0),
    ):
        begin = parse_time(start)
        found += [
            Record("ww1", kind, "w00000", begin, min=16.4, avg=17.5, max=20.1, cou=cou_water),
            Record("ww1", kind, "w01001", begin, min=7.1, avg=7.5, max=7.8),
            Record("ww1", kind, "w01018", begin, min=40.1, avg=40.1, max=40.1, cou=cou_cod),
        ]
    day = parse_time("20160801000000")
    found += [Record("ww1", Kind.DAY, name, day, cou=hours, count=24) for name, hours in (("SB1", 1.1), ("SB2", 2.1))]
    return found


def compared(packet: Packet, request: Packet) -> Mapping[str, Any]:
    """A packet with its numbers as numbers; a QN only where it is that of the request."""
    fields = [(name, _value(name, value)) for item in packet.data for name, value in item]
    is_history = packet.cn in HISTORY
    return {
        "qn": None if is_history else request.qn,
        "head": (packet.st, packet.cn, packet.pw, packet.mn, packet.flag),
        "data": fields,
    }


def _value(name: str, value: str) -> float | str:
    if name == "DataTime" and value.startswith("20100301"):  # C.43 prints a time of six years before
        return "20160801085857"
    return float(value) if name.rpartition("-")[2] in ("Min", "Avg", "Max", "Cou", "RT") else value


def test_most_sequences_are_begun_by_the_platform() -> None:
    assert len(BEGUN) == 30


@pytest.mark.parametrize("table", BEGUN)
@virtual
async def test_a_sequence_is_answered_as_it_is_printed(tmp_path: Path, table: str) -> None:
    (_, request, frame), *printed = ALL[table]
    expected = [packet for direction, packet, _ in printed if direction == "field->center"]
    asks = [bool(packet.flag and packet.flag & 1) for packet in expected if packet.cn == request.cn]
    world, city = World(tmp_path, MOMENT - 500), ScriptedPlatform()
    world.actions = Instruments()
    world.store.now(records.seal, records_of_the_annex(), [], MOMENT)
    history = request.cn in HISTORY
    minute = 600_000 if request.cn == "1063" else 60_000
    world.add(city, realtime=30_000, minute=minute, acknowledge=not history or asks[0])
    await world.sleep(0.9)
    city.send(frame)
    await world.sleep(10)
    came = [seen.packet for seen in city.seen]
    assert [compared(packet, request) for packet in came] == [compared(packet, request) for packet in expected]
    assert {packet.qn for packet in came if packet.cn not in HISTORY} == {request.qn}
    await world.stop()


@virtual
async def test_what_a_command_says_reaches_the_instrument(tmp_path: Path) -> None:
    world, city = World(tmp_path, MOMENT), ScriptedPlatform()
    instruments = world.actions = Instruments()
    world.add(city)
    await world.sleep(1)
    for table in ("C.3", "C.30", "C.31", "C.32", "C.33", "C.34", "C.35", "C.46"):
        city.send(ALL[table][0][2])
        await world.sleep(1)
    cod = "ww1", "w01018"
    assert instruments.done == [
        (*cod, "set-time", {"time_ms": MOMENT}), (*cod, "zero-span", {}), (*cod, "sample-now", {}), (*cod, "clean", {}),
        (*cod, "compare", {}), ("ww1", None, "keep-sample", {}), (*cod, "set-cycle", {"cstart": "000000", "ctime": 2}),
        (*cod, "i13004", "168.0"),
    ]  # fmt: skip
    await world.stop()
