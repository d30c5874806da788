"""The rig itself: with `synchronous=NORMAL` and `OFF` the daemon loses data at a power cut, and both rigs must see it.

A rig that finds nothing here would find nothing anywhere: then it has failed as blind. Only the launcher of the test
writes so (`launch.py`); the product has no such setting.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Coroutine
from typing import Any

from tests.torture.images import Opener, cuts, ram_folder
from tests.torture.mounts import why_not
from tests.torture.rig import Outcome, Rig
from tests.torture.torture_ext4 import NEEDED, cut_round
from tests.torture.torture_powercut import STRACE_MISSING, new_logger, note

IMAGES, CUTS = 1_500, 12
"""At most so many are looked at before the rig counts as blind; it stops at the first loss."""
SECONDS = 3.0
_Look = Callable[[Rig, str, Outcome], Coroutine[Any, Any, None]]


def blind(rig: Rig) -> Outcome:
    """Four looks, each of which must find something."""
    outcome = Outcome()
    for method, look, missing in (
        ("replayed", _replayed, None if shutil.which("strace") else STRACE_MISSING),
        ("ext4", _real, why_not(*NEEDED)),
    ):
        for synchronous in ("NORMAL", "OFF"):
            name = f"{method}, synchronous={synchronous}"
            if missing is not None:
                outcome.fail(f"{name}: {missing.format(scale=rig.scale, test=rig.test)}")
            else:
                _one(rig, name, synchronous, look, outcome)
    return outcome


def _one(rig: Rig, name: str, synchronous: str, look: _Look, outcome: Outcome) -> None:
    seen = Outcome()
    asyncio.run(look(rig, synchronous, seen))
    outcome.cases += 1
    if not seen.lost and not seen.corrupt:
        outcome.fail(f"{name}: nothing found in {seen.cases} cuts: the rig is blind")
    outcome.figures[f"{name}: found after cuts"] = seen.cases
    outcome.figures[f"{name}: found first"] = seen.failures[0][:300] if seen.failures else "-"


async def _replayed(rig: Rig, synchronous: str, seen: Outcome) -> None:
    ram = ram_folder()
    try:
        async with new_logger(rig, synchronous, "--synchronous", synchronous, seconds=SECONDS) as (_, tape):
            opener = Opener(ram / "image")
            for cut in cuts(tape, IMAGES, rig.random(synchronous), opener.base(tape)):
                found, refused = opener.check(cut)
                seen.cases += 1
                note(seen, cut, found, refused)
                if found:
                    return
    finally:
        shutil.rmtree(ram, ignore_errors=True)


async def _real(rig: Rig, synchronous: str, seen: Outcome) -> None:
    await cut_round(rig, CUTS, seen, synchronous)


TESTS = {"blind": blind}
