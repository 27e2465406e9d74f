"""The whole catalogue in one picture: a small drawing of each row, family by family."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from torch.optim import lr_scheduler, swa_utils

from ..schedules.catalogue import SCHEDULES, get_schedule
from ..schedules.spec import FAMILIES, Schedule
from ..schedules.trace import trace_lr, trace_momentum
from ..words import say
from .curves import stairs
from .figure import KitFigure
from .style import kit_look, style_of

_BASE_LR = 0.1  # what the rows' defaults are made for, and 20 epochs
_STEPS = {"epoch": 20, "batch": 400}  # enough to look smooth
MADE_UP_LOSS = np.maximum(0.5, 1 - 0.1 * np.arange(20))  # stops falling after epoch 5
_COLUMNS = 6
_WIDTH, _ROW_INCHES = 9.6, 1.32
_PALE, _DARK = "#9a9a9a", "#4d4d4d"


def in_torch(name: str) -> bool:
    """Say whether torch has a class of that name."""
    return hasattr(lr_scheduler, name) or hasattr(swa_utils, name)


def families(rows: Iterable[str | Schedule] | None = None) -> dict[str, list[Schedule]]:
    """Return the rows of each family: of the whole catalogue, or names and rows of one's own."""
    chosen = [get_schedule(row) for row in (SCHEDULES if rows is None else rows)]
    known = dict.fromkeys([*FAMILIES, *(row.family for row in chosen)])  # one's own come last
    return {family: [row for row in chosen if row.family == family] for family in known}


def _draw_schedule(row: Schedule, ax: Axes) -> None:
    """Draw one row at its defaults: its rate, and thin its momentum or the loss it is fed with."""
    steps = _STEPS[row.step_every]
    setting = {"base_lr": _BASE_LR, "steps": steps, **row.complete({}, horizon=steps)}
    metrics = MADE_UP_LOSS if row.metric_driven else None
    rates = trace_lr(row, metrics=metrics, **setting)
    ax.axhline(_BASE_LR, color=_PALE, lw=0.8, ls=":")
    ax.plot(*stairs(rates), **style_of(row)._asdict(), lw=1.8)
    if row.moves_momentum:
        _draw_thin(ax, trace_momentum(row, **setting), say("momentum"))
    if metrics is not None:
        _draw_thin(ax, metrics, say("made_up_loss"))
    ax.set(xlim=(0, steps), ylim=(0, 1.12 * rates.max()), xticks=[], yticks=[])
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(_PALE)


def _draw_thin(ax: Axes, values: np.ndarray, label: str) -> None:
    """Draw over the rate, on a scale that spans the values."""
    other = ax.twinx()
    other.plot(*stairs(values), color=_DARK, lw=0.9)
    low, span = values.min(), np.ptp(values)
    other.set_ylim(low - 0.15 * span, low + 1.4 * span)
    other.set_axis_off()
    ax.set_xlabel(label, size=6.5, color=_DARK, loc="right", labelpad=2)


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

    >>> pictures = plot_gallery(["WSD", "StepLR"])
    >>> list(pictures), pictures["WSD"].get_title(loc="left")
    (['StepLR', 'WSD'], 'WSD *')
    """
    members = families(schedules)
    shelves = _shelves(members)
    height = _ROW_INCHES * len(shelves) + 0.45
    figure = KitFigure(figsize=(_WIDTH, height), dpi=100)
    pictures: dict[str, Axes] = {}
    for shelf, rows in enumerate(shelves):
        bottom = height - _ROW_INCHES * (shelf + 1) + 0.12
        for column, row in enumerate(rows):
            if row.name in pictures:
                raise ValueError(f"schedules must have names that differ, got {row.name!r} twice.")
            inches = np.array([0.1 + 1.59 * column, bottom, 1.42, 0.66])
            ax = figure.add_axes(tuple(inches / [_WIDTH, height, _WIDTH, height]))
            _draw_schedule(row, ax)
            star = "" if in_torch(row.name) else " *"
            ax.set_title(row.name + star, loc="left", size=7, pad=3)
            if row is members[row.family][0]:
                _head(ax, row)
            pictures[row.name] = ax
    figure.text(0.1 / _WIDTH, 0.12 / height, say("gallery_key"), size=8, color=_DARK)
    return pictures


def _shelves(members: Mapping[str, list[Schedule]]) -> list[list[Schedule]]:
    """Return what stands side by side: whole families where there is room, else parts of one."""
    shelves: list[list[Schedule]] = [[]]
    for rows in members.values():
        for start in range(0, len(rows), _COLUMNS):
            part = rows[start : start + _COLUMNS]
            if len(shelves[-1]) + len(part) > _COLUMNS:
                shelves.append([])
            shelves[-1] += part
    return shelves


def _head(ax: Axes, row: Schedule) -> None:
    """Write the family's name over the axes, in its colour."""
    kin = [kit for kit in SCHEDULES.values() if kit.family == row.family]
    color = style_of(kin[-1] if kin else row).color  # the first may be grey: Constant
    meaning = FAMILIES.get(row.family)
    text = say("family_head", family=row.family, meaning=meaning) if meaning else row.family
    look: dict[str, Any] = {"size": 9.5, "weight": "bold", "color": color}
    ax.annotate(text, (0, 1), (0, 17), "axes fraction", "offset points", **look)


def thumbnail(name: str | Schedule) -> bytes:
    """Return one row's drawing as a PNG of 320 by 150 pixels; the kit's own are kept."""
    row = get_schedule(name)
    return _kept_thumbnail(row.name) if SCHEDULES.get(row.name) is row else _thumbnail(row)


@cache
def _kept_thumbnail(name: str) -> bytes:
    return _thumbnail(SCHEDULES[name])


@kit_look()
def _thumbnail(row: Schedule) -> bytes:
    figure = KitFigure(figsize=(1.6, 0.75), dpi=100)
    _draw_schedule(row, figure.add_axes((0.02, 0.16, 0.96, 0.82)))
    return figure._repr_png_()[0]
