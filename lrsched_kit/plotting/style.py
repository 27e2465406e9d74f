"""How the kit's pictures look: one style per schedule, plain axes, whatever the rcParams."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FixedLocator, Locator, NullFormatter, NullLocator

from ..schedules.catalogue import SCHEDULES
from ..schedules.spec import BLACK, DOTS, ORANGE, SKY, SOLID, Dashes, Schedule
from .limits import Decades, RoundTicks, loss_ticks, plain_numbers

# A family's own name: "sans-serif" would be looked up in rcParams whenever text is drawn.
_LOOK: Any = ["default", {"font.family": ["DejaVu Sans"]}]
_looking = threading.RLock()  # two threads at once would leave one's rcParams to the other


@contextmanager
def kit_look() -> Iterator[None]:
    """Draw as matplotlib does by default, whatever the reader's rcParams; they are put back.

    rcParams belong to the whole process, so this is for the thread that runs the reader's cells. A
    lab's worker draws without it: all that asks rcParams is made beforehand.
    """
    with _looking, matplotlib.style.context(_LOOK):
        yield


class Style(NamedTuple):
    """How a curve is drawn, wherever it appears in the kit."""

    color: str
    linestyle: Dashes


# Of each schedule of the kit: no two have the same.
STYLES = {row.name: Style(*row.style) for row in SCHEDULES.values() if row.style}

# For curves that are no schedule's own: pinned runs, variants of one schedule.
OTHER_STYLES = (
    Style(ORANGE, (0, (4, 1.5))),
    Style(BLACK, DOTS),
    Style(SKY, (0, (9, 2))),
)
OWN_STYLE = Style("#5c3317", SOLID)  # for rows of your own that bring no style


def style_of(row: str | Schedule) -> Style:
    """Return a row's own style, else the kit's for its name, else the one kept for own rows."""
    if isinstance(row, str):
        return STYLES.get(row, OWN_STYLE)
    # A copy of one of the kit's rows under another name leaves the kit's style to the original.
    if row.style is None or (row.name not in STYLES and row.style in STYLES.values()):
        return style_of(row.name)
    return Style(*row.style)


def styles_of(labels: Iterable[str], given: Mapping[str, Style] | None = None) -> dict[str, Style]:
    """Give each label the style given for it, or that of the schedule that it starts with.

    Of several labels of one schedule the first has its style; all others take spare ones.
    """
    given = {label: Style(*style) for label, style in (given or {}).items()}
    known = {**STYLES, **given}
    styles: dict[str, Style] = {}
    spare = itertools.cycle(OTHER_STYLES)
    for label in labels:
        starts = label, label.split(",")[0], label.split(",")[0].split(" ")[0]
        style = next((known[start] for start in starts if start in known), None)
        taken = style in styles.values() and label not in given
        styles[label] = next(spare) if style is None or taken else style
    return styles


MOST_BETWEEN = 64  # ticks between powers of ten, at most


def dress(ax: Axes, *, x: str, y: str, title: str = "") -> None:
    """Give axes their labels, a quiet grid and whole-number epochs."""
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    if title:
        ax.set_title(title, fontsize="medium", loc="left")
    ax.grid(color="#e4e4e4", linewidth=0.8)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    set_ticks(ax.xaxis, RoundTicks(8, integer=True))
    set_ticks(ax.yaxis, RoundTicks(6))


def set_ticks(axis: Axis, major: Locator, between: Locator | None = None) -> None:
    """Put ticks with plain numbers on an axis, and others without numbers between them."""
    axis.set_major_locator(major)
    axis.set_major_formatter(plain_numbers())
    axis.set_minor_locator(between or NullLocator())
    axis.set_minor_formatter(NullFormatter())


def set_rate_scale(ax: Axes, *, log: bool) -> None:
    """Make the rate axis linear or logarithmic, with plain numbers for ticks."""
    if log:
        ax.set_yscale("log", nonpositive="mask")
        set_ticks(ax.yaxis, Decades(6), Decades(6, between=True))
    else:
        set_linear_scale(ax)


def set_linear_scale(ax: Axes, bottom: float | None = None, top: float | None = None) -> None:
    """Make the upright axis linear, between two limits if there are any, with few ticks."""
    ax.set_yscale("linear")
    if bottom is not None or top is not None:
        ax.set_ylim(bottom, top)
    set_ticks(ax.yaxis, RoundTicks(6))


def set_loss_scale(ax: Axes, bottom: float, top: float, *, most: int = 8) -> None:
    """Make the loss axis logarithmic between two limits, with few and plain ticks."""
    # Training loss under label noise is several times the validation loss; on a logarithmic axis
    # the same ratio takes the same height in both.
    ax.set_yscale("log")
    ax.set_ylim(bottom, top)
    set_ticks(ax.yaxis, FixedLocator(loss_ticks(bottom, top, most).tolist()))
