"""What the labs of a single schedule share: it trains beside the constant rate, and is a script."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import ipywidgets as widgets
import numpy as np

from ..plotting.curves import Curve
from ..plotting.style import OTHER_STYLES
from ..schedules.spec import Schedule
from ..tasks.data import told_if_fits
from ..training.history import History
from ..training.loop import STEP_EVERY, check_step_every
from ..training.script import training_script
from ..words import say
from .controls import make_buttons, make_menu, make_slider
from .live import Cancel
from .panels import MAX_CURVES, LabPicture
from .subjects import Setting
from .training import BASE_LR, EPOCHS, TrainingLab, TrainingWork, first_values, make_pickers
from .verdict import group_lines, loss_lines, momentum_line, rate_line

MAX_PINS = MAX_CURVES - 2  # beside the schedule and the constant rate
SAVE_FOLDER = "saved"


@dataclass(frozen=True)
class Result:
    """What came of a setting: rates traced before, and label -> histories, maybe unfinished."""

    setting: Setting
    planned: np.ndarray | None  # shape (groups, scheduler steps); None: a metric decides
    momentum: np.ndarray | None = None
    histories: dict[str, list[History]] = field(default_factory=dict)

    @property
    def runs(self) -> list[History]:
        """The runs of the schedule itself."""
        return self.histories.get(self.setting.schedule.name, [])


@dataclass(frozen=True)
class RunRequest:
    """What a callback asks for; ``again`` trains even if nothing has changed."""

    setting: Setting
    log: bool = False
    again: bool = False
    pins: Mapping[str, Result] = field(default_factory=dict)


class RunWork(TrainingWork[RunRequest]):
    """Trains and draws what is asked; one thread at a time."""

    picture: LabPicture
    result: Result | None = None  # of the newest finished run
    _shown: Result | None = None  # complete or stopped
    _constants: tuple[Any, list[History]] = None, []  # what they depend on, and they

    def __call__(self, request: RunRequest, cancel: Cancel) -> None:
        """Train if the setting is new, and draw; give up as soon as ``cancel()``."""
        shown, setting = self._shown, request.setting
        if shown is None or shown.setting != setting or request.again:
            try:
                plan = Result(setting, self.subjects[setting.model].plan(setting))
            except ValueError as error:  # values that do not go together: no error of the lab's
                self.set_running(False)  # what was running has been given up
                self.say([say("refused", error=error)])
                return
            self._shown = None
            shown = self._follow_plan(plan, request, cancel)
            stopped = cancel.stopped
            if cancel.stale:
                return
            self._shown = shown
            if not stopped:
                _confirm_applied(shown)
                self.result = shown
            self.set_running(False, stopped=stopped)
            self._draw(request, shown)
        if shown is self.result:
            lines = loss_lines(shown.histories, self.metric, self.better)
        else:
            epoch = max((run.finished for run in shown.runs), default=0)
            lines = [say("stopped", epoch=epoch, epochs=setting.epochs)]
        self._say(shown, lines)
        if not cancel.stale:
            self._draw(request, shown, crisp=True)

    def _follow_plan(self, plan: Result, request: RunRequest, cancel: Cancel) -> Result:
        setting = plan.setting
        key = setting.model, setting.optimizer, setting.base_lr, setting.epochs
        use_known = self._constants[0] == key and not request.again
        known = {"Constant": self._constants[1]} if use_known else {}
        parts = {setting.schedule.name: setting, "Constant": setting.constant}
        parts = {label: part for label, part in parts.items() if label not in known}

        def result(histories: dict[str, list[History]]) -> Result:
            return replace(plan, histories={**histories, **known})

        def show(histories: dict[str, list[History]], line: str) -> None:
            self._draw(request, now := result(histories))
            self._say(now, [line])

        self._draw(request, result({}))
        plan = replace(plan, momentum=self.subjects[setting.model].momentum(setting))
        self._begin()
        self._say(plan, [say("training", epoch=0, epochs=setting.epochs)])
        found = result(self._train(parts, cancel, show))
        if not cancel():
            self._constants = key, found.histories["Constant"]
        return found

    def _say(self, result: Result, lines: list[str]) -> None:
        alone = self.subjects[result.setting.model].alone_lines(result.setting.optimizer)
        self.say([*self._plan_lines(result), *lines, *alone])

    def _plan_lines(self, result: Result) -> list[str]:
        """Say what the rate does."""
        rates, schedule = result.planned, result.setting.schedule
        if rates is None and result.runs:
            rates = result.runs[0].group_lr
        if rates is None or not np.isfinite(rates).any():
            return []
        epochs, by_metric = result.setting.epochs, schedule.metric_driven
        lines = [rate_line(schedule.name, rates[0], epochs, metric_driven=by_metric)]
        lines += group_lines(rates)
        return lines if result.momentum is None else [*lines, momentum_line(result.momentum)]

    def _draw(self, request: RunRequest, result: Result, *, crisp: bool = False) -> None:
        setting = result.setting
        loss_label = self.subjects[setting.model].loss_label
        pins = [
            Curve(label, style, None, pin.runs, thin=True)
            for (label, pin), style in zip(request.pins.items(), OTHER_STYLES, strict=False)
            # Another kind of loss has no place on this axis.
            if self.subjects[pin.setting.model].loss_label == loss_label
        ]
        constants = result.histories.get("Constant", [])
        scene = self._scene(
            setting, result.planned, result.runs, constants, others=pins, log=request.log
        )
        self.picture.show(scene, crisp=crisp)


def _confirm_applied(result: Result) -> None:
    """Planned and applied rates must be the same numbers: that is the kit's first promise."""
    if (planned := result.planned) is None:
        return
    for run in result.runs:
        applied = run.group_lr.reshape(*planned.shape, -1)  # the updates of each scheduler step
        made = np.isfinite(applied[:, :, -1])
        if not (applied[made] == planned[made][:, None]).all():
            raise RuntimeError(
                f"planned rates {planned} differ from those applied, {run.group_lr}."
            )


