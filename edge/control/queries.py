"""What can be asked of the store, by the daemon for a client, or by the command line itself where no daemon runs.

Each query reads one of the two files and gives plain data (docs/json.md lists the keys).
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from config.addresses import addresses_in
from edge.gaps import HISTORY
from edge.measure.alarms import Alarm
from edge.store import (
    again,
    alarms,
    connection,
    journal,
    linklog,
    links,
    marks,
    names,
    outbox,
    records,
    results,
    samples,
    settings,
)  # fmt: skip
from edge.store.delivery import RECORD_KINDS
from edge.uplink.kinds import KIND_OF_CN
from edge.values import Kind, Record, Result, Sample
from protocol.factors import factor
from protocol.times import iso_text, parse_time

_EVER = 1 << 60
_PASSWORD = re.compile(r"(?<=PW=)[^;&]*", re.IGNORECASE)
LIMIT = 5_000
"""Rows in one answer at most; a longer export asks again with `after`."""
TOTALS = ("total", "total_at", "caught_up")
"""Keys of the records of a flow that has a totaliser; the others do not have them."""


@dataclass(frozen=True, slots=True)
class Query:
    """`answer(db, args)`; `samples`: the file is samples.db."""

    answer: Callable[[sqlite3.Connection, dict[str, Any]], Any]
    samples: bool = False


def iso(ms: int | None) -> str | None:
    """ISO 8601 +08:00, or None."""
    return None if ms is None else iso_text(ms)


def depth_and_counts(db: sqlite3.Connection, args: dict[str, Any]) -> dict[str, Any]:
    """What waits for each platform, and what has been delivered."""
    depth = outbox.depth(db)
    waiting: dict[tuple[str, str], int] = {}
    oldest: dict[tuple[str, str], int] = {}
    for each in depth:
        key = each.platform, each.outlet
        waiting[key] = waiting.get(key, 0) + each.count
        oldest[key] = min(oldest.get(key, each.oldest), each.oldest)
    platforms = [
        {
            **asdict(each),
            "open": waiting.get(key, 0),
            "oldest": iso(oldest.get(key)),
            "held": again.is_held(db, each.platform),
            "rate_per_min": None,
            "time_left_s": None,
        }
        for each in outbox.counts(db)
        for key in ((each.platform, each.outlet),)
    ]
    return {"platforms": platforms, "kinds": [_depth(each) for each in depth]}


def _depth(each: outbox.Depth) -> dict[str, Any]:
    return {**asdict(each), "kind": KIND_OF_CN.get(each.cn, each.cn), "oldest": iso(each.oldest)}


def receipts(db: sqlite3.Connection, args: dict[str, Any]) -> dict[str, Any]:
    """The official connection time, and all evidence; `official`: the official platforms (`official_platforms`)."""
    platforms = [connection.OfficialPlatform(*each) for each in args["official"]]
    official = connection.official(db, platforms=platforms)
    raw = bool(args.get("raw"))
    return {
        "official": _receipt(official, platforms, raw) if official else None,
        "receipts": [_receipt(each, platforms, raw) for each in connection.receipts(db)],
    }


def official_platforms(platforms: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str, int | None]]:
    """Name, each address and `connect_from` (UTC ms) of the platforms of a site file that are official."""
    return [
        (name, address, date_ms(each.get("connect_from")))
        for name, each in platforms.items()
        if each.get("role", "official") == "official"
        for address in addresses_in(each)
    ]


def date_ms(date: object) -> int | None:
    """UTC ms of the beginning of a date (`2026-11-22`) in Beijing."""
    return None if date is None else parse_time(str(date).replace("-", "") + "000000")


def evidence_lines(db: sqlite3.Connection, args: dict[str, Any]) -> list[str]:
    """The receipts as they stand in connection.jsonl, bytes included: for administrators."""
    return [each.to_line() for each in connection.receipts(db)] if args.get("raw") else []


def _receipt(
    receipt: connection.Receipt, platforms: Collection[connection.OfficialPlatform], raw: bool
) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "platform": receipt.platform,
        "outlet": receipt.outlet,
        "mn": receipt.mn,
        "address": receipt.address,
        "role": receipt.role,
        "official_at": iso(receipt.official_ms),
        "written_at": iso(receipt.written_ms),
        "qn": receipt.qn,
        "cn": receipt.cn,
        "confirmed": receipt.confirmed,
        "counts": any(platform.holds(receipt) for platform in platforms),
        "joint_test": receipt.joint_test or _before(receipt, platforms),
        "peer": receipt.peer,
        "clock": receipt.clock,
        "packet_sha256": receipt.packet_sha256,
        "answer_sha256": receipt.answer_sha256,
    }
    if raw:
        shown["packet"] = receipt.packet.decode("utf-8", "backslashreplace")
        shown["answer"] = receipt.answer.decode("utf-8", "backslashreplace")
    return shown


def _before(receipt: connection.Receipt, platforms: Collection[connection.OfficialPlatform]) -> bool:
    begins = [each.connect_from_ms for each in platforms if each.name == receipt.platform]
    return any(begin is not None and receipt.official_ms < begin for begin in begins)


def stored_records(db: sqlite3.Connection, args: dict[str, Any]) -> dict[str, Any]:
    """Records of a range of start labels: outlet, kind, from, to (UTC ms, inclusive), factors, limit, after.

    `next` is what `after` must say to get the page behind this one; None: there is none.
    """
    kind = Kind[str(args["kind"]).upper()]
    wanted = set(args.get("factors") or ())
    last = args.get("after")
    after = Record(args["outlet"], kind, last[1], last[0], last[2]) if last else None
    limit = min(int(args.get("limit") or LIMIT), LIMIT)
    found = records.between(db, args["outlet"], kind, args["from"], args["to"], limit, after)
    return {
        "records": [_record(each) for each in found if not wanted or each.factor in wanted],
        "next": [found[-1].start, found[-1].factor, found[-1].revision] if len(found) == limit else None,
    }


def newest(db: sqlite3.Connection, args: dict[str, Any]) -> int | None:
    """Start of the newest sealed period, UTC ms."""
    row = db.execute("SELECT max(last) FROM sealed").fetchone()
    return None if row[0] is None else int(row[0])


def span(db: sqlite3.Connection, args: dict[str, Any]) -> list[int] | None:
    """First and last start of all records, UTC ms; None where there is none."""
    return _span(db.execute("SELECT min(start), max(start) FROM record").fetchone())


def sample_span(db: sqlite3.Connection, args: dict[str, Any]) -> list[int] | None:
    """First and last time of all samples, UTC ms; None where there is none."""
    return _span(db.execute("SELECT min(time), max(time) FROM tick").fetchone())


def recorded_names(db: sqlite3.Connection, args: dict[str, Any]) -> list[str]:
    """Outlets, platforms and factors that ever had records or deliveries."""
    return sorted(names.texts(db).values())


def sampled_factors(db: sqlite3.Connection, args: dict[str, Any]) -> list[str]:
    """Factors that ever had samples."""
    return [row[0] for row in db.execute("SELECT DISTINCT factor FROM channel ORDER BY factor")]


def _span(row: tuple[int | None, int | None]) -> list[int] | None:
    return None if row[0] is None or row[1] is None else [row[0], row[1]]


def _record(record: Record) -> dict[str, Any]:
    shown = {**asdict(record), "kind": record.kind.text, "start": iso(record.start), "total_at": iso(record.total_at)}
    return shown if record.total is not None else {key: shown[key] for key in shown if key not in TOTALS}


def stored_samples(db: sqlite3.Connection, args: dict[str, Any]) -> list[dict[str, Any]]:
    """Samples of a range: outlet, from, to (UTC ms, inclusive), factors."""
    wanted = set(args.get("factors") or ())
    found = samples.between(db, args["from"], args["to"])
    return [_sample(each) for each in found if each.outlet == args["outlet"] and (not wanted or each.factor in wanted)]


def _sample(sample: Sample) -> dict[str, Any]:
    return {**asdict(sample), "time": iso(sample.time)}


def stored_results(db: sqlite3.Connection, args: dict[str, Any]) -> list[dict[str, Any]]:
    """Results of batch analyzers by sample time: outlet, from, to (UTC ms, inclusive), factors, limit (the newest)."""
    wanted = set(args.get("factors") or ())
    found = results.between(db, args["outlet"], args["from"], args["to"], min(int(args.get("limit") or LIMIT), LIMIT))
    return [_shown_result(each) for each in found if not wanted or each.factor in wanted]


def _shown_result(result: Result) -> dict[str, Any]:
    return {
        "outlet": result.outlet,
        "factor": result.factor,
        "sampled": iso(result.sampled),
        "completed": iso(result.completed),
        "seen": iso(result.seen),
        "value": result.value,
        "mark": result.mark,
        "kind": result.kind,
    }


def last_packets(db: sqlite3.Connection, args: dict[str, Any]) -> list[dict[str, Any]]:
    """The last packets in and out, newest first: platform, limit; PW masked unless `raw`."""
    found = linklog.packets(db, args.get("platform"), int(args.get("limit") or 20))
    return [_packet(each, bool(args.get("raw"))) for each in found]


def _packet(logged: linklog.Logged, raw: bool) -> dict[str, Any]:
    shown = logged.data.decode("utf-8", "backslashreplace").rstrip()
    return {
        "at": iso(logged.at_ms),
        "platform": logged.platform,
        "outlet": logged.outlet,
        "direction": "in" if logged.incoming else "out",
        "packet": shown if raw else masked(shown),
        "verdict": logged.verdict,
    }


def masked(packet: str) -> str:
    """A packet's text without its passwords: PW of the header, NewPW and 2005's PW of a 1072."""
    return _PASSWORD.sub("***", packet)


def platform_settings(db: sqlite3.Connection, args: dict[str, Any]) -> list[dict[str, Any]]:
    """What platforms have set over the wire: platforms (names); passwords masked unless `raw`."""
    raw = bool(args.get("raw"))
    return [
        {
            "platform": platform,
            "outlet": outlet,
            "name": name,
            "value": one.value if raw else journal.masked(name, one.value),
            "origin": one.origin,
            "at": iso(one.at_ms),
        }
        for platform in args["platforms"]
        for (outlet, name), one in settings.get_all(db, platform).items()
    ]


def stored_marks(db: sqlite3.Connection, args: dict[str, Any]) -> list[dict[str, Any]]:
    """Marks by hand that touch a time: from, to (UTC ms); `number`: all entries of one; `all`: withdrawn ones too."""
    done = marks.done_until(db)
    if args.get("number") is not None:
        return [mark_shown(entry, done) for entry in marks.history(db, int(args["number"]))]
    begin, end = args.get("from"), args.get("to")
    span = (-_EVER if begin is None else int(begin), _EVER if end is None else int(end))
    return [mark_shown(entry, done) for entry in marks.in_force(db, *span, withdrawn=bool(args.get("all")))]


def mark_shown(entry: marks.Entry, done_until: int | None = None) -> dict[str, Any]:
    """A mark as plain data (docs/json.md); `done_until`: entries up to this one have their revisions."""
    state = entry.state
    return {
        "number": entry.number,
        "kind": state.kind,
        "points": list(state.points),
        "instrument": state.instrument,
        "mark": state.mark,
        "class": state.category,
        "item": state.item,
        "from": iso_text(state.begin),
        "to": None if state.end is None else iso_text(state.end),
        "reason": state.reason,
        "operator": entry.by.operator,
        "user": entry.by.who,
        "source": state.source,
        "evidence": dict(state.evidence),
        "action": entry.action,
        "at": iso_text(entry.by.at_ms),
        "withdrawn": state.withdrawn,
        "revised": None if done_until is None else entry.id <= done_until,
    }


def journal_entries(db: sqlite3.Connection, args: dict[str, Any]) -> list[dict[str, Any]]:
    """Entries of the journal: limit, after (a number; None: the newest)."""
    return [_entry(each) for each in journal.entries(db, int(args["limit"]), args.get("after"))]


def _entry(entry: journal.Entry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "at": iso(entry.at_ms),
        "who": entry.who,
        "action": entry.action,
        "detail": entry.detail,
        "hash": entry.hash.hex(),
    }


def journal_verdict(db: sqlite3.Connection, args: dict[str, Any]) -> dict[str, Any]:
    """Whether the journal is as it was written."""
    return asdict(journal.verify(db))


def stored_alarms(db: sqlite3.Connection, args: dict[str, Any]) -> list[dict[str, Any]]:
    """Alarms by their beginning, the newest: limit, open (only those that go on)."""
    found = alarms.newest(db, min(int(args.get("limit") or LIMIT), LIMIT), bool(args.get("open")))
    return [{"id": each.id, **alarm_row(each.alarm), "action": each.action} for each in found]


def alarm_row(alarm: Alarm) -> dict[str, Any]:
    """An alarm as plain data."""
    known = factor(alarm.factor)
    return {
        "outlet": alarm.outlet,
        "factor": alarm.factor,
        "name_zh": known.name_zh if known else alarm.factor,
        "name_en": known.name_en if known else alarm.factor,
        "kind": alarm.kind,
        "begin": iso(alarm.begin),
        "end": iso(alarm.end),
        "peak": alarm.peak,
        "limit": alarm.limit,
        "unit": known.unit if known else None,
    }


def history(db: sqlite3.Connection, args: dict[str, Any]) -> list[dict[str, Any]]:
    """Journal entries that tell why there is no record: since the last one before `from` (UTC ms)."""
    return [{**asdict(each), "hash": each.hash.hex()} for each in journal.telling(db, HISTORY, args["from"], LIMIT)]


def undelivered(db: sqlite3.Connection, args: dict[str, Any]) -> list[dict[str, Any]]:
    """Periods that a platform has not answered for: outlet, kind, from, to (UTC ms, of the start)."""
    kind = Kind[str(args["kind"]).upper()]
    cn = next(cn for cn, each in RECORD_KINDS.items() if each is kind)
    found = outbox.waiting(db, args["outlet"], cn, args["from"], args["to"])
    return [
        {"platform": platform, "start": start, "end": end or start + kind.ms, "aside": aside}
        for platform, start, end, aside in found
    ]


def again_count(db: sqlite3.Connection, args: dict[str, Any]) -> dict[str, int]:
    """How many deliveries would be sent again, by CN: platform, cns, from, to, outlet (UTC ms, inclusive)."""
    return again.count(db, again.Range(args["platform"], args["cns"], args["from"], args["to"], args.get("outlet")))


def link_log(db: sqlite3.Connection, args: dict[str, Any]) -> dict[str, Any]:
    """The link log of [from, to): at most a month, so that nobody waits for the store; `figures` counts from it."""
    begin, end = args["from"], args["to"]
    return {
        "last_known": links.last_known(db, _EVER),
        "known_since": links.known_since(db),
        "runs": [asdict(each) for each in links.runs(db, begin, end)],
        "connections": [asdict(each) for each in links.connections(db, begin, end)],
        "sums": {link: asdict(each) for link, each in links.sums(db, begin, end).items()},
        "delivered": [
            {"platform": platform, "outlet": outlet, **counts}
            for (platform, outlet), counts in links.delivered(db, begin, end).items()
        ],
    }


QUERIES = {
    "links": Query(link_log),
    "events": Query(stored_alarms),
    "again_count": Query(again_count),
    "history": Query(history),
    "undelivered": Query(undelivered),
    "journal": Query(journal_entries),
    "journal_verify": Query(journal_verdict),
    "settings": Query(platform_settings),
    "outbox": Query(depth_and_counts),
    "connection": Query(receipts),
    "evidence": Query(evidence_lines),
    "records": Query(stored_records),
    "samples": Query(stored_samples, samples=True),
    "results": Query(stored_results),
    "newest": Query(newest),
    "span": Query(span),
    "names": Query(recorded_names),
    "sampled": Query(sampled_factors, samples=True),
    "sample_span": Query(sample_span, samples=True),
    "packets": Query(last_packets, samples=True),
    "marks": Query(stored_marks),
}
