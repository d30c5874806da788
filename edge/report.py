"""What `hj212 status` says: the whole logger on one page, as plain data (docs/json.md lists the keys)."""

from __future__ import annotations

import resource
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from config.site import Site
from edge.catalogue import explain, text
from edge.control.queries import alarm_row
from edge.delivering import Delivering
from edge.measuring import Measuring
from edge.store import logs, outbox
from edge.uplink.session import Session
from edge.uplink.time_request import DRIFT_S
from edge.values import InfoKey, Known
from edge.watch.instruments import SERIAL, InstrumentWatch
from edge.watch.logger import GOOD, LoggerWatch
from protocol.factors import factor
from protocol.times import iso_text, parse_time

NO_CODE = "-"
"""In place of a platform's code: no packet could be made."""
VALUES_FROM_OUTBOX = ("sent", "answered", "backfilled", "unconfirmed", "expired", "rejected", "lost")


def when(ms: int | None) -> str | None:
    """ISO 8601 +08:00, or None."""
    return None if ms is None else iso_text(ms)


def memory_kb() -> int:
    """Resident memory of this process now, kB."""
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize() // 1024


def platforms(
    delivering: Delivering, counts: dict[tuple[str, str], dict[str, int]], aside: Sequence[outbox.Aside] = ()
) -> list[dict[str, Any]]:
    """One entry per platform and outlet."""
    codes: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for each in aside:
        codes[each.platform, each.outlet][each.code or NO_CODE] += each.count
    return [
        _platform(delivering, session, counts.get(key, {})) | {"rejected_codes": dict(codes[key])}
        for key, session in delivering.sessions.items()
    ]


def _platform(delivering: Delivering, session: Session, counts: dict[str, int]) -> dict[str, Any]:
    terms, health, link = session.terms, session.health, session.link
    own = delivering.link_of(session)
    return {
        "platform": terms.platform,
        "outlet": terms.outlet,
        "role": terms.site.role,
        "protocol": terms.site.protocol,
        "edition": terms.site.edition,
        "mn": terms.mn,
        "address": link.address if link else terms.site.addresses[0],
        "held": terms.held,
        "connected": link is not None,
        "connected_since": when(link.connected_since if link else None),
        "peer": link.peer if link else None,
        "addresses": list(terms.site.addresses),
        "rtt_ms": health.last_trip_ms if link else None,
        "down_since": when(own.down_since),
        "down_cause": own.last_cause or None,
        "down_detail": own.last_detail or None,
        "refused_peers": own.refused(),
        "last_answer": when(health.last_answer),
        "last_received": when(health.last_received),
        "realtime_s": terms.realtime_ms // 1000,
        "minute_min": terms.minute_ms // 60_000,
        "realtime_on": terms.realtime_on,
        "platform_set": dict(terms.shown()),
        "window": session.exchange.window,
        "resent": health.resent,
        "damaged_commands": health.damaged,
        "spread_waiting": session.spread_waiting,
        "unanswered_kinds": session.silent_kinds(),
        "outbox": counts.get("open", 0),
        "outbox_oldest": when(counts.get("oldest")),
        **delivering.pace(terms.platform, terms.outlet, counts.get("open", 0)),
        **{name: counts.get(name, 0) for name in VALUES_FROM_OUTBOX},
        "logs_passed_over": counts.get("logs_passed_over", 0),
    }


def _span(seconds: int) -> str:
    """`2 d 3 h`, `5 min`: the two largest units."""
    found, left = [], seconds
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count:
            found.append(f"{count} {unit}")
    return " ".join(found[:2])


def lines(measuring: Measuring) -> list[dict[str, Any]]:
    """One entry per instrument, with its line."""
    found = []
    for name, worker in measuring.lines.items():
        state = worker.counters()
        port = {"line": name, "port_open": state.open, "port_error": state.error.code if state.error else None}
        for instrument, counters in state.instruments.items():
            breaker = state.breakers[instrument]
            polling = {"polling": breaker.state, "failures": breaker.failures}
            found.append({**port, "instrument": instrument, **asdict(counters), **polling,
                          "next_probe": when(breaker.next_probe_ms)})  # fmt: skip
    return found


def infos(instruments: InstrumentWatch, logger: LoggerWatch) -> list[dict[str, Any]]:
    """Last known states, parameters and serial numbers: of the instruments, then the logger's own."""
    found = [_info(key, instruments.changes.value(key), instruments.errors.get(key)) for key in instruments.items]
    for key, _ in logger.states():
        row = _info(key, logger.known(key), None, declared=False)
        found.append(row | {"value": row["value"] or GOOD})
    return found


