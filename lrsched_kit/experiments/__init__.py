"""Questions put to many runs: which schedule, which parameters, which base rate, and why."""

from .comparison import Comparison, compare
from .exercises import check
from .quadratic import NoisyQuadratic, noise_floor
from .range_test import RangeTest, lr_range_test
from .sweeps import Sweep, sweep

__all__ = [
    "Comparison",
    "NoisyQuadratic",
    "RangeTest",
    "Sweep",
    "check",
    "compare",
    "lr_range_test",
    "noise_floor",
    "sweep",
]
