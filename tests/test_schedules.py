import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import SGD, lr_scheduler
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from lrsched_kit import SCHEDULES, get_schedule, trace_lr
from lrsched_kit.schedules import check_number

FORMULAS = [name for name, row in SCHEDULES.items() if row.closed_form is not None]
TORCH_CLASSES = {
    name: getattr(lr_scheduler, name) for name in FORMULAS if hasattr(lr_scheduler, name)
}


def draw_params(data, row):
    """Any setting that the row's sliders can reach."""
    return {
        p.name: data.draw(
            st.integers(int(p.low), int(p.high)) if p.integer else st.floats(p.low, p.high),
            label=p.name,
        )
        for p in row.params
    }


def one_weight():
    return [torch.zeros(1, requires_grad=True)]


base_lrs = st.floats(1e-4, 10)
run_lengths = st.integers(1, 80)


@pytest.mark.parametrize("name", TORCH_CLASSES)
@given(data=st.data(), base_lr=base_lrs, steps=run_lengths)
def test_trace_is_what_torch_applies_to_a_training_optimizer(name, data, base_lr, steps):
    params = draw_params(data, SCHEDULES[name])
    (weight,) = one_weight()
    optimizer = SGD([weight], lr=base_lr)
    scheduler = TORCH_CLASSES[name](optimizer, **params)
    applied = []
    for _ in range(steps):
        before = weight.item()
        weight.grad = torch.ones(1)
        applied.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        assert weight.item() == pytest.approx(before - applied[-1], rel=1e-5, abs=1e-5)
        scheduler.step()
    traced = trace_lr(name, base_lr=base_lr, steps=steps, **params)
    assert traced.tolist() == applied


@pytest.mark.parametrize("name", FORMULAS)
@given(data=st.data(), base_lr=base_lrs, steps=run_lengths)
def test_trace_equals_the_closed_form(name, data, base_lr, steps):
    row = SCHEDULES[name]
    params = draw_params(data, row)
    traced = trace_lr(name, base_lr=base_lr, steps=steps, **params)
    formula = np.array(
        [row.closed_form(t, base_lr=base_lr, total_steps=steps, **params) for t in range(steps)]
    )
    # torch's cosine is a recursion: where it passes close to zero, only the digits relative to
    # the curve's own height are meaningful.
    np.testing.assert_allclose(traced, formula, rtol=1e-12, atol=1e-12 * formula.max())


@given(
    metrics=st.lists(st.floats(0, 10), min_size=1, max_size=40),
    factor=st.floats(0.05, 0.95),
    patience=st.integers(0, 5),
    cooldown=st.integers(0, 3),
)
def test_plateau_trace_is_what_torch_does_with_the_same_metrics(
    metrics, factor, patience, cooldown
):
    params = {"factor": factor, "patience": patience, "cooldown": cooldown}
    optimizer = SGD(one_weight(), lr=1.0)
    scheduler = ReduceLROnPlateau(optimizer, **params)
    applied = []
    for metric in metrics:
        applied.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step(metric)
    traced = trace_lr(
        "ReduceLROnPlateau", base_lr=1.0, steps=len(metrics), metrics=metrics, **params
    )
    assert traced.tolist() == applied


def test_plateau_with_patience_2_acts_on_the_third_bad_epoch():
    traced = trace_lr("ReduceLROnPlateau", base_lr=1.0, steps=6, metrics=[1.0] * 6, patience=2)
    assert traced.round(6).tolist() == [1, 1, 1, 1, 0.1, 0.1]  # the first epoch is the best one


def test_the_tutorials_promise():
    traced = trace_lr("StepLR", base_lr=0.01, steps=20, step_size=5, gamma=0.1)
    assert traced.round(9).tolist() == [0.01] * 5 + [0.001] * 5 + [0.0001] * 5 + [0.00001] * 5


def test_cosine_climbs_again_after_T_max():
    traced = trace_lr("CosineAnnealingLR", base_lr=1.0, steps=11, T_max=5)
    assert traced[5] == pytest.approx(0, abs=1e-12)
    assert traced[10] == pytest.approx(1)


def test_tracing_twice_gives_the_same_rates():
    first, second = (trace_lr("StepLR", base_lr=1.0, steps=30) for _ in range(2))
    assert first.tolist() == second.tolist()


@pytest.mark.parametrize("row", SCHEDULES.values(), ids=SCHEDULES)
def test_each_row_is_complete(row):
    scheduler = row.build(SGD(one_weight(), lr=1.0), total_steps=10)
    assert isinstance(scheduler, LRScheduler)
    assert row.formula
    assert row.when.endswith(".")
    for param in row.params:
        assert param.low <= param.default <= param.high
        assert param.help
        for value in (param.low, param.default, param.high):
            assert param.check(value) == value


def test_params_left_out_take_their_defaults():
    assert get_schedule("StepLR").complete({"gamma": 0.5}) == {"step_size": 5, "gamma": 0.5}


BAD = [
    ("StepLR", {"step_size": 0}, "step_size must be a positive integer, got 0."),
    ("StepLR", {"step_size": 2.5}, "step_size must be a positive integer, got 2.5."),
    ("StepLR", {"gamma": 0}, "gamma must be a positive number, got 0."),
    ("StepLR", {"gamma": -1.0}, "gamma must be a positive number, got -1.0."),
    ("ExponentialLR", {"gamma": math.nan}, "gamma must be a positive number, got nan."),
    ("ExponentialLR", {"gamma": "0.9"}, "gamma must be a positive number, got '0.9'."),
    ("CosineAnnealingLR", {"T_max": 0}, "T_max must be a positive integer, got 0."),
    ("CosineAnnealingLR", {"eta_min": -1}, "eta_min must be a non-negative number, got -1."),
    ("Constant", {"base_lr": -0.1}, "base_lr must be a positive number, got -0.1."),
    ("Constant", {"base_lr": math.nan}, "base_lr must be a positive number, got nan."),
    ("Constant", {"base_lr": math.inf}, "base_lr must be a positive number, got inf."),
    ("Constant", {"steps": 0}, "steps must be a positive integer, got 0."),
    ("StepLR", {"gama": 0.5}, "StepLR has no parameter 'gama' (did you mean 'gamma'?)"),
    ("Constant", {"gamma": 0.5}, "Constant has no parameter 'gamma'; it takes none."),
    ("Cosine", {}, "name must be a known schedule (did you mean 'CosineAnnealingLR'?)"),
    ("ReduceLROnPlateau", {}, "metrics must be given for ReduceLROnPlateau"),
    ("ReduceLROnPlateau", {"metrics": [1, 2]}, "metrics must have shape (4,), got (2,)."),
    (
        "ReduceLROnPlateau",
        {"metrics": [1] * 4, "factor": 1.0},
        "factor must be a positive number below 1, got 1.0.",
    ),
]


@pytest.mark.parametrize(("name", "bad", "message"), BAD)
def test_bad_input_names_argument_constraint_and_value(name, bad, message):
    with pytest.raises(ValueError) as error:
        trace_lr(name, **{"base_lr": 0.1, "steps": 4} | bad)
    assert message in str(error.value)


def test_build_refuses_bad_params_too():
    with pytest.raises(ValueError, match="step_size must be a positive integer, got 0"):
        get_schedule("StepLR").build(SGD(one_weight(), lr=1.0), total_steps=5, step_size=0)


def test_numpy_numbers_are_numbers():
    assert check_number("step_size", np.int64(3), integer=True) == 3
    assert check_number("gamma", np.float32(0.5)) == 0.5
