"""Errors of lines and instruments: a code and parameters, put into words by the catalogue in `edge`."""

from __future__ import annotations

from typing import Any

OTHER = "drivers.other"
"""Code for drivers of other packages, which have no texts in the catalogue: the parameter `reason` is the text."""


class DriverError(Exception):
    """Reading or commanding an instrument failed; `code` names the text (`drivers.…`), `params` fill it."""

    def __init__(self, code: str, **params: Any) -> None:
        super().__init__(code, params)
        self.code = code
        self.params = params

    def __str__(self) -> str:
        return self.code + "".join(f" {name}={value!r}" for name, value in self.params.items())


class DeviceSilent(DriverError):
    """No complete answer came in time: look at power, wiring, address, baud rate."""


class BadAnswer(DriverError):
    """An answer came and is not the one that was asked for: noise, another slave, a wrong register."""


class DeviceRefused(DriverError):
    """The instrument itself said no (a Modbus exception): look at the register and the function."""


class PortLost(DriverError):
    """The port is missing or broken: unplugged adapter, serial server gone."""


class BadOption(DriverError):
    """An instrument's or a point's option cannot be used: the site file must change."""


class OutcomeUnknown(DriverError):
    """A write was sent and not answered: it was carried out, or not. Look at the instrument before repeating it."""


class LineBusy(DriverError):
    """Too much waits for this line already: try again later."""


class LineClosed(DriverError):
    """The line was stopped before its turn came."""
