"""HJ 212's time texts: Beijing time (UTC+8) without a zone mark, whatever TZ says; UTC milliseconds inside (§6.1).

QN        YYYYMMDDhhmmsszzz   17 digits
DataTime  YYYYMMDDhhmmss      14 digits
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache

BEIJING = timezone(timedelta(hours=8), "+08:00")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _beijing(ms: int) -> datetime:
    return (_EPOCH + timedelta(milliseconds=ms)).astimezone(BEIJING)


@lru_cache(maxsize=256)
def _minute_text(minute: int) -> str:
    """YYYYMMDDhhmm of minutes since 1970, Beijing time."""
    return f"{_beijing(minute * 60_000):%Y%m%d%H%M}"


def qn_text(ms: int) -> str:
    """QN (17 digits) of UTC milliseconds."""
    return f"{_minute_text(ms // 60_000)}{ms % 60_000:05d}"


def time_text(ms: int) -> str:
    """DataTime (14 digits) of UTC milliseconds; the millisecond is cut."""
    return f"{_minute_text(ms // 60_000)}{ms // 1000 % 60:02d}"


def iso_text(ms: int) -> str:
    """ISO 8601 with +08:00; milliseconds only where there are some."""
    return _beijing(ms).isoformat(timespec="milliseconds" if ms % 1000 else "seconds")


def parse_time(text: str) -> int:
    """UTC milliseconds of 14 (DataTime) or 17 (QN, DataTime with milliseconds) digits; ValueError otherwise."""
    if len(text) not in (14, 17) or not (text.isascii() and text.isdigit()):
        raise ValueError(text)
    day = datetime(int(text[:4]), int(text[4:6]), int(text[6:8]), tzinfo=BEIJING)
    when = day.replace(hour=int(text[8:10]), minute=int(text[10:12]), second=int(text[12:14]))
    return round((when - _EPOCH).total_seconds()) * 1000 + int(text[14:] or 0)
