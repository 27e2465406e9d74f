"""The artists of pictures: the curves of one setting, and legends whose entries change.

A lab's worker moves them. What would ask rcParams then is made beforehand, or set explicitly.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D

from ..training.loop import History
from ..training.stats import mean_and_error
from .curves import Curve, distinct_rates, joined, stairs
from .style import Style

FINE = (0, (1, 1.65))
_PATTERNS: dict[Any, tuple[int, tuple[float, ...]]] = {
    **dict.fromkeys(("--", "dashed"), (0, (3.7, 1.6))),
    **dict.fromkeys(("-.", "dashdot"), (0, (6.4, 1.6, 1, 1.6))),
    **dict.fromkeys((":", "dotted"), FINE),
}


def set_line(line: Line2D, style: Style, width: float) -> None:
    """Give a line its colour, dashes and width; dashes are as long as they are wide, always."""
    line.set(color=style.color, linewidth=width)
    pattern = _PATTERNS.get(style.linestyle, style.linestyle)
    if not isinstance(pattern, str):
        scale = 1 if mpl.rcParams["lines.scale_dashes"] else width
        pattern = (pattern[0] * scale, tuple(dash * scale for dash in pattern[1]))
    line.set_linestyle(pattern)


def remove_hidden(artists: Iterable[Artist]) -> None:
    """Leave in the axes what is shown: for a picture that will not move."""
    for artist in artists:
        if not artist.get_visible():
            artist.remove()


class Look(NamedTuple):
    """How strongly curves are drawn.

    Attributes:
        width: of rates and validation losses, in points.
        train, band: how opaque training losses and bands are.
        live: whether the picture moves. Then ends are marked, as a curve may have one point only,
            and the rates of all seeds are alike; else those of the first stand out.
    """

    width: float
    train: float
    band: float
    live: bool


LIVE, STILL = Look(2.4, 0.75, 0.18, live=True), Look(2.0, 0.7, 0.2, live=False)
_THIN = 1.6  # width of what stands back


class CurveArtists:
    """The artists of one curve: planned and applied rates, losses or a metric, and the band.

    Attributes:
        artists: from back to front.
    """

    def __init__(self, rate_ax: Axes, loss_ax: Axes, look: Look = LIVE) -> None:
        self._look = look
        (self._planned,) = rate_ax.plot([], [], linestyle="-", alpha=0.35)
        (self._applied,) = rate_ax.plot([], [])
        (self._others,) = rate_ax.plot([], [])  # further parameter groups
        (self._val,) = loss_ax.plot([], [])
        self._band = loss_ax.fill_between([1.0], [1.0], [1.0], lw=0, alpha=look.band)
        (self._train,) = loss_ax.plot([], [], linestyle="-", linewidth=0.9, alpha=look.train)
        (self._end,) = loss_ax.plot([], [], linestyle="", marker="x", ms=9, mew=2.5)
        self.artists: tuple[Artist, ...] = (
            self._planned,
            self._others,
            self._applied,
            self._train,
            self._band,
            self._val,
            self._end,
        )
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
        rates = distinct_rates(curve.runs)
        first = [values for group, values in rates if group == 0][: None if self._look.live else 1]
        others = [values for _, values in rates[len(first) :]]
        width = _THIN if curve.thin else self._look.width
        self._dress(curve.style, width, _THIN if len(first) > 1 else width)
        length = curve.runs[0].epochs if curve.runs else epochs
        self._show_rates(self._planned, curve.planned_rates, epochs)
        self._show_rates(self._applied, first, length)
        self._show_rates(self._others, others, length)
        for artist in (self._train, self._val, self._band, self._end):
            artist.set_visible(False)
        if curve.runs:
            self._show_values(curve.runs, metric)
        for line in (self._applied, self._val):
            line.set_label(curve.legend_label)

    def _dress(self, style: Style, width: float, applied_width: float) -> None:
        if (style, width, applied_width) == self._dressed:
            return
        self._dressed = style, width, applied_width
        set_line(self._applied, style, applied_width)
        set_line(self._others, style, 1.0)
        set_line(self._val, style, width)
        self._planned.set(color=style.color, linewidth=width)
        self._train.set(color=style.color)
        self._end.set(color=style.color, markeredgecolor=style.color)
        self._band.set(color=style.color)

    def _show_rates(self, line: Line2D, rates: Sequence[np.ndarray], epochs: int) -> None:
        line.set_visible(bool(rates))
        if rates:
            line.set_data(*joined([stairs(values, len(values) // epochs) for values in rates]))

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
        if self._look.live:
            # A lone first point would be invisible as a line; a lost run's last one wants a mark.
            last = np.flatnonzero(np.isfinite(mean))[-1:]
            diverged = any(run.diverged_at is not None for run in runs)
            self._end.set_data(epochs[last], mean[last])
            self._end.set_visible(diverged or last.tolist() == [0])
            self._end.set_marker("x" if diverged else "o")

    def keep_end_below(self, top: float) -> None:
        """Let the mark of a run that left the picture be seen at its upper edge."""
        self._end.set_ydata(np.minimum(self._end.get_ydata(), top))


class Legends:
    """A legend of one to ``most`` entries, each number of them made once.

    Args:
        figure: where it stands.
        most: how many entries there may be.
        small_from: from so many entries on the text is smaller.
        **place: as ``figure.legend`` takes it.
    """

    def __init__(
        self, figure: Figure | SubFigure, most: int, *, small_from: int = 99, **place: Any
    ) -> None:
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
