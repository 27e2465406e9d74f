"""What the composer does on its thread: compose, then train and draw as any schedule's lab."""

from __future__ import annotations

from dataclasses import dataclass

from ..plotting.ticks import short_number
from ..schedules.phases import Jump, Phase, boundaries, compose, find_jumps
from ..schedules.spec import Schedule
from ..words import say
from .composer_picture import ComposerPicture
from .live import Cancel
from .schedule_work import LabRequest, LabResult, LabWork, Setting


@dataclass(frozen=True)
class PhasesSetting(Setting):
    """What menus and sliders say, phases included."""

    phases: tuple[Phase, ...] = ()

    def row(self, steps_per_epoch: int) -> Schedule:
        """Return the phases as a schedule."""
        return compose(self.phases, steps_per_epoch=self._unit(steps_per_epoch))

    def ends(self, steps_per_epoch: int) -> list[int]:
        """Return the scheduler step at which each phase ends."""
        return boundaries(self.phases, steps_per_epoch=self._unit(steps_per_epoch))

    def _unit(self, steps_per_epoch: int) -> int:
        return steps_per_epoch if self.step_every == "batch" else 1


class ComposerWork(LabWork):
    """Trains and draws the phases that are asked for."""

    picture: ComposerPicture
    make_picture = ComposerPicture

    def __call__(self, request: LabRequest, cancel: Cancel) -> None:
        """Train if the setting is new, and draw; give up as soon as ``cancel()``."""
        setting = request.setting
        self._schedule = setting.row(self._subjects[setting.model].steps_per_epoch)
        super().__call__(request, cancel)

    def _jumps(self, result: LabResult) -> list[Jump]:
        setting = result.setting
        ends = setting.ends(self._subjects[setting.model].steps_per_epoch)
        return find_jumps(result.planned[0], ends)

    def _draw(self, request: LabRequest, result: LabResult, *, crisp: bool = False) -> None:
        epochs = result.setting.epochs
        per_epoch = result.planned.shape[1] / epochs
        jumps = [(jump.step / per_epoch, jump.before, jump.after) for jump in self._jumps(result)]
        lengths = [phase.length for phase in result.setting.phases]
        self.picture.mark(lengths, epochs, jumps)
        super()._draw(request, result, crisp=crisp)

    def _say(self, result: LabResult, lines: list[str]) -> None:
        self.say([" ".join(self._phase_lines(result)), *lines])

    def _phase_lines(self, result: LabResult) -> list[str]:
        phases, epochs = result.setting.phases, result.setting.epochs
        names = [f"{say(f'kind_{phase.kind}')} {phase.length}" for phase in phases]
        total = sum(phase.length for phase in phases)
        facts = {"phases": ", ".join(names), "sum": total, "epochs": epochs}
        lines = [say("phases_line", **facts)]
        if total < epochs:
            lines.append(say("goes_on_line", left=epochs - total))
        jumps = [
            say(
                "jump_line",
                epoch=f"{jump.step * epochs / result.planned.shape[1]:g}",
                before=_rate(jump.before),
                after=_rate(jump.after),
            )
            for jump in self._jumps(result)
        ]
        none = "no_jump_line" if len(phases) > 1 else "one_phase_line"
        return [*lines, *(jumps or [say(none)])]


def _rate(rate: float) -> str:
    return short_number(float(f"{rate:.2g}"))
