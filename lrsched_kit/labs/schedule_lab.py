"""The lab of one schedule: its sliders, its rate, its losses beside the constant rate's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from ..schedules.catalogue import get_schedule
from ..schedules.params import Param
from ..schedules.spec import Schedule
from ..tasks.data import Dataset, check_metric
from ..tasks.optimizers import Maker
from ..training.loop import STEP_EVERY, check_step_every
from ..words import say
from .controls import make_buttons, make_menu, make_slider, read
from .runs import RunLab
from .saving import save_run
from .schedule_work import MAX_PINS, LabRequest, LabResult, LabWork, Setting
from .subjects import first_base_lr, make_pickers, make_subjects
from .verdict import Follow

BASE_LR = Param("base_lr", 0.1, 1e-4, 10, log=True, help=say("base_lr_help"))
EPOCHS = Param("epochs", 20, 1, 40, integer=True, help=say("epochs_help"))
SAVE_FOLDER = "saved"


class ScheduleLab(RunLab):
    """One schedule under sliders, always beside the constant rate.

    Moving a slider redraws the rate at once and trains again: schedule and constant rate from the
    same initial weights and batch orders, over several seeds. Curves are means, bands one
    standard error. Training runs on a thread of the lab's own, so the notebook stays free.

    Args:
        name: a row of `SCHEDULES`, or a row of one's own.
        base_lr, epochs: where their sliders start; without ``base_lr``, at a rate that suits model
            and optimizer.
        make_model: a class in `MODELS`, where the menu of models then starts; or a model of your
            own, called for each seed.
        data: without it, what the model is made for.
        optimizer: where its menu starts: "sgd", "momentum", "adam" or "adamw".
        make_optimizer: a function of the model instead, whose parameter groups and other settings
            are its own; base_lr is then the first group's rate, and others keep their ratio to it.
        batch_size: rows per update; None: as advised for the model.
        step_every: "epoch" or "batch", when the scheduler steps; None: as practice has it.
        seeds: how many seeds to average over; None: 5, or 3 for a model that cannot train
            together with others and is trained run by run, more slowly.
        metric: what the verdict and the picture follow: "loss", or a metric of the data.
        better: "lower" or "higher", which value of it is better; known for loss and accuracy.
        **params: where the schedule's own sliders start. A value beyond a slider widens it; a
            length of the run that is left out, such as ``T_max``, is set to ``epochs``.

    Attributes:
        controls: the menus "model", "optimizer" and "step_every", the sliders by name ("base_lr",
            "epochs" and each parameter), and the buttons
            "run", "pin", "reset", "log", "code", "save".

    Raises:
        ValueError: naming argument, constraint and value.

    >>> lab = ScheduleLab("StepLR", epochs=2, seeds=1)
    >>> lab.controls["gamma"].value = 0.5
    >>> lab.wait()
    True
    >>> {name: len(runs) for name, runs in lab.histories.items()}
    {'StepLR': 1, 'Constant': 1}
    >>> lab.close()
    """

    def __init__(
        self,
        name: str | Schedule,
        *,
        base_lr: float | None = None,
        epochs: int = int(EPOCHS.default),
        data: Dataset | None = None,
        make_model: Callable[[], nn.Module] | None = None,
        optimizer: str = "momentum",
        make_optimizer: Maker | None = None,
        batch_size: int | None = None,
        step_every: str | None = None,
        seeds: int | None = None,
        metric: str = "loss",
        better: str | None = None,
        **params: Any,
    ) -> None:
        self._schedule = get_schedule(name)
        unit = self._schedule.step_every if step_every is None else step_every
        check_step_every(unit, wants_metric=self._schedule.metric_driven)
        subjects = make_subjects(make_model, data, batch_size, seeds, make_optimizer)
        first = next(iter(subjects.values()))
        follow = Follow(metric, check_metric(first.data, metric, better))
        values = {"base_lr": first_base_lr(base_lr, subjects, optimizer)}
        values["epochs"] = EPOCHS.check(epochs)
        values |= self._schedule.complete(params, horizon=values["epochs"])
        menus = make_pickers(subjects, optimizer)
        menus["step_every"] = make_menu("step_every", self._units(), unit)
        start = {key: menu.value for key, menu in menus.items()} | values
        self._pins: tuple[LabResult, ...] = ()
        sliders = {
            param.name: make_slider(param, start[param.name])
            for param in (BASE_LR, EPOCHS, *self._schedule.params)
        }
        buttons = make_buttons(("run", "pin", "reset", "log", "code", "save"), SAVE_FOLDER)
        self._work: LabWork = LabWork(self._schedule, subjects, start, follow)
        self._work.plan(self._setting_of(start))  # refuses values that do not go together
        super().__init__(
            subjects,
            work=self._work,
            start=start,
            menus=menus,
            sliders=sliders,
            buttons=buttons,
        )
        self._listen(self.controls["pin"], self._on_pin)
        self._listen(self.controls["save"], self._on_save)
        self._submit()

    def _units(self) -> list[str]:
        """Return what can be chosen: a metric comes once per epoch, a constant never steps."""
        fixed = self._schedule.metric_driven or self._schedule.name == "Constant"
        return ["epoch"] if fixed else list(STEP_EVERY)

    # ---- what a caller uses

    @property
    def schedule(self) -> Schedule:
        """The row that it is the lab of."""
        return self._schedule

    def save(self, folder: str | Path = SAVE_FOLDER) -> list[Path]:
        """Write the newest finished run as PNG and CSV under names not yet taken.

        Raises:
            RuntimeError: when no run has finished yet.
        """
        if (result := self._work.result) is None:
            raise RuntimeError(say("nothing_to_save"))
        label = self._subjects[result.setting.model].loss_label
        return save_run(result.histories, Path(folder), self._schedule.name, label)

    def __repr__(self) -> str:
        return f"ScheduleLab({self._schedule.name})"

    # ---- callbacks, on whichever thread, one at a time: they only drop a request

    def _setting(self) -> Setting:
        start = self._start
        return self._setting_of({name: read(self.controls[name], start[name]) for name in start})

    def _setting_of(self, values: Mapping[str, Any]) -> Setting:
        values = dict(values)
        params = {param.name: values.pop(param.name) for param in self._schedule.params}
        return Setting(**values, params=params)

    def _row(self, setting: Setting) -> Schedule:
        return self._schedule

    def _request(self, *, again: bool) -> LabRequest:
        return LabRequest(self._setting(), self._pins, self.controls["log"].value, again)

    def _on_pin(self, _: object) -> None:
        if (result := self._work.result) is not None:
            self._pins = (*self._pins, result)[-MAX_PINS:]
            self._submit()

    def _on_reset(self, click: object) -> None:
        self._pins = ()
        super()._on_reset(click)

    def _on_save(self, _: object) -> None:
        try:
            files = self.save()
        except Exception as error:  # a button has no other way to say what went wrong
            self._work.note(str(error))
        else:
            self._work.note(say("saved", files=" and ".join(map(str, files))))
