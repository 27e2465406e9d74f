"""One run, and a group of them on its way: rates from torch's schedulers, steps, scores."""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from .batched import Stack, losses
from .data import Dataset
from .optimizers import get_rule, make_optimizer, momentum_of
from .schedules import Schedule, get_schedule


@dataclass(frozen=True)
class Run:
    """One training run of a fleet.

    Attributes:
        schedule: a name in `SCHEDULES`, or a row of one's own.
        params: the schedule's own; those left out take the row's defaults.
        base_lr: the optimizer's initial rate.
        optimizer: ``"sgd"``, ``"momentum"``, ``"adam"`` or ``"adamw"``: see `make_optimizer`.
        seed: of the initial weights, ``seeded(make_model, seed)``, and of the batch order,
            ``train(..., seed=seed)``.
        step_every: ``"epoch"`` or ``"batch"``; None: as `train_many` is told for all runs.
    """

    schedule: str | Schedule
    params: Mapping[str, float] = field(default_factory=dict)
    base_lr: float = 0.1
    optimizer: str = "momentum"
    seed: int = 0
    step_every: str | None = None


class Rates:
    """What torch's schedulers say, epoch by epoch; runs that must agree share one scheduler."""

    def __init__(self, runs: Sequence[Run], epochs: int, steps: int, step_every: str) -> None:
        self._steps = steps
        self._keys: list[Hashable] = []
        self._sources: dict[Hashable, Generator[np.ndarray, float, None]] = {}
        for i, run in enumerate(runs):
            own = i if get_schedule(run.schedule).metric_driven else None
            unit = run.step_every or step_every
            how = (run.base_lr, run.optimizer, unit, own)
            key = (run.schedule, *sorted(run.params.items()), *how)
            if key not in self._sources:
                self._sources[key] = _scheduler(run, epochs, steps, unit)
            self._keys.append(key)
        self._now = {key: next(source) for key, source in self._sources.items()}

    def of(self, members: Sequence[int]) -> np.ndarray:
        """Return this epoch's rates and momenta of some runs, shape ``(2, runs, steps)``."""
        shape = 2, self._steps
        return np.stack([np.broadcast_to(self._now[self._keys[i]], shape) for i in members], 1)

    def step(self, val_loss: np.ndarray) -> None:
        """Go on to the next epoch; each scheduler that asks is told its run's loss."""
        told = dict(zip(self._keys, val_loss.tolist(), strict=True))
        self._now = {key: source.send(told[key]) for key, source in self._sources.items()}


def _scheduler(
    run: Run, epochs: int, steps: int, step_every: str
) -> Generator[np.ndarray, float, None]:
    """Yield each epoch's rates and momenta, shape ``(2, 1)`` or ``(2, steps)``.

    It is sent the epoch's validation loss.
    """
    schedule = get_schedule(run.schedule)
    per_epoch = steps if step_every == "batch" else 1
    optimizer = make_optimizer(run.optimizer, [torch.zeros((), requires_grad=True)], run.base_lr)
    scheduler = schedule.build(optimizer, total_steps=epochs * per_epoch, **run.params)
    optimizer.step()  # torch warns of a scheduler whose optimizer has never stepped
    while True:
        applied = np.empty((2, per_epoch))
        for step in range(per_epoch):
            applied[:, step] = optimizer.param_groups[0]["lr"], momentum_of(optimizer)
            if step_every == "batch":
                scheduler.step()
        val_loss = yield applied
        if step_every == "epoch":
            scheduler.step(*([val_loss] if schedule.metric_driven else []))


class _PerRun:
    """A vector laid out like a stack's weights, that holds one number per run."""

    def __init__(self, stack: Stack) -> None:
        self.vector = torch.empty_like(stack.weights)
        self._blocks = [block.flatten(1) for block in stack.blocks(self.vector).values()]

    def plan(self, values: np.ndarray) -> None:
        """Take the numbers of the steps to come, shape ``(runs, steps)``."""
        self._columns = torch.from_numpy(values).to(self.vector.dtype).split(1, dim=1)
        self._changes = (np.diff(values, axis=1, prepend=np.nan) != 0).any(axis=0)

    def fill(self, step: int) -> None:
        """Hold the numbers of that step."""
        if self._changes[step]:
            for block in self._blocks:
                block.copy_(self._columns[step])


class Group:
    """Runs of one optimizer whose weights are one stack.

    Schedulers move the momentum of all of them or of none: then it is one number.

    Attributes:
        members: their places in the fleet.
    """

    def __init__(
        self,
        members: list[int],
        runs: Sequence[Run],
        stack: Stack,
        data: Dataset,
        rates: Rates,
        batch_size: int,
    ) -> None:
        self.members = members
        self._seeds = [runs[i].seed for i in members]
        self._stack, self._data, self._rates, self._batch_size = stack, data, rates, batch_size
        self._rule = get_rule(runs[members[0]].optimizer)
        self._memory = [torch.zeros_like(stack.weights) for _ in range(self._rule.memory)]
        self._lr = _PerRun(stack)
        moving = get_schedule(runs[members[0]].schedule).moves_momentum
        self._momentum = _PerRun(stack) if moving else None
        self._updates = 0

    def epoch(
        self, orders: Mapping[int, Tensor], stopping: Callable[[], bool]
    ) -> tuple[np.ndarray, Tensor, tuple[Tensor, Tensor] | None]:
        """Make one pass over the data.

        Returns:
            Rates ``(runs, steps)``, losses ``(runs, steps made)``, and, unless it was stopped,
            losses and accuracies ``(runs,)`` on the validation set.
        """
        rates, momenta = self._rates.of(self.members)
        self._lr.plan(rates)
        momentum: float | Tensor = momenta[0, 0].item()
        if self._momentum is not None:
            self._momentum.plan(momenta)
            momentum = self._momentum.vector
        order = torch.stack([orders[seed] for seed in self._seeds])
        labels = self._data.y_train[order].split(self._batch_size, dim=1)
        found: list[Tensor] = []
        for step, rows in enumerate(order.split(self._batch_size, dim=1)):
            if stopping():
                break
            self._lr.fill(step)
            if self._momentum is not None:
                self._momentum.fill(step)
            found.append(self._update(rows, labels[step], momentum))
        made = torch.stack(found, dim=1) if found else torch.empty(len(rates), 0)
        return rates, made.double(), self._evaluate() if len(found) == len(labels) else None

    def _update(self, rows: Tensor, y: Tensor, momentum: float | Tensor) -> Tensor:
        """Take one step on such rows of the data, shape ``(runs, batch)``; return the losses."""
        inputs = self._data.x_train
        x = inputs.index_select(0, rows.reshape(-1)).view(*rows.shape, *inputs.shape[1:])
        found = self._stack.backward(x, y)
        self._updates += 1
        weights, grads = self._stack.weights, self._stack.grads
        self._rule.update(weights, grads, self._lr.vector, self._memory, self._updates, momentum)
        return found

    def _evaluate(self) -> tuple[Tensor, Tensor]:
        data, stack = self._data, self._stack
        stack.model.eval()
        with torch.no_grad():
            outputs = stack.outputs(data.x_val, shared=True)
            loss = losses(outputs, data.y_val.expand(len(self.members), *data.y_val.shape))
            accuracy = torch.full_like(loss, torch.nan)
            if data.is_classification:
                # max() finds the class that argmax() finds, several times faster.
                right = outputs.movedim(2, 1).max(1).indices == data.y_val
                accuracy = right.double().flatten(1).mean(1)
        stack.model.train()
        return loss.double(), accuracy.double()
