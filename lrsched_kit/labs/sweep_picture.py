"""The live picture of a sweep: a heat map left, the curves of the chosen cell right."""

from __future__ import annotations

from matplotlib.figure import Figure

from ..experiments.sweeps import Sweep
from ..plotting.heatmap import HeatMap
from ..plotting.style import kit_look
from ..words import say
from .base import Picture
from .live import LiveFigure
from .panels import Panels, Scene


class SweepPicture(Picture):
    """Draws a sweep and one of its cells into one widget.

    Args:
        sweep: an empty one will do; its grid decides the cells.
        label: what the cells' numbers are.
        higher: whether higher is better.
    """

    @kit_look()
    def __init__(self, sweep: Sweep, *, label: str | None = None, higher: bool = False) -> None:
        figure = Figure(figsize=(7.9, 4.3), dpi=120)
        columns = figure.add_gridspec(
            1, 2, width_ratios=(1.38, 1), left=0.072, right=0.98, top=0.84, bottom=0.12, wspace=0.38
        )
        right = columns[1].subgridspec(2, 1, hspace=0.72)
        map_ax = figure.add_subplot(columns[0])
        rate_ax, loss_ax = (figure.add_subplot(right[row]) for row in range(2))
        self._map = HeatMap(map_ax, sweep.grid, higher=higher)
        best = say("best_higher" if higher else "best")
        lines = label or say("mean_final_loss"), f"{best}; {say('marked')}"
        map_ax.set_title("\n".join(lines), fontsize="medium", loc="left")
        titles = (say("rate_applied"), say("loss_title"))
        self._panels = Panels(rate_ax, loss_ax, titles, legend=(0.62, 0.905), ticks=6)
        for ax in (rate_ax, loss_ax):
            ax.yaxis.set_label_coords(-0.2, 0.5)
        self.live = LiveFigure(figure, [*self._map.artists, *self._panels.artists])
        self._limits: tuple[float, float] | None = None

    def show(
        self, sweep: Sweep, cell: tuple[int, int], scene: Scene, *, crisp: bool = False
    ) -> None:
        """Draw a sweep as far as it has come, and the curves of a cell."""
        mean = sweep.mean
        limits = self._map.limits_of(mean)
        changed = limits != self._limits
        if changed:
            self._map.set_limits(*limits)
            self._limits = limits
        self._map.show(mean, finished=sweep.finished, best=sweep.best_cell, marked=cell)
        changed |= self._panels.show(scene, refit=crisp)
        self.live.draw(background_changed=changed, crisp=crisp)
