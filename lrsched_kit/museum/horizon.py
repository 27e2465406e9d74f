"""Third hall: schedules that end before the run does, or after it."""

from __future__ import annotations

from collections.abc import Iterator
from math import cos, pi

import torch
from torch.optim import SGD, lr_scheduler

from ..schedules.params import Param
from .exhibit import PAGE, make_exhibit


def past_t_max_wrong(T_max: int = 5, epochs: int = 12) -> Iterator[float]:
    """Anneal over the first T_max epochs, and keep stepping after that."""
    optimizer = SGD([torch.zeros(1)], lr=1.0)
    scheduler = lr_scheduler.CosineAnnealingLR(optimizer, T_max)
    for _ in range(epochs):
        yield optimizer.param_groups[0]["lr"]
        optimizer.step()
        scheduler.step()  # wrong: after T_max, the cosine goes up again


def past_t_max_right(T_max: int = 5, epochs: int = 12) -> Iterator[float]:
    """Stop stepping at T_max. (Or make T_max the length of the run.)"""
    optimizer = SGD([torch.zeros(1)], lr=1.0)
    scheduler = lr_scheduler.CosineAnnealingLR(optimizer, T_max)
    for epoch in range(epochs):
        yield optimizer.param_groups[0]["lr"]
        optimizer.step()
        if epoch < T_max:
            scheduler.step()


def past_t_max_meant(T_max: int, epochs: int) -> list[float]:
    """Return a cosine from 1 to 0 that stays at 0."""
    return [(1 + cos(pi * min(t, T_max) / T_max)) / 2 for t in range(epochs)]


def unfinished_cosine_wrong(batches: int = 80, accumulate: int = 2) -> Iterator[float]:
    """Count T_max in batches, but update once per `accumulate` batches."""
    optimizer = SGD([torch.zeros(1)], lr=1.0)
    scheduler = lr_scheduler.CosineAnnealingLR(optimizer, T_max=batches)  # wrong: too long
    for batch in range(batches):
        # loss.backward() adds this batch's gradients to those before
        if (batch + 1) % accumulate == 0:
            yield optimizer.param_groups[0]["lr"]
            optimizer.step()
            scheduler.step()


def unfinished_cosine_right(batches: int = 80, accumulate: int = 2) -> Iterator[float]:
    """Count T_max in calls of scheduler.step()."""
    optimizer = SGD([torch.zeros(1)], lr=1.0)
    updates = batches // accumulate
    scheduler = lr_scheduler.CosineAnnealingLR(optimizer, T_max=updates)
    for batch in range(batches):
        # loss.backward() adds this batch's gradients to those before
        if (batch + 1) % accumulate == 0:
            yield optimizer.param_groups[0]["lr"]
            optimizer.step()
            scheduler.step()


def unfinished_cosine_meant(batches: int, accumulate: int) -> list[float]:
    """Return a cosine from 1 to 0 over the updates that there are."""
    updates = batches // accumulate
    return [(1 + cos(pi * t / updates)) / 2 for t in range(updates)]


def one_cycle_wrong(total_steps: int = 10, updates: int = 13) -> Iterator[tuple[float, float]]:
    """One cycle that is shorter than the run, on an optimizer with a momentum of its own."""
    optimizer = SGD([torch.zeros(1)], lr=0.5, momentum=0.9)
    scheduler = lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=1.0,
        total_steps=total_steps,  # wrong: the run is longer
    )
    for _ in range(updates):
        group = optimizer.param_groups[0]
        yield group["lr"], group["momentum"]
        optimizer.step()
        scheduler.step()


def one_cycle_right(total_steps: int = 10, updates: int = 13) -> Iterator[tuple[float, float]]:
    """As many steps as updates (not total_steps); momentum left alone."""
    optimizer = SGD([torch.zeros(1)], lr=0.5, momentum=0.9)
    scheduler = lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=1.0,
        total_steps=updates,
        cycle_momentum=False,
    )
    for _ in range(updates):
        group = optimizer.param_groups[0]
        yield group["lr"], group["momentum"]
        optimizer.step()
        scheduler.step()


def one_cycle_meant(total_steps: int, updates: int) -> list[tuple[float, float]]:
    """Return one cycle over all updates, up in 30 % of them, at a momentum of 0.9."""
    top, end = 0.3 * updates - 1, updates - 1

    def between(low: float, high: float, part: float) -> float:
        return low + (high - low) * (1 - cos(pi * part)) / 2

    up = [between(1 / 25, 1.0, t / top) for t in range(updates) if t <= top]
    down = [between(1.0, 1 / 25e4, (t - top) / (end - top)) for t in range(len(up), updates)]
    return [(rate, 0.9) for rate in up + down]


EXHIBITS = (
    make_exhibit(
        past_t_max_wrong,
        past_t_max_right,
        past_t_max_meant,
        Param("T_max", 5, 1, 20, integer=True),
        Param("epochs", 12, 2, 30, integer=True),
        source=PAGE.format(name="CosineAnnealingLR"),
    ),
    make_exhibit(
        unfinished_cosine_wrong,
        unfinished_cosine_right,
        unfinished_cosine_meant,
        Param("batches", 80, 20, 120, integer=True),
        Param("accumulate", 2, 1, 8, integer=True),
        source=PAGE.format(name="CosineAnnealingLR"),
        unit="update",
    ),
    make_exhibit(
        one_cycle_wrong,
        one_cycle_right,
        one_cycle_meant,
        Param("total_steps", 10, 5, 30, integer=True),
        Param("updates", 13, 5, 30, integer=True),
        source=PAGE.format(name="OneCycleLR"),
        unit="update",
        curves=("rate", "one_cycle.momentum"),
    ),
)
