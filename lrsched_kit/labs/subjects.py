"""What labs train: the kit's models, or one of the reader's own, picked from a menu."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

import ipywidgets as widgets
from torch import nn

from ..tasks.advice import ADVICE, suggest_base_lr
from ..tasks.data import Dataset
from ..tasks.models import MODELS, seeded
from ..tasks.optimizers import (
    RULES,
    Maker,
    Unless,
    build_optimizer,
    check_maker,
    get_rule,
    momentum_of,
)
from ..training.fleet import Fleet
from ..training.runs import Run
from ..words import say
from ..words.errors import check_number
from .base import Lab, Work
from .controls import button_row, make_menu, move_to, slider_grid
from .live import Request

SEEDS_ALONE = 3  # of a model that trains run by run, unless a reader asks for more
SEEDS = 10  # models are made for so many at least: a range test's slider offers them


@dataclass(frozen=True)
class Subject:
    """A model and what it is trained on.

    Attributes:
        make_model, data, batch_size, make_optimizer: as in `train_many`.
        seeds: how many seeds a lab trains it on.
        models: seed -> the model that training starts from, made where the lab is: making models
            touches the process's random numbers, which a lab's thread must leave alone.
    """

    make_model: Callable[[], nn.Module]
    data: Dataset
    batch_size: int
    seeds: int
    make_optimizer: Maker | None = None
    models: Mapping[int, nn.Module] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        models = {seed: seeded(self.make_model, seed) for seed in range(max(self.seeds, SEEDS))}
        object.__setattr__(self, "models", MappingProxyType(models))

    @cached_property
    def fleet(self) -> Fleet:
        """The model and the data, found fit for each other when this is first asked for."""
        return Fleet(self.make_model, self.data, self.batch_size, self.models)

    def run(self, name: str, base_lr: float = 0.1) -> Run:
        """Return a run of the constant rate, with what the menu calls that optimizer."""
        return Run("Constant", {}, base_lr, self.make_optimizer or name)

    def alone(self, name: str) -> str:
        """Say why its runs train one by one with that optimizer, or nothing."""
        return self.fleet.why_alone(self.run(name))

    def alone_lines(self, name: str) -> list[str]:
        """Say on how many seeds its runs train one by one, and why, where they do."""
        reason = self.alone(name)
        return [say("alone_line", seeds=self.seeds, reason=reason)] if reason else []

    def rates(self, name: str, base_lr: float) -> tuple[float, ...]:
        """Return the base rate of each parameter group."""
        return self.fleet.rates(self.run(name, base_lr))

    def has_momentum(self, name: str) -> bool:
        """Whether that optimizer has momentum, or a first beta, that a scheduler can move."""
        optimizer = build_optimizer(self.make_optimizer or name, self.models[0], Unless(0.1))
        return momentum_of(optimizer) > 0

    def rounds(self, name: str) -> list[range]:
        """Return which seeds train at the same time: all, or where runs train alone, each."""
        if not self.alone(name):
            return [range(self.seeds)]
        return [range(seed, seed + 1) for seed in range(self.seeds)]

    @property
    def steps_per_epoch(self) -> int:
        """How many updates an epoch has."""
        return math.ceil(len(self.data.x_train) / self.batch_size)

    @property
    def loss_label(self) -> str:
        """What the loss axis is called."""
        if not self.data.has_plain_loss:
            return say("own_loss")
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

    >>> list(make_subjects(None, None, None, 5))
    ['MLP', 'CNN', 'LSTM', 'Transformer', 'SimpleNet']
    >>> own = make_subjects(lambda: nn.Linear(64, 10), None, 32, 5)
    >>> [(name, subject.batch_size) for name, subject in own.items()]
    [('own model', 32)]
    """
    count = int(check_number("seeds", usual if seeds is None else seeds, integer=True))
    check_maker(make_optimizer)
    if batch_size is not None:
        batch_size = int(check_number("batch_size", batch_size, integer=True))
    make_model = make_model or MODELS["MLP"]
    name = next((name for name, kind in MODELS.items() if kind is make_model), None)
    if name is None or data is not None or make_optimizer is not None:
        own = getattr(make_model, "__name__", "")
        data = ADVICE[name or "MLP"].make_data() if data is None else data
        label = own if own.isidentifier() else say("own_model")
        batch_size = batch_size or ADVICE[name or "MLP"].batch_size
        subject = Subject(make_model, data, batch_size, count, make_optimizer)
        if seeds is None and subject.alone("momentum"):
            object.__setattr__(subject, "seeds", min(count, SEEDS_ALONE))  # it is still ours alone
        return {label: subject}
    sources = {advice.make_data: advice.make_data() for advice in ADVICE.values()}
    return {
        key: Subject(
            MODELS[key],
            sources[ADVICE[key].make_data],
            batch_size or ADVICE[key].batch_size,
            count,
        )
        for key in sorted(MODELS, key=lambda key: key != name)
    }


