"""The catalogue of schedules: each row builds a real torch scheduler, a closed form beside it.

The closed form is independent of torch and serves tests and lessons only. Whatever trains, and
whatever `trace_lr` returns, comes from ``torch.optim.lr_scheduler``.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ..words.errors import nearest
from . import compositions, cosines, cycles, decays, warmups
from .spec import FAMILIES, Schedule

_ROOMS = (decays, cosines, warmups, cycles, compositions)

SCHEDULES: Mapping[str, Schedule] = MappingProxyType(
    {
        row.name: row
        for family in FAMILIES
        for room in _ROOMS
        for row in room.ROWS
        if row.family == family
    }
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
    if not isinstance(name, str) or name not in SCHEDULES:
        raise ValueError(
            f"name must be a known schedule{nearest(str(name), SCHEDULES)}, got {name!r}; "
            f"known are {', '.join(SCHEDULES)}."
        )
    return SCHEDULES[name]
