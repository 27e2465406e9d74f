"""What a sweep's lab does on its thread: train cell by cell, nearest to the chosen one first."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..experiments.sweeps import Cell, Sweep
from ..plotting.curves import Curve
from ..plotting.style import style_of
from ..schedules.catalogue import get_schedule
from ..schedules.spec import Schedule
from ..schedules.trace import trace_groups
from ..training.history import History
from ..training.runs import Run
from ..training.stats import paired, t_quantile, with_error
from ..words import say
from .base import Work
from .live import Cancel
from .panels import Scene
from .schedule_work import HEAD_START
from .subjects import Subject
from .sweep_picture import SweepPicture
from .verdict import Follow

RUNS_AT_ONCE = 32  # a slice takes some tenths of a second, and then the map shows it
LUCK = 0.05  # how often luck alone may set any of the other cells apart from the lowest


@dataclass(frozen=True)
class SweepSetting:
    """What all cells share: the menus, epochs, and ``base_lr`` and params not in the grid."""

    model: str
    optimizer: str
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

    def __init__(
        self,
        schedule: Schedule,
        subjects: Mapping[str, Subject],
        model: str,
        grid: Mapping[str, Sequence[float]],
        follow: Follow,
    ) -> None:
        self._schedule, self._subjects, self._follow = schedule, subjects, follow
        self._empty = Sweep(
            schedule.name,
            grid,
            subjects[model].seeds,
            metric=follow.metric,
            higher=follow.better == "higher",
        )
        super().__init__(SweepPicture(self._empty))
        _ = subjects[model].fleet  # found fit now, where the cell runs
        self.sweep = self._empty
        self._setting: SweepSetting | None = None
        self._constants: dict[float, list[History]] = {}  # base_lr -> runs of the constant rate

    def __call__(self, request: SweepRequest, cancel: Cancel) -> None:
        """Draw the chosen cell, train what is missing; give up as soon as ``cancel()``."""
        if request.setting != self._setting or request.again:
            self.sweep, self._constants = self._empty, {}
            self._setting = request.setting
        self._draw(request)
        todo = self._todo(request)
        if todo:
            time.sleep(HEAD_START)
            self.set_running(True)
            while todo and self._train(request, todo, cancel):
                todo = self._todo(request)
                done = len(self.sweep.histories)
                self.progress.value = done / (done + len(todo))
                self._say(request)
                self._draw(request)
            if cancel.stale:
                return
        self.set_running(
            False, stopped=cancel.stopped
        )  # also what an earlier request left unfinished
        self._say(request)
        self._draw(request, crisp=True)

    def _todo(self, request: SweepRequest) -> list[Cell]:
        """Return the cells that can be trained and are not yet, the next to the chosen one first.

        Values of some cells may not go together, such as milestones out of order.
        """
        row, column = request.cell
        cells = map(tuple, np.argwhere(~self.sweep.finished).tolist())
        fit = [cell for cell in cells if not self._refusal(request.setting, cell)]
        return sorted(fit, key=lambda cell: np.hypot(cell[0] - row, cell[1] - column))

    def _refusal(self, setting: SweepSetting, cell: Cell) -> str:
        """Say why a cell cannot be trained, or nothing."""
        params = self._values(setting, cell)
        base_lr = params.pop("base_lr")
        try:
            self._schedule.check(params, base_lr=base_lr, total_steps=self._steps(setting))
        except ValueError as error:
            return str(error)
        return ""

    def _steps(self, setting: SweepSetting) -> int:
        by_batch = self._schedule.step_every == "batch"
        return setting.epochs * (self._subjects[setting.model].steps_per_epoch if by_batch else 1)

    def _train(self, request: SweepRequest, todo: list[Cell], cancel: Cancel) -> bool:
        """Train some cells, and their constant rates; say whether that came to its end."""
        setting = request.setting
        subject = self._subjects[setting.model]
        seeds = subject.seeds
        parts: dict[Cell | float, list[Run]] = {}
        alone = subject.alone(setting.optimizer)
        for cell in todo[: 1 if alone else max(1, RUNS_AT_ONCE // seeds)]:
            values = self._values(setting, cell)
            if (base_lr := values["base_lr"]) not in self._constants:
                parts[base_lr] = self._runs("Constant", {"base_lr": base_lr}, setting)
            parts[cell] = self._runs(self._schedule, values, setting)
        trained = subject.fleet.train(
            [run for runs in parts.values() for run in runs],
            epochs=setting.epochs,
            should_stop=cancel,
        )
        if cancel():
            return False
        found = {key: trained[i * seeds :][:seeds] for i, key in enumerate(parts)}
        self._constants |= {key: runs for key, runs in found.items() if isinstance(key, float)}
        cells_found = {key: runs for key, runs in found.items() if isinstance(key, tuple)}
        self.sweep = replace(self.sweep, histories={**self.sweep.histories, **cells_found})
        return True

    def _runs(
        self, schedule: str | Schedule, values: Mapping[str, float], setting: SweepSetting
    ) -> list[Run]:
        subject = self._subjects[setting.model]
        row, params = get_schedule(schedule), dict(values)
        base_lr, how = params.pop("base_lr"), subject.make_optimizer or setting.optimizer
        params, unit = row.complete(params, horizon=setting.epochs), row.step_every
        told = self._follow.told(params)
        return [
            Run(schedule, params, base_lr, how, seed, unit, told) for seed in range(subject.seeds)
        ]

    def _values(self, setting: SweepSetting, cell: Cell) -> dict[str, float]:
        """Return ``base_lr`` and all params of a cell."""
        return {**setting.fixed, **self.sweep.setting(cell)}

    def _draw(self, request: SweepRequest, *, crisp: bool = False) -> None:
        setting, cell = request.setting, request.cell
        subject, schedule = self._subjects[setting.model], self._schedule
        params = self._values(setting, cell)
        base_lr = params.pop("base_lr")
        rates = subject.rates(setting.optimizer, base_lr)
        planned = None
        if not (schedule.metric_driven or self._refusal(setting, cell)):
            steps = self._steps(setting)
            planned = trace_groups(schedule, rates=rates, steps=steps, **params)
        flat = np.repeat(np.array(rates)[:, np.newaxis], setting.epochs, axis=1)
        constant = self._constants.get(base_lr, [])
        curves = [
            Curve("Constant", style_of("Constant"), flat, constant, thin=True),
            Curve(
                schedule.name,
                style_of(schedule),
                planned,
                self.sweep.histories.get(cell, []),
            ),
        ]
        by_batch = schedule.step_every == "batch"
        scene = Scene(
            tuple(curves),
            setting.epochs,
            base_lr,
            subject.loss_label,
            by_batch,
            metric=self._follow.metric,
        )
        self.picture.show(self.sweep, cell, scene, crisp=crisp)

    def _say(self, request: SweepRequest) -> None:
        sweep, cell = self.sweep, request.cell
        lines = []
        if cell in sweep.histories:
            lines.append(say("cell_line", cell=self._cell_words(cell)))
        elif why := self._refusal(request.setting, cell):
            lines.append(say("refused", error=why))
        if sweep.best_cell is not None:
            lines.append(self._best_line())
        if left := len(self._todo(request)):
            done = len(sweep.histories)
            lines.append(say("cells_so_far", done=done, cells=done + left))
        lines += self._subjects[request.setting.model].alone_lines(request.setting.optimizer)
        self.say(lines)

    def _cell_words(self, cell: Cell) -> str:
        setting = ", ".join(f"{k} {v:.3g}" for k, v in self.sweep.setting(cell).items())
        mean, error = self.sweep.mean[cell], self.sweep.error[cell]
        loss = with_error(mean, error) if np.isfinite(mean) else say("cell_diverged")
        return f"{setting}: {loss}"

    def _best_line(self) -> str:
        """Name the best cell, and how many others are as good as far as the seeds can tell."""
        sweep = self.sweep
        best = sweep.best_cell
        key = "highest_line" if sweep.higher else "best_line"
        line = say(key, cell=self._cell_words(best), cells=sweep.finished.sum())
        if sweep.seeds > 1:
            finals = sweep.finals
            others = [cell for cell in sweep.histories if cell != best]
            # The lowest was chosen among them: the more there are, the farther luck reaches.
            far = t_quantile(1 - LUCK / max(1, len(others)), sweep.seeds - 1)
            whole = [cell for cell in others if np.isfinite(sweep.mean[cell])]
            gaps = [paired(finals[best], finals[cell], higher=sweep.higher) for cell in whole]
            close = sum(gap.gap <= far * gap.error for gap in gaps)
            facts = {"close": close, "others": len(others), "seeds": sweep.seeds}
            line += " " + say("luck_line", **facts)
        return line
