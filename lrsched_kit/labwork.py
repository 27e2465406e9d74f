"""What a lab does on its worker's thread: plan, train, draw, and put the outcome into words."""

from __future__ import annotations

import html
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import ipywidgets as widgets
import numpy as np
from torch import nn

from .data import Dataset
from .fleet import Fleet, Run
from .live import WIDTH
from .picture import MAX_CURVES, Curve, LabPicture, Scene
from .plotting import OTHER_STYLES, STYLES
from .schedules import Schedule, trace_lr
from .training import History
from .verdict import loss_lines, rate_line
from .words import WORDS

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


class LabWork:
    """Trains and draws what is asked; one thread at a time.

    Attributes:
        image, text, progress: the widgets that it writes to. It never writes to a slider.
        lines: the text under the picture.
        result: of the newest finished run.
        running: whether training goes on.
        stopped: set by a caller to end the training that is running.
    """

    def __init__(
        self,
        task: Task,
        start: Mapping[str, float],
        on_running: Callable[[bool], None],
    ) -> None:
        self._task = task
        self._fleet = Fleet(task.make_model, task.data, seeds=range(task.seeds))
        self._start = start
        self._on_running = on_running
        by_metric = task.schedule.metric_driven
        self._picture = LabPicture(
            WORDS["rate_title_by_metric" if by_metric else "rate_title"], task.loss_label
        )
        self.image = self._picture.image
        self.text = widgets.HTML(layout=widgets.Layout(min_height="4.5em", max_width=WIDTH))
        self.progress = widgets.FloatProgress(max=1.0, layout=widgets.Layout(width="84px"))
        self.lines: list[str] = []
        self._said: list[str] = []  # the lines without a note
        self.result: LabResult | None = None
        self._shown: LabResult | None = None  # complete or stopped
        self.running = False
        self.stopped = False
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
            self._set_running(False)
            self._draw(request, shown)
        self._say(shown, self._outcome(shown))
        if not stale():
            self._draw(request, shown, crisp=True)

    def show_error(self, error: Exception) -> None:
        """Show in words what went wrong."""
        self._set_running(False)
        line = WORDS["failed"].format(error=f"{type(error).__name__}: {error}")
        self._write([line], color="#b00020")

    def note(self, line: str) -> None:
        """Add a line under the picture."""
        self._write([*self._said, line])

    @property
    def png(self) -> bytes:
        """The newest picture of a run at rest."""
        return self._picture.png

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
        self._set_running(True)
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

    def _set_running(self, running: bool) -> None:
        self.running = running
        if running:
            self.progress.value = 0.0
        elif not self.stopped:
            self.progress.value = 1.0
        self._on_running(running)

    def _say(self, result: LabResult, lines: list[str]) -> None:
        runs = result.histories.get(self._name, [])
        rates = result.planned if result.planned is not None else runs[0].epoch_lr if runs else None
        if rates is not None and np.isfinite(rates).any():
            by_metric = self._task.schedule.metric_driven
            lines = [rate_line(self._name, rates, metric_driven=by_metric), *lines]
        self._said = lines
        self._write(lines)
        self._picture.describe(" ".join(lines))

    def _write(self, lines: list[str], color: str = "inherit") -> None:
        self.lines = lines
        text = "<br>".join(html.escape(line) for line in lines)
        self.text.value = f"<div style='line-height: 1.5; color: {color}'>{text}</div>"

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
        self._picture.show(scene, crisp=crisp)

    def _curve(self, label: str, result: LabResult) -> Curve:
        runs = result.histories.get(label, [])
        return Curve(label, STYLES[label], result.planned, runs, thin=label != self._name)

    def _differences(self, pin: LabResult) -> str:
        values = {"base_lr": pin.setting.base_lr, "epochs": pin.setting.epochs}
        values |= pin.setting.params
        changed = [f"{k} {v:g}" for k, v in values.items() if v != self._start[k]]
        more = "…" if len(changed) > 2 else ""  # the legend has room for two
        return ", ".join(changed[:2]) + more or WORDS["as_started"]
