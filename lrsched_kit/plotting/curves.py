"""What the curves of runs are made of: stairs, rates of groups and seeds, names at their ends."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Annotation

from ..training.history import History
from ..words import say


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


Line = tuple[np.ndarray, np.ndarray]
_NAME = np.array([38, 11])  # width and height of a name, in points


def places_for_names(ax: Axes, lines: Sequence[Line]) -> list[tuple[int, float, float, int]]:
    """Say where lines can be named: at their right ends, where no line and no other name is.

    Returns:
        Index of the line, its end, and 1 for a name above the end or -1 for one below. Lines
        without room for a name are left out.

    >>> from lrsched_kit.plotting.figures import new_axes
    >>> (ax,) = new_axes()
    >>> _ = ax.set(xlim=(0, 1), ylim=(0, 1))
    >>> flat, falling = np.array([0.2, 0.2]), np.array([1.0, 0.15])
    >>> places_for_names(ax, [([0, 1], flat), ([0, 1], falling)])
    [(1, 1.0, 0.15, -1)]
    """
    ax.get_ylim()  # brings limits up to date
    shares = [_shares(ax, *line) for line in lines]
    width, height = _NAME * ax.get_figure(root=True).dpi / 72 / ax.bbox.size
    places, boxes = [], []
    for index, (x, y) in enumerate(shares):
        if not len(x) or not width < x[-1] <= 1.001:
            continue
        for side in (1, -1):
            low, high = sorted((y[-1] + 0.012 * side, y[-1] + height * side))
            across = np.linspace(x[-1] - width, x[-1], 16)
            heights = [np.interp(across, *line) for line in shares if len(line[0])]
            free = all((line > high).all() or (line < low).all() for line in heights)
            apart = all(high < bottom or low > top for bottom, top in boxes)
            if free and apart and low >= -0.01 and high <= 1.01:
                known = np.flatnonzero(np.isfinite(lines[index][1]))[-1]
                end = (float(values[known]) for values in lines[index])
                places.append((index, *end, side))
                boxes.append((low, high))
                break
    return places


def _shares(ax: Axes, x: np.ndarray, y: np.ndarray) -> Line:
    """Return the points of a line that have a place on the axes, in shares of them."""
    with np.errstate(divide="ignore", invalid="ignore"):  # a rate of 0 on a logarithmic axis
        points = (ax.transScale + ax.transLimits).transform(np.column_stack([x, y]))
    return tuple(points[np.isfinite(points).all(axis=1)].T)


def name_group(name: Annotation, group: int, x: float, y: float, side: int) -> None:
    """Let a text name a parameter group at the end of its line."""
    name.set_text(say("group", number=group + 1))
    name.xy = x, y
    name.set(position=(-3, 2 * side), va="bottom" if side > 0 else "top", visible=True)


def blank_name(ax: Axes) -> Annotation:
    """Make a text for `name_group`."""
    place = {"xytext": (0, 0), "textcoords": "offset points", "ha": "right"}
    return ax.annotate("", (0, 0), **place, fontsize=8.5, visible=False)


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
    return say(key, label=label, epoch=min(lost) + 1, lost=len(lost), seeds=len(runs))
