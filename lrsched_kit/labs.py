"""Labs: sliders that re-run real training and redraw its rates and losses, live."""

from __future__ import annotations

import base64
import html
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ipywidgets as widgets
from torch import nn

from .cells import close_earlier_labs
from .controls import button_row, make_buttons, make_slider, read_slider, slider_grid
from .data import Dataset, load_digits
from .labwork import MAX_PINS, LabRequest, LabResult, LabWork, Setting, Task
from .live import LatestWorker
from .models import MLP
from .optimizers import get_rule
from .saving import save_run
from .schedules import Param, check_number, get_schedule
from .snippet import training_script
from .training import History
from .words import WORDS

BASE_LR = Param("base_lr", 0.1, 1e-4, 10, log=True, help=WORDS["base_lr_help"])
EPOCHS = Param("epochs", 20, 1, 40, integer=True, help=WORDS["epochs_help"])
SAVE_FOLDER = "saved"


class ScheduleLab(widgets.VBox):
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
        self._start = {
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
            param.name: make_slider(param, self._start[param.name])
            for param in (BASE_LR, EPOCHS, *schedule.params)
        }
        buttons = make_buttons(SAVE_FOLDER)
        self.controls: dict[str, widgets.Widget] = {**sliders, **buttons}
        self._work = LabWork(self._task, self._start, on_running=self._set_running)
        self._code = widgets.HTML(layout=widgets.Layout(display="none"))
        self._worker = LatestWorker(self._work, self._work.show_error)
        super().__init__(
            [
                slider_grid(list(sliders.values())),
                button_row([*buttons.values(), self._work.progress]),
                self._work.image,
                self._work.text,
                self._code,
            ]
        )
        self._connect(list(sliders))
        close_earlier_labs(self)
        self._submit()

    # ---- what a caller uses

    @property
    def histories(self) -> dict[str, list[History]]:
        """Label -> one `History` per seed, of the newest finished run."""
        result = self._work.result
        return {} if result is None else result.histories

    @property
    def summary(self) -> str:
        """The lines under the picture."""
        return "\n".join(self._work.lines)

    @property
    def code(self) -> str:
        """The present setting as a script in plain PyTorch."""
        return training_script(self._task, self._setting())

    def wait(self, timeout: float | None = None) -> bool:
        """Block until the newest request is drawn; False if ``timeout`` seconds were too few.

        Raises:
            Exception: whatever the newest request's training raised.
        """
        return self._worker.wait(timeout)

    def save(self, folder: str | Path = SAVE_FOLDER) -> list[Path]:
        """Write the newest finished run as PNG and CSV under names not yet taken.

        Raises:
            RuntimeError: when no run has finished yet.
        """
        if not (histories := self.histories):
            raise RuntimeError(WORDS["nothing_to_save"])
        name = self._task.schedule.name
        return save_run(histories, Path(folder), name, self._task.loss_label)

    def close(self) -> None:
        """Stop training, end the thread and take the widgets off the page."""
        if self.comm is not None:  # Widget.close() comes here a second time
            self._worker.close()
            for widget in [*_descendants(self), self]:
                for part in (getattr(widget, "style", None), widget.layout):
                    if isinstance(part, widgets.Widget):
                        part.close()
                if widget is not self:
                    widget.close()
        super().close()

    def __repr__(self) -> str:
        return f"ScheduleLab({self._task.schedule.name})"

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any] | None:
        """Add the first finished picture, for those who read the notebook without running it."""
        bundle = super()._repr_mimebundle_(**kwargs)
        try:
            self.wait(timeout=60)
        except Exception:  # the lab itself shows it, and so does the next wait()
            return bundle
        if bundle is not None and self._work.png:
            bundle["image/png"] = base64.b64encode(self._work.png).decode()
        return bundle

    # ---- callbacks, on whichever thread: they only drop a request

    def _connect(self, sliders: list[str]) -> None:
        for name in (*sliders, "log"):
            self.controls[name].observe(self._on_move, "value")
        self.controls["code"].observe(self._on_code, "value")
        for name in ("run", "pin", "reset", "save"):
            self.controls[name].on_click(getattr(self, f"_on_{name}"))

    def _setting(self) -> Setting:
        values = {name: read_slider(self.controls[name], v) for name, v in self._start.items()}
        return Setting(values.pop("base_lr"), int(values.pop("epochs")), values)

    def _submit(self, *, again: bool = False) -> None:
        request = LabRequest(self._setting(), self._pins, self.controls["log"].value, again)
        self._work.stopped = False
        self._worker.submit(request)

    def _on_move(self, _: object) -> None:
        self._submit()
        self._refresh_code()

    def _on_run(self, _: object) -> None:
        if self._work.running:
            self._work.stopped = True
        else:
            self._submit(again=True)

    def _on_pin(self, _: object) -> None:
        if (result := self._work.result) is not None:
            self._pins = (*self._pins, result)[-MAX_PINS:]
            self._submit()

    def _on_reset(self, _: object) -> None:
        self._pins = ()
        for name, value in self._start.items():
            self.controls[name].value = value
        self._submit()

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

    def _set_running(self, running: bool) -> None:
        name = "stop" if running else "run"
        self.controls["run"].description = WORDS[name]
        self.controls["run"].tooltip = WORDS[f"{name}_help"]


def _descendants(widget: widgets.Widget) -> list[widgets.Widget]:
    found = []
    for child in getattr(widget, "children", ()):
        found += [child, *_descendants(child)]
    return found
