"""Limits and ticks of axes: round numbers, and none that asks rcParams when it is drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator

from ..training.history import History

Limits = tuple[float, float]

_LOG_DECADES = 5  # a logarithmic rate axis shows at most so many
_NICE = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10)
_TINY = 1e-12  # a loss of zero has no place on a logarithmic axis
_SLACK = 1e-9  # a round number is one in spite of rounding errors


def nice_ceiling(value: float) -> float:
    """Return the next round number at or above ``value``."""
    return min(nice for nice in _nice_numbers(value) if value <= nice * (1 + _SLACK))


def nice_floor(value: float) -> float:
    """Return the next round number at or below ``value``; a very small one for 0."""
    value = max(value, _TINY)
    return max(nice for nice in _nice_numbers(value) if value >= nice * (1 - _SLACK))


def _nice_numbers(value: float) -> list[float]:
    power = 10.0 ** math.floor(math.log10(max(value, _TINY)))
    return [float(f"{step * power:.12g}") for step in _NICE]


def rate_limits(lines: Sequence[np.ndarray], *, log: bool) -> Limits:
    """Return limits for rates, some of which may be NaN: from 0, or powers of ten around them."""
    known = [line[np.isfinite(line)] for line in lines]
    rates = np.concatenate(known)
    if not log:
        return 0.0, nice_ceiling(rates.max() * 1.04)
    top = math.ceil(math.log10(rates.max()) - _SLACK)
    # A line may fall out of the picture; that a group is never in it would be a riddle.
    lows = rates[rates > 0].min(), min(line.max() for line in known if line.any())
    lowest, least_peak = (math.floor(math.log10(low) + _SLACK) for low in lows)
    bottom = min(max(lowest, top - _LOG_DECADES), least_peak, top - 1)
    return 10.0**bottom * 0.8, 10.0**top * 1.25


def value_limits(runs: Sequence[History], metric: str, present: Limits | None) -> Limits:
    """Return limits for losses or a metric; ``present`` ones are widened, never narrowed."""
    found = _loss_limits(runs) if metric == "loss" else _metric_limits(runs, metric)
    if found is None:
        return present or ((0.1, 2.5) if metric == "loss" else (0.0, 1.0))
    bottoms, tops = zip(found, present or found, strict=True)
    return min(bottoms), max(tops)


def _loss_limits(runs: Sequence[History]) -> Limits | None:
    runs = [run for run in runs if run.finished]
    if not runs:
        return None
    # A run that blows up would flatten all others, so its later losses may leave the picture.
    highest = max(max(run.val_loss[0], run.train_loss[0]) for run in runs)
    lowest = min(np.nanmin([run.val_loss, run.train_loss]) for run in runs)
    return nice_floor(lowest * 0.95), nice_ceiling(highest * 1.02)


def _metric_limits(runs: Sequence[History], metric: str) -> Limits | None:
    values = np.concatenate([[], *(run.of(metric) for run in runs)])
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    low, high = float(values.min()), float(values.max())
    step = float(np.ptp(RoundTicks(6).tick_values(low, max(high, low + 0.01))[:2])) or 0.01
    return math.floor(low / step) * step, math.ceil(high / step + 0.1) * step


class RoundTicks(MaxNLocator):
    """At most so many intervals between round numbers; matplotlib's own ask rcParams for them."""

    def __init__(self, most: int, *, integer: bool = False) -> None:
        super().__init__(most)
        self._most, self._least = most, 1.0 if integer else 0.0

    def tick_values(self, vmin: float, vmax: float) -> np.ndarray:  # type: ignore[override]
        """Return the ticks between two limits."""
        low, high = min(vmin, vmax), max(vmin, vmax)
        if not math.isfinite(high - low) or high == low:
            return np.array([low])
        rough = (high - low) / self._most * (1 - 1e-9)
        power = 10.0 ** math.floor(math.log10(rough))
        step = max(min(n * power for n in (1, 2, 5, 10) if n * power >= rough), self._least)
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        return step * np.arange(first, last + 1)


class Decades(LogLocator):
    """At most so many powers of ten, or the whole numbers times them that lie between.

    Limits with fewer than two powers of ten between them get other plain numbers.
    """

    def __init__(self, most: int, *, between: bool = False) -> None:
        super().__init__(numticks=most)
        self._most, self._between = most, between

    def tick_values(self, vmin: float, vmax: float) -> np.ndarray:  # type: ignore[override]
        """Return the ticks between two limits."""
        low, high = min(vmin, vmax), max(vmin, vmax)
        if low <= 0 and self.axis is not None:
            low = self.axis.get_minpos()
        if not 0 < low < high < math.inf:
            return np.empty(0)
        top, bottom = (math.floor(math.log10(high) + 1e-9), math.ceil(math.log10(low) - 1e-9))
        count = top - bottom + 1
        if count < 2:
            return np.empty(0) if self._between else loss_ticks(low, high, self._most)
        if not self._between:
            return 10.0 ** np.arange(top, bottom - 1, -math.ceil(count / self._most))[::-1]
        ticks = np.outer(10.0 ** np.arange(bottom - 1, top + 1), np.arange(2, 10)).ravel()
        return ticks[(ticks > low) & (ticks < high)] if count <= self._most else np.empty(0)


def plain_numbers() -> FuncFormatter:
    """Return a formatter that writes ticks as `short_number` does, with a typographic minus."""

    def write(value: float, _: object) -> str:
        text = short_number(value) if abs(value) < 1e4 else f"{value:.0f}"
        return f"\N{MINUS SIGN}{text[1:]}" if text.startswith("-") else text

    return FuncFormatter(write)


_TICK_DIGITS: Sequence[Sequence[float]] = (
    *([n / parts for n in range(parts, 10 * parts)] for parts in (20, 10, 5)),
    (1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 5.5, 6, 6.5, 7, 7.5, 8, 9),
    (1, 1.5, 2, 3, 4, 5, 6, 8),
    (1, 1.5, 2, 3, 5, 7),
    (1, 2, 5),
    (1, 3),
    (1,),
)


def loss_ticks(bottom: float, top: float, most: int = 8) -> np.ndarray:
    """Return at most ``most`` plain numbers to label a logarithmic axis with."""
    decades = 10.0 ** np.arange(math.floor(math.log10(bottom)), math.ceil(math.log10(top)) + 1)
    for digits in _TICK_DIGITS:
        ticks = np.outer(decades, digits).ravel()
        ticks = ticks[(ticks >= bottom * 0.999) & (ticks <= top * 1.001)]
        if len(ticks) <= most:
            break
    return ticks[:: max(1, math.ceil(len(ticks) / most))]


def short_number(value: float) -> str:
    """Write a tick: plainly down to a thousandth, below that as a power of ten."""
    if value == 0 or abs(value) >= 0.001:
        return f"{value:.4g}"
    digits, power = f"{value:.1e}".split("e")
    return f"{float(digits):g}e{int(power)}"
