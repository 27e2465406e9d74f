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

from ..advice import ADVICE, suggest_base_lr
from ..data import Dataset
from ..fleet import Fleet
from ..models import MODELS, seeded
from ..optimizers import RULES, get_rule
from ..schedules import check_number
from ..words import WORDS
from .controls import button_row, make_menu, move_to, slider_grid
from .core import Lab, Request, Work

SEEDS = 10  # models are made for so many at least: a range test's slider offers them


@dataclass(frozen=True)
class Subject:
    """A model and what it is trained on.

    Attributes:
        make_model, data, batch_size: as in `train_many`.
        seeds: how many seeds a lab trains it on.
        models: seed -> the model that training starts from, made where the lab is: making models
            touches the process's random numbers, which a lab's thread must leave alone.
    """

    make_model: Callable[[], nn.Module]
    data: Dataset
    batch_size: int
    seeds: int
    models: Mapping[int, nn.Module] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        models = {seed: seeded(self.make_model, seed) for seed in range(max(self.seeds, SEEDS))}
        object.__setattr__(self, "models", MappingProxyType(models))

    @cached_property
    def fleet(self) -> Fleet:
        """The model and the data, found fit for each other when this is first asked for."""
        return Fleet(self.make_model, self.data, self.models)

    @property
    def steps_per_epoch(self) -> int:
        """How many updates an epoch has."""
        return math.ceil(len(self.data.x_train) / self.batch_size)

    @property
    def loss_label(self) -> str:
        """What the loss axis is called."""
        return WORDS["cross_entropy" if self.data.is_classification else "squared_error"]


def make_subjects(
    make_model: Callable[[], nn.Module] | None,
    data: Dataset | None,
    batch_size: int | None,
    seeds: int,
) -> dict[str, Subject]:
    """Return what a lab's menu of models offers, what it starts with first.

    A model of the kit comes with the others, each on its own data. With a model or a data set of
    the reader's own there is no other choice.

    >>> list(make_subjects(None, None, None, 5))
    ['MLP', 'CNN', 'LSTM', 'Transformer', 'SimpleNet']
    >>> own = make_subjects(lambda: nn.Linear(64, 10), None, 32, 5)
    >>> [(name, subject.batch_size) for name, subject in own.items()]
    [('own model', 32)]
    """
    seeds = int(check_number("seeds", seeds, integer=True))
    if batch_size is not None:
        batch_size = int(check_number("batch_size", batch_size, integer=True))
    make_model = make_model or MODELS["MLP"]
    name = next((name for name, kind in MODELS.items() if kind is make_model), None)
    if name is None or data is not None:
        own = getattr(make_model, "__name__", "")
        data = ADVICE[name or "MLP"].make_data() if data is None else data
        label = own if own.isidentifier() else WORDS["own_model"]
        batch_size = batch_size or ADVICE[name or "MLP"].batch_size
        return {label: Subject(make_model, data, batch_size, seeds)}
    sources = {advice.make_data: advice.make_data() for advice in ADVICE.values()}
    return {
        key: Subject(
            MODELS[key],
            sources[ADVICE[key].make_data],
            batch_size or ADVICE[key].batch_size,
            seeds,
        )
        for key in sorted(MODELS, key=lambda key: key != name)
    }


def first_base_lr(base_lr: float | None, subjects: Mapping[str, Subject], optimizer: str) -> float:
    """Return ``base_lr``, or where it is None a rate that suits what is trained first."""
    suggestion = _suggestion(next(iter(subjects)), subjects, optimizer)
    return check_number("base_lr", suggestion or 0.1 if base_lr is None else base_lr)


def _suggestion(model: str, subjects: Mapping[str, Subject], optimizer: str) -> float | None:
    known = subjects[model].make_model is MODELS.get(model)
    return suggest_base_lr(model, optimizer) if known else None


def make_pickers(subjects: Mapping[str, Subject], optimizer: str) -> dict[str, widgets.Dropdown]:
    """Make the menus "model" and "optimizer"."""
    get_rule(optimizer)
    return {
        "model": make_menu("model", subjects, next(iter(subjects))),
        "optimizer": make_menu("optimizer", RULES, optimizer),
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
