"""Pictures of the noisy quadratic: exact expectations in, Axes out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes

from ..words import say
from .figure import drawn_by_kit, new_axes
from .limits import nice_ceiling, nice_floor
from .style import dress, set_loss_scale, styles_of

if TYPE_CHECKING:
    from ..experiments.quadratic import Expected

LOWEST, HIGHEST = 1e-6, 1e3  # of the loss at the start: beyond, a curve has left the picture


@drawn_by_kit
def plot_expected(
    expected: Mapping[str, Expected],
    ax: Axes | None = None,
    *,
    floors: Mapping[str, float] | None = None,
    parts: bool = False,
) -> Axes:
    """Draw expected losses against the step, on a logarithmic axis.

    Args:
        expected: label -> what `NoisyQuadratic.expect` returned for one schedule. A label that
            starts with a schedule's name gets that schedule's colour.
        ax: where to draw; None makes a new figure.
        floors: label -> a loss, drawn as a dotted line across in the colour of that label.
        parts: whether bias (thin, dashed) and noise (thin, dotted) are drawn as well.

    Returns:
        The Axes; ``.figure`` is shown by a notebook as it is.

    >>> from lrsched_kit import NoisyQuadratic
    >>> settling = NoisyQuadratic(start=10).expect(np.full(30, 0.4))
    >>> ax = plot_expected({"0.4": settling}, floors={"0.4": 0.125})
    >>> ax.get_xlabel(), ax.get_ylabel(), len(ax.lines)
    ('step', 'expected loss', 2)
    """
    ax = ax or new_axes(size=(5.6, 3.0))[0]
    first = max(walk.loss[0] for walk in expected.values())

    def draw(values: np.ndarray, **look: Any) -> None:
        seen = (values > LOWEST * first) & (values < HIGHEST * first)
        ax.plot(np.where(seen, values, np.nan), **look)

    for label, style in styles_of(expected).items():
        walk = expected[label]
        if parts:
            draw(walk.bias, color=style.color, lw=1.2, ls=(0, (4, 2)))
            draw(walk.noise, color=style.color, lw=1.2, ls=":")
        draw(walk.loss, **style._asdict(), lw=2.2, label=label)
        if floors and label in floors:
            ax.axhline(floors[label], color=style.color, lw=1.2, ls=":")
    title = say("parts_title") if parts else ""
    dress(ax, x=say("step"), y=say("expected_loss"), title=title)
    low = [walk.loss for walk in expected.values()]
    low += [walk.noise[-1:] for walk in expected.values() if parts]  # the dotted lines' ends
    lowest = min(values[values > LOWEST * first].min(initial=first) for values in low)
    set_loss_scale(ax, nice_floor(lowest * 0.8), nice_ceiling(first * 1.1))
    ax.set_xlim(0, max(len(walk.loss) for walk in expected.values()) - 1)
    ax.legend(frameon=False)
    return ax
