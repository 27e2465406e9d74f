import copy
import itertools
import math

import matplotlib
import numpy as np
import pytest
import torch
from torch import nn

from lrsched_kit import (
    MLP,
    RangeTest,
    batches,
    experiments,
    load_digits,
    lr_range_test,
    make_optimizer,
    plot_range_test,
    seeded,
    toy_regression,
)
from lrsched_kit.experiments.range_test import longest_descent
from lrsched_kit.training.threads import one_thread
from lrsched_kit.words import say

DATA = load_digits()


def fresh(optimizer="momentum", seed=0):
    model = seeded(MLP, seed)
    return model, make_optimizer(optimizer, model.parameters(), 0.1)


@one_thread()  # as in the test itself: two threads may add up in another order
def warmed_up(optimizer="momentum"):
    """A model and an optimizer that have a past: a few steps, at a rate of their own."""
    model, optimizer = fresh(optimizer)
    for x, y in itertools.islice(batches(DATA.x_train, DATA.y_train, 16, torch.Generator()), 5):
        optimizer.zero_grad()
        DATA.loss_fn(model(x), y).backward()
        optimizer.step()
    return model, optimizer


@one_thread()
def by_hand(model, optimizer, steps, low, high):
    """The loop as one would write it, on the very objects given."""
    order = torch.Generator().manual_seed(0)
    for group in optimizer.param_groups:
        group["lr"] = low
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, (high / low) ** (1 / (steps - 1)))
    rates, losses = [], []
    while True:
        for x, y in batches(DATA.x_train, DATA.y_train, 16, order):
            if len(rates) == steps:
                return rates, losses
            loss = DATA.loss_fn(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            rates.append(optimizer.param_groups[0]["lr"])
            losses.append(loss.item())
            optimizer.step()
            scheduler.step()


# ---- the run


@pytest.fixture(scope="module")
def test():
    return lr_range_test(*parts(fresh()), steps=264)


def parts(pair):
    model, optimizer = pair
    return model, DATA, optimizer


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam", "adamw"])
def test_it_is_the_loop_one_would_write_by_hand(optimizer):
    test = lr_range_test(*parts(warmed_up(optimizer)), low=1e-4, high=1, steps=120)
    rates, losses = by_hand(*warmed_up(optimizer), steps=120, low=1e-4, high=1)
    assert test.rates[: test.made].tolist() == rates[: test.made]
    assert test.loss[: test.made].tolist() == losses[: test.made]


def test_the_optimizers_past_counts():
    # The copy starts with the momentum gathered so far, not with an empty one.
    model, optimizer = warmed_up()
    forgetful = make_optimizer("momentum", model.parameters(), 0.1)
    first = lr_range_test(model, DATA, optimizer, low=0.01, steps=20).loss
    assert first[0] == lr_range_test(model, DATA, forgetful, low=0.01, steps=20).loss[0]
    assert first[1] != lr_range_test(model, DATA, forgetful, low=0.01, steps=20).loss[1]


def test_whole_numbers_may_be_floats():
    assert lr_range_test(*parts(fresh()), steps=20.0, batch_size=8.0, seed=1.0).made == 20


def test_rates_are_geometric_from_low_to_high():
    test = lr_range_test(*parts(fresh()), low=1e-4, high=0.01, steps=50)
    np.testing.assert_allclose(test.rates, np.geomspace(1e-4, 0.01, 50), rtol=1e-12)
    assert test.cut_at is None


def test_model_optimizer_and_random_numbers_are_left_alone():
    model, optimizer = warmed_up()
    model.eval()
    before = copy.deepcopy((model.state_dict(), optimizer.state_dict()))
    gradients = [p.grad.clone() for p in model.parameters()]
    random = torch.get_rng_state()
    lr_range_test(model, DATA, optimizer, steps=60)
    after = (model.state_dict(), optimizer.state_dict())
    assert before[1]["state"][0]["momentum_buffer"].any()
    assert equal(before, after)
    assert equal(gradients, [p.grad for p in model.parameters()])
    assert torch.equal(random, torch.get_rng_state())
    assert not model.training


def equal(a, b):
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    return a == b


def test_dropout_draws_from_the_tests_own_seed():
    model = nn.Sequential(nn.Linear(64, 32), nn.Dropout(), nn.Linear(32, 10))
    optimizer = torch.optim.SGD(model.parameters())
    first, again, other = (
        lr_range_test(model, DATA, optimizer, steps=20, seed=seed).loss for seed in (0, 0, 1)
    )
    assert first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()


def two_rates(model, slow, fast):
    groups = [{"params": model.fc1.parameters(), "lr": slow}]
    groups.append({"params": model.fc2.parameters(), "lr": fast})
    return torch.optim.SGD(groups)


def test_parameter_groups_keep_the_ratio_of_their_rates():
    model = seeded(MLP, 0)
    test = lr_range_test(model, DATA, two_rates(model, 0.1, 1.0), high=0.1, steps=40)
    optimizer = two_rates(model, 1e-5, 1e-4)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, (0.1 / 1e-5) ** (1 / 39))
    order, expected = torch.Generator().manual_seed(0), []
    with one_thread():
        for x, y in itertools.islice(batches(DATA.x_train, DATA.y_train, 16, order), 40):
            loss = DATA.loss_fn(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            expected.append(loss.item())
            optimizer.step()
            scheduler.step()
    assert test.loss.tolist() == pytest.approx(expected, rel=1e-6)


def test_an_earlier_scheduler_does_not_outvote_the_rate():
    model, optimizer = fresh()
    torch.optim.lr_scheduler.StepLR(optimizer, step_size=3)  # leaves "initial_lr" behind
    test = lr_range_test(model, DATA, optimizer, low=1e-3, high=1e-2, steps=20)
    assert test.rates[[0, -1]] == pytest.approx([1e-3, 1e-2])


def test_records_have_a_row_per_batch(test):
    rows = test.records()
    assert len(rows) == test.made
    assert [row["step"] for row in rows] == list(range(test.made))
    assert [row["lr"] for row in rows] == test.rates[: test.made].tolist()
    assert [row["smoothed"] for row in rows] == test.smoothed[: test.made].tolist()


# ---- smoothing and the cut


def test_the_average_is_exponential_and_corrected_for_its_start(test):
    k = np.arange(test.made)
    for step in (0, 1, 30, test.made - 1):
        weights = 0.9 ** k[: step + 1][::-1]
        expected = (weights * test.loss[: step + 1]).sum() / weights.sum()
        assert test.smoothed[step] == pytest.approx(expected, rel=1e-12)


def test_without_smoothing_the_average_is_the_loss():
    test = lr_range_test(*parts(fresh()), steps=30, smooth=0)
    made = slice(0, test.made)
    assert test.smoothed[made].tolist() == test.loss[made].tolist()


def test_it_is_cut_where_the_smoothed_loss_first_exceeds_its_lowest_so_many_times(test):
    late = test.smoothed[26 : test.made]  # the first tenth is not looked at
    too_high = late > 1.5 * np.minimum.accumulate(late)
    assert np.flatnonzero(too_high).tolist() == [len(late) - 1]
    assert test.cut_at == test.made - 1
    assert np.isnan(test.rates[test.made :]).all()


def test_a_loss_that_is_not_finite_cuts_the_test_and_is_no_error():
    data = toy_regression()
    model = nn.Linear(10, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=1)
    test = lr_range_test(model, data, optimizer, low=1e3, high=1e9, steps=30, stop_factor=1e300)
    assert not math.isfinite(test.loss[test.cut_at])
    assert math.isnan(test.steepest) or test.steepest < test.rates[test.cut_at]


# ---- the picks


def drawn(loss, **settings):
    rates = np.geomspace(1e-4, 1, len(loss))
    return RangeTest(rates, np.array(loss), np.array(loss), **settings)


def test_picks_of_a_curve_whose_slope_is_known():
    # Falls fastest at a hundredth, is lowest at a tenth; in between and before, it falls too.
    x = np.linspace(-4, 0, 401)  # log10 of the rate
    loss = -np.tanh(3 * (x + 2)) + 4 * np.maximum(x + 1, 0)
    test = drawn(loss)
    assert test.steepest == pytest.approx(1e-2)
    assert test.minimum == pytest.approx(1e-1)
    assert test.tenth == pytest.approx(1e-2)
    # Its first tenth is left out: the descent is from 10 ** -3.6 to 10 ** -1.
    assert test.valley == pytest.approx(10**-2.3, rel=0.01)


def test_what_lies_beyond_the_cut_is_not_searched():
    loss = [5.0, 4, 3, 2, 2.5, 9, 0.1, 0.0]
    assert drawn(loss, cut_at=5).minimum == drawn(loss).rates[3]
    assert drawn(loss).minimum == drawn(loss).rates[7]


def test_where_nothing_falls_there_is_no_slope_and_no_valley():
    test = drawn([1.0, 2.0, 3.0, 4.0])
    assert math.isnan(test.steepest)
    assert math.isnan(test.valley)
    assert test.tenth == pytest.approx(1e-5)


def test_a_test_that_ended_at_once_has_no_picks():
    assert all(map(math.isnan, drawn([1.0] * 20, cut_at=1).picks.values()))


def test_the_longest_descent_is_the_longest_of_all():
    def longest(values):
        return max(
            len(chosen)
            for size in range(len(values) + 1)
            for chosen in itertools.combinations(values, size)
            if all(a > b for a, b in itertools.pairwise(chosen))
        )

    draw = np.random.default_rng(0)
    for _ in range(60):
        values = draw.integers(0, 6, size=9).astype(float)
        found = longest_descent(values)
        assert len(found) == longest(values.tolist())
        assert (np.diff(found) > 0).all()
        assert (np.diff(values[found]) < 0).all()


def test_the_picks_of_a_real_test_lie_in_order_and_train(test):
    assert test.valley < test.tenth < test.steepest < test.minimum


# ---- bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"low": 0}, "low must be a positive number, got 0."),
        ({"low": 1, "high": 1}, "high must be a rate above low, 1, got 1."),
        ({"high": math.inf}, "high must be a positive number, got inf."),
        ({"steps": 9}, "steps must be at least 10, got 9."),
        ({"steps": 20.5}, "steps must be a positive integer, got 20.5."),
        ({"batch_size": 0}, "batch_size must be a positive integer, got 0."),
        ({"smooth": 1}, "smooth must be a non-negative number below 1, got 1."),
        ({"smooth": -0.1}, "smooth must be a non-negative number below 1, got -0.1."),
        ({"stop_factor": 1}, "stop_factor must be above 1, got 1."),
        ({"seed": -1}, "seed must be a non-negative integer, got -1."),
    ],
)
def test_bad_input_is_refused(options, message):
    with pytest.raises(ValueError) as error:
        lr_range_test(*parts(fresh()), **options)
    assert str(error.value) == message


