import csv

import numpy as np
import pytest

from lrsched_kit import History
from lrsched_kit.labs.schedule_lab import save_run

pytestmark = pytest.mark.usefixtures("drawn")


def run(groups=1, metrics=()):
    made = History.empty(2, 3, groups=groups, metrics=metrics)
    made.group_lr[:] = np.arange(1, groups + 1)[:, None]
    for losses in (made.train_loss, made.val_loss, *made.metrics.values()):
        losses[:] = 0.5, 0.25
    return made


def table(histories, folder):
    _, path = save_run(histories, folder, "run", "loss")
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_table_has_a_row_for_each_curve_seed_and_epoch(tmp_path):
    rows = table({"StepLR": [run(), run()]}, tmp_path)
    assert list(rows[0]) == [
        "curve", "seed", "epoch", "lr", "train_loss", "val_loss", "val_accuracy"
    ]  # fmt: skip
    assert [(row["seed"], row["epoch"]) for row in rows] == [
        ("0", "1"), ("0", "2"), ("1", "1"), ("1", "2")
    ]  # fmt: skip


def test_every_group_and_every_metric_has_a_column(tmp_path):
    rows = table({"StepLR": [run(groups=3, metrics=("accuracy", "f1"))]}, tmp_path)
    assert [rows[1][name] for name in ("lr", "lr_group_2", "lr_group_3")] == ["1.0", "2.0", "3.0"]
    assert (rows[1]["val_accuracy"], rows[1]["val_f1"]) == ("0.25", "0.25")


def test_what_a_run_has_not_is_left_empty(tmp_path):
    rows = table({"StepLR": [run(groups=2)], "Constant": [run()]}, tmp_path)
    assert [row["lr_group_2"] for row in rows] == ["2.0", "2.0", "", ""]
