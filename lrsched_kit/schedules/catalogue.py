"""The catalogue of schedules: each row builds a real torch scheduler.

A new schedule is a new row in the file of its family: whatever shows, trains or compares
schedules takes them from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ..words.errors import look_up
from . import decays, rises
from .spec import FAMILIES, Schedule

ALL_ROWS = decays.ROWS + rises.ROWS

SCHEDULES: Mapping[str, Schedule] = MappingProxyType(
    {row.name: row for family in FAMILIES for row in ALL_ROWS if row.family == family}
)
"""All rows by name, family by family."""

BASICS = ("Constant", "StepLR", "ExponentialLR", "CosineAnnealingLR", "ReduceLROnPlateau")
"""The five that the first lessons teach, in their order."""


def get_schedule(name: str | Schedule) -> Schedule:
    """Return the row called ``name``; a row of one's own is returned as it is.

    Raises:
        ValueError: for an unknown name, with the nearest one and the list.

    >>> get_schedule("StepLr")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    ValueError: name must be a known schedule (did you mean 'StepLR'?), got 'StepLr'; known are ...
    """
    if isinstance(name, Schedule):
        return name
    return look_up("name", "a known schedule", name, SCHEDULES)
