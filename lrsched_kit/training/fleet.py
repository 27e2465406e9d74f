"""The training loop for many runs at once: `train_many` does what `train` does, K times over."""

from __future__ import annotations

import copy
import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property, partial
from operator import methodcaller
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import nn, optim

from ..schedules.catalogue import SCHEDULES, get_schedule
from ..schedules.spec import dummy_optimizer
from ..tasks.data import Dataset, told_metric
from ..tasks.models import seeded
from ..tasks.optimizers import (
    Maker,
    Unless,
    build_optimizer,
    check_maker,
    get_rule,
    make_optimizer,
)
from ..tasks.randomness import borrowed
from ..tasks.torch_private import copy_hooks, hooked, multiplications, parts_of
from ..words.errors import check_number
from .batched import Stack, stack_for
from .loop import History, Training, check_parts, check_step_every, one_thread
from .proof import OTHER_KIND, Layout, layout_of, prove, reached, why_alone
from .runs import Alone, Run, Together, mode_of
from .trial import Trial, batch_sizes, is_lazy, try_out, unchanged

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
    make_optimizer: Maker | None = None,
    on_epoch: Callable[[int, list[History]], None] | None = None,
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
    return Fleet(make_model, data).train(
        runs,
        epochs=epochs,
        batch_size=batch_size,
        step_every=step_every,
        make_optimizer=make_optimizer,
        on_epoch=on_epoch,
        should_stop=should_stop,
    )


