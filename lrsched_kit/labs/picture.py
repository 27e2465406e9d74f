"""The live picture of a lab: rates left, losses right, one set of artists for its lifetime."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..live import LiveFigure
from ..plotting import distinct_rates, stairs, with_divergence
from ..stats import mean_and_error
from ..style import Style, dress, nice_ceiling, nice_floor, set_loss_scale, set_rate_scale
from ..training import History
from ..words import WORDS
from .core import Picture

MAX_CURVES = 5  # the schedule, the constant rate, three pins
LOG_DECADES = 5  # a logarithmic rate axis shows at most so many


@dataclass(frozen=True)
class Curve:
    """One setting in the picture.

    Attributes:
        label: for the legend.
        style: colour and line style.
        planned: rates traced before training, one or more per epoch; None where a metric decides.
        runs: one `History` per seed, possibly unfinished; empty before training.
        thin: whether it stands back behind the curve under study.
    """

    label: str
    style: Style
    planned: np.ndarray | None
    runs: Sequence[History] = ()
    thin: bool = False


@dataclass(frozen=True)
class Scene:
    """All that a frame shows.

    Attributes:
        curves: from back to front.
        epochs, base_lr: of the run under study.
        loss_label: what the loss axis is called.
        by_batch: whether the scheduler steps every batch.
        log: whether the rate axis is logarithmic.
    """

    curves: tuple[Curve, ...]
    epochs: int
    base_lr: float
    loss_label: str
    by_batch: bool = False
    log: bool = False


class Panels:
    """Two Axes for rates and losses, and the artists of the curves in them.

    Args:
        rate_ax, loss_ax: where to draw.
        titles: of the two.
        legend: where in the figure the legend's lower left corner is.
        ticks: how many the loss axis has room for.

    Attributes:
        artists: those that move, from back to front.
    """

    def __init__(
        self,
        rate_ax: Axes,
        loss_ax: Axes,
        titles: tuple[str, str],
        legend: tuple[float, float],
        ticks: int = 8,
    ) -> None:
        self._rate_ax, self._loss_ax, self._legend, self._ticks = rate_ax, loss_ax, legend, ticks
        dress(rate_ax, x=WORDS["epoch"], y=WORDS["rate"], title=titles[0])
        dress(loss_ax, x=WORDS["epoch"], y="", title=titles[1])
        self._slots = [_Slot(rate_ax, loss_ax) for _ in range(MAX_CURVES)]
        self.artists = [artist for slot in self._slots for artist in slot.artists]
        self._frame: tuple | None = None  # what the background was drawn for
        self._loss_limits = (0.1, 2.5)

    def show(self, scene: Scene, *, refit: bool) -> bool:
        """Move the artists; say whether limits or legend changed, too.

        Args:
            scene: what to show.
            refit: whether the loss axis may become narrower.
        """
        for slot, curve in zip(self._slots, scene.curves, strict=False):
            slot.show(curve, scene.epochs)
        for slot in self._slots[len(scene.curves) :]:
            slot.hide()
        changed = self._fit(scene, refit)
        for slot in self._slots:
            slot.keep_end_below(self._loss_limits[1])
        return changed

    def _fit(self, scene: Scene, refit: bool) -> bool:
        """Set limits and legend where they changed, and say whether they did."""
        rates = [_finite(curve.planned, scene.base_lr) for curve in scene.curves]
        rates += [_finite(run.lr) for curve in scene.curves for run in curve.runs]
        rate_limits = _rate_limits(np.concatenate(rates), scene.log)
        epochs = max([scene.epochs, *(run.epochs for c in scene.curves for run in c.runs)])
        self._loss_limits = _loss_limits(scene.curves, None if refit else self._loss_limits)
        labels = tuple(with_divergence(curve.label, curve.runs) for curve in scene.curves)
        words = WORDS["epoch_by_batch" if scene.by_batch else "epoch"], scene.loss_label
        frame = (rate_limits, scene.log, epochs, self._loss_limits, labels, words)
        if frame == self._frame:
            return False
        self._frame = frame
        set_rate_scale(self._rate_ax, log=scene.log)
        self._rate_ax.set_ylim(*rate_limits)
        set_loss_scale(self._loss_ax, *self._loss_limits, most=self._ticks)
        self._rate_ax.set_xlabel(words[0])
        self._loss_ax.set_ylabel(words[1])
        for ax in (self._rate_ax, self._loss_ax):
            ax.set_xlim(0, epochs)
        self._draw_legend(scene.curves, labels)
        return True

    def _draw_legend(self, curves: Sequence[Curve], labels: Sequence[str]) -> None:
        figure = self._rate_ax.figure
        for legend in figure.legends[:]:
            legend.remove()
        handles = [Line2D([], [], **c.style._asdict(), lw=1.6 if c.thin else 2.6) for c in curves]
        figure.legend(
            handles,
            labels,
            loc="lower left",
            bbox_to_anchor=self._legend,
            ncols=3,
            frameon=False,
            handlelength=2.4,
            columnspacing=1.2,
            fontsize=10 if len(labels) < 3 else 8.5,
        )


class LabPicture(Picture):
    """Draws scenes into one widget: rates left, losses right."""

    def __init__(self, rate_title: str) -> None:
        figure = Figure(figsize=(7.9, 3.5), dpi=120)
        figure.subplots_adjust(left=0.095, right=0.98, top=0.78, bottom=0.145, wspace=0.25)
        rate_ax, loss_ax = figure.subplots(1, 2)
        titles = (rate_title, WORDS["loss_title"])
        self._panels = Panels(rate_ax, loss_ax, titles, legend=(0.082, 0.845))
        for ax in (rate_ax, loss_ax):  # tick labels of any length fit beside
            ax.yaxis.set_label_coords(-0.155, 0.5)
        self.live = LiveFigure(figure, [*self._panels.artists, *self._marks(rate_ax)])

    def _marks(self, rate_ax: Axes) -> list[Artist]:
        """Make what else moves."""
        return []

    def show(self, scene: Scene, *, crisp: bool = False) -> None:
        """Draw a scene. ``crisp`` marks the last frame of a run: more pixels, limits refitted."""
        changed = self._panels.show(scene, refit=crisp)
        self.live.draw(background_changed=changed, crisp=crisp)


class _Slot:
    """The artists of one curve: planned rate, applied rate, losses and the band."""

    def __init__(self, rate_ax: Axes, loss_ax: Axes) -> None:
        (self.planned,) = rate_ax.plot([], [])
        (self.applied,) = rate_ax.plot([], [])
        (self.train,) = loss_ax.plot([], [])
        self.band = loss_ax.fill_between([1.0], [1.0], [1.0], lw=0)
        (self.val,) = loss_ax.plot([], [])
        (self.end,) = loss_ax.plot([], [], linestyle="", marker="x", ms=9, mew=2.5)
        self.artists = (
            self.planned,
            self.applied,
            self.train,
            self.band,
            self.val,
            self.end,
        )
        self._style: Style | None = None

    def hide(self) -> None:
        for artist in self.artists:
            artist.set_visible(False)

    def show(self, curve: Curve, epochs: int) -> None:
        for artist in self.artists:
            artist.set_visible(True)
        self._dress(curve)
        empty = np.empty(0)
        self.planned.set_data(empty, empty)
        if curve.planned is not None:
            self.planned.set_data(*stairs(curve.planned, len(curve.planned) // epochs))
        rates = distinct_rates(curve.runs)
        self.applied.set_data(*_joined([stairs(r, len(r) // curve.runs[0].epochs) for r in rates]))
        width = 1.6 if curve.thin or len(rates) > 1 else 2.4
        self.applied.set_linewidth(width)
        if not curve.runs:
            for line in (self.train, self.val, self.end):
                line.set_data(empty, empty)
            self.band.set_visible(False)
            return
        epochs = np.arange(1, curve.runs[0].epochs + 1)
        mean, error = mean_and_error([run.val_loss for run in curve.runs])
        self.val.set_data(epochs, mean)
        self.train.set_data(epochs, mean_and_error([run.train_loss for run in curve.runs])[0])
        banded = len(curve.runs) > 1 and np.isfinite(mean).any()
        self.band.set_visible(bool(banded))
        if banded:
            floor = 0.1 * mean  # a logarithmic axis has no place for less than nothing
            self.band.set_data(epochs, np.maximum(mean - error, floor), mean + error)
        # A lone first point would be invisible as a line; a lost run's last one wants a mark.
        last = np.flatnonzero(np.isfinite(mean))[-1:]
        diverged = any(run.diverged_at is not None for run in curve.runs)
        self.end.set_data(epochs[last], mean[last])
        self.end.set_visible(diverged or last.tolist() == [0])
        self.end.set_marker("x" if diverged else "o")

    def keep_end_below(self, top: float) -> None:
        """Let the mark of a run that left the picture be seen at its upper edge."""
        self.end.set_ydata(np.minimum(self.end.get_ydata(), top * 0.9))

    def _dress(self, curve: Curve) -> None:
        if curve.style == self._style:
            return
        self._style = curve.style
        width = 1.6 if curve.thin else 2.4
        for line in (self.applied, self.val):
            line.set(color=curve.style.color, linestyle=curve.style.linestyle, linewidth=width)
        self.planned.set(color=curve.style.color, linewidth=width, alpha=0.35)
        self.train.set(color=curve.style.color, linewidth=0.9, alpha=0.75)
        self.end.set(color=curve.style.color)
        self.band.set(color=curve.style.color, alpha=0.18)


def _joined(lines: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Put several lines into one, with gaps between them and only the corners of each."""
    xs, ys = [np.empty(0)], [np.empty(0)]
    for x, y in lines:
        jumps = np.flatnonzero(np.diff(y, prepend=np.nan, append=np.nan) != 0)
        corners = np.unique(np.clip(np.concatenate([jumps, jumps - 1]), 0, len(y) - 1))
        xs += [x[corners], [np.nan]]
        ys += [y[corners], [np.nan]]
    return np.concatenate(xs), np.concatenate(ys)


