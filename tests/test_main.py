import re
import subprocess
import sys

import pytest
from matplotlib.image import imread

from lrsched_kit.__main__ import main

LINE = re.compile(r"\[(\w+)\] Epoch (\d+), Loss: \d+\.\d{4}, LR: (\d+\.\d{6})")


def compare(tmp_path, capsys, *options):
    code = main(["compare", "--out", str(tmp_path / "schedules.png"), *options])
    return code, capsys.readouterr()


def rates(text, name):
    return [lr for found, _, lr in LINE.findall(text) if found == name]


def test_compare_prints_what_the_tutorial_promises(tmp_path, capsys):
    code, printed = compare(tmp_path, capsys)
    assert code == 0
    assert rates(printed.out, "StepLR")[:10] == ["0.010000"] * 5 + ["0.001000"] * 5
    assert rates(printed.out, "ExponentialLR")[1] == "0.009500"
    assert rates(printed.out, "CosineAnnealingLR")[10] == "0.005000"
    *lines, last = printed.out.splitlines()
    assert len(lines) == 60
    assert all(LINE.fullmatch(line) for line in lines)
    assert last.startswith("Rates and losses are drawn in")


def test_all_schedules_start_from_the_same_weights(tmp_path, capsys):
    _, printed = compare(tmp_path, capsys)
    first = re.findall(r"Epoch 1, Loss: (\S+),", printed.out)
    assert len(first) == 3
    assert len(set(first)) == 1


def test_the_picture_holds_rates_and_losses_side_by_side(tmp_path, capsys):
    compare(tmp_path, capsys, "--epochs", "2")
    height, width, _ = imread(tmp_path / "schedules.png").shape
    assert width / height == pytest.approx(20 / 6, rel=0.01)


def test_schedules_data_length_and_rate_can_be_chosen(tmp_path, capsys):
    _, printed = compare(
        tmp_path, capsys,
        *("--schedule", "ReduceLROnPlateau", "--schedule", "Constant"),
        *("--data", "digits", "--epochs", "3", "--lr", "0.5", "--seed", "4"),
    )  # fmt: skip
    assert rates(printed.out, "ReduceLROnPlateau") == ["0.500000"] * 3
    assert rates(printed.out, "Constant") == ["0.500000"] * 3


def test_plateau_acts_on_a_real_validation_loss(tmp_path, capsys):
    _, printed = compare(tmp_path, capsys, "--schedule", "ReduceLROnPlateau", "--lr", "0.3")
    found = [float(rate) for rate in rates(printed.out, "ReduceLROnPlateau")]
    assert found[0] == 0.3
    assert found[-1] <= 0.03


def test_a_diverging_run_is_reported_and_the_others_go_on(tmp_path, capsys):
    code, printed = compare(
        tmp_path, capsys, "--schedule", "Constant", "--schedule", "StepLR", "--lr", "50"
    )
    assert code == 0
    assert re.search(r"\[Constant\] diverged at epoch \d+", printed.out)
    assert "[StepLR] Epoch 1," in printed.out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--schedule", "StepLRR"], "did you mean 'StepLR'?"),
        (["--epochs", "0"], "epochs must be a positive integer, got 0."),
        (["--lr", "-1"], "lr must be a positive number, got -1.0."),
        (["--lr", "nan"], "lr must be a positive number, got nan."),
    ],
)
def test_bad_options_are_told_in_a_line(tmp_path, capsys, options, message):
    code, printed = compare(tmp_path, capsys, *options)
    assert code == 2
    assert message in printed.err
    assert printed.out == ""


def test_check_reports_versions_and_tries_a_lab(capsys):
    assert main(["check"]) == 0
    printed = capsys.readouterr().out
    for word in ("Python 3.", "torch 2.", "ipywidgets 8.", "threads", "a lab trained"):
        assert word in printed


@pytest.mark.parametrize("unbuffered", [True, False])
def test_a_reader_of_the_pipe_who_leaves_early_is_no_error(tmp_path, unbuffered):
    command = [sys.executable, *(["-u"] if unbuffered else []), "-m", "lrsched_kit", "compare"]
    command += ["--epochs", "1", "--out", str(tmp_path / "schedules.png")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()  # as "head -1" does, only sooner
        errors = process.stderr.read()
        assert process.wait(60) == 0
    assert errors == b""
