"""Code tables of HJ 212-2017: ST (Table 5), data marks (Table 8), QnRtn (Table 7), ExeRtn (Table 6), fields (Table 4).

Beside them what HJ/T 212-2005 has of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

from protocol.tables import rows


@dataclass(frozen=True, slots=True)
class Named:
    """A code and what it means."""

    code: str
    name_zh: str
    name_en: str


def _table(name: str) -> dict[str, Named]:
    return {code: Named(code, zh, en) for code, zh, en in rows(name)}


SYSTEM_CODES = _table("systems")
"""ST, Table 5."""
MARKS = _table("marks")
"""`-Flag`, Table 8."""
QN_RETURNS = _table("qn_returns")
"""QnRtn of a 9011, Table 7."""
EXE_RETURNS = _table("exe_returns")
"""ExeRtn of a 9012, Table 6."""
FIELDS = _table("fields")
"""Fields of the data region, by their name or the attribute behind the factor code, Table 4."""
MARKS_2005 = _table("marks_2005")
"""`-Flag` of HJ/T 212-2005: pollution sources, and digits for ambient air."""
FIELDS_2005 = FIELDS | _table("fields_2005")
"""Fields of the data region in HJ/T 212-2005."""
