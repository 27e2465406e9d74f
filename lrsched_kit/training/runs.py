"""The runs of a fleet, as a reader writes them and complete; and the models, one for each seed."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from ..schedules.catalogue import SCHEDULES, get_schedule
from ..schedules.spec import Schedule, dummy_optimizer
from ..tasks.data import Dataset, told_metric
from ..tasks.models import seeded
from ..tasks.optimizers import Maker, Unless, check_maker, get_rule, rates_of, rule_of
from ..tasks.torch_private import copy_hooks, hooked, parts_of
from ..words.errors import check_number
from .loop import check_length, check_step_every, scheduler_steps
from .trial import try_out

_MOST_RUNS = 1024


@dataclass(frozen=True)
class Run:
    """One training run of a fleet.

    Attributes:
        schedule: a name in `SCHEDULES`, or a row of one's own.
        params: the schedule's own; those left out take the row's defaults.
        base_lr: the rate of the optimizer's first parameter group, 0.1 if it is left out; where
            a function makes the optimizer, left out it is what that function has set, and other
            groups go along in proportion.
        optimizer: ``"sgd"``, ``"momentum"``, ``"adam"`` or ``"adamw"``: see `make_optimizer`; or
            a function of the model that returns a torch optimizer.
        seed: of the initial weights, ``seeded(make_model, seed)``, and of the batch order,
            ``train(..., seed=seed)``.
        step_every: ``"epoch"`` or ``"batch"``; None: as `train_many` is told for all runs.
        metric: what ReduceLROnPlateau is told: see `train`.
    """

    schedule: str | Schedule
    params: Mapping[str, Any] = field(default_factory=dict)
    base_lr: float = Unless(0.1)  # as immutable as any number
    optimizer: str | Maker = "momentum"
    seed: int = 0
    step_every: str | None = None
    metric: str | None = None


@dataclass(frozen=True)
class Layout:
    """Which rule moves which parameters, at which rates."""

    rule: str | None  # the name of that in `optimizers.RULES` that does the same, if any
    rates: tuple[float, ...]  # the base rate of each parameter group
    group_of: tuple[tuple[str, int], ...]  # trained parameter -> the number of its group

    @property
    def relative(self) -> Layout:
        """The same with the first group's rate for a unit, rounded: one proof does for both."""
        return replace(self, rates=tuple(float(f"{r / self.rates[0]:.9g}") for r in self.rates))


def layout_of(optimizer: Optimizer, model: nn.Module) -> Layout:
    """Return how this optimizer moves that model's parameters."""
    names = {id(p): name for name, p in model.named_parameters()}
    places = [
        (names.get(id(p), ""), number)
        for number, group in enumerate(optimizer.param_groups)
        for p in group["params"]
        if p.requires_grad
    ]
    known = all(name for name, _ in places)  # parameters of its own make it no rule's
    rule = rule_of(optimizer) if known else None
    return Layout(rule, rates_of(optimizer), tuple(sorted(places)))


def _complete(run: Run, step_every: str, maker: Maker | None) -> Run:
    """Return a run with all its params, its unit, and the optimizer that all runs share, if so."""
    if maker is not None and run.optimizer != "momentum":
        raise ValueError(
            f"optimizer must be left out where make_optimizer is given, got {run.optimizer!r}."
        )
    optimizer = run.optimizer if maker is None else maker
    if not callable(optimizer):
        get_rule(optimizer)
    check_number("base_lr", run.base_lr)
    seed = int(check_number("seed", run.seed, must_be="non-negative", integer=True))
    return replace(
        run,
        params=get_schedule(run.schedule).complete(run.params),
        optimizer=optimizer,
        seed=seed,
        step_every=step_every if run.step_every is None else run.step_every,
    )


@dataclass(frozen=True)
class Member:
    """A complete run of a fleet."""

    place: int  # where it stands among the fleet's runs
    run: Run
    layout: Layout
    total_steps: int = 1  # how often its scheduler is stepped
    mode: str | None = None  # of its ReduceLROnPlateau; None: its scheduler is another one
    has_own_scheduler: bool = False  # of a class that is not torch's, and may do anything

    @property
    def unit(self) -> str:
        """When its scheduler is stepped, "epoch" or "batch"."""
        return self.run.step_every or "epoch"

    @property
    def schedule(self) -> Schedule:
        """The row of its schedule."""
        return get_schedule(self.run.schedule)

    def build(self, optimizer: Optimizer) -> LRScheduler:
        """Make its scheduler."""
        return self.schedule.build(optimizer, total_steps=self.total_steps, **self.run.params)


