"""Situations that real users met elsewhere, each with its right value, and siblings of each.

Numbers without a source are those of torch's own loop on the digits; `cases.md` names the reports.
"""

import ast
import random
import re
import threading
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn, optim
from torch.nn import functional
from torch.optim import lr_scheduler

import lrsched_kit
from lrsched_kit import (
    MLP,
    Dataset,
    Run,
    SimpleNet,
    compare,
    evaluate,
    get_schedule,
    load_digits,
    lr_range_test,
    seeded,
    sweep,
    toy_regression,
    train,
    train_many,
)
from lrsched_kit.schedules.spec import Schedule
from lrsched_kit.training.trial import try_out

DIGITS = load_digits()


def small(**changed):
    tensors = {f"{k}_train": getattr(DIGITS, f"{k}_train")[:200] for k in "xy"}
    tensors |= {f"{k}_val": getattr(DIGITS, f"{k}_val")[:50] for k in "xy"}
    return Dataset("small", **(tensors | changed))


def plain(make_model, data=DIGITS, *, optimizer=None, scheduler=None, epochs=4, seed=0, **options):
    """What `train` does; SGD at 0.1 unless another optimizer is made from the model."""
    model = seeded(make_model, seed)
    made = optimizer(model) if optimizer else optim.SGD(model.parameters(), lr=0.1)
    schedule = scheduler(made) if scheduler else None
    return train(model, data, made, schedule, epochs=epochs, seed=seed, **options)


def many(make_model, data=DIGITS, *, epochs=4, on_epoch=None, **how):
    """The same by `train_many`, among other seeds."""
    runs = [Run("Constant", **{"optimizer": "sgd", **how, "seed": s}) for s in (2, 0, 1)]
    return train_many(make_model, data, runs, epochs=epochs, on_epoch=on_epoch)[1]


def ranged(make_model, data, optimizer=None):
    model = seeded(make_model, 0)
    made = optimizer(model) if optimizer else optim.SGD(model.parameters(), lr=0.1)
    return lr_range_test(model, data, made)


def compared(make_model, data=DIGITS, **options):
    options = {"optimizer": "sgd", "seeds": 1, "epochs": 4, "dtype": torch.float32} | options
    return compare([], make_model=make_model, data=data, **options).histories["Constant"][0]


EVERY_WAY = [
    lambda *given: plain(*given, epochs=1),
    lambda *given: many(*given, epochs=1),
    lambda *given: compared(*given, epochs=1, dtype=torch.float64),
    ranged,
]


def refused(words, *given):
    """Everything that trains refuses it, in these words."""
    for way in EVERY_WAY:
        with pytest.raises(ValueError, match=words):
            way(*given)


# Features that are frozen in forward


class Features(nn.Module):
    def __init__(self, activation=torch.relu):
        super().__init__()
        self.backbone, self.head = nn.Linear(64, 32), nn.Linear(32, 10)
        self.activation = activation

    def forward(self, x):
        with torch.no_grad():
            features = self.activation(self.backbone(x))
        return self.head(features)


class Detached(Features):
    def forward(self, x):
        return self.head(self.activation(self.backbone(x)).detach())


class InferredThenCloned(Features):
    def forward(self, x):
        with torch.inference_mode():
            features = self.activation(self.backbone(x))
        return self.head(features.clone())


WAYS = pytest.mark.parametrize("way", [plain, many, compared])


@WAYS
@pytest.mark.parametrize("make_model", [Features, Detached, InferredThenCloned])
def test_features_frozen_by_no_grad_stay_frozen(way, make_model):
    found = way(make_model).val_loss
    assert found == pytest.approx([2.2286, 2.1416, 2.0600, 1.9871], abs=1e-4)


def test_weight_decay_does_not_reach_what_no_gradient_reaches():
    def tanh():
        return Features(torch.tanh)

    one = plain(tanh, optimizer=lambda m: optim.AdamW(m.parameters(), lr=0.05))
    assert one.val_loss[-1] == pytest.approx(0.6437, abs=1e-4)
    assert many(tanh, base_lr=0.05, optimizer="adamw").val_loss[-1] == pytest.approx(
        0.6437, abs=1e-4
    )
    options = {"base_lr": 0.05, "optimizer": "adamw"}
    assert compared(tanh, **options).val_loss[-1] == pytest.approx(0.6437, abs=1e-4)


