"""Second hall: in which order to step, how often, and from which number counting starts."""

from collections.abc import Iterator

import numpy as np
import torch
from torch.optim import SGD, lr_scheduler

from .exhibit import make_exhibit


def wrong_order_wrong(step_size: int = 3, epochs: int = 9) -> Iterator[float]:
    """Step the scheduler at the top of the loop."""
    optimizer = SGD([torch.zeros(1)], lr=1.0)
    scheduler = lr_scheduler.StepLR(optimizer, step_size, gamma=0.1)
    for _ in range(epochs):
        scheduler.step()  # wrong: the optimizer has not used this epoch's rate yet
        yield optimizer.param_groups[0]["lr"]
        optimizer.step()


def wrong_order_right(step_size: int = 3, epochs: int = 9) -> Iterator[float]:
    """Use the rate, then move it."""
    optimizer = SGD([torch.zeros(1)], lr=1.0)
    scheduler = lr_scheduler.StepLR(optimizer, step_size, gamma=0.1)
    for _ in range(epochs):
        yield optimizer.param_groups[0]["lr"]
        optimizer.step()
        scheduler.step()


def wrong_unit_wrong(step_size: int = 10, batches: int = 100, epochs: int = 3) -> Iterator[float]:
    """Count step_size in epochs, and step once per batch."""
    optimizer = SGD([torch.zeros(1)], lr=1.0)
    scheduler = lr_scheduler.StepLR(optimizer, step_size, gamma=0.1)
    for _ in range(epochs):
        for _ in range(batches):
            yield optimizer.param_groups[0]["lr"]
            optimizer.step()
            scheduler.step()  # wrong: one indentation too deep


def wrong_unit_right(step_size: int = 10, batches: int = 100, epochs: int = 3) -> Iterator[float]:
    """Step in the unit in which step_size is counted."""
    optimizer = SGD([torch.zeros(1)], lr=1.0)
    scheduler = lr_scheduler.StepLR(optimizer, step_size, gamma=0.1)
    for _ in range(epochs):
        for _ in range(batches):
            yield optimizer.param_groups[0]["lr"]
            optimizer.step()
        scheduler.step()


def wrong_unit_meant(step_size: int, batches: int, epochs: int) -> np.ndarray:
    """Return one value per batch; it falls after every ``step_size`` epochs."""
    return 0.1 ** (np.arange(epochs * batches) // (step_size * batches))


def late_plateau_wrong(bad_epochs: int = 2, epochs: int = 12) -> Iterator[float]:
    """Ask for a cut after so many bad epochs."""
    optimizer = SGD([torch.zeros(1)], lr=1.0)
    scheduler = lr_scheduler.ReduceLROnPlateau(
        optimizer,
        factor=0.1,
        patience=bad_epochs,  # wrong: so many bad epochs are *forgiven*
    )
    for _ in range(epochs):
        yield optimizer.param_groups[0]["lr"]
        optimizer.step()
        scheduler.step(0.5)  # a validation loss that never gets better


def late_plateau_right(bad_epochs: int = 2, epochs: int = 12) -> Iterator[float]:
    """Forgive one bad epoch fewer."""
    optimizer = SGD([torch.zeros(1)], lr=1.0)
    scheduler = lr_scheduler.ReduceLROnPlateau(
        optimizer,
        factor=0.1,
        patience=bad_epochs - 1,
    )
    for _ in range(epochs):
        yield optimizer.param_groups[0]["lr"]
        optimizer.step()
        scheduler.step(0.5)  # a validation loss that never gets better


def late_plateau_meant(bad_epochs: int, epochs: int) -> np.ndarray:
    """Return 1 for the first epoch, which sets the mark, then a cut after ``bad_epochs`` each."""
    cuts = np.maximum(np.arange(epochs) - 1, 0) // bad_epochs
    # torch leaves the rate where it is once a cut would change it by less than 1e-8.
    return np.maximum(0.1**cuts, 1e-8)


EXHIBITS = (
    make_exhibit(
        wrong_order_wrong,
        step_size=(1, 8),
        epochs=(2, 20),
        meant=lambda step_size, epochs: [0.1 ** (t // step_size) for t in range(epochs)],
        log=True,
    ),
    make_exhibit(
        wrong_unit_wrong,
        "StepLR",
        step_size=(1, 20),
        batches=(1, 100),
        epochs=(1, 20),
        unit="batch",
        log=True,
    ),
    make_exhibit(
        late_plateau_wrong, "ReduceLROnPlateau", bad_epochs=(1, 6), epochs=(2, 20), log=True
    ),
)
