"""The live picture of a lab: rates left, losses right, one set of artists for its lifetime."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..plotting.curves import with_divergence
from ..plotting.style import (
    MOST_BETWEEN,
    dress,
    kit_look,
    set_linear_scale,
    set_loss_scale,
    set_rate_scale,
)
from ..plotting.ticks import RoundTicks, nice_ceiling, nice_floor
from ..words import say
from .artists import Curve, CurveArtists, GroupNames, Legends
from .base import Picture
from .live import LiveFigure

__all__ = ["MAX_CURVES", "Curve", "LabPicture", "Panels", "Scene"]

MAX_CURVES = 5  # the schedule, the constant rate, three pins
LOG_DECADES = 5  # a logarithmic rate axis shows at most so many


@dataclass(frozen=True)
class Scene:
    """All that a frame shows.

    Attributes:
        curves: from back to front.
        epochs, base_lr: of the run under study.
        loss_label: what the loss axis is called.
        by_batch: whether the scheduler steps every batch.
        log: whether the rate axis is logarithmic.
        metric: what is drawn right: "loss", or the name of a metric in the runs' histories.
    """

    curves: tuple[Curve, ...]
    epochs: int
    base_lr: float
    loss_label: str
    by_batch: bool = False
    log: bool = False
    metric: str = "loss"


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
        self._rate_ax, self._loss_ax, self._ticks = rate_ax, loss_ax, ticks
        self._loss_title = titles[1]
        dress(rate_ax, x=say("epoch"), y=say("rate"), title=titles[0])
        dress(loss_ax, x=say("epoch"), y="")
        self._title = loss_ax.set_title(titles[1], fontsize="medium", loc="left")
        rate_ax.yaxis.get_minor_ticks(MOST_BETWEEN)
        self._slots = [CurveArtists(rate_ax, loss_ax) for _ in range(MAX_CURVES)]
        self._names = GroupNames(rate_ax)
        self.artists = [artist for slot in self._slots for artist in slot.artists]
        self.artists += self._names.artists
        self._legends = Legends(
            rate_ax.figure,
            most=MAX_CURVES,
            small_from=3,
            loc="lower left",
            bbox_to_anchor=legend,
            ncols=3,
            handlelength=2.4,
            columnspacing=1.2,
        )
        self._frame: tuple | None = None  # what the background was drawn for
        self._metric = "loss"
        self._limits: tuple[float, float] | None = None  # of the axis right

    def show(self, scene: Scene, *, refit: bool) -> bool:
        """Move the artists; say whether limits or legend changed, too.

        Args:
            scene: what to show.
            refit: whether the axis right may become narrower.
        """
        for slot, curve in zip(self._slots, scene.curves, strict=False):
            slot.show(curve, scene.epochs, scene.metric)
        for slot in self._slots[len(scene.curves) :]:
            slot.hide()
        changed = self._fit(scene, refit)
        self._names.show(next((c for c in scene.curves if not c.thin), None), scene.epochs)
        for slot in self._slots:
            slot.keep_end_below(self._limits[1] * (0.9 if scene.metric == "loss" else 1))
        return changed

    def _fit(self, scene: Scene, refit: bool) -> bool:
        """Set limits and legend where they changed, and say whether they did."""
        curves = scene.curves[:MAX_CURVES]
        lines = [[scene.base_lr], *(rates for curve in curves for rates in curve.rates)]
        rate_limits = _rate_limits(lines, scene.log)
        epochs = max([scene.epochs, *(run.epochs for c in curves for run in c.runs)])
        known = None if refit or scene.metric != self._metric else self._limits
        fit = _loss_limits if scene.metric == "loss" else _metric_limits
        self._metric, self._limits = scene.metric, fit(curves, scene.metric, known)
        labels = tuple(with_divergence(curve.label, curve.runs) for curve in curves)
        looks = tuple((curve.style, 1.6 if curve.thin else 2.6) for curve in curves)
        epoch = say("epoch_by_batch" if scene.by_batch else "epoch")
        right = scene.metric, scene.loss_label, self._limits
        frame = rate_limits, scene.log, epochs, epoch, right, labels, looks
        if frame == self._frame:
            return False
        self._frame = frame
        set_rate_scale(self._rate_ax, log=scene.log)
        self._rate_ax.set_ylim(*rate_limits)
        if scene.metric == "loss":
            set_loss_scale(self._loss_ax, *self._limits, most=self._ticks)
            title, name = self._loss_title, scene.loss_label
        else:
            set_linear_scale(self._loss_ax, *self._limits)
            title, name = say("metric_title", metric=scene.metric), scene.metric
        texts = self._title, self._rate_ax.xaxis.label, self._loss_ax.yaxis.label
        for text, words in zip(texts, (title, epoch, name), strict=True):
            text.set_text(words)  # ax.set_title and its kind would ask rcParams
        for ax in (self._rate_ax, self._loss_ax):
            ax.set_xlim(0, epochs)
        self._legends.show([(label, *look) for label, look in zip(labels, looks, strict=True)])
        return True


class LabPicture(Picture):
    """Draws scenes into one widget: rates left, losses right."""

    @kit_look()
    def __init__(self, rate_title: str) -> None:
        figure = Figure(figsize=(7.9, 3.5), dpi=120)
        figure.subplots_adjust(left=0.095, right=0.98, top=0.78, bottom=0.145, wspace=0.25)
        rate_ax, loss_ax = figure.subplots(1, 2)
        titles = (rate_title, say("loss_title"))
        self._panels = Panels(rate_ax, loss_ax, titles, legend=(0.082, 0.845))
        for ax in (rate_ax, loss_ax):  # tick labels of any length fit beside
            ax.yaxis.set_label_coords(-0.165, 0.5)
        self.live = LiveFigure(figure, [*self._panels.artists, *self._marks(rate_ax)])

    def _marks(self, rate_ax: Axes) -> list[Artist]:
        """Make what else moves."""
        return []

    def show(self, scene: Scene, *, crisp: bool = False) -> None:
        """Draw a scene. ``crisp`` marks the last frame of a run: more pixels, limits refitted."""
        changed = self._panels.show(scene, refit=crisp)
        self.live.draw(background_changed=changed, crisp=crisp)


def _rate_limits(lines: Sequence[Sequence[float] | np.ndarray], log: bool) -> tuple[float, float]:
    rates = np.concatenate(lines)
    rates = rates[np.isfinite(rates)]
    top = nice_ceiling(rates.max() * 1.04)
    if not log:
        return 0.0, top
    decade = math.floor(math.log10(rates[rates > 0].min()) + 1e-9)
    highest = math.ceil(math.log10(rates.max()) - 1e-9)
    # A line may fall out of the picture; that a group is never in it would be a riddle.
    peaks = [np.max(rates, where=np.isfinite(rates), initial=0) for rates in map(np.asarray, lines)]
    peak = math.floor(math.log10(min(peak for peak in peaks if peak > 0)) + 1e-9)
    bottom = min(max(decade, highest - LOG_DECADES), peak, highest - 1)
    return 10.0**bottom * 0.8, 10.0**highest * 1.25


def _loss_limits(
    curves: Sequence[Curve], metric: str, present: tuple[float, float] | None
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
    limits = nice_floor(max(lowest, 1e-12) * 0.95), nice_ceiling(highest * 1.02)
    return _widened(limits, present)


def _metric_limits(
    curves: Sequence[Curve], metric: str, present: tuple[float, float] | None
) -> tuple[float, float]:
    """Return round numbers around a metric's values."""
    values = np.concatenate([[], *(run.of(metric) for curve in curves for run in curve.runs)])
    values = values[np.isfinite(values)]
    if not len(values):
        return present or (0.0, 1.0)
    low, high = float(values.min()), float(values.max())
    step = float(np.ptp(RoundTicks(6).tick_values(low, max(high, low + 0.01))[:2])) or 0.01
    limits = math.floor(low / step) * step, math.ceil(high / step + 0.1) * step
    return _widened(limits, present)


def _widened(
    limits: tuple[float, float], present: tuple[float, float] | None
) -> tuple[float, float]:
    if present is None:
        return limits
    return min(limits[0], present[0]), max(limits[1], present[1])
