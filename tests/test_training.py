import math
from dataclasses import replace
from types import FunctionType

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import ExponentialLR, OneCycleLR, ReduceLROnPlateau, StepLR

from lrsched_kit import (
    MLP,
    Dataset,
    SimpleNet,
    evaluate,
    get_schedule,
    load_digits,
    seeded,
    toy_regression,
    trace_lr,
    train,
)
from lrsched_kit.training.threads import one_thread

DIGITS = load_digits()


def sgd(model, lr=0.1):
    return torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)


def run(scheduler=None, *, seed=0, lr=0.1, epochs=2, **options):
    """Train an MLP on digits; ``scheduler`` is a function of the optimizer."""
    model = seeded(MLP, seed)
    optimizer = sgd(model, lr)
    made = scheduler(optimizer) if scheduler else None
    return train(model, DIGITS, optimizer, made, epochs=epochs, seed=seed, **options)


@pytest.mark.parametrize("name", ["Constant", "StepLR", "ExponentialLR", "CosineAnnealingLR"])
def test_applied_rates_are_the_traced_ones(name):
    history = run(lambda opt: get_schedule(name).build(opt, total_steps=4), epochs=4)
    assert history.epoch_lr.tolist() == trace_lr(name, base_lr=0.1, steps=4).tolist()
    assert history.lr.shape == (4 * 88,)


def test_rates_change_each_batch_when_asked_to():
    history = run(lambda opt: ExponentialLR(opt, 0.99), step_every="batch")
    assert (
        history.lr.tolist()
        == trace_lr("ExponentialLR", base_lr=0.1, steps=176, gamma=0.99).tolist()
    )


def test_rates_are_read_from_the_optimizer_even_if_somebody_else_moves_them():
    model = seeded(MLP, 0)
    optimizer = sgd(model)

    def halve(epoch, history):
        optimizer.param_groups[0]["lr"] /= 2

    history = train(model, DIGITS, optimizer, epochs=3, on_epoch=halve)
    assert history.epoch_lr.tolist() == [0.1, 0.05, 0.025]


def test_same_seed_same_result():
    first, second = run(seed=3), run(seed=3)
    assert first.train_loss.tolist() == second.train_loss.tolist()
    assert first.val_loss.tolist() == second.val_loss.tolist()
    assert run(seed=4).train_loss.tolist() != first.train_loss.tolist()


def test_the_schedule_does_not_change_weights_or_batches():
    constant, step = run(), run(lambda opt: StepLR(opt, step_size=1))
    assert constant.train_loss[0] == step.train_loss[0]  # the first epoch has the same rate
    assert constant.train_loss[1] != step.train_loss[1]


