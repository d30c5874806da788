"""Treatment equipment (治理设施) of HJ 212-2017 Table 4: `SB1` … `SB999`, its states RS and its running times RT.

    CN 2021   DataTime=…;SB1-RS=1;SB2-RS=0           CN 2041   DataTime=…;SB1-RT=1.10;SB2-RT=2.10

The table writes `SBxxx`; all examples of Annex C are without zeros in front.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

OFF, RUNNING = 0, 1
STATES: Mapping[int, str] = {
    OFF: "off", RUNNING: "running", 2: "calibration", 3: "maintenance", 4: "alarm", 5: "blowback",
}  # fmt: skip
"""The states that the table names; its list is open."""
LAST_STATE = 9
"""RS has one digit (N1)."""
RUNTIME_DECIMALS = 2
"""RT is N2.2: hours of one day, 0 … 24."""

_CODE = re.compile(r"SB[1-9][0-9]{0,2}", re.ASCII)


def is_equipment(code: str) -> bool:
    """Whether a code names equipment and no pollutant."""
    return code.startswith("SB") and _CODE.fullmatch(code) is not None


def state_name(code: str, value: float | None) -> str | None:
    """The name of the state that a sample of `code` holds; None: no equipment, no value, or a state without a name."""
    return STATES.get(int(value)) if value is not None and is_equipment(code) else None