def _member_of(
    place: int, run: Run, layout: Layout, data: Dataset, *, epochs: int, steps: int
) -> Member:
    """Return a complete run as a fleet needs it; ``steps`` are the updates of an epoch."""
    total_steps = scheduler_steps(epochs, steps, run.step_every)
    member = Member(place, run, layout, total_steps)
    if SCHEDULES.get(member.schedule.name) is member.schedule and not callable(run.optimizer):
        member.schedule.check(run.params, base_lr=run.base_lr, total_steps=total_steps)
    scheduler = member.build(dummy_optimizer(layout.rates))  # what it is, it shows when it is made
    own = not all(type(p).__module__.startswith("torch.optim") for p in parts_of(scheduler))
    mode = scheduler.mode if isinstance(scheduler, ReduceLROnPlateau) else None
    check_step_every(member.unit, wants_metric=mode is not None)
    if mode is None:
        check_length(scheduler, total_steps)
    else:
        told_metric(data, mode, run.metric)
    return replace(member, mode=mode, has_own_scheduler=own)


def members_of(
    runs: Sequence[Run],
    find_layout: Callable[[Run], Layout],
    data: Dataset,
    epochs: int,
    steps: int,
    step_every: str,
    maker: Maker | None,
) -> list[Member]:
    """Return the runs complete, or raise a ValueError that says what is wrong with them."""
    runs = list(runs)
    if not all(isinstance(run, Run) for run in runs):
        raise ValueError(f"runs must hold Run objects only, got {runs!r:.80}.")
    if not 1 <= len(runs) <= _MOST_RUNS:
        raise ValueError(f"runs must hold 1 to {_MOST_RUNS} runs, got {len(runs)}.")
    check_maker(maker)
    members = []
    for place, run in enumerate(runs):
        with _naming(place):
            run = _complete(run, step_every, maker)
        layout = find_layout(run)
        with _naming(place):
            members.append(_member_of(place, run, layout, data, epochs=epochs, steps=steps))
    return members


@contextmanager
def _naming(place: int) -> Iterator[None]:
    """Let an error say which run it is about."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"runs[{place}]: {error}") from None


class Pool(dict[int, nn.Module]):
    """Seed -> its model, as training begins with it, made when it is asked for; never trained.

    Lazy layers take their shapes from the data; other arguments are those of `Fleet`.
    """

    def __init__(
        self,
        make_model: Callable[[], nn.Module],
        data: Dataset,
        batch_size: int,
        given: Mapping[int, nn.Module],
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        self._make_model, self._data, self._batch_size = make_model, data, batch_size
        self._given, self._dtype = dict(given), dtype
        self._shares: bool | None = None  # whether models hold the same parameters

    def __missing__(self, seed: int) -> nn.Module:
        given = self._given.pop(seed, None)
        model = self._made(seed) if given is None else given
        if isinstance(model, nn.Module) and any(map(is_lazy, model.parameters())):
            try_out(model, self._data, self._batch_size)
        self[seed] = model
        return model

    def fresh(self, seed: int) -> nn.Module:
        """Return one more such model, to be trained.

        A copy will do, except where code outside the model knows of it, as hooks do: then it is
        made anew. But models that share parameters, a backbone say, must not be trained one after
        the other.
        """
        pristine = self[seed]
        if hooked(pristine):
            made = self._made(seed)
            if not any(_share(made, model) for model in self.values()):
                return made
        made = copy.deepcopy(pristine)
        copy_hooks(pristine, made)
        return made

    def _made(self, seed: int) -> nn.Module:
        model = seeded(self._make_model, seed)
        if self._dtype is None or not isinstance(model, nn.Module):
            return model
        if all(p.dtype == self._dtype for p in model.parameters() if p.is_floating_point()):
            return model
        if self._shares is None:
            self._shares = _share(model, seeded(self._make_model, seed))
        return (copy.deepcopy(model) if self._shares else model).to(self._dtype)


def _share(first: nn.Module, second: nn.Module) -> bool:
    return not {id(p) for p in first.parameters()}.isdisjoint(id(p) for p in second.parameters())
