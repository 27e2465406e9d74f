"""Labs: sliders that re-run real training and redraw what it did, live."""

from .schedule import ScheduleLab

__all__ = ["ScheduleLab"]
