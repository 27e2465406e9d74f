"""The training loop for many runs at once: `train_many` does what `train` does, K times over."""

from __future__ import annotations

import copy
import math
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from operator import methodcaller
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import nn

from ..tasks.data import Dataset
from ..tasks.optimizers import Maker, build_optimizer
from ..tasks.torch_private import multiplications
from ..words.errors import check_number
from .batched import LinearStack, Stack, linear_layers
from .groups import Alone, Reason, Together
from .history import History
from .loop import Training
from .proof import MOST_TOGETHER, Ways
from .runs import Layout, Member, Pool, Run, layout_of, members_of
from .threads import crew, one_thread
from .trial import try_out
from .unchanged import unchanged

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
    make_optimizer: Maker | None = None,
    on_epoch: Callable[[int, list[History]], object] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> list[History]:
    """Train all ``runs`` together and return what `train` would return for each.

    The runs' weights lie in one tensor, so one call into torch makes a step of every run, and
    the price of the call is paid once. Torch's own schedulers set the rates. Runs of different
    optimizers train in groups, and so do more than 64 runs, which bounds the memory; if the work
    is worth it, groups train side by side.

    Before that, each distinct model takes one step both ways, together and by itself, and the two
    must agree. A model that cannot train together with others, or would become another one so, is
    trained by itself in `train`'s own loop; its history says why, in ``alone``. Such are models
    with dropout, hooks, ``nn.LSTM`` or branches on their data, and optimizers other than the four
    of `make_optimizer`, however many parameter groups they have.

    A run that diverges ends as it does in `train` and leaves the others alone, to the last bit.
    The size of a fleet may touch that bit, except with Linear layers and ReLUs: torch rounds some
    functions, such as tanh, by where a number lies in memory.

    Args:
        make_model: called for every distinct seed, and again for every run that trains by itself.
        data: what to train and validate on.
        runs: 1 to 1024 of them.
        epochs: passes over the training set.
        batch_size: rows per update and run.
        step_every: ``"epoch"`` or ``"batch"``: when ``scheduler.step()`` is called, unless a run
            has its own; the ``total_steps`` of a schedule counts these calls.
        make_optimizer: a function of the model that returns its optimizer, for all runs.
        on_epoch: called as ``on_epoch(epoch, histories)`` after each epoch, with the live records.
        should_stop: asked before each update of a group, maybe on another thread; True ends all
            runs, their unfinished epoch left NaN.

    Returns:
        One `History` per run, in the order of ``runs``.

    Raises:
        ValueError: naming argument, constraint and value; before anything is trained.

    Source: https://docs.pytorch.org/tutorials/intermediate/ensembling.html

    >>> from lrsched_kit import load_digits
    >>> from lrsched_kit import MLP
    >>> runs = [Run("StepLR", {"step_size": 2}, seed=seed) for seed in range(3)]
    >>> histories = train_many(MLP, load_digits(), runs, epochs=4)
    >>> histories[2].epoch_lr.round(6).tolist()
    [0.1, 0.1, 0.01, 0.01]
    """
    fleet = Fleet(make_model, data, batch_size)
    return fleet.train(runs, epochs, step_every, make_optimizer, on_epoch, should_stop)


