"""Labs: sliders that re-run real training and redraw what it did, live."""

from .schedule import ScheduleLab
from .sweep import SweepLab

__all__ = ["ScheduleLab", "SweepLab"]
