"""`virtual_time` stands at the top of the tests, the memory of an instrument beside the tests of actions."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]
