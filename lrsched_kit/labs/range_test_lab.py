"""The lab of the range test: the test left, training at each of its picks right."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from torch import nn

from ..experiments.range_test import Ramp, RangeTest, run_range_test
from ..plotting.limits import nice_ceiling, nice_floor
from ..plotting.range_test import PICK_STYLES, RangeArtists
from ..plotting.style import dress, kit_look, set_loss_scale
from ..schedules.catalogue import get_schedule
from ..schedules.params import Param
from ..tasks.data import Dataset
from ..tasks.optimizers import Maker, build_optimizer
from ..training.history import History
from ..training.stats import mean_and_error
from ..words import say
from ..words.errors import check_number
from .controls import make_buttons, make_menu, make_slider, starts
from .live import Cancel, LiveFigure
from .subjects import SEEDS, Setting, Subject, make_subjects
from .training import TrainingLab, TrainingWork, make_pickers
from .verdict import Histories, loss_lines, one_or_many, two_digits

KNOBS = (
    Param("low", 1e-5, 1e-7, 1e-2, log=True, help="low_help"),
    Param("high", 10, 0.1, 100, log=True, help="high_help"),
    Param("steps", 264, 20, 600, integer=True, help="steps_help"),
    Param("smooth", 0.9, 0, 0.99, help="smooth_help", must_be="non-negative"),
    Param("stop_factor", 1.5, 1.1, 5, help="stop_factor_help"),
    Param("seed", 0, 0, SEEDS - 1, integer=True, help="test_seed_help", must_be="non-negative"),
)
SCHEDULES = ("Constant", "CosineAnnealingLR")  # what may follow at each pick
RangeRequest = tuple[Mapping[str, Any], Setting]  # of the test, of the training at its picks


class RangePicture(LiveFigure):
    """The live picture: one set of artists for its lifetime."""

    @kit_look()
    def __init__(self, epochs: int) -> None:
        figure = Figure(figsize=(7.9, 3.5), dpi=120)
        figure.subplots_adjust(left=0.075, right=0.98, top=0.92, bottom=0.145, wspace=0.22)
        self._test_ax, self._ax = figure.subplots(1, 2)
        self._range = RangeArtists(self._test_ax, "")
        dress(self._ax, x=say("epoch"), y="", title=say("trained_title"))
        self._ax.set_xlim(0, epochs)
        self._epochs = np.arange(1, epochs + 1)
        self._curves = {}
        for name, style in PICK_STYLES.items():
            band = self._ax.fill_between([1.0], [1.0], [1.0], color=style.color, alpha=0.18, lw=0)
            look = {**style._asdict(), "lw": 2.2, "marker": "", "mec": style.color}
            (line,) = self._ax.plot([], [], **look, label=say(f"pick_{name}"))
            self._curves[name] = (band, line)
        self._ax.legend(frameon=False, fontsize=9, handlelength=3, loc="upper right")
        self._limits = (0.3, 2.5)
        set_loss_scale(self._ax, *self._limits)
        moving = [artist for pair in self._curves.values() for artist in pair]
        super().__init__(figure, [*self._range.artists, *moving])

    def show(self, test: RangeTest, histories: Histories, label: str, *, crisp: bool) -> None:
        """Draw a test and the training at its picks, which may be unfinished or missing."""
        changed = self._range.show(test) or label != self._ax.get_ylabel()
        for ax in (self._test_ax, self._ax):
            ax.yaxis.label.set_text(label)  # ax.set_ylabel would ask rcParams
        heights = []
        for name, (band, line) in self._curves.items():
            nothing = np.full(len(self._epochs), np.nan)
            runs = [run.val_loss for run in histories.get(name, [])]
            mean, error = mean_and_error(runs or [nothing])
            line.set_data(self._epochs, mean)
            line.set_marker("o" if np.isfinite(mean).sum() == 1 else "")
            band.set_visible(np.isfinite(error).any())
            if band.get_visible():
                band.set_data(self._epochs, np.maximum(mean - error, 0.1 * mean), mean + error)
            heights.append(mean[np.isfinite(mean)])
        self.draw(background_changed=self._fit(heights, refit=crisp) or changed, crisp=crisp)

    def _fit(self, heights: list[np.ndarray], refit: bool) -> bool:
        losses = np.concatenate(heights)
        if not len(losses):
            return False
        # Room above for the legend; a run that blows up may leave the picture.
        top = min(losses.max(), 10 * losses.min()) * 1.6
        limits = nice_floor(0.95 * losses.min()), nice_ceiling(top)
        if not refit:
            limits = min(limits[0], self._limits[0]), max(limits[1], self._limits[1])
        changed, self._limits = limits != self._limits, limits
        if changed:
            set_loss_scale(self._ax, *limits)
        return changed


class RangeWork(TrainingWork[RangeRequest]):
    """Runs the test, then trains at its picks."""

    picture: RangePicture
    test: RangeTest | None = None  # the newest finished one

    def __init__(self, subjects: Mapping[str, Subject], epochs: int) -> None:
        super().__init__(RangePicture(epochs), subjects)
        self.histories: dict[str, list[History]] = {}  # what training at its picks did, by pick

    def __call__(self, request: RangeRequest, cancel: Cancel) -> None:
        """Test, draw, train, draw; give up as soon as ``cancel()``."""
        settings, setting = request
        subject = self.subjects[setting.model]
        self.set_running(True)
        ramp = Ramp(batch_size=subject.batch_size, **settings)
        model = subject.fleet.fresh(ramp.seed)
        optimizer = build_optimizer(subject.how(setting.optimizer), model, ramp.low)
        test = run_range_test(model, subject.data, optimizer, ramp, subject.fleet.trial, cancel)

        def draw(histories: dict[str, list[History]], *_: str, crisp: bool = False) -> None:
            self.picture.show(test, histories, subject.loss_label, crisp=crisp)

        lines = _test_lines(test)
        self.say(lines)
        draw({})
        picks = {name: rate for name, rate in test.picks.items() if np.isfinite(rate)}
        parts = {name: replace(setting, base_lr=rate) for name, rate in picks.items()}
        histories = {} if cancel() else self._train(parts, cancel, draw)
        stopped = cancel.stopped
        if not (stopped or cancel.stale):
            self.test, self.histories = test, histories
        self.set_running(False, stopped=stopped)
        if cancel.stale:
            return
        if stopped:
            epoch = max((run.finished for runs in histories.values() for run in runs), default=0)
            lines = [*lines, say("stopped", epoch=epoch, epochs=setting.epochs)]
        elif histories:
            by_pick = {say(f"pick_{name}"): runs for name, runs in histories.items()}
            facts = {"schedule": setting.schedule.name, "epochs": setting.epochs}
            trained = one_or_many("trained", setting.epochs, **facts)
            lines = [*lines, trained, *loss_lines(by_pick)]
        self.say([*lines, *subject.alone_lines(setting.optimizer)])
        draw(histories, crisp=True)


def _test_lines(test: RangeTest) -> list[str]:
    picks = {name: two_digits(rate) for name, rate in test.picks.items()}
    lines = [say("picks_line", **picks)]
    if test.cut_at is not None:
        rate, steps = two_digits(test.rates[test.cut_at]), len(test.rates)
        lines.append(say("cut_line", rate=rate, step=test.cut_at + 1, steps=steps))
    elif test.made == len(test.rates):
        lines.append(say("uncut_line"))
    return lines


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

    _work: RangeWork

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
        start = starts("RangeTestLab", KNOBS, settings)
        for knob in KNOBS:
            if not knob.low <= (value := start[knob.name]) <= knob.high:
                ends = f"between {knob.low:g} and {knob.high:g}"
                raise ValueError(f"{knob.name} must be {ends}, got {value!r}.")
        self._epochs = int(check_number("epochs", epochs, integer=True))
        if schedule not in SCHEDULES:
            raise ValueError(f"schedule must be one of {', '.join(SCHEDULES)}, got {schedule!r}.")
        subjects = make_subjects(make_model, data, batch_size, seeds, make_optimizer)
        menus = make_pickers(subjects, optimizer)
        menus["schedule"] = make_menu("then", SCHEDULES, schedule)
        sliders = {param.name: make_slider(param, start[param.name]) for param in KNOBS}
        sliders["low"].readout_format = ".2e"
        super().__init__(
            RangeWork(subjects, self._epochs),
            values=start,
            menus=menus,
            sliders=sliders,
            buttons=make_buttons(("run", "reset")),
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

    def _request(self, *, again: bool) -> RangeRequest:
        test = self._values()
        model, optimizer, name = (test.pop(menu) for menu in ("model", "optimizer", "schedule"))
        schedule = get_schedule(name)
        params = schedule.complete({}, horizon=self._epochs)
        # A pick is to be the rate.
        setting = Setting(model, optimizer, "epoch", np.nan, self._epochs, schedule, params)
        return test, setting
