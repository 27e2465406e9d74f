"""The record that a training run keeps."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from ..words.errors import nearest


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
        alone: why `train_many` trained this run by itself, in `train`'s own loop, rather than
            together with others; empty where it did not.
    """

    lr: np.ndarray
    train_loss: np.ndarray
    val_loss: np.ndarray
    val_accuracy: np.ndarray
    diverged_at: int | None = None
    metrics: Mapping[str, np.ndarray] = field(default_factory=dict)
    group_lr: np.ndarray = field(default=None)  # type: ignore[arg-type]  # see __post_init__
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

    def records(self) -> list[dict[str, float]]:
        """Return one dict per epoch, such as ``pandas.DataFrame`` makes a table of.

        Its keys: "epoch", counted from 0; "lr", the rate at its first update, and "lr_1", "lr_2"
        and so on, those of further parameter groups; "train_loss", "val_loss", and each metric by
        its name, such as "val_accuracy". What was not trained is NaN.

        >>> history = History.empty(epochs=2, steps_per_epoch=1, metrics=["accuracy"])
        >>> history.lr[:], history.val_loss[0] = [0.1, 0.05], 0.7
        >>> for record in history.records():
        ...     print(record)
        {'epoch': 0, 'lr': 0.1, 'train_loss': nan, 'val_loss': 0.7, 'val_accuracy': nan}
        {'epoch': 1, 'lr': 0.05, 'train_loss': nan, 'val_loss': nan, 'val_accuracy': nan}
        """
        rates = self.group_lr.reshape(len(self.group_lr), self.epochs, -1)[:, :, 0]
        columns = {f"lr_{i}" if i else "lr": rate for i, rate in enumerate(rates)}
        columns |= {"train_loss": self.train_loss, "val_loss": self.val_loss}
        columns |= {f"val_{name}": values for name, values in self.metrics.items()}
        return [
            {"epoch": epoch, **{name: float(values[epoch]) for name, values in columns.items()}}
            for epoch in range(self.epochs)
        ]

    @classmethod
    def empty(
        cls, epochs: int, steps_per_epoch: int, *, metrics: Iterable[str] = (), groups: int = 1
    ) -> History:
        """Return a record with room for so many epochs, all NaN."""
        rates = np.full((groups, epochs * steps_per_epoch), math.nan)
        scores = {name: np.full(epochs, math.nan) for name in metrics}
        accuracy = scores.get("accuracy", np.full(epochs, math.nan))
        train, val = np.full((2, epochs), math.nan)
        return cls(rates[0], train, val, accuracy, metrics=scores, group_lr=rates)
