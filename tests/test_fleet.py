import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from any_setting import numbers
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from torch import nn

from lrsched_kit.schedules.catalogue import SCHEDULES, get_schedule
from lrsched_kit.tasks.data import load_digits, toy_regression
from lrsched_kit.tasks.models import CNN, LSTM, MLP, SimpleNet, Transformer, seeded
from lrsched_kit.tasks.optimizers import make_optimizer
from lrsched_kit.training import fleet
from lrsched_kit.training.batched import LinearStack, Stack, linear_layers
from lrsched_kit.training.fleet import Fleet, train_many
from lrsched_kit.training.loop import train
from lrsched_kit.training.runs import Run
from lrsched_kit.training.threads import one_thread
from lrsched_kit.training.trial import try_out

DIGITS = load_digits()
PRECISE = DIGITS.to(torch.float64)
SMALL = replace(DIGITS, x_train=DIGITS.x_train[:100], y_train=DIGITS.y_train[:100])
TINY = replace(SMALL, x_val=SMALL.x_val[:30], y_val=SMALL.y_val[:30]).to(torch.float64)


def mlp():
    return MLP().double()


def tanh_net():
    return nn.Sequential(nn.Linear(64, 16), nn.Tanh(), nn.Linear(16, 10)).double()


class ConvNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.norm = nn.GroupNorm(2, 4)
        self.out = nn.Linear(36, 10)

    def forward(self, x):
        x = torch.relu(self.norm(self.conv(x.unflatten(-1, (1, 8, 8)))))
        return self.out(nn.functional.max_pool2d(x, 2).flatten(-3))


def conv_net():
    return ConvNet().double()


