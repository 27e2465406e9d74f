"""What the curves of runs are made of: stairs, rates of groups and seeds, names at their ends."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Annotation

from .training import History
from .words import WORDS


def stairs(rates: np.ndarray, per_epoch: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return the corners of a staircase: each rate holds from its step until the next one.

    >>> x, y = stairs(np.array([1.0, 0.5]))
    >>> x.tolist(), y.tolist()
    ([0.0, 1.0, 1.0, 2.0], [1.0, 1.0, 0.5, 0.5])
    """
    edges = np.arange(len(rates) + 1) / per_epoch
    return np.repeat(edges, 2)[1:-1], np.repeat(rates, 2)


def distinct_rates(runs: Sequence[History]) -> list[tuple[int, np.ndarray]]:
    """Return the runs' applied rates with their parameter groups, counted from 0; each once.

    Seeds share them unless a metric decides. A group's are left out where they are another's.

    >>> [(group, rates.shape) for group, rates in distinct_rates([History.empty(2, 3, groups=2)])]
    [(0, (6,))]
    """
    kept: list[tuple[int, np.ndarray]] = []
    for group in range(max((len(run.group_lr) for run in runs), default=0)):
        for run in runs:
            for rates in run.group_lr[group : group + 1]:
                if not any(np.array_equal(rates, other, equal_nan=True) for _, other in kept):
                    kept.append((group, rates))
    return kept


def last_point(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Return where a line ends; NaN where it has no point.

    >>> last_point(np.array([0.0, 1.0, 2.0]), np.array([3.0, 4.0, np.nan]))
    (1.0, 4.0)
    """
    known = np.flatnonzero(np.isfinite(y))[-1:]
    return (float(x[known[0]]), float(y[known[0]])) if len(known) else (np.nan, np.nan)


def ends_with_room(ax: Axes, ends: Sequence[tuple[float, float]]) -> list[int]:
    """Return which of the points can be named: above it there is room, free of the others' lines.

    >>> from lrsched_kit.plotting import new_axes
    >>> (ax,) = new_axes()
    >>> _ = ax.set(xlim=(0, 1), ylim=(0, 1))
    >>> ends_with_room(ax, [(1.0, 0.5), (1.0, 0.47), (1.0, 0.2), (1.0, 0.99)])
    [0, 2]
    """
    ax.get_ylim()  # which brings limits up to date
    points = np.reshape(ends, (-1, 2))
    with np.errstate(divide="ignore", invalid="ignore"):  # a rate of 0 on a logarithmic axis
        x, y = (ax.transScale + ax.transLimits).transform(points).T
    free = []
    for index in range(len(points)):
        crowded = (np.abs(y - y[index] - 0.045) < 0.05) & (np.abs(x - x[index]) < 0.25)
        crowded[index] = False
        if 0 <= y[index] < 0.9 and 0.25 < x[index] < 1.01 and not crowded.any():
            free.append(index)
    return free


def name_group(ax: Axes, group: int, x: float, y: float) -> Annotation:
    """Write a parameter group's name over the right end of its line."""
    return ax.annotate(
        WORDS["group"].format(number=group + 1),
        (x, y),
        xytext=(-3, 2),
        textcoords="offset points",
        ha="right",
        va="bottom",
        fontsize=8.5,
        clip_on=True,
    )


def with_divergence(label: str, runs: Sequence[History]) -> str:
    """Add to a label how many runs diverged, and when the first of them did.

    >>> run = History.empty(5, 1)
    >>> with_divergence("StepLR", [run])
    'StepLR'
    """
    lost = [run.diverged_at for run in runs if run.diverged_at is not None]
    if not lost:
        return label
    key = "diverged_label" if len(runs) == 1 else "diverged_label_seeds"
    return WORDS[key].format(label=label, epoch=min(lost) + 1, lost=len(lost), seeds=len(runs))
