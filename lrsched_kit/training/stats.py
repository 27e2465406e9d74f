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

    Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.3 and 26.7.4.

    >>> round(t_quantile(0.975, 2), 3), round(t_quantile(0.975, 1000), 3)
    (4.303, 1.962)
    """
    share = check_number("share", share, must_be="fraction")
    df = int(check_number("df", df, integer=True))
    if share < 0.5:
        return -t_quantile(1 - share, df)
    low, high = 0.0, math.pi / 2  # of the angle whose tangent is t / sqrt(df)
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if _within(middle, df) < 2 * share - 1 else (low, middle)
    return math.sqrt(df) * math.tan(low)


def _within(angle: float, df: int) -> float:
    """Return the probability that t lies between plus and minus ``sqrt(df) * tan(angle)``."""
    odd = df % 2
    term = math.cos(angle) if odd else 1.0
    total = term if df > 1 else 0.0
    for n in range(2 + odd, df - 1, 2):
        term *= (n - 1) / n * math.cos(angle) ** 2
        total += term
    total *= math.sin(angle)
    return 2 / math.pi * (angle + total) if odd else total
