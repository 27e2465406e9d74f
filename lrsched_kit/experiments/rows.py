"""Results as rows: aligned text for people, dicts for pandas."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from numbers import Integral, Real
from typing import Any, TypeVar

import numpy as np

from ..schedules.catalogue import get_schedule
from ..tasks.optimizers import Unless
from ..training.history import History
from ..training.runs import Run

Row = dict[str, float | str]  # of plain numbers and strings
Key = TypeVar("Key")


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
        for run, history in zip_longest(runs.get(key, ()), seeds):
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
