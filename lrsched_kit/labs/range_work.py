"""What the range test's lab does on its thread: test, train at each pick, draw, and say so."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..experiments.range_test import Ramp, RangeTest, run_range_test
from ..plotting.ticks import short_number
from ..schedules.catalogue import get_schedule
from ..tasks.optimizers import build_optimizer
from ..training.history import History
from ..training.runs import Run
from ..words import say
from .base import Work
from .live import Cancel
from .range_picture import RangePicture
from .schedule_work import FRAME_SECONDS
from .subjects import Subject
from .verdict import loss_lines


@dataclass(frozen=True)
class RangeRequest:
    """What the controls say: the settings of the test, then those of the training."""

    settings: Mapping[str, float]
    model: str
    optimizer: str
    schedule: str


class RangeWork(Work[RangeRequest]):
    """Runs the test, then trains at its picks.

    Attributes:
        test: the newest finished one, or None.
        histories: what training at its picks did, by pick.
    """

    picture: RangePicture

    def __init__(self, subjects: Mapping[str, Subject], model: str, *, epochs: int) -> None:
        super().__init__(RangePicture(epochs))
        self._subjects, self._epochs = subjects, epochs
        _ = subjects[model].fleet  # found fit now, where the cell runs
        self.test: RangeTest | None = None
        self.histories: dict[str, list[History]] = {}

    def __call__(self, request: RangeRequest, cancel: Cancel) -> None:
        """Test, draw, train, draw; give up as soon as ``cancel()``."""
        self.set_running(True)
        test = self._test(request, cancel)
        self.say(_test_lines(test))
        self._draw(request, test, {})
        picks = {name: rate for name, rate in test.picks.items() if np.isfinite(rate)}
        histories = self._train(picks, request, test, cancel) if picks and not cancel() else {}
        stopped = cancel.stopped
        if not (stopped or cancel.stale):
            self.test, self.histories = test, histories
        self.set_running(False, stopped=stopped)
        if cancel.stale:
            return
        alone = self._subjects[request.model].alone_lines(request.optimizer)
        self.say(
            [*_test_lines(test), *self._trained_lines(request, histories, stopped=stopped), *alone]
        )
        self._draw(request, test, histories, crisp=True)

    def _draw(
        self,
        request: RangeRequest,
        test: RangeTest,
        histories: dict[str, list[History]],
        *,
        crisp: bool = False,
    ) -> None:
        label = self._subjects[request.model].loss_label
        self.picture.show(test, histories, label, crisp=crisp)

    def _test(self, request: RangeRequest, cancel: Cancel) -> RangeTest:
        settings, subject = dict(request.settings), self._subjects[request.model]
        model = subject.fleet.fresh(settings["seed"])
        how = subject.make_optimizer or request.optimizer
        optimizer = build_optimizer(how, model, settings["low"])
        ramp = Ramp(batch_size=subject.batch_size, **settings)
        return run_range_test(model, subject.data, optimizer, ramp, subject.fleet.trial, cancel)

    def _train(
        self,
        picks: Mapping[str, float],
        request: RangeRequest,
        test: RangeTest,
        cancel: Cancel,
    ) -> dict[str, list[History]]:
        subject = self._subjects[request.model]
        params = get_schedule(request.schedule).complete({}, horizon=self._epochs)
        runs = [
            Run(request.schedule, params, rate, subject.make_optimizer or request.optimizer, seed)
            for rate in picks.values()
            for seed in range(subject.seeds)
        ]

        def by_pick(histories: list[History]) -> dict[str, list[History]]:
            n = subject.seeds
            return {name: histories[i * n : (i + 1) * n] for i, name in enumerate(picks)}

        last_frame = time.monotonic()

        def on_epoch(epoch: int, histories: list[History]) -> None:
            nonlocal last_frame
            if cancel() or time.monotonic() - last_frame < FRAME_SECONDS:
                return
            last_frame = time.monotonic()
            self._draw(request, test, by_pick(histories))
            self.progress.value = (epoch + 1) / self._epochs

        return by_pick(
            subject.fleet.train(
                runs,
                epochs=self._epochs,
                on_epoch=on_epoch,
                should_stop=cancel,
            )
        )

    def _trained_lines(
        self, request: RangeRequest, histories: Mapping[str, list[History]], *, stopped: bool
    ) -> list[str]:
        if stopped:
            epoch = max((run.finished for runs in histories.values() for run in runs), default=0)
            return [say("stopped", epoch=epoch, epochs=self._epochs)]
        if not histories:
            return []
        how = say("trained_line", schedule=request.schedule, epochs=self._epochs)
        return [how, *loss_lines({say(f"pick_{name}"): runs for name, runs in histories.items()})]


def _test_lines(test: RangeTest) -> list[str]:
    picks = ", ".join(f"{say(f'pick_{name}')} {_rate(rate)}" for name, rate in test.picks.items())
    lines = [say("picks_line", picks=picks)]
    if test.cut_at is not None:
        rate, steps = _rate(test.rates[test.cut_at]), len(test.rates)
        lines.append(say("cut_line", rate=rate, step=test.cut_at + 1, steps=steps))
    elif test.made == len(test.rates):
        lines.append(say("uncut_line"))
    return lines


def _rate(rate: float) -> str:
    return short_number(float(f"{rate:.2g}")) if np.isfinite(rate) else say("no_pick")
