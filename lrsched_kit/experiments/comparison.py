"""Which schedule wins here, by how much, and is it luck?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from torch import nn

from ..plotting.finals import plot_finals, ranked
from ..plotting.style import Style, style_of
from ..schedules.catalogue import BASICS
from ..schedules.spec import Schedule
from ..tasks.data import Dataset, check_metric, load_digits
from ..tasks.models import MLP
from ..tasks.optimizers import Maker
from ..training.history import History
from ..training.runs import Run
from ..training.stats import Paired, mean_and_error, paired, with_error
from ..words import say
from ..words.errors import check_number
from .labels import BASELINE, no_such, one_optimizer, read_rates, read_settings, seed_range
from .slices import Plan, Row, run_rows, text_table, train_parts


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
        runs: label -> what was trained, one `Run` per seed, if that is known.
    """

    histories: Mapping[str, list[History]]
    baseline: str = BASELINE
    missing: str = ""
    metric: str = "loss"
    higher: bool = False
    styles: Mapping[str, Style] = field(default_factory=dict)
    runs: Mapping[str, list[Run]] = field(default_factory=dict)

    def finals_of(self, metric: str) -> dict[str, np.ndarray]:
        """Label -> a metric after the last epoch, shape ``(seeds,)``; NaN where a run diverged."""
        return {k: np.array([run.of(metric)[-1] for run in v]) for k, v in self.histories.items()}

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
        finals, pair = self.finals, (label, self.baseline if other is None else other)
        for name in pair:
            if name not in finals:
                raise no_such("label must name what was compared", name, finals)
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
        result = self.against(label)
        better = "loss" if self.metric == "loss" else self._better
        ending = "ahead" if result.gap > 0 else "behind" if result.gap < 0 else "even"
        one = "_one" if result.seeds == 1 else ""
        return say(
            f"verdict_{better}_{ending}{one}",
            label=label,
            baseline=self.baseline,
            wins=result.wins,
            seeds=result.seeds,
            metric=self.metric,
            gap=with_error(abs(result.gap), result.error),
        )

    def table(self) -> str:
        """Return the comparison as aligned text, the best mean first; accuracy beside loss."""
        reported = next(iter(self.histories.values()))[0].metrics
        shown = dict.fromkeys(["loss", "accuracy", self.metric])
        finals = {name: self.finals_of(name) for name in shown if name in {"loss", *reported}}
        named = "metric_" if len(finals) > 1 and self.metric != "accuracy" else ""
        heads = [say("head_metric", metric=name) for name in finals]
        facts = {"metric": self.metric, "baseline": self.baseline}
        lines = [["", *heads, say(f"head_{named}{self._better}", **facts)]]
        for label in ranked(self.mean, higher=self.higher):
            cells = [with_error(*map(float, mean_and_error(f[label]))) for f in finals.values()]
            result = self.against(label)
            gap = with_error(result.gap, result.error)
            against = say("wins_by", wins=result.wins, seeds=result.seeds, gap=gap)
            lines.append([label, *cells, "" if label == self.baseline else against])
        notes = {"run_by_run": self.alone, "seeds_missing": self.missing}
        said = [say(key, reason=reason) for key, reason in notes.items() if reason]
        return "\n".join([*text_table(lines), *said])

    def records(self) -> list[Row]:
        """Return one row per run, for ``pandas.DataFrame(result.records())``.

        A row holds label, schedule, seed, base_lr and params; then, after the last epoch,
        "val_loss" and each metric, such as "val_accuracy" (NaN where the run diverged), and
        "diverged". Of histories from elsewhere only the label and the outcome are known.

        >>> result = compare(["StepLR, gamma=0.5"], seeds=1, epochs=1)
        >>> list(result.records()[1])[:6]
        ['label', 'schedule', 'seed', 'base_lr', 'step_size', 'gamma']
        """
        return run_rows(self.histories, self.runs, lambda label: {"label": label})

    @property
    def _better(self) -> str:
        return "higher" if self.higher else "lower"

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the finals seed by seed, with means and standard errors: see `plot_finals`."""
        label = say("final_metric", metric=self.metric)
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
    epochs = int(check_number("epochs", epochs, integer=True))
    settings = read_settings(BASICS if schedules is None else schedules)
    rates = read_rates(base_lr, settings)
    data = load_digits() if data is None else data
    how = one_optimizer(optimizer, make_optimizer)
    better = check_metric(data, metric, better)
    plan = Plan(make_model, data, epochs, batch_size, dtype, how, metric, better)
    by_seed = {
        seed: [plan.run(s.schedule, s.params, rates[k], seed) for k, s in settings.items()]
        for seed in seed_range(first_seed, seeds)
    }
    found, missing = train_parts(plan, by_seed, executor=executor, progress=progress)
    histories = {k: [part[i] for part in found.values()] for i, k in enumerate(settings)}
    runs = {k: [by_seed[seed][i] for seed in found] for i, k in enumerate(settings)}
    own = {k: style_of(s.schedule) for k, s in settings.items() if isinstance(s.schedule, Schedule)}
    return Comparison(histories, BASELINE, missing, metric, better == "higher", own, runs)
