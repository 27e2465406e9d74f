"""The lab of the noisy quadratic: a run in its valley beside the loss that is to be expected."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..experiments.quadratic import Expected, NoisyQuadratic
from ..plotting.curves import FINE, Legends, set_line
from ..plotting.limits import nice_ceiling
from ..plotting.style import Style, dress, kit_look, set_loss_scale, style_of
from ..schedules.params import Choice, Param
from ..schedules.trace import trace_lr
from ..words import say
from .base import Lab, Work
from .controls import button_row, make_button, make_slider, slider_grid, starts
from .live import Cancel, LiveFigure

SHAPES = ("Constant", "StepLR", "ExponentialLR", "CosineAnnealingLR", "LinearLR")
START = (2.5, 4.0)  # steep, flat
REST = 0.15  # seconds without a move, after which the picture is drawn with all its pixels
LEVELS = 0.05 * 3.0 ** np.arange(6)  # the lines of equal loss
CIRCLE = np.linspace(0, 2 * np.pi, 121)
MAX_DECADES = 6  # a loss axis shows at most so many

KNOBS = (
    Choice("schedule", SHAPES, help="shape_help"),
    Param("base_lr", 0.4, 0.01, 4.0, log=True, help="base_lr_help"),
    Param("end_factor", 0.01, 0.001, 1.0, log=True, help="end_factor_help", must_be="factor"),
    Param("noise", 1.0, 0.0, 4.0, help="noise_help", must_be="non-negative"),
    Param("ratio", 10.0, 1.0, 100.0, log=True, help="ratio_help"),
    Param("steps", 200, 5, 400, integer=True, help="updates_help"),
)


@dataclass(frozen=True)
class Walk:
    """What one schedule does in the valley."""

    rates: np.ndarray  # shape (steps,), as torch's scheduler applies them
    path: np.ndarray  # shape (steps + 1, 2), one sampled run
    expected: Expected
    floor: np.ndarray  # shape (steps,), where the loss would settle if the rate stayed as it is


@dataclass(frozen=True)
class QuadraticRequest:
    """What the controls say; ``seed`` is that of the sampled run."""

    schedule: str
    base_lr: float
    end_factor: float
    noise: float
    ratio: float
    steps: int
    seed: int

    @property
    def curvature(self) -> tuple[float, float]:
        """Of the steep and the flat direction; the noise variance is in proportion to it."""
        return 1.0, 1.0 / self.ratio

    def params(self, schedule: str) -> dict[str, Any]:
        """Return how that schedule gets from base_lr to end_factor * base_lr in so many steps."""
        steps, end = self.steps, self.end_factor
        return {
            "Constant": {},
            "StepLR": {"step_size": math.ceil(steps / 3), "gamma": math.sqrt(end)},
            "ExponentialLR": {"gamma": end ** (1 / steps)},
            "CosineAnnealingLR": {"T_max": steps, "eta_min": end * self.base_lr},
            "LinearLR": {"start_factor": 1.0, "end_factor": end, "total_iters": steps},
        }[schedule]

    def walk(self, schedule: str) -> Walk:
        """Solve the valley for the rates that torch's scheduler applies."""
        params = self.params(schedule)
        rates = trace_lr(schedule, base_lr=self.base_lr, steps=self.steps, **params)
        noise = tuple(self.noise * h for h in self.curvature)
        valley = NoisyQuadratic(self.curvature, noise, START)
        path = valley.sample(rates, seed=self.seed)[0]
        return Walk(rates, path, valley.expect(rates), valley.noise_floor(rates))


class QuadraticWork(Work[QuadraticRequest]):
    """Solves and draws what is asked: small and quick while sliders move, crisp when they rest."""

    picture: QuadraticPicture

    def __init__(self) -> None:
        super().__init__(QuadraticPicture())
        self.walks: dict[str, Walk] = {}  # of the newest request; the constant rate comes first

    def __call__(self, request: QuadraticRequest, cancel: Cancel) -> None:
        """Solve, draw, say; the fine frame only if nothing newer comes for a moment."""
        labels = dict.fromkeys(("Constant", request.schedule))
        self.walks = {label: request.walk(label) for label in labels}
        self.picture.show(self.walks, request.curvature)
        self.say(_lines(self.walks, request))
        rested = time.monotonic() + REST
        while time.monotonic() < rested:
            if cancel():
                return
            time.sleep(0.01)
        self.picture.draw(crisp=True)


def _lines(walks: Mapping[str, Walk], request: QuadraticRequest) -> list[str]:
    """Put the walks into words, the one under study first."""
    lines = []
    for label, walk in reversed([*walks.items()]):
        loss, noise = walk.expected.loss[-1], walk.expected.noise[-1]
        settles = np.isfinite(walk.floor[-1]) and np.isfinite(loss)
        share = noise / loss if settles and loss > 0 else 0.0
        key = "expected_line" if settles else "diverges_line"
        facts = {"loss": loss, "bias": 1 - share, "noise": share}
        lines.append(say(key, label=label, steps=request.steps, **facts))
    floor = walks["Constant"].floor[0]
    key = "floor_line" if np.isfinite(floor) else "unstable_line"
    return [*lines, say(key, base_lr=request.base_lr, floor=floor)]


