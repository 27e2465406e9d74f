"""What `compare` and `sweep` are told, read and checked: labels, rates, grids, seeds."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ..schedules.catalogue import get_schedule
from ..schedules.params import Param
from ..schedules.spec import Schedule
from ..tasks.optimizers import Maker, Unless, check_maker
from ..words.errors import check_number, nearest

BASELINE = "Constant"


class Setting(NamedTuple):
    """What a label of a comparison stands for; ``base_lr`` only where the label names one."""

    schedule: str | Schedule
    params: dict[str, Any]
    base_lr: float | None = None


def no_such(wanted: str, got: object, known: Iterable[str]) -> ValueError:
    """Return the refusal of a name, with the nearest that there is, and all."""
    names = list(known)
    return ValueError(
        f"{wanted}{nearest(str(got), names)}, got {got!r}; there are {', '.join(names)}."
    )


def read_label(label: str) -> tuple[str, dict[str, Any]]:
    """Return the name that a label starts with, and what it sets; the rest of it is free text."""
    name, *parts = re.split(r",(?![^(\[]*[)\]])", label)  # at commas outside brackets
    said: dict[str, Any] = {}
    for part in parts:
        key, equals, text = (piece.strip() for piece in part.partition("="))
        if not equals:
            continue
        if key in said:
            raise ValueError(f"label {label!r} must set {key} once, got it twice.")
        try:
            said[key] = ast.literal_eval(text)
        except (ValueError, SyntaxError, TypeError):
            said[key] = text  # such as an option, mode=max; or it is refused as no number
    return name.strip(), said


def read_settings(
    schedules: str | Schedule | Iterable[str | Schedule] | Mapping[Any, Any],
) -> dict[str, Setting]:
    """Return label -> what it stands for, the baseline first."""
    if isinstance(schedules, str | Schedule):
        schedules = [schedules]
    pairs = schedules.items() if isinstance(schedules, Mapping) else ((s, {}) for s in schedules)
    settings = {BASELINE: Setting(BASELINE, {})}
    for entry, given in pairs:
        label = entry.name if isinstance(entry, Schedule) else entry
        found = _setting(entry, label, given)
        if settings.setdefault(label, found) != found:
            raise ValueError(f"schedules must have different labels, got {label!r} twice.")
    return settings


def _setting(entry: str | Schedule, label: str, given: Any) -> Setting:
    if not isinstance(label, str):
        raise ValueError(f"schedules must hold names, labels or rows, got {label!r}.")
    name, said = read_label(label)
    schedule, params = name if entry is label else entry, given
    if isinstance(given, Schedule):
        schedule, params = given, {}
    elif isinstance(given, tuple) and len(given) == 2:
        schedule, params = given
    row = get_schedule(schedule)
    if not isinstance(params, Mapping):
        raise ValueError(f"params of {label!r} must be a mapping, got {params!r}.")
    known = [*(param.name for param in row.params), "base_lr"]
    for key in said:
        if key not in known:
            raise no_such(f"label {label!r} must set what {row.name} has", key, known)
    base_lr = said.pop("base_lr", None)
    base_lr = None if base_lr is None else check_number("base_lr", base_lr)
    in_label, in_params = row.complete(said), row.complete(params)
    for key in said.keys() & params.keys():
        _agree(key, label, in_label[key], in_params[key])
    return Setting(schedule, {**params, **said}, base_lr)


def _agree(name: str, label: str, said: Any, given: Any) -> None:
    if said != given:
        raise ValueError(f"{name} must be what its label {label!r} says, got {given!r}.")


def read_rates(
    base_lr: float | Mapping[str, float] | None, settings: Mapping[str, Setting]
) -> dict[str, float]:
    """Return label -> base_lr, one for each."""
    said = {label: kind.base_lr for label, kind in settings.items() if kind.base_lr is not None}
    if not isinstance(base_lr, Mapping):
        return dict.fromkeys(settings, one_rate(base_lr)) | said
    for label in base_lr:
        if label not in settings:
            raise no_such("base_lr must name what is compared", label, settings)
    given = {label: check_number(f"base_lr[{label!r}]", rate) for label, rate in base_lr.items()}
    for label in said.keys() & given.keys():
        _agree("base_lr", label, said[label], given[label])
    rates = given | said
    if missing := [label for label in settings if label not in rates]:
        raise ValueError(f"base_lr must hold a rate for each label, got none for {missing[0]!r}.")
    return rates


def one_rate(base_lr: float | None) -> float:
    """Return a base rate; None: 0.1, unless a function that makes the optimizer sets another."""
    return Unless(0.1) if base_lr is None else check_number("base_lr", base_lr)


def one_optimizer(optimizer: str | None, make_optimizer: Maker | None) -> str | Maker:
    """Return which of the two is given, "momentum" if neither is."""
    if optimizer is not None and make_optimizer is not None:
        raise ValueError(
            f"optimizer must be left out where make_optimizer is given, got {optimizer!r}."
        )
    check_maker(make_optimizer)
    return make_optimizer or optimizer or "momentum"


def seed_range(first_seed: int, seeds: int) -> range:
    """Return so many seeds in a row, or say what is wrong with them."""
    seeds = int(check_number("seeds", seeds, integer=True))
    first = int(check_number("first_seed", first_seed, must_be="non-negative", integer=True))
    return range(first, first + seeds)


def check_grid(
    schedule: str | Schedule, grid: Mapping[str, Sequence[float]]
) -> dict[str, tuple[float, ...]]:
    """Return a sweep's grid, two parameters -> values to try, as plain numbers."""
    row = get_schedule(schedule)
    knobs: dict[str, Callable[[object], float]] = {"base_lr": partial(check_number, "base_lr")}
    knobs |= {param.name: param.check for param in row.params if isinstance(param, Param)}
    if len(grid) != 2:
        raise ValueError(
            f"grid must name two parameters, got {len(grid)}: {', '.join(map(str, grid))}."
        )
    for name, values in grid.items():
        if name in {param.name for param in row.params} - knobs.keys():
            raise ValueError(
                f"grid must name parameters that are numbers, got {name!r}; "
                f"there are {', '.join(knobs)}."
            )
        if name not in knobs:
            raise no_such(f"grid must name parameters of {row.name}", name, knobs)
        listed = isinstance(values, Sequence | np.ndarray) and not isinstance(values, str)
        if not listed or not len(values):
            raise ValueError(f"grid[{name!r}] must hold numbers, at least one, got {values!r}.")
    checked = {name: tuple(map(knobs[name], values)) for name, values in grid.items()}
    for name, values in checked.items():
        if list(values) != sorted(set(values)):
            raise ValueError(f"grid[{name!r}] must rise from value to value, got {values}.")
    return checked
