"""Questions asked with fleets of runs: which schedule wins, by how much, and is it luck?"""

from ..range_test import RangeTest, lr_range_test
from .comparison import Comparison, compare
from .sweeps import Sweep, sweep

__all__ = ["Comparison", "RangeTest", "Sweep", "compare", "lr_range_test", "sweep"]
