"""Labs: sliders that re-run real training and redraw what it did, live."""

from .composer import ComposerLab
from .exhibit import ExhibitLab
from .gallery import GalleryLab
from .quadratic import QuadraticLab
from .range_test import RangeTestLab
from .schedule import ScheduleLab
from .sweep import SweepLab

__all__ = [
    "ComposerLab",
    "ExhibitLab",
    "GalleryLab",
    "QuadraticLab",
    "RangeTestLab",
    "ScheduleLab",
    "SweepLab",
]
