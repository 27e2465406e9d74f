"""Schedules as rows of data: each builds a real torch scheduler; a closed form stands beside it.

The closed form is independent of torch and serves tests and lessons only. Whatever trains, and
whatever `trace_lr` returns, comes from ``torch.optim.lr_scheduler``.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch.optim import SGD, Optimizer, lr_scheduler
from torch.optim.lr_scheduler import LRScheduler

_CONSTRAINTS: Mapping[str, tuple[str, Callable[[float], bool]]] = {
    "positive": ("a positive {kind}", lambda value: value > 0),
    "non-negative": ("a non-negative {kind}", lambda value: value >= 0),
    "fraction": ("a positive {kind} below 1", lambda value: 0 < value < 1),
}


def check_number(
    name: str, value: object, *, must_be: str = "positive", integer: bool = False
) -> float:
    """Return ``value`` as a plain float or int, or say what is wrong with it.

    Raises:
        ValueError: naming the argument, the constraint and the value.

    >>> check_number("step_size", 0, integer=True)
    Traceback (most recent call last):
    ...
    ValueError: step_size must be a positive integer, got 0.
    """
    is_number = isinstance(value, Real) and not isinstance(value, bool) and _is_finite(value)
    is_whole = isinstance(value, Integral) or (is_number and float(value).is_integer())
    phrase, holds = _CONSTRAINTS[must_be]
    if not is_number or (integer and not is_whole) or not holds(value):
        phrase = phrase.format(kind="integer" if integer else "number")
        raise ValueError(f"{name} must be {phrase}, got {value!r}.")
    return int(value) if integer else float(value)


def _is_finite(value: Real) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer too large for a float
        return False


@dataclass(frozen=True)
class Param:
    """One knob of a schedule; a slider is made from it.

    Attributes:
        name: torch's own keyword.
        default, low, high: where the slider starts, and its ends.
        log: whether the slider moves in powers of ten.
        integer: whether only whole numbers make sense.
        help: one line for a tooltip.
        must_be: "positive", "non-negative" or "fraction": what torch can work with, which is
            wider than the slider.
    """

    name: str
    default: float
    low: float
    high: float
    log: bool = False
    integer: bool = False
    help: str = ""
    must_be: str = "positive"

    def check(self, value: object) -> float:
        """Return ``value`` as a plain number, or raise a ValueError that names the constraint."""
        return check_number(self.name, value, must_be=self.must_be, integer=self.integer)


@dataclass(frozen=True)
class Schedule:
    """One row of the catalogue.

    Attributes:
        name: torch's class name; the fixed rate is "Constant".
        formula: LaTeX, with t the number of scheduler steps taken.
        params: the knobs, named as torch names them.
        build: ``build(optimizer, total_steps=N, **params)`` makes the torch scheduler; params
            left out take their defaults, bad ones raise a ValueError.
        closed_form: ``closed_form(t, base_lr=, total_steps=, **params)``, the rate after t
            steps; None where a metric decides.
        when: what the schedule is for, in one sentence.
    """

    name: str
    formula: str
    params: tuple[Param, ...]
    build: Callable[..., LRScheduler]
    closed_form: Callable[..., float] | None
    when: str

    @property
    def metric_driven(self) -> bool:
        """Whether the scheduler is told a metric at each step."""
        return self.closed_form is None

    def complete(self, params: Mapping[str, object]) -> dict[str, float]:
        """Return all params: the given ones checked, the others at their defaults.

        >>> get_schedule("StepLR").complete({"gamma": 0.5})
        {'step_size': 5, 'gamma': 0.5}
        """
        return _complete(self.name, self.params, params)


def _complete(
    name: str, params: tuple[Param, ...], given: Mapping[str, object]
) -> dict[str, float]:
    known = [param.name for param in params]
    for key in given:
        if key not in known:
            raise ValueError(
                f"{name} has no parameter {key!r}{nearest(key, known)}; "
                f"it takes {', '.join(known) or 'none'}."
            )
    return {param.name: param.check(given.get(param.name, param.default)) for param in params}


def nearest(word: str, words: Iterable[str]) -> str:
    """Return a hint at the one of ``words`` that looks most like ``word``, or nothing."""
    close = difflib.get_close_matches(word.lower(), {w.lower(): w for w in words}, n=1, cutoff=0.5)
    return f" (did you mean {next(w for w in words if w.lower() == close[0])!r}?)" if close else ""


def _row(
    name: str,
    *params: Param,
    formula: str,
    build: Callable[..., LRScheduler],
    closed_form: Callable[..., float] | None,
    when: str,
) -> Schedule:
    """Make a row whose ``build`` and ``closed_form`` check their params and fill in defaults."""

    def checked_build(optimizer: Optimizer, *, total_steps: int, **given: float) -> LRScheduler:
        return build(optimizer, total_steps=total_steps, **_complete(name, params, given))

    def checked_form(t: float, *, base_lr: float, total_steps: int, **given: float) -> float:
        full = _complete(name, params, given)
        return closed_form(t, base_lr=base_lr, total_steps=total_steps, **full)

    return Schedule(name, formula, params, checked_build, closed_form and checked_form, when)


_ROWS = (
    _row(
        "Constant",
        formula=r"\eta_t = \eta_0",
        build=lambda optimizer, *, total_steps: lr_scheduler.LambdaLR(optimizer, lambda t: 1.0),
        closed_form=lambda t, *, base_lr, total_steps: base_lr,
        when="The baseline: every claim about a schedule is a claim against this line.",
    ),
    _row(
        "StepLR",
        Param("step_size", 5, 1, 40, integer=True, help="epochs between two drops"),
        Param("gamma", 0.1, 0.05, 1.0, help="what each drop multiplies the rate by"),
        formula=r"\eta_t = \eta_0\,\gamma^{\lfloor t / s \rfloor}",
        build=lambda optimizer, *, total_steps, step_size, gamma: lr_scheduler.StepLR(
            optimizer, step_size=step_size, gamma=gamma
        ),
        closed_form=lambda t, *, base_lr, total_steps, step_size, gamma: (
            base_lr * gamma ** (t // step_size)
        ),
        when="When you know, from earlier runs, at which epochs progress stalls.",
    ),
    _row(
        "ExponentialLR",
        Param("gamma", 0.85, 0.5, 1.0, help="what every epoch multiplies the rate by"),
        formula=r"\eta_t = \eta_0\,\gamma^{t}",
        build=lambda optimizer, *, total_steps, gamma: lr_scheduler.ExponentialLR(
            optimizer, gamma=gamma
        ),
        closed_form=lambda t, *, base_lr, total_steps, gamma: base_lr * gamma**t,
        when="When a smooth decay without a horizon will do; choose gamma by its half-life.",
    ),
    _row(
        "CosineAnnealingLR",
        Param("T_max", 20, 1, 40, integer=True, help="epochs from the peak to the bottom"),
        Param("eta_min", 0.0, 0.0, 0.05, help="the rate at the bottom", must_be="non-negative"),
        formula=(
            r"\eta_t = \eta_{\min} + \tfrac{1}{2}(\eta_0 - \eta_{\min})"
            r"\left(1 + \cos\frac{\pi t}{T_{\max}}\right)"
        ),
        build=lambda optimizer, *, total_steps, T_max, eta_min: lr_scheduler.CosineAnnealingLR(
            optimizer, T_max=T_max, eta_min=eta_min
        ),
        closed_form=lambda t, *, base_lr, total_steps, T_max, eta_min: (
            eta_min + (base_lr - eta_min) * (1 + math.cos(math.pi * t / T_max)) / 2
        ),
        when="When the length of the run is known: one knob, T_max, set to that length.",
    ),
    _row(
        "ReduceLROnPlateau",
        Param(
            "factor",
            0.1,
            0.05,
            0.95,
            help="what a drop multiplies the rate by",
            must_be="fraction",
        ),
        Param(
            "patience",
            3,
            0,
            15,
            integer=True,
            help="bad epochs that are let pass",
            must_be="non-negative",
        ),
        Param(
            "threshold",
            1e-4,
            1e-4,
            0.1,
            log=True,
            help="relative gain that counts as better",
            must_be="non-negative",
        ),
        Param(
            "cooldown",
            0,
            0,
            10,
            integer=True,
            help="epochs after a drop that do not count",
            must_be="non-negative",
        ),
        formula=(
            r"\eta_{t+1} = \eta_t \cdot \mathrm{factor}"
            r"\ \text{ once more than patience epochs in a row brought no better loss}"
        ),
        build=lambda optimizer, *, total_steps, factor, patience, threshold, cooldown: (
            lr_scheduler.ReduceLROnPlateau(
                optimizer,
                factor=factor,
                patience=patience,
                threshold=threshold,
                cooldown=cooldown,
            )
        ),
        closed_form=None,
        when="When you cannot say in advance when progress will stall, and validate every epoch.",
    ),
)

SCHEDULES: Mapping[str, Schedule] = MappingProxyType({row.name: row for row in _ROWS})
"""All rows by name, in the order in which the lessons teach them."""


def get_schedule(name: str) -> Schedule:
    """Return the row called ``name``.

    Raises:
        ValueError: for an unknown name, with the nearest one and the list.

    >>> get_schedule("StepLr")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    ValueError: name must be a known schedule (did you mean 'StepLR'?), got 'StepLr'; known are ...
    """
    if not isinstance(name, str) or name not in SCHEDULES:
        raise ValueError(
            f"name must be a known schedule{nearest(str(name), SCHEDULES)}, got {name!r}; "
            f"known are {', '.join(SCHEDULES)}."
        )
    return SCHEDULES[name]


def trace_lr(
    name: str,
    *,
    base_lr: float,
    steps: int,
    metrics: Sequence[float] | None = None,
    **params: float,
) -> np.ndarray:
    """Step the real torch scheduler on a dummy parameter and note each rate it applies.

    Args:
        name: a row of `SCHEDULES`.
        base_lr: the optimizer's initial rate.
        steps: how many scheduler steps (epochs or batches, as you like to read it).
        metrics: for metric-driven rows: ``metrics[t]`` is reported after step t. Others need none.
        **params: the schedule's own; those left out take the row's defaults.

    Returns:
        Shape ``(steps,)``: the rate in ``optimizer.param_groups`` at step 0..steps-1.

    Raises:
        ValueError: for anything out of range; the message names argument, constraint and value.

    Source: https://docs.pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate

    >>> trace_lr("StepLR", base_lr=1.0, steps=6, step_size=2, gamma=0.5).tolist()
    [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]
    """
    schedule = get_schedule(name)
    base_lr = check_number("base_lr", base_lr)
    steps = int(check_number("steps", steps, integer=True))
    reports = _check_metrics(name, metrics, steps) if schedule.metric_driven else None
    optimizer = SGD([torch.zeros((), requires_grad=True)], lr=base_lr)
    scheduler: Any = schedule.build(optimizer, total_steps=steps, **params)
    rates = np.empty(steps)
    for t in range(steps):
        rates[t] = optimizer.param_groups[0]["lr"]
        optimizer.step()
        if reports is None:
            scheduler.step()
        else:
            scheduler.step(reports[t])
    return rates


def _check_metrics(name: str, metrics: Sequence[float] | None, steps: int) -> np.ndarray:
    if metrics is None:
        raise ValueError(
            f"metrics must be given for {name}: one number per step decides its rate, got None."
        )
    try:
        reports = np.asarray(metrics, dtype=float)
    except (TypeError, ValueError):
        raise ValueError(f"metrics must be numbers, got {metrics!r:.80}.") from None
    if reports.shape != (steps,):
        raise ValueError(f"metrics must have shape ({steps},), got {reports.shape}.")
    return reports