def first_base_lr(base_lr: float | None, subjects: Mapping[str, Subject], optimizer: str) -> float:
    """Return ``base_lr``, or where it is None a rate that suits what is trained first."""
    name, subject = next(iter(subjects.items()))
    suggestion = _suggestion(name, subjects, optimizer)
    if subject.make_optimizer is not None:
        suggestion = subject.rates(optimizer, Unless(0.1))[0]
    return check_number("base_lr", suggestion or 0.1 if base_lr is None else base_lr)


def _suggestion(model: str, subjects: Mapping[str, Subject], optimizer: str) -> float | None:
    subject = subjects[model]
    known = subject.make_model is MODELS.get(model) and subject.make_optimizer is None
    return suggest_base_lr(model, optimizer) if known else None


def make_pickers(subjects: Mapping[str, Subject], optimizer: str) -> dict[str, widgets.Dropdown]:
    """Make the menus "model" and "optimizer"."""
    get_rule(optimizer)
    options = list(RULES)
    if (own := next(iter(subjects.values())).make_optimizer) is not None:
        name = getattr(own, "__name__", "")
        options = [optimizer] = [name if name.isidentifier() else say("own_optimizer")]
    return {
        "model": make_menu("model", subjects, next(iter(subjects))),
        "optimizer": make_menu("optimizer", options, optimizer),
    }


class TrainingLab(Lab[Request]):
    """A lab with the menus of `make_pickers`; a new choice suggests a base_lr for the pair.

    Args:
        subjects: what can be trained.
        work, start: as for `Lab`.
        menus, sliders, buttons: the controls by name, a row of each from top to bottom, above
            picture and words.
        others: more controls by name, between sliders and buttons.
        other_rows: the widgets that show these.
        below: widgets under the words.
    """

    def __init__(
        self,
        subjects: Mapping[str, Subject],
        *,
        work: Work[Request],
        start: Mapping[str, Any],
        menus: Mapping[str, widgets.Widget],
        sliders: Mapping[str, widgets.Widget],
        buttons: Mapping[str, widgets.Widget],
        others: Mapping[str, widgets.Widget] = MappingProxyType({}),
        other_rows: Sequence[widgets.Widget] = (),
        below: Sequence[widgets.Widget] = (),
    ) -> None:
        self._subjects = subjects
        super().__init__(
            work=work,
            start=start,
            controls={**menus, **sliders, **others, **buttons},
            rows=[
                button_row(list(menus.values())),
                slider_grid(list(sliders.values())),
                *other_rows,
                button_row([*buttons.values(), work.progress]),
                work.picture.image,
                work.text,
                *below,
            ],
        )

    def _on_move(self, change: dict[str, Any]) -> None:
        model, optimizer = (self.controls[name] for name in ("model", "optimizer"))
        slider = self.controls.get("base_lr")
        if change["owner"] in (model, optimizer) and isinstance(slider, widgets.FloatLogSlider):
            rate = _suggestion(model.value, self._subjects, optimizer.value)
            if rate is not None:
                move_to(slider, rate)
        super()._on_move(change)
