"""What the range test's lab does on its thread: test, train at each pick, draw, and say so."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from torch import nn

from ..data import Dataset
from ..fleet import Fleet, Run
from ..models import seeded
from ..optimizers import make_optimizer
from ..range_test import RangeTest, run_range_test
from ..style import short_number
from ..training import History
from ..words import WORDS
from .core import Work
from .range_picture import RangePicture
from .schedule_work import FRAME_SECONDS
from .verdict import loss_lines


@dataclass(frozen=True)
class RangeRequest:
    """What the controls say: the settings of the test, then those of the training."""

    settings: Mapping[str, float]
    optimizer: str
    schedule: str


class RangeWork(Work[RangeRequest]):
    """Runs the test, then trains at its picks.

    Attributes:
        test: the newest finished one, or None.
        histories: what training at its picks did, by pick.
    """

    picture: RangePicture

    def __init__(
        self,
        make_model: Callable[[], nn.Module],
        data: Dataset,
        *,
        batch_size: int,
        epochs: int,
        seeds: int,
        test_seeds: range,
    ) -> None:
        loss_label = WORDS["cross_entropy" if data.is_classification else "squared_error"]
        super().__init__(RangePicture(loss_label, epochs))
        self._data, self._batch_size = data, batch_size
        self._epochs, self._seeds = epochs, seeds
        # Made here, where the cell runs: making models touches the process's random numbers.
        self._fleet = Fleet(make_model, data, range(seeds))
        self._models = {seed: seeded(make_model, seed) for seed in test_seeds}
        self.test: RangeTest | None = None
        self.histories: dict[str, list[History]] = {}

    def __call__(self, request: RangeRequest, stale: Callable[[], bool]) -> None:
        """Test, draw, train, draw; give up as soon as ``stale()``."""

        def ended() -> bool:
            return self.stopped or stale()

        self.set_running(True)
        test = self._test(request, ended)
        self.say(_test_lines(test))
        self.picture.show(test, {})
        picks = {name: rate for name, rate in test.picks.items() if np.isfinite(rate)}
        histories = self._train(picks, request, test, ended) if picks and not ended() else {}
        if not ended():
            self.test, self.histories = test, histories
        self.set_running(False)
        if stale():
            return
        self.say([*_test_lines(test), *self._trained_lines(request, histories)])
        self.picture.show(test, histories, crisp=True)

    def _test(self, request: RangeRequest, ended: Callable[[], bool]) -> RangeTest:
        settings = dict(request.settings)
        model = copy.deepcopy(self._models[int(settings["seed"])])
        return run_range_test(
            model,
            self._data,
            make_optimizer(request.optimizer, model.parameters(), settings["low"]),
            batch_size=self._batch_size,
            should_stop=ended,
            **settings,
        )

    def _train(
        self,
        picks: Mapping[str, float],
        request: RangeRequest,
        test: RangeTest,
        ended: Callable[[], bool],
    ) -> dict[str, list[History]]:
        params = {"T_max": self._epochs} if request.schedule == "CosineAnnealingLR" else {}
        runs = [
            Run(request.schedule, params, rate, request.optimizer, seed)
            for rate in picks.values()
            for seed in range(self._seeds)
        ]

        def by_pick(histories: list[History]) -> dict[str, list[History]]:
            n = self._seeds
            return {name: histories[i * n : (i + 1) * n] for i, name in enumerate(picks)}

        last_frame = time.monotonic()

        def on_epoch(epoch: int, histories: list[History]) -> None:
            nonlocal last_frame
            if ended() or time.monotonic() - last_frame < FRAME_SECONDS:
                return
            last_frame = time.monotonic()
            self.picture.show(test, by_pick(histories))
            self.progress.value = (epoch + 1) / self._epochs

        return by_pick(
            self._fleet.train(
                runs,
                epochs=self._epochs,
                batch_size=self._batch_size,
                on_epoch=on_epoch,
                should_stop=ended,
            )
        )

    def _trained_lines(
        self, request: RangeRequest, histories: Mapping[str, list[History]]
    ) -> list[str]:
        if self.stopped:
            epoch = max((run.finished for runs in histories.values() for run in runs), default=0)
            return [WORDS["stopped"].format(epoch=epoch, epochs=self._epochs)]
        if not histories:
            return []
        how = WORDS["trained_line"].format(schedule=request.schedule, epochs=self._epochs)
        return [how, *loss_lines({WORDS[f"pick_{name}"]: runs for name, runs in histories.items()})]


def _test_lines(test: RangeTest) -> list[str]:
    picks = ", ".join(f"{WORDS[f'pick_{name}']} {_rate(rate)}" for name, rate in test.picks.items())
    lines = [WORDS["picks_line"].format(picks=picks)]
    if test.cut_at is not None:
        rate, steps = _rate(test.rates[test.cut_at]), len(test.rates)
        lines.append(WORDS["cut_line"].format(rate=rate, step=test.cut_at + 1, steps=steps))
    elif test.made == len(test.rates):
        lines.append(WORDS["uncut_line"])
    return lines


def _rate(rate: float) -> str:
    return short_number(float(f"{rate:.2g}")) if np.isfinite(rate) else WORDS["no_pick"]
