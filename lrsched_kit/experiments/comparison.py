"""Which schedule wins here, by how much, and is it luck?"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from torch import nn

from ..plotting.figures import plot_finals
from ..plotting.style import Style, style_of
from ..schedules.catalogue import BASICS, get_schedule
from ..schedules.spec import Schedule
from ..tasks.data import Dataset, check_metric, load_digits
from ..tasks.models import MLP
from ..tasks.optimizers import Maker, Unless
from ..training.history import History
from ..training.stats import Paired, mean_and_error, paired, with_error
from ..words.errors import check_number, nearest
from .slices import Job, complete, make_run, one_optimizer, train_parts

BASELINE = "Constant"


@dataclass(frozen=True)
class Comparison:
    """Several settings, each trained on the same seeds.

    Attributes:
        histories: label -> one `History` per seed.
        baseline: the label that the others are compared with.
        missing: why there are fewer seeds than were asked for, or nothing.
        metric: what they are compared by: "loss", the validation loss, or a metric of the task.
        higher: whether a higher value of it is better.
        styles: label -> how it is drawn, for rows of one's own.
    """

    histories: Mapping[str, list[History]]
    baseline: str = BASELINE
    missing: str = ""
    metric: str = "loss"
    higher: bool = False
    styles: Mapping[str, Style] = field(default_factory=dict)

    def finals_of(self, metric: str) -> dict[str, np.ndarray]:
        """Label -> a metric after the last epoch, shape ``(seeds,)``; NaN where a run diverged."""
        return {
            label: np.array([run.of(metric)[-1] for run in runs])
            for label, runs in self.histories.items()
        }

    @property
    def finals(self) -> dict[str, np.ndarray]:
        """Label -> what they are compared by, after the last epoch, shape ``(seeds,)``."""
        return self.finals_of(self.metric)

    @property
    def final_losses(self) -> dict[str, np.ndarray]:
        """Label -> validation loss after the last epoch, shape ``(seeds,)``; NaN if diverged."""
        return self.finals_of("loss")

    @property
    def mean(self) -> dict[str, float]:
        """Label -> mean of `finals`."""
        return {k: float(mean_and_error(v)[0]) for k, v in self.finals.items()}

    @property
    def error(self) -> dict[str, float]:
        """Label -> standard error of that mean."""
        return {k: float(mean_and_error(v)[1]) for k, v in self.finals.items()}

    def against(self, label: str, other: str | None = None) -> Paired:
        """Compare ``label`` with ``other`` (default: the baseline), seed by seed.

        Raises:
            ValueError: for an unknown label, with the nearest one and the list.
        """
        finals = self.finals
        pair = (label, self.baseline if other is None else other)
        for name in pair:
            if name not in finals:
                raise ValueError(
                    f"label must name what was compared{nearest(str(name), finals)}, got {name!r}; "
                    f"there are {', '.join(finals)}."
                )
        return paired(*(finals[name] for name in pair), higher=self.higher)

    @property
    def wins(self) -> dict[str, int]:
        """Label -> on how many seeds it ends better than the baseline."""
        return {label: self.against(label).wins for label in self.histories}

    @property
    def alone(self) -> str:
        """Why runs were trained one by one, by `train`, if any were; see `train_many`."""
        reasons = [run.alone for runs in self.histories.values() for run in runs]
        return next(filter(None, reasons), "")

    def verdict(self, label: str) -> str:
        """Say in a line on how many seeds ``label`` is better, and by how much on average.

        Where it ends on the baseline itself, or no seed has two finite losses, without an amount.
        """
        better, worse = ("higher", "lower") if self.higher else ("lower", "higher")
        what = "" if self.metric == "loss" else f" ({self.metric})"
        result = self.against(label)
        by = with_error(abs(result.gap), result.error)
        line = (
            f"{label} is {better} than {self.baseline} on {result.wins} of {result.seeds} "
            f"seeds{what}"
        )
        if result.gap < 0:
            return f"{line}, but {worse} by {by} on average"
        return f"{line}, by {by}" if result.gap > 0 else line

    def table(self) -> str:
        """Return the comparison as aligned text, the best mean first; accuracy beside loss."""
        shown = dict.fromkeys(["loss", "accuracy", self.metric])
        names = [name for name in shown if name == "loss" or name in self._reported]
        heads = ["", *(f"validation {name}" for name in names)]
        heads.append(f"{'higher' if self.higher else 'lower'} than {self.baseline}")
        if len(names) > 1 and self.metric != "accuracy":
            heads[-1] = f"{self.metric} {heads[-1]}"
        finals = {name: self.finals_of(name) for name in names}
        lines = [heads]
        for label in self._ranked():
            result = self.against(label)
            cells = [with_error(*map(float, mean_and_error(finals[n][label]))) for n in names]
            against = f"{result.wins} of {result.seeds}, by {with_error(result.gap, result.error)}"
            lines.append([label, *cells, "" if label == self.baseline else against])
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        texts = [
            "  ".join(f"{cell:{width}}" for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        ]
        if self.alone:
            texts.append(f"(trained run by run: {self.alone})")
        if self.missing:
            texts.append(f"({self.missing}: the other seeds are missing)")
        return "\n".join(texts)

    @property
    def _reported(self) -> list[str]:
        return list(next(iter(self.histories.values()))[0].metrics)

    def _ranked(self) -> list[str]:
        sign = -1 if self.higher else 1
        mean = self.mean
        return sorted(mean, key=lambda label: np.nan_to_num(sign * mean[label], nan=np.inf))

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the finals seed by seed, with means and standard errors: see `plot_finals`."""
        label = f"final validation {self.metric}"
        return plot_finals(self.finals, ax, label=label, higher=self.higher, styles=self.styles)


