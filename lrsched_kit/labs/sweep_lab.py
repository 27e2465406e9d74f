"""The lab of two parameters: a heat map that fills in, and the curves of any of its cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ipywidgets as widgets
import numpy as np
from torch import nn

from ..experiments.grid import check_grid
from ..experiments.sweeps import Sweep
from ..schedules.catalogue import get_schedule
from ..schedules.params import Param
from ..schedules.spec import Schedule
from ..tasks.data import Dataset, check_metric
from ..tasks.optimizers import Maker
from .controls import make_buttons, make_slider, read
from .schedule_lab import BASE_LR, EPOCHS
from .subjects import TrainingLab, first_base_lr, make_pickers, make_subjects
from .sweep_work import SweepRequest, SweepSetting, SweepWork
from .verdict import Follow

POINTS = 8  # values of a parameter in a grid that nobody has given


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
        schedule = get_schedule(name)
        self._grid = check_grid(name, default_grid(name, epochs) if grid is None else grid)
        subjects = make_subjects(make_model, data, batch_size, seeds, make_optimizer, usual=3)
        first = next(iter(subjects.values()))
        follow = Follow(metric, check_metric(first.data, metric, better))
        menus = make_pickers(subjects, optimizer)
        values = {
            "base_lr": first_base_lr(base_lr, subjects, optimizer),
            "epochs": EPOCHS.check(epochs),
            **schedule.complete(params, horizon=EPOCHS.check(epochs)),
        }
        model = menus["model"].value
        self._work: SweepWork = SweepWork(schedule, subjects, model, self._grid, follow)
        values |= self.sweep.setting(self.sweep.nearest(values))
        knobs = {param.name: param for param in (BASE_LR, EPOCHS, *schedule.params)}
        sliders = {key: _choice(knobs[key], self._grid[key], values[key]) for key in self._grid}
        sliders |= {
            key: make_slider(knob, values[key])
            for key, knob in knobs.items()
            if key not in self._grid
        }
        buttons = make_buttons(("run", "reset"))
        super().__init__(
            subjects,
            work=self._work,
            start={key: menu.value for key, menu in menus.items()} | values,
            menus=menus,
            sliders=sliders,
            buttons=buttons,
        )
        self._submit()

    @property
    def sweep(self) -> Sweep:
        """The map as far as it has come."""
        return self._work.sweep

    @property
    def chosen(self) -> dict[str, float]:
        """The two parameters that the sliders choose."""
        return {key: self.controls[key].value for key in self._grid}

    def __repr__(self) -> str:
        return f"SweepLab({self._work.sweep.schedule}, {' x '.join(self._grid)})"

    def _request(self, *, again: bool) -> SweepRequest:
        values = {
            key: read(self.controls[key], value)
            for key, value in self._start.items()
            if key not in self._grid
        }
        shared = {key: values.pop(key) for key in ("model", "optimizer", "epochs")}
        setting = SweepSetting(**shared, fixed=values)
        return SweepRequest(setting, self.sweep.nearest(self.chosen), again)


def _choice(param: Param, values: Sequence[float], start: float) -> widgets.SelectionSlider:
    """Make a slider with a notch for each value of the grid."""
    return widgets.SelectionSlider(
        options=[(f"{value:.3g}", value) for value in values],
        value=start,
        description=param.name,
        tooltip=param.help,
        style={"description_width": "76px"},
        layout=widgets.Layout(width="auto", min_width="0"),
    )


def default_grid(name: str | Schedule, epochs: int) -> dict[str, list[float]]:
    """Return eight values for each of two parameters of a schedule, counts up to ``epochs``.

    >>> default_grid("StepLR", 12)["step_size"]
    [1, 3, 4, 6, 7, 9, 10, 12]
    """
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
