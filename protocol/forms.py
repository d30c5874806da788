"""Forms of field values (HJ 212-2017 Table 4): which fields are times, which are numbers.

The check code has eight bits of state and lets one damaged packet in a few hundred pass, so times and numbers are
looked at as well.
"""

from __future__ import annotations

import re
from calendar import monthrange
from functools import lru_cache
from typing import Literal

Form = Literal["time", "number"]

_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)", re.ASCII)
_EXPONENT = re.compile(_NUMBER.pattern + r"[eE][+-]?\d{1,3}", re.ASCII)

_TIMES = frozenset(("datatime", "systemtime", "restarttime", "begintime", "endtime", "sampletime"))
_NUMBERS = frozenset(
    ("rtd", "min", "avg", "max", "cou", "zsrtd", "zsmin", "zsavg", "zsmax", "data", "daydata", "nightdata", "rs", "rt")
)

_LONGEST = 32  # of an attribute and more; peers shall not fill the memory with names


def form(name: str) -> Form | None:
    """Form of the values of a field, by its name or the attribute behind the last `-`; None: free text."""
    return _form(name[-_LONGEST:].rpartition("-")[2])


@lru_cache(maxsize=512)
def _form(attribute: str) -> Form | None:
    lower = attribute.lower()
    return "time" if lower in _TIMES else "number" if lower in _NUMBERS else None


def is_time(text: str) -> bool:
    """YYYYMMDDhhmmss, milliseconds allowed, of a day that exists."""
    rest = text[12:]
    return len(rest) in (2, 5) and rest < "6" and rest.isascii() and rest.isdigit() and _is_minute(text[:12])


@lru_cache(maxsize=512)
def _is_minute(text: str) -> bool:
    if not (text.isascii() and text.isdigit()):
        return False
    year, month, day = int(text[:4]), int(text[4:6]), int(text[6:8])
    is_day = year > 0 and 1 <= month <= 12 and 1 <= day <= monthrange(year, month)[1]
    return is_day and text[8:10] < "24" and text[10:] < "60"


def is_number(text: str) -> bool:
    """Digits with sign and point, no exponent."""
    return _NUMBER.fullmatch(text) is not None


def is_exponent(text: str) -> bool:
    """A number in exponent form, which the standard does not know and some peers send."""
    return _EXPONENT.fullmatch(text) is not None


def has_form(wanted: Form, text: str) -> bool:
    """Whether a value has the form of its field; exponents are let through, as reading tolerates them."""
    return is_time(text) if wanted == "time" else is_number(text) or is_exponent(text)