def compare(
    schedules: Iterable[str | Schedule] | Mapping[Any, Any] | None = None,
    *,
    seeds: int = 5,
    epochs: int = 12,
    base_lr: float | Mapping[str, float] | None = None,
    data: Dataset | None = None,
    make_model: Callable[[], nn.Module] = MLP,
    optimizer: str | None = None,
    make_optimizer: Maker | None = None,
    batch_size: int = 16,
    metric: str = "loss",
    better: str | None = None,
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
            a label that sets its own needs none. None: 0.1, or what ``make_optimizer`` sets.
        epochs, data, make_model, batch_size: as in `train_many`; data defaults to
            `load_digits()`. A ``T_max``, or another param that stands for the length of the run,
            is set to ``epochs`` if it is left out.
        optimizer: a name, as of `Run`; None: "momentum".
        make_optimizer: a function of the model instead: parameter groups and all other settings
            are then its own; ``base_lr`` is the first group's, others go along in proportion.
        metric: what is compared, after the last epoch: "loss" or a metric of the data.
            ReduceLROnPlateau is told it, too, if its ``mode`` fits.
        better: "lower" or "higher", which value is better; known for "loss" and "accuracy".
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
    data = load_digits() if data is None else data
    how = one_optimizer(optimizer, make_optimizer)
    better = check_metric(data, metric, better)
    job = Job(make_model, data, epochs, batch_size, dtype)
    parts = [
        [
            make_run(row, params, rates[label], how, seed, metric, better)
            for label, (row, params, _) in settings.items()
        ]
        for seed in range(first_seed, first_seed + seeds)
    ]
    found, missing = train_parts(job, parts, executor=executor, progress=progress)
    by_seed = [found[place] for place in sorted(found)]
    columns = dict(zip(settings, map(list, zip(*by_seed, strict=True)), strict=True))
    own = {k: style_of(s.schedule) for k, s in settings.items() if isinstance(s.schedule, Schedule)}
    return Comparison(columns, BASELINE, missing, metric, better == "higher", own)


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


def _rates(
    base_lr: float | Mapping[str, float] | None, settings: Mapping[str, Setting]
) -> dict[str, Any]:
    """Return label -> base_lr, one for each."""
    said = {label: kind.base_lr for label, kind in settings.items() if kind.base_lr is not None}
    if not isinstance(base_lr, Mapping):
        rate = Unless(0.1) if base_lr is None else check_number("base_lr", base_lr)
        return dict.fromkeys(settings, rate) | said
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
