"""The one statistic of the kit: a mean over seeds, with its standard error."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


def mean_and_error(values: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard error over the first axis (the seeds).

    The standard error is the sample standard deviation over sqrt(n): how far the mean would
    typically move if other seeds had been drawn. With one row it is unknown, hence NaN. Where a
    row is not finite (a diverged run), both are NaN.

    >>> mean, error = mean_and_error([1.0, 2.0, 3.0])
    >>> float(mean), round(float(error), 3)
    (2.0, 0.577)
    """
    rows = np.asarray(values, dtype=float)
    rows = np.where(np.isfinite(rows), rows, math.nan)
    mean = rows.mean(axis=0)
    if len(rows) == 1:
        return mean, np.full_like(mean, math.nan)
    return mean, rows.std(axis=0, ddof=1) / math.sqrt(len(rows))


@dataclass(frozen=True)
class Paired:
    """How two settings differ, seed by seed.

    Attributes:
        wins: on how many seeds the first is lower (a run that diverged is lower than none).
        seeds: how many there are.
        gap: mean of second minus first, positive where the first is lower, over the seeds on
            which neither diverged; NaN if there is none.
        error: standard error of that mean (NaN for one seed).
    """

    wins: int
    seeds: int
    gap: float
    error: float


def paired(first: ArrayLike, second: ArrayLike) -> Paired:
    """Compare two arrays of losses, shape ``(seeds,)``, seed by seed; lower is better.

    Sharing each seed's initial weights and batch order removes the luck they have in common, so
    the differences vary less than the losses themselves.

    >>> result = paired([0.3, 0.4, 0.5], [0.5, 0.6, 0.7])
    >>> result.wins, result.seeds, round(result.gap, 3), round(result.error, 3)
    (3, 3, 0.2, 0.0)
    """
    a, b = (np.asarray(losses, dtype=float) for losses in (first, second))
    a, b = (np.where(np.isfinite(losses), losses, math.inf) for losses in (a, b))
    wins, both = int((a < b).sum()), np.isfinite(a) & np.isfinite(b)
    if not both.any():
        return Paired(wins, len(a), math.nan, math.nan)
    mean, error = mean_and_error(b[both] - a[both])
    return Paired(wins, len(a), float(mean), float(error))


def with_error(value: float, error: float) -> str:
    """Write a number with its standard error, if that is known.

    >>> with_error(0.3652, 0.0049), with_error(0.3652, float("nan"))
    ('0.365 ± 0.005', '0.365')
    """
    return f"{value:.3f}" if math.isnan(error) else f"{value:.3f} ± {error:.3f}"
