"""What the platform got, in an SQLite file of its own: tables `packets` and `exchanges`, for any SQLite tool.

The bytes stand there as they came, passwords included, so the file is its owner's alone.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Any

import sqlite_utils

from edge.bench.conversation import CommandResult
from edge.bench.received import Received
from edge.bench.show import finding_text, values
from protocol.times import iso_text

_PACKETS = {
    "id": int, "received_at": str, "peer": str, "mn": str, "cn": str, "qn": str, "data_time": str, "pno": int,
    "verdict": str, "repeat": str, "answer": str, "findings": str, "fields": str, "bytes": bytes,
}  # fmt: skip
_EXCHANGES = {
    "id": int, "at": str, "mn": str, "cn": str, "qn": str, "outcome": str, "qn_rtn": str, "exe_rtn": str,
    "sent": int, "data": str, "verdict": str, "deviations": str,
}  # fmt: skip


class Notebook:
    """An open file; every entry is on its own commit."""

    def __init__(self, path: Path) -> None:
        path.touch(mode=0o600)
        self._db = sqlite_utils.Database(path)
        self._packets = self._db.table("packets", pk="id")
        self._exchanges = self._db.table("exchanges", pk="id")
        self._packets.create(_PACKETS, pk="id", if_not_exists=True)
        self._exchanges.create(_EXCHANGES, pk="id", if_not_exists=True)

    def __enter__(self) -> Notebook:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()

    def packet(self, received: Received) -> None:
        """Keep one packet, or dropped bytes."""
        packet = received.packet
        row: dict[str, Any] = {
            "received_at": iso_text(received.at_ms),
            "peer": received.peer,
            "verdict": received.verdict.value,
            "repeat": received.repeat.value,
            "answer": received.answer,
            "findings": _json([finding_text(finding) for finding in received.findings]),
            "bytes": received.data,
        }
        if packet is not None:
            row |= {"mn": packet.mn, "cn": packet.cn, "qn": packet.qn, "pno": packet.pno}
            row |= {"data_time": packet.get("DataTime"), "fields": _json(values(packet))}
        self._packets.insert(row)

    def exchange(self, result: CommandResult, at_ms: int) -> None:
        """Keep the verdict on one command, with the data that it brought."""
        self._exchanges.insert(
            {
                "at": iso_text(at_ms),
                "mn": result.mn,
                "cn": result.cn,
                "qn": result.qn,
                "outcome": result.outcome.value,
                "qn_rtn": result.qn_rtn,
                "exe_rtn": result.exe_rtn,
                "sent": result.sent,
                "data": _json([values(packet) for packet in result.data]),
                "verdict": result.conformity.value,
                "deviations": _json([finding_text(finding) for finding in result.deviations]),
            },
            alter=True,  # a file that an earlier release began lacks the last columns
        )


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
