"""The learning-rate range test: one short run whose rate grows, and what to read off it."""

from __future__ import annotations

import copy
import math
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ExponentialLR

from ..tasks.data import Dataset
from ..tasks.torch_private import copy_hooks
from ..training.loop import batches, check_parts
from ..training.threads import one_thread
from ..training.trial import Trial, try_out
from ..words.errors import check_number
from .slices import Row, step_rows

FEWEST_STEPS = 10


@dataclass(frozen=True)
class RangeTest:
    """What a range test saw, and the three rates that published recipes take from it.

    The loss beside a rate is that of a batch *before* the update that uses this rate, as in the
    packages named below: it tells what the smaller rates before it have done.

    Each pick is a rate, or NaN where there is nothing to pick. The first tenth of the steps (the
    average is over too few batches there) and all from the cut on are left out of the search.

    Attributes:
        rates: shape ``(steps,)``: the rate applied at each step, NaN after the last one made.
        loss: shape ``(steps,)``: loss of each step's batch.
        smoothed: shape ``(steps,)``: exponential average of ``loss``, corrected for its start.
        cut_at: index of the step at which the test gave up, its smoothed loss too large or not
            finite; None if it went through to the highest rate.
    """

    rates: np.ndarray
    loss: np.ndarray
    smoothed: np.ndarray
    cut_at: int | None = None

    @property
    def made(self) -> int:
        """How many steps were made, the one at which the test gave up included."""
        return int(np.isfinite(self.rates).sum())

    @property
    def steepest(self) -> float:
        """The rate at which the smoothed loss falls fastest per factor of the rate.

        NaN where it falls nowhere.

        Source: ``suggestion()`` of Lightning's learning-rate finder,
        https://lightning.ai/docs/pytorch/stable/advanced/training_tricks.html, and ``steep`` of
        https://docs.fast.ai/callback.schedule.html.
        """
        rates, loss = self._searched()
        if len(rates) < 2:
            return math.nan
        slope = np.gradient(loss, np.log(rates))
        return float(rates[slope.argmin()]) if slope.min() < 0 else math.nan

    @property
    def minimum(self) -> float:
        """The rate at which the smoothed loss is lowest: no pick, but the next one starts here."""
        rates, loss = self._searched()
        return float(rates[loss.argmin()]) if len(rates) else math.nan

    @property
    def tenth(self) -> float:
        """A tenth of the rate at which the smoothed loss is lowest.

        At the minimum itself the loss is about to rise, so the recipe keeps a distance of ten.

        Source: ``minimum`` of https://docs.fast.ai/callback.schedule.html.
        """
        return self.minimum / 10

    @property
    def valley(self) -> float:
        """The middle of the longest descent: the most steps each of which is a new low.

        Steps that rise in between are passed over (a longest decreasing subsequence), and the
        pick is the rate in the middle of the others. NaN where there is no descent.

        Source: ``valley`` of https://docs.fast.ai/callback.schedule.html, which counts the same
        steps, but back from the last one as if none had been passed over.
        """
        rates, loss = self._searched()
        descent = longest_descent(loss)
        return float(rates[descent[len(descent) // 2]]) if len(descent) > 1 else math.nan

    @property
    def picks(self) -> dict[str, float]:
        """The three picks by name: "steepest", "tenth" and "valley"."""
        return {"steepest": self.steepest, "tenth": self.tenth, "valley": self.valley}

    def records(self) -> list[Row]:
        """Return one row per batch, for ``pandas.DataFrame(test.records())``.

        A row holds "step", from 0; "lr", the rate; "loss" and "smoothed", as in the attributes.

        >>> rates, loss = np.array([0.1, 0.2]), np.array([2.0, 1.5])
        >>> RangeTest(rates, loss, loss).records()[1]
        {'step': 1, 'lr': 0.2, 'loss': 1.5, 'smoothed': 1.5}
        """
        rows = step_rows(lr=self.rates, loss=self.loss, smoothed=self.smoothed)
        return rows[: self.made]

    def _searched(self) -> tuple[np.ndarray, np.ndarray]:
        part = slice(len(self.rates) // 10, self.made if self.cut_at is None else self.cut_at)
        return self.rates[part], self.smoothed[part]


def lr_range_test(
    model: nn.Module,
    data: Dataset,
    optimizer: Optimizer,
    *,
    low: float = 1e-5,
    high: float = 10.0,
    steps: int = 200,
    batch_size: int = 16,
    seed: int = 0,
    smooth: float = 0.9,
    stop_factor: float = 1.5,
) -> RangeTest:
    """Train a copy while the rate grows from ``low`` to ``high``, and record the loss.

    Model, optimizer and torch's random numbers are left as they are: the test trains copies,
    which start from the present weights and the optimizer's present state.

    Args:
        model: as for `train`.
        data: its training set is passed through as often as ``steps`` needs.
        optimizer: holds the model's parameters. Its own rate does not matter; parameter groups
            with different rates keep their ratio, and the first group's rate is what is swept.
        low, high: the first rate and the last one; each step multiplies the rate by the same
            factor.
        steps: how many updates, 10 or more.
        batch_size: rows per update.
        seed: of the batch order, and of what the model itself draws, such as dropout.
        smooth: weight of the past in the average, 0 (no smoothing) to below 1. It looks back
            over about ``1 / (1 - smooth)`` steps.
        stop_factor: the test ends when the smoothed loss is so many times its lowest value
            (looked at after the first tenth of the steps), or is not finite. The packages named
            below take 4, which a classifier that starts by guessing hardly ever reaches.

    Returns:
        A `RangeTest`.

    Raises:
        ValueError: naming argument, constraint and value; before anything is trained.

    Source: Smith, "Cyclical Learning Rates for Training Neural Networks",
    https://arxiv.org/abs/1506.01186, section 3.3; the rate growing by a factor, the smoothing
    and the early end: https://docs.fast.ai/callback.schedule.html.

    >>> from lrsched_kit import MLP, load_digits, seeded
    >>> model = seeded(MLP, 0)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    >>> test = lr_range_test(model, load_digits(), optimizer, steps=300)
    >>> test.cut_at is not None, 0.001 < test.valley < test.minimum < 1
    (True, True)
    """
    ramp = Ramp(low, high, steps, batch_size, seed, smooth, stop_factor)
    check_parts(model, data, optimizer)
    check_number("the optimizer's first rate", float(optimizer.param_groups[0]["lr"]))
    with one_thread():
        trial = try_out(model, data, ramp.batch_size)
    try:  # in one go: so the second copy holds the parameters of the first
        twin, optimizer = copy.deepcopy((model, optimizer))
    except Exception as error:  # a model may hold anything
        raise ValueError(
            f"model must be one that copy.deepcopy can copy, got {type(model).__name__}: {error}"
        ) from error
    copy_hooks(model, twin)
    return run_range_test(twin, data, optimizer, ramp, trial)


@dataclass
class Ramp:
    """The settings of `lr_range_test`, checked."""

    low: float
    high: float
    steps: int
    batch_size: int = 16
    seed: int = 0
    smooth: float = 0.9
    stop_factor: float = 1.5

    def __post_init__(self) -> None:
        check_number("low", self.low)
        if check_number("high", self.high) <= self.low:
            raise ValueError(f"high must be a rate above low, {self.low!r}, got {self.high!r}.")
        self.steps = int(check_number("steps", self.steps, integer=True))
        if self.steps < FEWEST_STEPS:
            raise ValueError(f"steps must be at least {FEWEST_STEPS}, got {self.steps}.")
        check_number("smooth", self.smooth, must_be="below one")
        if check_number("stop_factor", self.stop_factor) <= 1:
            raise ValueError(f"stop_factor must be above 1, got {self.stop_factor!r}.")
        self.batch_size = int(check_number("batch_size", self.batch_size, integer=True))
        self.seed = int(check_number("seed", self.seed, must_be="non-negative", integer=True))


def run_range_test(
    model: nn.Module,
    data: Dataset,
    optimizer: Optimizer,
    ramp: Ramp,
    trial: Trial,
    should_stop: Callable[[], bool] = lambda: False,
) -> RangeTest:
    """Do what `lr_range_test` does to its copies: ``model`` is spent afterwards."""
    first, steps, smooth = float(optimizer.param_groups[0]["lr"]), ramp.steps, ramp.smooth
    for group in optimizer.param_groups:
        group["lr"] = ramp.low * (float(group["lr"]) / first)
        group.pop("initial_lr", None)  # left by an earlier scheduler, it would outvote the rate
    scheduler = ExponentialLR(optimizer, gamma=(ramp.high / ramp.low) ** (1 / (steps - 1)))
    rates, losses, smoothed = np.full((3, steps), math.nan)
    average, lowest = 0.0, math.inf
    drawing = trial.randomness(ramp.seed)
    if not model.training:
        model.train()
    with one_thread():
        for step, (x, y) in enumerate(islice(_endless(data, ramp.batch_size, ramp.seed), steps)):
            if should_stop():
                break
            with drawing():
                optimizer.zero_grad()
                loss = data.loss_fn(model(x), y)
                loss.backward()
            rates[step], losses[step] = float(optimizer.param_groups[0]["lr"]), loss.item()
            average = smooth * average + (1 - smooth) * loss.item()
            smoothed[step] = now = average / (1 - smooth ** (step + 1))
            if not now <= ramp.stop_factor * lowest or math.isinf(now):
                return RangeTest(rates, losses, smoothed, cut_at=step)
            if step >= steps // 10:
                lowest = min(lowest, now)
            with drawing():
                optimizer.step()
            scheduler.step()
    return RangeTest(rates, losses, smoothed)


def longest_descent(values: np.ndarray) -> list[int]:
    """Return the places of the longest strictly falling subsequence; of several, the lowest end."""
    ends: list[float] = []  # by length: the highest end of a descent so long, negated
    places: list[int] = []  # where that is
    before: list[int] = []  # the place before each one in its descent
    for i, value in enumerate(values):
        length = bisect_left(ends, -value)
        ends[length : length + 1] = [-value]  # beyond the end this appends
        places[length : length + 1] = [i]
        before.append(places[length - 1] if length else -1)
    found = []
    place = places[-1] if places else -1
    while place >= 0:
        found.append(place)
        place = before[place]
    return found[::-1]


def _endless(data: Dataset, batch_size: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches in the order of `train`, one epoch after the other."""
    order = torch.Generator().manual_seed(seed)
    while True:
        yield from batches(data.x_train, data.y_train, batch_size, order)
