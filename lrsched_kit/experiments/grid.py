"""The grid of a sweep: two parameters and the values to try."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np

from ..schedules.catalogue import get_schedule
from ..schedules.params import Param
from ..schedules.spec import Schedule
from ..words.errors import check_number, nearest


def check_grid(
    schedule: str | Schedule, grid: Mapping[str, Sequence[float]]
) -> dict[str, tuple[float, ...]]:
    """Return a grid as plain numbers, or say what is wrong with it.

    >>> check_grid("StepLR", {"gamma": [0.1, 0.5], "step_size": [2.0, 4]})
    {'gamma': (0.1, 0.5), 'step_size': (2, 4)}
    >>> check_grid("StepLR", {"gamma": [0.1, 0.5]})
    Traceback (most recent call last):
    ...
    ValueError: grid must name two parameters, got 1: gamma.
    """
    row = get_schedule(schedule)
    knobs: dict[str, Callable[[object], float]] = {"base_lr": partial(check_number, "base_lr")}
    knobs |= {param.name: param.check for param in row.params if isinstance(param, Param)}
    if len(grid) != 2:
        raise ValueError(
            f"grid must name two parameters, got {len(grid)}: {', '.join(map(str, grid))}."
        )
    for name, values in grid.items():
        if name in {param.name for param in row.params} - knobs.keys():
            raise ValueError(
                f"grid must name parameters that are numbers, got {name!r}; "
                f"there are {', '.join(knobs)}."
            )
        if name not in knobs:
            raise ValueError(
                f"grid must name parameters of {row.name}{nearest(str(name), knobs)}, "
                f"got {name!r}; there are {', '.join(knobs)}."
            )
        listed = isinstance(values, Sequence | np.ndarray) and not isinstance(values, str)
        if not listed or not len(values):
            raise ValueError(f"grid[{name!r}] must hold numbers, at least one, got {values!r}.")
    checked = {name: tuple(map(knobs[name], values)) for name, values in grid.items()}
    for name, values in checked.items():
        if list(values) != sorted(set(values)):
            raise ValueError(f"grid[{name!r}] must rise from value to value, got {values}.")
    return checked
