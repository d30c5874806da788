"""The notebook: what is kept of exchanges, also in a file that an earlier release began."""

import json
from pathlib import Path

import annexc
import sqlite_utils
from bench_peer import NOW

from edge.bench.conversation import CommandResult, Outcome
from edge.bench.notebook import Notebook
from edge.bench.received import Finding


def test_verdict_is_kept_also_in_an_older_file(tmp_path: Path) -> None:
    path = tmp_path / "bench.db"
    old = sqlite_utils.Database(path)
    old["exchanges"].create({"id": int, "at": str, "mn": str, "cn": str, "qn": str, "outcome": str}, pk="id")
    old.close()
    deviation = Finding("bench.seq.twice", {"cn": "9012"})
    result = CommandResult(annexc.MN, "1061", "1", Outcome.DONE, "1", "1", deviations=(deviation,))
    with Notebook(path) as book:
        book.exchange(result, NOW)
    db = sqlite_utils.Database(path)
    (row,) = db["exchanges"].rows
    assert (row["outcome"], row["verdict"], len(json.loads(row["deviations"]))) == ("done", "deviates", 1)
    db.close()