def test_momentum_does_not_reach_what_the_last_small_batch_leaves_out():
    class Short(MLP):
        def forward(self, x):
            features = torch.tanh(self.fc1(x))
            return self.fc2(features if len(x) > 8 else features.detach())

    data = small(x_train=DIGITS.x_train[:195], y_train=DIGITS.y_train[:195])  # 12 * 16 + 3
    momentum = plain(Short, data, optimizer=lambda m: optim.SGD(m.parameters(), 0.1, 0.9))
    found = many(Short, data, optimizer="momentum")
    np.testing.assert_allclose(found.val_loss, momentum.val_loss, rtol=1e-5)
    assert found.alone == "which of its parameters are trained depends on the rows of a batch"


# A plateau is told what its mode asks for


def plateau(**params):
    return lambda optimizer: lr_scheduler.ReduceLROnPlateau(optimizer, **params)


def momentum(model):
    return optim.SGD(model.parameters(), lr=0.05, momentum=0.9)


def test_a_plateau_that_waits_for_the_maximum_is_told_the_accuracy():
    scheduler = plateau(mode="max", patience=1)
    history = plain(MLP, optimizer=momentum, scheduler=scheduler, epochs=5)
    assert history.epoch_lr.tolist() == [0.05] * 5
    assert history.val_accuracy == pytest.approx([0.877, 0.887, 0.909, 0.914, 0.907], abs=1e-3)
    params = {"mode": "max", "patience": 1}
    (found,) = train_many(MLP, DIGITS, [Run("ReduceLROnPlateau", params, 0.05)], epochs=5)
    assert found.epoch_lr.tolist() == [0.05] * 5


def test_a_plateau_for_the_maximum_of_a_regression_asks_which_metric():
    with pytest.raises(ValueError, match="metric must name what ReduceLROnPlateau"):
        plain(SimpleNet, toy_regression(), scheduler=plateau(mode="max"))
    with pytest.raises(ValueError, match="metric must name what ReduceLROnPlateau"):
        run = Run("ReduceLROnPlateau", {"mode": "max"})
        train_many(SimpleNet, toy_regression(), [run], epochs=1)


def row(make, **facts):
    return Schedule("mine", make, **facts)


@pytest.mark.parametrize("mode", ["min", "max"])
def test_a_plateau_in_a_row_of_ones_own_is_told_the_same(mode):
    make = plateau(mode=mode, patience=0, factor=0.5)
    data = small()
    one = plain(MLP, data, scheduler=make, epochs=8, optimizer=momentum)
    found = train_many(MLP, data, [Run(row(make), base_lr=0.05)], epochs=8)[0]
    assert found.lr.tolist() == one.lr.tolist()


@pytest.mark.parametrize("unit", ["epoch", "batch"])
def test_a_row_of_ones_own_need_not_be_a_plateau(unit):
    def make(optimizer):
        return lr_scheduler.StepLR(optimizer, 2)

    (found,) = train_many(MLP, small(), [Run(row(make))], epochs=4, step_every=unit)
    assert found.lr.tolist() == plain(MLP, small(), scheduler=make, step_every=unit).lr.tolist()


# Rows of one's own


class MovesWeightDecay(lr_scheduler.LRScheduler):
    def get_lr(self):
        for group in self.optimizer.param_groups:
            group["weight_decay"] = 0.1 * self.last_epoch
        return self.base_lrs


class LooksAtWeights(lr_scheduler.LRScheduler):
    def get_lr(self):
        weights = [p for group in self.optimizer.param_groups for p in group["params"]]
        return [rate / (1 + float(weights[0].detach().norm())) for rate in self.base_lrs]


def one_cycle(optimizer, total_steps):
    return lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps)


