"""What happens step by step: rates, training runs, expectations on the noisy quadratic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes

from ..training.history import History
from ..words import say
from .curves import Curve, CurveArtists, GroupNames, remove_hidden, stairs
from .figure import drawn_by_kit, new_axes
from .limits import nice_ceiling, nice_floor
from .style import Style, dress, set_linear_scale, set_loss_scale, set_rate_scale, styles_of

if TYPE_CHECKING:
    from ..experiments.quadratic import Expected

_UNITS = ("epoch", "batch", "update")
_LOWEST, _HIGHEST = 1e-6, 1e3  # of the loss at the start: beyond, an expected loss is left out


@drawn_by_kit
def plot_rates(
    rates: Mapping[str, np.ndarray],
    ax: Axes | None = None,
    *,
    points: Mapping[str, np.ndarray] | None = None,
    log: bool = False,
    unit: str = "epoch",
    styles: Mapping[str, Style] | None = None,
) -> Axes:
    """Draw rates as staircases: a rate holds from one scheduler step to the next.

    Args:
        rates: label -> array of shape ``(steps,)``. A label that starts with a schedule's name
            gets that schedule's colour.
        ax: where to draw; None makes a new figure.
        points: label -> array, drawn as open circles at the middle of each step (to compare
            numbers worked out by hand with the curve).
        log: whether the rate axis is logarithmic.
        unit: what one scheduler step is: "epoch", "batch" or "update", or a word of one's own.
        styles: label -> its colour and line style, where it is not the kit's.

    Returns:
        The Axes; ``.figure`` is shown by a notebook as it is.

    >>> ax = plot_rates({"StepLR": np.array([1.0, 1.0, 0.1])})
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('epoch', 'learning rate')
    """
    ax = ax or new_axes()[0]
    for label, style in styles_of(rates, styles).items():
        ax.plot(*stairs(np.asarray(rates[label])), **style._asdict(), lw=2, label=label)
    for label, values in (points or {}).items():
        values = np.asarray(values)
        middles = np.arange(len(values)) + 0.5
        ax.plot(middles, values, "o", mfc="white", mec="black", ms=5, label=label)
    dress(ax, x=say(unit) if unit in _UNITS else unit, y=say("rate"))
    set_rate_scale(ax, log=log)
    if not log:
        ax.set_ylim(bottom=0)
    ax.set_xlim(0, max(map(len, [*rates.values(), *(points or {}).values()]), default=1))
    ax.legend(frameon=False)
    return ax


@drawn_by_kit
def plot_histories(
    histories: Mapping[str, History | Sequence[History]],
    axes: Sequence[Axes] | None = None,
    *,
    log: bool = False,
    loss_label: str | None = None,
    metric: str = "loss",
    styles: Mapping[str, Style] | None = None,
) -> Sequence[Axes]:
    """Draw what training runs did: applied rates left, losses right, bands where there are seeds.

    Args:
        histories: label -> one `History`, or several of one setting (its seeds): then curves are
            means, and bands one standard error to each side. The rates of further parameter groups
            are thinner.
        axes: two Axes to draw on; None makes a new figure.
        log: whether the rate axis is logarithmic.
        loss_label: what the loss axis is called, if not just "loss".
        metric: what is drawn right: "loss", or the name of a metric that the task reports.
        styles: label -> its colour and line style, where it is not the kit's.

    Returns:
        The two Axes: rate, loss.

    Raises:
        ValueError: for an unknown metric.
    """
    rate_ax, loss_ax = axes if axes is not None else new_axes(2, size=(9.6, 4.0))
    curves = []
    for label, style in styles_of(histories, styles).items():
        runs = histories[label]
        curves.append(Curve(label, style, None, [runs] if isinstance(runs, History) else runs))
    drawn = [CurveArtists(rate_ax, loss_ax, live=False) for _ in curves]
    longest = max((run.epochs for curve in curves for run in curve.runs), default=1)
    for artists, curve in zip(drawn, curves, strict=True):
        artists.show(curve, longest, metric)
        remove_hidden(artists.artists)
    if metric == "loss":
        title, name = say("loss_parts"), say("loss") if loss_label is None else loss_label
    else:
        title, name = say("metric_title", metric=metric), metric
    dress(rate_ax, x=say("epoch"), y=say("rate"), title=say("rate_applied"))
    dress(loss_ax, x=say("epoch"), y=name, title=title)
    set_rate_scale(rate_ax, log=log)
    if metric != "loss":
        set_linear_scale(loss_ax)
    for ax in (rate_ax, loss_ax):
        ax.relim()
        for band in ax.collections:  # which relim leaves out
            ax.update_datalim(band.get_datalim(ax.transData).get_points())
        ax.autoscale_view()
        ax.set_xlim(0, longest)
    if not log:
        rate_ax.set_ylim(bottom=0)
    losses = np.concatenate([[], *(artists.losses for artists in drawn)])
    losses = losses[np.isfinite(losses)]
    if metric == "loss" and len(losses):
        set_loss_scale(loss_ax, nice_floor(0.95 * losses.min()), nice_ceiling(1.05 * losses.max()))
    names = GroupNames(rate_ax, most=sum(len(curve.applied) for curve in curves))
    names.show(curves, longest)
    remove_hidden(names.artists)
    if axes is None:
        handles, labels = rate_ax.get_legend_handles_labels()
        rate_ax.figure.legend(
            handles, labels, loc="outside upper left", ncols=3, frameon=False, handlelength=3
        )
    else:
        rate_ax.legend(frameon=False)
    return rate_ax, loss_ax


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
        seen = (values > _LOWEST * first) & (values < _HIGHEST * first)
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
    lowest = min(values[values > _LOWEST * first].min(initial=first) for values in low)
    set_loss_scale(ax, nice_floor(lowest * 0.8), nice_ceiling(first * 1.1))
    ax.set_xlim(0, max(len(walk.loss) for walk in expected.values()) - 1)
    ax.legend(frameon=False)
    return ax
