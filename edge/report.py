"""What `hj212 status` says: the whole logger on one page, as plain data (docs/json.md lists the keys)."""

from __future__ import annotations

import resource
import sqlite3
from dataclasses import asdict
from typing import Any

from config.site import Point, Site
from edge.acquire import unit_of
from edge.catalogue import LANGUAGES, explain, text
from edge.delivering import Delivering
from edge.measuring import Measuring
from edge.store import outbox
from edge.uplink.session import Session
from protocol.factors import factor
from protocol.times import iso_text

VALUES_FROM_OUTBOX = ("sent", "answered", "backfilled", "unconfirmed", "expired", "rejected", "lost")


def when(ms: int | None) -> str | None:
    """ISO 8601 +08:00, or None."""
    return None if ms is None else iso_text(ms)


def memory_kb() -> int:
    """Resident memory of this process now, kB."""
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize() // 1024


def platforms(delivering: Delivering, counts: dict[tuple[str, str], dict[str, int]]) -> list[dict[str, Any]]:
    """One entry per platform and outlet."""
    return [_platform(session, counts.get(key, {})) for key, session in delivering.sessions.items()]


def _platform(session: Session, counts: dict[str, int]) -> dict[str, Any]:
    terms, health, link = session.terms, session.health, session.link
    return {
        "platform": terms.platform,
        "outlet": terms.outlet,
        "role": terms.site.role,
        "mn": terms.mn,
        "address": terms.site.address,
        "connected": link is not None,
        "connected_since": when(link.connected_since if link else None),
        "peer": link.peer if link else None,
        "last_answer": when(health.last_answer),
        "last_received": when(health.last_received),
        "realtime_s": terms.realtime_ms // 1000,
        "minute_min": terms.minute_ms // 60_000,
        "realtime_on": terms.realtime_on,
        "platform_set": dict(terms.shown()),
        "window": session.exchange.window,
        "resent": health.resent,
        "unanswered_kinds": session.silent_kinds(),
        "outbox": counts.get("open", 0),
        "outbox_oldest": when(counts.get("oldest")),
        **{name: counts.get(name, 0) for name in VALUES_FROM_OUTBOX},
    }


def lines(measuring: Measuring) -> list[dict[str, Any]]:
    """One entry per instrument, with its line."""
    found = []
    for name, worker in measuring.lines.items():
        state = worker.counters()
        port = {"line": name, "port_open": state.open, "port_error": state.error.code if state.error else None}
        for instrument, counters in state.instruments.items():
            found.append({**port, "instrument": instrument, **asdict(counters)})
    return found


def points(measuring: Measuring) -> list[dict[str, Any]]:
    """Newest value of every point."""
    found = []
    for instrument, point, sample in measuring.acquirer.points():
        total = measuring.engines[point.outlet].hour_total if point.kind == "total" else None
        sampled = measuring.acquirer.sampled_at(point.outlet).get(point.factor) if point.batch else None
        found.append(
            {
                "outlet": point.outlet,
                "factor": point.code,
                **_names(point),
                "instrument": instrument,
                "value": sample.value if sample else None,
                "unit": unit_of(point),
                "mark": sample.mark if sample else None,
                "time": when(sample.time if sample else None),
                "sample_time": when(sampled),
                "hour_total": total.value if total else None,
                "hour_total_at": when(total.time if total else None),
            }
        )
    return found


def _names(point: Point) -> dict[str, str]:
    if point.kind == "total":
        return {f"name_{language}": text("cli.totaliser", language) for language in LANGUAGES}
    known = factor(point.factor)
    return {"name_zh": known.name_zh if known else point.code, "name_en": known.name_en if known else point.code}


def counts_of(db: sqlite3.Connection) -> dict[tuple[str, str], dict[str, int]]:
    """Counters of every platform and outlet, with the number and age of what is open."""
    counts = {(each.platform, each.outlet): _numbers(each) for each in outbox.counts(db)}
    for depth in outbox.depth(db):
        entry = counts.setdefault((depth.platform, depth.outlet), {})
        entry["open"] = entry.get("open", 0) + depth.count
        entry["oldest"] = min(entry.get("oldest", depth.oldest), depth.oldest)
    return counts


def _numbers(counts: outbox.Counts) -> dict[str, int]:
    return {name: getattr(counts, name) for name in VALUES_FROM_OUTBOX}


def warnings(site: Site, delivering: Delivering, measuring: Measuring) -> list[dict[str, Any]]:
    """What a technician should look at: code and params of a text."""
    found: list[dict[str, Any]] = []
    if measuring.disk_error is not None:
        found.append({"code": "edge.warn-disk", "params": {"why": measuring.disk_error}})
    for name, worker in measuring.lines.items():
        error = worker.counters().error
        if error is not None:
            params = {"line": name, "port": site.lines[name].port, "why": explain(error)}
            found.append({"code": "edge.warn-port", "params": params})
    for session in delivering.sessions.values():
        terms = session.terms
        base = {"platform": terms.platform, "outlet": terms.outlet}
        if session.silent_kinds():
            found.append(
                {"code": "edge.warn-unanswered", "params": {**base, "kinds": ", ".join(session.silent_kinds())}}
            )
        if not terms.realtime_on:
            since = when(terms.set_at.get("realtime_on"))
            found.append({"code": "edge.warn-realtime-off", "params": {**base, "since": since}})
        if not terms.state_on:
            since = when(terms.set_at.get("state_on"))
            found.append({"code": "remote.warn-state-off", "params": {**base, "since": since}})
    if not site.platforms:
        found.append({"code": "edge.warn-no-platform", "params": {}})
    return found