@pytest.mark.parametrize(
    ("make", "alone"),
    [(MovesWeightDecay, True), (LooksAtWeights, True), (one_cycle, False)],
)
def test_a_row_of_ones_own_may_move_more_than_the_rate(make, alone):
    mine = row(make)  # it does not say that it moves momentum
    one = plain(MLP, small(), optimizer=momentum, scheduler=lambda o: mine.build(o, total_steps=4))
    runs = [Run("Constant"), Run(mine, base_lr=0.05)]
    found = train_many(MLP, small(), runs, epochs=4)[1]
    np.testing.assert_allclose(found.val_loss, one.val_loss, rtol=1e-5)
    assert bool(found.alone) == alone


# Losses


RARE = nn.CrossEntropyLoss(weight=torch.tensor([10.0] + [1.0] * 9))


class Weighted(Dataset):
    @property
    def loss_fn(self):
        return RARE


def parts_of(data):
    return data.x_train, data.y_train, data.x_val, data.y_val


@WAYS
@pytest.mark.parametrize(
    "data",
    [Weighted("weighted", *parts_of(DIGITS)), Dataset("weighted", *parts_of(DIGITS), loss=RARE)],
)
def test_class_weights_reach_everything_that_trains(way, data):
    if way is compared:
        data = data.to(torch.float32)
    assert way(MLP, data, epochs=2).val_loss == pytest.approx([1.0628, 0.9391], abs=1e-4)


@pytest.mark.parametrize(
    "loss",
    [
        nn.CrossEntropyLoss(label_smoothing=0.1),
        nn.CrossEntropyLoss(ignore_index=3),
        nn.MultiMarginLoss(),
        lambda outputs, y: functional.cross_entropy(outputs, y) / outputs.std(),
    ],
)
def test_other_losses_do_too(loss):
    data = small(loss=loss)
    assert many(MLP, data).val_loss == pytest.approx(plain(MLP, data).val_loss, rel=1e-5)


class Alternating:
    """A loss that keeps count of its calls."""

    def __init__(self):
        self.calls = 0

    def __call__(self, outputs, y):
        self.calls += 1
        return functional.cross_entropy(outputs, y) * (1 + self.calls % 3)


def test_a_loss_that_keeps_count_does_so_for_each_run():
    one = plain(MLP, small(loss=Alternating()))
    assert many(MLP, small(loss=Alternating())).val_loss == pytest.approx(one.val_loss, rel=1e-5)


# Numbers that a model draws, when it is made and as it trains


def lazy():
    return nn.Sequential(nn.LazyLinear(32), nn.ReLU(), nn.LazyLinear(10))


def lazy_norm():
    return nn.Sequential(nn.LazyLinear(16), nn.LazyBatchNorm1d(), nn.LazyLinear(10))


def dropout():
    return nn.Sequential(nn.Linear(64, 32), nn.Dropout(), nn.ReLU(), nn.Linear(32, 10))


class Noisy(MLP):
    def forward(self, x):
        return super().forward(x + 0.1 * torch.randn_like(x) if self.training else x)


class NumpyNoise(MLP):
    def forward(self, x):
        return super().forward(x) * (1 + 0.1 * np.random.rand() if self.training else 1)


@WAYS
@pytest.mark.parametrize("make_model", [lazy, lazy_norm, dropout, Noisy, NumpyNoise])
def test_what_a_model_draws_depends_on_the_seed_alone(way, make_model):
    found = []
    for outside in (1, 2):
        torch.manual_seed(outside)
        np.random.seed(outside)
        found.append(way(make_model, small(), epochs=2).val_loss.tolist())
    assert found[0] == found[1]
    assert found[0] == pytest.approx(plain(make_model, small(), epochs=2).val_loss, rel=1e-4)


@pytest.mark.parametrize("make_model", [dropout, Noisy, NumpyNoise])
def test_the_numbers_of_others_are_left_alone(make_model):
    def draw():
        return torch.rand(2).tolist(), np.random.rand(2).tolist()

    torch.manual_seed(7), np.random.seed(7)
    expected = draw()
    for way in (plain, many):
        torch.manual_seed(7), np.random.seed(7)
        way(make_model, small(), epochs=1)
        assert draw() == expected


