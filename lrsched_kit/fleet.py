"""The training loop for many runs at once: `train_many` does what `train` does, K times over."""

from __future__ import annotations

import copy
import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from operator import methodcaller
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .batchable import check_batchable
from .batched import multiplications, stack_for
from .data import Dataset
from .models import seeded
from .optimizers import get_rule, make_optimizer
from .runs import Group, Rates, Run
from .schedules import check_number, get_schedule
from .training import History, check_step_every, one_thread

__all__ = ["Fleet", "Run", "make_optimizer", "train_many"]

_MOST_RUNS = 1024
_MOST_IN_A_GROUP = 64  # more runs at once gain nothing, and fill caches and memory
# Another thread pays for each so many multiplications in a forward step of the fleet, each counted
# at its stack's price (measured: see benchmarks/bench_fleet.py).
_WORK_FOR_A_THREAD = 4_000_000


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
    optimizer of a single number. Runs of different optimizers train in groups, and so do more than
    64 runs, which bounds the memory; if the work is worth it, groups train side by side.

    A run that diverges ends as it does in `train` and leaves the others alone, to the last bit.
    The size of a fleet may touch that bit, except with Linear layers and ReLUs: torch rounds some
    functions, such as tanh, by where a number lies in memory.

    Args:
        make_model: called for every distinct seed; its models are all of one architecture and do
            not change themselves, draw random numbers, or branch on their data.
        data: what to train and validate on.
        runs: 1 to 1024 of them.
        epochs: passes over the training set.
        batch_size: rows per update and run.
        step_every: ``"epoch"`` or ``"batch"``: when ``scheduler.step()`` is called, unless a run
            has its own; the ``total_steps`` of a schedule counts these calls.
        on_epoch: called as ``on_epoch(epoch, histories)`` after each epoch, with the live records.
        should_stop: asked before each update of a group, maybe on another thread; True ends all
            runs, their unfinished epoch left NaN.

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
    return Fleet(make_model, data).train(
        runs,
        epochs=epochs,
        batch_size=batch_size,
        step_every=step_every,
        on_epoch=on_epoch,
        should_stop=should_stop,
    )


