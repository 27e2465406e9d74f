"""The two data sets of the kit: real digits, and the tutorial's random batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ..words.errors import unknown

_TRAIN_SIZE = 1400  # the remaining 397 digits are for validation

Loss = Callable[[Any, Tensor], Tensor]
# What wants classes as int64: no loss of one's own, or one of these of torch.
_TAKE_CLASSES = (type(None), nn.CrossEntropyLoss, nn.NLLLoss, nn.MultiMarginLoss)
_FUNCTIONS_TOO = (functional.cross_entropy, functional.nll_loss, functional.multi_margin_loss)


def accuracy(outputs: Tensor, y: Tensor) -> Tensor:
    """Return the share of rows classified correctly, 0 to 1.

    NaN where the outputs are not one score per class, shape ``(rows, classes, ...)`` with ``y``
    of shape ``(rows, ...)``.
    """
    scores = isinstance(outputs, Tensor) and outputs.ndim == y.ndim + 1 and outputs.shape[1] > 1
    if not scores or outputs.shape[:1] + outputs.shape[2:] != y.shape:
        return torch.tensor(torch.nan)
    return (outputs.argmax(dim=1) == y).double().mean()


@dataclass(frozen=True)
class Dataset:
    """Training and validation tensors of one task, what it minimises, and what it reports.

    Attributes:
        name: what plots and read-outs call it.
        x_train, x_val: inputs, shape ``(n, ...)``: numbers, or integers such as tokens.
        y_train, y_val: classes of any integer type, shape ``(n, ...)``, or targets (floats).
        source: the expression that makes this data set, for scripts that a reader takes along.
        loss: ``loss(outputs, targets)``, one number; None: cross-entropy for classes, mean squared
            error for targets.
        metrics: name -> ``metric(outputs, targets)``, a number that is reported after each epoch
            on the validation set. With classes, "accuracy" is one of them.

    >>> x, y = torch.zeros(4, 2), torch.tensor([True, False, True, False])
    >>> data = Dataset("mine", x, y, x, y, metrics={"rows": lambda outputs, y: len(y)})
    >>> list(data.metrics), data.y_train.dtype
    (['accuracy', 'rows'], torch.int64)
    """

    name: str
    x_train: Tensor
    y_train: Tensor
    x_val: Tensor
    y_val: Tensor
    source: str = ""
    loss: Loss | None = None
    metrics: Mapping[str, Callable[[Any, Tensor], Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._check_rows("train")
        self._check_rows("val")
        if self.y_train.is_floating_point() != self.y_val.is_floating_point():
            raise ValueError(
                "y_train and y_val must both hold classes or both targets, "
                f"got {self.y_train.dtype} and {self.y_val.dtype}."
            )
        given = {} if self.loss is None else {"loss": self.loss}
        for name, what in {**given, **self.metrics}.items():
            if not callable(what):
                raise ValueError(f"{name} must be a function of outputs and targets, got {what!r}.")
        if "loss" in self.metrics:
            raise ValueError('metrics must have names of their own, got "loss".')
        if self.is_classification:
            if isinstance(self.loss, _TAKE_CLASSES) or self.loss in _FUNCTIONS_TOO:
                for name in ("y_train", "y_val"):
                    object.__setattr__(self, name, getattr(self, name).long())
            object.__setattr__(self, "metrics", {"accuracy": accuracy, **self.metrics})

    def _check_rows(self, part: str) -> None:
        names = f"x_{part}", f"y_{part}"
        x, y = (getattr(self, name) for name in names)
        for name, tensor in zip(names, (x, y), strict=True):
            if not isinstance(tensor, Tensor) or tensor.ndim == 0:
                got = tensor if isinstance(tensor, Tensor) else f"a {type(tensor).__name__}"
                raise ValueError(f"{name} must be a tensor with a row per example, got {got}.")
        if len(x) != len(y) or len(x) == 0:
            raise ValueError(
                f"{names[0]} and {names[1]} must hold the same number of rows, at least one, "
                f"got shapes {tuple(x.shape)} and {tuple(y.shape)}."
            )

    @property
    def is_classification(self) -> bool:
        """Whether the labels are classes."""
        return not self.y_train.is_floating_point()

    @property
    def loss_fn(self) -> Loss:
        """The task's loss. Everything that trains asks here."""
        if self.loss is not None:
            return self.loss
        return nn.CrossEntropyLoss() if self.is_classification else nn.MSELoss()

    @property
    def has_plain_loss(self) -> bool:
        """Whether the loss is cross-entropy or mean squared error without any setting."""
        return type(self).loss_fn is Dataset.loss_fn and self.loss is None

    def to(self, dtype: torch.dtype) -> Dataset:
        """Return the same data with all floats in another dtype; integers are left alone."""
        names = ("x_train", "y_train", "x_val", "y_val")
        tensors = {name: getattr(self, name) for name in names}
        changed = {name: t.to(dtype) for name, t in tensors.items() if t.is_floating_point()}
        return replace(self, **changed, source=f"{self.source}.to({dtype})" if self.source else "")


