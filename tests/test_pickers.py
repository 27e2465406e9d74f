"""What is trained, with which optimizer, and when the scheduler steps: the menus of a lab."""

import contextlib
import io

import numpy as np
import pytest
import torch
from torch import nn
from waiting import put_back

from lrsched_kit import (
    CNN,
    MODELS,
    RangeTestLab,
    ScheduleLab,
    SimpleNet,
    SweepLab,
    load_digits,
    make_optimizer,
    seeded,
    suggest_base_lr,
    toy_regression,
    trace_lr,
    train,
)
from lrsched_kit.labs.subjects import make_subjects
from lrsched_kit.tasks.advice import get_advice
from lrsched_kit.tasks.optimizers import RULES
from lrsched_kit.training.fleet import Fleet

QUICK = {"epochs": 1, "seeds": 1}


@pytest.fixture(scope="module")
def shared():
    """A lab for all tests; those that only look take it as it is."""
    lab = ScheduleLab("StepLR", step_size=3, **QUICK)
    assert lab.wait(60)
    yield lab
    lab.close()


@pytest.fixture
def lab(shared):
    """The same for a test that moves something."""
    yield shared
    put_back(shared)


def test_every_model_trains_with_every_optimizer():
    lab = ScheduleLab("StepLR", batch_size=100, **QUICK)
    for model in MODELS:
        for optimizer in RULES:
            lab.controls["model"].value = model
            lab.controls["optimizer"].value = optimizer
            assert lab.wait(60)
            (run,) = lab.histories["StepLR"]
            assert run.diverged_at is None
            assert run.lr[0] == lab.controls["base_lr"].value
    lab.close()


def test_a_new_choice_suggests_a_base_lr_and_keeps_the_schedules_settings(lab):
    lab.controls["model"].value = "Transformer"
    lab.controls["optimizer"].value = "adam"
    assert lab.controls["base_lr"].value == pytest.approx(
        suggest_base_lr("Transformer", "adam"), rel=0.06
    )
    assert lab.controls["step_size"].value == 3
    assert lab.wait(60)


def test_the_suggestion_does_not_depend_on_what_the_menus_are_called(lab):
    for name in ("model", "optimizer"):
        lab.controls[name].description = "another language"
    lab.controls["optimizer"].value = "adam"
    assert lab.controls["base_lr"].value == pytest.approx(suggest_base_lr("MLP", "adam"), rel=0.06)
    assert lab.wait(60)


def test_reset_goes_back_to_the_first_model_and_its_base_lr(lab):
    lab.controls["model"].value = "LSTM"
    lab.controls["optimizer"].value = "sgd"
    lab.controls["reset"].click()
    assert lab.wait(60)
    picked = [lab.controls[name].value for name in ("model", "optimizer", "base_lr")]
    assert picked == ["MLP", "momentum", 0.1]


def test_the_tutorials_task_brings_its_own_data(lab):
    lab.controls["model"].value = "SimpleNet"
    assert lab.wait(60)
    (run,) = lab.histories["StepLR"]
    assert len(run.lr) == 1  # one batch of 32 rows
    assert np.isnan(run.val_accuracy).all()


def test_a_lab_may_start_with_any_model_of_the_kit():
    lab = ScheduleLab("StepLR", make_model=CNN, **QUICK)
    assert lab.controls["model"].value == "CNN"
    assert lab.controls["base_lr"].value == suggest_base_lr("CNN", "momentum")
    lab.close()


