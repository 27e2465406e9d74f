"""The lab that puts phases one after the other and trains what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import ipywidgets as widgets
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from torch import nn

from ..schedules.phases import KINDS, Phase, boundaries, compose, find_jumps
from ..tasks.data import Dataset
from ..tasks.optimizers import Maker
from ..training.loop import scheduler_steps
from ..words import say
from .controls import slider_grid
from .panels import LabPicture
from .runs import Result, RunLab, RunRequest, RunWork
from .subjects import Setting, make_subjects
from .training import EPOCHS
from .verdict import two_digits

MAX_PHASES = 5
WSD = (Phase("warm up", 2), Phase("hold", 10), Phase("PolynomialLR", 8))
SPARE = Phase("restart", 1)  # what a phase not yet added stands at
Leap = tuple[float, float, float]  # epoch, rate before, rate after
_JUMP = "#d55e00"  # vermilion: no other line of this picture has it
_MARGIN = 0.15  # of the axis: so near to its ends, a jump's words stand to one side


class ComposerPicture(LabPicture):
    """Rates with the phases' borders and jumps left, losses right."""

    def _marks(self, ax: Axes) -> list[Artist]:
        border: dict[str, Any] = {"color": "#9a9a9a", "lw": 0.9, "ls": (0, (2, 2))}
        number: dict[str, Any] = {"ha": "center", "va": "top", "fontsize": 9, "color": "#555555"}
        number["transform"] = ax.get_xaxis_transform()
        leap: dict[str, Any] = {"color": _JUMP, "lw": 2.4, "marker": "o", "ms": 4}
        size: dict[str, Any] = {"color": _JUMP, "fontsize": 9, "va": "bottom"}
        size |= {"xytext": (0, 5), "textcoords": "offset points"}
        places = range(MAX_PHASES)
        self._borders = [ax.axvline(0, **border) for _ in places]
        self._numbers = [ax.text(0, 0.985, str(place + 1), **number) for place in places]
        self._leaps = [ax.plot([], [], **leap)[0] for _ in places]
        self._sizes = [ax.annotate("", (0, 0), **size) for _ in places]
        return [*self._borders, *self._numbers, *self._leaps, *self._sizes]

    def mark(self, lengths: Sequence[int], epochs: int, jumps: Sequence[Leap]) -> None:
        """Place the borders of the phases, given their lengths, and the jumps, in epochs."""
        for artist in (*self._borders, *self._numbers, *self._leaps, *self._sizes):
            artist.set_visible(False)
        end = 0
        for border, number, length in zip(self._borders, self._numbers, lengths, strict=False):
            number.set_x(end + length / 2)
            end += length
            border.set_xdata([end, end])
            number.set_visible(True)
            border.set_visible(end < epochs)
        marks = zip(self._leaps, self._sizes, jumps, strict=False)
        for leap, size, (epoch, before, after) in marks:
            leap.set_data([epoch, epoch], [before, after])
            place, change = epoch / epochs, two_digits(abs(after - before))
            size.set_text(say("jump_up" if after > before else "jump_down", size=change))
            size.xy = epoch, max(before, after)
            size.set_horizontalalignment(
                "left" if place < _MARGIN else "right" if place > 1 - _MARGIN else "center"
            )
            leap.set_visible(True)
            size.set_visible(True)


class ComposerWork(RunWork):
    """Trains and draws the phases that are asked for."""

    picture: ComposerPicture

    def _draw(self, request: RunRequest, result: Result, *, crisp: bool = False) -> None:
        setting = result.setting
        lengths = [phase.length for phase in setting.phases]
        self.picture.mark(lengths, setting.epochs, _leaps(result))
        super()._draw(request, result, crisp=crisp)

    def _plan_lines(self, result: Result) -> list[str]:
        phases, epochs, leaps = result.setting.phases, result.setting.epochs, _leaps(result)
        names = [
            say("phase_and_length", kind=say(f"kind_{phase.kind}"), length=phase.length)
            for phase in phases
        ]
        total = sum(phase.length for phase in phases)
        lines = [say("phases_line", phases=", ".join(names), sum=total, epochs=epochs)]
        if total < epochs:
            lines.append(say("goes_on_line", left=epochs - total))
        for epoch, before, after in leaps:
            facts = {"before": two_digits(before), "after": two_digits(after)}
            lines.append(say("jump_line", epoch=f"{epoch:g}", **facts))
        if not leaps:
            lines.append(say("no_jump_line" if len(names) > 1 else "one_phase_line"))
        return [" ".join(lines)]


def _leaps(result: Result) -> list[Leap]:
    """Return where the planned rate jumps."""
    setting, planned = result.setting, cast(np.ndarray, result.planned)
    unit = planned.shape[1] // setting.epochs  # scheduler steps in an epoch
    jumps = find_jumps(planned[0], boundaries(setting.phases, steps_per_epoch=unit))
    return [(jump.step / unit, jump.before, jump.after) for jump in jumps]


