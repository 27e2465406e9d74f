"""What the labs of a single schedule share: the run they finished, and "Show code"."""

from __future__ import annotations

import html
from abc import abstractmethod
from typing import Any

import ipywidgets as widgets

from ..schedules.spec import Schedule
from ..training.history import History
from ..training.script import training_script
from ..words import say
from .schedule_work import LabRequest, LabWork, Setting
from .subjects import TrainingLab


class RunLab(TrainingLab[LabRequest]):
    """A lab that trains one schedule beside the constant rate, and shows it as a script.

    Args, Attributes: as for `TrainingLab`; the buttons hold the switches "log" and "code".
    """

    _work: LabWork

    def __init__(self, *arguments: Any, **parts: Any) -> None:
        self._code = widgets.HTML(layout=widgets.Layout(display="none"))
        super().__init__(*arguments, **parts, below=[self._code])
        self._listen(self.controls["log"], self._on_move)
        self._listen(self.controls["code"], self._on_code)

    @property
    def histories(self) -> dict[str, list[History]]:
        """Label -> one `History` per seed, of the newest finished run."""
        result = self._work.result
        return {} if result is None else result.histories

    @property
    def code(self) -> str:
        """The present setting as a script in plain PyTorch."""
        setting = self._setting()
        subject = self._subjects[setting.model]
        return training_script(
            self._row(setting),
            setting.params,
            base_lr=setting.base_lr,
            epochs=setting.epochs,
            data=subject.data,
            make_model=subject.make_model,
            optimizer=subject.make_optimizer or setting.optimizer,
            rates=subject.rates(setting.optimizer, setting.base_lr),
            metric=self._work.follow.told(setting.params),
            batch_size=subject.batch_size,
            step_every=setting.step_every,
        )

    @abstractmethod
    def _setting(self) -> Setting:
        """Return what menus and sliders say now."""

    @abstractmethod
    def _row(self, setting: Setting) -> Schedule:
        """Return the schedule that a setting trains."""

    def _on_move(self, change: dict[str, Any]) -> None:
        super()._on_move(change)
        self._refresh_code()

    def _on_code(self, _: object) -> None:
        self._refresh_code()
        self._code.layout.display = "block" if self.controls["code"].value else "none"

    def _refresh_code(self) -> None:
        if self.controls["code"].value:
            try:
                code = self.code
            except ValueError as error:  # the words under the picture say so too
                code = f"# {say('refused', error=error)}"
            self._code.value = f"<pre style='line-height:1.35'>{html.escape(code)}</pre>"
