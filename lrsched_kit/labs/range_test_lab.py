"""The lab of the range test: the test left, training at each of its picks right."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import nn

from ..experiments.range_test import RangeTest
from ..schedules.params import Param
from ..tasks.data import Dataset
from ..tasks.optimizers import Maker
from ..training.history import History
from ..words import say
from ..words.errors import check_number
from .controls import make_buttons, make_menu, make_slider, read
from .range_work import RangeRequest, RangeWork
from .subjects import SEEDS, TrainingLab, make_pickers, make_subjects

KNOBS = (
    Param("low", 1e-5, 1e-7, 1e-2, log=True, help=say("low_help")),
    Param("high", 10, 0.1, 100, log=True, help=say("high_help")),
    Param("steps", 264, 20, 600, integer=True, help=say("steps_help")),
    Param("smooth", 0.9, 0, 0.99, help=say("smooth_help"), must_be="non-negative"),
    Param("stop_factor", 1.5, 1.1, 5, help=say("stop_factor_help")),
    Param(
        "seed", 0, 0, SEEDS - 1, integer=True, help=say("test_seed_help"), must_be="non-negative"
    ),
)
SCHEDULES = ("Constant", "CosineAnnealingLR")  # what may follow at each pick


class RangeTestLab(TrainingLab[RangeRequest]):
    """A range test under sliders, and what training makes of each rate that it suggests.

    Moving a control runs the test again and marks its three picks; then a fleet trains at each
    of them, on several seeds, so that the picks can be judged by what they lead to.

    Args:
        low, high, steps, smooth, stop_factor, seed: where the sliders start: see `lr_range_test`.
        make_model, data, optimizer, make_optimizer, batch_size, seeds: as for `ScheduleLab`.
        schedule: of the training at each pick, "Constant" or "CosineAnnealingLR", likewise.
        epochs: how long to train at each pick.

    Attributes:
        controls: the sliders and menus by these names, and the buttons "run" and "reset".

    Raises:
        ValueError: naming argument, constraint and value.

    >>> lab = RangeTestLab(steps=60, epochs=1, seeds=1)
    >>> lab.wait()
    True
    >>> list(lab.histories) == [name for name, rate in lab.test.picks.items() if rate > 0]
    True
    >>> lab.close()
    """

    def __init__(
        self,
        *,
        optimizer: str = "momentum",
        make_optimizer: Maker | None = None,
        schedule: str = SCHEDULES[0],
        data: Dataset | None = None,
        make_model: Callable[[], nn.Module] | None = None,
        batch_size: int | None = None,
        epochs: int = 10,
        seeds: int | None = None,
        **settings: float,
    ) -> None:
        start = _start(settings)
        if schedule not in SCHEDULES:
            raise ValueError(f"schedule must be one of {', '.join(SCHEDULES)}, got {schedule!r}.")
        subjects = make_subjects(make_model, data, batch_size, seeds, make_optimizer)
        menus = make_pickers(subjects, optimizer)
        menus["schedule"] = make_menu("then", SCHEDULES, schedule)
        sliders = {param.name: make_slider(param, start[param.name]) for param in KNOBS}
        sliders["low"].readout_format = ".2e"
        buttons = make_buttons(("run", "reset"))
        self._work: RangeWork = RangeWork(
            subjects,
            menus["model"].value,
            epochs=int(check_number("epochs", epochs, integer=True)),
        )
        super().__init__(
            subjects,
            work=self._work,
            start={key: menu.value for key, menu in menus.items()} | start,
            menus=menus,
            sliders=sliders,
            buttons=buttons,
        )
        self._submit()

    @property
    def test(self) -> RangeTest | None:
        """The newest finished test."""
        return self._work.test

    @property
    def histories(self) -> dict[str, list[History]]:
        """Pick -> one `History` per seed, of the newest finished training."""
        return self._work.histories

    def __repr__(self) -> str:
        return "RangeTestLab()"

    def _request(self, *, again: bool) -> RangeRequest:
        values = {name: read(self.controls[name], start) for name, start in self._start.items()}
        menus = {name: values.pop(name) for name in ("model", "optimizer", "schedule")}
        return RangeRequest(values, **menus)


def _start(given: Mapping[str, float]) -> dict[str, float]:
    """Return where the sliders start: the given values checked, the others at their defaults."""
    known = {param.name: param for param in KNOBS}
    for name in given:
        if name not in known:
            raise ValueError(f"{name!r} is no setting of a range test: {', '.join(known)}.")
    start = {name: param.check(given.get(name, param.default)) for name, param in known.items()}
    for name, param in known.items():
        if not param.low <= start[name] <= param.high:
            raise ValueError(
                f"{name} must be between {param.low:g} and {param.high:g}, got {given[name]!r}."
            )
    return start
