"""The two data sets of the kit: real digits, and the tutorial's random batch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.resources import files

import numpy as np
import torch
from torch import Tensor, nn

_TRAIN_SIZE = 1400  # the remaining 397 digits are for validation


@dataclass(frozen=True)
class Dataset:
    """Training and validation tensors of one task.

    The labels decide the task: integers are classes, floats are targets of a regression.

    Attributes:
        name: what plots and read-outs call it.
        x_train, x_val: inputs, shape ``(n, features)``.
        y_train, y_val: classes, shape ``(n,)``, or targets, shape ``(n, outputs)``.
        source: the expression that makes this data set, for scripts that a reader takes along.
    """

    name: str
    x_train: Tensor
    y_train: Tensor
    x_val: Tensor
    y_val: Tensor
    source: str = ""

    def __post_init__(self) -> None:
        for part in ("train", "val"):
            x, y = getattr(self, f"x_{part}"), getattr(self, f"y_{part}")
            if len(x) != len(y) or len(x) == 0:
                raise ValueError(
                    f"x_{part} and y_{part} must hold the same number of rows, at least one, "
                    f"got shapes {tuple(x.shape)} and {tuple(y.shape)}."
                )

    @property
    def is_classification(self) -> bool:
        """Whether the labels are classes."""
        return not self.y_train.is_floating_point()

    @property
    def loss_fn(self) -> nn.Module:
        """Cross-entropy for classes, mean squared error for targets."""
        return nn.CrossEntropyLoss() if self.is_classification else nn.MSELoss()

    def to(self, dtype: torch.dtype) -> Dataset:
        """Return the same data with inputs (and float targets) in another dtype."""
        y_train, y_val = self.y_train, self.y_val
        if not self.is_classification:
            y_train, y_val = y_train.to(dtype), y_val.to(dtype)
        return replace(
            self,
            x_train=self.x_train.to(dtype),
            y_train=y_train,
            x_val=self.x_val.to(dtype),
            y_val=y_val,
            source=f"{self.source}.to({dtype})" if self.source else "",
        )


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
    with files(__package__).joinpath("digits.npz").open("rb") as file:
        archive = np.load(file)
        x = torch.from_numpy(archive["images"].reshape(-1, 64).astype(np.float32) / 16)
        y = torch.from_numpy(archive["labels"].astype(np.int64))
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


def toy_regression(seed: int = 0) -> Dataset:
    """Draw the tutorial's task: one batch of 32 random inputs (10 numbers) and targets (2).

    Inputs and targets are independent, so there is nothing to learn but the batch itself: the
    training loss can fall, the validation loss (a second such batch) hardly does.

    >>> data = toy_regression()
    >>> data.x_train.shape, data.y_train.shape
    (torch.Size([32, 10]), torch.Size([32, 2]))
    """
    generator = torch.Generator().manual_seed(seed)
    x, y, x_val, y_val = (
        torch.randn(32, columns, generator=generator) for columns in (10, 2, 10, 2)
    )
    return Dataset("toy", x, y, x_val, y_val, source=f"toy_regression(seed={seed})")
