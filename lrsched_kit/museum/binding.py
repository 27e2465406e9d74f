"""First hall: which scheduler moves which optimizer, and from which rate it starts."""

# The code on show stays as it was printed: a scheduler gives its name to one of another class.
# mypy: disable-error-code="assignment"

from collections.abc import Callable, Iterator

import torch
from torch.optim import SGD, lr_scheduler

from .exhibit import half_cosine, make_exhibit


def stale_optimizer_wrong(schedule: str = "StepLR", epochs: int = 20) -> Iterator[float]:
    """Schedulers first; then the loop makes an optimizer of its own."""
    weights = [torch.zeros(1)]
    optimizer = SGD(weights, lr=0.01)
    schedulers = {
        "StepLR": lr_scheduler.StepLR(optimizer, step_size=5, gamma=0.1),
        "ExponentialLR": lr_scheduler.ExponentialLR(optimizer, gamma=0.95),
        "CosineAnnealingLR": lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs),
    }
    optimizer = SGD(weights, lr=0.01)  # wrong: no scheduler knows this one
    for _ in range(epochs):
        yield optimizer.param_groups[0]["lr"]
        optimizer.step()
        schedulers[schedule].step()


def stale_optimizer_right(schedule: str = "StepLR", epochs: int = 20) -> Iterator[float]:
    """The optimizer that trains is the one that the schedulers know."""
    weights = [torch.zeros(1)]
    optimizer = SGD(weights, lr=0.01)
    schedulers = {
        "StepLR": lr_scheduler.StepLR(optimizer, step_size=5, gamma=0.1),
        "ExponentialLR": lr_scheduler.ExponentialLR(optimizer, gamma=0.95),
        "CosineAnnealingLR": lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs),
    }
    for _ in range(epochs):
        yield optimizer.param_groups[0]["lr"]
        optimizer.step()
        schedulers[schedule].step()


def stale_optimizer_meant(schedule: str, epochs: int) -> list[float]:
    """Return the three curves that the tutorial's text promises."""
    curves: dict[str, Callable[[int], float]] = {
        "StepLR": lambda t: 0.1 ** (t // 5),
        "ExponentialLR": lambda t: 0.95**t,
        "CosineAnnealingLR": lambda t: half_cosine(t / epochs),
    }
    return [0.01 * curves[schedule](t) for t in range(epochs)]


def used_up_wrong(gamma: float = 0.5, epochs: int = 30) -> Iterator[float]:
    """Plot the schedule, to see that it is right; then train with it."""
    optimizer = SGD([torch.zeros(1)], lr=0.5)
    scheduler = lr_scheduler.MultiStepLR(optimizer, milestones=[15, 30], gamma=gamma)
    plotted = []
    for _ in range(epochs):
        plotted.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()  # wrong: this moves the scheduler that training needs
    for _ in range(epochs):
        yield optimizer.param_groups[0]["lr"]
        optimizer.step()
        scheduler.step()


def used_up_right(gamma: float = 0.5, epochs: int = 30) -> Iterator[float]:
    """Make a scheduler for the plot and another, on another optimizer, for the training."""

    def make() -> tuple[SGD, lr_scheduler.MultiStepLR]:
        optimizer = SGD([torch.zeros(1)], lr=0.5)
        return optimizer, lr_scheduler.MultiStepLR(optimizer, milestones=[15, 30], gamma=gamma)

    plotted = []
    optimizer, scheduler = make()
    for _ in range(epochs):
        plotted.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    optimizer, scheduler = make()
    for _ in range(epochs):
        yield optimizer.param_groups[0]["lr"]
        optimizer.step()
        scheduler.step()


def kept_initial_lr_wrong(new_lr: float = 0.01, epochs: int = 10) -> Iterator[float]:
    """Train; then set a smaller rate for fine-tuning, and build a second scheduler."""
    optimizer = SGD([torch.zeros(1)], lr=0.1)
    scheduler = lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)
    for phase in ("train", "fine-tune"):
        if phase == "fine-tune":
            optimizer.param_groups[0]["lr"] = new_lr  # wrong: "initial_lr" is still 0.1
            scheduler = lr_scheduler.LambdaLR(optimizer, lambda t: 1 - t / epochs)
        for _ in range(epochs):
            yield optimizer.param_groups[0]["lr"]
            optimizer.step()
            scheduler.step()


def kept_initial_lr_right(new_lr: float = 0.01, epochs: int = 10) -> Iterator[float]:
    """Give the second phase an optimizer of its own."""
    weights = [torch.zeros(1)]
    optimizer = SGD(weights, lr=0.1)
    scheduler = lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)
    for phase in ("train", "fine-tune"):
        if phase == "fine-tune":
            optimizer = SGD(weights, lr=new_lr)
            scheduler = lr_scheduler.LambdaLR(optimizer, lambda t: 1 - t / epochs)
        for _ in range(epochs):
            yield optimizer.param_groups[0]["lr"]
            optimizer.step()
            scheduler.step()


def kept_initial_lr_meant(new_lr: float, epochs: int) -> list[float]:
    """Return a cosine from 0.1 to 0, then a line from ``new_lr`` to 0."""
    first = [0.1 * half_cosine(t / epochs) for t in range(epochs)]
    return first + [new_lr * (1 - t / epochs) for t in range(epochs)]


EXHIBITS = (
    make_exhibit(
        stale_optimizer_wrong,
        schedule=("StepLR", "ExponentialLR", "CosineAnnealingLR"),
        epochs=(5, 40),
    ),
    make_exhibit(
        used_up_wrong,
        "MultiStepLR",
        gamma=(0.05, 0.95),
        epochs=(5, 40),
        meant=lambda gamma, epochs: [0.5 * gamma ** ((t >= 15) + (t >= 30)) for t in range(epochs)],
    ),
    make_exhibit(kept_initial_lr_wrong, "LambdaLR", new_lr=(0.001, 0.1), epochs=(3, 20)),
)
