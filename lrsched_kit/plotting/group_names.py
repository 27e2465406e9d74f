"""The names of parameter groups, at the ends of their lines where there is room."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from ..words import say
from .curves import Curve, Line, distinct_rates, stairs

_NAME = np.array([38, 11])  # width and height of a name, in points


class Place(NamedTuple):
    """Where a name stands: at the end of a line, above it (1) or below (-1)."""

    line: int
    x: float
    y: float
    side: int


class GroupNames:
    """The names of further parameter groups, over the right ends of their lines.

    Args:
        ax: where the rates are drawn.
        most: how many can be shown at once.

    Attributes:
        artists: so many.
    """

    def __init__(self, ax: Axes, most: int) -> None:
        self._ax = ax
        self.artists = [
            ax.annotate("", (0, 0), (0, 0), textcoords="offset points", ha="right", fontsize=8.5)
            for _ in range(most)
        ]

    def show(self, curves: Sequence[Curve], epochs: int) -> None:
        """Name the groups of curves where there is room; ``epochs`` are those of planned rates."""
        for name in self.artists:
            name.set_visible(False)
        if all(curve.groups < 2 for curve in curves):
            return
        groups, colors, lines = [], [], []
        for curve in curves:
            length = curve.runs[0].epochs if curve.runs else epochs
            for group, rates in distinct_rates(curve.runs) or enumerate(curve.planned_rates):
                groups.append(group)
                colors.append(curve.style.color)
                lines.append(stairs(rates, len(rates) // length))
        places = [place for place in places_for_names(self._ax, lines) if groups[place.line] > 0]
        for name, place in zip(self.artists, places, strict=False):
            name.set_text(say("group", number=groups[place.line] + 1))
            name.set_color(colors[place.line])
            name.xy = place.x, place.y
            above = place.side > 0
            name.set(position=(-3, 2 * place.side), va="bottom" if above else "top", visible=True)


def places_for_names(ax: Axes, lines: Sequence[Line]) -> list[Place]:
    """Say where lines can be named: at their right ends, where no line and no other name is.

    Lines without room for a name are left out.

    >>> from lrsched_kit.plotting.figure import new_axes
    >>> (ax,) = new_axes()
    >>> _ = ax.set(xlim=(0, 1), ylim=(0, 1))
    >>> x, flat, falling = np.array([[0, 1], [0.2, 0.2], [1.0, 0.15]])
    >>> places_for_names(ax, [(x, flat), (x, falling)])
    [Place(line=1, x=1.0, y=0.15, side=-1)]
    """
    ax.get_ylim()  # brings limits up to date
    shares = [_shares(ax, *line) for line in lines]
    figure = ax.get_figure(root=True)
    assert figure is not None
    width, height = _NAME * figure.dpi / 72 / ax.bbox.size
    places: list[Place] = []
    boxes: list[tuple[float, float]] = []
    for index, (x, y) in enumerate(shares):
        if not len(x) or not width < x[-1] <= 1.001:
            continue
        across = np.linspace(x[-1] - width, x[-1], 16)
        heights = [np.interp(across, *line) for line in shares if len(line[0])]
        for side in (1, -1):
            low, high = sorted((y[-1] + 0.012 * side, y[-1] + height * side))
            free = all((line > high).all() or (line < low).all() for line in heights)
            apart = all(high < bottom or low > top for bottom, top in boxes)
            if free and apart and low >= -0.01 and high <= 1.01:
                end_x, end_y = (values[np.isfinite(lines[index][1])][-1] for values in lines[index])
                places.append(Place(index, float(end_x), float(end_y), side))
                boxes.append((low, high))
                break
    return places


def _shares(ax: Axes, x: np.ndarray, y: np.ndarray) -> Line:
    """Return the points of a line that have a place on the axes, in shares of them."""
    with np.errstate(divide="ignore", invalid="ignore"):  # a rate of 0 on a logarithmic axis
        points = (ax.transScale + ax.transLimits).transform(np.column_stack([x, y]))
    x, y = points[np.isfinite(points).all(axis=1)].T
    return x, y
