"""The whole catalogue in one picture: a small drawing of each row, family by family."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from torch.optim import lr_scheduler, swa_utils

from ..schedules.catalogue import SCHEDULES, get_schedule
from ..schedules.spec import FAMILIES, Schedule
from ..schedules.trace import trace_lr, trace_momentum
from ..training.stats import mean_and_error
from ..words import say
from .curves import stairs
from .figures import KitFigure, drawn_by_kit, new_axes, palette_png
from .style import STYLES, Style, dress, finals_label, kit_look, style_of, styles_of
from .ticks import RoundTicks

EPOCHS, BASE_LR = 20, 0.1  # what the rows' defaults are made for
STEPS = {"epoch": EPOCHS, "batch": 20 * EPOCHS}  # enough to look smooth
MADE_UP_LOSS = np.maximum(0.5, 1 - 0.1 * np.arange(EPOCHS))  # stops falling after epoch 5
COLUMNS = 6
_THIN = {"color": "#4d4d4d", "lw": 0.9}
_ROW_INCHES, _CELL_INCHES = 1.32, 0.66


def in_torch(name: str) -> bool:
    """Say whether torch has a class of that name.

    >>> in_torch("OneCycleLR"), in_torch("SWALR"), in_torch("REX")
    (True, True, False)
    """
    return hasattr(lr_scheduler, name) or hasattr(swa_utils, name)


def families(rows: Iterable[str | Schedule] | None = None) -> dict[str, list[Schedule]]:
    """Return the rows of each family: of the whole catalogue, or names and rows of one's own.

    >>> [row.name for row in families()["decay"]]
    ['ExponentialLR', 'PolynomialLR', 'REX']
    """
    chosen = [get_schedule(row) for row in (SCHEDULES if rows is None else rows)]
    known = dict.fromkeys([*FAMILIES, *(row.family for row in chosen)])  # one's own come last
    return {family: [row for row in chosen if row.family == family] for family in known}


@drawn_by_kit
def draw_schedule(name: str | Schedule, ax: Axes) -> None:
    """Draw one row at its defaults: its rate, and thin whatever else belongs to it.

    The picture is as high as the highest rate; a dotted line lies at ``base_lr``. Momentum, where
    the row moves it, and the loss that a metric-driven row is fed with run on scales of their own.

    Args:
        name: a row of `SCHEDULES`, or a row of one's own.
        ax: where to draw; it is left without ticks.

    Raises:
        ValueError: for an unknown name.
    """
    row = get_schedule(name)
    steps = STEPS[row.step_every]
    setting = {"base_lr": BASE_LR, "steps": steps, **row.complete({}, horizon=steps)}
    metrics = MADE_UP_LOSS if row.metric_driven else None
    rates = trace_lr(row, metrics=metrics, **setting)
    ax.axhline(BASE_LR, color="#9a9a9a", lw=0.8, ls=":")
    ax.plot(*stairs(rates), **style_of(row)._asdict(), lw=1.8)
    if row.moves_momentum:
        _draw_thin(ax, trace_momentum(row, **setting), say("momentum"))
    if metrics is not None:
        _draw_thin(ax, metrics, say("made_up_loss"))
    ax.set(xlim=(0, steps), ylim=(0, 1.12 * rates.max()), xticks=[], yticks=[])
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color("#9a9a9a")


def _draw_thin(ax: Axes, values: np.ndarray, label: str) -> None:
    """Draw over the rate, on a scale that spans the values."""
    other = ax.twinx()
    other.plot(*stairs(values), **_THIN)
    low, span = values.min(), np.ptp(values)
    other.set_ylim(low - 0.15 * span, low + 1.4 * span)
    other.set_axis_off()
    ax.set_xlabel(label, size=6.5, color=_THIN["color"], loc="right", labelpad=2)


@kit_look()
def plot_gallery(schedules: Iterable[str | Schedule] | None = None) -> Mapping[str, Axes]:
    """Draw rows at their defaults, small, family by family.

    Every curve is traced from the real torch scheduler over a run of 20 epochs. Rows that practice
    steps per epoch look like stairs, those that it steps per batch look smooth. No loss is at
    hand, so ReduceLROnPlateau is fed with a made-up one that stops falling after epoch 5.

    Args:
        schedules: names, and rows of one's own; None takes all rows of `SCHEDULES`.

    Returns:
        Name -> its Axes; ``.figure`` of any is shown by a notebook as it is.

    Raises:
        ValueError: for an unknown name, or where two rows have one name.

    >>> pictures = plot_gallery()
    >>> list(pictures) == list(SCHEDULES), pictures["WSD"].get_title(loc="left")
    (True, 'WSD *')
    """
    shelves = _shelves(families(schedules))
    height = _ROW_INCHES * len(shelves) + 0.45
    figure = KitFigure(figsize=(9.6, height), dpi=100)
    pictures: dict[str, Axes] = {}
    headed = set()
    for shelf, members in enumerate(shelves):
        bottom = height - _ROW_INCHES * (shelf + 1) + 0.12
        for column, row in enumerate(members):
            if row.name in pictures:
                raise ValueError(f"schedules must have names that differ, got {row.name!r} twice.")
            place = ((0.1 + 1.59 * column) / 9.6, bottom / height, 1.42 / 9.6)
            ax = figure.add_axes((*place, _CELL_INCHES / height))
            draw_schedule(row, ax)
            star = "" if in_torch(row.name) else " *"
            ax.set_title(row.name + star, loc="left", size=7, pad=3)
            if row.family not in headed:
                _head(ax, row)
            headed.add(row.family)
            pictures[row.name] = ax
    figure.text(0.1 / 9.6, 0.12 / height, say("gallery_key"), size=8, color="#4d4d4d")
    return pictures


def _shelves(members: Mapping[str, list[Schedule]]) -> list[list[Schedule]]:
    """Return what stands side by side: whole families where there is room, else parts of one."""
    shelves: list[list[Schedule]] = [[]]
    for rows in members.values():
        for start in range(0, len(rows), COLUMNS):
            part = rows[start : start + COLUMNS]
            if len(shelves[-1]) + len(part) > COLUMNS:
                shelves.append([])
            shelves[-1] += part
    return shelves


def _head(ax: Axes, row: Schedule) -> None:
    kin = [style_of(name).color for name, kit in SCHEDULES.items() if kit.family == row.family]
    color = kin[-1] if kin else style_of(row).color  # the first may be grey: Constant
    ax.annotate(
        f"{row.family}: {FAMILIES[row.family]}" if row.family in FAMILIES else row.family,
        (0, 1),
        xytext=(0, 17),
        xycoords="axes fraction",
        textcoords="offset points",
        size=9.5,
        weight="bold",
        color=color,
    )


def thumbnail(name: str | Schedule) -> bytes:
    """Return one row's drawing as a PNG of 320 by 150 pixels; the kit's own are kept.

    >>> thumbnail("StepLR")[1:4]
    b'PNG'
    """
    row = get_schedule(name)
    return _kept_thumbnail(row.name) if SCHEDULES.get(row.name) is row else _thumbnail(row)


@kit_look()
def _thumbnail(row: Schedule) -> bytes:
    figure = KitFigure(figsize=(1.6, 0.75), dpi=200)
    ax = figure.add_axes((0.02, 0.16, 0.96, 0.82))
    draw_schedule(row, ax)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return palette_png(canvas)


@cache
def _kept_thumbnail(name: str) -> bytes:
    return _thumbnail(SCHEDULES[name])


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
    sign = -1 if higher else 1
    order = sorted(means, key=lambda name: np.nan_to_num(sign * means[name], nan=np.inf))
    if "Constant" in means:
        ax.axvline(means["Constant"], color=STYLES["Constant"].color, ls="-", lw=1.2)
    for place, name in enumerate(order):
        color, rows = styles_of([name], styles or {})[name].color, values[name]
        mean, error = mean_and_error(rows)
        ax.plot(rows, np.full(len(rows), place), "o", color=color, ms=4, alpha=0.3, mew=0)
        ax.errorbar(mean, place, xerr=error, fmt="D", color=color, ms=5, capsize=3, lw=2)
    dress(ax, x=finals_label(label, higher=higher), y="", title=say("ranking_title"))
    ax.xaxis.set_major_locator(RoundTicks(8))
    ax.set_yticks(range(len(order)), [_with_lost(name, values[name]) for name in order])
    ax.set_ylim(len(order) - 0.5, -0.5)
    return ax


def _with_lost(label: str, rows: np.ndarray) -> str:
    lost = int((~np.isfinite(rows)).sum())
    return say("lost_label", label=label, lost=lost, seeds=len(rows)) if lost else label