@pytest.mark.parametrize("draw", [random.random, lambda: np.random.rand(1), lambda: torch.rand(1)])
def test_what_another_thread_draws_just_then_is_not_the_models(draw):
    others = iter([threading.Thread(target=draw) for _ in range(5)])

    class Watched(MLP):
        def forward(self, x):
            if other := next(others, None):
                other.start()
                other.join()
            return super().forward(x)

    found = try_out(Watched(), small(), 16)
    assert (found.others, found.drawing) == (False, frozenset())


@pytest.mark.parametrize("make_model", [dropout, Noisy])
def test_draws_on_two_threads_do_not_meet(make_model):
    runs = [Run("Constant", optimizer="sgd", seed=seed) for seed in (2, 0, 1)]

    def losses(**options):
        found = train_many(make_model, small(), runs, epochs=8, **options)
        return [history.val_loss.tolist() for history in found]

    torch.manual_seed(3)
    expected = torch.rand(4).tolist()
    alone, found, training = losses(), [], threading.Event()
    worker = threading.Thread(
        target=lambda: found.append(losses(on_epoch=lambda *_: training.set()))
    )
    worker.start()
    training.wait(60)
    draws = []
    while worker.is_alive():
        torch.manual_seed(3)
        draws.append(torch.rand(4).tolist())
    worker.join()
    assert found == [alone]
    assert len(draws) > 10
    assert [draw for draw in draws if draw != expected] == []


def test_a_seed_that_is_set_while_a_model_is_made_is_not_lost():
    def make_model():
        other = threading.Thread(target=torch.manual_seed, args=(11,))
        other.start()
        other.join()
        return MLP()

    seeded(make_model, 0)
    assert torch.initial_seed() == 11


# Modes


