"""What a schedule does to an optimizer: torch's own scheduler, stepped and noted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..words.errors import check_number
from .catalogue import get_schedule
from .spec import Schedule, dummy_optimizer


def trace_lr(
    name: str | Schedule,
    *,
    base_lr: float,
    steps: int,
    metrics: Sequence[float] | None = None,
    **params: Any,
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
    rates = [check_number("base_lr", base_lr)]
    return trace_groups(name, rates=rates, steps=steps, metrics=metrics, **params)[0]


def trace_groups(
    name: str | Schedule,
    *,
    rates: Sequence[float],
    steps: int,
    metrics: Sequence[float] | None = None,
    **params: Any,
) -> np.ndarray:
    """Note the rates of an optimizer with several parameter groups.

    Args:
        name, steps, metrics, **params: as in `trace_lr`; params that are rates, such as
            ``max_lr``, are meant for the first group, and the others take them in proportion.
        rates: the initial rate of each group.

    Returns:
        Shape ``(groups, steps)``.

    Raises:
        ValueError: as `trace_lr`.

    Source: https://docs.pytorch.org/docs/stable/optim.html#per-parameter-options

    >>> trace_groups("StepLR", rates=[1.0, 0.01], steps=3, step_size=2).round(6).tolist()
    [[1.0, 1.0, 0.1], [0.01, 0.01, 0.001]]
    """
    if not isinstance(rates, Sequence | np.ndarray) or isinstance(rates, str) or not len(rates):
        raise ValueError(f"rates must hold a positive number for each group, got {rates!r}.")
    rates = [check_number(f"rates[{number}]", rate) for number, rate in enumerate(rates)]
    states = _applied(name, rates, steps, metrics, params)
    return np.array([[float(group["lr"]) for group in groups] for groups in states]).T


def trace_momentum(
    name: str | Schedule,
    *,
    base_lr: float,
    steps: int,
    metrics: Sequence[float] | None = None,
    **params: Any,
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
    rates = [check_number("base_lr", base_lr)]
    states = _applied(name, rates, steps, metrics, params)
    return np.array([first["momentum"] for first, *_ in states])


def _applied(
    name: str | Schedule,
    rates: Sequence[float],
    steps: int,
    metrics: Sequence[float] | None,
    params: Mapping[str, Any],
) -> Iterator[list[dict[str, Any]]]:
    """Yield the optimizer's ``param_groups`` as they stand at step 0..steps-1."""
    schedule = get_schedule(name)
    steps = int(check_number("steps", steps, integer=True))
    reports = _reports(schedule.name, metrics, steps) if schedule.metric_driven else None
    optimizer = dummy_optimizer(rates)
    scheduler: Any = schedule.build(optimizer, total_steps=steps, **params)
    optimizer.step()  # torch warns of a scheduler whose optimizer has never stepped
    for t in range(steps):
        yield optimizer.param_groups
        scheduler.step(*([] if reports is None else [reports[t]]))


def _reports(name: str, metrics: Sequence[float] | None, steps: int) -> np.ndarray:
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
