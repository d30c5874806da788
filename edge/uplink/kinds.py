"""Which command code carries which kind of upload, and what that means for keeping it (HJ 212-2017 Table 9)."""

from __future__ import annotations

from collections.abc import Collection

from config.site import EventKind, UploadKind

CN_OF_KIND: dict[UploadKind, str] = {
    "realtime": "2011",
    "state": "2021",
    "day": "2031",
    "runtime": "2041",
    "minute": "2051",
    "hour": "2061",
    "startup": "2081",
    "sample": "3015",
    "identity": "3019",
    "info": "3020",
}
KIND_OF_CN: dict[str, UploadKind] = {cn: kind for kind, cn in CN_OF_KIND.items()}
"""The other way round."""
ALARM_RECORD, ALARM_NOTICE = ALARMS = "2071", "2072"
"""Of edition 2005 only: a value that passed a limit, and the notice of that and of its end."""
BACKLOG = (*KIND_OF_CN, *ALARMS)
"""All that may wait in the outbox."""
FLEETING = frozenset({"2011", "2021"})
"""Uploads that expire when the next one is due, unless the platform's `backfill` names their kind."""
EVENTS = frozenset({"3015", "3019", "3020", *ALARMS})
"""Uploads of what happened. Where a platform does not answer them they make room for data: see `Lanes`."""


def kept(cn: str, backfill: tuple[UploadKind, ...]) -> bool:
    """Whether an upload of this code is kept until the platform has answered for it."""
    return cn not in FLEETING or KIND_OF_CN[cn] in backfill


def wants(kind: EventKind, events: Collection[EventKind]) -> bool:
    """Whether a platform with these `events` gets uploads of a kind; `3020` stands for all that 3020 carries."""
    return kind in events or kind[:4] in events