class Frozen(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.bn, self.out = nn.Linear(64, 16), nn.BatchNorm1d(16), nn.Linear(16, 10)
        self.bn.eval()

    def forward(self, x):
        return self.out(self.bn(self.fc(x)).relu())


def test_a_frozen_batch_norm_stays_frozen():
    model = seeded(Frozen, 0)
    evaluate(model, DIGITS)
    assert model.training and not model.bn.training
    train(model, small(), optim.SGD(model.parameters(), 0.1), epochs=1)
    assert model.training and not model.bn.training
    assert model.bn.running_mean.tolist() == [0] * 16
    assert model.bn.num_batches_tracked == 0


def test_a_frozen_dropout_does_not_drop():
    def still():
        model = dropout()
        model[1].eval()
        return model

    def without():
        model = dropout()
        model[1] = nn.Identity()
        return model

    expected = plain(without, small()).val_loss
    for way in (plain, many):
        assert way(still, small()).val_loss == pytest.approx(expected, rel=1e-5)


def test_a_range_test_keeps_a_frozen_batch_norm_frozen():
    model = seeded(Frozen, 0)
    lr_range_test(model, small(), optim.SGD(model.parameters(), 0.1), steps=20)
    assert not model.bn.training
    assert model.bn.num_batches_tracked == 0


class Asks(MLP):
    def __init__(self, evaluating=False):
        super().__init__()
        self.train(not evaluating)

    def forward(self, x):
        return super().forward(x) * (1 if self.training else 0.5)


@WAYS
def test_a_model_made_in_eval_mode_is_trained_in_training_mode(way):
    expected = plain(Asks, epochs=2).val_loss
    assert way(lambda: Asks(True), epochs=2).val_loss == pytest.approx(expected, rel=1e-5)
    assert expected == pytest.approx([2.0874, 1.5967], abs=1e-4)


# Precision


@pytest.fixture
def double_by_default():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def test_the_default_dtype_changes_no_number(request):
    def numbers():
        result = compare(["StepLR"], seeds=1, epochs=3)
        return [*result.mean.values(), *plain(MLP, load_digits(), epochs=2).val_loss]

    expected = numbers()
    request.getfixturevalue("double_by_default")
    assert numbers() == pytest.approx(expected, rel=1e-5)


@pytest.mark.usefixtures("double_by_default")
def test_the_toy_task_trains_where_double_is_the_default():
    assert toy_regression().x_train.dtype == torch.float64
    history = plain(
        SimpleNet, toy_regression(), optimizer=lambda m: optim.SGD(m.parameters(), 0.01)
    )
    assert history.finished == 4


class SinglePrecision(MLP):
    def forward(self, x):
        return super().forward(torch.cat([x[:, :32], torch.zeros(len(x), 32)], 1).float())


def test_compare_says_that_it_trains_in_double_precision():
    with pytest.raises(ValueError, match=r"does train in single precision.*dtype=torch\.float32"):
        compare([], make_model=SinglePrecision, seeds=1)
    with pytest.raises(ValueError, match=r"does train in single precision.*dtype=torch\.float32"):
        sweep("StepLR", {"gamma": [0.1, 0.5], "step_size": [2, 4]}, make_model=SinglePrecision)
    assert compared(SinglePrecision, epochs=1).finished == 1


def test_a_model_that_fits_in_no_precision_is_told_what_does_not_fit():
    with pytest.raises(ValueError, match="model must fit data 'digits'") as error:
        compare([], make_model=lambda: nn.Linear(63, 10), seeds=1)
    assert "single precision" not in str(error.value)


def test_a_backbone_that_all_models_share_keeps_its_numbers_and_precision():
    backbone = nn.Linear(64, 32)
    before = backbone.weight.detach().clone()

    def make_model():
        return nn.Sequential(backbone, nn.Tanh(), nn.Linear(32, 10))

    compare([], make_model=make_model, data=small(), seeds=2, epochs=1)
    many(make_model, small())
    assert torch.equal(backbone.weight, before)


# Data


def test_targets_without_a_column_are_not_set_against_a_column():
    x, y = torch.randn(40, 64), torch.randn(40)
    refused(
        r"outputs have shape \(n, 1\), the targets \(n,\)",
        lambda: nn.Linear(64, 1),
        Dataset("r", x, y, x, y),
    )


def test_nor_a_column_against_none():
    x, y = torch.randn(40, 64), torch.randn(40, 1)

    def make_model():
        return nn.Sequential(nn.Linear(64, 1), nn.Flatten(0))

    refused(
        r"outputs have shape \(n,\), the targets \(n, 1\)", make_model, Dataset("r", x, y, x, y)
    )


def test_one_dimensional_targets_train_with_one_dimensional_outputs():
    y = {f"y_{part}": getattr(small(), f"y_{part}").float() for part in ("train", "val")}

    def make_model():
        return nn.Sequential(nn.Linear(64, 1), nn.Flatten(0))

    data, slow = small(**y), lambda m: optim.SGD(m.parameters(), 0.01)
    one = plain(make_model, data, optimizer=slow)
    assert many(make_model, data, base_lr=0.01).val_loss == pytest.approx(one.val_loss, rel=1e-5)


def norm():
    return nn.Sequential(nn.Linear(64, 8), nn.BatchNorm1d(8), nn.Linear(8, 10))


def test_a_last_batch_of_one_row_is_refused_for_a_batch_norm():
    data = small(x_train=DIGITS.x_train[:33], y_train=DIGITS.y_train[:33])
    refused("batch_size must leave a last batch .*got 16: 33 rows leave 1", norm, data)


def test_an_odd_number_of_rows_is_fine_where_none_is_left_alone():
    data = small(x_train=DIGITS.x_train[:33], y_train=DIGITS.y_train[:33])
    (found,) = train_many(norm, data, [Run("Constant")], epochs=2, batch_size=11)
    assert found.finished == 2


@WAYS
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int16])
def test_classes_may_be_integers_of_any_size(way, dtype):
    y = {f"y_{part}": getattr(DIGITS, f"y_{part}").to(dtype) for part in ("train", "val")}
    data = Dataset("integers", DIGITS.x_train, y["y_train"], DIGITS.x_val, y["y_val"])
    assert way(MLP, data, epochs=1).val_loss == pytest.approx([1.8964], abs=1e-4)


def test_classes_may_be_true_and_false():
    y = {f"y_{part}": getattr(small(), f"y_{part}") > 4 for part in ("train", "val")}
    data = small(**y)
    one = plain(MLP, data)
    assert many(MLP, data).val_loss == pytest.approx(one.val_loss, rel=1e-5)
    assert one.val_accuracy[-1] > 0.5


def tokens():
    return {f"x_{part}": (getattr(small(), f"x_{part}") * 16).long() for part in ("train", "val")}


