"""Last hall: schedules that are all right, and a comparison that is not."""

from collections.abc import Callable, Iterator
from math import cos, pi

import torch
from torch.optim import SGD, lr_scheduler

from .exhibit import half_cosine, make_exhibit


def unfair_comparison_wrong(base_lr: float = 0.4, seeds: int = 1) -> Iterator[float]:
    """Twenty people compare constant and cosine, each on other seeds, all at one base_lr."""

    def final_loss(factor: Callable[[int], float], person: int) -> float:
        noise = torch.Generator().manual_seed(person)
        weights = torch.full((seeds,), 3.0, dtype=torch.float64)  # a run per seed
        optimizer = SGD([weights], lr=base_lr)  # wrong: nobody asked what suits whom
        scheduler = lr_scheduler.LambdaLR(optimizer, factor)
        for _ in range(100):
            weights.grad = weights + torch.randn(seeds, generator=noise, dtype=torch.float64)
            optimizer.step()
            scheduler.step()
        return (weights**2 / 2).mean().item()

    for person in range(20):
        constant = final_loss(lambda t: 1.0, person)
        yield constant - final_loss(lambda t: (1 + cos(pi * t / 100)) / 2, person)


def unfair_comparison_right(base_lr: float = 0.4, seeds: int = 1) -> Iterator[float]:
    """Each schedule at its own best base_lr, and many seeds, whatever the two knobs say."""
    seeds = 2000

    def final_loss(factor: Callable[[int], float], best_lr: float, person: int) -> float:
        noise = torch.Generator().manual_seed(person)
        weights = torch.full((seeds,), 3.0, dtype=torch.float64)  # a run per seed
        optimizer = SGD([weights], lr=best_lr)
        scheduler = lr_scheduler.LambdaLR(optimizer, factor)
        for _ in range(100):
            weights.grad = weights + torch.randn(seeds, generator=noise, dtype=torch.float64)
            optimizer.step()
            scheduler.step()
        return (weights**2 / 2).mean().item()

    for person in range(20):
        constant = final_loss(lambda t: 1.0, 0.04, person)
        yield constant - final_loss(lambda t: (1 + cos(pi * t / 100)) / 2, 0.1, person)


GRID = (0.01, 0.02, 0.04, 0.1, 0.2, 0.4)


def expected_loss(base_lr: float, *, cosine: bool) -> float:
    """Return the mean of the final loss over all seeds, from a recursion for mean and variance."""
    mean, variance = 3.0, 0.0
    for t in range(100):
        rate = base_lr * (half_cosine(t / 100) if cosine else 1.0)
        mean, variance = (1 - rate) * mean, (1 - rate) ** 2 * variance + rate**2
    return (mean**2 + variance) / 2


def unfair_comparison_meant(base_lr: float, seeds: int) -> list[float]:
    """Return the exact gap between the two schedules, each at its best base_lr of one grid."""
    constant, cosine = (
        min(expected_loss(lr, cosine=cosine) for lr in GRID) for cosine in (False, True)
    )
    return [constant - cosine] * 20


EXHIBITS = (
    make_exhibit(
        unfair_comparison_wrong,
        base_lr=(0.01, 1.0),
        seeds=(1, 50),
        unit="comparison",
        curves=("unfair_comparison.gap",),
        within=0.5,
    ),
)