def test_an_optimizer_of_another_model_is_refused():
    with pytest.raises(ValueError, match="optimizer must hold parameters of the model"):
        lr_range_test(seeded(MLP, 0), DATA, fresh()[1])


def test_a_rate_of_zero_has_no_ratio_to_others():
    model, _ = fresh()
    with pytest.raises(ValueError, match="the optimizer's first rate must be a positive number"):
        lr_range_test(model, DATA, torch.optim.SGD(model.parameters(), lr=0.0))


def test_it_is_one_of_the_experiments():
    assert experiments.lr_range_test is lr_range_test


# ---- the picture


def labels(ax):
    names = [say(f"pick_{name}") for name in ("steepest", "tenth", "valley")]
    return [text for text in ax.texts if text.get_text().split(":")[0] in names]


def test_the_picture_names_each_pick_and_its_rate(test):
    ax = plot_range_test(test, loss_label="cross-entropy (nats)")
    assert ax.get_ylabel() == "cross-entropy (nats)"
    assert [text.get_text() for text in labels(ax)] == [
        "steepest slope: 0.13",
        "tenth of minimum: 0.031",
        "valley: 0.019",
    ]


@pytest.mark.parametrize("settings", [{}, {"low": 0.5, "high": 1000}, {"high": 1e-4}])
def test_labels_neither_overlap_nor_leave_the_picture(settings):
    ax = plot_range_test(lr_range_test(*parts(fresh()), **settings))
    ax.figure.canvas.draw()
    boxes = [text.get_window_extent() for text in labels(ax) if text.get_visible()]
    assert len(boxes) == 3
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
    frame = ax.get_window_extent()
    assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 for box in boxes)


def test_a_picture_of_hardly_anything_is_drawn_without_a_warning():
    nothing = np.full(20, math.nan)
    for test in (RangeTest(nothing, nothing, nothing), drawn([0.0] * 20), drawn([1.0], cut_at=0)):
        ax = plot_range_test(test, matplotlib.figure.Figure().subplots())
        ax.figure.canvas.draw()
