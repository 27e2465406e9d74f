"""How does the final loss depend on two parameters at once?"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from torch import nn

from ..plotting.heatmap import plot_heat_map
from ..schedules.catalogue import get_schedule
from ..schedules.params import Param
from ..schedules.spec import Schedule
from ..tasks.data import Dataset, check_metric, load_digits
from ..tasks.models import MLP
from ..tasks.optimizers import Maker, Unless
from ..training.history import History
from ..training.runs import Run
from ..training.stats import mean_and_error
from ..words.errors import check_number, nearest
from .slices import Job, complete, make_run, one_optimizer, train_parts

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
    """

    schedule: str
    grid: Mapping[str, tuple[float, ...]]
    seeds: int
    histories: Mapping[Cell, list[History]] = field(default_factory=dict)
    missing: str = ""
    metric: str = "loss"
    higher: bool = False

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
        row, column = np.unravel_index(best, mean.shape)
        return int(row), int(column)

    @property
    def best(self) -> dict[str, float]:
        """The two parameters of the best cell; empty if there is none."""
        return {} if self.best_cell is None else self.setting(self.best_cell)

    def setting(self, cell: Cell) -> dict[str, float]:
        """Return the two parameters of a cell."""
        return {
            name: values[place]
            for (name, values), place in zip(self.grid.items(), cell, strict=True)
        }

    def table(self) -> str:
        """Return the means as aligned text, the first parameter downwards."""
        (first, rows), (second, columns) = self.grid.items()
        mean, finished = self.mean, self.finished
        lines = [["", *(f"{value:.4g}" for value in columns)]]
        for row, value in enumerate(rows):
            cells = [
                f"{mean[row, column]:.3f}"
                if np.isfinite(mean[row, column])
                else "diverged"
                if finished[row, column]
                else "-"
                for column in range(len(columns))
            ]
            lines.append([f"{value:.4g}", *cells])
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        texts = [
            "  ".join(f"{text:>{width}}" for text, width in zip(line, widths, strict=True))
            for line in lines
        ]
        if self.missing:
            texts.append(f"({self.missing}: cells marked - are missing)")
        return "\n".join([f"{first} downwards, {second} across", *texts])

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
            label=f"mean final validation {self.metric}",
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
    seeds = int(check_number("seeds", seeds, integer=True))
    first_seed = int(check_number("first_seed", first_seed, must_be="non-negative", integer=True))
    checked = check_grid(schedule, grid)
    cells = list(product(*(range(len(values)) for values in checked.values())))
    data = load_digits() if data is None else data
    better = check_metric(data, metric, better)
    fixed = _fixed(checked, base_lr, params)
    parts = [
        cell_runs(
            schedule,
            fixed | dict(zip(checked, values, strict=True)),
            epochs=epochs,
            optimizer=one_optimizer(optimizer, make_optimizer),
            seeds=range(first_seed, first_seed + seeds),
            metric=metric,
            better=better,
        )
        for values in product(*checked.values())
    ]
    job = Job(make_model, data, epochs, batch_size, dtype)
    found, missing = train_parts(job, parts, executor=executor, progress=progress)
    histories = {cells[place]: runs for place, runs in sorted(found.items())}
    return Sweep(
        get_schedule(schedule).name, checked, seeds, histories, missing, metric, better == "higher"
    )


def _fixed(
    grid: Collection[str], base_lr: float | None, params: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what all cells share, ``base_lr`` included; what the grid varies cannot be."""
    given = {**({} if base_lr is None else {"base_lr": base_lr}), **params}
    for name in given:
        if name in grid:
            raise ValueError(
                f"{name} must be in the grid or fixed, not both, got {name}={given[name]!r} "
                "and a grid of it."
            )
    rate = Unless(0.1) if base_lr is None else check_number("base_lr", base_lr)
    return {**given, "base_lr": rate}


def check_grid(
    schedule: str | Schedule, grid: Mapping[str, Sequence[float]]
) -> dict[str, tuple[float, ...]]:
    """Return a grid as plain numbers, or say what is wrong with it.

    >>> check_grid("StepLR", {"gamma": [0.1, 0.5], "step_size": [2.0, 4]})
    {'gamma': (0.1, 0.5), 'step_size': (2, 4)}
    >>> check_grid("StepLR", {"gamma": [0.1, 0.5]})
    Traceback (most recent call last):
    ...
    ValueError: grid must name two parameters, got 1: gamma.
    """
    row = get_schedule(schedule)
    knobs = {"base_lr": partial(check_number, "base_lr")}
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
            raise ValueError(
                f"grid must name parameters of {row.name}{nearest(str(name), knobs)}, "
                f"got {name!r}; there are {', '.join(knobs)}."
            )
        listed = isinstance(values, Sequence | np.ndarray) and not isinstance(values, str)
        if not listed or not len(values):
            raise ValueError(f"grid[{name!r}] must hold numbers, at least one, got {values!r}.")
    checked = {name: tuple(map(knobs[name], values)) for name, values in grid.items()}
    for name, values in checked.items():
        if list(values) != sorted(set(values)):
            raise ValueError(f"grid[{name!r}] must rise from value to value, got {values}.")
    return checked


def cell_runs(
    schedule: str | Schedule,
    setting: Mapping[str, Any],
    *,
    epochs: int,
    optimizer: str | Maker,
    seeds: Sequence[int],
    metric: str = "loss",
    better: str = "lower",
) -> list[Run]:
    """Return the runs of one cell; ``setting`` holds ``base_lr`` and params of the schedule."""
    params = dict(setting)
    base_lr = params.pop("base_lr")
    params = complete(schedule, params, epochs)
    return [make_run(schedule, params, base_lr, optimizer, seed, metric, better) for seed in seeds]