class QuadraticPicture(LiveFigure):
    """Draws walks into one widget; the flat direction lies across, the steep one upright."""

    @kit_look()
    def __init__(self) -> None:
        figure = Figure(figsize=(7.9, 3.7), dpi=120)
        figure.subplots_adjust(left=0.075, right=0.985, top=0.8, bottom=0.14, wspace=0.24)
        self._legends = Legends(figure, 3, bbox_to_anchor=(0.062, 0.87), columnspacing=1.4)
        map_ax, self._loss_ax = figure.subplots(1, 2)
        dress(map_ax, x=say("flat"), y=say("steep"), title=say("map_title"))
        dress(self._loss_ax, x=say("step"), y=say("expected_loss"), title=say("expected_title"))
        map_ax.set(xlim=(-2.4, 4.4), ylim=(-2.4, 3.0))
        map_ax.grid(visible=False)
        map_ax.plot(0, 0, "+", color="black", ms=9)
        (self._levels,) = map_ax.plot([], [], color="#d0d0d0", lw=0.9)
        self._slots = [_Slot(map_ax, self._loss_ax) for _ in range(2)]
        moving = [self._levels, *(artist for slot in self._slots for artist in slot.artists)]
        super().__init__(figure, moving)
        self._frame: tuple | None = None  # what the background was drawn for

    def show(self, walks: Mapping[str, Walk], curvature: tuple[float, float]) -> None:
        """Draw one or two walks, the one under study last."""
        for slot, (label, walk) in zip(self._slots, walks.items(), strict=False):
            slot.show(walk, style_of(label))
        for artist in self._slots[1].artists:
            artist.set_visible(len(walks) > 1)
        steep, flat = (np.sqrt(2 * LEVELS / h)[:, np.newaxis] for h in curvature)
        gap = np.full((len(LEVELS), 1), np.nan)  # between one line of equal loss and the next
        across, upright = flat * np.cos(CIRCLE), steep * np.sin(CIRCLE)
        self._levels.set_data(np.hstack([across, gap]).ravel(), np.hstack([upright, gap]).ravel())
        self.draw(background_changed=self._fit(walks))

    def _fit(self, walks: Mapping[str, Walk]) -> bool:
        """Set limits and legend where they changed, and say whether they did."""
        longest = nice_ceiling(max(len(walk.rates) for walk in walks.values()))
        limits = _decades(np.concatenate([walk.expected.loss for walk in walks.values()]))
        if (frame := (longest, limits, tuple(walks))) == self._frame:
            return False
        self._frame = frame
        self._loss_ax.set_xlim(0, longest)
        set_loss_scale(self._loss_ax, *limits)
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

    def show(self, walk: Walk, style: Style) -> None:
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


def _drawable(values: np.ndarray) -> np.ndarray:
    """Leave out what is too large to be drawn: the curve of a lost run leaves the picture."""
    return np.where(np.abs(values) < 1e6, values, np.nan)


def _decades(losses: np.ndarray) -> tuple[float, float]:
    """Return powers of ten around the first loss and the lowest, so that axes change seldom."""
    top = math.ceil(math.log10(losses[0]))
    lowest = losses[np.isfinite(losses) & (losses > 0)].min() * 0.7
    return 10.0 ** max(math.floor(math.log10(lowest)), top - MAX_DECADES), 10.0**top


class QuadraticLab(Lab[QuadraticRequest]):
    """SGD in a noisy valley of two directions, solved exactly, beside the constant rate.

    Left, one sampled run of each, over lines of equal loss; the ellipse is one standard deviation
    around the exact mean at the end. Right, the exact expected loss after each step, and dotted
    the noise floor that belongs to the rate of that step. Both runs meet the same noise.

    Args:
        schedule: one of "Constant", "StepLR", "ExponentialLR", "CosineAnnealingLR",
            "LinearLR". Each goes from base_lr to end_factor * base_lr over the run.
        **settings: where the sliders start: base_lr, end_factor, noise (variance of the gradient
            noise per unit of curvature), ratio (of the two curvatures), steps.

    Attributes:
        controls: "schedule", the sliders by name, and the buttons "run" (other noise) and "reset".

    Raises:
        ValueError: naming argument, constraint and value.

    >>> lab = QuadraticLab("Constant", base_lr=0.4, ratio=1)
    >>> lab.wait()
    True
    >>> print(lab.summary.splitlines()[-1])
    At a rate of 0.4 the noise floor is 0.25.
    >>> lab.close()
    """

    def __init__(self, schedule: str = "CosineAnnealingLR", **settings: float) -> None:
        start = starts("QuadraticLab", KNOBS, {"schedule": schedule, **settings})
        sliders = {knob.name: make_slider(knob, start[knob.name]) for knob in KNOBS}
        buttons = {"run": make_button("roll"), "reset": make_button("reset")}
        self._work: QuadraticWork = QuadraticWork()
        self._seed = 0
        rows = [slider_grid([*sliders.values()]), button_row([*buttons.values()])]
        rows += [self._work.picture.image, self._work.text]
        super().__init__(self._work, start, {**sliders, **buttons}, rows)
        self._called = schedule
        self._submit()

    @property
    def walks(self) -> dict[str, Walk]:
        """Schedule -> rates, sampled path, exact expectation and floor of the newest request."""
        return self._work.walks

    def _request(self, *, again: bool) -> QuadraticRequest:
        self._seed += again
        return QuadraticRequest(**self._values(), seed=self._seed)

    def _on_reset(self, click: object) -> None:
        self._seed = 0
        super()._on_reset(click)
