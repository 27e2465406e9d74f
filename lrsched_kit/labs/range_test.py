"""The lab of the range test: the test left, training at each of its picks right."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import ipywidgets as widgets
from torch import nn

from ..data import Dataset, load_digits
from ..models import MLP
from ..optimizers import RULES, get_rule
from ..range_test import RangeTest
from ..schedules import Param, check_number
from ..training import History
from ..words import WORDS
from .controls import button_row, make_buttons, make_slider, read, slider_grid
from .core import Lab
from .range_work import RangeRequest, RangeWork

KNOBS = (
    Param("low", 1e-5, 1e-7, 1e-2, log=True, help=WORDS["low_help"]),
    Param("high", 10, 0.1, 100, log=True, help=WORDS["high_help"]),
    Param("steps", 264, 20, 600, integer=True, help=WORDS["steps_help"]),
    Param("smooth", 0.9, 0, 0.99, help=WORDS["smooth_help"], must_be="non-negative"),
    Param("stop_factor", 1.5, 1.1, 5, help=WORDS["stop_factor_help"]),
    Param("seed", 0, 0, 9, integer=True, help=WORDS["test_seed_help"], must_be="non-negative"),
)
SCHEDULES = ("Constant", "CosineAnnealingLR")  # what may follow at each pick


class RangeTestLab(Lab[RangeRequest]):
    """A range test under sliders, and what training makes of each rate that it suggests.

    Moving a control runs the test again and marks its three picks; then a fleet trains at each
    of them, on several seeds, so that the picks can be judged by what they lead to.

    Args:
        low, high, steps, smooth, stop_factor, seed: where the sliders start: see `lr_range_test`.
        optimizer: where its menu starts: "sgd", "momentum", "adam" or "adamw".
        schedule: of the training at each pick, "Constant" or "CosineAnnealingLR", likewise.
        data: default `load_digits()`.
        make_model: called for each seed.
        batch_size: rows per update, in the test and in training.
        epochs: how long to train at each pick.
        seeds: how many seeds to train on.

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
        schedule: str = SCHEDULES[0],
        data: Dataset | None = None,
        make_model: Callable[[], nn.Module] = MLP,
        batch_size: int = 16,
        epochs: int = 10,
        seeds: int = 5,
        **settings: float,
    ) -> None:
        start = _start(settings)
        get_rule(optimizer)
        if schedule not in SCHEDULES:
            raise ValueError(f"schedule must be one of {', '.join(SCHEDULES)}, got {schedule!r}.")
        sliders = {param.name: make_slider(param, start[param.name]) for param in KNOBS}
        sliders["low"].readout_format = ".2e"
        menus = {
            "optimizer": _menu("optimizer", RULES, optimizer),
            "schedule": _menu("then", SCHEDULES, schedule),
        }
        buttons = make_buttons(("run", "reset"))
        self._work: RangeWork = RangeWork(
            make_model,
            load_digits() if data is None else data,
            batch_size=int(check_number("batch_size", batch_size, integer=True)),
            epochs=int(check_number("epochs", epochs, integer=True)),
            seeds=int(check_number("seeds", seeds, integer=True)),
            test_seeds=range(sliders["seed"].max + 1),
        )
        super().__init__(
            self._work,
            {**start, "optimizer": optimizer, "schedule": schedule},
            {**sliders, **menus, **buttons},
            [
                slider_grid(list(sliders.values())),
                button_row([*menus.values(), *buttons.values(), self._work.progress]),
                self._work.picture.image,
                self._work.text,
            ],
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
        settings = {p.name: read(self.controls[p.name], self._start[p.name]) for p in KNOBS}
        return RangeRequest(
            settings, self.controls["optimizer"].value, self.controls["schedule"].value
        )


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


def _menu(word: str, options: Iterable[str], value: str) -> widgets.Dropdown:
    return widgets.Dropdown(
        options=list(options),
        value=value,
        description=WORDS[word],
        tooltip=WORDS[f"{word}_help"],
        style={"description_width": "76px"},
        layout=widgets.Layout(width="214px"),
    )
