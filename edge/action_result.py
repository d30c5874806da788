"""How an action at an instrument ended, and what it gave: the codes of HJ 212-2017 Table 6."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from drivers.errors import (
    BadAnswer,
    BadOption,
    DeviceRefused,
    DeviceSilent,
    DriverError,
    LineBusy,
    LineClosed,
    OutcomeUnknown,
    PortLost,
)

Code = Literal["done", "no-action", "refused", "busy", "timeout", "fault", "no-data"]
_EXE_RTN: Mapping[Code, int] = {
    "done": 1, "fault": 2, "no-action": 3, "refused": 3, "timeout": 4, "busy": 5, "no-data": 100,
}  # fmt: skip
_SYSTEM_FAULT = 6
_DEVICE_BUSY = 6
"""Modbus exception of an instrument that is busy (GB/T 19582.1 §7)."""
_ENDS: tuple[tuple[type[DriverError], Code], ...] = (
    (BadOption, "refused"),
    (LineBusy, "busy"),
    (DeviceSilent, "timeout"),
    (BadAnswer, "timeout"),
    (OutcomeUnknown, "timeout"),
)
"""How an action ends that an error ended; any other one is a fault."""


@dataclass(frozen=True, slots=True)
class Why:
    """A reason in the catalogue: `code` and what fills its text."""

    code: str
    params: dict[str, object]


@dataclass(frozen=True, slots=True)
class ActionResult:
    """How an action ended, and what it gave by the field names of Table 4.

    `data`: VaseNo, CstartTime, CTime, Stime, SystemTime; SN and Info without the code before them.
    """

    code: Code
    data: Mapping[str, str] = field(default_factory=dict)
    why: Why | DriverError | None = None
    instrument: str | None = None
    """Which one did it."""
    volume: float | None = None
    """mL of a kept sample."""

    @property
    def exe_rtn(self) -> int:
        """ExeRtn of the 9012, Table 6."""
        is_ours = isinstance(self.why, PortLost | LineClosed)
        return _SYSTEM_FAULT if self.code == "fault" and is_ours else _EXE_RTN[self.code]


def code_of(error: DriverError) -> Code:
    """How an action ends that an error ended."""
    if isinstance(error, DeviceRefused) and error.params.get("exception") == _DEVICE_BUSY:
        return "busy"
    return next((code for cls, code in _ENDS if isinstance(error, cls)), "fault")
