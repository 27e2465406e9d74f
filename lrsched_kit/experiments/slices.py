"""Many runs: planned alike, trained slice by slice, here or elsewhere, and told as rows."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from numbers import Integral, Real
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn

from ..schedules.catalogue import get_schedule
from ..schedules.spec import Schedule
from ..tasks.data import Dataset, told_if_fits
from ..tasks.optimizers import Maker, Unless
from ..training.fleet import Fleet
from ..training.history import History
from ..training.runs import Run
from ..words import say

# Larger slices are hardly faster; several processes want more of them to share.
_RUNS_HERE, _RUNS_THERE = 128, 32
_SHOW_AFTER = 1.0  # seconds; a bar for less is only noise

Key = TypeVar("Key")
Row = dict[str, float | str]  # of plain numbers and strings, for pandas
Part = Sequence[Run]  # runs that are of use together only, such as the seeds of one setting
Advance = Callable[[int], object]  # told how many epochs of runs were made
Found = Iterator[tuple[int, list[History]]]  # which slice, and what came of it


@dataclass(frozen=True)
class Plan:
    """What all runs of an experiment have in common, as `compare` is told; picklable."""

    make_model: Callable[[], nn.Module]
    data: Dataset
    epochs: int
    batch_size: int
    dtype: torch.dtype
    optimizer: str | Maker
    metric: str
    better: str

    def run(
        self, schedule: str | Schedule, params: Mapping[str, Any], base_lr: float, seed: int
    ) -> Run:
        """Make a run, stepped as practice has it; a plateau is told the metric if its mode fits."""
        row = get_schedule(schedule)
        params = row.complete(params, horizon=self.epochs)
        told = told_if_fits(params, self.metric, self.better)
        return Run(schedule, params, base_lr, self.optimizer, seed, row.step_every, told)

    def fleet(self) -> Fleet:
        """Find model and data fit for each other, or raise what `train_many` raises."""
        return Fleet(self.make_model, self.data, self.batch_size, dtype=self.dtype)

    def train(self, runs: Sequence[Run]) -> list[History] | Exception:
        """Train some runs, on whichever process; what is raised is then the executor's fault."""
        try:
            return self.fleet().train(runs, epochs=self.epochs)
        except Exception as error:
            return error


class Interrupted(KeyboardInterrupt):
    """Interrupted before anything was finished; a notebook shows it in one line."""

    def _render_traceback_(self) -> list[str]:
        return [f"Interrupted: {self}"]


def train_parts(
    plan: Plan,
    parts: Mapping[Key, Part],
    *,
    executor: Executor | None = None,
    progress: bool = True,
) -> tuple[dict[Key, list[History]], str]:
    """Train parts slice by slice, or, on an executor, slices side by side.

    Returns key -> histories of each part that was finished; and why the others are missing, an
    empty string if none is. A warning says so too.
    """
    fleet = plan.fleet()
    runs = [run for part in parts.values() for run in part]
    fleet.refuse_early(runs, epochs=plan.epochs)
    keys = list(parts)
    at_once = _RUNS_HERE if executor is None else _RUNS_THERE
    if fleet.why_alone(runs[0]):
        at_once = 1  # where runs train alone, larger slices gain nothing
    count = min(len(keys), math.ceil(len(runs) / at_once))
    slices = [keys[i * len(keys) // count : (i + 1) * len(keys) // count] for i in range(count)]
    work = [[run for key in some for run in parts[key]] for some in slices]
    finished: dict[Key, list[History]] = {}
    reason = ""
    with _bar(len(runs) * plan.epochs, progress) as advance:
        if executor is None:
            found = _here(plan, fleet, work, advance)
        else:
            found = _there(plan, executor, work, advance)
        try:
            for index, histories in found:
                records = iter(histories)
                finished |= {key: list(islice(records, len(parts[key]))) for key in slices[index]}
        except KeyboardInterrupt:
            reason = say("interrupted")
            if not finished:
                raise Interrupted("nothing was finished.") from None
        except _ExecutorFailed as failure:
            reason = str(failure)
            if not finished:
                raise RuntimeError(f"executor failed before any run finished: {reason}") from None
    if reason:
        done = sum(map(len, finished.values()))
        warnings.warn(say("runs_missing", reason=reason, done=done, total=len(runs)), stacklevel=3)
    return {key: finished[key] for key in keys if key in finished}, reason


class _ExecutorFailed(Exception):
    """An executor lost some of its work; what else it could finish was waited for."""


def _here(plan: Plan, fleet: Fleet, work: Sequence[Part], advance: Advance) -> Found:
    for index, runs in enumerate(work):
        yield (
            index,
            fleet.train(runs, epochs=plan.epochs, on_epoch=lambda _, made: advance(len(made))),
        )


def _there(plan: Plan, executor: Executor, work: Sequence[Part], advance: Advance) -> Found:
    places: dict[Future[list[History] | Exception], int] = {}
    failure = ""
    try:
        try:
            for index, runs in enumerate(work):
                places[executor.submit(plan.train, runs)] = index
        except RuntimeError as error:  # its processes died, or it was shut down
            failure = _in_words(error)
        for future in as_completed(places):
            try:
                found = future.result()
            except Exception as error:
                failure = _in_words(error)
                continue
            if isinstance(found, Exception):
                raise found
            advance(len(found) * plan.epochs)
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

    texts: Any = {"desc": say("bar"), "unit": say("epoch")}
    with tqdm(total=total, disable=False, delay=_SHOW_AFTER, leave=False, **texts) as bar:
        yield bar.update


def text_table(lines: Sequence[Sequence[str]], align: str = "<") -> list[str]:
    """Return lines of cells as text in columns, aligned to the left, or with ">" to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rows = [[f"{c:{align}{w}}" for c, w in zip(line, widths, strict=True)] for line in lines]
    return ["  ".join(row).rstrip() for row in rows]


def run_rows(
    histories: Mapping[Key, Sequence[History]],
    runs: Mapping[Key, Sequence[Run]],
    facts_of: Callable[[Key], Mapping[str, Any]],
) -> list[Row]:
    """Return a row per run: what is known of its key, of the run itself, and how it ended."""
    rows = []
    for key, seeds in histories.items():
        known: Sequence[Run | None] = runs.get(key) or [None] * len(seeds)
        for run, history in zip(known, seeds, strict=True):
            finals = {f"val_{name}": history.of(name)[-1] for name in ("loss", *history.metrics)}
            lost = history.diverged_at is not None
            row = {**facts_of(key), **_described(run), **finals, "diverged": lost}
            rows.append({name: _plain(value) for name, value in row.items()})
    return rows


def step_rows(**columns: np.ndarray) -> list[Row]:
    """Return a row per step, counted from 0, of columns of one length."""
    steps = zip(*(values.tolist() for values in columns.values()), strict=True)
    return [{"step": i, **dict(zip(columns, row, strict=True))} for i, row in enumerate(steps)]


def _described(run: Run | None) -> dict[str, Any]:
    if run is None:
        return {}
    unknown = isinstance(run.base_lr, Unless) and callable(run.optimizer)
    rate = {} if unknown else {"base_lr": run.base_lr}
    return {"schedule": get_schedule(run.schedule).name, "seed": run.seed, **rate, **run.params}


def _plain(value: Any) -> float | str:
    """Return Python's own number, or text."""
    if isinstance(value, Integral):
        return value if isinstance(value, bool) else int(value)
    return float(value) if isinstance(value, Real) else str(value)
