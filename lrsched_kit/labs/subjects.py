"""What labs train: the kit's models, or one of the reader's own, in the setting of the controls."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from torch import nn

from ..schedules.catalogue import get_schedule
from ..schedules.phases import Phase
from ..schedules.spec import Schedule
from ..schedules.trace import trace_groups, trace_momentum
from ..tasks.advice import ADVICE, suggest_base_lr
from ..tasks.data import Dataset
from ..tasks.models import MODELS, seeded
from ..tasks.optimizers import Maker, Unless, build_optimizer, check_maker, momentum_of
from ..training.fleet import Fleet
from ..training.loop import scheduler_steps
from ..training.runs import Run
from ..words import say
from ..words.errors import check_number
from .verdict import one_or_many

SEEDS_ALONE = 3  # of a model that trains run by run, unless a reader asks for more
SEEDS = 10  # models are made for so many at least: a range test's slider offers them


@dataclass(frozen=True)
class Setting:
    """What controls say: what is trained, and how."""

    model: str
    optimizer: str
    step_every: str
    base_lr: float
    epochs: int
    schedule: Schedule = field(compare=False)  # in one lab, equal settings have equal ones
    params: Mapping[str, Any]
    phases: tuple[Phase, ...] = ()  # that the schedule is composed of, if it is

    @property
    def constant(self) -> Self:
        """The same at the constant rate."""
        return replace(self, schedule=get_schedule("Constant"), params={}, phases=())


@dataclass(eq=False)
class Subject:
    """A model, and what and on how many seeds a lab trains it; see `train_many`."""

    make_model: Callable[[], nn.Module]
    data: Dataset
    batch_size: int
    seeds: int
    make_optimizer: Maker | None = None

    def __post_init__(self) -> None:
        # Made where the lab is: it touches the process's random numbers, which a lab's thread must
        # leave alone.
        count = max(self.seeds, SEEDS)
        self.models = {seed: seeded(self.make_model, seed) for seed in range(count)}

    @cached_property
    def fleet(self) -> Fleet:
        """The model and the data, found fit for each other when this is first asked for."""
        return Fleet(self.make_model, self.data, self.batch_size, self.models)

    def how(self, optimizer: str) -> str | Maker:
        """Return what makes the optimizer of that name in the menu."""
        return self.make_optimizer or optimizer

    def alone(self, optimizer: str) -> str:
        """Say why its runs train one by one with that optimizer, or nothing."""
        return self.fleet.why_alone(Run("Constant", {}, 0.1, self.how(optimizer)))

    def alone_lines(self, optimizer: str) -> list[str]:
        """Say on how many seeds its runs train one by one, and why, where they do."""
        reason = self.alone(optimizer)
        line = one_or_many("alone", self.seeds, seeds=self.seeds, reason=reason)
        return [line] if reason else []

    def rates(self, optimizer: str, base_lr: float) -> tuple[float, ...]:
        """Return the base rate of each parameter group."""
        return self.fleet.rates(Run("Constant", {}, base_lr, self.how(optimizer)))

    def suggestion(self, optimizer: str) -> float | None:
        """Return a base_lr that suits the pair, as far as that is known."""
        if self.make_optimizer is not None:
            return self.rates(optimizer, Unless(0.1))[0]
        name = getattr(self.make_model, "__name__", "")
        return suggest_base_lr(name, optimizer) if MODELS.get(name) is self.make_model else None

    def run(self, setting: Setting, seed: int, told: str | None) -> Run:
        """Return the run of a seed, with what a plateau is told."""
        how, unit = self.how(setting.optimizer), setting.step_every
        return Run(setting.schedule, setting.params, setting.base_lr, how, seed, unit, told)

    @property
    def steps_per_epoch(self) -> int:
        """How many updates an epoch has."""
        return math.ceil(len(self.data.x_train) / self.batch_size)

    def steps(self, setting: Setting) -> int:
        """Return how often the scheduler steps in a run."""
        return scheduler_steps(setting.epochs, self.steps_per_epoch, setting.step_every)

    def refusal(self, setting: Setting) -> str:
        """Say which values of a setting do not go together, or nothing."""
        steps = self.steps(setting)
        try:
            setting.schedule.check(setting.params, base_lr=setting.base_lr, total_steps=steps)
        except ValueError as error:
            return str(error)
        return ""

    def momentum(self, setting: Setting) -> np.ndarray | None:
        """Return momentum, or first beta, to be, ``(scheduler steps,)``; None: nothing moves it."""
        if not setting.schedule.moves_momentum:
            return None
        made = build_optimizer(self.how(setting.optimizer), self.models[0], Unless(0.1))
        if momentum_of(made) == 0:  # plain SGD has none to move
            return None
        how = {**setting.params, "base_lr": setting.base_lr, "steps": self.steps(setting)}
        return trace_momentum(setting.schedule, **how)

    def plan(self, setting: Setting) -> np.ndarray | None:
        """Return the rates to be, ``(groups, scheduler steps)``; None where a metric decides."""
        schedule, params, steps = setting.schedule, setting.params, self.steps(setting)
        rates = self.rates(setting.optimizer, setting.base_lr)
        if schedule.metric_driven:
            schedule.check(params, base_lr=rates[0], total_steps=steps)
            return None
        return trace_groups(schedule, rates=rates, steps=steps, **params)

    @property
    def loss_label(self) -> str:
        """What the loss axis is called."""
        if not self.data.has_plain_loss:
            return say("loss")
        return say("cross_entropy" if self.data.is_classification else "squared_error")


def make_subjects(
    make_model: Callable[[], nn.Module] | None,
    data: Dataset | None,
    batch_size: int | None,
    seeds: int | None,
    make_optimizer: Maker | None = None,
    *,
    usual: int = 5,
) -> dict[str, Subject]:
    """Return what a lab's menu of models offers, what it starts with first.

    A model of the kit comes with the others, each on its own data. With a model or a data set of
    the reader's own, or a function that makes the optimizer, there is no other choice. A model
    that trains run by run does so on fewer seeds, unless ``seeds`` says on how many; ``usual``
    is for all others.
    """
    count = int(check_number("seeds", usual if seeds is None else seeds, integer=True))
    check_maker(make_optimizer)
    if batch_size is not None:
        batch_size = int(check_number("batch_size", batch_size, integer=True))
    make_model = make_model or MODELS["MLP"]
    name = next((name for name, kind in MODELS.items() if kind is make_model), None)
    if name is None or data is not None or make_optimizer is not None:
        advice = ADVICE[name or "MLP"]
        data = advice.make_data() if data is None else data
        subject = Subject(make_model, data, batch_size or advice.batch_size, count, make_optimizer)
        if seeds is None and subject.alone("momentum"):
            subject.seeds = min(count, SEEDS_ALONE)
        return {own_name(make_model, "own_model"): subject}
    made = {advice.make_data: advice.make_data() for advice in ADVICE.values()}
    return {
        key: Subject(MODELS[key], made[advice.make_data], batch_size or advice.batch_size, count)
        for key, advice in sorted(ADVICE.items(), key=lambda item: item[0] != name)
    }


def own_name(function: Callable[..., object], otherwise: str) -> str:
    """Return what a reader's function is called; a lambda has no name but these words."""
    name = getattr(function, "__name__", "")
    return name if name.isidentifier() else say(otherwise)
