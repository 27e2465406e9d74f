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
from ..tasks.data import check_metric
from ..tasks.optimizers import RULES, get_rule
from ..training.history import History
from ..words import say
from .base import Lab, Work
from .controls import button_row, make_menu, move_to, read, slider_grid
from .live import Cancel, LiveFigure, Request
from .panels import Scene
from .subjects import Setting, Subject, own_name, suggestion
from .verdict import THE_LOSS, Follow

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


def make_follow(subjects: Mapping[str, Subject], metric: str, better: str | None) -> Follow:
    """Return what runs are compared by, if the data that are trained first report it."""
    data = next(iter(subjects.values())).data
    return Follow(metric, check_metric(data, metric, better))


class TrainingWork(Work[Request]):
    """Trains on the thread of a lab.

    Args:
        picture: what it draws on.
        subjects: what can be trained.
        follow: what runs are compared by.
    """

    def __init__(
        self, picture: LiveFigure, subjects: Mapping[str, Subject], follow: Follow = THE_LOSS
    ) -> None:
        super().__init__(picture)
        self.subjects, self.follow = subjects, follow
        _ = next(iter(subjects.values())).fleet  # found fit now, where the cell runs

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

        Args:
            parts: key -> setting; they differ in what moves the rate, and in base_lr.
            cancel: whether to give up.
            show: called when it is time for a frame: the histories so far, and that in words.

        Returns:
            Key -> a `History` per seed; unfinished, or of fewer seeds, if it was given up.
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
                [run for part in parts.values() for run in subject.runs(part, seeds, self.follow)],
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
            subject.loss_label,
            by_batch=setting.step_every == "batch",
            log=log,
            metric=self.follow.metric,
        )


class TrainingLab(Lab[Request]):
    """A lab with the menus of `make_pickers`; a new choice suggests a base_lr for the pair.

    Menus, sliders, other controls and buttons stand above picture and words, ``below`` under
    them; ``values`` is where all but the menus start, to all their digits.
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
            start={key: menu.value for key, menu in menus.items()} | dict(values),
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

    def _values(self) -> dict[str, Any]:
        """Return what menus, sliders and other controls say now."""
        return {name: read(self.controls[name], start) for name, start in self._start.items()}

    def _on_move(self, change: Any) -> None:
        model, optimizer = (self.controls[name] for name in ("model", "optimizer"))
        slider = self.controls.get("base_lr")
        if change["owner"] in (model, optimizer) and isinstance(slider, widgets.FloatLogSlider):
            rate = suggestion(model.value, self._work.subjects[model.value], optimizer.value)
            if rate is not None:
                move_to(slider, rate)
        super()._on_move(change)
