"""The training loop that the lessons teach."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR, ReduceLROnPlateau

from ..tasks.data import Dataset, told_metric
from ..tasks.optimizers import check_stepping, rates_of
from ..tasks.torch_private import steps_left
from ..words.errors import check_number
from .history import History
from .threads import one_thread
from .trial import Trial, try_out

STEP_EVERY = ("epoch", "batch")


def scheduler_steps(epochs: int, steps_per_epoch: int, step_every: str | None) -> int:
    """Return how often so many epochs step a scheduler."""
    return epochs * (steps_per_epoch if step_every == "batch" else 1)


def batches(
    x: Tensor, y: Tensor, batch_size: int, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the rows in a new random order, ``batch_size`` at a time (the last may be smaller).

    >>> g = torch.Generator().manual_seed(0)
    >>> x = torch.arange(5.0)
    >>> [len(bx) for bx, by in batches(x, x, 2, g)]
    [2, 2, 1]
    """
    for rows in torch.randperm(len(x), generator=generator).split(batch_size):
        yield x[rows], y[rows]


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a model into evaluation mode; each of its modules goes back to the mode it was in."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode


def score(model: nn.Module, data: Dataset) -> tuple[float, dict[str, float]]:
    """Return the loss on the validation set, and the task's metrics by name."""
    with evaluating(model):
        outputs = model(data.x_val)
        loss = data.loss_fn(outputs, data.y_val).item()
        return loss, {k: float(metric(outputs, data.y_val)) for k, metric in data.metrics.items()}


def evaluate(model: nn.Module, data: Dataset) -> tuple[float, float]:
    """Return loss and accuracy on the validation set (accuracy is NaN for a regression)."""
    loss, metrics = score(model, data)
    return loss, metrics.get("accuracy", math.nan)