class Fleet:
    """A model and a data set, found fit for each other once, to be trained as often as one likes.

    What has been proved is remembered, so that a lab pays for it once. Random numbers of the
    process are borrowed while one is made, so a lab does that in its cell.

    Args:
        make_model, data, batch_size: as for `train_many`, which raises the same errors.
        models: seed -> its model, as far as they have been made already.
        dtype: of the arithmetic: models and data are converted; None: they are left as they are.
    """

    def __init__(
        self,
        make_model: Callable[[], nn.Module],
        data: Dataset,
        batch_size: int = 16,
        models: Mapping[int, nn.Module] = MappingProxyType({}),
        dtype: torch.dtype | None = None,
    ) -> None:
        self._batch_size = int(check_number("batch_size", batch_size, integer=True))
        self._steps = math.ceil(len(data.x_train) / self._batch_size)
        self._data = data if dtype is None else data.to(dtype)
        with one_thread():
            self._models = Pool(make_model, self._data, self._batch_size, models, dtype)
            first = self._models[0]
            try:
                self.trial = try_out(first, self._data, self._batch_size)
            except ValueError as error:
                if dtype in (None, torch.float32):
                    raise
                Fleet(make_model, data, batch_size, dtype=torch.float32)  # or the same error
                raise ValueError(
                    f"{error}; it does train in single precision: compare and sweep train in "
                    "double precision unless they are told dtype=torch.float32."
                ) from error
            layers = linear_layers(first, self._data, self.trial)
            self._make_stack: Callable[..., Stack] = (
                partial(LinearStack, layers=layers) if layers else Stack
            )
            self._ways = Ways(
                self._models, self._data, self.trial, self._make_stack, self._batch_size
            )
            with unchanged(first):
                work = multiplications(first.eval(), self._data.x_train[:2])
        self._work = work / len(self._data.x_train[:2]) * (LinearStack if layers else Stack).price

    def fresh(self, seed: int) -> nn.Module:
        """Return one more model of that seed, to be trained."""
        return self._models.fresh(seed)

    def rates(self, run: Run) -> tuple[float, ...]:
        """Return the base rate of each parameter group of that run's optimizer."""
        return self._layout(run).rates

    def why_alone(self, run: Run) -> str:
        """Say why such a run trains by itself; or nothing, where it trains together with others."""
        with one_thread():
            member = Member(0, run, self._layout(run))
            ((reason, _),) = self._ways.of([member])
        return "" if reason is None else str(reason)

    def refuse_early(self, runs: Sequence[Run], *, epochs: int) -> None:
        """Raise the ValueError that `train` would raise, if so; nothing is trained."""
        self._members(runs, epochs, "epoch")

    def train(
        self,
        runs: Sequence[Run],
        epochs: int,
        step_every: str = "epoch",
        make_optimizer: Maker | None = None,
        on_epoch: Callable[[int, list[History]], object] | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> list[History]:
        """Train all ``runs`` together: see `train_many`."""
        members = self._members(runs, epochs, step_every, make_optimizer)
        epochs, rows = int(epochs), len(self._data.x_train)
        seeds, metrics = {member.run.seed for member in members}, self._data.metrics
        orders = {seed: torch.Generator().manual_seed(seed) for seed in seeds}
        histories = [
            History.empty(epochs, self._steps, metrics=metrics, groups=len(member.layout.rates))
            for member in members
        ]
        stop = threading.Event()

        def stopping() -> bool:
            if should_stop is not None and should_stop():
                stop.set()
            return stop.is_set()

        with one_thread() as cores:
            worth = len(members) * self._batch_size * self._work // _WORK_FOR_A_THREAD
            threads = 1 if self._ways.reason else max(1, min(cores, int(worth)))
            groups = self._groups(members, histories, threads)
            with crew(threads, stop) as each:
                for epoch in range(epochs):
                    rows_of = {s: torch.randperm(rows, generator=g) for s, g in orders.items()}
                    running = [group for group in groups if group.running]
                    list(each(methodcaller("advance", epoch, rows_of, stopping), running))
                    if stop.is_set():
                        break
                    if on_epoch is not None:
                        on_epoch(epoch, [*histories])
                    if not any(group.running for group in groups):
                        break
        return histories

    def _members(
        self, runs: Sequence[Run], epochs: int, step_every: str, maker: Maker | None = None
    ) -> list[Member]:
        """Return the runs complete, or say what is wrong with them."""
        epochs = int(check_number("epochs", epochs, integer=True))
        return members_of(runs, self._layout, self._data, epochs, self._steps, step_every, maker)

    def _layout(self, run: Run) -> Layout:
        """Return how that run's optimizer moves its model's parameters."""
        # What a name makes is the same for all models.
        model = self._models[run.seed if callable(run.optimizer) else 0]
        return layout_of(build_optimizer(run.optimizer, model, run.base_lr), model)

    def _groups(
        self, members: Sequence[Member], histories: list[History], threads: int
    ) -> list[Together | Alone]:
        """Divide the runs, so that no group is too large and no thread idle.

        Runs in a group share their optimizer's rule, and whether a scheduler moves its momentum.
        """
        kinds: dict[Any, list[Member]] = defaultdict(list)
        alone = []
        for member, (reason, still) in zip(members, self._ways.of(members), strict=True):
            layout = member.layout
            kind = layout.rule, layout.group_of, member.schedule.moves_momentum, still
            if reason is None:
                kinds[kind].append(member)
            else:
                training = self._training(member, histories[member.place].epochs, reason)
                alone.append(Alone(member.place, training, reason, histories))
        most = min(MOST_TOGETHER, math.ceil(len(members) / threads))
        together = []
        for (*_, still), those in kinds.items():
            for part in np.array_split(range(len(those)), math.ceil(len(those) / most)):
                group = [those[i] for i in part]
                models = [self._models[member.run.seed] for member in group]
                stack = self._make_stack(models, self._data, still)
                together.append(Together(group, stack, self._data, self._batch_size, histories))
        return [*together, *alone]

    def _training(self, member: Member, epochs: int, reason: Reason) -> Training:
        """Return what `train` would do for that run."""
        run, data, model = member.run, self._data, self.fresh(member.run.seed)
        optimizer = build_optimizer(run.optimizer, model, run.base_lr)
        if self.trial.changes.startswith("loss"):  # each run begins with the loss as it was
            data = replace(data, loss=copy.deepcopy(data.loss))
        how = epochs, self._batch_size, run.seed, member.unit, run.metric
        trial = None if reason.is_other_kind else self.trial
        return Training(model, data, optimizer, member.build(optimizer), *how, trial)
