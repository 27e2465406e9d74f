"""The lab of one schedule: its sliders, its rate, its losses beside the constant rate's."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from itertools import chain, count
from pathlib import Path
from typing import Any, cast

from matplotlib.figure import Figure
from torch import nn

from ..plotting.histories import plot_histories
from ..schedules.catalogue import get_schedule
from ..schedules.spec import Schedule
from ..tasks.data import Dataset
from ..tasks.optimizers import Maker
from ..training.history import History
from ..words import say
from .panels import LabPicture
from .runs import MAX_PINS, SAVE_FOLDER, Result, RunLab, RunRequest, RunWork
from .subjects import make_subjects
from .training import EPOCHS
from .verdict import Histories

COLUMNS = ("curve", "seed", "epoch", "lr", "train_loss", "val_loss", "val_accuracy")


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
        schedule = get_schedule(name)
        subjects = make_subjects(make_model, data, batch_size, seeds, make_optimizer)
        title = "rate_title_by_metric" if schedule.metric_driven else "rate_title"
        self._pins: tuple[Result, ...] = ()
        super().__init__(
            RunWork(LabPicture(say(title), metric), subjects, metric, better),
            schedule,
            params,
            optimizer=optimizer,
            base_lr=base_lr,
            epochs=epochs,
            step_every=schedule.step_every if step_every is None else step_every,
            buttons=("run", "pin", "reset", "log", "code", "save"),
        )
        self._listen(self.controls["pin"], self._on_pin)
        self._listen(self.controls["save"], self._on_save)
        self._called = schedule.name
        self._submit()

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
        label = self._work.subjects[result.setting.model].loss_label
        return save_run(result.histories, Path(folder), self._schedule.name, label)

    # ---- callbacks, on whichever thread, one at a time: they only drop a request

    def _request(self, *, again: bool) -> RunRequest:
        pins = {self._pin_label(*numbered): numbered[1] for numbered in enumerate(self._pins, 1)}
        return replace(super()._request(again=again), pins=pins)

    def _pin_label(self, number: int, pin: Result) -> str:
        """Say which pin it is, and what differs from where the sliders start."""
        values = {**vars(pin.setting), **pin.setting.params}
        changed = {key: values[key] for key, start in self._start.items() if values[key] != start}
        if not changed:
            return say("pin_as_started", number=number)
        settings = ", ".join(_in_words(*item) for item in list(changed.items())[:2])
        key = "pin_of_more" if len(changed) > 2 else "pin"  # the legend has room for two
        return say(f"{key}_label", number=number, settings=settings)

    def _on_pin(self, _: object) -> None:
        if (result := self._work.result) is not None:
            self._pins = (*self._pins, result)[-MAX_PINS:]
            self._submit()

    def _on_reset(self, click: object) -> None:
        self._pins = ()
        super()._on_reset(click)

    def _on_save(self, _: object) -> None:
        try:
            picture, table = self.save()
        except Exception as error:  # a button has no other way to say what went wrong
            self._work.note(str(error))
        else:
            self._work.note(say("saved", picture=picture, table=table))


def _in_words(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value  # of a menu, which says what it is
    if isinstance(value, tuple):
        return say("steps_setting", name=name, steps=", ".join(map(str, value)) or say("no_pick"))
    return say("number_setting", name=name, value=f"{value:g}")


def save_run(histories: Histories, folder: Path, name: str, loss_label: str) -> list[Path]:
    """Write ``name-N.png`` and ``name-N.csv`` with the first N not yet taken; return both paths.

    The table has one row per curve, seed and epoch (counted from 1); ``lr`` is the rate applied
    at the epoch's first update. Further parameter groups have columns ``lr_group_2`` and so on,
    further metrics columns ``val_`` and their name; what a run has not is left empty.
    """
    folder.mkdir(parents=True, exist_ok=True)
    number = next(n for n in count(1) if not any(folder.glob(f"{name}-{n}.*")))
    table, picture = (folder / f"{name}-{number}.{ending}" for ending in ("csv", "png"))
    rows = [
        {"curve": label, "seed": seed, "epoch": epoch + 1, **_numbers(run, epoch)}
        for label, runs in histories.items()
        for seed, run in enumerate(runs)
        for epoch in range(run.epochs)
    ]
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys([*COLUMNS, *chain(*rows)])))
        writer.writeheader()
        writer.writerows(rows)
    axes = plot_histories(histories, loss_label=loss_label)
    cast(Figure, axes[0].figure).savefig(picture)
    return [picture, table]


def _numbers(run: History, epoch: int) -> dict[str, float]:
    """Return what a run has to say of an epoch, by column."""
    rates = run.group_lr.reshape(len(run.group_lr), run.epochs, -1)[:, epoch, 0]
    names = ["lr", *(f"lr_group_{group}" for group in range(2, len(rates) + 1))]
    return {
        **dict(zip(names, rates, strict=True)),
        "train_loss": run.train_loss[epoch],
        "val_loss": run.val_loss[epoch],
        "val_accuracy": run.val_accuracy[epoch],
        **{f"val_{name}": values[epoch] for name, values in run.metrics.items()},
    }