def test_losses_are_those_of_a_loop_written_out_by_hand():
    model, twin = seeded(MLP, 1), seeded(MLP, 1)
    history = train(model, DIGITS, sgd(model), epochs=2, batch_size=32, seed=1)
    optimizer, order = sgd(twin), torch.Generator().manual_seed(1)
    for epoch in range(2):
        total = 0.0
        for rows in torch.randperm(1400, generator=order).split(32):
            loss = torch.nn.functional.cross_entropy(
                twin(DIGITS.x_train[rows]), DIGITS.y_train[rows]
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(rows)
        assert history.train_loss[epoch] == pytest.approx(total / 1400, rel=1e-5)
        assert history.val_loss[epoch] == pytest.approx(evaluate(twin, DIGITS)[0], rel=1e-4)


def test_plateau_is_told_the_validation_loss():
    def plateau(opt):
        return ReduceLROnPlateau(opt, patience=0, factor=0.5)

    history = run(plateau, epochs=6, lr=0.2)
    expected = trace_lr(
        "ReduceLROnPlateau", base_lr=0.2, steps=6, metrics=history.val_loss, patience=0, factor=0.5
    )
    assert history.epoch_lr.tolist() == expected.tolist()
    assert history.epoch_lr[-1] < 0.2


def test_accuracy_counts_right_answers_and_is_nan_for_a_regression():
    assert run().val_accuracy[-1] > 0.5
    model, toy = seeded(SimpleNet, 0), toy_regression()
    history = train(model, toy, sgd(model, 0.01), epochs=1, batch_size=32)
    assert math.isnan(history.val_accuracy[0])


def test_a_diverging_run_ends_there_and_says_when():
    model, toy = seeded(SimpleNet, 0), toy_regression()
    history = train(model, toy, sgd(model, 50.0), epochs=10, batch_size=32)
    end = history.diverged_at
    assert 0 < end < 9
    assert np.isfinite(history.val_loss[:end]).all()
    assert np.isnan(history.val_loss[end + 1 :]).all()
    assert np.isnan(history.lr[end + 1 :]).all()
    assert history.finished == end


def test_on_epoch_sees_the_record_grow():
    seen = []
    run(epochs=3, on_epoch=lambda epoch, history: seen.append((epoch, history.finished)))
    assert seen == [(0, 1), (1, 2), (2, 3)]


def test_records_are_one_row_per_epoch():
    history = run(epochs=2)
    first, second = history.records()
    assert list(first) == ["epoch", "lr", "train_loss", "val_loss", "val_accuracy"]
    assert [first["epoch"], second["epoch"]] == [0, 1]
    assert second["val_loss"] == history.val_loss[1]


def test_records_hold_the_rate_of_every_parameter_group():
    model = seeded(MLP, 0)
    groups = [{"params": model.fc1.parameters()}, {"params": model.fc2.parameters(), "lr": 0.01}]
    history = train(model, DIGITS, torch.optim.SGD(groups, lr=0.1), epochs=1, batch_size=200)
    (record,) = history.records()
    assert (record["lr"], record["lr_1"]) == (0.1, 0.01)


def test_should_stop_ends_within_one_step():
    answers = iter([False] * 100 + [True] * 10)
    history = run(epochs=3, should_stop=lambda: next(answers))
    assert np.isfinite(history.lr).sum() == 100
    assert history.finished == 1


@pytest.mark.usefixtures("two_threads")
def test_the_process_keeps_its_thread_count():
    during = []
    run(epochs=1, on_epoch=lambda *_: during.append(torch.get_num_threads()))
    assert during == [1]
    assert torch.get_num_threads() == 2


def test_a_model_with_batch_norm_and_dropout_trains():
    model = nn.Sequential(nn.Linear(64, 16), nn.BatchNorm1d(16), nn.Dropout(0.1), nn.Linear(16, 10))
    before = model[1].num_batches_tracked.item()
    history = train(model, DIGITS, sgd(model), epochs=1)
    assert history.finished == 1
    assert model[1].num_batches_tracked.item() == before + 88  # trying it out left no trace


def parts(**changed):
    model = seeded(MLP, 0)
    optimizer = sgd(model)
    given = {"model": model, "data": DIGITS, "optimizer": optimizer, "epochs": 1}
    return given | {k: v(given) if isinstance(v, FunctionType) else v for k, v in changed.items()}


OTHER = seeded(MLP, 9)
WIDE = Dataset(
    "wide", torch.zeros(4, 9), torch.zeros(4).long(), torch.zeros(4, 9), torch.zeros(4).long()
)
RECURRENT = nn.LSTM(64, 10)  # its output is a tuple
FOUR = nn.Sequential(nn.Linear(64, 4))
BAD = {
    "model must fit data 'digits', got 4 outputs from module '0' (Linear(in_features=64, "
    "out_features=4, bias=True)): give it 10 outputs, one per class.": {
        "model": FOUR,
        "optimizer": lambda given: sgd(FOUR),
    },
    "y_train must hold classes counted from 0, got -1.": {
        "data": replace(DIGITS, y_train=DIGITS.y_train - 1)
    },
    "model must fit data 'digits' (inputs of shape (64,), labels of shape ()), got LSTM": {
        "model": RECURRENT,
        "optimizer": lambda given: sgd(RECURRENT),
    },
    "epochs must be a positive integer, got 0.": {"epochs": 0},
    "epochs must be a positive integer, got 1.5.": {"epochs": 1.5},
    "batch_size must be a positive integer, got 0.": {"batch_size": 0},
    "step_every must be 'epoch' or 'batch', got 'week'.": {"step_every": "week"},
    "step_every must be 'epoch' for ReduceLROnPlateau": {
        "step_every": "batch",
        "scheduler": lambda given: ReduceLROnPlateau(given["optimizer"]),
    },
    "scheduler must drive the optimizer that trains": {"scheduler": StepLR(sgd(OTHER), 1)},
    "optimizer must hold parameters of the model that trains": {"optimizer": sgd(OTHER)},
    "total_steps must be at least 88, the scheduler steps taken by the end of this run, got 87": {
        "step_every": "batch",
        "scheduler": lambda given: OneCycleLR(given["optimizer"], 0.1, total_steps=87),
    },
    "model must fit data 'wide' (inputs of shape (9,), labels of shape ()), got MLP": {
        "data": WIDE
    },
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input_is_refused_before_anything_is_trained(message):
    given = parts(**BAD[message])
    before = [p.clone() for p in given["model"].parameters()]
    with pytest.raises(ValueError) as error:
        train(**given)
    assert message in str(error.value)
    assert all(torch.equal(p, q) for p, q in zip(given["model"].parameters(), before, strict=True))


@pytest.mark.usefixtures("two_threads")
def test_a_training_within_another_leaves_torch_to_one_thread():
    with one_thread():
        with one_thread():
            pass
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2
