"""The picture of a range test: loss against rate, where it was cut, and the three picks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes

from ..words import say
from .figure import drawn_by_kit, new_axes
from .limits import Decades, short_number
from .style import MOST_BETWEEN, OTHER_STYLES, dress, set_ticks

if TYPE_CHECKING:
    from ..experiments.range_test import RangeTest

_MARKERS = {"steepest": "^", "tenth": "s", "valley": "D"}

# Of each pick, and of what is trained at it.
PICK_STYLES = dict(zip(_MARKERS, OTHER_STYLES, strict=True))

_ROWS = (0.95, 0.87, 0.79)  # heights of the three labels, as shares of the axes
_ROOM = 0.72  # the curves stay below the labels


@drawn_by_kit
def plot_range_test(
    test: RangeTest, ax: Axes | None = None, *, loss_label: str | None = None
) -> Axes:
    """Draw a range test: each batch's loss pale, the smoothed loss strong, the picks marked.

    Args:
        test: from `lr_range_test`.
        ax: where to draw; None makes a new figure.
        loss_label: what the loss axis is called, if not just "loss".

    Returns:
        The Axes; ``.figure`` is shown by a notebook as it is.

    >>> from lrsched_kit import RangeTest
    >>> rates, loss = np.geomspace(0.01, 1, 30), np.linspace(2.0, 1.0, 30)
    >>> ax = plot_range_test(RangeTest(rates, loss, loss))
    >>> ax.get_xlabel(), ax.get_xscale()
    ('learning rate', 'log')
    """
    ax = ax or new_axes(size=(7.2, 3.9))[0]
    RangeArtists(ax, say("loss") if loss_label is None else loss_label).show(test)
    return ax


class RangeArtists:
    """One set of artists that shows one range test after the other."""

    def __init__(self, ax: Axes, loss_label: str) -> None:
        self._ax = ax
        dress(ax, x=say("rate"), y=loss_label, title=say("range_title"))
        ax.set_xscale("log")
        set_ticks(ax.xaxis, Decades(9), Decades(9, between=True))
        ax.xaxis.get_minor_ticks(MOST_BETWEEN)
        across = ax.get_xaxis_transform()  # x in rates, y as a share of the axes
        self._cut = ax.axvspan(1.0, 2.0, color="#eeeeee", lw=0)
        self._cut_label = ax.text(
            1.0, 0.03, say("range_cut"), transform=across, fontsize=8.5, color="#5f5f5f"
        )
        (self._raw,) = ax.plot([], [], color="#c9c9c9", lw=0.9)
        (self._smoothed,) = ax.plot([], [], color="#7a7a7a", lw=2.6)
        (self._lowest,) = ax.plot([], [], "o", mfc="white", mec="#5a5a5a", ms=6)
        self._picks = {name: _Pick(ax, name) for name in PICK_STYLES}
        self.artists: list[Artist] = [self._cut, self._raw, self._smoothed, self._lowest]
        self.artists += [artist for pick in self._picks.values() for artist in pick.artists]
        self.artists.append(self._cut_label)

    def show(self, test: RangeTest) -> bool:
        """Show a test; True if the limits of the axes had to move."""
        self._raw.set_data(test.rates, test.loss)
        kept = slice(0, test.cut_at)  # the last value may be beyond all limits
        self._smoothed.set_data(test.rates[kept], test.smoothed[kept])
        self._lowest.set_data([test.minimum], [_at(test, test.minimum)])
        before = (self._ax.get_xlim(), self._ax.get_ylim())
        self._fit(test)
        self._show_cut(test)
        self._show_picks(test)
        return before != (self._ax.get_xlim(), self._ax.get_ylim())

    def _fit(self, test: RangeTest) -> None:
        places = np.array([*test.rates, *test.picks.values()])
        heights = test.smoothed[: test.cut_at]
        places, heights = (values[np.isfinite(values)] for values in (places, heights))
        if len(places):
            self._ax.set_xlim(places.min() / 1.2, places.max() * 1.2)
        if len(heights):
            bottom = 0.85 * heights.min()
            top = max(1.1 * heights.max(), bottom + 1e-9)
            self._ax.set_ylim(bottom, bottom + (top - bottom) / _ROOM)

    def _show_cut(self, test: RangeTest) -> None:
        for artist in (self._cut, self._cut_label):
            artist.set_visible(test.cut_at is not None)
        if test.cut_at is not None:
            start, end = test.rates[test.cut_at], self._ax.get_xlim()[1]
            self._cut.set(x=start, width=end - start)
            self._cut_label.set(x=start / 1.1, ha="right")

    def _show_picks(self, test: RangeTest) -> None:
        """Hang each label on the roomier side of its line, in rows so that none meets another."""
        left, right = self._ax.get_xlim()
        for artist in (artist for pick in self._picks.values() for artist in pick.artists):
            artist.set_visible(False)
        found = {name: rate for name, rate in test.picks.items() if math.isfinite(rate)}
        # Lines end at their labels: with the highest rate on top, none runs through those below.
        order = sorted(found, key=found.__getitem__, reverse=True)
        for row, name in zip(_ROWS, order, strict=False):
            rate = found[name]
            to_the_left = math.log(rate / left) > 0.45 * math.log(right / left)
            self._picks[name].show(rate, _at(test, rate), row, to_the_left)


class _Pick:
    """The artists of one pick: a line up to its label, and a marker on the smoothed loss."""

    def __init__(self, ax: Axes, name: str) -> None:
        style, across = PICK_STYLES[name], ax.get_xaxis_transform()
        self._name = say(f"pick_{name}")
        (self._line,) = ax.plot([], [], **style._asdict(), lw=1.8, transform=across)
        (self._marker,) = ax.plot([], [], _MARKERS[name], color=style.color, ms=7, mec="white")
        look: dict[str, Any] = {"color": "#222222", "fontsize": 9.5, "va": "center"}
        look["bbox"] = {"color": "white", "alpha": 0.85, "pad": 1.0}
        look |= {"xycoords": across, "textcoords": "offset points"}
        self._label = ax.annotate("", (1, 0.9), (0, 0), **look)
        self.artists = (self._line, self._marker, self._label)

    def show(self, rate: float, loss: float, row: float, to_the_left: bool) -> None:
        for artist in self.artists:
            artist.set_visible(True)
        self._line.set_data([rate, rate], [0, row + 0.03])
        self._marker.set_data([rate], [loss])
        self._label.xy = (rate, row)
        text = say("pick_label", pick=self._name, rate=short_number(float(f"{rate:.2g}")))
        aside = -6 if to_the_left else 6  # points from the line
        self._label.set(text=text, position=(aside, 0), ha="right" if to_the_left else "left")


def _at(test: RangeTest, rate: float) -> float:
    """Return the smoothed loss at a rate; NaN outside those tried."""
    if not test.made:
        return math.nan
    x, y = np.log(test.rates[: test.made]), test.smoothed[: test.made]
    return float(np.interp(math.log(rate), x, y, left=math.nan, right=math.nan))
