"""The lab that puts phases one after the other and trains what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import ipywidgets as widgets
from torch import nn

from ..schedules.phases import KINDS, Phase, compose
from ..schedules.spec import Schedule
from ..tasks.data import Dataset, check_metric
from ..tasks.optimizers import Maker
from ..training.loop import STEP_EVERY, check_step_every
from ..words import say
from .composer_picture import MAX_PHASES
from .composer_work import ComposerWork, PhasesSetting
from .controls import make_buttons, make_menu, make_slider, read
from .live import WIDTH
from .runs import RunLab
from .schedule_lab import BASE_LR, EPOCHS
from .schedule_work import LabRequest
from .subjects import first_base_lr, make_pickers, make_subjects
from .verdict import Follow

WSD = (Phase("warm up", 2), Phase("hold", 10), Phase("PolynomialLR", 8))
SPARE = Phase("restart", 1)  # what a phase not yet added stands at


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
        self._first = _checked(phases)
        check_step_every(step_every, wants_metric=False)
        subjects = make_subjects(make_model, data, batch_size, seeds, make_optimizer)
        first = next(iter(subjects.values()))
        follow = Follow(metric, check_metric(first.data, metric, better))
        menus = make_pickers(subjects, optimizer)
        menus["step_every"] = make_menu("step_every", STEP_EVERY, step_every)
        total = sum(phase.length for phase in self._first)
        start = {
            **{key: menu.value for key, menu in menus.items()},
            "base_lr": first_base_lr(base_lr, subjects, optimizer),
            "epochs": EPOCHS.check(total if epochs is None else epochs),
        }
        whole = compose(self._first)
        whole.check({}, base_lr=start["base_lr"], total_steps=start["epochs"])
        sliders = {param.name: make_slider(param, start[param.name]) for param in (BASE_LR, EPOCHS)}
        spare = [SPARE] * (MAX_PHASES - len(self._first))
        pairs: dict[str, widgets.Widget] = {}
        for number, phase in enumerate([*self._first, *spare], start=1):
            pairs |= _make_pair(number, phase)
        start |= {key: widget.value for key, widget in pairs.items()}
        buttons = make_buttons(("run", "add", "remove", "reset", "log", "code"))
        buttons["remove"].layout.width = "76px"
        self._work: ComposerWork = ComposerWork(whole, subjects, start, follow)
        self._columns = [
            widgets.VBox([pairs[f"phase_{number}"], pairs[f"length_{number}"]])
            for number in range(1, MAX_PHASES + 1)
        ]
        super().__init__(
            subjects,
            work=self._work,
            start=start,
            menus=menus,
            sliders=sliders,
            buttons=buttons,
            others=pairs,
            other_rows=[_phase_grid(self._columns)],
        )
        self._show(len(self._first))
        self._listen(self.controls["add"], self._on_add)
        self._listen(self.controls["remove"], self._on_remove)
        self._submit()

    # ---- what a caller uses

    @property
    def phases(self) -> tuple[Phase, ...]:
        """What menus and sliders say now."""
        return tuple(self._phase(number) for number in range(1, self._count + 1))

    def __repr__(self) -> str:
        return "ComposerLab()"

    # ---- callbacks, on whichever thread, one at a time: they only drop a request

    def _phase(self, number: int) -> Phase:
        kind = self.controls[f"phase_{number}"].value
        first = self._first[number - 1] if number <= len(self._first) else SPARE
        params = first.params if kind == first.kind else {}
        return Phase(kind, self.controls[f"length_{number}"].value, params)

    def _setting(self) -> PhasesSetting:
        names = "model", "optimizer", "step_every", "base_lr", "epochs"
        values = {name: read(self.controls[name], self._start[name]) for name in names}
        return PhasesSetting(**values, params={}, phases=self.phases)

    def _row(self, setting: PhasesSetting) -> Schedule:
        return setting.row(self._subjects[setting.model].steps_per_epoch)

    def _request(self, *, again: bool) -> LabRequest:
        return LabRequest(self._setting(), log=self.controls["log"].value, again=again)

    def _show(self, count: int) -> None:
        """Show so many phases."""
        self._count = count
        for number, column in enumerate(self._columns, start=1):
            column.layout.display = "flex" if number <= count else "none"
        self.controls["add"].disabled = count == MAX_PHASES
        self.controls["remove"].disabled = count == 1

    def _length(self, number: int) -> widgets.IntSlider:
        return self.controls[f"length_{number}"]

    def _on_add(self, _: object) -> None:
        if self._count == MAX_PHASES:
            return
        shown = [self._length(number) for number in range(1, self._count + 1)]
        left = self.controls["epochs"].value - sum(slider.value for slider in shown)
        if left < 1:
            longest = max(shown, key=lambda slider: slider.value)
            left = max(1, longest.value // 2)
            longest.value -= longest.value // 2
        self._length(self._count + 1).value = left
        self._show(self._count + 1)
        self._on_phases()

    def _on_remove(self, _: object) -> None:
        if self._count == 1:
            return
        last, before = self._length(self._count), self._length(self._count - 1)
        self._show(self._count - 1)
        before.value += last.value
        self._on_phases()

    def _on_reset(self, click: object) -> None:
        self._show(len(self._first))
        super()._on_reset(click)

    def _on_phases(self) -> None:
        self._submit()
        self._refresh_code()


def _checked(phases: Iterable[Phase]) -> tuple[Phase, ...]:
    phases = tuple(phases)
    compose(phases)
    if len(phases) > MAX_PHASES:
        raise ValueError(f"phases must be {MAX_PHASES} at most, got {len(phases)}.")
    return phases


def _make_pair(number: int, phase: Phase) -> dict[str, widgets.Widget]:
    """Make the menu and the slider of one phase, by name."""
    common = {"style": {"description_width": "58px"}}
    layout = {"width": "auto", "min_width": "0"}
    menu = widgets.Dropdown(
        options=[(say(f"kind_{kind}"), kind) for kind in KINDS],
        value=phase.kind,
        description=say("phase", number=number),
        tooltip=say("phase_help"),
        layout=widgets.Layout(**layout),
        **common,
    )
    slider = widgets.IntSlider(
        value=phase.length,
        min=1,
        max=max(int(EPOCHS.high), phase.length),
        description=say("length"),
        tooltip=say("length_help"),
        layout=widgets.Layout(**layout),
        **common,
    )
    return {f"phase_{number}": menu, f"length_{number}": slider}


def _phase_grid(columns: list[widgets.VBox]) -> widgets.GridBox:
    """Lay the phases out side by side, in as many columns as fit the page."""
    return widgets.GridBox(
        columns,
        layout=widgets.Layout(
            grid_template_columns="repeat(auto-fit, minmax(225px, 1fr))",
            grid_gap="4px 12px",
            max_width=WIDTH,
        ),
    )
