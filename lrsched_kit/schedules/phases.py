"""Schedules put together from phases: warm up, hold, decay, restart; and where the rate jumps.

Torch's SequentialLR lets every phase start from the optimizer's initial rate, however low the
phase before has taken it; MultiplicativeLR alone goes on from where the rate is. So the rate may
jump where two phases meet: see `find_jumps`.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
from torch.optim import Optimizer, lr_scheduler

from ..words.errors import check_number, look_up
from .catalogue import SCHEDULES
from .params import Param
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
    """A kind of phase: its row, and what that row's params are in a phase of so many steps."""

    row: Schedule
    fill: Callable[[int], Mapping[str, Any]] = lambda steps: {}


KINDS: Mapping[str, Kind] = {
    "warm up": Kind(
        SCHEDULES["LinearLR"], lambda n: {"start_factor": 1 / (n + 1), "total_iters": n}
    ),
    "hold": Kind(SCHEDULES["ConstantLR"], lambda n: {"factor": 1.0, "total_iters": n}),
    "CosineAnnealingLR": Kind(SCHEDULES["CosineAnnealingLR"], lambda n: {"T_max": n}),
    "PolynomialLR": Kind(SCHEDULES["PolynomialLR"], lambda n: {"total_iters": n}),
    "1-sqrt": Kind(row(one_minus_sqrt, source="https://arxiv.org/abs/2405.18392")),
    "REX": Kind(SCHEDULES["REX"]),
    "ExponentialLR": Kind(SCHEDULES["ExponentialLR"], lambda n: {"gamma": LAST_SHARE ** (1 / n)}),
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
    "restart": Kind(
        row(
            restart,
            Param("share", 0.5, 0.05, 1.0, must_be="factor"),
            source="https://arxiv.org/abs/1608.03983",
        )
    ),
}
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
        kind = look_up("kind", "a known phase", self.kind, KINDS)
        object.__setattr__(self, "length", int(check_number("length", self.length, integer=True)))
        kind.row.complete(self.params)


def compose(phases: Iterable[Phase], *, steps_per_epoch: int = 1) -> Schedule:
    """Make a schedule that is one phase after the other: torch's SequentialLR.

    It goes wherever a schedule's name goes: `trace_lr`, `Run`, `training_script`. If the run goes
    on after the last phase, torch goes on stepping that phase's scheduler.

    Args:
        phases: one or more.
        steps_per_epoch: batches in an epoch if the scheduler is stepped per batch, as practice
            does; 1 if it is stepped per epoch.

    Returns:
        A row without params, called "SequentialLR".

    Raises:
        ValueError: naming argument, constraint and value; by the row's ``build`` as well, where
            phases are longer than the run.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.SequentialLR.html

    >>> from lrsched_kit import trace_lr
    >>> row = compose([Phase("warm up", 2), Phase("PolynomialLR", 4)])
    >>> trace_lr(row, base_lr=1.0, steps=6).round(3).tolist()
    [0.333, 0.667, 1.0, 0.75, 0.5, 0.25]
    >>> trace_lr(row, base_lr=1.0, steps=5)
    Traceback (most recent call last):
    ...
    ValueError: phases must be no longer than the run (5 epochs), got 6: 2 + 4.
    """
    phases = tuple(phases)
    if not phases or not all(isinstance(phase, Phase) for phase in phases):
        raise ValueError(f"phases must be one or more of Phase, got {phases!r}.")
    per_epoch = int(check_number("steps_per_epoch", steps_per_epoch, integer=True))
    sequence = _Sequence(phases, per_epoch)
    return replace(
        SCHEDULES["SequentialLR"],
        make=sequence.make,
        params=(),
        formula="",
        when="composed.when",
        step_every="epoch" if per_epoch == 1 else "batch",
        refuse=sequence.refuse,
        code=sequence.code,
    )


@dataclass(frozen=True, eq=False)
class _Sequence:
    """What the functions of a composed row know."""

    phases: tuple[Phase, ...]
    per_epoch: int

    def parts(self, base_lr: float) -> list[tuple[Callable[..., Any], dict[str, Any]]]:
        """Return what makes each phase's scheduler, and with which arguments."""
        parts = []
        for phase in self.phases:
            kind, steps = KINDS[phase.kind], phase.length * self.per_epoch
            given = {**kind.fill(steps), **phase.params}
            params = kind.row.check(given, base_lr=base_lr, total_steps=steps)
            parts.append((kind.row.make, kind.row.arguments(params, steps)))
        return parts

    def milestones(self) -> list[int]:
        """Return the step at which each phase but the last ends."""
        return boundaries(self.phases, steps_per_epoch=self.per_epoch)[:-1]

    def make(self, optimizer: Optimizer) -> lr_scheduler.LRScheduler:
        parts = self.parts(float(optimizer.param_groups[0]["lr"]))
        schedulers = [make(optimizer, **arguments) for make, arguments in parts]
        return lr_scheduler.SequentialLR(optimizer, schedulers, milestones=self.milestones())

    def refuse(self, *, base_lr: float, total_steps: int) -> str | None:
        lengths = [phase.length for phase in self.phases]
        if sum(lengths) * self.per_epoch <= total_steps:
            self.parts(base_lr)  # refuses what does not go together in one of them
            return None
        return (
            f"phases must be no longer than the run ({total_steps / self.per_epoch:g} epochs), "
            f"got {sum(lengths)}: {' + '.join(map(str, lengths))}."
        )

    def code(self, *, base_lr: float, total_steps: int) -> tuple[str, str]:
        """Return the functions that have to be defined, and the lines that make the scheduler."""
        functions: dict[str, str] = {}
        lines = ["schedulers = ["]
        for make, given in self.parts(base_lr):
            name = make.__name__
            if inspect.isclass(make):
                name = f"lr_scheduler.{name}"
            else:
                functions[name] = inspect.getsource(make)
            arguments = ", ".join(f"{key}={value!r}" for key, value in given.items())
            lines.append(f"    {name}(optimizer, {arguments}),")
        made = f"lr_scheduler.SequentialLR(optimizer, schedulers, milestones={self.milestones()})"
        lines += ["]", f"scheduler = {made}"]
        return "\n\n".join(functions.values()), "\n".join(lines)


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
    parts = [part for part in np.split(rates, ends) if len(part)]  # phases may outlast the rates
    found = []
    for end, old, new in zip(ends, parts, parts[1:], strict=False):
        before, after = float(old[-1]), float(new[0])
        last, first = np.diff(old[-2:]).sum(), np.diff(new[:2]).sum()  # no move in a single step
        if not (_leads(before, last, after, smallest) or _leads(after, -first, before, smallest)):
            found.append(Jump(end, before, after))
    return found


def _leads(start: float, move: float, goal: float, slack: float) -> bool:
    """Whether such a move, or up to half as much again, leads from start to goal."""
    ends = start, start + 1.5 * move
    return min(ends) - slack <= goal <= max(ends) + slack
