"""The artists of live pictures: the curves of one setting, and legends whose entries change.

A lab's worker moves them. What would ask rcParams then is made beforehand, or set explicitly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..plotting.curves import blank_name, distinct_rates, name_group, places_for_names, stairs
from ..plotting.style import Style
from ..training.history import History
from ..training.stats import mean_and_error

FINE = (0, (1, 1.65))
_PATTERNS = {
    **dict.fromkeys(("--", "dashed"), (0, (3.7, 1.6))),
    **dict.fromkeys(("-.", "dashdot"), (0, (6.4, 1.6, 1, 1.6))),
    **dict.fromkeys((":", "dotted"), FINE),
}


@dataclass(frozen=True)
class Curve:
    """One setting in the picture.

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
    def groups(self) -> int:
        """How many parameter groups there are."""
        planned = [] if self.planned is None else [len(np.atleast_2d(self.planned))]
        return max([1, *planned, *(len(run.group_lr) for run in self.runs)])

    @property
    def rates(self) -> list[np.ndarray]:
        """All rates, planned and applied, of every group."""
        planned = [] if self.planned is None else [*np.atleast_2d(self.planned)]
        return [*planned, *(rates for run in self.runs for rates in run.group_lr)]


def set_line(line: Line2D, style: Style, width: float) -> None:
    """Give a line its colour, dashes and width; dashes are as long as they are wide, always."""
    line.set(color=style.color, linewidth=width)
    linestyle = _PATTERNS.get(style.linestyle, style.linestyle)
    if not isinstance(linestyle, str):
        scale = 1 if mpl.rcParams["lines.scale_dashes"] else width
        linestyle = (linestyle[0] * scale, tuple(dash * scale for dash in linestyle[1]))
    line.set_linestyle(linestyle)


class Legends:
    """A legend of one to ``most`` entries, each number of them made once.

    Args:
        figure: where it stands.
        most: how many entries there may be.
        small_from: from so many entries on the text is smaller.
        **place: as ``figure.legend`` takes it.
    """

    def __init__(self, figure: Figure, most: int, *, small_from: int = 99, **place: Any) -> None:
        self._figure = figure
        self._made = [
            figure.legend(
                [Line2D([], []) for _ in range(count)],
                ["-"] * count,
                frameon=False,
                fontsize=10 if count < small_from else 8.5,
                **place,
            )
            for count in range(1, most + 1)
        ]
        figure.legends.clear()

    def show(self, entries: Sequence[tuple[str, Style, float]]) -> None:
        """Show these labels beside lines of these styles and widths."""
        legend = self._made[len(entries) - 1]
        self._figure.legends[:] = [legend]
        parts = zip(entries, legend.get_texts(), legend.legend_handles, strict=True)
        for (label, style, width), text, line in parts:
            text.set_text(label)
            set_line(line, style, width)


