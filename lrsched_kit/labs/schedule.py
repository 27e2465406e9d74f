"""The lab of one schedule: its sliders, its rate, its losses beside the constant rate's."""

from __future__ import annotations

import html
from collections.abc import Callable
from pathlib import Path

import ipywidgets as widgets
from torch import nn

from ..data import Dataset, load_digits
from ..models import MLP
from ..optimizers import get_rule
from ..schedules import Param, check_number, get_schedule
from ..snippet import training_script
from ..training import History
from ..words import WORDS
from .controls import button_row, make_buttons, make_slider, read_slider, slider_grid
from .core import Lab
from .saving import save_run
from .schedule_work import MAX_PINS, LabRequest, LabResult, LabWork, Setting, Task

BASE_LR = Param("base_lr", 0.1, 1e-4, 10, log=True, help=WORDS["base_lr_help"])
EPOCHS = Param("epochs", 20, 1, 40, integer=True, help=WORDS["epochs_help"])
SAVE_FOLDER = "saved"


class ScheduleLab(Lab[LabRequest]):
    """One schedule under sliders, always beside the constant rate.

    Moving a slider redraws the rate at once and trains again: schedule and constant rate from the
    same initial weights and batch orders, over several seeds. Curves are means, bands one
    standard error. Training runs on a thread of the lab's own, so the notebook stays free.

    Args:
        name: a row of `SCHEDULES`.
        base_lr, epochs: where their sliders start.
        data: default `load_digits()`.
        make_model: called for each seed.
        optimizer: "sgd", "momentum", "adam" or "adamw": see `make_optimizer`.
        batch_size: rows per update.
        seeds: how many seeds to average over.
        **params: where the schedule's own sliders start. A value beyond a slider widens it.

    Attributes:
        controls: the sliders by name ("base_lr", "epochs" and each parameter), and the buttons
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
        name: str,
        *,
        base_lr: float = BASE_LR.default,
        epochs: int = int(EPOCHS.default),
        data: Dataset | None = None,
        make_model: Callable[[], nn.Module] = MLP,
        optimizer: str = "momentum",
        batch_size: int = 16,
        seeds: int = 5,
        **params: float,
    ) -> None:
        schedule = get_schedule(name)
        data = load_digits() if data is None else data
        get_rule(optimizer)
        start = {
            "base_lr": BASE_LR.check(base_lr),
            "epochs": EPOCHS.check(epochs),
            **schedule.complete(params),
        }
        self._task = Task(
            schedule=schedule,
            data=data,
            make_model=make_model,
            optimizer=optimizer,
            batch_size=int(check_number("batch_size", batch_size, integer=True)),
            seeds=int(check_number("seeds", seeds, integer=True)),
        )
        self._pins: tuple[LabResult, ...] = ()
        sliders = {
            param.name: make_slider(param, start[param.name])
            for param in (BASE_LR, EPOCHS, *schedule.params)
        }
        buttons = make_buttons(("run", "pin", "reset", "log", "code", "save"), SAVE_FOLDER)
        self._work: LabWork = LabWork(self._task, start)
        self._code = widgets.HTML(layout=widgets.Layout(display="none"))
        super().__init__(
            self._work,
            start,
            {**sliders, **buttons},
            [
                slider_grid(list(sliders.values())),
                button_row([*buttons.values(), self._work.progress]),
                self._work.picture.image,
                self._work.text,
                self._code,
            ],
        )
        self.controls["log"].observe(self._on_move, "value")
        self.controls["code"].observe(self._on_code, "value")
        self.controls["pin"].on_click(self._on_pin)
        self.controls["save"].on_click(self._on_save)
        self._submit()

    # ---- what a caller uses

    @property
    def histories(self) -> dict[str, list[History]]:
        """Label -> one `History` per seed, of the newest finished run."""
        result = self._work.result
        return {} if result is None else result.histories

    @property
    def code(self) -> str:
        """The present setting as a script in plain PyTorch."""
        task, setting = self._task, self._setting()
        return training_script(
            task.schedule,
            setting.params,
            base_lr=setting.base_lr,
            epochs=setting.epochs,
            data=task.data,
            make_model=task.make_model,
            optimizer=task.optimizer,
            batch_size=task.batch_size,
            step_every="epoch",
        )

    def save(self, folder: str | Path = SAVE_FOLDER) -> list[Path]:
        """Write the newest finished run as PNG and CSV under names not yet taken.

        Raises:
            RuntimeError: when no run has finished yet.
        """
        if not (histories := self.histories):
            raise RuntimeError(WORDS["nothing_to_save"])
        name = self._task.schedule.name
        return save_run(histories, Path(folder), name, self._task.loss_label)

    def __repr__(self) -> str:
        return f"ScheduleLab({self._task.schedule.name})"

    # ---- callbacks, on whichever thread: they only drop a request

    def _setting(self) -> Setting:
        values = {name: read_slider(self.controls[name], v) for name, v in self._start.items()}
        return Setting(values.pop("base_lr"), int(values.pop("epochs")), values)

    def _request(self, *, again: bool) -> LabRequest:
        return LabRequest(self._setting(), self._pins, self.controls["log"].value, again)

    def _on_move(self, change: object) -> None:
        super()._on_move(change)
        self._refresh_code()

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
            self._work.note(WORDS["saved"].format(files=" and ".join(map(str, files))))

    def _on_code(self, _: object) -> None:
        self._refresh_code()
        self._code.layout.display = "block" if self.controls["code"].value else "none"

    def _refresh_code(self) -> None:
        if self.controls["code"].value:
            self._code.value = f"<pre style='line-height:1.35'>{html.escape(self.code)}</pre>"
