"""Take a run along: its picture as PNG, its numbers as CSV."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path

from ..plotting import plot_histories
from ..training import History

COLUMNS = ("curve", "seed", "epoch", "lr", "train_loss", "val_loss", "val_accuracy")


def save_run(
    histories: Mapping[str, Sequence[History]], folder: Path, name: str, loss_label: str
) -> list[Path]:
    """Write ``name-N.png`` and ``name-N.csv`` with the first N not yet taken; return both paths.

    The table has one row per curve, seed and epoch (counted from 1); ``lr`` is the rate applied
    at the epoch's first update.
    """
    folder.mkdir(parents=True, exist_ok=True)
    number = next(n for n in count(1) if not any(folder.glob(f"{name}-{n}.*")))
    table, picture = (folder / f"{name}-{number}.{ending}" for ending in ("csv", "png"))
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for label, runs in histories.items():
            for seed, run in enumerate(runs):
                for epoch in range(run.epochs):
                    writer.writerow(
                        [
                            label,
                            seed,
                            epoch + 1,
                            run.epoch_lr[epoch],
                            run.train_loss[epoch],
                            run.val_loss[epoch],
                            run.val_accuracy[epoch],
                        ]
                    )
    plot_histories(histories, loss_label=loss_label)[0].figure.savefig(picture)
    return [picture, table]
