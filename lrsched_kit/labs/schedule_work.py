"""What a schedule's lab does on its thread: plan, train, draw, and put the outcome into words."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..plotting.curves import Curve
from ..plotting.style import OTHER_STYLES, style_of
from ..schedules.spec import Schedule
from ..schedules.trace import trace_groups, trace_momentum
from ..training.history import History
from ..words import say
from .base import Work
from .live import Cancel
from .panels import MAX_CURVES, LabPicture, Scene
from .subjects import Subject
from .verdict import Follow, group_lines, loss_lines, momentum_line, rate_line

MAX_PINS = MAX_CURVES - 2  # beside the schedule and the constant rate
FRAME_SECONDS = 0.04  # growing curves need no more than 25 frames a second
HEAD_START = 0.02  # seconds for the new rate curve to leave, before training takes the processor


@dataclass(frozen=True)
class Setting:
    """What menus and sliders say."""

    model: str
    optimizer: str
    step_every: str
    base_lr: float
    epochs: int
    params: Mapping[str, float]


@dataclass(frozen=True)
class LabResult:
    """A setting, the rates planned for it, and the runs by label (possibly unfinished).

    Planned rates have the shape ``(groups, steps)``.
    """

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
    make_picture: type[LabPicture] = LabPicture

    def __init__(
        self,
        schedule: Schedule,
        subjects: Mapping[str, Subject],
        start: Mapping[str, Any],
        follow: Follow = Follow(),  # noqa: B008  # it never changes
    ) -> None:
        by_metric = schedule.metric_driven
        title = say("rate_title_by_metric" if by_metric else "rate_title")
        super().__init__(self.make_picture(title))
        self._schedule, self._subjects, self._start = schedule, subjects, start
        self.follow = follow
        _ = subjects[start["model"]].fleet  # found fit now, where the cell runs
        self.result: LabResult | None = None
        self._shown: LabResult | None = None  # complete or stopped
        self._constants: tuple[Any, list[History]] = None, []  # what they depend on, and they
        self._momentum: list[str] = []  # a line on what was planned last, if that moves momentum

    def __call__(self, request: LabRequest, cancel: Cancel) -> None:
        """Train if the setting is new, and draw; give up as soon as ``cancel()``."""
        shown = self._shown
        if shown is None or shown.setting != request.setting or request.again:
            try:
                planned = self.plan(request.setting)
            except ValueError as error:  # values that do not go together: no error of the lab's
                self.set_running(False)  # what was running has been given up
                self.say([say("refused", error=error)])
                return
            self._shown = None
            shown = self._train(request, planned, cancel)
            stopped = cancel.stopped
            if cancel.stale:
                return
            self._shown = shown
            if not stopped:
                self._check_applied(shown)
                self.result = shown
            self.set_running(False, stopped=stopped)
            self._draw(request, shown)
        self._say(shown, self._outcome(shown))
        if not cancel.stale:
            self._draw(request, shown, crisp=True)

    @property
    def _name(self) -> str:
        return self._schedule.name

    def steps(self, setting: Setting) -> int:
        """Return how often the scheduler steps in a run."""
        per_batch = setting.step_every == "batch"
        return setting.epochs * (self._subjects[setting.model].steps_per_epoch if per_batch else 1)

    def plan(self, setting: Setting) -> np.ndarray | None:
        """Return the rates to be, ``(groups, scheduler steps)``; None where a metric decides.

        Raises:
            ValueError: if values do not go together.
        """
        steps = self.steps(setting)
        rates = self._subjects[setting.model].rates(setting.optimizer, setting.base_lr)
        if self._schedule.metric_driven:
            self._schedule.check(setting.params, base_lr=rates[0], total_steps=steps)
            return None
        return trace_groups(self._schedule, rates=rates, steps=steps, **setting.params)

    def _momentum_lines(self, setting: Setting) -> list[str]:
        subject = self._subjects[setting.model]
        # Plain SGD has no momentum to move.
        if not (self._schedule.moves_momentum and subject.has_momentum(setting.optimizer)):
            return []
        options = {"base_lr": setting.base_lr, "steps": self.steps(setting), **setting.params}
        return [momentum_line(trace_momentum(self._schedule, **options))]

    def _train(self, request: LabRequest, planned: np.ndarray | None, cancel: Cancel) -> LabResult:
        setting = request.setting
        subject = self._subjects[setting.model]
        key = setting.model, setting.optimizer, setting.base_lr, setting.epochs
        use_known = self._constants[0] == key and not request.again
        known = {"Constant": self._constants[1]} if use_known else {}
        schedules = {self._name: (self._schedule, setting.params), "Constant": ("Constant", {})}
        labels = [label for label in schedules if label not in known]
        result = LabResult(setting, planned, known)
        self._draw(request, result)
        self._momentum = self._momentum_lines(setting)
        time.sleep(HEAD_START)
        self.set_running(True)
        self._say(result, [say("training", epoch=0, epochs=setting.epochs)])
        last_frame = time.monotonic()

        rounds = subject.rounds(setting.optimizer) if labels else []
        found: dict[str, list[History]] = {label: [] for label in labels}  # of finished rounds

        def gather(runs: list[History], count: int) -> LabResult:
            new = {label: runs[i * count : (i + 1) * count] for i, label in enumerate(labels)}
            parts = {label: [*found[label], *new[label]] for label in labels}
            return LabResult(setting, planned, {**parts, **known})

        for number, seeds in enumerate(rounds):

            def on_epoch(
                epoch: int, runs: list[History], number: int = number, count: int = len(seeds)
            ) -> None:
                nonlocal last_frame
                if cancel() or time.monotonic() - last_frame < FRAME_SECONDS:
                    return
                last_frame = time.monotonic()
                # Means of runs that have ended would lose their ends with one that has begun.
                now = gather(runs, count) if number == 0 else gather([], 0)
                self._draw(request, now)
                key = "training" if len(rounds) == 1 else "training_seed"
                facts = {"seed": number + 1, "seeds": len(rounds), "epochs": setting.epochs}
                self._say(now, [say(key, epoch=epoch + 1, **facts)])
                self.progress.value = (number + (epoch + 1) / setting.epochs) / len(rounds)

            options = subject.run(setting.optimizer, setting.base_lr)
            runs = [
                replace(
                    options,
                    schedule=schedules[label][0],
                    params=schedules[label][1],
                    seed=seed,
                    metric=self.follow.told(schedules[label][1]),
                )
                for label in labels
                for seed in seeds
            ]
            trained = subject.fleet.train(
                runs,
                epochs=setting.epochs,
                step_every=setting.step_every,
                on_epoch=on_epoch,
                should_stop=cancel,
            )
            found = dict(gather(trained, len(seeds)).histories)
            if cancel():
                break
        result = gather([], 0)
        if not cancel():
            self._constants = key, result.histories["Constant"]
        return result

    def _outcome(self, shown: LabResult) -> list[str]:
        if shown is self.result:
            return loss_lines(shown.histories, self.follow)
        epoch = max(run.finished for run in shown.histories[self._name])
        return [say("stopped", epoch=epoch, epochs=shown.setting.epochs)]

    def _check_applied(self, result: LabResult) -> None:
        """Planned and applied rates must be the same numbers: that is the kit's first promise."""
        planned = result.planned
        if planned is None:
            return
        for run in result.histories[self._name]:
            # the updates of each scheduler step
            applied = run.group_lr.reshape(*planned.shape, -1)
            made = np.isfinite(applied[:, :, -1])
            if not (applied[made] == planned[made][:, None]).all():
                raise RuntimeError(
                    f"planned rates {planned} differ from those applied, {run.group_lr}."
                )

    def _say(self, result: LabResult, lines: list[str]) -> None:
        runs = result.histories.get(self._name, [])
        rates = result.planned
        if rates is None and runs:
            rates = runs[0].group_lr
        if rates is not None and np.isfinite(rates).any():
            by_metric = self._schedule.metric_driven
            epochs = result.setting.epochs
            rate = rate_line(self._name, rates[0], epochs, metric_driven=by_metric)
            lines = [rate, *group_lines(rates), *self._momentum, *lines]
        subject = self._subjects[result.setting.model]
        self.say([*lines, *subject.alone_lines(result.setting.optimizer)])

    def _draw(self, request: LabRequest, result: LabResult, *, crisp: bool = False) -> None:
        curves = [self._curve(self._name, result)]
        if self._name != "Constant":
            setting = result.setting
            rates = self._subjects[setting.model].rates(setting.optimizer, setting.base_lr)
            planned = np.repeat(np.array(rates)[:, np.newaxis], setting.epochs, axis=1)
            flat = LabResult(setting, planned, result.histories)
            curves.insert(0, self._curve("Constant", flat))
        setting = result.setting
        loss_label = self._subjects[setting.model].loss_label
        for number, pin in enumerate(request.pins):
            if self._subjects[pin.setting.model].loss_label != loss_label:
                continue  # another kind of loss has no place on this axis
            label = say("pin_label", number=number + 1, settings=self._differences(pin))
            curves.append(
                Curve(label, OTHER_STYLES[number], None, pin.histories[self._name], thin=True)
            )
        scene = Scene(
            tuple(curves),
            setting.epochs,
            setting.base_lr,
            loss_label=loss_label,
            by_batch=setting.step_every == "batch",
            log=request.log,
            metric=self.follow.metric,
        )
        self.picture.show(scene, crisp=crisp)

    def _curve(self, label: str, result: LabResult) -> Curve:
        runs = result.histories.get(label, [])
        style = style_of(self._schedule if label == self._name else label)
        return Curve(label, style, result.planned, runs, thin=label != self._name)

    def _differences(self, pin: LabResult) -> str:
        values = {**vars(pin.setting), **pin.setting.params}
        del values["params"]
        changed = [
            _in_words(key, value) for key, value in values.items() if value != self._start[key]
        ]
        more = "…" if len(changed) > 2 else ""  # the legend has room for two
        return ", ".join(changed[:2]) + more or say("as_started")


def _in_words(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value  # of a menu, which says what it is
    if isinstance(value, tuple):
        value = ", ".join(map(str, value)) or say("no_pick")
    return f"{name} {value if isinstance(value, str) else format(value, 'g')}"