class Fleet:
    """A model and a data set, found fit for each other once, to be trained as often as one likes.

    `train_many` makes one for each call. What has been proved is remembered, so that a lab pays
    for it once.

    Args:
        make_model, data: as for `train_many`.
        models: seed -> its model, as far as they have been made already.
        dtype: of the arithmetic: models and data are converted; None: they are left as they are.

    Raises:
        ValueError: as `train_many`.
    """

    def __init__(
        self,
        make_model: Callable[[], nn.Module],
        data: Dataset,
        models: Mapping[int, nn.Module] = MappingProxyType({}),
        dtype: torch.dtype | None = None,
    ) -> None:
        self._make_model, self._dtype = make_model, dtype
        self._data = data if dtype is None else data.to(dtype)
        self._models: dict[int, nn.Module] = {}
        self._given = dict(models)
        self._shares: bool | None = None  # whether models hold the same parameters
        with one_thread():
            self._first = self._model(0)
            self._trial = self._try_out()
            self._make_stack = stack_for(self._first, self._data, self._trial)
            self._work = self._work_for_a_row()
        self._reason = why_alone(self._first, self._trial)
        self._proofs: dict[tuple[int, Any, Layout], tuple[str, frozenset[str]]] = {}
        self._reached: dict[int, list[tuple[frozenset[str], bool]]] = {}  # by batch size

    def _work_for_a_row(self) -> float:
        """Return the multiplications for a row of inputs, each at its price."""
        rows = self._data.x_train[:2]
        with unchanged(self._first), borrowed(0):
            work = multiplications(self._first.eval(), rows) / len(rows)
        return work * _kind(self._make_stack).price

    def _try_out(self) -> Trial:
        try:
            return try_out(self._first, self._data)
        except ValueError as error:
            if self._dtype in (None, torch.float32):
                raise
            Fleet(self._make_model, self._data, dtype=torch.float32)  # or the same error
            raise ValueError(
                f"{error}; it does train in single precision: compare and sweep train in double "
                "precision unless they are told dtype=torch.float32."
            ) from error

    def _made(self, seed: int) -> nn.Module:
        model = seeded(self._make_model, seed)
        if self._dtype is None or not isinstance(model, nn.Module):
            return model
        if all(p.dtype == self._dtype for p in model.parameters() if p.is_floating_point()):
            return model
        if self._shares is None:
            self._shares = _share(model, seeded(self._make_model, seed))
        return (copy.deepcopy(model) if self._shares else model).to(self._dtype)

    def _model(self, seed: int) -> nn.Module:
        """Return that seed's model, as training begins with it. It is never trained itself."""
        if seed not in self._models:
            given = self._given.pop(seed, None)
            model = self._made(seed) if given is None else given
            if isinstance(model, nn.Module) and any(map(is_lazy, model.parameters())):
                try_out(model, self._data)  # lazy layers take their shapes from what they see
            self._models[seed] = model
        return self._models[seed]

    def fresh(self, seed: int) -> nn.Module:
        """Return one more such model, to be trained.

        A copy will do, except where code outside the model knows of it, as hooks do: then it is
        made anew. But models that share parameters, a backbone say, must not be trained one after
        the other.
        """
        pristine = self._model(seed)
        if hooked(pristine):
            made = self._made(seed)
            if not any(_share(made, model) for model in self._models.values()):
                return made
        made = copy.deepcopy(pristine)
        copy_hooks(pristine, made)
        return made

    def why_alone(self, run: Run, batch_size: int = 16) -> str:
        """Say why such a run trains by itself; or nothing, where it trains together with others.

        >>> from lrsched_kit import load_digits
        >>> from lrsched_kit import MLP
        >>> Fleet(MLP, load_digits()).why_alone(Run("StepLR"))
        ''
        >>> make_model = lambda: nn.Sequential(nn.Linear(64, 10), nn.Dropout())
        >>> Fleet(make_model, load_digits()).why_alone(Run("StepLR"))
        'it draws random numbers (dropout)'
        """
        self.prepare(batch_size)
        if self._reason:
            return self._reason
        with one_thread():
            return self._ways([run], [self._layout(run)], batch_size)[0][0]

    def train(
        self,
        runs: Sequence[Run],
        *,
        epochs: int,
        batch_size: int = 16,
        step_every: str = "epoch",
        make_optimizer: Maker | None = None,
        on_epoch: Callable[[int, list[History]], None] | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> list[History]:
        """Train all ``runs`` together: see `train_many`."""
        epochs = int(check_number("epochs", epochs, integer=True))
        batch_size = int(check_number("batch_size", batch_size, integer=True))
        rows = len(self._data.x_train)
        steps = math.ceil(rows / batch_size)
        runs = _checked(runs, self._data, step_every, epochs, steps, make_optimizer)
        stop = threading.Event()

        def stopping() -> bool:
            if should_stop is not None and should_stop():
                stop.set()
            return stop.is_set()

        with one_thread() as cores:
            threads = self._threads(len(runs), batch_size, cores)
            groups = self._groups(runs, epochs, batch_size, threads)
            seeds = {run.seed for run in runs}
            generators = {seed: torch.Generator().manual_seed(seed) for seed in seeds}
            with _crew(threads, stop) as each:
                for epoch in range(epochs):
                    orders = {
                        seed: torch.randperm(rows, generator=generator)
                        for seed, generator in generators.items()
                    }
                    running = [group for group in groups if group.running]
                    list(each(methodcaller("advance", epoch, orders, stopping), running))
                    if stop.is_set():
                        break
                    if on_epoch is not None:
                        on_epoch(epoch, _gathered(groups, len(runs)))
                    if not any(group.running for group in groups):
                        break
        return _gathered(groups, len(runs))

    def check(
        self, runs: Sequence[Run], *, epochs: int, batch_size: int, step_every: str = "epoch"
    ) -> list[Run]:
        """Return the runs complete, or say what is wrong with them; nothing is trained."""
        self.prepare(batch_size)
        steps = math.ceil(len(self._data.x_train) / batch_size)
        return _checked(runs, self._data, step_every, epochs, steps, None)

    def rates(self, run: Run) -> tuple[float, ...]:
        """Return the base rate of each parameter group of that run's optimizer."""
        return self._layout(run).rates

    @property
    def trial(self) -> Trial:
        """Return what a forward pass of the model does."""
        return self._trial

    def _layout(self, run: Run) -> Layout:
        """Return how that run's optimizer moves its model's parameters."""
        if callable(run.optimizer):
            model = self._model(run.seed)
            return layout_of(build_optimizer(run.optimizer, model, run.base_lr), model)
        return Layout(run.optimizer, (run.base_lr,), self._one_group)

    @cached_property
    def _one_group(self) -> tuple[tuple[str, int], ...]:
        named = self._first.named_parameters()
        return tuple(sorted((name, 0) for name, p in named if p.requires_grad))

    def _ways(
        self, runs: Sequence[Run], layouts: Sequence[Layout], batch_size: int
    ) -> list[tuple[str, frozenset[str]]]:
        """Return for each run why it trains alone, or nothing, and what gradients do not reach."""
        if self._reason:
            return [(self._reason, frozenset())] * len(runs)
        keys = [
            (run.seed, layout.rule or run.optimizer, replace(layout, rates=_ratios(layout)))
            for run, layout in zip(runs, layouts, strict=True)
        ]
        todo: dict[Any, dict[int, Run]] = {}
        for run, key in zip(runs, keys, strict=True):
            if key[2].rule is None:
                self._proofs[key] = "its optimizer is none of the four by name", frozenset()
            elif key not in self._proofs:
                todo.setdefault(key[1:], {})[run.seed] = run
        for (how, layout), missing in todo.items():
            seeds = sorted(missing)
            for start in range(0, len(seeds), _MOST_IN_A_GROUP):
                part = seeds[start : start + _MOST_IN_A_GROUP]
                # Seed 0's model goes first: it is the one that was tried out.
                all_seeds = list(dict.fromkeys([0, *part]))
                models = [self._model(seed) for seed in all_seeds]
                make = partial(_optimizer_of, missing[part[0]].optimizer)
                reasons, still = prove(models, self._data, self._make_stack, make, layout)
                for seed, reason in zip(all_seeds, reasons, strict=True):
                    self._proofs[seed, how, layout] = reason, still
        found = []
        for key, layout in zip(keys, layouts, strict=True):
            reason, still = self._proofs[key]
            found.append((reason or self._uneven(layout, still, batch_size), still))
        return found

    def prepare(self, batch_size: int) -> None:
        """Try the model out with batches of that size, which the first training does otherwise.

        Random numbers of the process are borrowed for that moment, so a lab does it in its cell.
        """
        if batch_size not in self._reached:
            with one_thread():
                self._reached[batch_size] = self._try_batches(batch_size)

    def _threads(self, runs: int, batch_size: int, cores: int) -> int:
        """Return how many threads such a fleet is worth. (Runs that train alone gain by none.)"""
        work = runs * batch_size * self._work
        return 1 if self._reason else max(1, min(cores, int(work // _WORK_FOR_A_THREAD)))

    def _groups(
        self, runs: list[Run], epochs: int, batch_size: int, threads: int
    ) -> list[Together | Alone]:
        """Divide the runs, so that no group is too large and no thread idle.

        Runs in a group share their optimizer's rule, and whether a scheduler moves its momentum.
        """
        self.prepare(batch_size)
        layouts = [self._layout(run) for run in runs]
        totals = [epochs * self._per_epoch(run, batch_size) for run in runs]
        for i, (run, layout) in enumerate(zip(runs, layouts, strict=True)):
            _check_rates(i, run, layout, totals[i])
        ways = [
            (reason or _own_scheduler(run, layout, total), still)
            for run, layout, total, (reason, still) in zip(
                runs, layouts, totals, self._ways(runs, layouts, batch_size), strict=True
            )
        ]
        most = min(_MOST_IN_A_GROUP, math.ceil(len(runs) / threads))
        groups: list[Together | Alone] = []
        kinds = [
            (layout.rule, layout.group_of, get_schedule(run.schedule).moves_momentum, way[1])
            for run, layout, way in zip(runs, layouts, ways, strict=True)
        ]
        batched = [i for i, (reason, _) in enumerate(ways) if not reason]
        for kind in dict.fromkeys(kinds[i] for i in batched):
            members = [i for i in batched if kinds[i] == kind]
            for part in np.array_split(members, math.ceil(len(members) / most)):
                models = [self._model(runs[i].seed) for i in part]
                groups.append(
                    Together(
                        part.tolist(),
                        [runs[i] for i in part],
                        [layouts[i] for i in part],
                        self._make_stack(models, self._data, kind[-1]),
                        self._data,
                        epochs=epochs,
                        batch_size=batch_size,
                    )
                )
        for i, (reason, _) in enumerate(ways):
            if reason:
                trial = None if reason in OTHER_KIND else self._trial
                training = self._training(runs[i], epochs, batch_size, trial)
                groups.append(Alone(i, training, reason))
        return groups

    def _try_batches(self, batch_size: int) -> list[tuple[frozenset[str], bool]]:
        """Try the model out with just the batches to come; code may look at their sizes."""
        self._trial = try_out(self._first, self._data, batch_size)
        self._reason = self._reason or why_alone(self._first, self._trial)
        if self._reason:
            return []
        stack = stack_for(self._first, self._data, self._trial)
        if _kind(stack) is not _kind(self._make_stack):
            self._make_stack = Stack  # what is proved of another one no longer counts
            self._proofs.clear()
        sizes = batch_sizes(len(self._data.x_train), batch_size)
        with unchanged(self._first, self._data.loss_fn), borrowed(0):
            return [reached(self._first, self._data, size) for size in sizes]

    def _uneven(self, layout: Layout, still: frozenset[str], batch_size: int) -> str:
        """Say what a batch does that the proof need not have seen; or nothing."""
        moved = frozenset(name for name, _ in layout.group_of)
        if any(names & moved != moved - still for names, _ in self._reached[batch_size]):
            return "which of its parameters are trained depends on the rows of a batch"
        if any(own for _, own in self._reached[batch_size]):
            return "it has a torch.autograd.Function of its own"
        return ""

    def _per_epoch(self, run: Run, batch_size: int) -> int:
        return math.ceil(len(self._data.x_train) / batch_size) if run.step_every == "batch" else 1

    def _training(self, run: Run, epochs: int, batch_size: int, trial: Trial | None) -> Training:
        """Return what `train` would do for that run."""
        model = self.fresh(run.seed)
        optimizer = build_optimizer(run.optimizer, model, run.base_lr)
        check_parts(model, self._data, optimizer)
        steps = epochs * self._per_epoch(run, batch_size)
        build = get_schedule(run.schedule).build
        data = self._data
        if self._trial.changes.startswith("loss"):  # each run begins with the loss as it was
            data = replace(data, loss=copy.deepcopy(data.loss))
        return Training(
            model,
            data,
            optimizer,
            build(optimizer, total_steps=steps, **run.params),
            epochs=epochs,
            batch_size=batch_size,
            seed=run.seed,
            step_every=run.step_every or "epoch",
            metric=run.metric,
            trial=trial,
        )


def _optimizer_of(how: str | Maker, model: nn.Module) -> optim.Optimizer:
    return build_optimizer(how, model, Unless(0.1))


def _share(first: nn.Module, second: nn.Module) -> bool:
    return not {id(p) for p in first.parameters()}.isdisjoint(id(p) for p in second.parameters())


def _kind(make_stack: Callable[..., Stack]) -> Any:
    return getattr(make_stack, "func", make_stack)


def _own_scheduler(run: Run, layout: Layout, total_steps: int) -> str:
    """Say that a row's scheduler is of a class of its own, which may do anything; or nothing."""
    schedule = get_schedule(run.schedule)
    if SCHEDULES.get(schedule.name) is schedule:
        return ""
    scheduler = schedule.build(dummy_optimizer(layout.rates), total_steps=total_steps, **run.params)
    if all(type(part).__module__.startswith("torch.optim") for part in parts_of(scheduler)):
        return ""
    return f"{schedule.name} is moved by a scheduler of its own class"


def _ratios(layout: Layout) -> tuple[float, ...]:
    return tuple(rate / layout.rates[0] for rate in layout.rates)


def _gathered(groups: Sequence[Together | Alone], count: int) -> list[History]:
    found = {
        i: history
        for group in groups
        for i, history in zip(group.members, group.histories, strict=True)
    }
    return [found[i] for i in range(count)]


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


def _checked(
    runs: Sequence[Run],
    data: Dataset,
    step_every: str,
    epochs: int,
    steps: int,
    maker: Maker | None,
) -> list[Run]:
    """Return the runs complete: params, units, and the optimizer that all of them share."""
    runs = list(runs)
    if not all(isinstance(run, Run) for run in runs):
        raise ValueError(f"runs must hold Run objects only, got {runs!r:.80}.")
    if not 1 <= len(runs) <= _MOST_RUNS:
        raise ValueError(f"runs must hold 1 to {_MOST_RUNS} runs, got {len(runs)}.")
    check_maker(maker)
    checked = []
    for i, run in enumerate(runs):
        try:
            if maker is not None and run.optimizer != "momentum":
                raise ValueError(
                    "optimizer must be left out where make_optimizer is given, "
                    f"got {run.optimizer!r}."
                )
            how = run.optimizer if maker is None else maker
            if not callable(how):
                get_rule(how)
            # An Unless stays one.
            base_lr = check_number("base_lr", run.base_lr) and run.base_lr
            seed = check_number("seed", run.seed, must_be="non-negative", integer=True)
            schedule = get_schedule(run.schedule)
            unit = step_every if run.step_every is None else run.step_every
            params = schedule.complete(run.params)
            total = epochs * (steps if unit == "batch" else 1)
            if not callable(how):
                schedule.check(params, base_lr=base_lr, total_steps=total)
            mode = mode_of(schedule, params, base_lr, total)
            check_step_every(unit, wants_metric=mode is not None)
            if mode is not None:
                told_metric(data, mode, run.metric)
        except ValueError as error:
            raise ValueError(f"runs[{i}]: {error}") from None
        given = {"params": params, "base_lr": base_lr, "seed": int(seed), "step_every": unit}
        checked.append(replace(run, optimizer=how, **given))
    return checked


def _check_rates(i: int, run: Run, layout: Layout, total_steps: int) -> None:
    """Refuse params that do not go with the rates that a reader's function has set."""
    if not callable(run.optimizer):
        return
    try:
        build = get_schedule(run.schedule).build
        build(dummy_optimizer(layout.rates), total_steps=total_steps, **run.params)
    except ValueError as error:
        raise ValueError(f"runs[{i}]: {error}") from None