class RunLab(TrainingLab[RunRequest]):
    """A lab that trains one schedule beside the constant rate, and shows it as a script.

    Menus and sliders start where they are told; the switches "log" and "code" are among the
    buttons; ``others`` are as for `TrainingLab`.
    """

    _work: RunWork

    def __init__(
        self,
        work: RunWork,
        schedule: Schedule,
        params: Mapping[str, Any],
        *,
        optimizer: str,
        base_lr: float | None,
        epochs: int,
        step_every: str,
        buttons: Sequence[str],
        **others: Any,
    ) -> None:
        self._schedule, self._work = schedule, work
        by_metric, subjects = schedule.metric_driven, work.subjects
        first = next(iter(subjects.values()))
        check_step_every(step_every, wants_metric=by_metric)
        menus = make_pickers(subjects, optimizer)
        # A metric comes once per epoch, a constant never steps.
        units = ["epoch"] if by_metric or schedule.name == "Constant" else STEP_EVERY
        menus["step_every"] = make_menu("step_every", units, step_every)
        values = first_values(first, optimizer, schedule, params, base_lr, epochs)
        start = {key: menu.value for key, menu in menus.items()} | values
        first.plan(self._setting_of(start))  # or it is refused here
        knobs = (BASE_LR, EPOCHS, *schedule.params)
        self._code = widgets.HTML(layout=widgets.Layout(display="none"))
        super().__init__(
            work,
            values=values,
            menus=menus,
            sliders={knob.name: make_slider(knob, values[knob.name]) for knob in knobs},
            buttons=make_buttons(buttons, SAVE_FOLDER),
            below=[self._code],
            **others,
        )
        self._listen(self.controls["log"], self._on_move)
        self._listen(self.controls["code"], self._refresh_code)

    @property
    def histories(self) -> dict[str, list[History]]:
        """Label -> one `History` per seed, of the newest finished run."""
        result = self._work.result
        return {} if result is None else result.histories

    @property
    def code(self) -> str:
        """The present setting as a script in plain PyTorch."""
        setting = self._setting_of(self._values())
        subject = self._work.subjects[setting.model]
        return training_script(
            setting.schedule,
            setting.params,
            base_lr=setting.base_lr,
            epochs=setting.epochs,
            data=subject.data,
            make_model=subject.make_model,
            optimizer=subject.how(setting.optimizer),
            rates=subject.rates(setting.optimizer, setting.base_lr),
            metric=told_if_fits(setting.params, self._work.metric, self._work.better),
            batch_size=subject.batch_size,
            step_every=setting.step_every,
        )

    # ---- callbacks, on whichever thread, one at a time: they only drop a request

    def _setting_of(self, values: Mapping[str, Any]) -> Setting:
        params = {param.name: values[param.name] for param in self._schedule.params}
        names = "model", "optimizer", "step_every", "base_lr", "epochs"
        shared = {name: values[name] for name in names}
        return Setting(**shared, schedule=self._schedule, params=params)

    def _request(self, *, again: bool) -> RunRequest:
        setting = self._setting_of(self._values())
        return RunRequest(setting, log=self.controls["log"].value, again=again)

    def _submit(self, *, again: bool = False) -> None:
        super()._submit(again=again)
        self._refresh_code()

    def _refresh_code(self, _: object = None) -> None:
        shown = self.controls["code"].value
        if shown:
            try:
                code = self.code
            except ValueError as error:  # the words under the picture say so too
                code = f"# {say('refused', error=error)}"
            self._code.value = f"<pre style='line-height:1.35'>{html.escape(code)}</pre>"
        self._code.layout.display = "block" if shown else "none"
