"""How the kit's pictures look: one style per schedule, plain axes, round numbers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import (
    FixedLocator,
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    NullFormatter,
    NullLocator,
)


class Style(NamedTuple):
    """How a curve is drawn, wherever it appears in the kit."""

    color: str
    linestyle: str | tuple[int, tuple[float, ...]]


# Okabe and Ito's palette, told apart by colour-blind readers: a colour for each family.
_GREY, _VERMILION, _GREEN, _BLUE = "#7f7f7f", "#d55e00", "#009e73", "#0072b2"
_ORANGE, _SKY, _BLACK, _PURPLE = "#e69f00", "#56b4e9", "#000000", "#b5548a"

# Within a family line styles differ.
_SOLID, _LONG, _SHORT, _DOTS = "-", (0, (7, 1.5)), (0, (3.5, 1.2)), (0, (1.2, 1.2))
_DASH_DOT, _DASH_DOTS = (0, (7, 1.5, 1.5, 1.5)), (0, (7, 1.5, 1.5, 1.5, 1.5, 1.5))

STYLES: Mapping[str, Style] = {
    "Constant": Style(_GREY, _SOLID),
    "StepLR": Style(_VERMILION, _SOLID),
    "MultiStepLR": Style(_VERMILION, _LONG),
    "ConstantLR": Style(_VERMILION, _DOTS),
    "ExponentialLR": Style(_GREEN, _LONG),
    "PolynomialLR": Style(_GREEN, _SOLID),
    "REX": Style(_GREEN, _DOTS),
    "CosineAnnealingLR": Style(_BLUE, _DASH_DOT),
    "CosineAnnealingWarmRestarts": Style(_BLUE, _SOLID),
    "SWALR": Style(_BLUE, _DOTS),
    "LinearLR": Style(_ORANGE, _DOTS),
    "WarmupCosine": Style(_ORANGE, _SOLID),
    "WarmupLinear": Style(_ORANGE, _LONG),
    "InverseSqrt": Style(_ORANGE, _SHORT),
    "WSD": Style(_ORANGE, _DASH_DOT),
    "WSD-sqrt": Style(_ORANGE, _DASH_DOTS),
    "CyclicLR": Style(_SKY, _SOLID),
    "OneCycleLR": Style(_SKY, _DASH_DOT),
    "SlantedTriangular": Style(_SKY, _DOTS),
    "LambdaLR": Style(_BLACK, _SOLID),
    "MultiplicativeLR": Style(_BLACK, _LONG),
    "SequentialLR": Style(_BLACK, _DASH_DOT),
    "ChainedScheduler": Style(_BLACK, _SHORT),
    "ReduceLROnPlateau": Style(_PURPLE, _SHORT),
}
"""One colour and line style per schedule; the constant rate is grey."""

OTHER_STYLES: Sequence[Style] = (
    Style(_ORANGE, (0, (4, 1.5))),
    Style(_BLACK, _DOTS),
    Style(_SKY, (0, (9, 2))),
)
"""For curves that are no schedule's own: pinned runs, variants of one schedule."""


def styles_of(labels: Iterable[str]) -> dict[str, Style]:
    """Give each label the style of the schedule that it starts with, else a spare one.

    Of several labels of one schedule the first has its style, the others take spare ones.

    >>> styles = styles_of(["StepLR", "StepLR, gamma=0.5", "by hand"])
    >>> styles["StepLR"] == STYLES["StepLR"], len(set(styles.values()))
    (True, 3)
    """
    styles: dict[str, Style] = {}
    spare = itertools.cycle(OTHER_STYLES)
    for label in labels:
        style = STYLES.get(label.split(",")[0].split(" ")[0])
        styles[label] = next(spare) if style is None or style in styles.values() else style
    return styles


GRID = {"color": "#e4e4e4", "linewidth": 0.8}


def dress(ax: Axes, *, x: str, y: str, title: str = "") -> None:
    """Give axes their labels, a quiet grid and whole-number epochs."""
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    if title:
        ax.set_title(title, fontsize="medium", loc="left")
    ax.grid(**GRID)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 5, 10], integer=True))


def set_rate_scale(ax: Axes, *, log: bool) -> None:
    """Make the rate axis linear or logarithmic, with plain numbers for ticks."""
    if log:
        ax.set_yscale("log", nonpositive="mask")
        ax.yaxis.set_major_locator(LogLocator(numticks=6))
        ax.yaxis.set_minor_formatter(NullFormatter())
    else:
        ax.set_yscale("linear")
        ax.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: short_number(value)))


def set_loss_scale(ax: Axes, bottom: float, top: float, *, most: int = 8) -> None:
    """Make the loss axis logarithmic between two limits, with few and plain ticks.

    Training loss under label noise is several times the validation loss; on a logarithmic axis
    the same ratio takes the same height in both.
    """
    ax.set_yscale("log")
    ax.set_ylim(bottom, top)
    ticks = loss_ticks(bottom, top, most)
    ax.yaxis.set_major_locator(FixedLocator(ticks))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: short_number(value)))


_TICK_DIGITS = (
    tuple(n / 20 for n in range(20, 200)),
    tuple(n / 10 for n in range(10, 100)),
    tuple(n / 5 for n in range(5, 50)),
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
    return ticks


def short_number(value: float) -> str:
    """Write a tick: plainly down to a thousandth, below that as a power of ten.

    >>> short_number(0.25), short_number(0.001), short_number(0.0001)
    ('0.25', '0.001', '1e-4')
    """
    if value == 0 or abs(value) >= 0.001:
        return f"{value:.4g}"
    digits, power = f"{value:.1e}".split("e")
    return f"{float(digits):g}e{int(power)}"


_TINY = 1e-12  # a loss of zero has no place on a logarithmic axis


_NICE = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10)


def nice_ceiling(value: float) -> float:
    """Return the next round number at or above ``value``, so that axes change seldom.

    >>> nice_ceiling(0.103), nice_ceiling(1.01), nice_ceiling(2.4)
    (0.12, 1.2, 2.5)
    """
    value = max(value, _TINY)
    power = 10.0 ** math.floor(math.log10(value))
    step = min(step for step in _NICE if value <= step * power * (1 + 1e-9))
    return float(f"{step * power:.12g}")


def nice_floor(value: float) -> float:
    """Return the next round number at or below ``value``.

    >>> nice_floor(0.37), nice_floor(1.0)
    (0.3, 1.0)
    """
    value = max(value, _TINY)
    power = 10.0 ** math.floor(math.log10(value))
    step = max(step for step in _NICE if value >= step * power * (1 - 1e-9))
    return float(f"{step * power:.12g}")
