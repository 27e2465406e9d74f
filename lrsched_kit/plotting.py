"""Pictures: data in, Axes out. Nothing here trains, shows windows or keeps global state."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from .stats import mean_and_error
from .style import dress, nice_ceiling, nice_floor, set_loss_scale, set_rate_scale, styles_of
from .training import History
from .words import WORDS


class KitFigure(Figure):
    """A figure that a notebook shows by itself, without pyplot's global state."""

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


def new_axes(columns: int = 1, size: tuple[float, float] | None = None) -> list[Axes]:
    """Make a figure with so many axes side by side; ``size`` is in inches."""
    figure = KitFigure(
        figsize=size or ((6.4, 3.6) if columns == 1 else (4.8 * columns, 3.6)),
        dpi=100,
        layout="constrained",
    )
    return list(np.atleast_1d(figure.subplots(1, columns)))


def stairs(rates: np.ndarray, per_epoch: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return the corners of a staircase: each rate holds from its step until the next one.

    >>> x, y = stairs(np.array([1.0, 0.5]))
    >>> x.tolist(), y.tolist()
    ([0.0, 1.0, 1.0, 2.0], [1.0, 1.0, 0.5, 0.5])
    """
    edges = np.arange(len(rates) + 1) / per_epoch
    return np.repeat(edges, 2)[1:-1], np.repeat(rates, 2)


def plot_rates(
    rates: Mapping[str, np.ndarray],
    ax: Axes | None = None,
    *,
    points: Mapping[str, np.ndarray] | None = None,
    log: bool = False,
    unit: str = "epoch",
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

    Returns:
        The Axes; ``.figure`` is shown by a notebook as it is.

    >>> ax = plot_rates({"StepLR": np.array([1.0, 1.0, 0.1])})
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('epoch', 'learning rate')
    """
    ax = ax or new_axes()[0]
    for label, style in styles_of(rates).items():
        ax.plot(*stairs(np.asarray(rates[label])), **style._asdict(), lw=2, label=label)
    for label, values in (points or {}).items():
        values = np.asarray(values)
        ax.plot(
            np.arange(len(values)) + 0.5, values, "o", mfc="white", mec="black", ms=5, label=label
        )
    dress(ax, x=unit, y="learning rate")
    set_rate_scale(ax, log=log)
    if not log:
        ax.set_ylim(bottom=0)
    ax.set_xlim(0, max(map(len, [*rates.values(), *(points or {}).values()]), default=1))
    ax.legend(frameon=False)
    return ax


def plot_histories(
    histories: Mapping[str, History | Sequence[History]],
    axes: Sequence[Axes] | None = None,
    *,
    log: bool = False,
    loss_label: str = "loss",
) -> Sequence[Axes]:
    """Draw what training runs did: applied rates left, losses right, bands where there are seeds.

    Args:
        histories: label -> one `History`, or several of one setting (its seeds): then curves are
            means, and bands one standard error to each side.
        axes: two Axes to draw on; None makes a new figure.
        log: whether the rate axis is logarithmic.
        loss_label: what the loss axis is called.

    Returns:
        The two Axes: rate, loss.
    """
    rate_ax, loss_ax = axes if axes is not None else new_axes(2, size=(9.6, 4.0))
    longest = 1
    everything = [np.asarray([])]
    for label, style in styles_of(histories).items():
        runs = histories[label]
        runs = [runs] if isinstance(runs, History) else list(runs)
        label = with_divergence(label, runs)
        for i, run in enumerate(distinct_rates(runs)):
            x, y = stairs(run, per_epoch=len(run) // runs[0].epochs)
            rate_ax.plot(
                x, y, **style._asdict(), lw=2 if i == 0 else 1, label=label if i == 0 else None
            )
        longest = max(longest, runs[0].epochs)
        epochs = np.arange(1, runs[0].epochs + 1)
        mean, error = mean_and_error([run.val_loss for run in runs])
        loss_ax.plot(epochs, mean, **style._asdict(), lw=2, label=label)
        if len(runs) > 1:
            loss_ax.fill_between(
                epochs, mean - error, mean + error, color=style.color, alpha=0.2, lw=0
            )
        train_mean, _ = mean_and_error([run.train_loss for run in runs])
        everything += [mean, train_mean]
        loss_ax.plot(epochs, train_mean, color=style.color, lw=0.9, alpha=0.7)
    dress(rate_ax, x="epoch", y="learning rate", title="rate applied")
    dress(loss_ax, x="epoch", y=loss_label, title="validation loss (thick), training loss (thin)")
    set_rate_scale(rate_ax, log=log)
    if not log:
        rate_ax.set_ylim(bottom=0)
    for ax in (rate_ax, loss_ax):
        ax.set_xlim(0, longest)
    losses = np.concatenate(everything)
    losses = losses[np.isfinite(losses)]
    if len(losses):
        set_loss_scale(loss_ax, nice_floor(0.95 * losses.min()), nice_ceiling(1.05 * losses.max()))
    if axes is None:
        handles, labels = rate_ax.get_legend_handles_labels()
        rate_ax.figure.legend(
            handles, labels, loc="outside upper left", ncols=3, frameon=False, handlelength=3
        )
    else:
        rate_ax.legend(frameon=False)
    return rate_ax, loss_ax


def plot_finals(losses: Mapping[str, np.ndarray], ax: Axes | None = None) -> Axes:
    """Draw final losses seed by seed: a dot for each run, its mean and standard error beside it.

    Args:
        losses: label -> array of shape ``(seeds,)``; the same seeds in the same order for all,
            joined by thin lines. NaN where a run diverged.
        ax: where to draw; None makes a new figure.

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
    for index, ((_, style), rows) in enumerate(zip(styles_of(losses).items(), values, strict=True)):
        color = style.color
        ax.plot(np.full(len(rows), index), rows, "o", color=color, ms=5, alpha=0.55, mew=0)
        mean, error = mean_and_error(rows)
        ax.errorbar(index + 0.14, mean, error, fmt="D", color=color, ms=6, capsize=4, lw=2)
    dress(
        ax, x="", y="final validation loss", title="dot: one seed; diamond: mean ± standard error"
    )
    ax.xaxis.grid(False)
    ax.set_xticks(places, losses)
    ax.set_xlim(-0.5, len(losses) - 0.5)
    return ax


def distinct_rates(runs: Sequence[History]) -> list[np.ndarray]:
    """Return the runs' applied rates, each once (seeds share them unless a metric decides)."""
    kept: list[np.ndarray] = []
    for run in runs:
        if not any(np.array_equal(run.lr, other, equal_nan=True) for other in kept):
            kept.append(run.lr)
    return kept


def with_divergence(label: str, runs: Sequence[History]) -> str:
    """Add to a label how many runs diverged, and when the first of them did.

    >>> run = History.empty(5, 1)
    >>> with_divergence("StepLR", [run])
    'StepLR'
    """
    lost = [run.diverged_at for run in runs if run.diverged_at is not None]
    if not lost:
        return label
    key = "diverged_label" if len(runs) == 1 else "diverged_label_seeds"
    return WORDS[key].format(label=label, epoch=min(lost) + 1, lost=len(lost), seeds=len(runs))
