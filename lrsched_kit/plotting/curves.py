"""The curves of runs: what belongs to one setting, and the stairs that its rates make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from ..training.loop import History
from ..words import say
from .style import Style

Line = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Curve:
    """One setting in a picture of rates and losses.

    Attributes:
        label: for the legend.
        style: colour and line style.
        planned: rates traced before training, one or more per epoch, of shape ``(steps,)`` or
            ``(groups, steps)``; None where a metric decides.
        runs: one `History` per seed, possibly unfinished; empty before training.
        thin: whether it stands back behind the curve under study.
    """

    label: str
    style: Style
    planned: np.ndarray | None
    runs: Sequence[History] = ()
    thin: bool = False

    @property
    def planned_rates(self) -> list[np.ndarray]:
        """The planned rates of each parameter group; empty where there are none."""
        return [] if self.planned is None else [*np.atleast_2d(self.planned)]

    @property
    def rates(self) -> list[np.ndarray]:
        """All rates, planned and applied, of every group."""
        return [*self.planned_rates, *(rates for run in self.runs for rates in run.group_lr)]

    @property
    def groups(self) -> int:
        """How many parameter groups there are."""
        return max([1, len(self.planned_rates), *(len(run.group_lr) for run in self.runs)])

    @property
    def legend_label(self) -> str:
        """The label, with how many runs diverged, and when the first of them did."""
        lost = [run.diverged_at for run in self.runs if run.diverged_at is not None]
        if not lost:
            return self.label
        key = "diverged_label" if len(self.runs) == 1 else "diverged_label_seeds"
        facts = {"epoch": min(lost) + 1, "lost": len(lost), "seeds": len(self.runs)}
        return say(key, label=self.label, **facts)


def distinct_rates(runs: Sequence[History]) -> list[tuple[int, np.ndarray]]:
    """Return the runs' applied rates with their parameter groups, counted from 0; each once.

    Seeds share them unless a metric decides. A group's are left out where they are another's.

    >>> [(group, rates.shape) for group, rates in distinct_rates([History.empty(2, 3, groups=2)])]
    [(0, (6,))]
    """
    kept: list[tuple[int, np.ndarray]] = []
    groups = max((len(run.group_lr) for run in runs), default=0)
    for group, run in product(range(groups), runs):
        for rates in run.group_lr[group : group + 1]:
            if not any(np.array_equal(rates, other, equal_nan=True) for _, other in kept):
                kept.append((group, rates))
    return kept


def stairs(rates: np.ndarray, per_epoch: int = 1) -> Line:
    """Return the corners of a staircase: each rate holds from its step until the next one.

    >>> x, y = stairs(np.array([1.0, 0.5]))
    >>> x.tolist(), y.tolist()
    ([0.0, 1.0, 1.0, 2.0], [1.0, 1.0, 0.5, 0.5])
    """
    edges = np.arange(len(rates) + 1) / per_epoch
    return np.repeat(edges, 2)[1:-1], np.repeat(rates, 2)


def joined(lines: Sequence[Line]) -> Line:
    """Put several lines into one, with gaps between them and only the corners of each.

    >>> flat = np.array([0, 1, 2]), np.array([5, 5, 5])
    >>> [values.tolist() for values in joined([flat, flat])]
    [[0.0, 2.0, nan, 0.0, 2.0], [5.0, 5.0, nan, 5.0, 5.0]]
    """
    gap = np.full(1, np.nan)
    xs, ys = [], []
    for x, y in lines:
        jumps = np.flatnonzero(np.diff(y, prepend=np.nan, append=np.nan) != 0)
        corners = np.unique(np.clip(np.concatenate([jumps, jumps - 1]), 0, len(y) - 1))
        xs += [x[corners], gap]
        ys += [y[corners], gap]
    return np.concatenate(xs[:-1]), np.concatenate(ys[:-1])
