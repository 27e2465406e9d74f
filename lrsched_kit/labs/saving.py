"""Take a run along: its picture as PNG, its numbers as CSV."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from itertools import chain, count
from pathlib import Path
from typing import cast

from matplotlib.figure import Figure

from ..plotting.histories import plot_histories
from ..training.history import History

COLUMNS = ("curve", "seed", "epoch", "lr", "train_loss", "val_loss", "val_accuracy")


def save_run(
    histories: Mapping[str, Sequence[History]], folder: Path, name: str, loss_label: str
) -> list[Path]:
    """Write ``name-N.png`` and ``name-N.csv`` with the first N not yet taken; return both paths.

    The table has one row per curve, seed and epoch (counted from 1); ``lr`` is the rate applied
    at the epoch's first update. Further parameter groups have columns ``lr_group_2`` and so on,
    further metrics columns ``val_`` and their name; what a run has not is left empty.
    """
    folder.mkdir(parents=True, exist_ok=True)
    number = next(n for n in count(1) if not any(folder.glob(f"{name}-{n}.*")))
    table, picture = (folder / f"{name}-{number}.{ending}" for ending in ("csv", "png"))
    rows = [
        {"curve": label, "seed": seed, "epoch": epoch + 1, **_numbers(run, epoch)}
        for label, runs in histories.items()
        for seed, run in enumerate(runs)
        for epoch in range(run.epochs)
    ]
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys([*COLUMNS, *chain(*rows)])))
        writer.writeheader()
        writer.writerows(rows)
    axes = plot_histories(histories, loss_label=loss_label)
    cast(Figure, axes[0].figure).savefig(picture)
    return [picture, table]


def _numbers(run: History, epoch: int) -> dict[str, float]:
    """Return what a run has to say of an epoch, by column."""
    rates = run.group_lr.reshape(len(run.group_lr), run.epochs, -1)[:, epoch, 0]
    names = ["lr", *(f"lr_group_{group}" for group in range(2, len(rates) + 1))]
    return {
        **dict(zip(names, rates, strict=True)),
        "train_loss": run.train_loss[epoch],
        "val_loss": run.val_loss[epoch],
        "val_accuracy": run.val_accuracy[epoch],
        **{f"val_{name}": values[epoch] for name, values in run.metrics.items()},
    }