class Mine(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(64, 10)

    def forward(self, x):
        return self.fc(x)


def test_with_a_model_of_ones_own_there_is_no_other_choice():
    lab = ScheduleLab("StepLR", make_model=Mine, **QUICK)
    assert lab.controls["model"].options == ("Mine",)
    assert lab.controls["model"].disabled
    lab.controls["optimizer"].value = "adam"
    assert lab.wait(60)
    assert lab.controls["base_lr"].value == 0.1  # nothing is known that would suit it better
    lab.close()


def test_data_of_ones_own_leaves_the_model_that_was_given():
    lab = ScheduleLab("StepLR", make_model=SimpleNet, data=toy_regression(seed=1), **QUICK)
    assert lab.controls["model"].options == ("SimpleNet",)
    lab.close()


def test_a_model_that_cannot_train_in_a_lab_is_refused_by_name():
    with pytest.raises(ValueError, match=r"Linear.*give it 10 outputs, one per class"):
        ScheduleLab("StepLR", make_model=lambda: nn.Linear(64, 9), **QUICK)


# Models that cannot train together with others


def with_dropout():
    return nn.Sequential(nn.Linear(64, 10), nn.BatchNorm1d(10), nn.Dropout(0.1))


@pytest.fixture(scope="module")
def shared_alone():
    lab = ScheduleLab("StepLR", make_model=with_dropout, epochs=2, step_size=1, batch_size=100)
    assert lab.wait(60)
    yield lab
    lab.close()


@pytest.fixture
def alone(shared_alone):
    yield shared_alone
    put_back(shared_alone)


def test_such_a_model_opens_with_fewer_seeds_and_a_line_that_says_why(alone):
    assert {len(runs) for runs in alone.histories.values()} == {3}
    assert alone.summary.splitlines()[-1] == (
        "Trained run by run, on 3 seeds, as this model cannot train together with others: "
        "it draws random numbers (dropout)."
    )


def test_such_a_lab_trains_what_train_would(alone):
    alone.controls["gamma"].value = 0.5
    assert alone.wait(60)
    for seed, history in enumerate(alone.histories["StepLR"]):
        model = seeded(with_dropout, seed)
        optimizer = make_optimizer("momentum", model.parameters(), 0.1)
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
        options = {"epochs": 2, "batch_size": 100, "seed": seed}
        expected = train(model, load_digits(), optimizer, scheduler, **options)
        assert history.val_loss.tolist() == expected.val_loss.tolist()


def test_such_a_lab_shows_the_first_seed_of_both_curves_first(monkeypatch):
    rounds = []
    original = Fleet.train

    def noting(fleet, runs, **options):
        rounds.append([(run.schedule.name == "Constant", run.seed) for run in runs])
        return original(fleet, runs, **options)

    monkeypatch.setattr(Fleet, "train", noting)
    lab = ScheduleLab("StepLR", make_model=with_dropout, epochs=1, batch_size=200)
    assert lab.wait(60)
    assert rounds == [[(False, seed), (True, seed)] for seed in range(3)]
    lab.close()


class Halved(torch.autograd.Function):
    """Halves gradients on their way back."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        return grad / 2


class WithFunction(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(64, 10)

    def forward(self, x):
        return Halved.apply(self.fc(x))


def test_a_derivative_of_ones_own_is_named_as_the_reason():
    lab = ScheduleLab("StepLR", make_model=WithFunction, epochs=1, batch_size=200)
    assert lab.wait(60)
    assert lab.summary.splitlines()[-1].startswith("Trained run by run, on 3 seeds, ")
    lab.close()


def printed_by(lab, **names):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(compile(lab.code, "show_code.py", "exec"), names)
    return [float(line.split()[-1]) for line in out.getvalue().splitlines()]


def test_show_code_of_such_a_lab_prints_its_losses(alone):
    printed = printed_by(alone, with_dropout=with_dropout)
    assert printed == pytest.approx(alone.histories["StepLR"][0].val_loss, abs=1e-4)


def test_show_code_tells_a_plateau_what_the_lab_tells_it():
    options = {"mode": "max", "patience": 0, "base_lr": 0.5, "epochs": 4, "seeds": 1}
    lab = ScheduleLab("ReduceLROnPlateau", batch_size=100, **options)
    assert lab.wait(60)
    (run,) = lab.histories["ReduceLROnPlateau"]
    assert printed_by(lab) == pytest.approx(run.val_loss, rel=0.2)  # then rounding grows
    assert run.epoch_lr[-1] < 0.5
    lab.close()


def test_such_a_lab_trains_as_many_seeds_as_it_is_told():
    lab = ScheduleLab("StepLR", make_model=with_dropout, batch_size=200, **QUICK)
    assert lab.wait(60)
    assert {len(runs) for runs in lab.histories.values()} == {1}
    lab.close()


# An optimizer of the reader's own


def two_rates(model):
    groups = [
        {"params": model.fc1.parameters()},
        {"params": model.fc2.parameters(), "lr": 0.001},
    ]
    return torch.optim.SGD(groups, lr=0.1, momentum=0.9)


def test_the_slider_moves_all_parameter_groups_in_proportion():
    options = {"step_size": 1, "epochs": 2, "seeds": 1, "batch_size": 100}
    lab = ScheduleLab("StepLR", make_optimizer=two_rates, **options)
    assert lab.controls["optimizer"].options == ("two_rates",)
    assert lab.controls["base_lr"].value == 0.1
    lab.controls["base_lr"].value = 0.02
    assert lab.wait(60)
    (run,) = lab.histories["StepLR"]
    first, second = run.group_lr.reshape(2, 2, -1)[:, :, 0]
    assert first.tolist() == [0.02, pytest.approx(0.002)]
    assert second.tolist() == [pytest.approx(0.0002), pytest.approx(0.00002)]
    assert "Parameter group 2: the rate goes from 0.0002 to 2e-05." in lab.summary
    printed = printed_by(lab, two_rates=two_rates)
    assert printed == pytest.approx(run.val_loss, abs=1e-3)
    lab.close()


# A metric that is named


def test_the_verdict_follows_the_metric():
    lab = ScheduleLab("CosineAnnealingLR", metric="accuracy", epochs=3, seeds=2, batch_size=50)
    assert lab.wait(60)
    assert "Final validation accuracy (mean of 2 seeds): CosineAnnealingLR 0." in lab.summary
    assert "CosineAnnealingLR is higher in accuracy on " in lab.summary
    lab.close()


def test_a_map_has_the_same_menus():
    lab = SweepLab("StepLR", {"gamma": [0.1, 0.5], "step_size": [1, 2]}, **QUICK)
    lab.controls["model"].value = "CNN"
    lab.controls["optimizer"].value = "adamw"
    assert lab.wait(60)
    (run,) = lab.sweep.histories[0, 0]
    assert run.lr[0] == pytest.approx(suggest_base_lr("CNN", "adamw"), rel=0.06)
    lab.close()


# The time unit


def test_a_schedule_steps_as_practice_has_it():
    lab = ScheduleLab("OneCycleLR", epochs=2, seeds=1)
    assert lab.controls["step_every"].value == "batch"
    assert lab.wait(60)
    (run,) = lab.histories["OneCycleLR"]
    assert run.lr.tolist() == trace_lr("OneCycleLR", base_lr=0.1, steps=len(run.lr)).tolist()
    axis = lab._work.picture._panels._rate_ax
    assert axis.get_xlabel() == "epoch (scheduler steps every batch)"
    lab.close()


def test_the_switch_shows_what_the_wrong_unit_does(lab):
    lab.controls["step_every"].value = "batch"
    assert lab.wait(60)
    (run,) = lab.histories["StepLR"]
    assert len(run.lr) == 88
    assert run.lr.tolist() == trace_lr("StepLR", base_lr=0.1, steps=88, step_size=3).tolist()


def test_where_a_metric_decides_there_is_no_other_unit():
    lab = ScheduleLab("ReduceLROnPlateau", **QUICK)
    assert lab.controls["step_every"].options == ("epoch",)
    lab.close()


def test_show_code_steps_in_the_same_unit(lab):
    lab.controls["step_every"].value = "batch"
    (line,) = [line for line in lab.code.splitlines() if "scheduler.step()" in line]
    assert line.startswith(" " * 8)


# Values that do not go together


def test_they_are_told_in_words_and_the_run_before_stays():
    lab = ScheduleLab("CosineAnnealingLR", eta_min=0.01, **QUICK)
    assert lab.wait(60)
    before = lab.histories
    lab.controls["base_lr"].value = 0.001
    assert lab.wait(60)
    assert lab.summary.startswith("Not trained: eta_min must be at most base_lr")
    assert lab.histories is before
    lab.controls["base_lr"].value = 0.05
    assert lab.wait(60)
    assert lab.histories["CosineAnnealingLR"][0].lr[0] == 0.05
    lab.close()


def test_they_are_refused_when_the_lab_is_made():
    with pytest.raises(ValueError, match="eta_min must be at most base_lr"):
        ScheduleLab("CosineAnnealingLR", base_lr=0.001, eta_min=0.01, **QUICK)


def test_a_range_test_has_the_same_menus():
    lab = RangeTestLab(steps=20, batch_size=100, **QUICK)
    lab.controls["model"].value = "LSTM"
    lab.controls["optimizer"].value = "adam"
    assert lab.wait(60)
    assert lab.histories
    lab.close()


@pytest.mark.parametrize(
    "make",
    [
        lambda: ScheduleLab("StepLR", batch_size=100, **QUICK),
        lambda: RangeTestLab(steps=20, batch_size=100, **QUICK),
    ],
    ids=["schedule", "range test"],
)
def test_a_lab_makes_models_on_the_thread_of_its_cell_only(make, monkeypatch):
    lab = make()
    assert lab.wait(60)
    # Whoever draws random numbers while another thread makes a model changes that model.
    monkeypatch.setattr(nn.init, "kaiming_uniform_", None)
    lab.controls["model"].value = "LSTM"
    assert lab.wait(60)
    lab.close()


def test_a_pin_is_out_of_the_picture_while_another_kind_of_loss_is_shown(lab):
    def shown():
        return sum(slot._val.get_visible() for slot in lab._work.picture._panels._slots)

    lab.controls["pin"].click()
    assert lab.wait(60)
    assert shown() == 3
    lab.controls["model"].value = "SimpleNet"  # mean squared error
    assert lab.wait(60)
    assert shown() == 2
    lab.controls["model"].value = "CNN"  # cross-entropy again
    assert lab.wait(60)
    assert shown() == 3


def test_a_model_of_the_kit_keeps_its_advised_batch_size_on_data_of_ones_own():
    (subject,) = make_subjects(MODELS["Transformer"], load_digits(0.0), None, 1).values()
    assert subject.batch_size == get_advice("Transformer").batch_size
