"""Groups of a fleet on their way: runs that train together, and one that trains by itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from ..tasks.data import Dataset, accuracy, told_metric
from ..tasks.optimizers import RULES, momentum_of, rates_of
from ..words import say
from .batched import Stack, part_of
from .history import History
from .loop import Training, evaluating, scheduler_steps
from .runs import Member

_Scores = tuple[np.ndarray, dict[str, np.ndarray]]  # loss and metrics of each run


def _rates(
    members: Sequence[Member], steps: int
) -> Generator[np.ndarray, Sequence[float] | None, None]:
    """Yield each epoch's momentum and rates by group, shape ``(1 + groups, runs, steps)``.

    It is sent what each run's scheduler is told. Runs that must agree share one scheduler; all are
    made at once, so that what one refuses is refused before anything is trained.
    """
    keys: list[Hashable] = []
    sources: dict[Hashable, Generator[np.ndarray, float, None]] = {}
    for member in members:
        layout = member.layout
        own = None if member.mode is None else member.place
        params = sorted(member.run.params.items())
        key = (id(member.schedule), *params, layout.rates, layout.rule, member.unit, own)
        if key not in sources:
            sources[key] = _source(member, steps)
        keys.append(key)
    return _side_by_side(keys, sources, (1 + len(members[0].layout.rates), steps))


def _side_by_side(
    keys: Sequence[Hashable],
    sources: Mapping[Hashable, Generator[np.ndarray, float, None]],
    shape: tuple[int, int],
) -> Generator[np.ndarray, Sequence[float] | None, None]:
    now = {key: next(source) for key, source in sources.items()}
    while True:
        told = yield np.stack([np.broadcast_to(now[key], shape) for key in keys], 1)
        by_key = dict(zip(keys, told or [], strict=True))
        now = {key: source.send(by_key[key]) for key, source in sources.items()}


def _source(member: Member, steps: int) -> Generator[np.ndarray, float, None]:
    """Yield each epoch's momentum and rates, shape ``(1 + groups, 1)`` or ``(.., steps)``.

    It is sent what the run's scheduler is told after the epoch.
    """
    layout = member.layout
    groups = [{"params": [torch.zeros((), requires_grad=True)], "lr": r} for r in layout.rates]
    optimizer = RULES[layout.rule or ""].make(groups, lr=layout.rates[0])
    return _follow(optimizer, member.build(optimizer), member.unit, steps)


def _follow(
    optimizer: Optimizer, scheduler: Any, unit: str, steps: int
) -> Generator[np.ndarray, float, None]:
    optimizer.step()  # torch warns of a scheduler whose optimizer has never stepped
    per_epoch = scheduler_steps(1, steps, unit)
    while True:
        applied = np.empty((1 + len(optimizer.param_groups), per_epoch))
        for step in range(per_epoch):
            applied[:, step] = momentum_of(optimizer), *rates_of(optimizer)
            if unit == "batch":
                scheduler.step()
        told = yield applied
        if unit == "epoch":
            scheduler.step(*([told] if isinstance(scheduler, ReduceLROnPlateau) else []))


class _PerRun:
    """A vector laid out like a stack's weights, that holds a number per run, or run and group."""

    def __init__(self, stack: Stack, group_of: Mapping[str, int]) -> None:
        self.vector = torch.empty_like(stack.weights, requires_grad=False)
        blocks = stack.blocks(self.vector)
        self._blocks = [(block.flatten(1), group_of[name]) for name, block in blocks.items()]

    def plan(self, values: np.ndarray) -> None:
        """Take the numbers of the steps to come, shape ``(groups, runs, steps)``."""
        dtype = self.vector.dtype
        self._columns = [torch.from_numpy(rows).to(dtype).split(1, dim=1) for rows in values]
        self._changes = (np.diff(values, axis=2, prepend=np.nan) != 0).any(axis=(0, 1))

    def fill(self, step: int) -> None:
        """Hold the numbers of that step."""
        if self._changes[step]:
            for block, group in self._blocks:
                block.copy_(self._columns[group][step])


