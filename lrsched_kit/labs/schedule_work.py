"""What a schedule's lab does on its thread: plan, train, draw, and put the outcome into words."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from torch import nn

from ..data import Dataset
from ..fleet import Fleet, Run
from ..schedules import Schedule, trace_lr
from ..style import OTHER_STYLES, STYLES
from ..training import History
from ..words import WORDS
from .core import Work
from .picture import MAX_CURVES, Curve, LabPicture, Scene
from .verdict import loss_lines, rate_line

MAX_PINS = MAX_CURVES - 2  # beside the schedule and the constant rate
FRAME_SECONDS = 0.04  # growing curves need no more than 25 frames a second
HEAD_START = 0.02  # seconds for the new rate curve to leave, before training takes the processor


@dataclass(frozen=True)
class Task:
    """What stays the same while sliders move."""

    schedule: Schedule
    data: Dataset
    make_model: Callable[[], nn.Module]
    optimizer: str
    batch_size: int
    seeds: int

    @property
    def loss_label(self) -> str:
        """What the loss axis is called."""
        return WORDS["cross_entropy" if self.data.is_classification else "squared_error"]


@dataclass(frozen=True)
class Setting:
    """What the sliders say."""

    base_lr: float
    epochs: int
    params: Mapping[str, float]


@dataclass(frozen=True)
class LabResult:
    """A setting, the rates planned for it, and the runs by label (possibly unfinished)."""

    setting: Setting
    planned: np.ndarray | None
    histories: dict[str, list[History]]


@dataclass(frozen=True)
class LabRequest:
    """What a callback asks for; ``again`` trains even if nothing has changed."""

    setting: Setting
    pins: tuple[LabResult, ...] = ()
    log: bool = False
    again: bool = False


class LabWork(Work[LabRequest]):
    """Trains and draws what is asked; one thread at a time.

    Attributes:
        result: of the newest finished run.
    """

    picture: LabPicture

    def __init__(self, task: Task, start: Mapping[str, float]) -> None:
        by_metric = task.schedule.metric_driven
        title = WORDS["rate_title_by_metric" if by_metric else "rate_title"]
        super().__init__(LabPicture(title, task.loss_label))
        self._task = task
        self._fleet = Fleet(task.make_model, task.data, seeds=range(task.seeds))
        self._start = start
        self.result: LabResult | None = None
        self._shown: LabResult | None = None  # complete or stopped
        self._constants: dict[tuple[float, int], list[History]] = {}

    def __call__(self, request: LabRequest, stale: Callable[[], bool]) -> None:
        """Train if the setting is new, and draw; give up as soon as ``stale()``."""
        shown = self._shown
        if shown is None or shown.setting != request.setting or request.again:
            self._shown = None
            shown = self._train(request, stale)
            if stale():
                return
            self._shown = shown
            if not self.stopped:
                self._check_applied(shown)
                self.result = shown
            self.set_running(False)
            self._draw(request, shown)
        self._say(shown, self._outcome(shown))
        if not stale():
            self._draw(request, shown, crisp=True)

    @property
    def _name(self) -> str:
        return self._task.schedule.name

    def _train(self, request: LabRequest, stale: Callable[[], bool]) -> LabResult:
        task, setting = self._task, request.setting
        planned = None
        if not task.schedule.metric_driven:
            planned = trace_lr(
                self._name, base_lr=setting.base_lr, steps=setting.epochs, **setting.params
            )
        key = (setting.base_lr, setting.epochs)
        use_known = key in self._constants and not request.again
        known = {"Constant": self._constants[key]} if use_known else {}
        settings = {self._name: setting.params, "Constant": {}}
        labels = [label for label in settings if label not in known]
        result = LabResult(setting, planned, known)
        self._draw(request, result)
        time.sleep(HEAD_START)
        self.set_running(True)
        self._say(result, [WORDS["training"].format(epoch=0, epochs=setting.epochs)])
        last_frame = time.monotonic()

        def gather(runs: list[History]) -> LabResult:
            parts = {
                label: runs[i * task.seeds : (i + 1) * task.seeds] for i, label in enumerate(labels)
            }
            return LabResult(setting, planned, {**parts, **known})

        def on_epoch(epoch: int, runs: list[History]) -> None:
            nonlocal last_frame
            if stale() or time.monotonic() - last_frame < FRAME_SECONDS:
                return
            last_frame = time.monotonic()
            now = gather(runs)
            self._draw(request, now)
            self._say(now, [WORDS["training"].format(epoch=epoch + 1, epochs=setting.epochs)])
            self.progress.value = (epoch + 1) / setting.epochs

        runs = [
            Run(label, settings[label], setting.base_lr, task.optimizer, seed)
            for label in labels
            for seed in range(task.seeds)
        ]
        runs = runs and self._fleet.train(
            runs,
            epochs=setting.epochs,
            batch_size=task.batch_size,
            on_epoch=on_epoch,
            should_stop=lambda: self.stopped or stale(),
        )
        result = gather(runs)
        if not (self.stopped or stale()):
            self._constants = {key: result.histories["Constant"]}
        return result

    def _outcome(self, shown: LabResult) -> list[str]:
        if shown is self.result:
            return loss_lines(shown.histories)
        epoch = max(run.finished for run in shown.histories[self._name])
        return [WORDS["stopped"].format(epoch=epoch, epochs=shown.setting.epochs)]

    def _check_applied(self, result: LabResult) -> None:
        """Planned and applied rates must be the same numbers: that is the kit's first promise."""
        if result.planned is None:
            return
        for run in result.histories[self._name]:
            applied = run.epoch_lr[: run.finished]
            if not np.array_equal(applied, result.planned[: run.finished]):
                raise RuntimeError(
                    f"planned rates {result.planned} differ from those applied, {applied}."
                )

    def _say(self, result: LabResult, lines: list[str]) -> None:
        runs = result.histories.get(self._name, [])
        rates = result.planned if result.planned is not None else runs[0].epoch_lr if runs else None
        if rates is not None and np.isfinite(rates).any():
            by_metric = self._task.schedule.metric_driven
            lines = [rate_line(self._name, rates, metric_driven=by_metric), *lines]
        self.say(lines)

    def _draw(self, request: LabRequest, result: LabResult, *, crisp: bool = False) -> None:
        curves = [self._curve(self._name, result)]
        if self._name != "Constant":
            base_lr, epochs = result.setting.base_lr, result.setting.epochs
            flat = LabResult(result.setting, np.full(epochs, base_lr), result.histories)
            curves.insert(0, self._curve("Constant", flat))
        for number, pin in enumerate(request.pins):
            label = WORDS["pin_label"].format(number=number + 1, settings=self._differences(pin))
            curves.append(
                Curve(label, OTHER_STYLES[number], None, pin.histories[self._name], thin=True)
            )
        scene = Scene(tuple(curves), result.setting.epochs, result.setting.base_lr, log=request.log)
        self.picture.show(scene, crisp=crisp)

    def _curve(self, label: str, result: LabResult) -> Curve:
        runs = result.histories.get(label, [])
        return Curve(label, STYLES[label], result.planned, runs, thin=label != self._name)

    def _differences(self, pin: LabResult) -> str:
        values = {"base_lr": pin.setting.base_lr, "epochs": pin.setting.epochs}
        values |= pin.setting.params
        changed = [f"{k} {v:g}" for k, v in values.items() if v != self._start[k]]
        more = "…" if len(changed) > 2 else ""  # the legend has room for two
        return ", ".join(changed[:2]) + more or WORDS["as_started"]
