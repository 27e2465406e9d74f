"""Questions asked with fleets of runs: which schedule wins, by how much, and is it luck?"""

from .comparison import Comparison, compare
from .sweeps import Sweep, sweep

__all__ = ["Comparison", "Sweep", "compare", "sweep"]
