"""The live picture of composed phases: where each ends, and where the rate jumps."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes

from ..plotting.ticks import short_number
from ..words import say
from .panels import LabPicture

MAX_PHASES = 5
_JUMP = "#d55e00"  # vermilion: no other line of this picture has it
_MARGIN = 0.15  # of the axis: so near to its ends, a jump's words stand to one side


class ComposerPicture(LabPicture):
    """Rates with the phases' borders and jumps left, losses right."""

    def _marks(self, rate_ax: Axes) -> list[Artist]:
        high = rate_ax.get_xaxis_transform()
        self._borders = [
            rate_ax.axvline(0, color="#9a9a9a", lw=0.9, ls=(0, (2, 2))) for _ in range(MAX_PHASES)
        ]
        words = {"transform": high, "ha": "center", "va": "top", "fontsize": 9, "color": "#555555"}
        self._numbers = [
            rate_ax.text(0, 0.985, str(number + 1), **words) for number in range(MAX_PHASES)
        ]
        self._leaps = [
            rate_ax.plot([], [], color=_JUMP, lw=2.4, marker="o", ms=4)[0]
            for _ in range(MAX_PHASES)
        ]
        words = {"color": _JUMP, "fontsize": 9, "va": "bottom"}
        above = {"xytext": (0, 5), "textcoords": "offset points"}
        self._sizes = [rate_ax.annotate("", (0, 0), **above, **words) for _ in range(MAX_PHASES)]
        return [*self._borders, *self._numbers, *self._leaps, *self._sizes]

    def mark(
        self, lengths: Sequence[int], epochs: int, jumps: Sequence[tuple[float, float, float]]
    ) -> None:
        """Place the borders of the phases, and the jumps, for the next frame.

        Args:
            lengths: of the phases, in epochs.
            epochs: of the run.
            jumps: epoch, rate before, rate after.
        """
        for artist in (*self._borders, *self._numbers, *self._leaps, *self._sizes):
            artist.set_visible(False)
        end = 0
        for border, number, length in zip(self._borders, self._numbers, lengths, strict=False):
            number.set_x(end + length / 2)
            end += length
            border.set_xdata([end, end])
            number.set_visible(True)
            border.set_visible(end < epochs)
        for leap, size, (epoch, before, after) in zip(
            self._leaps, self._sizes, jumps, strict=False
        ):
            leap.set_data([epoch, epoch], [before, after])
            place = epoch / epochs
            size.set_text(say("jump", size=_signed(after - before)))
            size.xy = epoch, max(before, after)
            size.set_ha("left" if place < _MARGIN else "right" if place > 1 - _MARGIN else "center")
            leap.set_visible(True)
            size.set_visible(True)


def _signed(change: float) -> str:
    size = short_number(float(f"{abs(change):.2g}"))
    return f"+{size}" if change > 0 else f"\N{MINUS SIGN}{size}"
