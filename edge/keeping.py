"""One sample of a sampler: may it be kept now, and in which bottle is it then?

    state, door, bottles left ─▶ Refusal, or the number before ─▶ (the action) ─▶ the number behind it, another one

What can go wrong: a sampler that says done and has filled nothing. Where it has a register of the bottle, a number that
did not change is a failure; where it has none, the bottles are counted, and a full one is asked for no more.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from config.controls import Read
from config.sampler import Sampler
from edge.action_result import ActionResult, Code
from edge.store.kept import Cause, Kept

Ask = Callable[[Read], Awaitable[float | None]]
"""Reads one of the sampler's sources; None: it answered and has no number."""
LAST_BOTTLE = 99
"""Table 4: 0 < n <= 99."""
_REFUSALS: Mapping[str, tuple[Code, str]] = {
    "busy": ("busy", "actions.busy"),
    "full": ("refused", "actions.sampler-full"),
    "fault": ("fault", "actions.sampler-fault"),
    "door-open": ("refused", "actions.sampler-door"),
    "maintenance": ("refused", "actions.sampler-maintenance"),
}
"""By the sampler's state: how the action ends (Table 6), and why."""


class Refusal(Exception):
    """No sample is kept: how the action ends, and why (a code of the catalogue)."""

    def __init__(self, code: Code, why: str) -> None:
        super().__init__(code, why)
        self.code = code
        self.why = why


@dataclass(frozen=True, slots=True)
class Seen:
    """What a sampler says of itself; None: it does not say, or what nobody knows the meaning of."""

    state: str | None = None
    bottle: int | None = None
    amount: float | None = None
    door_open: bool | None = None
    ready: bool | None = None


async def look(sampler: Sampler, ask: Ask) -> Seen:
    """All that it says of itself. Raises DriverError."""
    state = await _number(sampler.state, ask)
    bottle, amount = await _number(sampler.bottle, ask), await _number(sampler.amount, ask)
    door, ready = await _number(sampler.door, ask), await _number(sampler.ready, ask)
    return Seen(
        None if state is None or sampler.states is None else sampler.states.get(f"{state:.0f}"),
        None if bottle is None else round(bottle),
        amount,
        None if door is None else door == sampler.door_open,
        None if ready is None else ready == sampler.ready_when,
    )


async def _number(source: Read | None, ask: Ask) -> float | None:
    found = None if source is None else await ask(source)
    return None if source is None or found is None else found * source.scale


async def bottle_before(sampler: Sampler, counted: int, ask: Ask) -> int:
    """Number of the bottle that was filled last; `counted`: by the keep log. Raises Refusal where none may be now."""
    seen = await look(sampler, ask)
    state = "door-open" if seen.door_open else seen.state
    if state is not None and state in _REFUSALS:
        raise Refusal(*_REFUSALS[state])
    before = counted if seen.bottle is None else seen.bottle
    if before >= sampler.bottles and not sampler.wrap:
        raise Refusal(*_REFUSALS["full"])
    return before


async def bottle_after(sampler: Sampler, before: int, named: str | None, ask: Ask) -> tuple[int, float | None]:
    """Bottle and mL of the sample; `named`: the bottle that the action gave. Raises Refusal where none was filled."""
    amount = await _number(sampler.amount, ask)
    volume = sampler.volume if amount is None else amount
    if named is not None:
        bottle = int(named)
    elif sampler.bottle is not None:
        bottle = round(await _number(sampler.bottle, ask) or 0)
    else:
        return before % sampler.bottles + 1, volume
    if sampler.bottle is not None and bottle == before and sampler.bottles > 1:
        raise Refusal("fault", "actions.sampler-same-bottle")
    if not 1 <= bottle <= LAST_BOTTLE:
        raise Refusal("no-data", "actions.no-data")
    return bottle, volume


def entry(result: ActionResult, outlet: str, at_ms: int, cause: Cause, who: str, reason: str = "") -> Kept:
    """The keep log's entry of a sample that was kept."""
    bottle = result.data.get("VaseNo")
    number = None if bottle is None else int(bottle)
    return Kept(at_ms, result.instrument or "", outlet, number, result.volume, cause, who, reason)
