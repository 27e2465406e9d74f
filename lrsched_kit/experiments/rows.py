"""Results as rows: aligned text for people, dicts for pandas."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, TypeVar

from ..schedules.catalogue import get_schedule
from ..tasks.optimizers import Unless
from ..training.history import History
from ..training.runs import Run

Row = dict[str, float | str]  # of plain numbers and strings
Key = TypeVar("Key")


def text_table(lines: Sequence[Sequence[str]], align: str = "<") -> list[str]:
    """Return lines of cells as text in columns, aligned to the left, or with ">" to the right.

    >>> text_table([["", "loss"], ["StepLR", "0.5"]])
    ['        loss', 'StepLR  0.5']
    """
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
            row = {**facts_of(key), **_described(run), **_ended(history)}
            rows.append({name: _plain(value) for name, value in row.items()})
    return rows


def _described(run: Run | None) -> dict[str, Any]:
    if run is None:
        return {}
    unknown = isinstance(run.base_lr, Unless) and callable(run.optimizer)
    rate = {} if unknown else {"base_lr": run.base_lr}
    return {"schedule": get_schedule(run.schedule).name, "seed": run.seed, **rate, **run.params}


def _ended(history: History) -> dict[str, Any]:
    finals = {f"val_{name}": history.of(name)[-1] for name in ("loss", *history.metrics)}
    return {**finals, "diverged": history.diverged_at is not None}


def _plain(value: Any) -> float | str:
    """Return Python's own number, or text."""
    if isinstance(value, bool | Integral):
        return value if isinstance(value, bool) else int(value)
    return float(value) if isinstance(value, Real) else str(value)
