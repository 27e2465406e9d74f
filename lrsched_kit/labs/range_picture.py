"""The live picture of a range test's lab: the test left, training at its picks right."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from ..experiments.range_test import RangeTest
from ..plotting.limits import nice_ceiling, nice_floor
from ..plotting.range_test import PICK_STYLES, RangeArtists
from ..plotting.style import dress, kit_look, set_loss_scale
from ..training.history import History
from ..training.stats import mean_and_error
from ..words import say
from .base import Picture
from .live import LiveFigure


class RangePicture(Picture):
    """The live picture: one set of artists for its lifetime."""

    @kit_look()
    def __init__(self, epochs: int) -> None:
        figure = Figure(figsize=(7.9, 3.5), dpi=120)
        figure.subplots_adjust(left=0.075, right=0.98, top=0.92, bottom=0.145, wspace=0.22)
        self._test_ax, self._ax = figure.subplots(1, 2)
        self._range = RangeArtists(self._test_ax, "")
        dress(self._ax, x=say("epoch"), y="", title=say("trained_title"))
        self._ax.set_xlim(0, epochs)
        self._epochs = np.arange(1, epochs + 1)
        self._curves = {}
        for name, style in PICK_STYLES.items():
            band = self._ax.fill_between([1.0], [1.0], [1.0], color=style.color, alpha=0.18, lw=0)
            (line,) = self._ax.plot(
                [],
                [],
                **style._asdict(),
                lw=2.2,
                label=say(f"pick_{name}"),
                marker="",
                mec=style.color,
            )
            self._curves[name] = (band, line)
        self._ax.legend(frameon=False, fontsize=9, handlelength=3, loc="upper right")
        self._limits = (0.3, 2.5)
        set_loss_scale(self._ax, *self._limits)
        moving = [artist for pair in self._curves.values() for artist in pair]
        self.live = LiveFigure(figure, [*self._range.artists, *moving])

    def show(
        self,
        test: RangeTest,
        histories: Mapping[str, list[History]],
        loss_label: str,
        *,
        crisp: bool = False,
    ) -> None:
        """Draw a test and the training at its picks, which may be unfinished or missing."""
        changed = self._range.show(test) or loss_label != self._ax.get_ylabel()
        for ax in (self._test_ax, self._ax):
            ax.yaxis.label.set_text(loss_label)  # ax.set_ylabel would ask rcParams
        heights = [np.empty(0)]
        for name, (band, line) in self._curves.items():
            runs = histories.get(name, [])
            visible = bool(runs) and np.isfinite([run.val_loss for run in runs]).all(0).any()
            band.set_visible(visible and len(runs) > 1)
            line.set_visible(visible)
            if not visible:
                continue
            mean, error = mean_and_error([run.val_loss for run in runs])
            line.set_data(self._epochs, mean)
            line.set_marker("o" if np.isfinite(mean).sum() == 1 else "")
            if len(runs) > 1:
                band.set_data(self._epochs, np.maximum(mean - error, 0.1 * mean), mean + error)
            heights.append(mean[np.isfinite(mean)])
        self.live.draw(background_changed=self._fit(heights, refit=crisp) or changed, crisp=crisp)

    def _fit(self, heights: list[np.ndarray], refit: bool) -> bool:
        losses = np.concatenate(heights)
        if not len(losses):
            return False
        # Room above for the legend; a run that blows up may leave the picture.
        top = min(losses.max(), 10 * losses.min()) * 1.6
        limits = nice_floor(0.95 * losses.min()), nice_ceiling(top)
        if not refit:
            limits = min(limits[0], self._limits[0]), max(limits[1], self._limits[1])
        changed, self._limits = limits != self._limits, limits
        if changed:
            set_loss_scale(self._ax, *limits)
        return changed
