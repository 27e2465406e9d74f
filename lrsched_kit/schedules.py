"""The catalogue of schedules: each row builds a real torch scheduler, a closed form beside it.

The closed form is independent of torch and serves tests and lessons only. Whatever trains, and
whatever `trace_lr` returns, comes from ``torch.optim.lr_scheduler``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch.optim import SGD

from . import compositions, cosines, cycles, decays, warmups
from .params import Param, check_number, nearest
from .rows import FAMILIES, Schedule

__all__ = [
    "BASICS",
    "FAMILIES",
    "SCHEDULES",
    "Param",
    "Schedule",
    "check_number",
    "get_schedule",
    "nearest",
    "trace_lr",
    "trace_momentum",
]

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


def trace_lr(
    name: str | Schedule,
    *,
    base_lr: float,
    steps: int,
    metrics: Sequence[float] | None = None,
    **params: float,
) -> np.ndarray:
    """Step the real torch scheduler on a dummy parameter and note each rate it applies.

    Args:
        name: of a row of `SCHEDULES`, or a row of one's own.
        base_lr: the optimizer's initial rate.
        steps: how many scheduler steps (epochs or batches, as you like to read it).
        metrics: for metric-driven rows: ``metrics[t]`` is reported after step t. Others need none.
        **params: the schedule's own; those left out take the row's defaults.

    Returns:
        Shape ``(steps,)``: the rate in ``optimizer.param_groups`` at step 0..steps-1.

    Raises:
        ValueError: for anything out of range; the message names argument, constraint and value.

    Source: https://docs.pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate

    >>> trace_lr("StepLR", base_lr=1.0, steps=6, step_size=2, gamma=0.5).tolist()
    [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]
    """
    groups = _applied(name, base_lr=base_lr, steps=steps, metrics=metrics, params=params)
    return np.array([group["lr"] for group in groups])


def trace_momentum(
    name: str | Schedule,
    *,
    base_lr: float,
    steps: int,
    metrics: Sequence[float] | None = None,
    **params: float,
) -> np.ndarray:
    """Note the momentum at each step instead: some schedulers move that as well.

    Args, Raises: as in `trace_lr`. The optimizer is SGD with momentum 0.9; with Adam the same
    numbers are its first beta.

    Returns:
        Shape ``(steps,)``.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.OneCycleLR.html

    >>> trace_momentum("CyclicLR", base_lr=0.1, steps=4, cycles=1).round(3).tolist()
    [0.9, 0.85, 0.8, 0.85]
    >>> trace_momentum("StepLR", base_lr=0.1, steps=4).tolist()
    [0.9, 0.9, 0.9, 0.9]
    """
    groups = _applied(name, base_lr=base_lr, steps=steps, metrics=metrics, params=params)
    return np.array([group["momentum"] for group in groups])


def _applied(
    name: str | Schedule,
    *,
    base_lr: float,
    steps: int,
    metrics: Sequence[float] | None,
    params: Mapping[str, float],
) -> Iterator[dict[str, Any]]:
    """Yield the optimizer's ``param_groups[0]`` as it stands at step 0..steps-1."""
    schedule = get_schedule(name)
    base_lr = check_number("base_lr", base_lr)
    steps = int(check_number("steps", steps, integer=True))
    reports = _check_metrics(schedule.name, metrics, steps) if schedule.metric_driven else None
    optimizer = SGD([torch.zeros((), requires_grad=True)], lr=base_lr, momentum=0.9)
    scheduler: Any = schedule.build(optimizer, total_steps=steps, **params)
    optimizer.step()  # torch warns of a scheduler whose optimizer has never stepped
    for t in range(steps):
        yield optimizer.param_groups[0]
        scheduler.step(*([] if reports is None else [reports[t]]))


def _check_metrics(name: str, metrics: Sequence[float] | None, steps: int) -> np.ndarray:
    if metrics is None:
        raise ValueError(
            f"metrics must be given for {name}: one number per step decides its rate, got None."
        )
    try:
        reports = np.asarray(metrics, dtype=float)
    except (TypeError, ValueError):
        raise ValueError(f"metrics must be numbers, got {metrics!r:.80}.") from None
    if reports.shape != (steps,):
        raise ValueError(f"metrics must have shape ({steps},), got {reports.shape}.")
    return reports
