"""Curves of runs, and the artists that draw them: lines, names of parameter groups, legends.

A lab's worker moves them. What would ask rcParams then is made beforehand, or set explicitly.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
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
from .style import Style

Line = tuple[np.ndarray, np.ndarray]
FINE = (0, (1, 1.65))
_PATTERNS: dict[Any, tuple[int, tuple[float, ...]]] = {
    **dict.fromkeys(("--", "dashed"), (0, (3.7, 1.6))),
    **dict.fromkeys(("-.", "dashdot"), (0, (6.4, 1.6, 1, 1.6))),
    **dict.fromkeys((":", "dotted"), FINE),
}
_THIN = 1.6  # width of what stands back, in points
_NAME = np.array([38, 11])  # width and height of a group's name, in points


@dataclass(frozen=True)
class Curve:
    """One setting in a picture of rates and losses."""

    label: str
    style: Style
    # Traced before training, shape (steps,) or (groups, steps); None where a metric decides.
    planned: np.ndarray | None
    runs: Sequence[History] = ()  # one per seed, possibly unfinished; empty before training
    thin: bool = False  # whether it stands back behind the curve under study

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
        """The applied rates as stairs, each once, with their parameter groups, counted from 0."""
        # Seeds share their rates unless a metric decides, and groups may share them, too.
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
    """Return the corners of a staircase: each rate holds from its step until the next one."""
    edges = np.arange(len(rates) + 1) / per_epoch
    return np.repeat(edges, 2)[1:-1], np.repeat(rates, 2)


def joined(lines: Sequence[Line]) -> Line:
    """Put several lines into one, with gaps between them and only the corners of each."""
    parts = []
    for x, y in lines:
        jumps = np.flatnonzero(np.diff(y, prepend=np.nan, append=np.nan) != 0)
        corners = np.unique(np.clip(np.concatenate([jumps, jumps - 1]), 0, len(y) - 1))
        parts += [np.array([x, y])[:, corners], np.full((2, 1), np.nan)]
    x, y = np.concatenate(parts[:-1], axis=1)
    return x, y


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

    Where the picture is ``live``, ends are marked, as a curve may have one point only, and rates
    that differ from seed to seed are alike; else those of the first stand out.
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
        for artist in (self._planned, self._train, self._band, self._end):
            artist.set(color=curve.style.color)
        self._planned.set_linewidth(width)
        self._end.set_markeredgecolor(curve.style.color)
        set_line(self._applied, curve.style, _THIN if len(first) > 1 else width)
        set_line(self._others, curve.style, 1.0)
        set_line(self._val, curve.style, width)
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
        drawn = [
            (group, curve.style.color, line)
            for curve in curves
            for group, line in curve.applied or enumerate(curve.planned_in(epochs))
        ]
        ends = _ends_with_room(self._ax, [line for *_, line in drawn])
        named = [
            (group, color, *end)
            for (group, color, _), end in zip(drawn, ends, strict=True)
            if group and end
        ]
        for name in self.artists:
            name.set_visible(False)
        for name, (group, color, x, y, side) in zip(self.artists, named, strict=False):
            name.set_visible(True)
            name.set_text(say("group", number=group + 1))
            name.xy = x, y
            name.set(color=color, position=(-3, 2 * side), va="bottom" if side > 0 else "top")


def _ends_with_room(ax: Axes, lines: Sequence[Line]) -> list[tuple[float, float, int] | None]:
    """Return each line's right end, and 1 for a name above it or -1 for below; None: no room."""
    ax.get_ylim()  # brings limits up to date
    shares = [_shares(ax, *line) for line in lines]
    width, height = _NAME * ax.figure.dpi / 72 / ax.bbox.size
    ends: list[tuple[float, float, int] | None] = [None] * len(lines)
    taken: list[tuple[float, float]] = []
    for index, (x, y) in enumerate(shares):
        if not len(x) or not width < x[-1] <= 1.001:
            continue
        across = np.linspace(x[-1] - width, x[-1], 16)
        heights = np.array([np.interp(across, *line) for line in shares if len(line[0])])
        for side in (1, -1):
            low, high = sorted((y[-1] + 0.012 * side, y[-1] + height * side))
            free = ((heights > high).all(axis=1) | (heights < low).all(axis=1)).all()
            apart = all(high < bottom or low > top for bottom, top in taken)
            if free and apart and low >= -0.01 and high <= 1.01:
                end_x, end_y = np.transpose(lines[index])[np.isfinite(lines[index][1])][-1]
                ends[index] = float(end_x), float(end_y), side
                taken.append((low, high))
                break
    return ends


def _shares(ax: Axes, x: np.ndarray, y: np.ndarray) -> Line:
    """Return the points of a line that have a place on the axes, in shares of them."""
    with np.errstate(divide="ignore", invalid="ignore"):  # a rate of 0 on a logarithmic axis
        points = (ax.transScale + ax.transLimits).transform(np.column_stack([x, y]))
    x, y = points[np.isfinite(points).all(axis=1)].T
    return x, y


class Legends:
    """A legend of one to ``most`` entries, each number made once; small from ``small_from`` on."""

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