def check_metric(data: Dataset, metric: str, better: str | None = None) -> str:
    """Return "lower" or "higher", whichever is better: told, or known (of loss and accuracy)."""
    known = ["loss", *data.metrics]
    if metric not in known:
        raise unknown("metric", f"one that data {data.name!r} reports", metric, known)
    settled = {"loss": "lower", "accuracy": "higher"}.get(metric)
    better = settled if better is None else better
    if better not in ("lower", "higher") or settled not in (None, better):
        allowed = repr(settled) if settled else "'lower' or 'higher'"
        raise ValueError(f"better must be {allowed} for metric {metric!r}, got {better!r}.")
    return better


def told_if_fits(params: Mapping[str, Any], metric: str, better: str) -> str | None:
    """Return the metric if a plateau with such params wants what is better; None: its mode says.

    >>> told_if_fits({"mode": "max"}, "accuracy", "higher"), told_if_fits({}, "loss", "lower")
    ('accuracy', None)
    """
    wanted = {"min": "lower", "max": "higher"}.get(params.get("mode", ""))
    return metric if wanted == better else None


def told_metric(data: Dataset, mode: str, metric: str | None = None) -> str:
    """Return what ReduceLROnPlateau is told: the named metric, else what fits its ``mode``."""
    if metric is None and mode == "min":
        return "loss"
    if metric is None and "accuracy" not in data.metrics and len(data.metrics) != 1:
        raise ValueError(
            "metric must name what ReduceLROnPlateau(mode='max') is told, got None; "
            f"data {data.name!r} reports {', '.join(data.metrics) or 'nothing'} beside the loss."
        )
    metric = metric or next(iter(data.metrics))  # accuracy comes first
    try:
        check_metric(data, metric, "lower" if mode == "min" else "higher")
    except ValueError as error:
        raise ValueError(f"ReduceLROnPlateau(mode={mode!r}) is told {metric!r}: {error}") from None
    return metric


def load_digits(label_noise: float = 0.2, seed: int = 0) -> Dataset:
    """Load 1,797 handwritten digits, 8 x 8 pixels, and mislabel a part of the training set.

    The split is fixed: 1,400 digits to train on, 397 to validate on. ``label_noise`` is the
    share of *training* labels that are replaced by another class; validation labels stay clean.
    With it, the best loss a model can reach has a floor that a large rate bounces above, so
    schedules differ by more than the luck of the seed.

    Args:
        label_noise: between 0 and 1.
        seed: which labels are replaced, and by what.

    Returns:
        A classification `Dataset`: inputs of shape ``(n, 64)`` scaled to 0..1, ten classes.

    Raises:
        ValueError: if ``label_noise`` is outside 0..1.

    Source: UCI Machine Learning Repository, "Optical Recognition of Handwritten Digits"
    (E. Alpaydin and C. Kaynak, 1998), CC BY 4.0. See ``digits.md`` beside the file.

    >>> data = load_digits()
    >>> data.x_train.shape, data.x_val.shape
    (torch.Size([1400, 64]), torch.Size([397, 64]))
    >>> int((data.y_train != load_digits(label_noise=0).y_train).sum())
    280
    """
    if not 0 <= label_noise <= 1:
        raise ValueError(f"label_noise must be between 0 and 1, got {label_noise!r}.")
    images, labels = _read_digits()
    x = torch.tensor(images.reshape(-1, 64)).to(torch.get_default_dtype()) / 16
    y = torch.tensor(labels).long()
    y_train = y[:_TRAIN_SIZE].clone()
    generator = torch.Generator().manual_seed(seed)
    wrong = torch.randperm(_TRAIN_SIZE, generator=generator)[: round(label_noise * _TRAIN_SIZE)]
    shift = torch.randint(1, 10, (len(wrong),), generator=generator)
    y_train[wrong] = (y_train[wrong] + shift) % 10
    return Dataset(
        "digits",
        x_train=x[:_TRAIN_SIZE],
        y_train=y_train,
        x_val=x[_TRAIN_SIZE:],
        y_val=y[_TRAIN_SIZE:],
        source=f"load_digits(label_noise={label_noise}, seed={seed})",
    )


@cache
def _read_digits() -> tuple[np.ndarray, np.ndarray]:
    with files(__package__).joinpath("digits.npz").open("rb") as file:
        archive = np.load(file)
        return archive["images"], archive["labels"]


def toy_regression(seed: int = 0) -> Dataset:
    """Draw the tutorial's task: one batch of 32 random inputs (10 numbers) and targets (2).

    Inputs and targets are independent, so there is nothing to learn but the batch itself: the
    training loss can fall, the validation loss (a second such batch) hardly does.

    >>> data = toy_regression()
    >>> data.x_train.shape, data.y_train.shape
    (torch.Size([32, 10]), torch.Size([32, 2]))
    """
    generator = torch.Generator().manual_seed(seed)
    # Drawn in single precision, whatever torch's default is: the same seed, the same numbers.
    drawn = [torch.randn(32, n, generator=generator, dtype=torch.float32) for n in (10, 2, 10, 2)]
    x, y, x_val, y_val = (numbers.to(torch.get_default_dtype()) for numbers in drawn)
    return Dataset("toy", x, y, x_val, y_val, source=f"toy_regression(seed={seed})")