def one_by_one(make_model, data, runs, *, epochs, batch_size=16, step_every="epoch"):
    """What the plain loop does with torch's own optimizers: the truth for every test here."""
    per_epoch = -(-len(data.x_train) // batch_size)
    histories = []
    for run in runs:
        unit = run.step_every or step_every
        steps = per_epoch if unit == "batch" else 1
        model = seeded(make_model, run.seed)
        optimizer = make_optimizer(run.optimizer, model.parameters(), run.base_lr)
        build = get_schedule(run.schedule).build
        scheduler = build(optimizer, total_steps=epochs * steps, **run.params)
        options = {"batch_size": batch_size, "seed": run.seed, "step_every": unit}
        histories.append(train(model, data, optimizer, scheduler, epochs=epochs, **options))
    return histories


def assert_equal(histories, expected):
    for mine, truth in zip(histories, expected, strict=True):
        np.testing.assert_array_equal(mine.lr, truth.lr)
        np.testing.assert_allclose(mine.train_loss, truth.train_loss, rtol=1e-9)
        np.testing.assert_allclose(mine.val_loss, truth.val_loss, rtol=1e-9)
        np.testing.assert_array_equal(mine.val_accuracy, truth.val_accuracy)
        assert mine.diverged_at == truth.diverged_at


def assert_same_bits(histories, expected):
    for mine, other in zip(histories, expected, strict=True):
        for name in ("lr", "train_loss", "val_loss", "val_accuracy"):
            np.testing.assert_array_equal(getattr(mine, name), getattr(other, name))


# Equal to the plain loop


@pytest.mark.parametrize("make_model", [mlp, tanh_net])
def test_a_mixed_fleet_does_what_the_plain_loop_does(make_model):
    runs = [
        Run("Constant", optimizer="sgd", seed=3),
        Run("StepLR", {"step_size": 3, "gamma": 0.5}),
        Run("ReduceLROnPlateau", {"patience": 0, "factor": 0.5}, seed=1),
        Run("CosineAnnealingLR", {"T_max": 7}, 0.01, "adam", 1),
        Run("ExponentialLR", {}, 0.01, "adamw", 2),
    ]
    options = {"epochs": 9, "batch_size": 16}
    assert_equal(
        train_many(make_model, TINY, runs, **options), one_by_one(make_model, TINY, runs, **options)
    )


@pytest.mark.parametrize("model", [CNN, LSTM, Transformer])
def test_each_architecture_does_what_the_plain_loop_does(model):
    runs = [
        Run("CosineAnnealingLR", {"T_max": 4}, 0.05),
        Run("StepLR", {"step_size": 2}, 0.05, seed=1),
        Run("ExponentialLR", {}, 0.01, "adam", seed=1),
    ]
    options = {"epochs": 3, "batch_size": 30}

    def precise():
        return model().double()

    assert_equal(
        train_many(precise, TINY, runs, **options), one_by_one(precise, TINY, runs, **options)
    )


@st.composite
def any_run(draw, step_every, total_steps):
    names = [n for n, s in SCHEDULES.items() if step_every == "epoch" or not s.metric_driven]
    schedule = get_schedule(draw(st.sampled_from(names)))
    params = {
        p.name: draw(numbers(p, beyond=False)) for p in schedule.params if draw(st.booleans())
    }
    optimizer = draw(st.sampled_from(["sgd", "momentum", "adam", "adamw"]))
    largest = 0.3 if optimizer in ("sgd", "momentum") else 0.01
    base_lr = draw(st.floats(1e-4, largest))
    # A run that is about to diverge makes rounding errors large.
    rates = {"max_lr": largest, "swa_lr": largest}
    params |= {p.name: rates[p.name] for p in schedule.params if p.name in rates}
    try:
        schedule.check(params, base_lr=base_lr, total_steps=total_steps)
    except ValueError:
        reject()
    return Run(schedule.name, params, base_lr, optimizer, draw(st.integers(0, 5)))


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_any_fleet_does_what_the_plain_loop_does(data):
    step_every = data.draw(st.sampled_from(["epoch", "batch"]))
    epochs, batch_size = data.draw(st.integers(1, 3)), data.draw(st.integers(9, 110))
    total_steps = epochs * (-(-100 // batch_size) if step_every == "batch" else 1)
    runs = data.draw(st.lists(any_run(step_every, total_steps), min_size=1, max_size=6))
    options = {"epochs": epochs, "batch_size": batch_size, "step_every": step_every}
    make_model = data.draw(st.sampled_from([mlp, tanh_net, conv_net]))
    assert_equal(
        train_many(make_model, TINY, runs, **options), one_by_one(make_model, TINY, runs, **options)
    )


@pytest.mark.parametrize("make_model", [SimpleNet, lambda: nn.Linear(10, 2)])
def test_a_regression_does_what_the_plain_loop_does(make_model):
    def precise():
        return make_model().double()

    runs = [Run("StepLR", seed=seed) for seed in range(3)]
    data, options = toy_regression().to(torch.float64), {"epochs": 10, "batch_size": 7}
    assert_equal(
        train_many(precise, data, runs, **options), one_by_one(precise, data, runs, **options)
    )


def test_each_run_may_step_its_scheduler_in_its_own_unit():
    runs = [
        Run("ExponentialLR", {"gamma": 0.9}, seed=1),
        Run("ExponentialLR", {"gamma": 0.9}, seed=1, step_every="batch"),
        Run("WSD", {}, step_every="batch"),
        Run("ReduceLROnPlateau", {"patience": 0}, step_every="epoch"),
    ]
    options = {"epochs": 3, "batch_size": 16}
    histories = train_many(mlp, TINY, runs, **options)
    assert_equal(histories, one_by_one(mlp, TINY, runs, **options))
    assert [len(set(history.lr)) for history in histories[:2]] == [3, 3 * 7]


@pytest.mark.parametrize("step_every", ["epoch", "batch"])
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam", "adamw"])
def test_schedules_that_move_momentum_do_what_they_do_in_the_plain_loop(optimizer, step_every):
    runs = [
        Run("OneCycleLR", {"pct_start": 0.4}, 0.02, optimizer),
        Run("StepLR", {"step_size": 2}, 0.02, optimizer),
        Run("CyclicLR", {"max_lr": 0.03, "cycles": 3}, 0.01, optimizer, 1),
        Run("OneCycleLR", {}, 0.01, optimizer, 2),
    ]
    options = {"epochs": 6, "batch_size": 30, "step_every": step_every}
    assert_equal(train_many(mlp, TINY, runs, **options), one_by_one(mlp, TINY, runs, **options))


def test_momentum_makes_a_difference_where_only_momentum_moves():
    runs = [
        Run(name, params, 0.1, optimizer)
        for optimizer in ("momentum", "sgd")
        for name, params in {"Constant": {}, "CyclicLR": {"max_lr": 0.1}}.items()
    ]
    fixed, moved, *without = (h.val_loss[-1] for h in train_many(mlp, PRECISE, runs, epochs=3))
    assert moved != pytest.approx(fixed, rel=1e-3)
    assert without[0] == pytest.approx(without[1])


def test_frozen_parameters_stay_frozen():
    def half_frozen():
        model = mlp()
        model.fc1.weight.requires_grad_(False)
        return model

    runs, options = [Run("Constant", optimizer="adamw", base_lr=0.01)], {"epochs": 2}
    assert_equal(
        train_many(half_frozen, TINY, runs, **options),
        one_by_one(half_frozen, TINY, runs, **options),
    )


def test_tied_parameters_stay_tied():
    def tied():
        model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64))
        model[2].weight = model[0].weight
        return model.double()

    runs, options = [Run("Constant", seed=seed) for seed in range(2)], {"epochs": 2}
    assert_equal(train_many(tied, TINY, runs, **options), one_by_one(tied, TINY, runs, **options))


# Runs are kept apart


@pytest.mark.parametrize(
    "make_model", [MLP, ConvNet, CNN, LSTM, Transformer, lambda: tanh_net().float()]
)
def test_a_diverging_run_leaves_the_others_alone_to_the_bit(make_model):
    runs = [Run("StepLR", seed=seed) for seed in range(5)]
    sound = train_many(make_model, SMALL, runs, epochs=2, batch_size=30)
    runs[2] = Run("Constant", base_lr=1e38)
    histories = train_many(make_model, SMALL, runs, epochs=2, batch_size=30)
    assert [history.diverged_at for history in histories] == [None, None, 0, None, None]
    assert_same_bits(histories[:2] + histories[3:], sound[:2] + sound[3:])


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam", "adamw"])
def test_linear_layers_and_relus_give_the_same_bits_in_a_fleet_of_any_size(optimizer):
    runs = [Run("StepLR", base_lr=0.01, optimizer=optimizer, seed=seed) for seed in range(5)]
    runs[0] = replace(runs[0], base_lr=1e38)
    histories = train_many(MLP, SMALL, runs, epochs=2, batch_size=30)
    assert histories[0].diverged_at is not None
    for some in (runs[1:], runs[4:]):
        alone = train_many(MLP, SMALL, some, epochs=2, batch_size=30)
        assert_same_bits(alone, histories[-len(some) :])


@pytest.mark.parametrize("base_lr", [1e30, 1e200, 300.0])
def test_a_diverging_run_is_recorded_as_the_plain_loop_records_it(base_lr):
    runs = [Run("StepLR", base_lr=base_lr, optimizer="sgd"), Run("StepLR")]
    mine, sound = train_many(mlp, PRECISE, runs, epochs=3, batch_size=300)
    (truth,) = one_by_one(mlp, PRECISE, runs[:1], epochs=3, batch_size=300)
    assert mine.diverged_at == truth.diverged_at
    np.testing.assert_array_equal(mine.lr, truth.lr)
    np.testing.assert_array_equal(np.isnan(mine.train_loss), np.isnan(truth.train_loss))
    np.testing.assert_array_equal(np.isnan(mine.val_loss), np.isnan(truth.val_loss))
    assert sound.diverged_at is None


def test_when_all_have_diverged_training_ends():
    seen = []
    runs = [Run("Constant", base_lr=1e30, seed=seed) for seed in range(2)]
    train_many(MLP, SMALL, runs, epochs=9, on_epoch=lambda epoch, _: seen.append(epoch))
    assert seen == [0]


@pytest.mark.parametrize("make_model", [MLP, CNN, LSTM, Transformer, lambda: tanh_net().float()])
def test_groups_side_by_side_give_the_same_bits(monkeypatch, make_model):
    runs = [Run("StepLR", seed=seed % 3, optimizer=("sgd", "adam")[seed % 2]) for seed in range(6)]
    options = {"epochs": 2, "batch_size": 30}
    monkeypatch.setattr(fleet, "_WORK_FOR_A_THREAD", 10**12)
    alone = train_many(make_model, SMALL, runs, **options)
    monkeypatch.setattr(fleet, "_WORK_FOR_A_THREAD", 1)
    assert_same_bits(train_many(make_model, SMALL, runs, **options), alone)


def test_a_thousand_runs_come_back_in_order():
    runs = [Run("Constant", base_lr=0.001 * (i + 1), seed=i % 2) for i in range(1024)]
    histories = train_many(SimpleNet, toy_regression(), runs, epochs=1)
    assert [h.lr[0] for h in histories] == [run.base_lr for run in runs]


# Watching and stopping


def test_on_epoch_sees_every_run_as_far_as_it_is_trained():
    finished = []
    runs = [Run("Constant", seed=seed) for seed in range(3)]
    train_many(
        MLP,
        SMALL,
        runs,
        epochs=3,
        on_epoch=lambda epoch, histories: finished.append([h.finished for h in histories]),
    )
    assert finished == [[1] * 3, [2] * 3, [3] * 3]


def test_should_stop_ends_within_one_update():
    asked = []

    def should_stop():
        asked.append(None)
        return len(asked) == 10  # the third update of the second epoch

    runs = [Run("Constant", seed=seed) for seed in range(2)]
    histories = train_many(MLP, SMALL, runs, epochs=5, batch_size=16, should_stop=should_stop)
    assert len(asked) == 10
    for history in histories:
        assert np.isfinite(history.lr).sum() == 9
        assert np.isfinite(history.train_loss).tolist() == [True, False, False, False, False]
        assert history.finished == 1


def test_should_stop_ends_all_groups_side_by_side(monkeypatch):
    monkeypatch.setattr(fleet, "_WORK_FOR_A_THREAD", 1)
    runs = [Run("Constant", seed=seed) for seed in range(4)]
    histories = train_many(MLP, SMALL, runs, epochs=5, should_stop=lambda: True)
    assert all(np.isnan(history.lr).all() for history in histories)


@pytest.mark.parametrize("work", [1, 10**9])
def test_an_error_in_a_callback_comes_out(monkeypatch, work):
    monkeypatch.setattr(fleet, "_WORK_FOR_A_THREAD", work)

    def should_stop():
        raise KeyError("my own mistake")

    with pytest.raises(KeyError, match="my own mistake"):
        train_many(MLP, SMALL, [Run("Constant")] * 4, epochs=1, should_stop=should_stop)


# Threads


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("work", [1, 10**9])
def test_the_thread_setting_is_put_back(monkeypatch, work):
    monkeypatch.setattr(fleet, "_WORK_FOR_A_THREAD", work)
    inside = []
    runs = [Run("Constant", seed=seed) for seed in range(4)]
    train_many(
        MLP, SMALL, runs, epochs=1, on_epoch=lambda *_: inside.append(torch.get_num_threads())
    )
    assert inside == [1]
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_overlapping_trainings_put_the_setting_back():
    seen = []

    def work():
        with one_thread() as own:
            seen.append(own)

    with one_thread():
        worker = threading.Thread(target=work)
        worker.start()
        worker.join()
    check = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    check.start()
    check.join()
    assert seen == [2, 2]


def test_it_may_be_called_on_a_worker_thread():
    found = []
    runs = [Run("StepLR"), Run("Constant", seed=1)]
    worker = threading.Thread(target=lambda: found.extend(train_many(MLP, SMALL, runs, epochs=2)))
    worker.start()
    worker.join()
    assert_same_bits(found, train_many(MLP, SMALL, runs, epochs=2))


def test_others_may_call_their_modules_while_a_fleet_trains():
    fleet, model = Fleet(MLP, SMALL), MLP()
    worker = threading.Thread(target=lambda: fleet.train([Run("Constant")], epochs=90))
    worker.start()
    calls = 0
    while worker.is_alive():
        model(SMALL.x_train)
        calls += 1
    assert calls > 10


def test_random_numbers_of_others_are_left_alone():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    train_many(MLP, SMALL, [Run("Constant")], epochs=1)
    assert torch.equal(torch.rand(3), expected)


# Which way a model takes


class Skip(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(64, 64), nn.Linear(64, 10)

    def forward(self, x):
        return self.fc2(torch.relu(self.fc1(x)) + x)


class OnlyWhenTraining(MLP):
    def forward(self, x):
        return super().forward(x) if self.training else self.fc2(self.fc1(x))


def layers_of(model, data):
    return linear_layers(model, data, try_out(model, data, 16))


@pytest.mark.parametrize("model", [MLP(), nn.Sequential(nn.Linear(64, 10))])
def test_linear_layers_and_relus_take_the_fast_way(model):
    assert layers_of(model, DIGITS)
    assert layers_of(SimpleNet(), toy_regression())


@pytest.mark.parametrize(
    "model",
    [
        Skip(),
        OnlyWhenTraining(),
        nn.Sequential(nn.Linear(64, 32, bias=False), nn.ReLU(), nn.Linear(32, 10)),
        nn.Sequential(nn.Linear(64, 32), nn.Linear(32, 10)),
        nn.Sequential(nn.Linear(64, 32), nn.Sigmoid(), nn.Linear(32, 10)),
        nn.Sequential(nn.Linear(64, 10), nn.ReLU()),
    ],
)
def test_others_take_the_general_way(model):
    assert layers_of(model, DIGITS) == []


def test_both_ways_give_the_same_gradients():
    models = [mlp(), mlp()]
    general = Stack(models, PRECISE)
    fast = LinearStack(models, PRECISE, layers=["fc1", "fc2"])
    x, y = PRECISE.x_train[:60].view(2, 30, 64), PRECISE.y_train[:60].view(2, 30)
    torch.testing.assert_close(fast.backward(x, y), general.backward(x, y))
    torch.testing.assert_close(fast.grads, general.grads)


# What trains by itself, and why


class Branch(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(64, 10)

    def forward(self, x):
        y = self.fc(x)
        return y if y.sum() > 0 else -y


class Noise(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(64, 10)

    def forward(self, x):
        return self.fc(x + torch.randn_like(x))


class Counter(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(64, 10)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls.add_(1)
        return self.fc(x)


class Rows(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.out = nn.LSTM(8, 4, batch_first=True), nn.Linear(4, 10)

    def forward(self, x):
        return self.out(self.lstm(x.unflatten(-1, (8, 8)))[0][:, -1])


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.mix, self.out = nn.MultiheadAttention(8, 2, batch_first=True), nn.Linear(8, 10)

    def forward(self, x):
        x = x.unflatten(-1, (8, 8))
        return self.out(self.mix(x, x, x, need_weights=False)[0].mean(-2))


class SixClasses(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = MLP()
        self.body.fc2 = nn.Linear(32, 6)

    def forward(self, x):
        return self.body(x)


class Cut(MLP):
    def forward(self, x):
        return super().forward(x)[:, :5]  # no layer of its own gives five


def hooked():
    model = MLP()
    model.fc1.register_forward_hook(lambda module, args, output: output * 2)
    return model


@pytest.mark.parametrize(
    ("make_model", "why"),
    [
        (hooked, "it has a hook on 'fc1'"),
        (lambda: nn.Sequential(nn.Dropout(0.1), nn.Linear(64, 10)), "random numbers (dropout)"),
        (Rows, "torch cannot run its LSTM for many models at once"),
        (Attention, "torch cannot run its MultiheadAttention for many models at once"),
        (Branch, "its forward pass branches on what it computes"),
        (Noise, "it draws random numbers (randn_like)"),
    ],
)
def test_what_cannot_be_batched_is_trained_by_itself_and_says_why(make_model, why):
    def precise():
        return make_model().double()

    runs = [Run("StepLR", seed=seed) for seed in range(2)]
    histories = train_many(precise, TINY, runs, epochs=2)
    assert_equal(histories, one_by_one(precise, TINY, runs, epochs=2))
    for history in histories:
        assert why in history.alone


@pytest.mark.parametrize(
    "make_model",
    [Counter, lambda: nn.Sequential(nn.Linear(64, 10), nn.BatchNorm1d(10), nn.Tanh())],
)
def test_buffers_that_change_are_kept_for_each_run(make_model):
    def precise():
        return make_model().double()

    runs = [Run("StepLR", seed=seed, base_lr=(0.1, 0.01)[seed]) for seed in range(2)]
    histories = train_many(precise, TINY, runs, epochs=3)
    assert_equal(histories, one_by_one(precise, TINY, runs, epochs=3))
    assert [history.alone for history in histories] == ["", ""]


def test_an_optimizer_that_is_none_of_the_four_trains_by_itself():
    runs = [Run("StepLR"), Run("StepLR", optimizer=lambda m: torch.optim.Rprop(m.parameters()))]
    together, alone = train_many(MLP, SMALL, runs, epochs=1)
    assert together.alone == ""
    assert alone.alone == "its optimizer is not one of the four that are chosen by name"


def test_in_place_state_is_kept_for_a_regression_too():
    class Counting(SimpleNet):
        def __init__(self):
            super().__init__()
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, x):
            self.calls += 1
            return super().forward(x) * self.calls

    runs, options = [Run("Constant", base_lr=1e-4)], {"epochs": 2, "batch_size": 32}
    assert_equal(
        train_many(Counting, toy_regression(), runs, **options),
        one_by_one(Counting, toy_regression(), runs, **options),
    )


def test_models_of_different_shapes_train_by_themselves():
    def of_its_own_size():
        size = int(torch.randint(8, 32, ()))
        return nn.Sequential(nn.Linear(64, size), nn.ReLU(), nn.Linear(size, 10)).double()

    runs = [Run("Constant", seed=seed) for seed in range(3)]
    histories = train_many(of_its_own_size, TINY, runs, epochs=2)
    assert_equal(histories, one_by_one(of_its_own_size, TINY, runs, epochs=2))
    whys = {history.alone for history in histories}
    assert "its architecture is not that of the first seed's model" in whys


def test_runs_alone_are_watched_and_stopped_like_the_others():
    seen = []

    def should_stop():
        return len(seen) == 1

    def make_model():
        return nn.Sequential(nn.Linear(64, 10), nn.Dropout(0.1))

    runs = [Run("Constant", seed=seed) for seed in range(2)]
    histories = train_many(
        make_model,
        SMALL,
        runs,
        epochs=5,
        on_epoch=lambda epoch, found: seen.append([h.finished for h in found]),
        should_stop=should_stop,
    )
    assert seen == [[1, 1]]
    assert [history.finished for history in histories] == [1, 1]


# What is refused, and in which words


@pytest.mark.parametrize(
    ("make_model", "words"),
    [
        (lambda: torch.tensor(1), "torch.nn.Module, got tensor"),
        (lambda: nn.ReLU(), "nothing to train"),
        (lambda: nn.Linear(10, 10), "model must fit data 'digits'"),
        (lambda: nn.Linear(64, 9), "9 outputs from Linear.*: give it 10 outputs, one per class"),
        (SixClasses, "got 6 outputs from module 'body.fc2' .Linear.*: give it 10 outputs"),
        (Cut, "got 5 outputs from Cut: give it 10 outputs"),
        (lambda: nn.Linear(64, 10).double(), "model must fit data 'digits'"),
    ],
)
def test_a_model_that_does_not_fit_is_refused_by_name(make_model, words):
    with pytest.raises(ValueError, match=words):
        train_many(make_model, DIGITS, [Run("Constant")], epochs=1)


def test_targets_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"3 outputs from Linear.*give it 2 outputs, one per targ"):
        train_many(lambda: nn.Linear(10, 3), toy_regression(), [Run("Constant")], epochs=1)


GOOD = {"epochs": 1, "runs": [Run("Constant")]}


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"runs": []}, "runs must hold 1 to 1024 runs, got 0"),
        ({"runs": [Run("Constant")] * 1025}, "runs must hold 1 to 1024 runs, got 1025"),
        ({"epochs": 0}, "epochs must be a positive integer, got 0"),
        ({"batch_size": 2.5}, "batch_size must be a positive integer, got 2.5"),
        ({"step_every": "step"}, "step_every must be 'epoch' or 'batch', got 'step'"),
        ({"runs": [Run("StepLr")]}, r"runs\[0\]: .*did you mean 'StepLR'"),
        ({"runs": [Run("StepLR", {"gama": 1})]}, r"runs\[0\]: .*did you mean 'gamma'"),
        ({"runs": [Run("StepLR", {"gamma": -1})]}, "gamma must be a positive number, got -1"),
        ({"runs": [Run("Constant", base_lr=0)]}, "base_lr must be a positive number, got 0"),
        ({"runs": [Run("Constant", optimizer="adma")]}, "did you mean 'adam'"),
        ({"runs": [Run("Constant", seed=0.5)]}, "seed must be a non-negative integer, got 0.5"),
        ({"runs": [Run("CyclicLR", base_lr=1)]}, r"runs\[0\]: max_lr must be at least base_lr"),
        (
            {"runs": [Run("OneCycleLR", {"pct_start": 1 / 88}, step_every="batch")]},
            "pct_start must not be 1 / total_steps, got 0.0113636 with 88 steps",
        ),
        (
            {"runs": [Run("ReduceLROnPlateau")], "step_every": "batch"},
            "step_every must be 'epoch' for ReduceLROnPlateau",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(bad, words):
    with pytest.raises(ValueError, match=words):
        train_many(MLP, DIGITS, **(GOOD | bad))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sgd", torch.optim.SGD),
        ("momentum", torch.optim.SGD),
        ("adam", torch.optim.Adam),
        ("adamw", torch.optim.AdamW),
    ],
)
def test_make_optimizer_makes_torchs_own(name, expected):
    optimizer = make_optimizer(name, nn.Linear(1, 1).parameters(), 0.2)
    assert type(optimizer) is expected
    assert optimizer.param_groups[0]["lr"] == 0.2


def test_make_optimizer_refuses_a_rate_of_zero():
    with pytest.raises(ValueError, match="lr must be a positive number, got 0"):
        make_optimizer("sgd", nn.Linear(1, 1).parameters(), 0)


def two_groups(model):
    first, *others = model.parameters()
    groups = [{"params": [first]}, {"params": others, "lr": 0.02}]
    return torch.optim.SGD(groups, lr=0.2, momentum=0.9)


def test_runs_with_parameter_groups_train_together():
    found = train_many(MLP, SMALL, [Run("StepLR")], epochs=1, make_optimizer=two_groups)
    assert [history.alone for history in found] == [""]
    assert found[0].group_lr.shape[0] == 2


class Conditional(MLP):
    def forward(self, x):
        return super().forward(torch.cond(x.sum() > 0, lambda y: 2 * y, lambda y: 3 * y, (x,)))


def test_what_cannot_be_listened_to_is_trained_all_the_same():
    trial = try_out(Conditional(), SMALL, 16)
    assert (trial.drawing, trial.others) == (frozenset(), False)
