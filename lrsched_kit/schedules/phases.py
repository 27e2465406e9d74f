"""The phases of a run: warm up, hold, decay, restart; and where the rate jumps between them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from torch.optim import Optimizer, lr_scheduler

from ..words.errors import check_number, nearest
from .catalogue import SCHEDULES
from .params import Knob, Param
from .spec import Schedule, row

LAST_SHARE = 0.01  # what a decay that never reaches zero leaves of base_lr, unless told otherwise
SMALLEST_JUMP = 0.01  # of base_lr; less is not worth telling


def one_minus_sqrt(optimizer: Optimizer, *, total_steps: int) -> lr_scheduler.LRScheduler:
    """Fall steeply first, then creep to zero."""
    return lr_scheduler.LambdaLR(
        optimizer, lr_lambda=lambda t: 1 - min(1.0, t / total_steps) ** 0.5
    )


def restart(optimizer: Optimizer, *, total_steps: int, share: float) -> lr_scheduler.LRScheduler:
    """Go back up to a share of the initial rate, and fall to zero along a cosine."""

    def factor(t: int) -> float:
        return share * (1 + math.cos(math.pi * min(1.0, t / total_steps))) / 2

    return lr_scheduler.LambdaLR(optimizer, lr_lambda=factor)


@dataclass(frozen=True)
class Kind:
    """A kind of phase.

    Attributes:
        row: what it is made from.
        fill: number of scheduler steps in the phase -> the row's params, unless told otherwise.
    """

    row: Schedule
    fill: Callable[[int], Mapping[str, Any]] = lambda steps: {}

    def arguments(self, steps: int, params: Mapping[str, Any], base_lr: float) -> dict:
        """Return what ``row.make`` is called with, for a phase of so many steps."""
        given = {**self.fill(steps), **params}
        return self.row.arguments(self.row.check(given, base_lr=base_lr, total_steps=steps), steps)


def _own(make: Callable[..., lr_scheduler.LRScheduler], *params: Knob, **facts: object) -> Kind:
    return Kind(row(make, *params, **{"family": "decay", "formula": "", "when": ""} | facts))


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "warm up": Kind(
            SCHEDULES["LinearLR"], lambda n: {"start_factor": 1 / (n + 1), "total_iters": n}
        ),
        "hold": Kind(SCHEDULES["ConstantLR"], lambda n: {"factor": 1.0, "total_iters": n}),
        "CosineAnnealingLR": Kind(SCHEDULES["CosineAnnealingLR"], lambda n: {"T_max": n}),
        "PolynomialLR": Kind(SCHEDULES["PolynomialLR"], lambda n: {"total_iters": n}),
        "1-sqrt": _own(
            one_minus_sqrt,
            form=lambda t, *, base_lr, total_steps: (
                base_lr * (1 - math.sqrt(min(1, t / total_steps)))
            ),
            source="https://arxiv.org/abs/2405.18392",
        ),
        "REX": Kind(SCHEDULES["REX"]),
        "ExponentialLR": Kind(
            SCHEDULES["ExponentialLR"], lambda n: {"gamma": LAST_SHARE ** (1 / n)}
        ),
        "MultiplicativeLR": Kind(
            SCHEDULES["MultiplicativeLR"], lambda n: {"factor": LAST_SHARE ** (1 / n)}
        ),
        "LambdaLR": Kind(SCHEDULES["LambdaLR"], lambda n: {"decay": 9 / n}),
        "StepLR": Kind(SCHEDULES["StepLR"], lambda n: {"step_size": math.ceil(n / 3)}),
        "MultiStepLR": Kind(
            SCHEDULES["MultiStepLR"],
            lambda n: {"milestones": (math.ceil(n / 2), math.ceil(n / 2) + n // 4 + 1)},
        ),
        "CosineAnnealingWarmRestarts": Kind(
            SCHEDULES["CosineAnnealingWarmRestarts"], lambda n: {"T_0": math.ceil(n / 3)}
        ),
        "restart": _own(
            restart,
            Param("share", 0.5, 0.05, 1.0, help="of the initial rate", must_be="factor"),
            form=lambda t, *, base_lr, total_steps, share: (
                base_lr * share * math.cos(math.pi / 2 * min(1, t / total_steps)) ** 2
            ),
            source="https://arxiv.org/abs/1608.03983",
        ),
    }
)
"""Kinds of phases by name: warm up, hold, decays (most by the name of their row), restart."""


@dataclass(frozen=True)
class Phase:
    """A part of a run in which one scheduler has the say.

    Attributes:
        kind: a key of `KINDS`.
        length: in epochs.
        params: of the kind's row, as far as they shall differ from what suits the length.

    Raises:
        ValueError: naming argument, constraint and value.

    >>> Phase("hold", 0)
    Traceback (most recent call last):
    ...
    ValueError: length must be a positive integer, got 0.
    """

    kind: str
    length: int
    params: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(
                f"kind must be a known phase{nearest(str(self.kind), KINDS)}, got {self.kind!r}; "
                f"known are {', '.join(KINDS)}."
            )
        object.__setattr__(self, "length", int(check_number("length", self.length, integer=True)))
        KINDS[self.kind].row.complete(self.params)


def boundaries(phases: Iterable[Phase], *, steps_per_epoch: int = 1) -> list[int]:
    """Return the scheduler step at which each phase ends.

    >>> boundaries([Phase("warm up", 2), Phase("hold", 3)], steps_per_epoch=10)
    [20, 50]
    """
    return list(accumulate(phase.length * steps_per_epoch for phase in phases))


class Jump(NamedTuple):
    """Where the rate leaps: from ``before`` to ``after``, at a scheduler step."""

    step: int
    before: float
    after: float


def find_jumps(rates: np.ndarray, ends: Sequence[int]) -> list[Jump]:
    """Tell where the rate jumps from one phase to the next.

    A rate that rises or falls moves at every step. It jumps where its move is neither what the
    old phase's last move leads to, nor what the new phase's first move comes from.

    Args:
        rates: as traced, shape ``(steps,)``.
        ends: the step at which each phase ends: see `boundaries`.

    >>> find_jumps(np.array([0.25, 0.5, 0.75, 1.0, 0.5, 0.0, 1.0, 1.0]), [3, 6])
    [Jump(step=6, before=0.0, after=1.0)]
    """
    smallest = SMALLEST_JUMP * float(np.max(rates, initial=0.0))
    starts = [0, *ends]
    found = []
    for start, end in zip(starts, ends, strict=False):
        if end >= len(rates):
            break
        before, after = float(rates[end - 1]), float(rates[end])
        following = next((e for e in ends if e > end), len(rates))
        old = before - rates[end - 2] if end - start > 1 else 0.0
        new = rates[end + 1] - after if min(following, len(rates)) - end > 1 else 0.0
        if not (_leads(before, old, after, smallest) or _leads(after, -new, before, smallest)):
            found.append(Jump(end, before, after))
    return found


def _leads(start: float, move: float, goal: float, slack: float) -> bool:
    """Whether such a move, or up to half as much again, leads from start to goal."""
    ends = start, start + 1.5 * move
    return min(ends) - slack <= goal <= max(ends) + slack
