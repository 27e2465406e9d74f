"""What an exhibit looks like: the rate that was meant, pale, under the rate that was applied."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes

from ..plotting.curves import stairs
from ..plotting.figures import drawn_by_kit, new_axes
from ..plotting.style import MOST_BETWEEN, dress, set_rate_scale
from ..plotting.ticks import nice_ceiling
from ..words import say, wording
from .exhibit import Exhibit, Showing

MEANT, WRONG, RIGHT = "#9fc3e3", "#c1440e", "#00694b"
DASHES = ("-", (0, (3, 1.2)))  # of a first and a second curve
NOTHING = np.empty(0)  # a curve that an exhibit has not
LOG_DECADES = 12  # a logarithmic axis shows at most so many


class ExhibitAxes:
    """Axes with the artists of an exhibit, which live as long as the axes do.

    Attributes:
        artists: what moves between two runs; all else is background.
    """

    def __init__(self, ax: Axes) -> None:
        self._ax = ax
        self._meant = [ax.plot([], [], color=MEANT, ls=dash, lw=6)[0] for dash in DASHES]
        self._applied = [ax.plot([], [], color=WRONG, ls=dash, lw=2)[0] for dash in DASHES]
        (self._end,) = ax.plot([], [], "x", color=WRONG, ms=10, mew=3, clip_on=False)
        self.artists = (*self._meant, *self._applied, self._end)
        self._legend = ax.legend(
            [self._meant[0], self._applied[0]],
            [say("meant"), say("applied_False")],
            loc="lower left",
            bbox_to_anchor=(-0.01, 0.98),
            ncols=2,
            frameon=False,
        )
        dress(ax, x="", y="")
        ax.yaxis.get_minor_ticks(MOST_BETWEEN)
        self._frame: tuple[object, ...] = ()

    def show(self, exhibit: Exhibit, showing: Showing, *, mended: bool) -> bool:
        """Draw a run; say whether limits, labels or legend had to change."""
        color = RIGHT if mended else WRONG
        for lines, values in ((self._meant, showing.meant), (self._applied, showing.applied)):
            for column, line in enumerate(lines):
                line.set_data(*stairs(values[:, column] if column < values.shape[1] else NOTHING))
        for line in self._applied:
            line.set_color(color)
        end = showing.applied[-1:, 0] if showing.error is not None else NOTHING
        self._end.set_data([len(showing.applied)] * len(end), end)
        limits = _limits(np.concatenate([showing.meant, showing.applied]), log=exhibit.log)
        frame = (exhibit.name, mended, len(showing.meant), limits)
        if frame == self._frame:
            return False
        self._frame = frame
        self._ax.xaxis.label.set_text(say(exhibit.unit))  # ax.set_xlabel would ask rcParams
        self._ax.yaxis.label.set_text("\n".join(map(wording, exhibit.curves)))
        set_rate_scale(self._ax, log=exhibit.log)
        self._ax.set_ylim(*limits)
        self._ax.set_xlim(0, len(showing.meant))
        self._legend.get_texts()[1].set_text(say(f"applied_{mended}"))
        self._legend.get_lines()[1].set_color(color)
        return True


@drawn_by_kit
def plot_exhibit(
    exhibit: Exhibit, ax: Axes | None = None, *, mended: bool = False, **knobs: object
) -> Axes:
    """Run an exhibit and draw what it applied over what was meant.

    Args:
        exhibit: from `EXHIBITS`.
        ax: where to draw; None makes a small figure.
        mended: whether the right code runs instead of the wrong.
        **knobs: the exhibit's own; those left out take their defaults.

    Returns:
        The Axes; ``.figure`` is shown by a notebook as it is.

    >>> from lrsched_kit import EXHIBITS
    >>> plot_exhibit(EXHIBITS["wrong_unit"]).get_xlabel()
    'batch'
    """
    ax = ax or new_axes(size=(4.8, 2.0))[0]
    ExhibitAxes(ax).show(exhibit, exhibit.run(mended=mended, **knobs), mended=mended)
    return ax


def _limits(values: np.ndarray, *, log: bool) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    if not log:
        return (-nice_ceiling(-1.04 * low) if low < 0 else 0.0), nice_ceiling(1.04 * high)
    top = math.ceil(math.log10(high) - 1e-9)
    bottom = math.floor(math.log10(values[values > 0].min()) + 1e-9)
    return 10.0 ** min(max(bottom, top - LOG_DECADES), top - 1) * 0.6, 10.0**top * 1.7
