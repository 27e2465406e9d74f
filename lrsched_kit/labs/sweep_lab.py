"""The lab of two parameters: a heat map that fills in, and the curves of any of its cells."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from torch import nn

from ..experiments.labels import check_grid
from ..experiments.sweeps import Cell, Sweep
from ..plotting.heatmap import HeatMap
from ..plotting.style import kit_look
from ..schedules.catalogue import get_schedule
from ..schedules.params import Param
from ..schedules.spec import Schedule
from ..tasks.data import Dataset, check_metric
from ..tasks.optimizers import Maker
from ..training.history import History
from ..words import say
from .controls import make_buttons, make_slider
from .live import Cancel, LiveFigure
from .panels import Panels, Scene
from .subjects import Setting, Subject, make_subjects
from .training import BASE_LR, EPOCHS, TrainingLab, TrainingWork, first_values, make_pickers
from .verdict import best_line, cell_line

POINTS = 8  # values of a parameter in a grid that nobody has given
RUNS_AT_ONCE = 32  # a slice takes some tenths of a second, and then the map shows it


@dataclass(frozen=True)
class SweepRequest:
    """What a callback asks for; the setting is of the first cell, ``again`` trains all anew."""

    setting: Setting
    cell: Cell
    again: bool = False


class SweepPicture(LiveFigure):
    """A heat map left, the curves of the chosen cell right; an empty sweep decides the cells."""

    @kit_look()
    def __init__(self, sweep: Sweep) -> None:
        figure = Figure(figsize=(7.9, 4.3), dpi=120)
        columns = figure.add_gridspec(
            1, 2, width_ratios=(1.38, 1), left=0.072, right=0.98, top=0.84, bottom=0.12, wspace=0.38
        )
        right = columns[1].subgridspec(2, 1, hspace=0.72)
        map_ax = figure.add_subplot(columns[0])
        rate_ax, loss_ax = (figure.add_subplot(right[row]) for row in range(2))
        self._map = HeatMap(map_ax, sweep.grid, higher=sweep.higher)
        title = say("cells_title_higher" if sweep.higher else "cells_title", metric=sweep.metric)
        map_ax.set_title(title, fontsize="medium", loc="left")
        self._panels = Panels(
            rate_ax, loss_ax, say("rate_applied"), sweep.metric, legend=(0.62, 0.905), ticks=6
        )
        for ax in (rate_ax, loss_ax):
            ax.yaxis.set_label_coords(-0.2, 0.5)
        super().__init__(figure, [*self._map.artists, *self._panels.artists])
        self._limits: tuple[float, float] | None = None

    def show(self, sweep: Sweep, cell: Cell, scene: Scene, *, crisp: bool = False) -> None:
        """Draw a sweep as far as it has come, and the curves of a cell."""
        limits = self._map.limits_of(sweep.mean)
        if changed := limits != self._limits:
            self._map.set_limits(*limits)
            self._limits = limits
        self._map.show(sweep.mean, finished=sweep.finished, best=sweep.best_cell, marked=cell)
        changed |= self._panels.show(scene, refit=crisp)
        self.draw(background_changed=changed, crisp=crisp)


class SweepWork(TrainingWork[SweepRequest]):
    """Trains what is missing in the map and draws what is asked; one thread at a time."""

    picture: SweepPicture

    def __init__(self, sweep: Sweep, subjects: Mapping[str, Subject]) -> None:
        better = "higher" if sweep.higher else "lower"
        super().__init__(SweepPicture(sweep), subjects, sweep.metric, better)
        self.sweep = sweep
        self._setting: Setting | None = None
        self._constants: dict[float, list[History]] = {}  # base_lr -> runs of the constant rate

    def __call__(self, request: SweepRequest, cancel: Cancel) -> None:
        """Draw the chosen cell, train what is missing; give up as soon as ``cancel()``."""
        if request.setting != self._setting or request.again:
            self.sweep, self._constants = replace(self.sweep, histories={}), {}
            self._setting = request.setting
        self._show(request)
        if todo := self._todo(request):
            self._begin()
            while todo and self._train_some(request, todo, cancel):
                todo = self._todo(request)
                done = len(self.sweep.histories)
                self.progress.value = done / (done + len(todo))
                self._show(request)
            if cancel.stale:
                return
        self.set_running(False, stopped=cancel.stopped)  # also what an earlier request left so
        self._show(request, crisp=True)

    def _at(self, setting: Setting, cell: Cell) -> Setting:
        """Return the setting of a cell."""
        two = self.sweep.setting(cell)
        base_lr = two.pop("base_lr", setting.base_lr)
        return replace(setting, base_lr=base_lr, params={**setting.params, **two})

    def _todo(self, request: SweepRequest) -> list[Cell]:
        """Return the cells that can be trained and are not yet, those near the chosen one first."""
        near, setting, subject = request.cell, request.setting, self.subjects[request.setting.model]
        cells = [(row, column) for row, column in np.argwhere(~self.sweep.finished).tolist()]
        # Values of a cell may not go together, such as milestones out of order.
        fit = [cell for cell in cells if not subject.refusal(self._at(setting, cell))]
        return sorted(fit, key=lambda cell: math.dist(cell, near))

    def _train_some(self, request: SweepRequest, todo: list[Cell], cancel: Cancel) -> bool:
        """Train some cells, and their constant rates; say whether that came to its end."""
        setting, subject = request.setting, self.subjects[request.setting.model]
        alone = subject.alone(setting.optimizer)
        cells = todo[: 1 if alone else max(1, RUNS_AT_ONCE // subject.seeds)]
        parts: dict[Cell | float, Setting] = {cell: self._at(setting, cell) for cell in cells}
        for part in list(parts.values()):
            if part.base_lr not in self._constants:
                parts[part.base_lr] = part.constant
        found = self._train(parts, cancel)
        if cancel():
            return False
        self._constants |= {key: runs for key, runs in found.items() if isinstance(key, float)}
        new = {cell: found[cell] for cell in cells}
        self.sweep = replace(self.sweep, histories={**self.sweep.histories, **new})
        return True

    def _show(self, request: SweepRequest, *, crisp: bool = False) -> None:
        """Say and draw how far the map has come, and what came of the chosen cell."""
        sweep, cell, lines = self.sweep, request.cell, []
        part = self._at(request.setting, cell)
        subject = self.subjects[part.model]
        why = subject.refusal(part)
        if cell in sweep.histories:
            lines.append(cell_line(sweep, cell))
        elif why:
            lines.append(say("refused", error=why))
        if (best := sweep.best_cell) is not None and len(sweep.histories) > 1:
            lines.append(best_line(sweep, best))
        if left := len(self._todo(request)):
            done = len(sweep.histories)
            lines.append(say("cells_so_far", done=done, cells=done + left))
        self.say([*lines, *subject.alone_lines(part.optimizer)])
        planned = None if why else subject.plan(part)
        constants = self._constants.get(part.base_lr, [])
        scene = self._scene(part, planned, sweep.histories.get(cell, []), constants)
        self.picture.show(sweep, cell, scene, crisp=crisp)


class SweepLab(TrainingLab[SweepRequest]):
    """Two parameters of a schedule at once: every cell of the map is a real training.

    The map fills in slice by slice, starting around the chosen cell. Two sliders choose a cell,
    whose rate and losses are drawn beside the map; the others train the whole map anew. All cells
    share their seeds. Training runs on a thread of the lab's own.

    Args:
        name: a row of `SCHEDULES`.
        grid: two of its parameters, or one and "base_lr", -> rising values. None: its first two
            parameters (or "base_lr" and the first one), eight values each.
        base_lr, epochs, data, make_model, optimizer, make_optimizer, batch_size, metric, better:
            as for `ScheduleLab`.
        seeds: how many seeds a cell has, 3 if it is left out.
        **params: where the sliders start: of the two in the grid, which cell is chosen at first. A
            length of the run that is left out, such as ``T_max``, is set to ``epochs``.

    Attributes:
        controls: the menus, the sliders by name, and the buttons "run" and "reset".

    Raises:
        ValueError: naming argument, constraint and value.

    >>> grid = {"gamma": [0.1, 0.5], "step_size": [1, 2]}
    >>> lab = SweepLab("StepLR", grid, epochs=2, seeds=1)
    >>> lab.controls["gamma"].value = 0.5
    >>> lab.wait()
    True
    >>> lab.sweep.finished.all(), lab.chosen
    (np.True_, {'gamma': 0.5, 'step_size': 2})
    >>> lab.close()
    """

    _work: SweepWork

    def __init__(
        self,
        name: str | Schedule = "StepLR",
        grid: Mapping[str, Sequence[float]] | None = None,
        *,
        base_lr: float | None = None,
        epochs: int = 12,
        data: Dataset | None = None,
        make_model: Callable[[], nn.Module] | None = None,
        optimizer: str = "momentum",
        make_optimizer: Maker | None = None,
        batch_size: int | None = None,
        seeds: int | None = None,
        metric: str = "loss",
        better: str | None = None,
        **params: Any,
    ) -> None:
        self._schedule = schedule = get_schedule(name)
        grid = check_grid(name, default_grid(name, epochs) if grid is None else grid)
        subjects = make_subjects(make_model, data, batch_size, seeds, make_optimizer, usual=3)
        first = next(iter(subjects.values()))
        higher = check_metric(first.data, metric, better) == "higher"
        menus = make_pickers(subjects, optimizer)
        values = first_values(first, optimizer, schedule, params, base_lr, epochs)
        sweep = Sweep(schedule.name, grid, first.seeds, metric=metric, higher=higher)
        values |= sweep.setting(sweep.nearest(values))
        knobs = {param.name: param for param in (BASE_LR, EPOCHS, *schedule.params)}
        sliders = {
            key: make_slider(knobs[key], values[key], grid.get(key, ()))
            for key in dict.fromkeys([*grid, *knobs])
        }
        super().__init__(
            SweepWork(sweep, subjects),
            values=values,
            menus=menus,
            sliders=sliders,
            buttons=make_buttons(("run", "reset")),
        )
        self._called = f"{schedule.name}, {' x '.join(grid)}"
        self._submit()

    @property
    def sweep(self) -> Sweep:
        """The map as far as it has come."""
        return self._work.sweep

    @property
    def chosen(self) -> dict[str, float]:
        """The two parameters that the sliders choose."""
        return {key: self.controls[key].value for key in self.sweep.grid}

    def _request(self, *, again: bool) -> SweepRequest:
        schedule, values = self._schedule, self._values() | self.sweep.setting((0, 0))
        params = {param.name: values.pop(param.name) for param in schedule.params}
        unit = schedule.step_every
        setting = Setting(**values, step_every=unit, schedule=schedule, params=params)
        return SweepRequest(setting, self.sweep.nearest(self.chosen), again)


def default_grid(name: str | Schedule, epochs: int) -> dict[str, list[float]]:
    """Return eight values for each of two parameters of a schedule, counts up to ``epochs``."""
    params = [param for param in get_schedule(name).params if isinstance(param, Param)]
    pair = params[:2] if len(params) > 1 else (BASE_LR, *params)
    if len(pair) < 2:
        raise ValueError(f"grid must be given for {name}, which has no parameters of its own.")
    return {param.name: _spread(param, epochs) for param in pair}


def _spread(param: Param, epochs: int) -> list[float]:
    if param.integer:
        top = max(param.low, min(param.high, epochs))
        return sorted({round(value) for value in np.linspace(param.low, top, POINTS)})
    spaced = np.geomspace if param.log else np.linspace
    return [float(f"{value:.2g}") for value in spaced(param.low, param.high, POINTS)]
