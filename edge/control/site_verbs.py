"""What can be asked about the instruments beside their values: actions, samplers, filed parameters."""

from __future__ import annotations

from typing import Any

from edge.action_orders import ActionOrders
from edge.control.server import Verb, Who
from edge.filing import Filings
from edge.samplers import Samplers


def site_verbs(orders: ActionOrders, samplers: Samplers, filings: Filings) -> dict[str, Verb]:
    """The verbs by their names."""

    async def actions(_args: dict[str, Any], _who: Who) -> Any:
        return orders.rows()

    async def begin(args: dict[str, Any], who: Who) -> Any:
        return orders.begin(args, who.name)

    async def result(args: dict[str, Any], _who: Who) -> Any:
        return orders.result(int(args["number"]))

    async def list_samplers(_args: dict[str, Any], _who: Who) -> Any:
        return await samplers.look_now()

    async def emptied(args: dict[str, Any], who: Who) -> Any:
        operator, reason = str(args.get("by") or who.name), str(args.get("reason") or "")
        return await samplers.emptied(str(args["instrument"]), who.name, operator, reason)

    async def file(args: dict[str, Any], who: Who) -> Any:
        return await filings.file(args, who.name)

    return {
        "actions": Verb(actions),
        "action-begin": Verb(begin, changes=True),
        "action-result": Verb(result),
        "samplers": Verb(list_samplers),
        "sampler-emptied": Verb(emptied, changes=True),
        "file-parameter": Verb(file, changes=True),
    }
