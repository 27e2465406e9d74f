"""Schedules put together from phases: each a real torch scheduler, one after the other.

Torch's SequentialLR lets every phase start from the optimizer's initial rate, however low the
phase before has taken it; MultiplicativeLR alone goes on from where the rate is. So the rate may
jump where two phases meet: see `find_jumps`.
"""

from __future__ import annotations

import inspect
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from torch.optim import Optimizer, lr_scheduler

from ..words.errors import check_number
from .catalogue import SCHEDULES
from .phases import KINDS, Phase, boundaries
from .spec import Schedule


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
    phases, per_epoch = _checked(phases, steps_per_epoch)
    facts = {"phases": phases, "per_epoch": per_epoch}
    return replace(
        SCHEDULES["SequentialLR"],
        make=partial(_sequence, **facts),
        params=(),
        formula="",
        form=partial(_form, **facts),
        when="As you like it.",
        step_every="epoch" if per_epoch == 1 else "batch",
        refuse=partial(_misfit, **facts),
        code=partial(_code, **facts),
    )


def _checked(phases: Iterable[Phase], steps_per_epoch: int) -> tuple[tuple[Phase, ...], int]:
    phases = tuple(phases)
    if not phases or not all(isinstance(phase, Phase) for phase in phases):
        raise ValueError(f"phases must be one or more of Phase, got {phases!r}.")
    return phases, int(check_number("steps_per_epoch", steps_per_epoch, integer=True))


def _parts(
    phases: Sequence[Phase], per_epoch: int, base_lr: float
) -> list[tuple[Schedule, int, dict[str, Any]]]:
    """Return, for each phase, its row, its number of steps, and what the row's make is given."""
    parts = []
    for phase in phases:
        kind, steps = KINDS[phase.kind], phase.length * per_epoch
        parts.append((kind.row, steps, kind.arguments(steps, phase.params, base_lr)))
    return parts


def _sequence(
    optimizer: Optimizer, *, phases: Sequence[Phase], per_epoch: int
) -> lr_scheduler.LRScheduler:
    parts = _parts(phases, per_epoch, float(optimizer.param_groups[0]["lr"]))
    schedulers = [part.make(optimizer, **arguments) for part, _, arguments in parts]
    milestones = boundaries(phases, steps_per_epoch=per_epoch)[:-1]
    return lr_scheduler.SequentialLR(optimizer, schedulers, milestones=milestones)


def _form(
    t: int, *, base_lr: float, total_steps: int, phases: Sequence[Phase], per_epoch: int
) -> float:
    """Work out the rate without torch: the form of the phase that t lies in."""
    parts = _parts(phases, per_epoch, base_lr)
    ends = boundaries(phases, steps_per_epoch=per_epoch)
    number = min(bisect_right(ends, t), len(parts) - 1)
    part, steps, arguments = parts[number]
    start = ends[number] - steps
    spent = t - start
    if part.name == "MultiplicativeLR" and start > 0:  # it goes on from where the rate is
        facts = {"phases": phases[:number], "per_epoch": per_epoch}
        base_lr = _form(start - 1, base_lr=base_lr, total_steps=total_steps, **facts)
        spent += 1
    return part.form(spent, base_lr=base_lr, **{"total_steps": steps, **arguments})


def _misfit(
    *, base_lr: float, total_steps: int, phases: Sequence[Phase], per_epoch: int
) -> str | None:
    lengths = [phase.length for phase in phases]
    if sum(lengths) * per_epoch <= total_steps:
        _parts(phases, per_epoch, base_lr)  # refuses what does not go together in one of them
        return None
    return (
        f"phases must be no longer than the run ({total_steps / per_epoch:g} epochs), "
        f"got {sum(lengths)}: {' + '.join(map(str, lengths))}."
    )


def _code(
    *, base_lr: float, total_steps: int, phases: Sequence[Phase], per_epoch: int
) -> tuple[str, str]:
    """Return the functions that have to be defined, and the lines that make the scheduler."""
    functions: dict[str, str] = {}
    lines = ["schedulers = ["]
    for part, _, given in _parts(phases, per_epoch, base_lr):
        name = part.make.__name__
        if inspect.isclass(part.make):
            name = f"lr_scheduler.{name}"
        else:
            functions[name] = inspect.getsource(part.make)
        arguments = ", ".join(f"{key}={value!r}" for key, value in given.items())
        lines.append(f"    {name}(optimizer, {arguments}),")
    milestones = boundaries(phases, steps_per_epoch=per_epoch)[:-1]
    lines += [
        "]",
        f"scheduler = lr_scheduler.SequentialLR(optimizer, schedulers, milestones={milestones})",
    ]
    return "\n\n".join(functions.values()), "\n".join(lines)
