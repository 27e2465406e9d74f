"""The artists of pictures: curves, names of parameter groups, legends whose entries change.

A lab's worker moves them. What would ask rcParams then is made beforehand, or set explicitly.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D

from ..training.history import History
from ..training.stats import mean_and_error
from ..words import say
from .curves import Curve, joined, room_for_names
from .style import Style

FINE = (0, (1, 1.65))
_PATTERNS: dict[Any, tuple[int, tuple[float, ...]]] = {
    **dict.fromkeys(("--", "dashed"), (0, (3.7, 1.6))),
    **dict.fromkeys(("-.", "dashdot"), (0, (6.4, 1.6, 1, 1.6))),
    **dict.fromkeys((":", "dotted"), FINE),
}
_THIN = 1.6  # width of what stands back, in points


def set_line(line: Line2D, style: Style, width: float) -> None:
    """Give a line its colour, dashes and width; dashes are as long as they are wide, always."""
    line.set(color=style.color, linewidth=width)
    pattern: Any = _PATTERNS.get(style.linestyle, style.linestyle)
    if not isinstance(pattern, str):
        scale = 1 if mpl.rcParams["lines.scale_dashes"] else width
        pattern = (pattern[0] * scale, tuple(dash * scale for dash in pattern[1]))
    line.set_linestyle(pattern)


def remove_hidden(artists: Iterable[Artist]) -> None:
    """Leave in the axes what is shown: for a picture that will not move."""
    for artist in artists:
        if not artist.get_visible():
            artist.remove()


class CurveArtists:
    """The artists of one curve: planned and applied rates, losses or a metric, and the band.

    Args:
        rate_ax, loss_ax: where to draw.
        live: whether the picture moves. Then ends are marked, as a curve may have one point only,
            and rates that differ from seed to seed are alike; else those of the first stand out.

    Attributes:
        artists: from back to front.
    """

    def __init__(self, rate_ax: Axes, loss_ax: Axes, *, live: bool = True) -> None:
        self._live, self._width = live, 2.4 if live else 2.0
        (self._planned,) = rate_ax.plot([], [], linestyle="-", alpha=0.35)
        (self._applied,) = rate_ax.plot([], [])
        (self._others,) = rate_ax.plot([], [])  # further parameter groups
        (self._val,) = loss_ax.plot([], [])
        band, train = (0.18, 0.75) if live else (0.2, 0.7)
        self._band = loss_ax.fill_between([1.0], [1.0], [1.0], lw=0, alpha=band)
        (self._train,) = loss_ax.plot([], [], linestyle="-", linewidth=0.9, alpha=train)
        (self._end,) = loss_ax.plot([], [], linestyle="", marker="x", ms=9, mew=2.5)
        self.artists: list[Artist] = [self._planned, self._others, self._applied]
        self.artists += [self._train, self._band, self._val, self._end]
        self._dressed: tuple[Style, float, float] | None = None

    @property
    def losses(self) -> np.ndarray:
        """What is drawn of losses, the band left out."""
        return np.concatenate([self._val.get_ydata(), self._train.get_ydata()])

    def hide(self) -> None:
        """Show nothing."""
        for artist in self.artists:
            artist.set_visible(False)

    def show(self, curve: Curve, epochs: int, metric: str) -> None:
        """Show a curve; ``epochs`` are those of its planned rates."""
        self.hide()
        first = [line for group, line in curve.applied if group == 0][: None if self._live else 1]
        others = [line for _, line in curve.applied[len(first) :]]
        width = _THIN if curve.thin else self._width
        self._dress(curve.style, width, _THIN if len(first) > 1 else width)
        planned = curve.planned_in(epochs)
        artists = self._planned, self._applied, self._others
        for artist, lines in zip(artists, (planned, first, others), strict=True):
            if lines:
                artist.set_data(*joined(lines))
                artist.set_visible(True)
        if curve.runs:
            self._show_values(curve.runs, metric)
        for line in (self._applied, self._val):
            line.set_label(curve.legend_label)

    def keep_end_below(self, top: float) -> None:
        """Let the mark of a run that left the picture be seen at its upper edge."""
        self._end.set_ydata(np.minimum(self._end.get_ydata(), top))

    def _dress(self, style: Style, width: float, applied_width: float) -> None:
        if (style, width, applied_width) == self._dressed:
            return
        self._dressed = style, width, applied_width
        for artist in (self._planned, self._train, self._band, self._end):
            artist.set(color=style.color)
        self._planned.set_linewidth(width)
        self._end.set_markeredgecolor(style.color)
        set_line(self._applied, style, applied_width)
        set_line(self._others, style, 1.0)
        set_line(self._val, style, width)

    def _show_values(self, runs: Sequence[History], metric: str) -> None:
        epochs = np.arange(1, runs[0].epochs + 1)
        mean, error = mean_and_error([run.of(metric) for run in runs])
        shown: list[Artist] = [self._val]
        self._val.set_data(epochs, mean)
        low = mean - error
        if metric == "loss":
            shown.append(self._train)
            self._train.set_data(epochs, mean_and_error([run.train_loss for run in runs])[0])
            low = np.maximum(low, 0.1 * mean)  # a logarithmic axis has no place below zero
        if len(runs) > 1 and np.isfinite(mean).any():
            shown.append(self._band)
            self._band.set_data(epochs, low, mean + error)
        # A lone first point would be invisible as a line; a lost run's last one wants a mark.
        last = np.flatnonzero(np.isfinite(mean))[-1:]
        diverged = any(run.diverged_at is not None for run in runs)
        self._end.set_data(epochs[last], mean[last])
        self._end.set_marker("x" if diverged else "o")
        if self._live and (diverged or last.tolist() == [0]):
            shown.append(self._end)
        for artist in shown:
            artist.set_visible(True)


class GroupNames:
    """The names of further parameter groups, at the right ends of their lines, ``most`` at once."""

    def __init__(self, ax: Axes, most: int) -> None:
        self._ax = ax
        self.artists = [
            ax.annotate("", (0, 0), (0, 0), textcoords="offset points", ha="right", fontsize=8.5)
            for _ in range(most)
        ]

    def show(self, curves: Sequence[Curve], epochs: int) -> None:
        """Name the groups of curves where there is room; ``epochs`` are those of planned rates."""
        named, lines = [], []
        for curve in curves:
            for group, line in curve.applied or enumerate(curve.planned_in(epochs)):
                named.append((group, curve.style.color))
                lines.append(line)
        further = [index for index, (group, _) in enumerate(named) if group > 0]
        room = room_for_names(self._ax, lines) if further else {}
        places = [(*named[index], *room[index]) for index in further if index in room]
        for number, name in enumerate(self.artists):
            name.set_visible(number < len(places))
        for name, (group, color, x, y, side) in zip(self.artists, places, strict=False):
            name.set_text(say("group", number=group + 1))
            name.xy = x, y
            above = side > 0
            name.set(color=color, position=(-3, 2 * side), va="bottom" if above else "top")


class Legends:
    """A legend of one to ``most`` entries, each number of them made once.

    From ``small_from`` entries on the text is smaller; ``place`` is as ``figure.legend`` takes it.
    """

    def __init__(
        self, figure: Figure | SubFigure, most: int, *, small_from: int = 99, **place: Any
    ) -> None:
        self._figure = figure
        place = {"loc": "lower left", "ncols": 3, "handlelength": 2.4, "frameon": False, **place}
        self._made = []
        for count in range(1, most + 1):
            size = 10 if count < small_from else 8.5
            lines, labels = [Line2D([], []) for _ in range(count)], ["-"] * count
            self._made.append(figure.legend(lines, labels, fontsize=size, **place))
        figure.legends.clear()

    def show(self, entries: Sequence[tuple[str, Style, float]]) -> None:
        """Show these labels beside lines of these styles and widths."""
        legend = self._made[len(entries) - 1]
        self._figure.legends[:] = [legend]
        for entry, text, line in zip(entries, legend.texts, legend.get_lines(), strict=True):
            label, style, width = entry
            text.set_text(label)
            set_line(line, style, width)