class Together:
    """Runs whose weights are one stack, and whose optimizers follow one rule.

    ``histories`` are the live records of the whole fleet.
    """

    def __init__(
        self,
        members: Sequence[Member],
        stack: Stack,
        data: Dataset,
        batch_size: int,
        histories: list[History],
    ) -> None:
        self._members, layout = members, members[0].layout
        self._stack, self._data, self._batch_size = stack, data, batch_size
        self._histories = histories
        self._lengths = torch.tensor([len(part) for part in data.x_train.split(batch_size)])
        self._steps = len(self._lengths)
        self._rates = _rates(members, self._steps)
        self._rule = RULES[layout.rule or ""]
        self._memory = [torch.zeros_like(stack.weights) for _ in range(self._rule.memory)]
        group_of = dict(layout.group_of)
        self._lr = _PerRun(stack, group_of)
        self._momentum = _PerRun(stack, dict.fromkeys(group_of, 0))
        self._updates = 0
        if not stack.model.training:
            stack.model.train()

    @property
    def running(self) -> bool:
        """Whether any run goes on."""
        return any(self._histories[m.place].diverged_at is None for m in self._members)

    def advance(
        self, epoch: int, orders: Mapping[int, Tensor], stopping: Callable[[], bool]
    ) -> None:
        """Make one pass over the data, and write it down."""
        # Schedulers step only now: some refuse a step beyond their last.
        told = [self._told(member, epoch - 1) for member in self._members] if epoch else None
        momenta, *rates = self._rates.send(told)
        self._lr.plan(np.stack(rates))
        momentum: float | Tensor = momenta[0, 0].item()
        if (momenta != momentum).any():
            self._momentum.plan(momenta[np.newaxis])
            momentum = self._momentum.vector
        order = torch.stack([orders[member.run.seed] for member in self._members])
        labels = self._data.y_train[order].split(self._batch_size, dim=1)
        found: list[Tensor] = []
        for step, rows in enumerate(order.split(self._batch_size, dim=1)):
            if stopping():
                break
            self._lr.fill(step)
            if momentum is self._momentum.vector:
                self._momentum.fill(step)
            found.append(self._update(rows, labels[step], momentum))
        if found:
            scores = self._evaluate() if len(found) == len(labels) else None
            self._note(epoch, np.stack(rates), torch.stack(found, dim=1).double(), scores)

    def _told(self, member: Member, epoch: int) -> float:
        """Return what a run's scheduler is told, if it asks."""
        if member.mode is None:
            return math.nan
        metric = told_metric(self._data, member.mode, member.run.metric)
        return float(self._histories[member.place].of(metric)[epoch])

    def _update(self, rows: Tensor, y: Tensor, momentum: float | Tensor) -> Tensor:
        """Take one step on such rows of the data, shape ``(runs, batch)``; return the losses."""
        inputs = self._data.x_train
        x = inputs.index_select(0, rows.reshape(-1)).view(*rows.shape, *inputs.shape[1:])
        found = self._stack.backward(x, y)
        self._updates += 1
        with torch.no_grad():
            self._rule.update(
                self._stack.weights,
                self._stack.grads,
                self._lr.vector,
                self._memory,
                self._updates,
                momentum,
            )
        return found

    def _evaluate(self) -> _Scores:
        """Return losses and metrics of all runs on the validation set."""
        data, stack, count = self._data, self._stack, len(self._members)
        with evaluating(stack.model):
            outputs = stack.outputs(data.x_val, shared=True)
            loss = stack.losses(outputs, data.y_val.expand(count, *data.y_val.shape))
            metrics = {name: self._metric(m, outputs) for name, m in data.metrics.items()}
        return loss.double().numpy(), metrics

    def _metric(self, metric: Callable[..., Any], outputs: Any) -> np.ndarray:
        y = self._data.y_val
        plain = isinstance(outputs, Tensor) and outputs.ndim == 3 and y.ndim == 1
        if metric is accuracy and plain and outputs.shape[2] > 1:
            # max() finds the class that argmax() finds, several times faster.
            right = outputs.movedim(2, 1).max(1).indices == y
            return right.double().flatten(1).mean(1).numpy()
        runs = range(len(self._members))
        return np.array([float(metric(part_of(outputs, k), y)) for k in runs])

    def _note(self, epoch: int, rates: np.ndarray, found: Tensor, scores: _Scores | None) -> None:
        """Write down an epoch.

        A run ends at its first non-finite loss, though its numbers went on being computed; this
        is looked for here, once per epoch, rather than at each step.
        """
        made = found.shape[1]
        sums = (found * self._lengths[:made]).cumsum(1).numpy()
        for k, member in enumerate(self._members):
            history = self._histories[member.place]
            if history.diverged_at is not None:
                continue
            bad = np.flatnonzero(~np.isfinite(sums[k]))
            last = bad[0] if len(bad) else made - 1
            history.group_lr[:, epoch * self._steps :][:, : last + 1] = rates[:, k, : last + 1]
            if not len(bad) and scores is None:
                continue
            history.train_loss[epoch] = sums[k, last] / self._lengths.sum().item()
            if scores is not None and not len(bad):
                history.val_loss[epoch] = scores[0][k]
                for name, values in scores[1].items():
                    history.metrics[name][epoch] = values[k]
            if len(bad) or not np.isfinite(history.val_loss[epoch]):
                self._histories[member.place] = replace(history, diverged_at=epoch)


class Reason:
    """Why a run trains by itself: a sentence, put into words when it is read."""

    def __init__(self, key: str, **values: object) -> None:
        self._key, self._values = key, values

    def __str__(self) -> str:
        return say(self._key, **self._values)

    @property
    def is_other_kind(self) -> bool:
        """Whether its model is not that of the first seed, which was tried out."""
        return self._key in ("alone_shapes", "alone_calls")


class Alone:
    """A run that trains by itself, in `train`'s own loop, and why; else like `Together`."""

    def __init__(
        self, place: int, training: Training, reason: Reason, histories: list[History]
    ) -> None:
        self.running = True
        self._place, self._training, self._why = place, training, str(reason)
        self._histories = histories
        self._epochs: Iterator[int] | None = None
        self._note()

    def advance(
        self, epoch: int, orders: Mapping[int, Tensor], stopping: Callable[[], bool]
    ) -> None:
        """Train for one epoch."""
        self._epochs = self._epochs or self._training.run(stopping)
        next(self._epochs, None)
        self.running = self._training.history.diverged_at is None
        self._note()

    def _note(self) -> None:
        self._histories[self._place] = replace(self._training.history, alone=self._why)
