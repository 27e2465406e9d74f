"""Fourth hall: two things that write the same rate, and phases that do not fit together."""

from collections.abc import Iterator
from math import cos, pi

import torch
from torch.optim import SGD, lr_scheduler

from .exhibit import half_cosine, make_exhibit


def chained_warmup_wrong(warmup: int = 5, decay: int = 15) -> Iterator[float]:
    """Warm up, then anneal: chained."""
    optimizer = SGD([torch.zeros(1)], lr=1.0)
    up = lr_scheduler.LinearLR(optimizer, start_factor=0.1, total_iters=warmup)
    down = lr_scheduler.CosineAnnealingLR(optimizer, T_max=decay)
    scheduler = lr_scheduler.ChainedScheduler([up, down])  # wrong: both at the same time
    for _ in range(warmup + decay):
        yield optimizer.param_groups[0]["lr"]
        optimizer.step()
        scheduler.step()


def chained_warmup_right(warmup: int = 5, decay: int = 15) -> Iterator[float]:
    """Warm up, then anneal: one after the other."""
    optimizer = SGD([torch.zeros(1)], lr=1.0)
    up = lr_scheduler.LinearLR(optimizer, start_factor=0.1, total_iters=warmup)
    down = lr_scheduler.CosineAnnealingLR(optimizer, T_max=decay)
    scheduler = lr_scheduler.SequentialLR(optimizer, [up, down], milestones=[warmup])
    for _ in range(warmup + decay):
        yield optimizer.param_groups[0]["lr"]
        optimizer.step()
        scheduler.step()


def chained_warmup_meant(warmup: int, decay: int) -> list[float]:
    """Return a line from 0.1 up to 1, then a cosine from 1 down to 0."""
    up = [0.1 + 0.9 * t / warmup for t in range(warmup)]
    return up + [half_cosine(t / decay) for t in range(decay)]


def absolute_and_relative_wrong(warmup: int = 3, stalls_at: int = 6) -> Iterator[float]:
    """Warm up with LambdaLR, and let the plateau scheduler cut the rate, every epoch."""
    optimizer = SGD([torch.zeros(1)], lr=0.05)
    warm = lr_scheduler.LambdaLR(optimizer, lambda t: min(1.0, (t + 1) / warmup))
    plateau = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.1, patience=2, min_lr=0.005)
    for epoch in range(20):
        yield optimizer.param_groups[0]["lr"]
        optimizer.step()
        warm.step()  # wrong: sets lr anew each time, also after a cut
        plateau.step(1 / (1 + min(epoch, stalls_at)))  # the validation loss


def absolute_and_relative_right(warmup: int = 3, stalls_at: int = 6) -> Iterator[float]:
    """Step the absolute one only as long as it has something to say."""
    optimizer = SGD([torch.zeros(1)], lr=0.05)
    warm = lr_scheduler.LambdaLR(optimizer, lambda t: min(1.0, (t + 1) / warmup))
    plateau = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.1, patience=2, min_lr=0.005)
    for epoch in range(20):
        yield optimizer.param_groups[0]["lr"]
        optimizer.step()
        if epoch < warmup:
            warm.step()
        plateau.step(1 / (1 + min(epoch, stalls_at)))  # the validation loss


def absolute_and_relative_meant(warmup: int, stalls_at: int) -> list[float]:
    """Return a warmup to 0.05, and 0.005 from three epochs after the stall on."""
    rates = [0.05 * min(1.0, (t + 1) / warmup) for t in range(20)]
    return [0.005 if t > stalls_at + 3 else rate for t, rate in enumerate(rates)]


def torn_warmup_wrong(warmup: int = 8, epochs: int = 20) -> Iterator[float]:
    """Warm up from nothing; then a cosine that counts from the start of the run."""

    def factor(t: int) -> float:
        if t < warmup:
            return t / warmup  # wrong: the first rate is 0
        return (1 + cos(pi * t / epochs)) / 2  # wrong: at t = warmup this is not 1

    optimizer = SGD([torch.zeros(1)], lr=1.0)
    scheduler = lr_scheduler.LambdaLR(optimizer, factor)
    for _ in range(epochs):
        yield optimizer.param_groups[0]["lr"]
        optimizer.step()
        scheduler.step()


def torn_warmup_right(warmup: int = 8, epochs: int = 20) -> Iterator[float]:
    """Arrive at 1 with the last epoch of the warmup, and leave from 1."""

    def factor(t: int) -> float:
        if t < warmup:
            return (t + 1) / warmup
        return (1 + cos(pi * (t - warmup) / (epochs - warmup))) / 2

    optimizer = SGD([torch.zeros(1)], lr=1.0)
    scheduler = lr_scheduler.LambdaLR(optimizer, factor)
    for _ in range(epochs):
        yield optimizer.param_groups[0]["lr"]
        optimizer.step()
        scheduler.step()


def torn_warmup_meant(warmup: int, epochs: int) -> list[float]:
    """Return equal steps up to 1, then half a cosine down from 1."""
    up = [(t + 1) / warmup for t in range(warmup)]
    return up + [half_cosine(t / (epochs - warmup)) for t in range(epochs - warmup)]


def divided_by_hand_wrong(at: int = 3, T_max: int = 10) -> Iterator[float]:
    """Make one epoch gentler."""
    optimizer = SGD([torch.zeros(1)], lr=1.0)
    scheduler = lr_scheduler.CosineAnnealingLR(optimizer, T_max)
    for epoch in range(T_max):
        if epoch == at:
            optimizer.param_groups[0]["lr"] /= 10  # wrong: the next rate is made from this one
        yield optimizer.param_groups[0]["lr"]
        optimizer.step()
        scheduler.step()


def divided_by_hand_right(at: int = 3, T_max: int = 10) -> Iterator[float]:
    """Make one epoch gentler, and put the rate back before the scheduler sees it."""
    optimizer = SGD([torch.zeros(1)], lr=1.0)
    scheduler = lr_scheduler.CosineAnnealingLR(optimizer, T_max)
    for epoch in range(T_max):
        planned = optimizer.param_groups[0]["lr"]
        if epoch == at:
            optimizer.param_groups[0]["lr"] = planned / 10
        yield optimizer.param_groups[0]["lr"]
        optimizer.step()
        optimizer.param_groups[0]["lr"] = planned
        scheduler.step()


def divided_by_hand_meant(at: int, T_max: int) -> list[float]:
    """Return a cosine with one epoch at a tenth."""
    return [half_cosine(t / T_max) / (10 if t == at else 1) for t in range(T_max)]


EXHIBITS = (
    make_exhibit(chained_warmup_wrong, "ChainedScheduler", warmup=(1, 15), decay=(5, 30)),
    make_exhibit(
        absolute_and_relative_wrong, "ReduceLROnPlateau", warmup=(1, 5), stalls_at=(5, 15)
    ),
    make_exhibit(torn_warmup_wrong, "LambdaLR", warmup=(2, 10), epochs=(12, 40)),
    make_exhibit(divided_by_hand_wrong, "CosineAnnealingLR", at=(0, 9), T_max=(10, 30)),
)
