"""Pictures: data in, Axes out. Nothing here trains, shows windows or keeps global state."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from inspect import signature
from typing import Any, ParamSpec, TypeVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from ..training.history import History
from ..training.stats import mean_and_error
from ..words import say
from .curves import (
    blank_name,
    distinct_rates,
    name_group,
    places_for_names,
    stairs,
    with_divergence,
)
from .style import (
    Style,
    dress,
    finals_label,
    kit_look,
    set_linear_scale,
    set_loss_scale,
    set_rate_scale,
    styles_of,
)
from .ticks import nice_ceiling, nice_floor

Arguments = ParamSpec("Arguments")
Drawn = TypeVar("Drawn")


class KitFigure(Figure):
    """A figure that a notebook shows by itself, without pyplot's global state.

    It looks the same whatever the reader's rcParams were when it was made, is shown or is saved.
    """

    def draw(self, renderer: RendererBase) -> None:
        """Draw in the kit's look."""
        with kit_look():
            super().draw(renderer)

    def savefig(self, fname: Any, **options: Any) -> None:
        """Save in the kit's look; the options are matplotlib's."""
        with kit_look():
            super().savefig(fname, **options)

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        """Draw with twice the pixels that it takes up, for projectors and fine screens."""
        width = round(self.get_figwidth() * self.dpi)
        dpi = self.dpi
        self.dpi = 2 * dpi
        canvas = FigureCanvasAgg(self)
        canvas.draw()
        png = palette_png(canvas)
        self.dpi = dpi
        return png, {"width": width}


def pixels_of(canvas: FigureCanvasAgg) -> Image.Image:
    """Return what was drawn, without transparency."""
    pixels = canvas.buffer_rgba()
    height, width, _ = pixels.shape
    frame = Image.frombuffer("RGBA", (width, height), pixels, "raw", "RGBA", 0, 1)
    return frame.convert("RGB")


def palette_png(canvas: FigureCanvasAgg) -> bytes:
    """Encode what was drawn with few colours, which takes a third of the bytes of all colours.

    Lines and text on white need no more than 128, their smoothed edges included.
    """
    palette = pixels_of(canvas).quantize(
        128, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE
    )
    buffer = io.BytesIO()
    palette.save(buffer, "png", compress_level=9)
    return buffer.getvalue()


def drawn_by_kit(plot: Callable[Arguments, Drawn]) -> Callable[Arguments, Drawn]:
    """Let a plot function draw in the kit's look, except on axes of a reader's own figure.

    Those keep all that the reader chose; the curves on them have the kit's colours.
    """
    names = signature(plot)

    @wraps(plot)
    def draw(*args: Arguments.args, **options: Arguments.kwargs) -> Drawn:
        given = names.bind(*args, **options).arguments
        axes = given.get("axes", given.get("ax"))
        first = axes if axes is None or isinstance(axes, Axes) else axes[0]
        if first is not None and not isinstance(first.get_figure(root=True), KitFigure):
            return plot(*args, **options)
        with kit_look():
            return plot(*args, **options)

    return draw


