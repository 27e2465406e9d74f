"""The training loop for many runs at once: `train_many` does what `train` does, K times over."""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor, nn

from .batchable import check_batchable
from .batched import Stack, losses, stack_for
from .data import Dataset
from .models import seeded
from .optimizers import get_rule, make_optimizer
from .schedules import check_number, get_schedule
from .training import History, check_step_every, hold_threads

__all__ = ["Run", "make_optimizer", "train_many"]

_MOST_RUNS = 1024
# A second core pays once all runs' weights times the batch come to this many (measured).
_WORTH_ALL_CORES = 1_000_000


@dataclass(frozen=True)
class Run:
    """One training run of a fleet.

    Attributes:
        schedule: a name in `SCHEDULES`.
        params: the schedule's own; those left out take the row's defaults.
        base_lr: the optimizer's initial rate.
        optimizer: ``"sgd"``, ``"momentum"``, ``"adam"`` or ``"adamw"``: see `make_optimizer`.
        seed: of the initial weights, ``seeded(make_model, seed)``, and of the batch order,
            ``train(..., seed=seed)``.
    """

    schedule: str
    params: Mapping[str, float] = field(default_factory=dict)
    base_lr: float = 0.1
    optimizer: str = "momentum"
    seed: int = 0


def train_many(
    make_model: Callable[[], nn.Module],
    data: Dataset,
    runs: Sequence[Run],
    *,
    epochs: int,
    batch_size: int = 16,
    step_every: str = "epoch",
    on_epoch: Callable[[int, list[History]], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> list[History]:
    """Train all ``runs`` together and return what `train` would return for each.

    The runs' weights lie in one tensor, so one call into torch makes a step of every run, and
    the price of the call is paid once. Torch's own schedulers set the rates, each through an
    optimizer of a single number. Runs of different optimizers, and very many runs (over 64; over
    256 for Linear layers and ReLUs), train in groups that take turns at every epoch, which
    bounds the memory.

    A run that diverges ends as it does in `train` and leaves the others alone, to the last bit.

    Args:
        make_model: called once per distinct seed; its models are all of one architecture and do
            not change themselves, draw random numbers, or branch on their data.
        data: what to train and validate on.
        runs: 1 to 1024 of them.
        epochs: passes over the training set.
        batch_size: rows per update and run.
        step_every: ``"epoch"`` or ``"batch"``: when ``scheduler.step()`` is called; the
            ``total_steps`` of a schedule counts these calls.
        on_epoch: called as ``on_epoch(epoch, histories)`` after each epoch, with the live records.
        should_stop: asked before each update of a group; True ends all runs, the epoch they are
            in left NaN.

    Returns:
        One `History` per run, in the order of ``runs``.

    Raises:
        ValueError: naming argument, constraint and value; before anything is trained. For a model
            that cannot be batched it names the module and what to put in its place.

    Source: https://docs.pytorch.org/tutorials/intermediate/ensembling.html

    >>> from lrsched_kit.data import load_digits
    >>> from lrsched_kit.models import MLP
    >>> runs = [Run("StepLR", {"step_size": 2}, seed=seed) for seed in range(3)]
    >>> histories = train_many(MLP, load_digits(), runs, epochs=4)
    >>> histories[2].epoch_lr.round(6).tolist()
    [0.1, 0.1, 0.01, 0.01]
    """
    epochs = int(check_number("epochs", epochs, integer=True))
    batch_size = int(check_number("batch_size", batch_size, integer=True))
    runs = _checked(runs, step_every)
    rows = len(data.x_train)
    lengths = [min(batch_size, rows - start) for start in range(0, rows, batch_size)]
    steps = len(lengths)
    rates = _Rates(runs, epochs, steps, step_every)
    check_batchable(seeded(make_model, runs[0].seed), data)
    groups = _groups(make_model, data, runs)
    records = _Records(len(runs), epochs, steps)
    generators = {run.seed: torch.Generator().manual_seed(run.seed) for run in runs}
    work = batch_size * max(group.stack.weights.numel() for group in groups)
    with hold_threads(all_cores=work > _WORTH_ALL_CORES):
        for epoch in range(epochs):
            orders = {seed: torch.randperm(rows, generator=g) for seed, g in generators.items()}
            for group in groups:
                if not records.running[group.members].any():
                    continue
                lr = rates.of(group.members)
                found = group.train_epoch(data, orders, lr, batch_size, should_stop)
                stopped = len(found) < steps
                scores = None if stopped else group.evaluate(data)
                records.note(epoch, group.members, lr, found, lengths, scores)
                if stopped:
                    return records.histories
            if on_epoch is not None:
                on_epoch(epoch, records.histories)
            if not records.running.any():
                break
            rates.step(records.val_loss[:, epoch])
    return records.histories


def _checked(runs: Sequence[Run], step_every: str) -> list[Run]:
    if not 1 <= len(runs) <= _MOST_RUNS:
        raise ValueError(f"runs must hold 1 to {_MOST_RUNS} runs, got {len(runs)}.")
    checked = []
    for i, run in enumerate(runs):
        try:
            get_rule(run.optimizer)
            base_lr = check_number("base_lr", run.base_lr)
            seed = check_number("seed", run.seed, must_be="non-negative", integer=True)
            schedule = get_schedule(run.schedule)
            params = schedule.complete(run.params)
            check_step_every(step_every, wants_metric=schedule.metric_driven)
        except ValueError as error:
            raise ValueError(f"runs[{i}]: {error}") from None
        checked.append(replace(run, params=params, base_lr=base_lr, seed=int(seed)))
    return checked


class _Rates:
    """What torch's schedulers say, epoch by epoch; runs that must agree share one scheduler."""

    def __init__(self, runs: list[Run], epochs: int, steps: int, step_every: str) -> None:
        self._steps = steps
        self._keys: list[Hashable] = []
        self._sources: dict[Hashable, Generator[np.ndarray, float, None]] = {}
        for i, run in enumerate(runs):
            own = i if get_schedule(run.schedule).metric_driven else None
            key = (run.schedule, *sorted(run.params.items()), run.base_lr, run.optimizer, own)
            if key not in self._sources:
                self._sources[key] = _scheduler(run, epochs, steps, step_every)
            self._keys.append(key)
        self._now = {key: next(source) for key, source in self._sources.items()}

    def of(self, members: list[int]) -> np.ndarray:
        """Return this epoch's rates of some runs, shape ``(runs, steps)``."""
        return np.stack([np.broadcast_to(self._now[self._keys[i]], self._steps) for i in members])

    def step(self, val_loss: np.ndarray) -> None:
        """Go on to the next epoch; each scheduler that asks is told its run's loss."""
        told = dict(zip(self._keys, val_loss.tolist(), strict=True))
        self._now = {key: source.send(told[key]) for key, source in self._sources.items()}


def _scheduler(
    run: Run, epochs: int, steps: int, step_every: str
) -> Generator[np.ndarray, float, None]:
    """Yield each epoch's rates, one or one per batch, and be sent its validation loss."""
    schedule = get_schedule(run.schedule)
    per_epoch = steps if step_every == "batch" else 1
    optimizer = make_optimizer(run.optimizer, [torch.zeros((), requires_grad=True)], run.base_lr)
    scheduler = schedule.build(optimizer, total_steps=epochs * per_epoch, **run.params)
    optimizer.step()  # torch warns of a scheduler whose optimizer has never stepped
    while True:
        rates = np.empty(per_epoch)
        for step in range(per_epoch):
            rates[step] = optimizer.param_groups[0]["lr"]
            if step_every == "batch":
                scheduler.step()
        val_loss = yield rates
        if step_every == "epoch":
            scheduler.step(*([val_loss] if schedule.metric_driven else []))


class _Group:
    """Runs of one optimizer whose weights are one stack.

    Attributes:
        members: their places in the fleet.
    """

    def __init__(self, members: list[int], runs: list[Run], stack: Stack) -> None:
        self.members = members
        self.stack = stack
        self._seeds = [runs[i].seed for i in members]
        self._rule = get_rule(runs[members[0]].optimizer)
        self._memory = [torch.zeros_like(stack.weights) for _ in range(self._rule.memory)]
        self._lr = torch.empty_like(stack.weights)
        self._lr_blocks = [block.flatten(1) for block in stack.blocks(self._lr).values()]
        self._updates = 0

    def train_epoch(
        self,
        data: Dataset,
        orders: Mapping[int, Tensor],
        lr: np.ndarray,
        batch_size: int,
        should_stop: Callable[[], bool] | None,
    ) -> list[Tensor]:
        """Make one pass over the data and return each step's losses, shape ``(runs,)``."""
        order = torch.stack([orders[seed] for seed in self._seeds])
        rates = torch.from_numpy(lr).to(self._lr.dtype)
        found: list[Tensor] = []
        for step, picked in enumerate(order.split(batch_size, dim=1)):
            if should_stop is not None and should_stop():
                break
            if step == 0 or (lr[:, step] != lr[:, step - 1]).any():
                for block in self._lr_blocks:
                    block.copy_(rates[:, step : step + 1])
            x, y = (
                part.index_select(0, picked.flatten()).unflatten(0, picked.shape)
                for part in (data.x_train, data.y_train)
            )
            found.append(self.stack.backward(x, y))
            self._updates += 1
            self._rule.update(
                self.stack.weights, self.stack.grads, self._lr, self._memory, self._updates
            )
        return found

    def evaluate(self, data: Dataset) -> tuple[np.ndarray, np.ndarray]:
        """Return losses and accuracies on the validation set, shape ``(runs,)`` each."""
        self.stack.model.eval()
        with torch.no_grad():
            outputs = self.stack.outputs(data.x_val, shared=True)
            loss = losses(outputs, data.y_val.expand(len(self.members), *data.y_val.shape))
            accuracy = torch.full_like(loss, torch.nan)
            if data.is_classification:
                # max() finds the same class as argmax(), many times faster
                right = outputs.movedim(2, 1).max(1).indices == data.y_val
                accuracy = right.double().flatten(1).mean(1)
        self.stack.model.train()
        return loss.double().numpy(), accuracy.double().numpy()


def _groups(make_model: Callable[[], nn.Module], data: Dataset, runs: list[Run]) -> list[_Group]:
    models = {run.seed: seeded(make_model, run.seed) for run in runs}
    make_stack, most = stack_for(models[runs[0].seed], data)
    by_optimizer: dict[str, list[int]] = {}
    for i, run in enumerate(runs):
        by_optimizer.setdefault(run.optimizer, []).append(i)
    return [
        _Group(part, runs, make_stack([models[runs[i].seed] for i in part]))
        for members in by_optimizer.values()
        for part in (members[i : i + most] for i in range(0, len(members), most))
    ]


class _Records:
    """The histories of a fleet, each a row of some larger arrays."""

    def __init__(self, runs: int, epochs: int, steps: int) -> None:
        self._lr = np.full((runs, epochs * steps), np.nan)
        self._train_loss, self.val_loss, self._val_accuracy = np.full((3, runs, epochs), np.nan)
        rows = zip(self._lr, self._train_loss, self.val_loss, self._val_accuracy, strict=True)
        self.histories = [History(*row) for row in rows]
        self.running = np.full(runs, True)

    def note(
        self,
        epoch: int,
        members: list[int],
        lr: np.ndarray,
        found: list[Tensor],
        lengths: list[int],
        scores: tuple[np.ndarray, np.ndarray] | None,
    ) -> None:
        """Write down an epoch of a group, or of it the part that was trained.

        A run ends at its first non-finite loss, though its rows went on being computed: that is
        looked for here, once per epoch, rather than at each step.
        """
        if not found:
            return
        done, steps = len(found), len(lengths)
        weighted = torch.stack(found).double() * torch.tensor(lengths[:done])[:, None]
        sums = weighted.cumsum(0).numpy()
        for k, i in enumerate(members):
            if not self.running[i]:
                continue
            broken = np.flatnonzero(~np.isfinite(sums[:, k]))
            last = broken[0] if len(broken) else done - 1
            start = epoch * steps
            self._lr[i, start : start + last + 1] = lr[k, : last + 1]
            if len(broken) or scores is not None:
                self._train_loss[i, epoch] = sums[last, k] / sum(lengths)
            if not len(broken) and scores is not None:
                self.val_loss[i, epoch], self._val_accuracy[i, epoch] = (s[k] for s in scores)
            if len(broken) or (scores is not None and not np.isfinite(self.val_loss[i, epoch])):
                self.histories[i] = replace(self.histories[i], diverged_at=epoch)
                self.running[i] = False
