"""Round numbers for axes, and ticks that ask no rcParams when they are drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.ticker import FuncFormatter, Locator, LogLocator


class RoundTicks(Locator):
    """At most so many intervals between round numbers.

    matplotlib's own locators ask rcParams whenever they are drawn; those of the kit do not.

    >>> RoundTicks(6).tick_values(0, 0.12).round(9).tolist()
    [0.0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.12]
    """

    def __init__(self, most: int, *, integer: bool = False) -> None:
        self._most, self._least = most, 1.0 if integer else 0.0

    def __call__(self) -> np.ndarray:  # type: ignore[override]  # as matplotlib's own do
        """Return the ticks between the axis's limits."""
        assert self.axis is not None
        return self.tick_values(*self.axis.get_view_interval())

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

    >>> Decades(6).tick_values(0.002, 3).tolist(), Decades(4).tick_values(1, 5).tolist()
    ([0.01, 0.1, 1.0], [1.0, 2.0, 5.0])
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
    [n / 20 for n in range(20, 200)],
    [n / 10 for n in range(10, 100)],
    [n / 5 for n in range(5, 50)],
    (1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 5.5, 6, 6.5, 7, 7.5, 8, 9),
    (1, 1.5, 2, 3, 4, 5, 6, 8),
    (1, 1.5, 2, 3, 5, 7),
    (1, 2, 5),
    (1, 3),
    (1,),
)


def loss_ticks(bottom: float, top: float, most: int = 8) -> np.ndarray:
    """Return at most ``most`` plain numbers to label a logarithmic axis with.

    >>> loss_ticks(0.3, 2.5).round(3).tolist()
    [0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.5, 2.0]
    >>> loss_ticks(0.201, 0.241).round(3).tolist()
    [0.205, 0.21, 0.215, 0.22, 0.225, 0.23, 0.235, 0.24]
    """
    decades = 10.0 ** np.arange(math.floor(math.log10(bottom)), math.ceil(math.log10(top)) + 1)
    for digits in _TICK_DIGITS:
        ticks = np.outer(decades, digits).ravel()
        ticks = ticks[(ticks >= bottom * 0.999) & (ticks <= top * 1.001)]
        if len(ticks) <= most:
            break
    return ticks[:: max(1, math.ceil(len(ticks) / most))]


def short_number(value: float) -> str:
    """Write a tick: plainly down to a thousandth, below that as a power of ten.

    >>> short_number(0.25), short_number(0.001), short_number(0.0001)
    ('0.25', '0.001', '1e-4')
    """
    if value == 0 or abs(value) >= 0.001:
        return f"{value:.4g}"
    digits, power = f"{value:.1e}".split("e")
    return f"{float(digits):g}e{int(power)}"