def embedding(**options):
    return lambda: nn.Sequential(nn.Embedding(17, 4, **options), nn.Flatten(), nn.Linear(256, 10))


@pytest.mark.parametrize("options", [{}, {"padding_idx": 0}, {"max_norm": 0.5}, {"sparse": True}])
def test_tokens_stay_integers_everywhere(options):
    data = small(**tokens())
    one = plain(embedding(**options), data)
    assert many(embedding(**options), data).val_loss == pytest.approx(one.val_loss, rel=1e-4)
    found = compared(embedding(**options), data, dtype=torch.float64)
    assert found.val_loss == pytest.approx(one.val_loss, rel=1e-4)


class NextToken(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.out = nn.Embedding(17, 8), nn.Linear(8, 17)

    def forward(self, x):
        return self.out(self.embed(x)).transpose(1, 2)


def test_a_target_for_each_token():
    x = tokens()
    data = small(**x, **{f"y{name[1:]}": value.roll(-1, 1) for name, value in x.items()})
    one = plain(NextToken, data)
    assert many(NextToken, data).val_loss == pytest.approx(one.val_loss, rel=1e-5)
    assert one.val_accuracy[-1] > 0.3


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("part", ["x_train", "x_val"])
def test_numbers_that_are_none_are_named_before_training(part, value):
    bad = getattr(small(), part).clone()
    bad[7, 3] = value
    words = f"{part} must hold finite numbers, got NaN or infinity in 1 of .* first in row 7"
    refused(words, MLP, small(**{part: bad}))


def test_nan_is_fine_where_the_model_takes_care_of_it():
    class Careful(MLP):
        def forward(self, x):
            return super().forward(x.nan_to_num())

    x = small().x_train.clone()
    x[7, 3] = float("nan")
    assert plain(Careful, small(x_train=x)).finished == 4
    assert many(Careful, small(x_train=x)).finished == 4


# Optimizers and schedulers


@pytest.mark.parametrize("way", [plain, ranged])
def test_an_optimizer_that_wants_a_closure_is_refused(way):
    words = "optimizer must take its step without a closure, got LBFGS"
    with pytest.raises(ValueError, match=words):
        way(MLP, small(), optimizer=lambda m: optim.LBFGS(m.parameters()))
    with pytest.raises(ValueError, match=words):
        compare([], data=small(), make_optimizer=lambda m: optim.LBFGS(m.parameters()))


def sequential(optimizer):
    parts = [
        lr_scheduler.LinearLR(optimizer, total_iters=3),
        lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=5),
    ]
    return lr_scheduler.SequentialLR(optimizer, parts, [3])


def chained(optimizer):
    parts = [
        lr_scheduler.ExponentialLR(optimizer, 0.9),
        lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=5),
    ]
    return lr_scheduler.ChainedScheduler(parts)


@pytest.mark.parametrize("make", [sequential, chained])
def test_a_one_cycle_inside_another_scheduler_must_last(make):
    trained = []
    with pytest.raises(ValueError, match="with a OneCycleLR in it that ends after"):
        plain(MLP, small(), optimizer=momentum, scheduler=make, epochs=12, on_epoch=trained.append)
    with pytest.raises(ValueError, match="with a OneCycleLR in it that ends after"):
        train_many(MLP, small(), [Run(row(make))], epochs=12)
    assert trained == []


def clipped_by_a_hook(model):
    def clip(*_):
        nn.utils.clip_grad_norm_(model.parameters(), 0.1)

    optimizer = momentum(model)
    optimizer.register_step_pre_hook(clip)
    return optimizer


class Clipping(optim.SGD):
    def step(self, closure=None):
        for group in self.param_groups:
            nn.utils.clip_grad_value_(group["params"], 0.01)
        return super().step(closure)


def with_a_past(model):
    optimizer = momentum(model)
    for p in model.parameters():
        optimizer.state[p]["momentum_buffer"] = torch.ones_like(p)
    return optimizer


def last_layer_only(model):
    return optim.AdamW(model.fc2.parameters(), lr=0.05)


def group_added(model):
    optimizer = optim.SGD(model.fc1.parameters(), lr=0.05, momentum=0.9)
    optimizer.add_param_group({"params": model.fc2.parameters(), "lr": 0.01})
    return optimizer


