"""The training loop that the lessons teach, and the record that it keeps."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR, ReduceLROnPlateau

from .data import Dataset
from .schedules import check_number, nearest

STEP_EVERY = ("epoch", "batch")


@dataclass(frozen=True)
class History:
    """What one training run did.

    Attributes:
        lr: shape ``(epochs * steps_per_epoch,)``: the rate in the optimizer's first parameter
            group at each update, NaN where the run had ended before it.
        train_loss: shape ``(epochs,)``: mean loss over the epoch's batches, as they were trained.
        val_loss: shape ``(epochs,)``: loss on the validation set after the epoch.
        val_accuracy: shape ``(epochs,)``: share of validation rows classified correctly, 0 to 1
            (NaN where the task has no accuracy). It is ``metrics["accuracy"]``.
        diverged_at: index of the first epoch with a non-finite loss (0 is the first epoch), or
            None. The run ends there; later entries are NaN.
        metrics: name -> shape ``(epochs,)``: what the task reports after each epoch.
        group_lr: shape ``(groups, epochs * steps_per_epoch)``: the rate of every parameter group;
            the first is `lr`.
        alone: why a fleet trained this run by itself, in `train`'s own loop, rather than together
            with others; empty where it did not.
    """

    lr: np.ndarray
    train_loss: np.ndarray
    val_loss: np.ndarray
    val_accuracy: np.ndarray
    diverged_at: int | None = None
    metrics: Mapping[str, np.ndarray] = field(default_factory=dict)
    group_lr: np.ndarray = field(default=None)  # type: ignore[assignment]  # see __post_init__
    alone: str = ""

    def __post_init__(self) -> None:
        if self.group_lr is None:
            object.__setattr__(self, "group_lr", self.lr[np.newaxis])

    @property
    def epochs(self) -> int:
        """How many epochs there is room for."""
        return len(self.train_loss)

    @property
    def finished(self) -> int:
        """How many epochs were trained to their end with finite losses."""
        return int(np.isfinite(self.val_loss).sum())

    @property
    def epoch_lr(self) -> np.ndarray:
        """Shape ``(epochs,)``: the rate at the first update of each epoch."""
        return self.lr.reshape(self.epochs, -1)[:, 0]

    def of(self, metric: str) -> np.ndarray:
        """Return the validation loss, ``"loss"``, or a metric by its name, shape ``(epochs,)``.

        Raises:
            ValueError: for an unknown name, with the nearest one and the list.
        """
        known = {"loss": self.val_loss, **self.metrics}
        if metric not in known:
            raise ValueError(
                f"metric must name what the task reports{nearest(str(metric), known)}, "
                f"got {metric!r}; there are {', '.join(known)}."
            )
        return known[metric]

    @classmethod
    def empty(
        cls, epochs: int, steps_per_epoch: int, *, metrics: Iterable[str] = (), groups: int = 1
    ) -> History:
        """Return a record with room for so many epochs, all NaN."""
        rates = np.full((groups, epochs * steps_per_epoch), math.nan)
        scores = {name: np.full(epochs, math.nan) for name in metrics}
        accuracy = scores.get("accuracy", np.full(epochs, math.nan))
        losses = np.full((2, epochs), math.nan)
        return cls(rates[0], *losses, accuracy, metrics=scores, group_lr=rates)


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


def evaluate(model: nn.Module, data: Dataset) -> tuple[float, float]:
    """Return loss and accuracy on the validation set (accuracy is NaN for a regression)."""
    was_training = model.training
    model.eval()
    with torch.no_grad():
        output = model(data.x_val)
        loss = data.loss_fn(output, data.y_val).item()
        accuracy = math.nan
        if data.is_classification:
            accuracy = (output.argmax(dim=1) == data.y_val).double().mean().item()
    model.train(was_training)
    return loss, accuracy


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
    on_epoch: Callable[[int, History], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> History:
    """Train ``model`` in place and record what was applied.

    The order of the batches depends on ``seed`` alone, not on the schedule, so two runs with the
    same seed and the same initial weights differ by their rates only. A run whose loss is no
    longer finite ends there and says so in ``diverged_at``.

    These models are too small to be worth splitting between processors, so torch is held to one
    thread meanwhile; the process's own setting is put back.

    Args:
        model: maps ``data.x_train`` rows to scores (or targets).
        data: what to train and validate on.
        optimizer: holds the model's parameters.
        scheduler: drives this very optimizer; None leaves the rate alone. ReduceLROnPlateau is
            told the validation loss.
        epochs: passes over the training set.
        batch_size: rows per update.
        seed: of the batch order.
        step_every: ``"epoch"`` or ``"batch"``: when ``scheduler.step()`` is called.
        on_epoch: called as ``on_epoch(epoch, history)`` after each epoch, with the live record.
        should_stop: asked before each update; True ends the run, its unfinished epoch left NaN.

    Returns:
        A `History`.

    Raises:
        ValueError: naming argument, constraint and value; before anything is trained.

    Source: https://docs.pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate

    >>> from lrsched_kit.data import load_digits
    >>> from lrsched_kit.models import MLP, seeded
    >>> model = seeded(MLP, 0)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    >>> scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2)
    >>> history = train(model, load_digits(), optimizer, scheduler, epochs=4)
    >>> history.epoch_lr.round(6).tolist()
    [0.1, 0.1, 0.01, 0.01]
    """
    epochs = int(check_number("epochs", epochs, integer=True))
    batch_size = int(check_number("batch_size", batch_size, integer=True))
    steps_per_epoch = math.ceil(len(data.x_train) / batch_size)
    check_parts(model, data, optimizer, scheduler, step_every)
    _check_length(scheduler, epochs * (steps_per_epoch if step_every == "batch" else 1))
    wants_metric = isinstance(scheduler, ReduceLROnPlateau)
    generator = torch.Generator().manual_seed(seed)
    history = History.empty(epochs, steps_per_epoch)
    loss_fn = data.loss_fn
    step = 0
    with one_thread():
        model.train()
        for epoch in range(epochs):
            total = 0.0
            for x, y in batches(data.x_train, data.y_train, batch_size, generator):
                if should_stop is not None and should_stop():
                    return history
                optimizer.zero_grad()
                loss = loss_fn(model(x), y)
                loss.backward()
                history.lr[step] = optimizer.param_groups[0]["lr"]
                optimizer.step()
                step += 1
                total += loss.item() * len(x)
                if not math.isfinite(total):
                    break
                if scheduler is not None and step_every == "batch":
                    scheduler.step()
            history.train_loss[epoch] = total / len(data.x_train)
            if math.isfinite(total):
                history.val_loss[epoch], history.val_accuracy[epoch] = evaluate(model, data)
            if not math.isfinite(history.train_loss[epoch] + history.val_loss[epoch]):
                history = replace(history, diverged_at=epoch)
            if on_epoch is not None:
                on_epoch(epoch, history)
            if history.diverged_at is not None:
                break
            if scheduler is not None and step_every == "epoch":
                scheduler.step(*([history.val_loss[epoch]] if wants_metric else []))
    return history


def check_parts(
    model: nn.Module,
    data: Dataset,
    optimizer: Optimizer,
    scheduler: LRScheduler | None = None,
    step_every: str = "epoch",
) -> None:
    """Raise a ValueError unless these can be trained together."""
    check_step_every(step_every, wants_metric=isinstance(scheduler, ReduceLROnPlateau))
    if scheduler is not None and scheduler.optimizer is not optimizer:
        raise ValueError(
            "scheduler must drive the optimizer that trains, got one built on another optimizer."
        )
    trained = {id(p) for group in optimizer.param_groups for p in group["params"]}
    if trained.isdisjoint(id(p) for p in model.parameters()):
        raise ValueError(
            "optimizer must hold parameters of the model that trains, got those of another model."
        )
    check_shapes(model, data)


def _check_length(scheduler: LRScheduler | None, steps: int) -> None:
    # OneCycleLR knows its end, and raises in the middle of a run that is longer.
    if isinstance(scheduler, OneCycleLR) and scheduler.last_epoch + steps > scheduler.total_steps:
        raise ValueError(
            f"total_steps must be at least {scheduler.last_epoch + steps}, the scheduler steps "
            f"taken by the end of this run, got {scheduler.total_steps}: OneCycleLR refuses to "
            "step beyond."
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


def check_shapes(model: nn.Module, data: Dataset) -> None:
    """Try the model on two rows, so that a mismatch is told in words and before training."""
    was_training = model.training
    model.eval()  # which leaves running statistics and random numbers alone
    try:
        with torch.no_grad():
            output, y = model(data.x_train[:2]), data.y_train[:2]
            if not isinstance(output, Tensor):
                raise TypeError(f"its output is a {type(output).__name__}, not a Tensor")
            fits = data.is_classification or output.shape == y.shape
            if fits:
                data.loss_fn(output, y.clamp(max=0) if data.is_classification else y)
    except Exception as error:  # a model's code may raise anything
        raise ValueError(
            f"model must fit data {data.name!r} (inputs of shape "
            f"{tuple(data.x_train.shape[1:])}, labels of shape {tuple(data.y_train.shape[1:])}), "
            f"got {type(model).__name__}: {error}"
        ) from error
    finally:
        model.train(was_training)
    if data.is_classification:
        _check_classes(model, data, output.shape[1])
    elif not fits:
        got, wanted = (" x ".join(map(str, part.shape[1:])) or "1" for part in (output, y))
        raise ValueError(
            f"model must fit data {data.name!r}, got {got} outputs from "
            f"{_last_module(model, data)}: give it {wanted} outputs, one per target."
        )


def _check_classes(model: nn.Module, data: Dataset, outputs: int) -> None:
    for part in ("train", "val"):
        lowest = int(getattr(data, f"y_{part}").min())
        if lowest < 0:
            raise ValueError(f"y_{part} must hold classes counted from 0, got {lowest}.")
    classes = 1 + max(int(data.y_train.max()), int(data.y_val.max()))
    if outputs < classes:
        raise ValueError(
            f"model must fit data {data.name!r}, got {outputs} outputs from "
            f"{_last_module(model, data)}: give it {classes} outputs, one per class."
        )


def _last_module(model: nn.Module, data: Dataset) -> str:
    """Name the innermost module whose output the model returns as it is."""
    made: list[tuple[str, nn.Module, object]] = []

    def note(name: str, module: nn.Module, output: object) -> None:
        made.append((name, module, output))

    hooks = [
        module.register_forward_hook(lambda m, _, output, name=name: note(name, m, output))
        for name, module in model.named_modules()
    ]
    was_training = model.training
    try:
        with torch.no_grad():
            last = model.eval()(data.x_train[:2])
    finally:
        model.train(was_training)
        for hook in hooks:
            hook.remove()
    name, module, _ = next(row for row in made if row[2] is last)
    if any(module.children()):  # its own layers are not to blame
        return f"module {name!r} ({type(module).__name__})" if name else type(module).__name__
    return f"module {name!r} ({module})" if name else str(module)


class _Threads:
    """torch's thread count, held at one while anybody trains, and put back when all have ended.

    torch gives a new thread the count that was set last, so of two trainings that overlap the
    second must not take the first one's setting for the process's own.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._here = threading.local()
        self._holders = 0
        self._own = 1

    @contextmanager
    def __call__(self) -> Iterator[int]:
        """Hold torch to one thread; the ``with`` statement is given the process's own count.

        >>> before = torch.get_num_threads()
        >>> with one_thread() as count:
        ...     torch.get_num_threads(), count == before
        (1, True)
        >>> torch.get_num_threads() == before
        True
        """
        with self._lock:
            if self._holders == 0:
                self._own = torch.get_num_threads()
            self._holders += 1
            torch.set_num_threads(1)
        depth = getattr(self._here, "depth", 0)
        self._here.depth = depth + 1
        try:
            yield self._own
        finally:
            with self._lock:
                self._holders -= 1
                self._here.depth = depth
                if depth == 0:
                    torch.set_num_threads(self._own)


one_thread = _Threads()
