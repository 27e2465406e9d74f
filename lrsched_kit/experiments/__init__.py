"""Questions put to many runs: which schedule, which parameters, which base rate, and why."""

from ..training.stats import Paired
from .comparison import Comparison, compare
from .exercises import check
from .quadratic import Expected, NoisyQuadratic, Tuned, noise_floor
from .range_test import RangeTest, lr_range_test
from .sweeps import Sweep, sweep

__all__ = [
    "Comparison",
    "Expected",
    "NoisyQuadratic",
    "Paired",
    "RangeTest",
    "Sweep",
    "Tuned",
    "check",
    "compare",
    "lr_range_test",
    "noise_floor",
    "sweep",
]
