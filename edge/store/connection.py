"""Receipts of the official connection time (联网时间): immutable evidence that a platform received this site's data.

Made for the first pollutant data packet (2011, 2051, 2061, 2031; never 2021, 2041, 2081) that a platform
answered, per platform, outlet, MN, address and role. None is made for a rehearsal platform or while the clock
is implausible; before `connect_from` it is a joint-test packet (联调首包). The database refuses to change or
delete a receipt; the same facts stand in the journal and in `connection.jsonl` (`evidence`).
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sqlite3
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any

from edge.store import journal
from edge.store.delivery import Answer, Delivery

POLLUTANT_DATA = frozenset({"2011", "2051", "2061", "2031"})
"""CNs that carry pollutant data (HJ 212-2017 Table 9)."""
_MN = re.compile(rb"MN=([^;&]*);")
_FIELDS = (
    "platform, outlet, mn, address, role, joint_test, confirmed, qn, cn, packet, answer, written_ms, official_ms,"
    " peer, clock"
)


@dataclass(frozen=True, slots=True)
class Receipt:
    """One receipt. `official_ms`: arrival of the answer (unconfirmed: when the packet had left the send
    queue); `written_ms`: last writing of the packet; `packet`, `answer`: the bytes on the wire, password
    included."""

    platform: str
    outlet: str
    mn: str
    address: str
    role: str
    joint_test: bool
    confirmed: bool
    qn: str
    cn: str
    packet: bytes
    answer: bytes
    written_ms: int
    official_ms: int
    peer: str
    clock: str = "plausible"

    @property
    def valid(self) -> bool:
        """Whether it can fix the official connection time."""
        return not self.joint_test

    @property
    def packet_sha256(self) -> str:
        """SHA-256 of the packet's bytes, hex."""
        return hashlib.sha256(self.packet).hexdigest()

    @property
    def answer_sha256(self) -> str:
        """SHA-256 of the answer's bytes, hex."""
        return hashlib.sha256(self.answer).hexdigest()

    def to_line(self) -> str:
        """Its line in `connection.jsonl`: canonical JSON, bytes in base64."""
        fields = asdict(self) | {
            "packet": base64.b64encode(self.packet).decode(),
            "answer": base64.b64encode(self.answer).decode(),
            "packet_sha256": self.packet_sha256,
            "answer_sha256": self.answer_sha256,
        }
        return json.dumps(fields, ensure_ascii=False, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_line(cls, line: str) -> Receipt:
        """Read back a line; ValueError where it is none or its hashes do not fit."""
        fields: dict[str, Any] = json.loads(line)
        try:
            hashes = fields.pop("packet_sha256"), fields.pop("answer_sha256")
            coded = {name: base64.b64decode(fields[name], validate=True) for name in ("packet", "answer")}
            receipt = cls(**(fields | coded))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"no receipt: {error!r}") from error
        if hashes != (receipt.packet_sha256, receipt.answer_sha256):
            raise ValueError("the hashes are not those of the bytes")
        return receipt

    @property
    def digest(self) -> str:
        """SHA-256 of the line, hex: what makes it this receipt and no other."""
        return hashlib.sha256(self.to_line().encode()).hexdigest()


def note(
    db: sqlite3.Connection, found: Delivery, qn: str, packet: bytes, answer: Answer, *, confirmed: bool
) -> Receipt | None:
    """The receipt for an answered (or, unconfirmed, written) packet, where one is due; else None."""
    is_due = found.cn in POLLUTANT_DATA and answer.is_evidence and answer.clock_plausible
    if not is_due or answer.role == "rehearsal":
        return None
    mn = _MN.search(packet)
    receipt = Receipt(
        platform=found.platform,
        outlet=found.outlet,
        mn="" if mn is None else mn[1].decode("utf-8", "replace"),
        address=answer.address,
        role=answer.role,
        joint_test=answer.connect_from_ms is not None and answer.at_ms < answer.connect_from_ms,
        confirmed=confirmed,
        qn=qn,
        cn=found.cn,
        packet=packet,
        answer=answer.data,
        written_ms=answer.written_ms,
        official_ms=answer.at_ms,
        peer=answer.peer,
    )
    if _have(db, receipt, answer.connect_from_ms):
        return None
    keep(db, receipt, "connection.receipt", answer.at_ms)
    return receipt


