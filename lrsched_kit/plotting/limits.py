"""Limits of axes: round numbers around what is drawn, so that they change seldom."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..training.history import History
from .ticks import RoundTicks

Limits = tuple[float, float]

LOG_DECADES = 5  # a logarithmic rate axis shows at most so many
_NICE = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10)
_TINY = 1e-12  # a loss of zero has no place on a logarithmic axis
_SLACK = 1e-9  # a round number is one in spite of rounding errors


def nice_ceiling(value: float) -> float:
    """Return the next round number at or above ``value``.

    >>> nice_ceiling(0.103), nice_ceiling(1.01), nice_ceiling(2.4)
    (0.12, 1.2, 2.5)
    """
    return min(nice for nice in _nice_numbers(value) if value <= nice * (1 + _SLACK))


def nice_floor(value: float) -> float:
    """Return the next round number at or below ``value``; a very small one for 0.

    >>> nice_floor(0.37), nice_floor(1.0)
    (0.3, 1.0)
    """
    value = max(value, _TINY)
    return max(nice for nice in _nice_numbers(value) if value >= nice * (1 - _SLACK))


def _nice_numbers(value: float) -> list[float]:
    power = 10.0 ** math.floor(math.log10(max(value, _TINY)))
    return [float(f"{step * power:.12g}") for step in _NICE]


def _decade_below(value: float) -> int:
    return math.floor(math.log10(value) + _SLACK)


def rate_limits(lines: Sequence[np.ndarray], *, log: bool) -> Limits:
    """Return limits for rates, some of which may be NaN: from 0, or powers of ten around them.

    >>> rate_limits([np.array([0.1, 0.01])], log=False), rate_limits([np.array([0.1])], log=True)
    ((0.0, 0.12), (0.008, 0.125))
    """
    known = [line[np.isfinite(line)] for line in lines]
    rates = np.concatenate(known)
    if not log:
        return 0.0, nice_ceiling(rates.max() * 1.04)
    top = math.ceil(math.log10(rates.max()) - _SLACK)
    # A line may fall out of the picture; that a group is never in it would be a riddle.
    least_peak = _decade_below(min(line.max() for line in known if line.any()))
    lowest = _decade_below(rates[rates > 0].min())
    bottom = min(max(lowest, top - LOG_DECADES), least_peak, top - 1)
    return 10.0**bottom * 0.8, 10.0**top * 1.25


def value_limits(runs: Sequence[History], metric: str, present: Limits | None) -> Limits:
    """Return limits for losses or a metric; ``present`` ones are widened, never narrowed."""
    found = _loss_limits(runs) if metric == "loss" else _metric_limits(runs, metric)
    if found is None:
        return present or ((0.1, 2.5) if metric == "loss" else (0.0, 1.0))
    bottoms, tops = zip(found, present or found, strict=True)
    return min(bottoms), max(tops)


def _loss_limits(runs: Sequence[History]) -> Limits | None:
    """Return round numbers around the losses.

    A run that blows up would flatten all others, so its later losses may leave the picture: the
    upper limit looks at the first epoch only.
    """
    runs = [run for run in runs if run.finished]
    if not runs:
        return None
    highest = max(max(run.val_loss[0], run.train_loss[0]) for run in runs)
    lowest = min(np.nanmin([run.val_loss, run.train_loss]) for run in runs)
    return nice_floor(lowest * 0.95), nice_ceiling(highest * 1.02)


def _metric_limits(runs: Sequence[History], metric: str) -> Limits | None:
    values = np.concatenate([[], *(run.of(metric) for run in runs)])
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    low, high = float(values.min()), float(values.max())
    step = float(np.ptp(RoundTicks(6).tick_values(low, max(high, low + 0.01))[:2])) or 0.01
    return math.floor(low / step) * step, math.ceil(high / step + 0.1) * step
