"""The lab of the noisy quadratic: a run in its valley beside the loss that is to be expected."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import ipywidgets as widgets
import numpy as np

from ..experiments.quadratic import NoisyQuadratic
from ..schedules.params import Param
from ..schedules.trace import trace_lr
from ..words import say
from ..words.errors import nearest
from .base import Lab, Work
from .controls import button_row, make_slider, read, slider_grid
from .live import Cancel
from .quadratic_picture import QuadraticPicture, Walk

START = (2.5, 4.0)  # steep, flat
REST = 0.15  # seconds without a move, after which the picture is drawn with all its pixels

# How each schedule gets from base_lr to end_factor * base_lr in a given number of steps.
SHAPES: Mapping[str, Callable[[int, float, float], dict[str, float]]] = {
    "Constant": lambda steps, base_lr, end: {},
    "StepLR": lambda steps, base_lr, end: {
        "step_size": math.ceil(steps / 3),
        "gamma": math.sqrt(end),
    },
    "ExponentialLR": lambda steps, base_lr, end: {"gamma": end ** (1 / steps)},
    "CosineAnnealingLR": lambda steps, base_lr, end: {"T_max": steps, "eta_min": end * base_lr},
    "LinearLR": lambda steps, base_lr, end: {
        "start_factor": 1.0,
        "end_factor": end,
        "total_iters": steps,
    },
}

KNOBS = (
    Param("base_lr", 0.4, 0.01, 4.0, log=True, help=say("base_lr_help")),
    Param("end_factor", 0.01, 0.001, 1.0, log=True, help=say("end_factor_help"), must_be="factor"),
    Param("noise", 1.0, 0.0, 4.0, help=say("noise_help"), must_be="non-negative"),
    Param("ratio", 10.0, 1.0, 100.0, log=True, help=say("ratio_help")),
    Param("steps", 200, 5, 400, integer=True, help=say("updates_help")),
)


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


class QuadraticWork(Work[QuadraticRequest]):
    """Solves and draws what is asked: small and quick while sliders move, crisp when they rest.

    Attributes:
        walks: of the newest request, by schedule; the constant rate comes first.
    """

    picture: QuadraticPicture

    def __init__(self) -> None:
        super().__init__(QuadraticPicture())
        self.walks: dict[str, Walk] = {}

    def __call__(self, request: QuadraticRequest, cancel: Cancel) -> None:
        """Solve, draw, say; the fine frame only if nothing newer comes for a moment."""
        valley = valley_of(request)
        rates = {label: rates_of(label, request) for label in ("Constant", request.schedule)}
        expected = {label: valley.expect(rate) for label, rate in rates.items()}
        self.walks = {
            label: Walk(
                rate,
                valley.sample(rate, seed=request.seed)[0],
                expected[label],
                valley.noise_floor(rate),
            )
            for label, rate in rates.items()
        }
        self.picture.show(self.walks, valley.curvature)
        self.say(_lines(self.walks, request))
        rested = time.monotonic() + REST
        while time.monotonic() < rested:
            if cancel():
                return
            time.sleep(0.01)
        self.picture.show(self.walks, valley.curvature, crisp=True)


def valley_of(request: QuadraticRequest) -> NoisyQuadratic:
    """Return the valley: curvature 1 and 1 / ratio, noise variance in proportion to it."""
    curvature = (1.0, 1.0 / request.ratio)
    return NoisyQuadratic(curvature, tuple(request.noise * h for h in curvature), START)


def rates_of(name: str, request: QuadraticRequest) -> np.ndarray:
    """Return the rates that torch's scheduler applies, shape ``(steps,)``."""
    params = SHAPES[name](request.steps, request.base_lr, request.end_factor)
    return trace_lr(name, base_lr=request.base_lr, steps=request.steps, **params)


def _lines(walks: Mapping[str, Walk], request: QuadraticRequest) -> list[str]:
    """Put the walks into words, the one under study first."""
    lines = []
    for label, walk in reversed(walks.items()):
        loss, noise = walk.expected.loss[-1], walk.expected.noise[-1]
        settles = np.isfinite(walk.floor[-1]) and np.isfinite(loss)
        share = noise / loss if settles and loss > 0 else 0.0
        lines.append(
            say(
                "expected_line" if settles else "diverges_line",
                label=label,
                steps=request.steps,
                loss=f"{loss:.3g}",
                bias=f"{1 - share:.0%}",
                noise=f"{share:.0%}",
            )
        )
    floor = walks["Constant"].floor[0]
    key = "floor_line" if np.isfinite(floor) else "unstable_line"
    return [*lines, say(key, base_lr=f"{request.base_lr:.3g}", floor=f"{floor:.3g}")]


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
        if schedule not in SHAPES:
            raise ValueError(
                f"schedule must be one of {', '.join(SHAPES)}, "
                f"got {schedule!r}{nearest(str(schedule), SHAPES)}."
            )
        names = [knob.name for knob in KNOBS]
        for name in settings:
            if name not in names:
                raise ValueError(
                    f"QuadraticLab has no setting {name!r}{nearest(name, names)}; "
                    f"it takes {', '.join(names)}."
                )
        start = {knob.name: knob.check(settings.get(knob.name, knob.default)) for knob in KNOBS}
        sliders = {knob.name: make_slider(knob, start[knob.name]) for knob in KNOBS}
        choice = widgets.Dropdown(
            options=list(SHAPES),
            value=schedule,
            description="schedule",
            tooltip=say("schedule_help"),
            style={"description_width": "76px"},
            layout=widgets.Layout(width="auto", min_width="0"),
        )
        buttons = {
            "run": widgets.Button(description=say("roll"), tooltip=say("roll_help")),
            "reset": widgets.Button(description=say("reset"), tooltip=say("reset_help")),
        }
        self._work: QuadraticWork = QuadraticWork()
        self._seed = 0
        super().__init__(
            self._work,
            {"schedule": schedule, **start},
            {"schedule": choice, **sliders, **buttons},
            [
                slider_grid([choice, *sliders.values()]),
                button_row(list(buttons.values())),
                self._work.picture.image,
                self._work.text,
            ],
        )
        self._submit()

    @property
    def walks(self) -> dict[str, Walk]:
        """Schedule -> rates, sampled path, exact expectation and floor of the newest request."""
        return self._work.walks

    def __repr__(self) -> str:
        return f"QuadraticLab({self._start['schedule']})"

    def _request(self, *, again: bool) -> QuadraticRequest:
        self._seed += again
        values = {k.name: read(self.controls[k.name], self._start[k.name]) for k in KNOBS}
        values["steps"] = int(values["steps"])
        return QuadraticRequest(self.controls["schedule"].value, **values, seed=self._seed)

    def _on_reset(self, click: object) -> None:
        self._seed = 0
        super()._on_reset(click)

    def _set_running(self, running: bool) -> None:
        """Nothing runs for long here, so there is nothing to stop."""