@pytest.mark.parametrize(
    "maker",
    [
        clipped_by_a_hook,
        lambda model: Clipping(model.parameters(), lr=0.05),
        with_a_past,
        last_layer_only,
        group_added,
        lambda model: optim.SGD(model.parameters(), lr=0.005, maximize=True),
    ],
)
def test_an_optimizer_of_ones_own_does_in_a_fleet_what_it_does_alone(maker):
    data = small()
    runs = [Run("StepLR", {"step_size": 2}, seed=seed) for seed in range(2)]
    found = train_many(MLP, data, runs, epochs=4, make_optimizer=maker)
    for seed, history in enumerate(found):
        build = get_schedule("StepLR").build
        one = plain(
            MLP,
            data,
            optimizer=maker,
            scheduler=lambda o, build=build: build(o, total_steps=4, step_size=2),
            seed=seed,
        )
        np.testing.assert_allclose(history.val_loss, one.val_loss, rtol=1e-5)
        np.testing.assert_allclose(history.group_lr, one.group_lr)


# Looks the same to a forward pass, and is another model


def zero_headed():
    model = nn.Sequential(nn.Linear(64, 16), nn.Tanh(), nn.Linear(16, 10))
    nn.init.zeros_(model[2].weight)
    return model


class ClipsItsGradients(MLP):
    def forward(self, x):
        hidden = torch.relu(self.fc1(x))
        if hidden.requires_grad:  # rarely so large
            hidden.register_hook(lambda grad: grad.clamp(-0.03, 0.03))
        return self.fc2(hidden)


class Clip(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x):
        return x.clone()

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, grad):
        return grad.clamp(-0.03, 0.03)


class ClipsInAFunction(MLP):
    def forward(self, x):
        return self.fc2(Clip.apply(torch.relu(self.fc1(x))))


class ByRows(MLP):
    def forward(self, x):
        hidden = self.fc1(x)
        return self.fc2(torch.relu(hidden) if len(x) <= 8 else torch.tanh(hidden))


class Count:
    calls = 0


class StateInAnObject(MLP):
    def __init__(self):
        super().__init__()
        self.state = Count()

    def forward(self, x):
        self.state.calls += 1
        return super().forward(x) * (1 if self.state.calls < 20 else 2)


class StateBetweenBatches(MLP):
    last = 0.0

    def forward(self, x):
        outputs = super().forward(x) + 0.1 * self.last
        self.last = outputs.detach().mean(0)
        return outputs


class DrawnPerSeed(MLP):
    def __init__(self):
        super().__init__()
        self.scale = torch.rand(32)

    def forward(self, x):
        return self.fc2(torch.relu(self.fc1(x)) * self.scale)


class WhenEvaluatingOnly(MLP):
    def __init__(self):
        super().__init__()
        self.scale = float(torch.rand(()))

    def forward(self, x):
        return super().forward(x) * (1 if self.training else self.scale)


def width_by_seed():
    width = int(torch.randint(4, 20, ()))
    return nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))


def activation_by_seed():
    between = nn.ReLU() if torch.rand(()) > 0.5 else nn.Tanh()
    return nn.Sequential(nn.Linear(64, 8), between, nn.Linear(8, 10))


def frozen_by_seed():
    model = MLP()
    model.fc1.requires_grad_(bool(torch.rand(()) > 0.5))
    return model


@pytest.mark.parametrize(
    "make_model",
    [
        zero_headed,
        ClipsItsGradients,
        ClipsInAFunction,
        ByRows,
        StateInAnObject,
        StateBetweenBatches,
        DrawnPerSeed,
        WhenEvaluatingOnly,
        width_by_seed,
        activation_by_seed,
        frozen_by_seed,
    ],
)
def test_a_fleet_trains_the_very_model(make_model):
    data = small().to(torch.float64)

    def precise():
        return make_model().double()

    def fast(model):
        return optim.SGD(model.parameters(), lr=0.3)

    runs = [Run("Constant", base_lr=0.3, optimizer="sgd", seed=seed) for seed in range(4)]
    for seed, found in enumerate(train_many(precise, data, runs, epochs=4)):
        one = plain(precise, data, optimizer=fast, seed=seed)
        np.testing.assert_allclose(found.train_loss, one.train_loss, rtol=1e-9)
        np.testing.assert_allclose(found.val_loss, one.val_loss, rtol=1e-9)


