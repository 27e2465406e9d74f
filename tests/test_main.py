import io
import os
import re
import sys
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

import lrsched_kit as kit
from lrsched_kit.__main__ import main

LINE = re.compile(r"\[(\w+)\] Epoch (\d+), Loss: (\d+\.\d{4}), LR: (\d+\.\d{6})")


def compare(folder, capsys, *options):
    code = main(["compare", "--seeds", "1", "--out", str(folder / "schedules.png"), *options])
    return code, capsys.readouterr()


def rates(text, name):
    return [lr for found, _, _, lr in LINE.findall(text) if found == name]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("compare")


@pytest.fixture(scope="module")
def printed(folder):
    """What `python -m lrsched_kit compare` says without any choice of one's own."""
    source = Path(kit.__file__).with_name("__main__.py").read_text(encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as text:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["lrsched_kit", "compare"])
        with pytest.raises(SystemExit, match=r"^0$"):
            exec(source, {"__name__": "__main__", "__package__": "lrsched_kit"})
    return text.getvalue()


def test_compare_prints_what_the_tutorial_promises(printed):
    assert rates(printed, "StepLR")[:10] == ["0.010000"] * 5 + ["0.001000"] * 5
    assert rates(printed, "ExponentialLR")[1] == "0.009500"
    assert rates(printed, "CosineAnnealingLR")[10] == "0.005000"
    lines = [line for line in printed.splitlines() if line.startswith("[")]
    assert len(lines) == 20 * len(kit.BASICS)
    assert all(LINE.fullmatch(line) for line in lines)
    assert printed.splitlines()[-1] == "Rates and losses are drawn in schedules.png"


def test_compare_means_what_the_function_means(printed):
    schedules = {name: {} for name in kit.BASICS} | {"ExponentialLR": {"gamma": 0.95}}
    found = kit.compare(
        schedules,
        epochs=20,
        base_lr=0.01,
        data=kit.toy_regression(seed=0),
        make_model=kit.SimpleNet,
        optimizer="sgd",
        batch_size=32,
    )
    assert found.table() in printed
    losses = [float(loss) for name, _, loss, _ in LINE.findall(printed) if name == "StepLR"]
    np.testing.assert_allclose(losses, found.histories["StepLR"][0].train_loss, atol=5.1e-5)


def test_all_schedules_start_from_the_same_weights(printed):
    first = re.findall(r"Epoch 1, Loss: (\S+),", printed)
    assert len(first) == len(kit.BASICS)
    assert len(set(first)) == 1


@pytest.mark.usefixtures("printed")
def test_the_picture_holds_rates_losses_and_final_losses_side_by_side(folder):
    height, width, _ = imread(folder / "schedules.png").shape
    assert width / height == pytest.approx(30 / 6, rel=0.01)


def test_schedules_data_length_and_rate_can_be_chosen(tmp_path, capsys):
    _, printed = compare(
        tmp_path, capsys,
        *("--schedule", "StepLR, gamma=0.5, step_size=2", "--data", "digits"),
        *("--epochs", "3", "--lr", "0.5", "--seed", "4"),
    )  # fmt: skip
    lines = re.findall(r"\[(.*)\] Epoch \d, Loss: \S+, LR: (\S+)", printed.out)
    assert lines == [("Constant", "0.500000")] * 3 + [
        ("StepLR, gamma=0.5, step_size=2", rate) for rate in ("0.500000", "0.500000", "0.250000")
    ]
    assert "validation accuracy" in printed.out


def test_plateau_acts_on_a_real_validation_loss(tmp_path, capsys):
    _, printed = compare(tmp_path, capsys, "--schedule", "ReduceLROnPlateau", "--lr", "0.3")
    found = [float(rate) for rate in rates(printed.out, "ReduceLROnPlateau")]
    assert found[0] == 0.3
    assert found[-1] <= 0.03


def test_a_diverging_run_is_reported_and_the_others_go_on(tmp_path, capsys):
    options = ("--schedule", "Constant", "--schedule", "StepLR", "--lr", "50", "--epochs", "9")
    code, printed = compare(tmp_path, capsys, *options)
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


def test_doctor_reports_versions_and_tries_a_lab(capsys):
    assert main(["doctor"]) == 0
    printed = capsys.readouterr().out
    for word in ("Python 3.", "torch 2.", "ipywidgets 8.", "thread", "a lab trained"):
        assert word in printed


@pytest.mark.parametrize("buffering", [1, -1])  # line by line, or all at once in the end
def test_a_reader_of_the_pipe_who_leaves_early_is_no_error(monkeypatch, tmp_path, buffering):
    read, write = os.pipe()
    os.close(read)  # as "head -1" does, only sooner
    with os.fdopen(write, "w", buffering) as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        options = ["--schedule", "Constant", "--epochs", "1", "--seeds", "1"]
        assert main(["compare", *options, "--out", str(tmp_path / "schedules.png")]) == 0
