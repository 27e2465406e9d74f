"""The live picture of the noisy quadratic: a run in its valley left, expected losses right."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..experiments.quadratic import Expected
from ..plotting.artists import FINE, Legends, set_line
from ..plotting.limits import nice_ceiling
from ..plotting.style import Style, dress, kit_look, set_loss_scale, style_of
from ..words import say
from .base import Picture
from .live import LiveFigure

LEVELS = 0.05 * 3.0 ** np.arange(6)  # the lines of equal loss
CIRCLE = np.linspace(0, 2 * np.pi, 121)
MAX_DECADES = 6  # a loss axis shows at most so many


@dataclass(frozen=True)
class Walk:
    """What one schedule does in the valley.

    Attributes:
        rates: shape ``(steps,)``, as torch's scheduler applies them.
        path: shape ``(steps + 1, 2)``, one sampled run.
        expected: the exact expectation.
        floor: shape ``(steps,)``, where the loss would settle if the rate stayed as it is.
    """

    rates: np.ndarray
    path: np.ndarray
    expected: Expected
    floor: np.ndarray


class QuadraticPicture(Picture):
    """Draws walks into one widget; the flat direction lies across, the steep one upright."""

    @kit_look()
    def __init__(self) -> None:
        figure = Figure(figsize=(7.9, 3.7), dpi=120)
        figure.subplots_adjust(left=0.075, right=0.985, top=0.8, bottom=0.14, wspace=0.24)
        self._legends = Legends(
            figure,
            most=3,
            loc="lower left",
            bbox_to_anchor=(0.062, 0.87),
            ncols=3,
            handlelength=2.4,
            columnspacing=1.4,
        )
        self._map_ax, self._loss_ax = figure.subplots(1, 2)
        dress(self._map_ax, x=say("flat"), y=say("steep"), title=say("map_title"))
        dress(self._loss_ax, x=say("step"), y=say("expected_loss"), title=say("expected_title"))
        self._map_ax.set(xlim=(-2.4, 4.4), ylim=(-2.4, 3.0))
        self._map_ax.grid(visible=False)
        self._map_ax.plot(0, 0, "+", color="black", ms=9)
        (self._levels,) = self._map_ax.plot([], [], color="#d0d0d0", lw=0.9)
        self._slots = [_Slot(self._map_ax, self._loss_ax) for _ in range(2)]
        moving = [self._levels, *(artist for slot in self._slots for artist in slot.artists)]
        self.live = LiveFigure(figure, moving)
        self._frame: tuple | None = None  # what the background was drawn for

    def show(
        self, walks: Mapping[str, Walk], curvature: Sequence[float], *, crisp: bool = False
    ) -> None:
        """Draw one or two walks, the one under study last."""
        for slot in self._slots:
            slot.set_visible(False)
        for slot, (label, walk) in zip(self._slots, walks.items(), strict=False):
            slot.show(walk, style_of(label))
        self._levels.set_data(*_levels(curvature))
        self.live.draw(background_changed=self._fit(walks), crisp=crisp)

    def _fit(self, walks: Mapping[str, Walk]) -> bool:
        """Set limits and legend where they changed, and say whether they did."""
        longest = nice_ceiling(max(len(walk.rates) for walk in walks.values()))
        frame = (longest, _decades(walks.values()), tuple(walks))
        if frame == self._frame:
            return False
        self._frame = frame
        self._loss_ax.set_xlim(0, longest)
        set_loss_scale(self._loss_ax, *frame[1])
        entries = [(label, style_of(label), 2.4) for label in walks]
        self._legends.show([*entries, (say("floor_label"), Style("#555555", FINE), 1.2)])
        return True


class _Slot:
    """The artists of one walk."""

    def __init__(self, map_ax: Axes, loss_ax: Axes) -> None:
        (self.path,) = map_ax.plot([], [], lw=1.0, alpha=0.75)
        (self.ellipse,) = map_ax.plot([], [], lw=2.2)
        (self.centre,) = map_ax.plot([], [], "o", ms=5)
        (self.floor,) = loss_ax.plot([], [], lw=1.3, ls=":")
        (self.loss,) = loss_ax.plot([], [], lw=2.4)
        self.artists = (self.path, self.ellipse, self.centre, self.floor, self.loss)

    def set_visible(self, visible: bool) -> None:
        for artist in self.artists:
            artist.set_visible(visible)

    def show(self, walk: Walk, style: Style) -> None:
        self.set_visible(True)
        for artist in self.artists:
            artist.set_color(style.color)
        self.centre.set_markeredgecolor(style.color)
        set_line(self.loss, style, 2.4)
        self.path.set_data(*_drawable(walk.path).T[::-1])
        mean, sigma = walk.expected.mean[-1], np.sqrt(walk.expected.variance[-1])
        (y, x), (sigma_y, sigma_x) = _drawable(mean), _drawable(sigma)
        self.centre.set_data([x], [y])
        self.ellipse.set_data(x + sigma_x * np.cos(CIRCLE), y + sigma_y * np.sin(CIRCLE))
        steps = np.arange(len(walk.rates) + 1)
        self.loss.set_data(steps, _drawable(walk.expected.loss))
        self.floor.set_data(np.repeat(steps, 2)[1:-1], np.repeat(_drawable(walk.floor), 2))


def _levels(curvature: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Return all lines of equal loss as one line, with gaps."""
    steep, flat = (np.sqrt(2 * LEVELS / h)[:, None] for h in curvature)
    gap = np.full((len(LEVELS), 1), np.nan)
    return tuple(
        np.hstack([radius * wave, gap]).ravel()
        for radius, wave in ((flat, np.cos(CIRCLE)), (steep, np.sin(CIRCLE)))
    )


def _drawable(values: np.ndarray) -> np.ndarray:
    """Leave out what is too large to be drawn: the curve of a lost run leaves the picture."""
    return np.where(np.abs(values) < 1e6, values, np.nan)


def _decades(walks: Iterable[Walk]) -> tuple[float, float]:
    """Return powers of ten around the first loss and the lowest, so that axes change seldom."""
    losses = np.concatenate([walk.expected.loss for walk in walks])
    top = math.ceil(math.log10(losses[0]))
    lowest = losses[np.isfinite(losses) & (losses > 0)].min() * 0.7
    return 10.0 ** max(math.floor(math.log10(lowest)), top - MAX_DECADES), 10.0**top
