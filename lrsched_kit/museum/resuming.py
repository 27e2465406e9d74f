"""Fifth hall: stopping, saving, and going on."""

from collections.abc import Iterator

import torch
from torch.optim import SGD, lr_scheduler

from .exhibit import half_cosine, make_exhibit


def resume_order_wrong(schedule: str = "LinearLR", stop: int = 8) -> Iterator[float]:
    """Load the optimizer, build the scheduler on it, load the scheduler."""

    def build(optimizer: SGD) -> lr_scheduler.LRScheduler:
        if schedule == "ConstantLR":
            return lr_scheduler.ConstantLR(optimizer, factor=0.1, total_iters=5)
        up = lr_scheduler.LinearLR(optimizer, start_factor=0.1, total_iters=5)
        if schedule == "LinearLR":
            return up
        down = lr_scheduler.CosineAnnealingLR(optimizer, T_max=15)
        return lr_scheduler.SequentialLR(optimizer, [up, down], milestones=[5])

    optimizer = SGD([torch.zeros(1)], lr=1.0)
    scheduler = build(optimizer)
    for epoch in range(20):
        if epoch == stop:
            saved = optimizer.state_dict(), scheduler.state_dict()
            optimizer = SGD([torch.zeros(1)], lr=1.0)
            optimizer.load_state_dict(saved[0])
            scheduler = build(optimizer)  # wrong: building takes a first step, here a tenfold cut
            scheduler.load_state_dict(saved[1])
        yield optimizer.param_groups[0]["lr"]
        optimizer.step()
        scheduler.step()


def resume_order_right(schedule: str = "LinearLR", stop: int = 8) -> Iterator[float]:
    """Build both, then load both: what is loaded last is what counts."""

    def build(optimizer: SGD) -> lr_scheduler.LRScheduler:
        if schedule == "ConstantLR":
            return lr_scheduler.ConstantLR(optimizer, factor=0.1, total_iters=5)
        up = lr_scheduler.LinearLR(optimizer, start_factor=0.1, total_iters=5)
        if schedule == "LinearLR":
            return up
        down = lr_scheduler.CosineAnnealingLR(optimizer, T_max=15)
        return lr_scheduler.SequentialLR(optimizer, [up, down], milestones=[5])

    optimizer = SGD([torch.zeros(1)], lr=1.0)
    scheduler = build(optimizer)
    for epoch in range(20):
        if epoch == stop:
            saved = optimizer.state_dict(), scheduler.state_dict()
            optimizer = SGD([torch.zeros(1)], lr=1.0)
            scheduler = build(optimizer)
            optimizer.load_state_dict(saved[0])
            scheduler.load_state_dict(saved[1])
        yield optimizer.param_groups[0]["lr"]
        optimizer.step()
        scheduler.step()


def resume_order_meant(schedule: str, stop: int) -> list[float]:
    """Return the curve of a run that was never interrupted."""
    low = [0.1] * 5 if schedule == "ConstantLR" else [0.1 + 0.9 * t / 5 for t in range(5)]
    if schedule == "SequentialLR":
        return low + [half_cosine(t / 15) for t in range(15)]
    return low + [1.0] * 15


def lost_function_wrong(saved_gamma: float = 0.9, new_gamma: float = 0.8) -> Iterator[float]:
    """Resume with a script in which somebody has changed gamma meanwhile."""
    optimizer = SGD([torch.zeros(1)], lr=1.0)
    scheduler = lr_scheduler.LambdaLR(optimizer, lambda t: saved_gamma**t)
    for epoch in range(20):
        if epoch == 10:
            saved = optimizer.state_dict(), scheduler.state_dict()
            optimizer = SGD([torch.zeros(1)], lr=1.0)
            scheduler = lr_scheduler.LambdaLR(optimizer, lambda t: new_gamma**t)
            optimizer.load_state_dict(saved[0])
            scheduler.load_state_dict(saved[1])  # wrong: a lambda is not in there
        yield optimizer.param_groups[0]["lr"]
        optimizer.step()
        scheduler.step()


def lost_function_right(saved_gamma: float = 0.9, new_gamma: float = 0.8) -> Iterator[float]:
    """Make the function an object: what it holds is saved and loaded."""

    class Decay:
        def __init__(self, gamma: float) -> None:
            self.gamma = gamma

        def __call__(self, t: int) -> float:
            return self.gamma**t

    optimizer = SGD([torch.zeros(1)], lr=1.0)
    scheduler = lr_scheduler.LambdaLR(optimizer, Decay(saved_gamma))
    for epoch in range(20):
        if epoch == 10:
            saved = optimizer.state_dict(), scheduler.state_dict()
            optimizer = SGD([torch.zeros(1)], lr=1.0)
            scheduler = lr_scheduler.LambdaLR(optimizer, Decay(new_gamma))
            optimizer.load_state_dict(saved[0])
            scheduler.load_state_dict(saved[1])  # brings the saved gamma back
        yield optimizer.param_groups[0]["lr"]
        optimizer.step()
        scheduler.step()


EXHIBITS = (
    make_exhibit(
        resume_order_wrong,
        "LRScheduler",
        schedule=("LinearLR", "ConstantLR", "SequentialLR"),
        stop=(1, 18),
    ),
    make_exhibit(
        lost_function_wrong,
        "LambdaLR",
        saved_gamma=(0.7, 0.99),
        new_gamma=(0.7, 0.99),
        meant=lambda saved_gamma, new_gamma: [saved_gamma**t for t in range(20)],
    ),
)
