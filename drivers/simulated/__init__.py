"""Simulated instruments: the sets of the demo and the presets, one of each driver, and what goes wrong on demand."""

from drivers.simulated.bus import Fault, SimulatedBus, Slave, WallClock
from drivers.simulated.sets import SETS, Course, SimulatedInstrument, SimulatedPoint, crc_bytes, site_blocks

__all__ = [
    "SETS", "Course", "Fault", "SimulatedBus", "SimulatedInstrument", "SimulatedPoint", "Slave", "WallClock",
    "crc_bytes", "site_blocks",
]  # fmt: skip
