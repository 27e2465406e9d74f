"""Third hall: schedules that end before the run does, or after it."""

from collections.abc import Iterator

import torch
from torch.optim import SGD, lr_scheduler

from .exhibit import half_cosine, make_exhibit


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
    return [half_cosine(t / updates) for t in range(updates)]


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
    first, last = 1 / 25, 1 / 25e4
    up = [1 - (1 - first) * half_cosine(t / top) for t in range(updates) if t <= top]
    down = [half_cosine((t - top) / (end - top)) for t in range(len(up), updates)]
    return [(rate, 0.9) for rate in up + [last + (1 - last) * part for part in down]]


EXHIBITS = (
    make_exhibit(
        past_t_max_wrong,
        "CosineAnnealingLR",
        T_max=(1, 20),
        epochs=(2, 30),
        meant=lambda T_max, epochs: [half_cosine(min(t, T_max) / T_max) for t in range(epochs)],
    ),
    make_exhibit(
        unfinished_cosine_wrong,
        "CosineAnnealingLR",
        batches=(20, 120),
        accumulate=(1, 8),
        unit="update",
    ),
    make_exhibit(
        one_cycle_wrong,
        "OneCycleLR",
        total_steps=(5, 30),
        updates=(5, 30),
        unit="update",
        curves=("rate", "one_cycle.momentum"),
    ),
)
