"""The kit stands beside the tests, which are no package; what several folders use stands at the top of the tests."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2])]