def train(
    model: nn.Module,
    data: Dataset,
    optimizer: Optimizer,
    scheduler: LRScheduler | None = None,
    *,
    epochs: int,
    batch_size: int = 16,
    seed: int = 0,
    step_every: str = "epoch",
    metric: str | None = None,
    on_epoch: Callable[[int, History], object] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> History:
    """Train ``model`` in place and record what was applied.

    The order of the batches depends on ``seed`` alone, not on the schedule, so two runs with the
    same seed and the same initial weights differ by their rates only. What the model draws as it
    trains (dropout) depends on ``seed`` alone, too, and disturbs nobody else's random numbers. A
    run whose loss is no longer finite ends there and says so in ``diverged_at``.

    A model in evaluation mode is put into training mode. Parts that are in evaluation mode within
    a model that trains, a frozen BatchNorm say, stay so.

    These models are too small to be worth splitting between processors, so torch is held to one
    thread meanwhile; the process's own setting is put back.

    Args:
        model: maps ``data.x_train`` rows to scores (or targets).
        data: what to train and validate on.
        optimizer: holds the model's parameters, in one group or several.
        scheduler: drives this very optimizer; None leaves the rate alone.
        epochs: passes over the training set.
        batch_size: rows per update.
        seed: of the batch order, and of what the model draws.
        step_every: ``"epoch"`` or ``"batch"``: when ``scheduler.step()`` is called.
        metric: what ReduceLROnPlateau is told after each epoch; None: the validation loss, or
            with ``mode="max"`` the accuracy.
        on_epoch: called as ``on_epoch(epoch, history)`` after each epoch, with the live record.
        should_stop: asked before each update; True ends the run, its unfinished epoch left NaN.

    Returns:
        A `History`.

    Raises:
        ValueError: naming argument, constraint and value; before anything is trained.

    Source: https://docs.pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate

    >>> from lrsched_kit import load_digits
    >>> from lrsched_kit import MLP, seeded
    >>> model = seeded(MLP, 0)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    >>> scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2)
    >>> history = train(model, load_digits(), optimizer, scheduler, epochs=4)
    >>> history.epoch_lr.round(6).tolist()
    [0.1, 0.1, 0.01, 0.01]
    """
    with one_thread():
        training = Training(
            model, data, optimizer, scheduler, epochs, batch_size, seed, step_every, metric
        )
        for epoch in training.run(should_stop or (lambda: False)):
            if on_epoch is not None:
                on_epoch(epoch, training.history)
    return training.history


@dataclass
class Training:
    """One run of `train`, an epoch at a time. Args as there; ``history`` is the live record."""

    model: nn.Module
    data: Dataset
    optimizer: Optimizer
    scheduler: LRScheduler | None
    epochs: int
    batch_size: int
    seed: int
    step_every: str
    metric: str | None = None
    trial: Trial | None = None

    def __post_init__(self) -> None:
        model, data, scheduler = self.model, self.data, self.scheduler
        epochs = int(check_number("epochs", self.epochs, integer=True))
        self.batch_size = int(check_number("batch_size", self.batch_size, integer=True))
        steps = math.ceil(len(data.x_train) / self.batch_size)
        how = self.step_every, self.metric
        self._told = check_parts(model, data, self.optimizer, scheduler, *how)
        check_length(scheduler, scheduler_steps(epochs, steps, self.step_every))
        trial = self.trial or try_out(model, data, self.batch_size)
        self._order = torch.Generator().manual_seed(self.seed)
        self._drawing = trial.randomness(self.seed)
        groups = len(self.optimizer.param_groups)
        self.history = History.empty(epochs, steps, metrics=data.metrics, groups=groups)

    def run(self, should_stop: Callable[[], bool]) -> Iterator[int]:
        """Train an epoch, yield its number, step the scheduler; until the end, or a stop."""
        model, data, history = self.model, self.data, self.history
        optimizer, scheduler, loss_fn = self.optimizer, self.scheduler, data.loss_fn
        step = 0
        if not model.training:
            model.train()
        for epoch in range(history.epochs):
            total = 0.0
            for x, y in batches(data.x_train, data.y_train, self.batch_size, self._order):
                if should_stop():
                    return
                with self._drawing():
                    optimizer.zero_grad()
                    loss = loss_fn(model(x), y)
                    loss.backward()
                    history.group_lr[:, step] = rates_of(optimizer)
                    optimizer.step()
                step += 1
                total += loss.item() * len(x)
                if not math.isfinite(total):
                    break
                if scheduler is not None and self.step_every == "batch":
                    scheduler.step()
            history.train_loss[epoch] = total / len(data.x_train)
            if math.isfinite(total):
                with self._drawing():
                    history.val_loss[epoch], metrics = score(model, data)
                for name, value in metrics.items():
                    history.metrics[name][epoch] = value
            if not math.isfinite(history.train_loss[epoch] + history.val_loss[epoch]):
                self.history = history = replace(history, diverged_at=epoch)
            yield epoch
            if history.diverged_at is not None:
                return
            if scheduler is not None and self.step_every == "epoch":
                scheduler.step(*([history.of(self._told)[epoch]] if self._told else []))


def check_parts(
    model: nn.Module,
    data: Dataset,
    optimizer: Optimizer,
    scheduler: LRScheduler | None = None,
    step_every: str = "epoch",
    metric: str | None = None,
) -> str | None:
    """Raise a ValueError unless these can be trained together; return what a plateau is told."""
    check_step_every(step_every, wants_metric=isinstance(scheduler, ReduceLROnPlateau))
    if scheduler is not None and getattr(scheduler, "optimizer", optimizer) is not optimizer:
        raise ValueError(
            "scheduler must drive the optimizer that trains, got one built on another optimizer."
        )
    check_stepping(optimizer)
    trained = {id(p) for group in optimizer.param_groups for p in group["params"]}
    if trained.isdisjoint(id(p) for p in model.parameters()):
        raise ValueError(
            "optimizer must hold parameters of the model that trains, got those of another model."
        )
    if isinstance(scheduler, ReduceLROnPlateau):
        return told_metric(data, scheduler.mode, metric)
    return None


def check_length(scheduler: LRScheduler | None, steps: int) -> None:
    """Refuse a OneCycleLR that knows its end, and would raise in the middle of this run."""
    if scheduler is None or (left := steps_left(scheduler)) >= steps:
        return
    if isinstance(scheduler, OneCycleLR):
        raise ValueError(
            f"total_steps must be at least {scheduler.last_epoch + steps}, the scheduler steps "
            f"taken by the end of this run, got {scheduler.total_steps}: OneCycleLR refuses to "
            "step beyond."
        )
    raise ValueError(
        f"scheduler must take {steps} steps, those of this run, got {type(scheduler).__name__} "
        f"with a OneCycleLR in it that ends after {left:g}: give that one more total_steps."
    )


def check_step_every(step_every: str, *, wants_metric: bool) -> None:
    """Raise a ValueError unless a scheduler can be stepped so."""
    if step_every not in STEP_EVERY:
        raise ValueError(f"step_every must be 'epoch' or 'batch', got {step_every!r}.")
    if step_every == "batch" and wants_metric:
        raise ValueError(
            "step_every must be 'epoch' for ReduceLROnPlateau, which waits for the "
            f"validation loss, got {step_every!r}."
        )