def test_a_derivative_of_ones_own_is_worked_out_for_each_run_by_itself():
    # What its rule for many runs at once does with large gradients, a small step does not show.
    reason = "it defines a torch.autograd.Function of its own"
    assert many(ClipsInAFunction, small()).alone == reason


def test_the_same_object_for_every_seed_is_trained_by_none_of_them():
    model = nn.Sequential(nn.Linear(64, 8), nn.BatchNorm1d(8), nn.Dropout(0.1), nn.Linear(8, 10))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    runs = [Run("Constant", seed=seed) for seed in (0, 1)]
    both = train_many(lambda: model, small(), runs, epochs=2)
    (second,) = train_many(lambda: model, small(), runs[1:], epochs=2)
    assert both[1].val_loss.tolist() == second.val_loss.tolist()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_modules_that_share_a_counter_go_on_sharing_it():
    count = {"calls": 0}

    class Counts(MLP):
        def __init__(self):
            super().__init__()
            self.count = count

        def forward(self, x):
            self.count["calls"] += 1
            return super().forward(x)

    plain(Counts, small(), epochs=1)
    assert count == {"calls": 14}  # 13 batches, one validation; what was tried out left no trace


# Outputs of many shapes


class TwoHeads(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.first, self.second, self.kind = nn.Linear(64, 10), nn.Linear(64, 10), kind

    def forward(self, x):
        first, second = self.first(x), self.second(x)
        return self.kind(first, second)


Named = namedtuple("Named", "first second")


class Holder:
    def __init__(self, *parts):
        self.parts = parts

    def __iter__(self):
        return iter(self.parts)


@pytest.mark.parametrize(
    "kind",
    [
        lambda *parts: parts,
        lambda *parts: list(parts),
        lambda first, second: {"first": first, "second": second},
        Named,
        Holder,
    ],
)
def test_outputs_may_be_whatever_the_loss_takes(kind):
    def loss(outputs, y):
        first, second = outputs.values() if isinstance(outputs, dict) else outputs
        return functional.cross_entropy(first, y) + 0.3 * functional.cross_entropy(second, y)

    data = small(loss=loss, metrics={"twice": lambda outputs, y: 2 * loss(outputs, y)})
    one = plain(lambda: TwoHeads(kind), data)
    found = many(lambda: TwoHeads(kind), data)
    assert found.metrics["twice"] == pytest.approx(one.metrics["twice"], rel=1e-5)
    assert one.metrics["twice"] == pytest.approx(2 * one.val_loss)


def test_a_metric_may_want_every_class():
    def balanced(outputs, y):
        right = outputs.argmax(1) == y
        return np.mean([float(right[y == label].double().mean()) for label in range(10)])

    data = small(metrics={"balanced": balanced})
    assert many(MLP, data).metrics["balanced"] == pytest.approx(
        plain(MLP, data).metrics["balanced"]
    )


# Private names


SOURCES = sorted(Path(lrsched_kit.__file__).parent.rglob("*.py"))
PRIVATE = re.compile(
    r"^_\w*(hooks|schedulers|milestones|python_dispatch|ops)$|^_(BatchNorm|DropoutNd|C)$"
)


def test_names_of_torch_that_are_not_public_stand_in_one_place():
    found = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("torch"):
                names = [*node.module.split("."), *(alias.name for alias in node.names)]
                names = [name for name in names if name.startswith("_") and name != "__future__"]
            elif isinstance(node, ast.Import):
                names = [a.name for a in node.names if re.match(r"torch(\.\w+)*\._", a.name)]
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                names = [node.value] if PRIVATE.match(node.value) else []
            elif isinstance(node, ast.Attribute) and PRIVATE.match(node.attr):
                names = [] if ast.unparse(node.value) == "self" else [node.attr]
            found |= {(path.name, name) for name in names}
    assert {file for file, _ in found} == {"torch_private.py"}, found