def keep(db: sqlite3.Connection, receipt: Receipt, action: str, now_ms: int) -> bool:
    """Put a receipt into the table and the journal; False where this very receipt is there already."""
    if db.execute("SELECT 1 FROM receipt WHERE digest = ?", (receipt.digest,)).fetchone():
        return False
    row = (
        *(getattr(receipt, name) for name in _FIELDS.split(", ")),
        receipt.packet_sha256,
        receipt.answer_sha256,
    )
    db.execute(
        f"INSERT INTO receipt ({_FIELDS}, packet_sha256, answer_sha256, digest) VALUES ({'?, ' * 17}?)",
        (*row, receipt.digest),
    )
    detail = {name: value for name, value in asdict(receipt).items() if not isinstance(value, bytes)}
    hashes = {"packet_sha256": receipt.packet_sha256, "answer_sha256": receipt.answer_sha256}
    journal.append(db, "logger", action, detail | hashes, now_ms)
    return True


def receipts(db: sqlite3.Connection, behind: int = 0) -> list[Receipt]:
    """All receipts in the order in which they were made; `behind`: only those with a greater row number."""
    rows = db.execute(f"SELECT {_FIELDS} FROM receipt WHERE id > ? ORDER BY id", (behind,))
    return [
        Receipt(platform, outlet, mn, address, role, bool(joint_test), bool(confirmed), *rest)
        for platform, outlet, mn, address, role, joint_test, confirmed, *rest in rows
    ]


@dataclass(frozen=True, slots=True)
class OfficialPlatform:
    """A platform that is official on the site now. Answers before `connect_from_ms` are joint tests (联调)."""

    name: str
    address: str
    connect_from_ms: int | None = None

    def holds(self, receipt: Receipt) -> bool:
        """Whether a receipt can fix the site's connection time with this platform: its name or address, in time.

        By either: a platform that moved keeps its name, one that was renamed keeps its address.
        """
        known = receipt.role == "official" and (receipt.platform == self.name or receipt.address == self.address)
        return known and (self.connect_from_ms is None or receipt.official_ms >= self.connect_from_ms)


def official(
    db: sqlite3.Connection, *, outlet: str | None = None, platforms: Collection[OfficialPlatform] | None = None
) -> Receipt | None:
    """The site's (or one outlet's) official connection: its earliest valid receipt; unconfirmed only where no
    other is.

    Counts receipts made in the role `official`, of the `platforms` that are official now; None: of any.
    """
    made = [receipt for receipt in receipts(db) if outlet is None or receipt.outlet == outlet]
    if platforms is None:
        candidates = [receipt for receipt in made if receipt.role == "official" and receipt.valid]
    else:
        candidates = [receipt for receipt in made if any(platform.holds(receipt) for platform in platforms)]
    return min(candidates, key=lambda receipt: (not receipt.confirmed, receipt.official_ms), default=None)


def _have(db: sqlite3.Connection, new: Receipt, connect_from_ms: int | None) -> bool:
    # a confirmed receipt makes an unconfirmed one beside it needless, not the other way round
    key = new.platform, new.outlet, new.mn, new.address, new.role
    row = db.execute(
        "SELECT 1 FROM receipt WHERE platform = ? AND outlet = ? AND mn = ? AND address = ? AND role = ?"
        " AND joint_test = ? AND confirmed >= ? AND (joint_test OR official_ms >= ?)",
        (*key, new.joint_test, new.confirmed, connect_from_ms or 0),
    ).fetchone()
    return row is not None
