"""Which schedule wins here, by how much, and is it luck?"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from torch import nn

from ..data import Dataset, load_digits
from ..fleet import Run
from ..models import MLP
from ..plotting import plot_finals
from ..schedules import BASICS, Schedule, check_number, get_schedule, nearest
from ..stats import Paired, mean_and_error, paired, with_error
from ..training import History
from .slices import Job, complete, train_parts

BASELINE = "Constant"


@dataclass(frozen=True)
class Comparison:
    """Several settings, each trained on the same seeds.

    Attributes:
        histories: label -> one `History` per seed.
        baseline: the label that the others are compared with.
        missing: why there are fewer seeds than were asked for, or nothing.
    """

    histories: Mapping[str, list[History]]
    baseline: str = BASELINE
    missing: str = ""

    @property
    def final_losses(self) -> dict[str, np.ndarray]:
        """Label -> validation loss after the last epoch, shape ``(seeds,)``; NaN if diverged."""
        return {
            label: np.array([run.val_loss[-1] for run in runs])
            for label, runs in self.histories.items()
        }

    @property
    def mean(self) -> dict[str, float]:
        """Label -> mean final validation loss."""
        return {k: float(mean_and_error(v)[0]) for k, v in self.final_losses.items()}

    @property
    def error(self) -> dict[str, float]:
        """Label -> standard error of that mean."""
        return {k: float(mean_and_error(v)[1]) for k, v in self.final_losses.items()}

    def against(self, label: str, other: str | None = None) -> Paired:
        """Compare ``label`` with ``other`` (default: the baseline), seed by seed.

        Raises:
            ValueError: for an unknown label, with the nearest one and the list.
        """
        losses = self.final_losses
        pair = (label, self.baseline if other is None else other)
        for name in pair:
            if name not in losses:
                raise ValueError(
                    f"label must name what was compared{nearest(str(name), losses)}, got {name!r}; "
                    f"there are {', '.join(losses)}."
                )
        return paired(*(losses[name] for name in pair))

    @property
    def wins(self) -> dict[str, int]:
        """Label -> on how many seeds it ends lower than the baseline."""
        return {label: self.against(label).wins for label in self.histories}

    def verdict(self, label: str) -> str:
        """Say in a line on how many seeds ``label`` is lower, and by how much on average.

        Where it ends on the baseline itself, or no seed has two finite losses, without an amount.
        """
        result = self.against(label)
        by = with_error(abs(result.gap), result.error)
        lower = f"{label} is lower than {self.baseline} on {result.wins} of {result.seeds} seeds"
        if result.gap < 0:
            return f"{lower}, but higher by {by} on average"
        return f"{lower}, by {by}" if result.gap > 0 else lower

    def table(self) -> str:
        """Return the comparison as aligned text, lowest mean first."""
        width = max(map(len, self.histories))
        lines = [f"{'':{width}}  final validation loss   lower than {self.baseline}"]
        mean, error = self.mean, self.error
        for label in sorted(mean, key=lambda name: np.nan_to_num(mean[name], nan=np.inf)):
            result = self.against(label)
            lines.append(
                f"{label:{width}}  {with_error(mean[label], error[label]):22}  "
                + (
                    f"{result.wins} of {result.seeds}, by {with_error(result.gap, result.error)}"
                    if label != self.baseline
                    else ""
                )
            )
        if self.missing:
            lines.append(f"({self.missing}: the other seeds are missing)")
        return "\n".join(line.rstrip() for line in lines)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the final losses seed by seed, with means and standard errors: see `plot_finals`."""
        return plot_finals(self.final_losses, ax)


