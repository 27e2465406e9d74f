"""The curves of runs: what belongs to one setting, the stairs of its rates, room for names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from matplotlib.axes import Axes

from ..training.history import History
from ..words import say
from .style import Style

Line = tuple[np.ndarray, np.ndarray]
_NAME = np.array([38, 11])  # width and height of a name, in points


@dataclass(frozen=True)
class Curve:
    """One setting in a picture of rates and losses.

    Attributes:
        label: for the legend.
        style: colour and line style.
        planned: rates traced before training, one or more per epoch, of shape ``(steps,)`` or
            ``(groups, steps)``; None where a metric decides.
        runs: one `History` per seed, possibly unfinished; empty before training.
        thin: whether it stands back behind the curve under study.
    """

    label: str
    style: Style
    planned: np.ndarray | None
    runs: Sequence[History] = ()
    thin: bool = False

    @property
    def legend_label(self) -> str:
        """The label, with how many runs diverged, and when the first of them did."""
        lost = [run.diverged_at for run in self.runs if run.diverged_at is not None]
        if not lost:
            return self.label
        key = "diverged_label" if len(self.runs) == 1 else "diverged_label_seeds"
        facts = {"epoch": min(lost) + 1, "lost": len(lost), "seeds": len(self.runs)}
        return say(key, label=self.label, **facts)

    @cached_property
    def applied(self) -> list[tuple[int, Line]]:
        """The applied rates as stairs, with their parameter groups, counted from 0.

        Each once: seeds share them unless a metric decides, and groups may share them, too.
        """
        kept: list[tuple[int, np.ndarray]] = []
        for group, of_seeds in enumerate(zip(*(run.group_lr for run in self.runs), strict=True)):
            for rates in of_seeds:
                if not any(np.array_equal(rates, other, equal_nan=True) for _, other in kept):
                    kept.append((group, rates))
        return [(group, stairs(rates, len(rates) // self.runs[0].epochs)) for group, rates in kept]

    def planned_in(self, epochs: int) -> list[Line]:
        """Return the planned rates of each parameter group as stairs over so many epochs."""
        rows = np.empty((0, 0)) if self.planned is None else np.atleast_2d(self.planned)
        return [stairs(rates, len(rates) // epochs) for rates in rows]


def stairs(rates: np.ndarray, per_epoch: int = 1) -> Line:
    """Return the corners of a staircase: each rate holds from its step until the next one.

    >>> x, y = stairs(np.array([1.0, 0.5]))
    >>> x.tolist(), y.tolist()
    ([0.0, 1.0, 1.0, 2.0], [1.0, 1.0, 0.5, 0.5])
    """
    edges = np.arange(len(rates) + 1) / per_epoch
    return np.repeat(edges, 2)[1:-1], np.repeat(rates, 2)


def joined(lines: Sequence[Line]) -> Line:
    """Put several lines into one, with gaps between them and only the corners of each."""
    gap = np.full(1, np.nan)
    xs, ys = [], []
    for x, y in lines:
        jumps = np.flatnonzero(np.diff(y, prepend=np.nan, append=np.nan) != 0)
        corners = np.unique(np.clip(np.concatenate([jumps, jumps - 1]), 0, len(y) - 1))
        xs += [x[corners], gap]
        ys += [y[corners], gap]
    return np.concatenate(xs[:-1]), np.concatenate(ys[:-1])


def room_for_names(ax: Axes, lines: Sequence[Line]) -> dict[int, tuple[float, float, int]]:
    """Find right ends of lines that can be named, where no line and no other name is.

    Returns:
        Index of the line -> its end, and 1 for a name above the end or -1 for one below.

    >>> from lrsched_kit.plotting.figure import new_axes
    >>> (ax,) = new_axes()
    >>> _ = ax.set(xlim=(0, 1), ylim=(0, 1))
    >>> x, flat, falling = np.array([[0, 1], [0.2, 0.2], [1.0, 0.15]])
    >>> room_for_names(ax, [(x, flat), (x, falling)])
    {1: (1.0, 0.15, -1)}
    """
    ax.get_ylim()  # brings limits up to date
    shares = [_shares(ax, *line) for line in lines]
    width, height = _NAME * ax.figure.dpi / 72 / ax.bbox.size
    places: dict[int, tuple[float, float, int]] = {}
    taken: list[tuple[float, float]] = []
    for index, (x, y) in enumerate(shares):
        if not len(x) or not width < x[-1] <= 1.001:
            continue
        across = np.linspace(x[-1] - width, x[-1], 16)
        heights = [np.interp(across, *line) for line in shares if len(line[0])]
        for side in (1, -1):
            low, high = sorted((y[-1] + 0.012 * side, y[-1] + height * side))
            free = all((line > high).all() or (line < low).all() for line in heights)
            apart = all(high < bottom or low > top for bottom, top in taken)
            if free and apart and low >= -0.01 and high <= 1.01:
                known = np.flatnonzero(np.isfinite(lines[index][1]))[-1]
                end_x, end_y = (float(values[known]) for values in lines[index])
                places[index] = end_x, end_y, side
                taken.append((low, high))
                break
    return places


def _shares(ax: Axes, x: np.ndarray, y: np.ndarray) -> Line:
    """Return the points of a line that have a place on the axes, in shares of them."""
    with np.errstate(divide="ignore", invalid="ignore"):  # a rate of 0 on a logarithmic axis
        points = (ax.transScale + ax.transLimits).transform(np.column_stack([x, y]))
    x, y = points[np.isfinite(points).all(axis=1)].T
    return x, y