@kit_look()
def new_axes(columns: int = 1, size: tuple[float, float] | None = None) -> list[Axes]:
    """Make a figure with so many axes side by side; ``size`` is in inches."""
    figure = KitFigure(
        figsize=size or ((6.4, 3.6) if columns == 1 else (4.8 * columns, 3.6)),
        dpi=100,
        layout="constrained",
    )
    return list(np.atleast_1d(figure.subplots(1, columns)))


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
        unit: what one scheduler step is: "epoch" or "batch".
        styles: label -> its colour and line style, where it is not the kit's.

    Returns:
        The Axes; ``.figure`` is shown by a notebook as it is.

    >>> ax = plot_rates({"StepLR": np.array([1.0, 1.0, 0.1])})
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('epoch', 'learning rate')
    """
    ax = ax or new_axes()[0]
    for label, style in styles_of(rates, styles or {}).items():
        ax.plot(*stairs(np.asarray(rates[label])), **style._asdict(), lw=2, label=label)
    for label, values in (points or {}).items():
        values = np.asarray(values)
        middles = np.arange(len(values)) + 0.5
        ax.plot(middles, values, "o", mfc="white", mec="black", ms=5, label=label)
    dress(ax, x=unit, y=say("rate"))
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
    loss_label: str = "loss",
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
        loss_label: what the loss axis is called.
        metric: what is drawn right: "loss", or the name of a metric that the task reports.
        styles: label -> its colour and line style, where it is not the kit's.

    Returns:
        The two Axes: rate, loss.

    Raises:
        ValueError: for an unknown metric.
    """
    rate_ax, loss_ax = axes if axes is not None else new_axes(2, size=(9.6, 4.0))
    longest = 1
    heights, lines = [np.asarray([])], []
    for label, style in styles_of(histories, styles or {}).items():
        runs = histories[label]
        runs = [runs] if isinstance(runs, History) else list(runs)
        label = with_divergence(label, runs)
        for i, (group, rates) in enumerate(distinct_rates(runs)):
            line = stairs(rates, per_epoch=len(rates) // runs[0].epochs)
            look = {"lw": 1} if i else {"lw": 2, "label": label}
            rate_ax.plot(*line, **style._asdict(), **look)
            lines.append((group, style.color, *line))
        longest = max(longest, runs[0].epochs)
        epochs = np.arange(1, runs[0].epochs + 1)
        mean, error = mean_and_error([run.of(metric) for run in runs])
        loss_ax.plot(epochs, mean, **style._asdict(), lw=2, label=label)
        heights.append(mean)
        if len(runs) > 1:
            loss_ax.fill_between(
                epochs, mean - error, mean + error, color=style.color, alpha=0.2, lw=0
            )
        if metric == "loss":
            train_mean, _ = mean_and_error([run.train_loss for run in runs])
            heights.append(train_mean)
            loss_ax.plot(epochs, train_mean, color=style.color, ls="-", lw=0.9, alpha=0.7)
    dress(rate_ax, x=say("epoch"), y=say("rate"), title=say("rate_applied"))
    title = say("loss_parts" if metric == "loss" else "metric_title", metric=metric)
    dress(loss_ax, x=say("epoch"), y=loss_label if metric == "loss" else metric, title=title)
    set_rate_scale(rate_ax, log=log)
    if not log:
        rate_ax.set_ylim(bottom=0)
    for ax in (rate_ax, loss_ax):
        ax.set_xlim(0, longest)
    known = np.concatenate(heights)
    known = known[np.isfinite(known)]
    if metric != "loss":
        set_linear_scale(loss_ax)
    elif len(known):
        set_loss_scale(loss_ax, nice_floor(0.95 * known.min()), nice_ceiling(1.05 * known.max()))
    for index, *end in places_for_names(rate_ax, [line[2:] for line in lines]):
        group, color, *_ = lines[index]
        if group > 0:
            name = blank_name(rate_ax)
            name.set_color(color)
            name_group(name, group, *end)
    if axes is None:
        handles, labels = rate_ax.get_legend_handles_labels()
        rate_ax.figure.legend(
            handles, labels, loc="outside upper left", ncols=3, frameon=False, handlelength=3
        )
    else:
        rate_ax.legend(frameon=False)
    return rate_ax, loss_ax


@drawn_by_kit
def plot_finals(
    losses: Mapping[str, np.ndarray],
    ax: Axes | None = None,
    *,
    higher: bool = False,
    label: str | None = None,
    styles: Mapping[str, Style] | None = None,
) -> Axes:
    """Draw final losses seed by seed: a dot for each run, its mean and standard error beside it.

    Args:
        losses: label -> array of shape ``(seeds,)``; the same seeds in the same order for all,
            joined by thin lines. NaN where a run diverged.
        ax: where to draw; None makes a new figure.
        higher: whether higher is better, as for an accuracy.
        label: what the numbers are, if not final validation losses.
        styles: label -> its colour and line style, where it is not the kit's.

    Returns:
        The Axes.

    >>> ax = plot_finals({"Constant": np.array([0.5, 0.6]), "StepLR": np.array([0.4, 0.4])})
    >>> [text.get_text() for text in ax.get_xticklabels()]
    ['Constant', 'StepLR']
    """
    ax = ax or new_axes(size=(max(5.5, 1.9 * len(losses)), 3.6))[0]
    values = np.array([np.asarray(rows, dtype=float) for rows in losses.values()])
    places = np.arange(len(losses))
    ax.plot(places, values, color="#c4c4c4", lw=0.8, zorder=1)
    looks = styles_of(losses, styles or {}).values()
    for index, (style, rows) in enumerate(zip(looks, values, strict=True)):
        color = style.color
        ax.plot(np.full(len(rows), index), rows, "o", color=color, ms=5, alpha=0.55, mew=0)
        mean, error = mean_and_error(rows)
        ax.errorbar(index + 0.14, mean, error, fmt="D", color=color, ms=6, capsize=4, lw=2)
    dress(ax, x="", y=finals_label(label, higher=higher), title=say("finals_title"))
    ax.xaxis.grid(False)
    ax.set_xticks(places, losses)
    ax.set_xlim(-0.5, len(losses) - 0.5)
    return ax