def compare(
    schedules: Iterable[str | Schedule] | Mapping[Any, Any] | None = None,
    *,
    seeds: int = 5,
    epochs: int = 12,
    base_lr: float | Mapping[str, float] = 0.1,
    data: Dataset | None = None,
    make_model: Callable[[], nn.Module] = MLP,
    optimizer: str = "momentum",
    batch_size: int = 16,
    first_seed: int = 0,
    dtype: torch.dtype = torch.float64,
    executor: Executor | None = None,
    progress: bool = True,
) -> Comparison:
    """Train each schedule, and the constant rate, on the same seeds.

    Seed s means the same initial weights and the same batch orders for every schedule, so their
    difference on that seed is the schedule's doing. Each scheduler steps as practice has it, every
    epoch or every batch.

    Args:
        schedules: names, or name -> params; a row of one's own may stand for a name. A label may
            go on after the name: what it sets is applied ("StepLR, gamma=0.5, base_lr=0.2"), the
            rest is free text. Label -> (name or row, params) has a label of any kind. None takes
            the five that the first lessons teach. "Constant" is always added.
        seeds: how many, counted from ``first_seed``.
        base_lr: one rate for all, or label -> rate with one for each, ``"Constant"`` included;
            a label that sets its own needs none.
        epochs, data, make_model, optimizer, batch_size: as in `train_many`; data defaults to
            `load_digits()`. A ``T_max``, or another param that stands for the length of the run,
            is set to ``epochs`` if it is left out.
        dtype: of the arithmetic. Rounding errors grow as training goes on; in double precision
            they stay far below the digits that are printed, on any processor.
        executor: trains on other processes, or machines: see `sweep`.
        progress: whether work of more than a second shows a progress bar.

    Returns:
        A `Comparison`. If it is interrupted, or its executor fails: of the seeds that were
        finished, with a warning.

    Raises:
        ValueError: naming argument, constraint and value.
        KeyboardInterrupt: if it is interrupted before any seed was finished.
        RuntimeError: if the executor fails before any seed was finished.

    >>> result = compare(["CosineAnnealingLR"], seeds=2, epochs=8)
    >>> result.verdict("CosineAnnealingLR")
    'CosineAnnealingLR is lower than Constant on 2 of 2 seeds, by 0.208 ± 0.057'
    """
    seeds = int(check_number("seeds", seeds, integer=True))
    first_seed = int(check_number("first_seed", first_seed, must_be="non-negative", integer=True))
    epochs = int(check_number("epochs", epochs, integer=True))
    settings = _settings(BASICS if schedules is None else schedules, epochs)
    rates = _rates(base_lr, settings)
    job = Job(make_model, load_digits() if data is None else data, epochs, batch_size, dtype)
    parts = [
        [
            Run(row, params, rates[label], optimizer, seed, get_schedule(row).step_every)
            for label, (row, params, _) in settings.items()
        ]
        for seed in range(first_seed, first_seed + seeds)
    ]
    found, missing = train_parts(job, parts, executor=executor, progress=progress)
    by_seed = [found[place] for place in sorted(found)]
    columns = dict(zip(settings, map(list, zip(*by_seed, strict=True)), strict=True))
    return Comparison(columns, missing=missing)


class Setting(NamedTuple):
    """What a label of a comparison stands for; ``base_lr`` only where the label names one."""

    schedule: str | Schedule
    params: dict[str, Any]
    base_lr: float | None = None


def read_label(label: str) -> tuple[str, dict[str, Any]]:
    """Return the name that a label starts with, and what it sets; the rest of it is free text.

    >>> read_label("MultiStepLR, milestones=(3, 5), base_lr=0.2, as published")
    ('MultiStepLR', {'milestones': (3, 5), 'base_lr': 0.2})
    """
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


def _settings(
    schedules: Iterable[str | Schedule] | Mapping[Any, Any], epochs: int
) -> dict[str, Setting]:
    """Return label -> what it stands for, the baseline first."""
    if isinstance(schedules, str | Schedule):
        schedules = [schedules]
    pairs = schedules.items() if isinstance(schedules, Mapping) else ((s, {}) for s in schedules)
    settings = {BASELINE: Setting(BASELINE, {})}
    for entry, given in pairs:
        label = entry.name if isinstance(entry, Schedule) else entry
        found = _setting(entry, label, given, epochs)
        if settings.setdefault(label, found) != found:
            raise ValueError(f"schedules must have different labels, got {label!r} twice.")
    return settings


def _setting(entry: str | Schedule, label: str, given: Any, epochs: int) -> Setting:
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
            raise ValueError(
                f"label {label!r} must set what {row.name} has{nearest(key, known)}, got {key!r}; "
                f"there are {', '.join(known)}."
            )
    base_lr = said.pop("base_lr", None)
    base_lr = None if base_lr is None else check_number("base_lr", base_lr)
    in_label, in_params = row.complete(said), row.complete(params)
    for key in said:
        if key in params:
            _agree(key, label, in_label[key], in_params[key])
    return Setting(schedule, complete(schedule, {**params, **said}, epochs), base_lr)


def _agree(name: str, label: str, said: Any, given: Any) -> None:
    if said != given:
        raise ValueError(f"{name} must be what its label {label!r} says, got {given!r}.")


def _rates(base_lr: float | Mapping[str, float], settings: Mapping[str, Setting]) -> dict[str, Any]:
    """Return label -> base_lr, one for each."""
    said = {label: kind.base_lr for label, kind in settings.items() if kind.base_lr is not None}
    if not isinstance(base_lr, Mapping):
        return dict.fromkeys(settings, check_number("base_lr", base_lr)) | said
    for label in base_lr:
        if label not in settings:
            raise ValueError(
                f"base_lr must name what is compared{nearest(str(label), settings)}, "
                f"got {label!r}; there are {', '.join(settings)}."
            )
    given = {label: check_number(f"base_lr[{label!r}]", rate) for label, rate in base_lr.items()}
    for label in said.keys() & given.keys():
        _agree("base_lr", label, said[label], given[label])
    rates = given | said
    if missing := [label for label in settings if label not in rates]:
        raise ValueError(f"base_lr must hold a rate for each label, got none for {missing[0]!r}.")
    return rates
