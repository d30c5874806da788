"""Which drivers there are; a site loads the modules of those it uses and no others.

    shipped    drivers/NAME.py, by the table below
    others     installed packages with an entry point in the group `hj212.drivers`: NAME = "package.module:Class"

A shipped name cannot be taken by another package, and one that two packages offer belongs to neither. To know the
names no package is imported.
"""

from __future__ import annotations

import dataclasses
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from drivers.driver import Driver
from drivers.errors import BadOption

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "hj212.drivers"
_SHIPPED = {
    "adam": ("drivers.adam", "Adam"),
    "cjt188": ("drivers.cjt188", "Cjt188"),
    "dlt645": ("drivers.dlt645", "Dlt645"),
    "hj212": ("drivers.hj212", "Hj212"),
    "modbus": ("drivers.modbus", "Modbus"),
    "text": ("drivers.text", "Text"),
}
"""Name in the site file: module and class."""
_LOADING = (ImportError, AttributeError, NameError, TypeError, ValueError, SyntaxError, OSError, RuntimeError)
"""What goes wrong in a package that is imported."""


def shipped() -> tuple[str, ...]:
    """The names of the drivers in this folder, sorted."""
    return tuple(sorted(_SHIPPED))


def names() -> tuple[str, ...]:
    """The names of all drivers that are installed, sorted."""
    return tuple(sorted({*_SHIPPED, *(entry.name for entry in _others())}))


def driver_class(name: str) -> type[Driver]:
    """The class of a driver; imports its module.

    Raises BadOption for an unknown name, one that two packages offer, and a package that does not work; all of them
    name the package.
    """
    if name in _SHIPPED:
        module, attribute = _SHIPPED[name]
        return cast("type[Driver]", getattr(import_module(module), attribute))
    found = [entry for entry in _others() if entry.name == name]
    if not found:
        raise BadOption("drivers.unknown-driver", driver=name, known=", ".join(names()))
    packages = ", ".join(sorted({_package(entry) for entry in found}))
    if len(found) > 1:
        raise BadOption("drivers.driver-twice", driver=name, packages=packages)
    return _loaded(found[0], packages)


def _others() -> list[EntryPoint]:
    from importlib.metadata import entry_points  # 20 ms that a site without them does not spend

    # a package that stands on the path twice is one
    return list({(entry.name, _package(entry)): entry for entry in entry_points(group=GROUP)}.values())


def _package(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value


def _loaded(entry: EntryPoint, package: str) -> type[Driver]:
    try:
        driver = entry.load()
    except _LOADING as error:
        reason = f"{type(error).__name__}: {error}"
        raise BadOption("drivers.driver-broken", driver=entry.name, package=package, reason=reason) from error
    if lacking := _lacking(driver, entry.name):
        raise BadOption("drivers.driver-lacks", driver=entry.name, package=package, lacking=lacking)
    return cast("type[Driver]", driver)


def _lacking(driver: Any, name: str) -> str:
    """What the class has not that the contract in `drivers.driver` asks for; empty: it has all."""
    has = {
        f'name = "{name}"': getattr(driver, "name", None) == name,
        "PointOptions": dataclasses.is_dataclass(getattr(driver, "PointOptions", None)),
        "InstrumentOptions": dataclasses.is_dataclass(getattr(driver, "InstrumentOptions", None)),
        "read": callable(getattr(driver, "read", None)),
    }
    return ", ".join(what for what, is_there in has.items() if not is_there)
