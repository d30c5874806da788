"""What the edition of a platform (`edition`) asks of the rest of the site: MN, and codes of factors.

A factor that HJ/T 212-2005 has no code for is sent under its code of 2017; a platform of 2005 may not know it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from config.lines import Path
from config.merge import Merged
from config.problem import Problem, listed
from config.site import Access, Platform, Site
from protocol import factors

_MN = {
    "2017": (re.compile(r"[0-9A-F]{24}"), "config.mn-form"),
    "2005": (re.compile(r"[0-9A-Za-z]{14}"), "config.mn-form-2005"),
}
"""EPC-96 as hexadecimal digits; 7 characters of the maker's organisation code and 7 of its own."""


def mn_form(merged: Merged, path: Path, platform: Platform, access: Access) -> Iterator[Problem]:
    """An MN that is not as the platform's edition has it."""
    pattern, code = _MN[platform.edition]
    if pattern.fullmatch(access.mn) is None:
        yield merged.problem((*path, "mn"), code, True, got=access.mn, length=len(access.mn))


def codes_of_2005(site: Site, merged: Merged) -> Iterator[Problem]:
    """Points whose factor has no code in the edition of a platform that gets it."""
    old = {name: platform for name, platform in site.platforms.items() if platform.edition == "2005"}
    for instrument, one in site.instruments.items():
        for index, point in enumerate(one.points):
            row = factors.factor(point.factor)
            told = [name for name, platform in old.items() if point.outlet in platform.outlets]
            if told and row is not None and not row.old_code:
                path: Path = ("instruments", instrument, "points", index, "factor")
                yield merged.problem(path, "config.no-code-2005", True, got=point.factor, platforms=listed(told))
