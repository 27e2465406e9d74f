"""Final losses, seed by seed: side by side, or lying down in order."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from ..training.stats import mean_and_error
from ..words import say
from .figure import drawn_by_kit, new_axes
from .limits import RoundTicks
from .style import STYLES, Style, dress, styles_of


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
    places = range(len(losses))
    values = np.array([np.asarray(rows, dtype=float) for rows in losses.values()])
    ax.plot(places, values, color="#c4c4c4", lw=0.8, zorder=1)
    looks = styles_of(losses, styles).values()
    for place, rows, style in zip(places, values, looks, strict=True):
        _draw_seeds(ax, place, rows, style.color)
    dress(ax, x="", y=_label(label, higher=higher), title=say("finals_title"))
    ax.xaxis.grid(False)
    ax.set_xticks(places, losses)
    ax.set_xlim(-0.5, len(losses) - 0.5)
    return ax


@drawn_by_kit
def plot_ranking(
    losses: Mapping[str, np.ndarray],
    ax: Axes | None = None,
    *,
    higher: bool = False,
    label: str | None = None,
    styles: Mapping[str, Style] | None = None,
) -> Axes:
    """Draw final losses of many labels in order, best mean on top: `plot_finals` lying down.

    Pale dots are seeds, the strong one their mean, its bar a standard error to each side. Colours
    are the families'. A grey line stands at the mean of "Constant", if that is among them.

    Args:
        losses: label -> array of shape ``(seeds,)``; NaN where a run diverged. A label with such a
            seed comes last, without a mean.
        ax: where to draw; None makes a new figure.
        higher: whether higher is better, as for an accuracy.
        label: what the numbers are, if not final validation losses.
        styles: label -> its colour and line style, where it is not the kit's.

    Returns:
        The Axes.

    >>> ax = plot_ranking({"Constant": np.array([0.5, 0.6]), "REX": np.array([0.4, 0.4])})
    >>> [text.get_text() for text in ax.get_yticklabels()]
    ['REX', 'Constant']
    """
    ax = ax or new_axes(size=(7.6, 0.9 + 0.23 * len(losses)))[0]
    values = {name: np.asarray(rows, dtype=float) for name, rows in losses.items()}
    means = {name: float(mean_and_error(rows)[0]) for name, rows in values.items()}
    order = ranked(means, higher=higher)
    if "Constant" in means:
        ax.axvline(means["Constant"], color=STYLES["Constant"].color, ls="-", lw=1.2)
    for place, name in enumerate(order):
        color = styles_of([name], styles)[name].color
        _draw_seeds(ax, place, values[name], color, lying=True)
    dress(ax, x=_label(label, higher=higher), y="", title=say("ranking_title"))
    ax.xaxis.set_major_locator(RoundTicks(8))
    ax.set_yticks(range(len(order)), [_with_lost(name, values[name]) for name in order])
    ax.set_ylim(len(order) - 0.5, -0.5)
    return ax


def ranked(means: Mapping[str, float], *, higher: bool) -> list[str]:
    """Return labels with the best mean first, and those without a mean last."""
    sign = -1 if higher else 1
    return sorted(means, key=lambda label: np.nan_to_num(sign * means[label], nan=np.inf))


def _draw_seeds(
    ax: Axes, place: float, losses: np.ndarray, color: str, *, lying: bool = False
) -> None:
    """Draw a dot for each seed; beside them, or on them, a diamond at their mean with its error."""
    mean, error = mean_and_error(losses)
    places = np.full(len(losses), place)
    if lying:
        ax.plot(losses, places, "o", color=color, ms=4, alpha=0.3, mew=0)
        ax.errorbar(mean, place, xerr=error, fmt="D", color=color, ms=5, capsize=3, lw=2)
    else:
        ax.plot(places, losses, "o", color=color, ms=5, alpha=0.55, mew=0)
        ax.errorbar(place + 0.14, mean, error, fmt="D", color=color, ms=6, capsize=4, lw=2)


def _label(label: str | None, *, higher: bool) -> str:
    text = say("final_loss") if label is None else label
    return say("higher_is_better", label=text) if higher else text


def _with_lost(label: str, rows: np.ndarray) -> str:
    lost = int((~np.isfinite(rows)).sum())
    return say("lost_label", label=label, lost=lost, seeds=len(rows)) if lost else label
