"""Which drivers there are; a site loads the modules of those it uses and no others."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from drivers.driver import Driver
from drivers.errors import BadOption

_DRIVERS = {
    "adam": ("drivers.adam", "Adam"),
    "cjt188": ("drivers.cjt188", "Cjt188"),
    "dlt645": ("drivers.dlt645", "Dlt645"),
    "hj212": ("drivers.hj212", "Hj212"),
    "modbus": ("drivers.modbus", "Modbus"),
    "text": ("drivers.text", "Text"),
}
"""Name in the site file: module and class."""


def names() -> tuple[str, ...]:
    """The drivers' names, sorted."""
    return tuple(sorted(_DRIVERS))


def driver_class(name: str) -> type[Driver]:
    """The class of a driver; imports its module. Raises BadOption for an unknown name."""
    if name not in _DRIVERS:
        raise BadOption("drivers.unknown-driver", driver=name, known=", ".join(names()))
    module, attribute = _DRIVERS[name]
    return cast("type[Driver]", getattr(import_module(module), attribute))
