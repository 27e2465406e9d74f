"""Long work in slices: shown as it goes, interrupted at will, here or on other processes."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Executor, Future, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import nn

from ..schedules.catalogue import get_schedule
from ..schedules.spec import Schedule
from ..tasks.data import Dataset
from ..tasks.optimizers import Maker, check_maker
from ..training.fleet import Fleet
from ..training.history import History
from ..training.runs import Run

# Larger slices are hardly faster; several processes want more of them to share.
_RUNS_HERE, _RUNS_THERE = 128, 32
_SHOW_AFTER = 1.0  # seconds; a bar for less is only noise

Part = Sequence[Run]  # runs that are of use together only, such as the seeds of one setting
Advance = Callable[[int], object]  # told how many epochs of runs were made
Found = Iterator[tuple[int, list[History]]]  # which slice, and what came of it


@dataclass(frozen=True)
class Job:
    """What all runs of an experiment have in common.

    Attributes:
        make_model, data, epochs, batch_size: as in `train_many`.
        dtype: of the arithmetic.
    """

    make_model: Callable[[], nn.Module]
    data: Dataset
    epochs: int
    batch_size: int
    dtype: torch.dtype

    def fleet(self) -> Fleet:
        """Find model and data fit for each other.

        Raises:
            ValueError: as `train_many`.
        """
        return Fleet(self.make_model, self.data, self.batch_size, dtype=self.dtype)

    def train(self, runs: Sequence[Run]) -> list[History] | Exception:
        """Train some runs, on whichever process; an error is returned, not raised.

        So what an executor raises by itself is never the training's fault.
        """
        try:
            return self.fleet().train(runs, epochs=self.epochs)
        except Exception as error:
            return error


def complete(schedule: str | Schedule, params: Mapping[str, Any], epochs: int) -> dict[str, Any]:
    """Return all params of a schedule; a horizon left out is the length of the run."""
    return get_schedule(schedule).complete(params, horizon=epochs)


def one_optimizer(optimizer: str | None, make_optimizer: Maker | None) -> str | Maker:
    """Return which of the two is given, "momentum" if neither is.

    >>> one_optimizer("adam", None), one_optimizer(None, None)
    ('adam', 'momentum')
    """
    if optimizer is not None and make_optimizer is not None:
        raise ValueError(
            f"optimizer must be left out where make_optimizer is given, got {optimizer!r}."
        )
    check_maker(make_optimizer)
    return make_optimizer or optimizer or "momentum"


def make_run(
    schedule: str | Schedule,
    params: Mapping[str, Any],
    base_lr: float,
    optimizer: str | Maker,
    seed: int,
    metric: str,
    better: str,
) -> Run:
    """Make a run that steps as practice has it; a plateau is told the metric if its mode fits.

    Args:
        metric: what the experiment follows.
        better: "lower" or "higher", which value of it is better.
    """
    fits = {"min": "lower", "max": "higher"}.get(params.get("mode", ""))
    told = metric if fits == better else None
    unit = get_schedule(schedule).step_every
    return Run(schedule, params, base_lr, optimizer, seed, unit, told)


class Interrupted(KeyboardInterrupt):
    """Interrupted before anything was finished; a notebook shows it in one line."""

    def _render_traceback_(self) -> list[str]:
        return [f"Interrupted: {self}"]


def train_parts(
    job: Job, parts: Sequence[Part], *, executor: Executor | None = None, progress: bool = True
) -> tuple[dict[int, list[History]], str]:
    """Train parts slice by slice, or, on an executor, slices side by side.

    Args:
        job: what they have in common.
        parts: the runs, those together that are of use together only.
        executor: where to train them; None: here.
        progress: whether work of more than a second shows a bar.

    Returns:
        Index -> histories of each part that was finished; and why the others are missing, an
        empty string if none is. A warning says so too.

    Raises:
        ValueError: as `train_many`; before anything is trained.
        KeyboardInterrupt: if it is interrupted before anything was finished.
        RuntimeError: if the executor fails before anything was finished.
    """
    fleet = job.fleet()
    everything = [run for part in parts for run in part]
    fleet.refuse_early(everything, epochs=job.epochs)
    total = sum(map(len, parts))
    at_once = _RUNS_HERE if executor is None else _RUNS_THERE
    # Where runs train alone, nothing is gained by larger slices.
    if fleet.why_alone(everything[0]):
        at_once = len(parts[0])
    count = math.ceil(total / at_once)
    slices = [places.tolist() for places in np.array_split(range(len(parts)), count) if len(places)]
    finished: dict[int, list[History]] = {}
    reason = ""
    with _bar(total * job.epochs, progress) as advance:
        work = [[run for place in places for run in parts[place]] for places in slices]
        found = (
            _here(job, fleet, work, advance)
            if executor is None
            else _there(job, executor, work, advance)
        )
        try:
            for index, histories in found:
                records = iter(histories)
                for place in slices[index]:
                    finished[place] = list(islice(records, len(parts[place])))
        except KeyboardInterrupt:
            reason = "interrupted"
            if not finished:
                raise Interrupted("nothing was finished.") from None
        except _ExecutorFailed as failure:
            reason = str(failure)
            if not finished:
                raise RuntimeError(f"executor failed before any run finished: {reason}") from None
    if reason:
        done = sum(len(parts[place]) for place in finished)
        warnings.warn(
            f"{reason}: {done} of {total} runs finished, the others are missing.", stacklevel=3
        )
    return finished, reason


class _ExecutorFailed(Exception):
    """An executor lost some of its work; what else it could finish was waited for."""


def _here(job: Job, fleet: Fleet, work: Sequence[Sequence[Run]], advance: Advance) -> Found:
    for index, runs in enumerate(work):
        yield (
            index,
            fleet.train(runs, epochs=job.epochs, on_epoch=lambda _, all_: advance(len(all_))),
        )


def _there(job: Job, executor: Executor, work: Sequence[Sequence[Run]], advance: Advance) -> Found:
    places: dict[Future[Any], int] = {}
    failure = ""
    try:
        for index, runs in enumerate(work):
            places[executor.submit(job.train, runs)] = index
    except RuntimeError as error:  # its processes died, or it was shut down
        failure = _in_words(error)
    try:
        for future in as_completed(places):
            try:
                found = future.result()
            except (Exception, CancelledError) as error:
                failure = _in_words(error)
                continue
            if isinstance(found, Exception):
                raise found
            advance(len(found) * job.epochs)
            yield places[future], found
    finally:
        for future in places:
            future.cancel()
    if failure:
        raise _ExecutorFailed(failure)


def _in_words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0].rstrip(".")


@contextmanager
def _bar(total: int, shown: bool) -> Iterator[Advance]:
    """Give a function that moves a progress bar on."""
    # tqdm's own switch; but its bars for notebooks never ask, the others at their import only.
    if not shown or os.environ.get("TQDM_DISABLE"):
        yield lambda epochs: None
        return
    from tqdm.auto import tqdm  # in a notebook this loads widgets, which nothing else here needs

    options: Any = {"desc": "training", "unit": "epoch", "delay": _SHOW_AFTER, "leave": False}
    with tqdm(total=total, disable=False, **options) as bar:
        yield bar.update