class Fleet:
    """A model and a data set, found fit for each other once, to be trained as often as one likes.

    `train_many` makes one for each call. Making models touches the random numbers of the whole
    process for a moment; a fleet whose seeds are all in ``models`` makes none, so that it may be
    built and trained in a thread.

    Args:
        make_model, data: as for `train_many`.
        models: seed -> its model, as far as they have been made already.

    Raises:
        ValueError: as `train_many`.
    """

    def __init__(
        self,
        make_model: Callable[[], nn.Module],
        data: Dataset,
        models: Mapping[int, nn.Module] = MappingProxyType({}),
    ) -> None:
        self._make_model = make_model
        self._data = data
        self._models = {**models}
        if 0 not in self._models:
            self._models[0] = seeded(make_model, 0)
        check_batchable(copy.deepcopy(self._models[0]), data)
        self._make_stack = stack_for(self._models[0], data)
        self._price = self._make_stack([self._models[0]]).price

    def train(
        self,
        runs: Sequence[Run],
        *,
        epochs: int,
        batch_size: int = 16,
        step_every: str = "epoch",
        on_epoch: Callable[[int, list[History]], None] | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> list[History]:
        """Train all ``runs`` together: see `train_many`."""
        epochs = int(check_number("epochs", epochs, integer=True))
        batch_size = int(check_number("batch_size", batch_size, integer=True))
        data = self._data
        lengths = [len(part) for part in data.x_train.split(batch_size)]
        runs = _checked(runs, step_every, epochs, len(lengths))
        rates = Rates(runs, epochs, len(lengths), step_every)
        one_run = multiplications(self._models[0], data.x_train[:batch_size]) * self._price
        records = _Records(len(runs), epochs, lengths)
        generators = {run.seed: torch.Generator().manual_seed(run.seed) for run in runs}
        stop = threading.Event()

        def stopping() -> bool:
            if should_stop is not None and should_stop():
                stop.set()
            return stop.is_set()

        with one_thread() as cores:
            threads = max(1, min(cores, len(runs) * one_run // _WORK_FOR_A_THREAD))
            groups = self._groups(runs, rates, batch_size, threads)
            with _crew(threads, stop) as each:
                for epoch in range(epochs):
                    orders = {
                        seed: torch.randperm(len(data.x_train), generator=generator)
                        for seed, generator in generators.items()
                    }
                    running = [g for g in groups if records.running[g.members].any()]
                    results = each(methodcaller("epoch", orders, stopping), running)
                    for group, result in zip(running, results, strict=True):
                        records.note(epoch, group.members, *result)
                    if stop.is_set():
                        break
                    if on_epoch is not None:
                        on_epoch(epoch, records.histories)
                    if not records.running.any():
                        break
                    if epoch + 1 < epochs:  # some schedules refuse a step beyond their last
                        rates.step(records.val_loss[:, epoch])
        return records.histories

    def _groups(self, runs: list[Run], rates: Rates, batch_size: int, threads: int) -> list[Group]:
        """Divide the runs, so that no group is too large and no thread idle.

        Runs in a group share their optimizer, and whether a scheduler moves its momentum too.
        """
        models = self._models
        for seed in {run.seed for run in runs} - models.keys():
            models[seed] = seeded(self._make_model, seed)
        most = min(_MOST_IN_A_GROUP, math.ceil(len(runs) / threads))
        groups = []
        kinds = [(run.optimizer, get_schedule(run.schedule).moves_momentum) for run in runs]
        for kind in dict.fromkeys(kinds):
            members = [i for i in range(len(runs)) if kinds[i] == kind]
            for part in np.array_split(members, math.ceil(len(members) / most)):
                stack = self._make_stack([models[runs[i].seed] for i in part])
                groups.append(Group(part.tolist(), runs, stack, self._data, rates, batch_size))
        return groups


@contextmanager
def _crew(threads: int, stop: threading.Event) -> Iterator[Callable[..., Iterator[Any]]]:
    """Give a map() that works on so many items side by side, and stops if its user fails.

    Threads of Python, each with a group to itself, meet once per epoch. Torch's own threads meet
    at every operation, and where another program takes a core now and then, they were measured
    to wait for each other ten times as long as they work.
    """
    if threads == 1:
        yield map
        return
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        try:
            yield pool.map
        except BaseException:
            stop.set()
            raise


def _checked(runs: Sequence[Run], step_every: str, epochs: int, steps: int) -> list[Run]:
    runs = list(runs)
    if not all(isinstance(run, Run) for run in runs):
        raise ValueError(f"runs must hold Run objects only, got {runs!r:.80}.")
    if not 1 <= len(runs) <= _MOST_RUNS:
        raise ValueError(f"runs must hold 1 to {_MOST_RUNS} runs, got {len(runs)}.")
    checked = []
    for i, run in enumerate(runs):
        try:
            get_rule(run.optimizer)
            base_lr = check_number("base_lr", run.base_lr)
            seed = check_number("seed", run.seed, must_be="non-negative", integer=True)
            schedule = get_schedule(run.schedule)
            unit = step_every if run.step_every is None else run.step_every
            check_step_every(unit, wants_metric=schedule.metric_driven)
            total_steps = epochs * (steps if unit == "batch" else 1)
            params = schedule.check(run.params, base_lr=base_lr, total_steps=total_steps)
        except ValueError as error:
            raise ValueError(f"runs[{i}]: {error}") from None
        checked.append(replace(run, params=params, base_lr=base_lr, seed=int(seed)))
    return checked


class _Records:
    """The histories of a fleet, each a row of some larger arrays."""

    def __init__(self, runs: int, epochs: int, lengths: list[int]) -> None:
        self._lengths = torch.tensor(lengths)
        self._lr = np.full((runs, epochs * len(lengths)), np.nan)
        self._train_loss, self.val_loss, self._val_accuracy = np.full((3, runs, epochs), np.nan)
        rows = zip(self._lr, self._train_loss, self.val_loss, self._val_accuracy, strict=True)
        self.histories = [History(*row) for row in rows]
        self.running = np.full(runs, True)

    def note(
        self,
        epoch: int,
        members: list[int],
        rates: np.ndarray,
        found: Tensor,
        scores: tuple[Tensor, Tensor] | None,
    ) -> None:
        """Write down an epoch of a group: see `Group.epoch` for the arguments.

        A run ends at its first non-finite loss, though its numbers went on being computed; this
        is looked for here, once per epoch, rather than at each step.
        """
        steps, made = len(self._lengths), found.shape[1]
        if made == 0:
            return
        sums = (found * self._lengths[:made]).cumsum(1).numpy()
        for k, i in enumerate(members):
            if not self.running[i]:
                continue
            bad = np.flatnonzero(~np.isfinite(sums[k]))
            last = bad[0] if len(bad) else made - 1
            self._lr[i, epoch * steps :][: last + 1] = rates[k, : last + 1]
            if not len(bad) and scores is None:
                continue
            self._train_loss[i, epoch] = sums[k, last] / self._lengths.sum().item()
            if not len(bad):
                self.val_loss[i, epoch], self._val_accuracy[i, epoch] = (s[k] for s in scores)
            if len(bad) or not np.isfinite(self.val_loss[i, epoch]):
                self.histories[i] = replace(self.histories[i], diverged_at=epoch)
                self.running[i] = False