def _finite(values: np.ndarray | None, *more: float) -> np.ndarray:
    values = np.concatenate([np.empty(0) if values is None else values, more])
    return values[np.isfinite(values)]


def _rate_limits(rates: np.ndarray, log: bool) -> tuple[float, float]:
    top = nice_ceiling(rates.max() * 1.04)
    if not log:
        return 0.0, top
    decade = math.floor(math.log10(rates[rates > 0].min()) + 1e-9)
    highest = math.ceil(math.log10(rates.max()) - 1e-9)
    return 10.0 ** min(max(decade, highest - LOG_DECADES), highest - 1) * 0.8, 10.0**highest * 1.25


def _loss_limits(
    curves: Sequence[Curve], present: tuple[float, float] | None
) -> tuple[float, float]:
    """Return round numbers around the losses; ``present`` limits are widened, never narrowed.

    A run that blows up would flatten all others, so its later losses may leave the picture: the
    upper limit looks at the first epoch only.
    """
    runs = [run for curve in curves for run in curve.runs if run.finished]
    if not runs:
        return present or (0.1, 2.5)
    highest = max(max(run.val_loss[0], run.train_loss[0]) for run in runs)
    lowest = min(np.nanmin([run.val_loss, run.train_loss]) for run in runs)
    bottom, top = nice_floor(max(lowest, 1e-12) * 0.95), nice_ceiling(highest * 1.02)
    return (bottom, top) if present is None else (min(bottom, present[0]), max(top, present[1]))
