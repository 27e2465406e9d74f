"""Questions asked with fleets of runs: which schedule wins here, by how much, and is it luck?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from .data import Dataset, load_digits
from .fleet import Run, train_many
from .models import MLP
from .schedules import SCHEDULES, check_number, get_schedule
from .stats import Paired, mean_and_error, paired, with_error
from .training import History

BASELINE = "Constant"


@dataclass(frozen=True)
class Comparison:
    """Several settings, each trained on the same seeds.

    Attributes:
        histories: label -> one `History` per seed.
        baseline: the label that the others are compared with.
    """

    histories: Mapping[str, list[History]]
    baseline: str = BASELINE

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
        """Compare ``label`` with ``other`` (default: the baseline), seed by seed."""
        losses = self.final_losses
        return paired(losses[label], losses[self.baseline if other is None else other])

    @property
    def wins(self) -> dict[str, int]:
        """Label -> on how many seeds it ends lower than the baseline."""
        return {label: self.against(label).wins for label in self.histories}

    def verdict(self, label: str) -> str:
        """Say in a line that holds on any processor who is lower, and on how many seeds."""
        result = self.against(label)
        return f"{label} beats {self.baseline} on {result.wins} of {result.seeds} seeds"

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
        return "\n".join(line.rstrip() for line in lines)


def compare(
    schedules: Iterable[str] | Mapping[str, Mapping[str, float]] | None = None,
    *,
    seeds: int = 5,
    epochs: int = 12,
    base_lr: float = 0.1,
    data: Dataset | None = None,
    make_model: Callable[[], nn.Module] = MLP,
    optimizer: str = "momentum",
    batch_size: int = 16,
    first_seed: int = 0,
    dtype: torch.dtype = torch.float64,
) -> Comparison:
    """Train each schedule, and the constant rate, on the same seeds.

    Seed s means the same initial weights and the same batch orders for every schedule, so their
    difference on that seed is the schedule's doing.

    Args:
        schedules: names, or name -> params, or label -> params where the label starts with the
            name ("StepLR, gamma=0.5"); None takes them all. "Constant" is always added.
        seeds: how many, counted from ``first_seed``.
        epochs, base_lr, data, make_model, optimizer, batch_size: as in `train_many`; data
            defaults to `load_digits()`. A ``T_max`` that is left out is set to ``epochs``.
        dtype: of the arithmetic. Rounding errors grow as training goes on; in double precision
            they stay far below the digits that are printed, on any processor.

    Returns:
        A `Comparison`.

    Raises:
        ValueError: naming argument, constraint and value.

    >>> result = compare(["CosineAnnealingLR"], seeds=2, epochs=8)
    >>> result.verdict("CosineAnnealingLR")
    'CosineAnnealingLR beats Constant on 2 of 2 seeds'
    """
    seeds = int(check_number("seeds", seeds, integer=True))
    first_seed = int(check_number("first_seed", first_seed, must_be="non-negative", integer=True))
    epochs = int(check_number("epochs", epochs, integer=True))
    settings = _settings(list(SCHEDULES) if schedules is None else schedules, epochs)
    runs = [
        Run(_name(label), params, base_lr, optimizer, seed)
        for label, params in settings.items()
        for seed in range(first_seed, first_seed + seeds)
    ]
    trained = train_many(
        lambda: make_model().to(dtype),
        (load_digits() if data is None else data).to(dtype),
        runs,
        epochs=epochs,
        batch_size=batch_size,
    )
    return Comparison(
        {label: trained[i * seeds : (i + 1) * seeds] for i, label in enumerate(settings)}
    )


def _name(label: str) -> str:
    return label.split(",")[0].strip()


def _settings(
    schedules: Iterable[str] | Mapping[str, Mapping[str, float]], epochs: int
) -> dict[str, dict[str, float]]:
    """Return label -> all params, the baseline first."""
    if isinstance(schedules, str):
        schedules = [schedules]
    if not isinstance(schedules, Mapping):
        schedules = {name: {} for name in schedules}
    settings: dict[str, dict[str, float]] = {}
    for label, params in {BASELINE: {}, **schedules}.items():
        row = get_schedule(_name(label))
        to_the_end = {p.name: epochs for p in row.params if p.name == "T_max"}
        settings[label] = row.complete({**to_the_end, **params})
    return settings