def _info(key: InfoKey, known: Known | None, error: str | None, *, declared: bool = True) -> dict[str, Any]:
    row = factor(key.info)
    serial = {lang: text("edge.info-serial", lang) for lang in ("zh", "en")}
    return {
        "owner": key.owner or None,
        "outlet": key.outlet or None,
        "factor": key.factor or None,
        "info": key.info,
        "name_zh": row.name_zh if row else serial["zh"] if key.info == SERIAL else key.info,
        "name_en": row.name_en if row else serial["en"] if key.info == SERIAL else key.info,
        "value": known.value if known else None,
        "since": when(known.since if known else None),
        "error": error,
        "declared": declared,
    }


def alarms(measuring: Measuring) -> list[dict[str, Any]]:
    """The alarms that go on, oldest first."""
    return [alarm_row(alarm) for alarm in measuring.alarms.open()]


def counts_of(db: sqlite3.Connection) -> dict[tuple[str, str], dict[str, int]]:
    """Counters of every platform and outlet, with the number and age of what is open."""
    counts = {(each.platform, each.outlet): _numbers(each) for each in outbox.counts(db)}
    for depth in outbox.depth(db):
        entry = counts.setdefault((depth.platform, depth.outlet), {})
        entry["open"] = entry.get("open", 0) + depth.count
        entry["oldest"] = min(entry.get("oldest", depth.oldest), depth.oldest)
    for key, count in logs.dropped(db).items():
        counts.setdefault(key, {})["logs_passed_over"] = count
    return counts


def _numbers(counts: outbox.Counts) -> dict[str, int]:
    return {name: getattr(counts, name) for name in VALUES_FROM_OUTBOX}


def counted(
    db: sqlite3.Connection, now_ms: int
) -> tuple[dict[tuple[str, str], dict[str, int]], list[outbox.Aside], int]:
    """`counts_of`, what is set aside, and `qn_ahead_s`."""
    return counts_of(db), outbox.aside(db), qn_ahead_s(db, now_ms)


def qn_ahead_s(db: sqlite3.Connection, now_ms: int) -> int:
    """Seconds by which the last QN is ahead of the wall clock: the clock once stood there, and QNs must rise."""
    last = outbox.last_qn(db)
    return 0 if last is None else max(0, (parse_time(last) - now_ms) // 1000)


def refusals(aside: Sequence[outbox.Aside]) -> list[dict[str, Any]]:
    """What is set aside, as warnings: per platform, outlet and code."""
    sums = Counter[tuple[str, str, str | None]]()
    for each in aside:
        sums[each.platform, each.outlet, each.code] += each.count
    return [
        {
            "code": "edge.warn-unbuildable" if code is None else "edge.warn-refused",
            "params": {"platform": platform, "outlet": outlet, "code": code or NO_CODE, "count": count},
        }
        for (platform, outlet, code), count in sums.items()
    ]


def not_in_site(delivering: Delivering, counts: dict[tuple[str, str], dict[str, int]]) -> list[dict[str, Any]]:
    """What waits for platforms and outlets that the site file no longer has, as warnings."""
    return [
        {"code": "edge.warn-not-in-site", "params": {"platform": key[0], "outlet": key[1], "count": row["open"]}}
        for key, row in counts.items()
        if key not in delivering.sessions and row.get("open")
    ]


def warnings(site: Site, delivering: Delivering, measuring: Measuring, qn_ahead: int = 0) -> list[dict[str, Any]]:
    """What a technician should look at: code and params of a text. `qn_ahead`: seconds."""
    found: list[dict[str, Any]] = []
    if qn_ahead > DRIFT_S:
        found.append({"code": "edge.warn-qn-ahead", "params": {"by": _span(qn_ahead), "seconds": qn_ahead}})
    if measuring.disk_error is not None:
        found.append({"code": "edge.warn-disk", "params": {"why": measuring.disk_error}})
    for name, worker in measuring.lines.items():
        state = worker.counters()
        error = state.error
        if error is not None and not state.held:
            params = {"line": name, "port": site.lines[name].port, "why": explain(error)}
            found.append({"code": "edge.warn-port", "params": params})
    for session in delivering.sessions.values():
        terms = session.terms
        base = {"platform": terms.platform, "outlet": terms.outlet}
        if session.silent_kinds():
            found.append(
                {"code": "edge.warn-unanswered", "params": {**base, "kinds": ", ".join(session.silent_kinds())}}
            )
        if terms.held:
            found.append({"code": "edge.warn-held", "params": base})
        if not terms.realtime_on:
            since = when(terms.set_at.get("realtime_on"))
            found.append({"code": "edge.warn-realtime-off", "params": {**base, "since": since}})
        if not terms.state_on:
            since = when(terms.set_at.get("state_on"))
            found.append({"code": "remote.warn-state-off", "params": {**base, "since": since}})
    if not site.platforms:
        found.append({"code": "edge.warn-no-platform", "params": {}})
    return found