class CurveArtists:
    """The artists of one curve: planned and applied rates, losses or a metric, and the band.

    Attributes:
        artists: from back to front.
    """

    def __init__(self, rate_ax: Axes, loss_ax: Axes) -> None:
        (self._planned,) = rate_ax.plot([], [], linestyle="-", alpha=0.35)
        (self._others,) = rate_ax.plot([], [])  # further parameter groups
        (self._applied,) = rate_ax.plot([], [])
        (self._train,) = loss_ax.plot([], [], linestyle="-", linewidth=0.9, alpha=0.75)
        self._band = loss_ax.fill_between([1.0], [1.0], [1.0], lw=0, alpha=0.18)
        (self._val,) = loss_ax.plot([], [])
        (self._end,) = loss_ax.plot([], [], linestyle="", marker="x", ms=9, mew=2.5)
        self.artists = (
            self._planned,
            self._others,
            self._applied,
            self._train,
            self._band,
            self._val,
            self._end,
        )
        self._style: Style | None = None
        self._applied_look: tuple[Style, float] | None = None

    def hide(self) -> None:
        """Show nothing."""
        for artist in self.artists:
            artist.set_visible(False)

    def show(self, curve: Curve, epochs: int, metric: str) -> None:
        """Show a curve; ``epochs`` are those of its planned rates."""
        self._dress(curve)
        self._planned.set_visible(curve.planned is not None)
        if curve.planned is not None:
            planned = [
                stairs(rates, len(rates) // epochs) for rates in np.atleast_2d(curve.planned)
            ]
            self._planned.set_data(*(planned[0] if len(planned) == 1 else _joined(planned)))
        rates = distinct_rates(curve.runs)
        first = [values for group, values in rates if group == 0]
        others = [values for group, values in rates if group > 0]
        width = 1.6 if curve.thin or len(first) > 1 else 2.4
        if (curve.style, width) != self._applied_look:
            self._applied_look = curve.style, width
            set_line(self._applied, curve.style, width)
        for line, values in ((self._applied, first), (self._others, others)):
            line.set_visible(bool(values))
            if values:
                self._draw_stairs(line, values, curve.runs[0].epochs)
        for artist in (self._train, self._val, self._band, self._end):
            artist.set_visible(False)
        if curve.runs:
            self._show_values(curve.runs, metric)

    def _draw_stairs(self, line: Line2D, rates: Sequence[np.ndarray], epochs: int) -> None:
        line.set_data(*_joined([stairs(values, len(values) // epochs) for values in rates]))

    def _show_values(self, runs: Sequence[History], metric: str) -> None:
        epochs = np.arange(1, runs[0].epochs + 1)
        mean, error = mean_and_error([run.of(metric) for run in runs])
        self._val.set_visible(True)
        self._val.set_data(epochs, mean)
        low = mean - error
        if metric == "loss":
            self._train.set_visible(True)
            self._train.set_data(epochs, mean_and_error([run.train_loss for run in runs])[0])
            low = np.maximum(low, 0.1 * mean)  # a logarithmic axis has no place below zero
        if len(runs) > 1 and np.isfinite(mean).any():
            self._band.set_visible(True)
            self._band.set_data(epochs, low, mean + error)
        # A lone first point would be invisible as a line; a lost run's last one wants a mark.
        last = np.flatnonzero(np.isfinite(mean))[-1:]
        diverged = any(run.diverged_at is not None for run in runs)
        self._end.set_data(epochs[last], mean[last])
        self._end.set_visible(diverged or last.tolist() == [0])
        self._end.set_marker("x" if diverged else "o")

    def keep_end_below(self, top: float) -> None:
        """Let the mark of a run that left the picture be seen at its upper edge."""
        self._end.set_ydata(np.minimum(self._end.get_ydata(), top))

    def _dress(self, curve: Curve) -> None:
        if curve.style == self._style:
            return
        self._style = curve.style
        width = 1.6 if curve.thin else 2.4
        set_line(self._val, curve.style, width)
        set_line(self._others, curve.style, 1.0)
        self._planned.set(color=curve.style.color, linewidth=width)
        self._train.set(color=curve.style.color)
        self._end.set(color=curve.style.color, markeredgecolor=curve.style.color)
        self._band.set(color=curve.style.color)


class GroupNames:
    """The names of further parameter groups, over the right ends of their lines.

    Attributes:
        artists: as many as can be shown at once.
    """

    def __init__(self, ax: Axes, most: int = 4) -> None:
        self._ax = ax
        self.artists = [blank_name(ax) for _ in range(most)]

    def show(self, curve: Curve | None, epochs: int) -> None:
        """Name the groups of a curve where there is room; None: of no curve."""
        for name in self.artists:
            name.set_visible(False)
        if curve is None or curve.groups < 2:
            return
        lines = distinct_rates(curve.runs)
        if not lines and curve.planned is not None:
            lines = [*enumerate(np.atleast_2d(curve.planned))]
        length = curve.runs[0].epochs if curve.runs else epochs
        drawn = [stairs(rates, len(rates) // length) for _, rates in lines]
        for index, *end in places_for_names(self._ax, drawn):
            group = lines[index][0]
            if 0 < group <= len(self.artists):
                name_group(self.artists[group - 1], group, *end)
                self.artists[group - 1].set_color(curve.style.color)


def _joined(lines: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Put several lines into one, with gaps between them and only the corners of each."""
    xs, ys = [np.empty(0)], [np.empty(0)]
    for x, y in lines:
        jumps = np.flatnonzero(np.diff(y, prepend=np.nan, append=np.nan) != 0)
        corners = np.unique(np.clip(np.concatenate([jumps, jumps - 1]), 0, len(y) - 1))
        xs += [x[corners], [np.nan]]
        ys += [y[corners], [np.nan]]
    return np.concatenate(xs), np.concatenate(ys)
