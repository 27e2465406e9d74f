"""The one statistic of the kit, a mean over seeds with its standard error; and its t test."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..words.errors import check_number


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
        wins: on how many seeds the first is better (a run that diverged is better than none).
        seeds: how many there are.
        gap: mean difference, positive where the first is better, over the seeds on which neither
            diverged; NaN if there is none.
        error: standard error of that mean (NaN for one seed).
    """

    wins: int
    seeds: int
    gap: float
    error: float


def paired(first: ArrayLike, second: ArrayLike, *, higher: bool = False) -> Paired:
    """Compare two arrays of losses, shape ``(seeds,)``, seed by seed; lower is better.

    Sharing each seed's initial weights and batch order removes the luck they have in common, so
    the differences vary less than the losses themselves.

    Args:
        first, second: NaN where a run diverged.
        higher: whether higher is better, as for accuracies.

    >>> result = paired([0.3, 0.4, 0.5], [0.5, 0.6, 0.7])
    >>> result.wins, result.seeds, round(result.gap, 3), round(result.error, 3)
    (3, 3, 0.2, 0.0)
    >>> paired([0.9, 0.8], [0.7, 0.7], higher=True).wins
    2
    """
    sign = -1.0 if higher else 1.0
    a, b = (sign * np.asarray(values, dtype=float) for values in (first, second))
    a, b = (np.where(np.isfinite(values), values, math.inf) for values in (a, b))
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


def t_quantile(share: float, df: int) -> float:
    """Return what Student's t with ``df`` degrees of freedom stays below with that probability.

    A mean of few seeds comes with a standard error that is itself a guess: of three seeds, a gap
    must be 4.3 standard errors, not 2, to be as rare by luck as one in twenty (to either side).

    Args:
        share: the probability, between 0 and 1.
        df: for a mean over seeds, their number less one.

    Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.1.

    >>> round(t_quantile(0.975, 2), 3), round(t_quantile(0.975, 1000), 3)
    (4.303, 1.962)
    """
    share = check_number("share", share, must_be="fraction")
    df = int(check_number("df", df, integer=True))
    if share < 0.5:
        return -t_quantile(1 - share, df)
    angles = np.linspace(0, math.pi / 2, 100_001)  # whose tangent is t / sqrt(df)
    density = np.cos(angles) ** (df - 1)
    within = np.cumsum(density[1:] + density[:-1])  # the trapezoidal rule, but for its scale
    angle = np.interp((2 * share - 1) * within[-1], [0, *within], angles)
    return math.sqrt(df) * math.tan(angle)
