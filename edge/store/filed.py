"""Parameters filed with the authority from the command line: append-only, each with its entry in the journal."""

from __future__ import annotations

import sqlite3

from edge.store import journal
from edge.values import InfoKey
from edge.watch.filed import Filed

_COLUMNS = "at, owner, outlet, factor, parameter, value, tolerance, unit, since, filed_no, filed_by"


def add(db: sqlite3.Connection, key: InfoKey, filed: Filed, who: str, why: str, before: Filed | None) -> None:
    """One filing; `before`: what held until now."""
    row = (
        *(filed.at_ms, *key, filed.value, filed.tolerance, filed.unit, filed.since_ms),
        *(filed.filed_no or "", filed.filed_by or ""),
    )
    db.execute(f"INSERT INTO filed ({_COLUMNS}) VALUES ({', '.join('?' * 11)})", row)
    detail = {
        "instrument": key.owner or None, "outlet": key.outlet or None,
        "pol_id": key.factor or None, "info": key.info, "value": filed.value,
        "before": before.value if before else None, "tolerance": filed.tolerance, "unit": filed.unit,
        "from": filed.since_ms, "filed_no": filed.filed_no, "filed_by": filed.filed_by, "reason": why,
    }  # fmt: skip
    journal.append(db, who, f"{'instrument' if key.owner else 'outlet'}.filed", detail, filed.at_ms or 0)


def entries(db: sqlite3.Connection) -> list[tuple[InfoKey, Filed]]:
    """All filings, in the order in which they were entered."""
    return [
        (InfoKey(*row[1:5]), Filed(row[5], row[6], row[7], row[8], row[9] or None, row[10] or None, row[0]))
        for row in db.execute(f"SELECT {_COLUMNS} FROM filed ORDER BY id")
    ]
