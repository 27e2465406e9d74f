"""A heat map of losses over two parameters, drawn once or changed as results come in."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from ..words import say
from .figure import drawn_by_kit, new_axes
from .limits import RoundTicks, loss_ticks, plain_numbers

Cell = tuple[int, int]  # row and column

# The better, the brighter; also told apart in grey.
_COLORS = {
    higher: colormaps[name].with_extremes(bad="#e2e2e2")
    for higher, name in ((False, "viridis_r"), (True, "viridis"))
}
_MOST_NUMBERS = 64  # cells that have room for their number
_MOST_TICKS = 9
_FRAME = 0.46 * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1)])  # around a cell's middle


class HeatMap:
    """Cells coloured by their loss, a solid frame around the best, a dashed one around another."""

    def __init__(
        self,
        ax: Axes,
        grid: Mapping[str, Sequence[float]],
        label: str = "",
        *,
        higher: bool = False,
    ) -> None:
        (first, rows), (second, columns) = grid.items()
        self.ax = ax
        shape = len(rows), len(columns)
        self._higher = higher
        self._limits = (0.0, 1.0) if higher else (0.1, 2.5)
        self._image = ax.imshow(
            np.full(shape, np.nan),
            cmap=_COLORS[higher],
            norm=Normalize(0, 1),  # the place between the limits is worked out here: see _places
            origin="lower",
            aspect="auto",
        )
        centred: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 7.5}
        self._numbers = {
            (row, column): ax.text(column, row, "", **centred)
            for row, column in np.ndindex(shape)
            if math.prod(shape) <= _MOST_NUMBERS
        }
        self._diverged = Line2D([], [], ls="", marker="x", ms=6, mew=1.4, c="#404040")
        self._best, self._marked = _frame("-"), _frame((0, (2.5, 1.5)))
        lines = [self._diverged, *self._best, *self._marked]
        for line in lines:
            ax.add_line(line)
        self.artists: list[Artist] = [self._image, *self._numbers.values(), *lines]
        self._bar = ax.figure.colorbar(self._image, ax=ax, fraction=0.06, pad=0.03)
        self._bar.set_label(label)
        self._bar.ax.yaxis.set_minor_locator(NullLocator())
        for axis, name, values in ((ax.xaxis, second, columns), (ax.yaxis, first, rows)):
            axis.set_label_text(name)
            places = range(0, len(values), math.ceil(len(values) / _MOST_TICKS))
            axis.set_ticks(places, [f"{values[place]:.3g}" for place in places])
            axis.set_tick_params(length=0)

    def show(
        self, losses: np.ndarray, finished: np.ndarray, best: Cell | None, marked: Cell | None
    ) -> None:
        """Change what is shown; all is as `plot_heat_map` takes it."""
        places = self._places(losses)
        self._image.set_data(np.ma.masked_invalid(places))
        self._diverged.set_data(*np.nonzero(finished & ~np.isfinite(losses))[::-1])
        for lines, cell in ((self._best, best), (self._marked, marked)):
            x, y = ((), ()) if cell is None else (np.array(cell[::-1]) + _FRAME).T
            for line in lines:
                line.set_data(x, y)
        for cell, text in self._numbers.items():
            text.set_text(f"{losses[cell]:.2f}" if np.isfinite(losses[cell]) else "")
            bright = places[cell] if self._higher else 1 - places[cell]
            text.set_color("black" if bright > 0.55 else "white")

    def limits_of(self, losses: np.ndarray) -> tuple[float, float]:
        """Return the least and the greatest loss, for `set_limits`."""
        known = losses[np.isfinite(losses)]
        if not len(known):
            return self._limits
        low, high = float(known.min()), float(known.max())  # one cell alone has a scale, too
        if self._higher or low <= 0:
            return low, max(high, low + max(0.01, 0.1 * abs(low)))
        return low, max(high, 1.2 * low)

    def set_limits(self, bottom: float, top: float) -> None:
        """Let the colours reach from ``bottom`` to ``top``."""
        self._limits = bottom, top
        ticks = loss_ticks(bottom, top) if self._log else RoundTicks(8).tick_values(bottom, top)
        axis, write = self._bar.ax.yaxis, plain_numbers()
        axis.set_major_locator(FixedLocator(self._places(ticks).tolist()))
        axis.set_major_formatter(FixedFormatter([write(tick) for tick in ticks]))

    @property
    def _log(self) -> bool:
        return not self._higher and self._limits[0] > 0

    def _places(self, values: np.ndarray) -> np.ndarray:
        """Return where between the limits values lie: 0 at the lower one, 1 at the higher."""
        scale = np.log if self._log else np.asarray
        with np.errstate(divide="ignore", invalid="ignore"):
            (bottom, top), places = scale(self._limits), scale(values)
        return (places - bottom) / (top - bottom)


def _frame(linestyle: Any) -> list[Line2D]:
    white = Line2D([], [], color="white", linewidth=4.5, solid_joinstyle="miter")
    return [white, Line2D([], [], color="black", linewidth=2, linestyle=linestyle)]


@drawn_by_kit
def plot_heat_map(
    losses: np.ndarray,
    grid: Mapping[str, Sequence[float]],
    ax: Axes | None = None,
    *,
    finished: np.ndarray | None = None,
    best: Cell | None = None,
    marked: Cell | None = None,
    label: str | None = None,
    higher: bool = False,
) -> Axes:
    """Draw losses over a grid of two parameters: the better, the brighter.

    The scale of the colours is logarithmic, or linear where ``higher`` is set or a value is not
    positive.

    Args:
        losses: shape ``(rows, columns)``; NaN: nothing to show there.
        grid: the two parameters -> their values; the first goes up, the second to the right.
        ax: where to draw; None makes a new figure.
        finished: shape ``(rows, columns)``: where NaN means that training diverged (a cross).
        best: the cell ``(row, column)`` with a solid frame.
        marked: the cell ``(row, column)`` with a dashed frame.
        label: what the colours mean, if not just "loss".
        higher: whether higher is better, as for an accuracy.

    Returns:
        The Axes.

    Raises:
        ValueError: unless ``losses`` has a number for each cell of the grid.

    >>> ax = plot_heat_map(np.array([[0.4, 0.3]]), {"gamma": (0.1,), "step_size": (2, 4)})
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('step_size', 'gamma')
    """
    if np.shape(losses) != (shape := tuple(map(len, grid.values()))):
        raise ValueError(f"losses must have shape {shape}, as the grid, got {np.shape(losses)}.")
    ax = ax or new_axes(size=(6.4, 4.2))[0]
    heat_map = HeatMap(ax, grid, say("loss") if label is None else label, higher=higher)
    heat_map.set_limits(*heat_map.limits_of(losses))
    finished = np.full(shape, False) if finished is None else finished
    heat_map.show(losses, finished, best, marked)
    keys = ("best_higher" if higher else "best", best), ("marked", marked)
    named = [say(key) for key, cell in keys if cell is not None]
    ax.set_title("; ".join(named), fontsize="medium", loc="left")
    return ax
