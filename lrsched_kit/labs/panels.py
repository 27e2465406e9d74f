"""The live picture of a lab: rates left, losses right, one set of artists for its lifetime."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..plotting.curves import Curve, CurveArtists, GroupNames, Legends
from ..plotting.limits import Limits, rate_limits, value_limits
from ..plotting.style import (
    MOST_BETWEEN,
    dress,
    kit_look,
    set_linear_scale,
    set_loss_scale,
    set_rate_scale,
)
from ..words import say
from .live import LiveFigure

MAX_CURVES = 5  # the schedule, the constant rate, three pins


@dataclass(frozen=True)
class Scene:
    """All that a frame shows; epochs and base_lr are of the run under study."""

    curves: tuple[Curve, ...]  # from back to front
    epochs: int
    base_lr: float
    loss_label: str
    by_batch: bool = False  # whether the scheduler steps every batch
    log: bool = False  # whether the rate axis is logarithmic


class Panels:
    """Rates left and losses, or another metric, right, moved from scene to scene.

    The legend's lower left corner is at ``legend`` in the figure; the loss axis has room for so
    many ``ticks``. The ``artists`` are those that move, from back to front.
    """

    def __init__(
        self,
        rate_ax: Axes,
        loss_ax: Axes,
        rate_title: str,
        metric: str,
        legend: tuple[float, float],
        ticks: int = 8,
    ) -> None:
        self._rate_ax, self._loss_ax, self._ticks, self._metric = rate_ax, loss_ax, ticks, metric
        dress(rate_ax, x=say("epoch"), y=say("rate"), title=rate_title)
        title = say("loss_title") if metric == "loss" else say("metric_title", metric=metric)
        dress(loss_ax, x=say("epoch"), y="", title=title)
        rate_ax.yaxis.get_minor_ticks(MOST_BETWEEN)
        self._slots = [CurveArtists(rate_ax, loss_ax) for _ in range(MAX_CURVES)]
        self._names = GroupNames(rate_ax, most=4)
        self.artists = [artist for slot in self._slots for artist in slot.artists]
        self.artists += self._names.artists
        self._legends = Legends(
            rate_ax.figure, MAX_CURVES, small_from=3, bbox_to_anchor=legend, columnspacing=1.2
        )
        self._frame: tuple | None = None  # what the background was drawn for
        self._limits: Limits | None = None  # of the axis right

    def show(self, scene: Scene, *, refit: bool) -> bool:
        """Move the artists; say whether limits (which only ``refit`` narrows) or legend changed."""
        for slot, curve in zip_longest(self._slots, scene.curves):
            slot.show(curve, scene.epochs, self._metric) if curve else slot.hide()
        runs = [run for curve in scene.curves for run in curve.runs]
        self._limits = value_limits(runs, self._metric, None if refit else self._limits)
        changed = self._fit(scene, self._limits)
        self._names.show([curve for curve in scene.curves if not curve.thin][:1], scene.epochs)
        for slot in self._slots:
            slot.keep_end_below(self._limits[1] * (0.9 if self._metric == "loss" else 1))
        return changed

    def _fit(self, scene: Scene, limits: Limits) -> bool:
        """Set limits and legend where they changed, and say whether they did."""
        rates = [np.array([scene.base_lr])]
        for curve in scene.curves:
            rates += [y for _, y in curve.planned_in(scene.epochs)]
            rates += [y for _, (_, y) in curve.applied]
        of_rates = rate_limits(rates, log=scene.log)
        epochs = max([scene.epochs, *(run.epochs for curve in scene.curves for run in curve.runs)])
        entries = [(c.legend_label, c.style, 1.6 if c.thin else 2.6) for c in scene.curves]
        frame = of_rates, scene.log, limits, epochs, entries, scene.loss_label, scene.by_batch
        if frame == self._frame:
            return False
        self._frame = frame
        set_rate_scale(self._rate_ax, log=scene.log)
        self._rate_ax.set_ylim(*of_rates)
        if self._metric == "loss":
            set_loss_scale(self._loss_ax, *limits, most=self._ticks)
        else:
            set_linear_scale(self._loss_ax, *limits)
        self._loss_ax.yaxis.label.set_text(scene.loss_label)  # ax.set_ylabel would ask rcParams
        epoch = say("epoch_by_batch" if scene.by_batch else "epoch")
        self._rate_ax.xaxis.label.set_text(epoch)
        for ax in (self._rate_ax, self._loss_ax):
            ax.set_xlim(0, epochs)
        self._legends.show(entries)
        return True


class LabPicture(LiveFigure):
    """Draws scenes into one widget: rates left, losses right."""

    @kit_look()
    def __init__(self, rate_title: str, metric: str = "loss") -> None:
        figure = Figure(figsize=(7.9, 3.5), dpi=120)
        figure.subplots_adjust(left=0.095, right=0.98, top=0.78, bottom=0.145, wspace=0.25)
        rate_ax, loss_ax = figure.subplots(1, 2)
        self._panels = Panels(rate_ax, loss_ax, rate_title, metric, legend=(0.082, 0.845))
        for ax in (rate_ax, loss_ax):  # tick labels of any length fit beside
            ax.yaxis.set_label_coords(-0.165, 0.5)
        super().__init__(figure, [*self._panels.artists, *self._marks(rate_ax)])

    def _marks(self, rate_ax: Axes) -> list[Artist]:
        """Make what else moves."""
        return []

    def show(self, scene: Scene, *, crisp: bool = False) -> None:
        """Draw a scene. ``crisp`` marks the last frame of a run: more pixels, limits refitted."""
        changed = self._panels.show(scene, refit=crisp)
        self.draw(background_changed=changed, crisp=crisp)
