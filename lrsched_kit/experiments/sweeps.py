"""How does the final loss depend on two parameters at once?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from torch import nn

from ..plotting.heatmap import plot_heat_map
from ..schedules.catalogue import get_schedule
from ..schedules.spec import Schedule
from ..tasks.data import Dataset, check_metric, load_digits
from ..tasks.models import MLP
from ..tasks.optimizers import Maker
from ..training.history import History
from ..training.runs import Run
from ..training.stats import mean_and_error
from ..words import say
from ..words.errors import check_number
from .labels import check_grid, one_optimizer, one_rate, seed_range
from .slices import Plan, Row, run_rows, text_table, train_parts

Cell = tuple[int, int]  # places in the two lists of values


@dataclass(frozen=True)
class Sweep:
    """The final losses of one schedule over a grid of two parameters.

    Attributes:
        schedule: the name of its row.
        grid: the two parameters -> their values; the first counts rows, the second columns.
        seeds: how many runs a cell has.
        histories: cell -> one `History` per seed; a cell that is missing has none.
        missing: why cells are missing, or nothing.
        metric: what the cells are compared by: "loss", the validation loss, or a metric.
        higher: whether a higher value of it is better.
        runs: cell -> what was trained, one `Run` per seed, if that is known.
    """

    schedule: str
    grid: Mapping[str, tuple[float, ...]]
    seeds: int
    histories: Mapping[Cell, list[History]] = field(default_factory=dict)
    missing: str = ""
    metric: str = "loss"
    higher: bool = False
    runs: Mapping[Cell, list[Run]] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int]:
        """How many rows and columns there are."""
        first, second = map(len, self.grid.values())
        return first, second

    @property
    def losses(self) -> np.ndarray:
        """Shape ``(rows, columns, seeds)``: final validation losses; NaN: diverged, or missing."""
        return self._finals_of("loss")

    @property
    def finals(self) -> np.ndarray:
        """The same of what the cells are compared by."""
        return self._finals_of(self.metric)

    def _finals_of(self, metric: str) -> np.ndarray:
        found = np.full((*self.shape, self.seeds), np.nan)
        for cell, runs in self.histories.items():
            found[cell] = [run.of(metric)[-1] for run in runs]
        return found

    @property
    def finished(self) -> np.ndarray:
        """Shape ``(rows, columns)``: which cells were trained to their end."""
        finished = np.full(self.shape, False)
        for cell in self.histories:
            finished[cell] = True
        return finished

    @property
    def mean(self) -> np.ndarray:
        """Shape ``(rows, columns)``: mean over the seeds; NaN where any of them diverged."""
        return mean_and_error(np.moveaxis(self.finals, 2, 0))[0]

    @property
    def error(self) -> np.ndarray:
        """Shape ``(rows, columns)``: standard error of that mean; NaN for a single seed."""
        return mean_and_error(np.moveaxis(self.finals, 2, 0))[1]

    @property
    def best_cell(self) -> Cell | None:
        """The cell with the best mean, or None if no cell has one."""
        mean = self.mean
        if not np.isfinite(mean).any():
            return None
        best = np.nanargmax(mean) if self.higher else np.nanargmin(mean)
        return divmod(int(best), mean.shape[1])

    @property
    def best(self) -> dict[str, float]:
        """The two parameters of the best cell; empty if there is none."""
        return {} if self.best_cell is None else self.setting(self.best_cell)

    def setting(self, cell: Cell) -> dict[str, float]:
        """Return the two parameters of a cell."""
        return {name: self.grid[name][place] for name, place in zip(self.grid, cell, strict=True)}

    def table(self) -> str:
        """Return the means as aligned text, the first parameter downwards."""
        (first, rows), (second, columns) = self.grid.items()
        lines = [["", *(f"{value:.4g}" for value in columns)]]
        for value, means, finished in zip(rows, self.mean, self.finished, strict=True):
            lost = [say("sweep_diverged" if ended else "sweep_missing") for ended in finished]
            cells = [f"{m:.3f}" if np.isfinite(m) else w for m, w in zip(means, lost, strict=True)]
            lines.append([f"{value:.4g}", *cells])
        texts = [say("sweep_axes", first=first, second=second), *text_table(lines, ">")]
        if self.missing:
            texts.append(say("cells_missing", reason=self.missing))
        return "\n".join(texts)

    def records(self) -> list[Row]:
        """Return one row per run, for ``pandas.DataFrame(result.records())``.

        A row holds schedule, the two parameters of its cell, seed, base_lr and the other params;
        then, after the last epoch, "val_loss" and each metric, such as "val_accuracy" (NaN where
        the run diverged), and "diverged". Cells that are missing have no rows.

        >>> grid = {"gamma": [0.1, 0.5], "step_size": [1]}
        >>> [row["gamma"] for row in sweep("StepLR", grid, seeds=2, epochs=1).records()]
        [0.1, 0.1, 0.5, 0.5]
        """
        facts = {cell: {"schedule": self.schedule, **self.setting(cell)} for cell in self.histories}
        return run_rows(self.histories, self.runs, facts.__getitem__)

    def plot(self, ax: Axes | None = None, *, marked: Mapping[str, float] | None = None) -> Axes:
        """Draw the means as a heat map, the best cell in a frame.

        Args:
            ax: where to draw; None makes a new figure.
            marked: a setting of the two parameters, whose cell gets a dashed frame.
        """
        return plot_heat_map(
            self.mean,
            self.grid,
            ax,
            finished=self.finished,
            best=self.best_cell,
            marked=None if marked is None else self.nearest(marked),
            label=say("mean_final_metric", metric=self.metric),
            higher=self.higher,
        )

    def nearest(self, setting: Mapping[str, float]) -> Cell:
        """Return the cell whose parameters are nearest to ``setting``, by ratio where positive.

        Raises:
            ValueError: if one of the two parameters is not in ``setting``.
        """
        for name in self.grid:
            if name not in setting:
                raise ValueError(f"setting must hold {name!r}, got {', '.join(setting)}.")
        row, column = (_nearest(values, setting[name]) for name, values in self.grid.items())
        return row, column


def _nearest(values: Sequence[float], target: float) -> int:
    numbers = np.array([*values, target], dtype=float)
    if (numbers > 0).all():
        numbers = np.log(numbers)
    return int(np.abs(numbers[:-1] - numbers[-1]).argmin())


def sweep(
    schedule: str | Schedule,
    grid: Mapping[str, Sequence[float]],
    *,
    seeds: int = 1,
    executor: Executor | None = None,
    epochs: int = 12,
    base_lr: float | None = None,
    data: Dataset | None = None,
    make_model: Callable[[], nn.Module] = MLP,
    optimizer: str | None = None,
    make_optimizer: Maker | None = None,
    batch_size: int = 16,
    metric: str = "loss",
    better: str | None = None,
    first_seed: int = 0,
    dtype: torch.dtype = torch.float64,
    progress: bool = True,
    **params: Any,
) -> Sweep:
    """Train a schedule at every point of a grid of two parameters.

    All cells share their seeds: the same initial weights, the same batch orders. The scheduler
    steps as practice has it for the schedule, every epoch or every batch.

    Args:
        schedule: a row of `SCHEDULES`.
        grid: two parameters -> the values to try, in rising order; ``"base_lr"`` may be one.
        seeds: how many runs a cell has, counted from ``first_seed``.
        executor: any `concurrent.futures.Executor`, to train on other processes, or on other
            machines with that of a `dask.distributed.Client`. What it is given must be picklable:
            ``make_model`` a class or a function of a module. None: here.
        epochs, base_lr, data, make_model, optimizer, make_optimizer, batch_size: as in `compare`.
        metric, better: what the cells are compared by, as in `compare`.
        dtype: of the arithmetic; double precision keeps printed digits the same everywhere.
        progress: whether work of more than a second shows a progress bar.
        **params: the schedule's other parameters; a length of the run that is left out, such as
            ``T_max``, is set to ``epochs``.

    Returns:
        A `Sweep`. If it is interrupted, or processes of the executor die: with the cells that were
        finished, and a warning that says how many are missing and why.

    Raises:
        ValueError: naming argument, constraint and value; before anything is trained.
        KeyboardInterrupt: if it is interrupted before any cell was finished.
        RuntimeError: if the executor fails before any cell was finished.

    >>> grid = {"gamma": [0.1, 0.5], "step_size": [2, 4]}
    >>> result = sweep("StepLR", grid, epochs=8)
    >>> result.mean.shape, sorted(result.best)
    ((2, 2), ['gamma', 'step_size'])
    """
    epochs = int(check_number("epochs", epochs, integer=True))
    checked = check_grid(schedule, grid)
    data = load_digits() if data is None else data
    better = check_metric(data, metric, better)
    fixed: dict[str, Any] = params if base_lr is None else {"base_lr": base_lr, **params}
    if both := [name for name in fixed if name in checked]:
        raise ValueError(
            f"{both[0]} must be in the grid or fixed, not both, got {both[0]}={fixed[both[0]]!r} "
            "and a grid of it."
        )
    rate = one_rate(base_lr)
    how = one_optimizer(optimizer, make_optimizer)
    chosen = seed_range(first_seed, seeds)
    name, higher = get_schedule(schedule).name, better == "higher"
    empty = Sweep(name, checked, len(chosen), metric=metric, higher=higher)
    plan = Plan(make_model, data, epochs, batch_size, dtype, how, metric, better)
    runs: dict[Cell, list[Run]] = {}
    for cell in np.ndindex(empty.shape):
        setting = {**params, "base_lr": rate, **empty.setting(cell)}
        lr = setting.pop("base_lr")
        runs[cell] = [plan.run(schedule, setting, lr, seed) for seed in chosen]
    histories, missing = train_parts(plan, runs, executor=executor, progress=progress)
    return replace(empty, histories=histories, missing=missing, runs=runs)
