"""What labs that train have in common: the menus of what is trained, and the training itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeVar

import ipywidgets as widgets
import numpy as np

from ..plotting.curves import Curve
from ..plotting.style import style_of
from ..schedules.params import Param
from ..schedules.spec import Schedule
from ..tasks.data import check_metric, told_if_fits
from ..tasks.optimizers import RULES, get_rule
from ..training.history import History
from ..words import say
from .base import Lab, Work
from .controls import button_row, make_menu, move_to, slider_grid
from .live import Cancel, LiveFigure, Request
from .panels import Scene
from .subjects import Setting, Subject, own_name

Key = TypeVar("Key")

BASE_LR = Param("base_lr", 0.1, 1e-4, 10, log=True, help="base_lr_help")
EPOCHS = Param("epochs", 20, 1, 40, integer=True, help="epochs_help")
FRAME_SECONDS = 0.04  # growing curves need no more than 25 frames a second
HEAD_START = 0.02  # seconds for the new rate curve to leave, before training takes the processor


def make_pickers(subjects: Mapping[str, Subject], optimizer: str) -> dict[str, widgets.Dropdown]:
    """Make the menus "model" and "optimizer"."""
    get_rule(optimizer)
    options = list(RULES)
    if (own := next(iter(subjects.values())).make_optimizer) is not None:
        options = [optimizer] = [own_name(own, "own_optimizer")]
    return {
        "model": make_menu("model", subjects, next(iter(subjects))),
        "optimizer": make_menu("optimizer", options, optimizer),
    }


def first_values(
    subject: Subject,
    optimizer: str,
    schedule: Schedule,
    params: Mapping[str, Any],
    base_lr: float | None,
    epochs: int,
) -> dict[str, Any]:
    """Return where the sliders of a run start; a base_lr that is None suits what is trained."""
    suited = subject.suggestion(optimizer) or 0.1
    rate, epochs = BASE_LR.check(suited if base_lr is None else base_lr), int(EPOCHS.check(epochs))
    return {"base_lr": rate, "epochs": epochs, **schedule.complete(params, horizon=epochs)}


class TrainingWork(Work[Request]):
    """Trains subjects on the thread of a lab, and compares runs by a metric of the first one."""

    def __init__(
        self,
        picture: LiveFigure,
        subjects: Mapping[str, Subject],
        metric: str = "loss",
        better: str | None = None,
    ) -> None:
        super().__init__(picture)
        first = next(iter(subjects.values()))
        self.subjects, self.metric = subjects, metric
        self.better = check_metric(first.data, metric, better)
        _ = first.fleet  # found fit now, where the cell runs

    def _begin(self) -> None:
        time.sleep(HEAD_START)
        self.set_running(True)

    def _train(
        self,
        parts: Mapping[Key, Setting],
        cancel: Cancel,
        show: Callable[[dict[Key, list[History]], str], None] | None = None,
    ) -> dict[Key, list[History]]:
        """Train settings on all seeds together, or where runs train alone, seed by seed.

        They may differ in what moves the rate, and in base_lr. ``show`` is called when it is time
        for a frame: with the histories so far, one per seed, and that in words. If it is given
        up, the histories returned are unfinished, or of fewer seeds.
        """
        found: dict[Key, list[History]] = {key: [] for key in parts}
        if not parts:
            return found
        first = next(iter(parts.values()))
        subject, epochs = self.subjects[first.model], first.epochs
        seeds = range(subject.seeds)
        rounds = [range(s, s + 1) for s in seeds] if subject.alone(first.optimizer) else [seeds]
        number, last_frame = 0, time.monotonic()

        def regroup(histories: Sequence[History]) -> dict[Key, list[History]]:
            n = len(histories) // len(parts)
            return {key: [*histories[i * n :][:n]] for i, key in enumerate(parts)}

        def on_epoch(epoch: int, histories: list[History]) -> None:
            nonlocal last_frame
            if show is None or cancel() or time.monotonic() - last_frame < FRAME_SECONDS:
                return
            last_frame = time.monotonic()
            # Means of runs that have ended would lose their ends with one that has begun.
            facts = {"epoch": epoch + 1, "epochs": epochs, "seed": number + 1, "seeds": len(rounds)}
            line = say("training" if len(rounds) == 1 else "training_seed", **facts)
            show(found if number else regroup(histories), line)
            self.progress.value = (number + (epoch + 1) / epochs) / len(rounds)

        for number, seeds in enumerate(rounds):  # noqa: B007  # on_epoch reads it
            trained = subject.fleet.train(
                [
                    subject.run(part, seed, told_if_fits(part.params, self.metric, self.better))
                    for part in parts.values()
                    for seed in seeds
                ],
                epochs=epochs,
                on_epoch=on_epoch,
                should_stop=cancel,
            )
            found = {key: [*found[key], *runs] for key, runs in regroup(trained).items()}
            if cancel():
                break
        return found

    def _scene(
        self,
        setting: Setting,
        planned: np.ndarray | None,
        runs: Sequence[History],
        constants: Sequence[History],
        *,
        others: Sequence[Curve] = (),
        log: bool = False,
    ) -> Scene:
        """Return the schedule before the constant rate, and before both what else there is."""
        subject, name = self.subjects[setting.model], setting.schedule.name
        curves = [Curve(name, style_of(setting.schedule), planned, runs)]
        if name != "Constant":
            rates = subject.rates(setting.optimizer, setting.base_lr)
            flat = np.repeat(np.array(rates)[:, np.newaxis], setting.epochs, axis=1)
            curves.insert(0, Curve("Constant", style_of("Constant"), flat, constants, thin=True))
        return Scene(
            (*curves, *others),
            setting.epochs,
            setting.base_lr,
            subject.loss_label if self.metric == "loss" else self.metric,
            by_batch=setting.step_every == "batch",
            log=log,
        )


class TrainingLab(Lab[Request]):
    """A lab with the menus of `make_pickers`; a new choice suggests a base_lr for the pair.

    Menus, sliders, other controls and buttons stand above picture and words, ``below`` under
    them; ``values`` is where sliders start, to all their digits.
    """

    _work: TrainingWork[Request]

    def __init__(
        self,
        work: TrainingWork[Request],
        *,
        values: Mapping[str, Any],
        menus: Mapping[str, widgets.Widget],
        sliders: Mapping[str, widgets.Widget],
        buttons: Mapping[str, widgets.Widget],
        others: Mapping[str, widgets.Widget] = MappingProxyType({}),
        other_rows: Sequence[widgets.Widget] = (),
        below: Sequence[widgets.Widget] = (),
    ) -> None:
        super().__init__(
            work=work,
            start={
                **{key: menu.value for key, menu in menus.items()},
                **values,
                **{key: control.value for key, control in others.items()},
            },
            controls={**menus, **sliders, **others, **buttons},
            rows=[
                button_row(list(menus.values())),
                slider_grid(list(sliders.values())),
                *other_rows,
                button_row([*buttons.values(), work.progress]),
                work.picture.image,
                work.text,
                *below,
            ],
        )

    def _on_move(self, change: Any) -> None:
        model, optimizer = (self.controls[name] for name in ("model", "optimizer"))
        slider = self.controls.get("base_lr")
        if change["owner"] in (model, optimizer) and isinstance(slider, widgets.FloatLogSlider):
            rate = self._work.subjects[model.value].suggestion(optimizer.value)
            if rate is not None:
                move_to(slider, rate)
        super()._on_move(change)