class ComposerLab(RunLab):
    """Phases of a run, one after the other: torch's SequentialLR, beside the constant rate.

    Each phase has a menu, what the rate does, and a slider, for how many epochs. Whatever moves,
    the rate is drawn at once, its jumps marked, and trained. Phases that are longer together
    than the run are refused in words, and the picture stays as it was.

    Args:
        phases: 1 to 5 to start with.
        base_lr, epochs: where their sliders start; without ``epochs``, as long as the phases;
            without ``base_lr``, at a rate that suits model and optimizer.
        make_model, data, optimizer, make_optimizer, batch_size, seeds, metric, better: as in
            `ScheduleLab`.
        step_every: "batch" or "epoch", when the scheduler steps.

    Attributes:
        controls: the menus "model", "optimizer" and "step_every", the sliders "base_lr" and
            "epochs", for each phase "phase_1" and "length_1", up to "phase_5" and "length_5"
            (those not yet added are hidden), and the buttons "run", "add", "remove", "reset",
            "log", "code".

    Raises:
        ValueError: naming argument, constraint and value.

    >>> lab = ComposerLab([Phase("warm up", 1), Phase("hold", 2)], seeds=1)
    >>> lab.controls["phase_2"].value = "CosineAnnealingLR"
    >>> lab.wait()
    True
    >>> [(phase.kind, phase.length) for phase in lab.phases]
    [('warm up', 1), ('CosineAnnealingLR', 2)]
    >>> {name: len(runs) for name, runs in lab.histories.items()}
    {'SequentialLR': 1, 'Constant': 1}
    >>> lab.close()
    """

    def __init__(
        self,
        phases: Iterable[Phase] = WSD,
        *,
        base_lr: float | None = None,
        epochs: int | None = None,
        data: Dataset | None = None,
        make_model: Callable[[], nn.Module] | None = None,
        optimizer: str = "momentum",
        make_optimizer: Maker | None = None,
        batch_size: int | None = None,
        step_every: str = "batch",
        seeds: int | None = None,
        metric: str = "loss",
        better: str | None = None,
    ) -> None:
        self._first = tuple(phases)
        schedule = compose(self._first)
        if len(self._first) > MAX_PHASES:
            raise ValueError(f"phases must be {MAX_PHASES} at most, got {len(self._first)}.")
        subjects = make_subjects(make_model, data, batch_size, seeds, make_optimizer)
        self._starts = [*self._first, *[SPARE] * (MAX_PHASES - len(self._first))]
        pairs = [_make_pair(number, phase) for number, phase in enumerate(self._starts, 1)]
        self._kinds, self._lengths = zip(*pairs, strict=True)
        self._columns = [widgets.VBox(pair) for pair in pairs]
        others: dict[str, widgets.Widget] = {}
        for number, (kind, length) in enumerate(pairs, 1):
            others |= {f"phase_{number}": kind, f"length_{number}": length}
        grid = slider_grid(self._columns)
        grid.layout.grid_template_columns = "repeat(auto-fit, minmax(225px, 1fr))"
        grid.layout.grid_gap = "4px 12px"
        self._count = len(self._first)
        total = sum(phase.length for phase in self._first)
        super().__init__(
            ComposerWork(ComposerPicture(say("rate_title"), metric), subjects, metric, better),
            schedule,
            {},
            optimizer=optimizer,
            base_lr=base_lr,
            epochs=total if epochs is None else epochs,
            step_every=step_every,
            buttons=("run", "add", "remove", "reset", "log", "code"),
            others=others,
            other_rows=[grid],
        )
        self.controls["remove"].layout.width = "76px"
        self._show(self._count)
        self._listen(self.controls["add"], self._on_add)
        self._listen(self.controls["remove"], self._on_remove)
        self._submit()

    @property
    def phases(self) -> tuple[Phase, ...]:
        """What menus and sliders say now."""
        controls = zip(self._kinds, self._lengths, self._starts, strict=True)
        phases = [
            Phase(kind.value, length.value, first.params if kind.value == first.kind else {})
            for kind, length, first in controls
        ]
        return tuple(phases[: self._count])

    # ---- callbacks, on whichever thread, one at a time: they only drop a request

    def _setting_of(self, values: Mapping[str, Any]) -> Setting:
        steps = self._work.subjects[values["model"]].steps_per_epoch
        unit = scheduler_steps(1, steps, values["step_every"])
        schedule = compose(self.phases, steps_per_epoch=unit)
        return replace(super()._setting_of(values), schedule=schedule, phases=self.phases)

    def _show(self, count: int) -> None:
        """Show so many phases."""
        self._count = count
        for number, column in enumerate(self._columns, start=1):
            column.layout.display = "flex" if number <= count else "none"
        self.controls["add"].disabled = count == MAX_PHASES
        self.controls["remove"].disabled = count == 1

    def _on_add(self, _: object) -> None:
        if self._count == MAX_PHASES:
            return
        shown = self._lengths[: self._count]
        left = self.controls["epochs"].value - sum(slider.value for slider in shown)
        if left < 1:
            longest = max(shown, key=lambda slider: slider.value)
            left = max(1, longest.value // 2)
            longest.value -= longest.value // 2
        self._lengths[self._count].value = left
        self._show(self._count + 1)
        self._submit()

    def _on_remove(self, _: object) -> None:
        if self._count == 1:
            return
        before, last = self._lengths[self._count - 2 : self._count]
        self._show(self._count - 1)
        before.value += last.value
        self._submit()

    def _on_reset(self, click: object) -> None:
        self._show(len(self._first))
        super()._on_reset(click)


def _make_pair(number: int, phase: Phase) -> list[widgets.Widget]:
    """Make the menu and the slider of one phase."""
    common = {"layout": {"width": "auto", "min_width": "0"}, "style": {"description_width": "58px"}}
    menu = widgets.Dropdown(
        options=[(say(f"kind_{kind}"), kind) for kind in KINDS],
        value=phase.kind,
        description=say("phase", number=number),
        tooltip=say("phase_help"),
        **common,
    )
    slider = widgets.IntSlider(
        value=phase.length,
        min=1,
        max=max(int(EPOCHS.high), phase.length),
        description=say("length"),
        tooltip=say("length_help"),
        **common,
    )
    return [menu, slider]
