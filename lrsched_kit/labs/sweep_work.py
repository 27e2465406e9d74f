"""What a sweep's lab does on its thread: train cell by cell, nearest to the chosen one first."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..experiments import Sweep
from ..experiments.sweeps import Cell, cell_runs
from ..fleet import Fleet, Run
from ..schedules import trace_lr
from ..stats import paired, with_error
from ..style import STYLES
from ..training import History
from ..words import WORDS
from .core import Work
from .picture import Curve, Scene
from .schedule_work import HEAD_START, Task
from .sweep_picture import SweepPicture

RUNS_AT_ONCE = 32  # a slice takes some tenths of a second, and then the map shows it
LUCK = 2  # standard errors; see `stats`


@dataclass(frozen=True)
class SweepSetting:
    """What all cells share: epochs, and ``base_lr`` and params that are not in the grid."""

    epochs: int
    fixed: Mapping[str, float]


@dataclass(frozen=True)
class SweepRequest:
    """What a callback asks for; ``again`` trains even if nothing has changed."""

    setting: SweepSetting
    cell: Cell
    again: bool = False


class SweepWork(Work[SweepRequest]):
    """Trains what is missing in the map and draws what is asked; one thread at a time.

    Attributes:
        sweep: as far as it has come.
    """

    picture: SweepPicture

    def __init__(self, task: Task, grid: Mapping[str, Sequence[float]]) -> None:
        self._empty = Sweep(task.schedule.name, grid, task.seeds)
        super().__init__(SweepPicture(self._empty, task.loss_label))
        self._task = task
        self._fleet = Fleet(task.make_model, task.data, seeds=range(task.seeds))
        self.sweep = self._empty
        self._setting: SweepSetting | None = None
        self._constants: dict[float, list[History]] = {}  # base_lr -> runs of the constant rate

    def __call__(self, request: SweepRequest, stale: Callable[[], bool]) -> None:
        """Draw the chosen cell, train what is missing; give up as soon as ``stale()``."""
        if request.setting != self._setting or request.again:
            self.sweep, self._constants = self._empty, {}
            self._setting = request.setting
        self._draw(request)
        todo = self._todo(request.cell)
        if todo:
            time.sleep(HEAD_START)
            self.set_running(True)
            while todo and self._train(request, todo, lambda: self.stopped or stale()):
                todo = self._todo(request.cell)
                self.progress.value = self.sweep.finished.mean()
                self._say(request)
                self._draw(request)
            if stale():
                return
            self.set_running(False)
        self._say(request)
        self._draw(request, crisp=True)

    def _todo(self, near: Cell) -> list[Cell]:
        """Return the cells not yet trained, the next ones to ``near`` first."""
        cells = map(tuple, np.argwhere(~self.sweep.finished).tolist())
        return sorted(cells, key=lambda cell: np.hypot(cell[0] - near[0], cell[1] - near[1]))

    def _train(self, request: SweepRequest, todo: list[Cell], stop: Callable[[], bool]) -> bool:
        """Train some cells, and their constant rates; say whether that came to its end."""
        task, seeds = self._task, self._task.seeds
        cells = todo[: max(1, RUNS_AT_ONCE // seeds)]
        parts: dict[Cell | float, list[Run]] = {}
        for cell in cells:
            setting = self._params(request.setting, cell)
            if (base_lr := setting["base_lr"]) not in self._constants:
                parts[base_lr] = self._runs("Constant", {"base_lr": base_lr}, request)
            parts[cell] = self._runs(task.schedule.name, setting, request)
        trained = self._fleet.train(
            [run for runs in parts.values() for run in runs],
            epochs=request.setting.epochs,
            batch_size=task.batch_size,
            should_stop=stop,
        )
        if stop():
            return False
        found = {key: trained[i * seeds :][:seeds] for i, key in enumerate(parts)}
        self._constants |= {key: runs for key, runs in found.items() if isinstance(key, float)}
        cells_found = {key: runs for key, runs in found.items() if isinstance(key, tuple)}
        self.sweep = replace(self.sweep, histories={**self.sweep.histories, **cells_found})
        return True

    def _runs(self, name: str, setting: Mapping[str, float], request: SweepRequest) -> list[Run]:
        return cell_runs(
            name,
            setting,
            epochs=request.setting.epochs,
            optimizer=self._task.optimizer,
            seeds=range(self._task.seeds),
        )

    def _params(self, setting: SweepSetting, cell: Cell) -> dict[str, float]:
        """Return ``base_lr`` and all params of a cell."""
        return {**setting.fixed, **self.sweep.setting(cell)}

    def _draw(self, request: SweepRequest, *, crisp: bool = False) -> None:
        params = self._params(request.setting, request.cell)
        base_lr = params.pop("base_lr")
        epochs, name = request.setting.epochs, self._task.schedule.name
        planned = None
        if not self._task.schedule.metric_driven:
            planned = trace_lr(name, base_lr=base_lr, steps=epochs, **params)
        flat = np.full(epochs, base_lr)
        constant = self._constants.get(base_lr, [])
        runs = self.sweep.histories.get(request.cell, [])
        curves = [Curve("Constant", STYLES["Constant"], flat, constant, thin=True)]
        if name != "Constant":
            curves.append(Curve(name, STYLES[name], planned, runs))
        self.picture.show(
            self.sweep, request.cell, Scene(tuple(curves), epochs, base_lr), crisp=crisp
        )

    def _say(self, request: SweepRequest) -> None:
        sweep, cell = self.sweep, request.cell
        lines = []
        if cell in sweep.histories:
            lines.append(WORDS["cell_line"].format(cell=self._cell_words(cell)))
        if sweep.best_cell is not None:
            lines.append(self._best_line())
        done, cells = int(sweep.finished.sum()), sweep.finished.size
        if done < cells:
            lines.append(WORDS["cells_so_far"].format(done=done, cells=cells))
        self.say(lines)

    def _cell_words(self, cell: Cell) -> str:
        setting = ", ".join(f"{k} {v:.3g}" for k, v in self.sweep.setting(cell).items())
        mean, error = self.sweep.mean[cell], self.sweep.error[cell]
        loss = with_error(mean, error) if np.isfinite(mean) else WORDS["cell_diverged"]
        return f"{setting}: {loss}"

    def _best_line(self) -> str:
        """Name the best cell, and how many others are as good as far as the seeds can tell."""
        sweep = self.sweep
        best = sweep.best_cell
        line = WORDS["best_line"].format(cell=self._cell_words(best), cells=sweep.finished.sum())
        if sweep.seeds > 1:
            gaps = [
                paired(sweep.losses[best], sweep.losses[cell])
                for cell in sweep.histories
                if cell != best
            ]
            close = sum(gap.gap < LUCK * gap.error for gap in gaps)
            line += " " + WORDS["luck_line"].format(close=close)
        return line
