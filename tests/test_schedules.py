import math
import re
from functools import partial

import numpy as np
import pytest
import torch
from any_setting import draw_params
from closed_forms import FORMS
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import SGD, Adam, lr_scheduler, swa_utils
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from lrsched_kit import BASICS, FAMILIES, SCHEDULES, Param, get_schedule, trace_lr, trace_momentum
from lrsched_kit.words.errors import check_number

FORMULAS = [name for name in SCHEDULES if name in FORMS]


def public_schedulers():
    """All that torch calls a scheduler, wherever it keeps them."""
    found, waiting = {}, LRScheduler.__subclasses__()
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if kind.__module__.startswith("torch.") and not kind.__name__.startswith("_"):
            found[kind.__name__] = kind
    return found


TORCH = public_schedulers()


def one_weight():
    return [torch.zeros(1, requires_grad=True)]


def test_every_scheduler_of_torch_has_a_row_that_builds_it():
    assert swa_utils.SWALR in TORCH.values()
    assert set(lr_scheduler.__all__) - {"LRScheduler"} <= set(TORCH)
    for name, kind in TORCH.items():
        assert type(get_schedule(name).build(SGD(one_weight(), lr=0.1), total_steps=9)) is kind


@pytest.mark.parametrize("name", FORMULAS)
@given(data=st.data(), base_lr=st.floats(1e-4, 10), steps=st.integers(1, 60))
def test_torch_applies_what_the_trace_notes_and_the_closed_form_says(name, data, base_lr, steps):
    row = SCHEDULES[name]
    params = draw_params(data, row, base_lr=base_lr, total_steps=steps)
    traced = trace_lr(name, base_lr=base_lr, steps=steps, **params)
    at = partial(FORMS[name], base_lr=base_lr, total_steps=steps, **params)
    # Some of torch's are recursions: where they pass close to zero, only the digits relative to
    # the curve's own height are meaningful.
    highest = max(map(at, range(steps)))
    weight = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    weight.grad = torch.ones_like(weight)
    optimizer = SGD([weight], lr=base_lr)
    scheduler = row.build(optimizer, total_steps=steps, **params)
    for t in range(2 * steps):  # what happens beyond the end of the run is told as well
        before = weight.item()
        optimizer.step()
        moved, rate = before - weight.item(), optimizer.param_groups[0]["lr"]
        assert moved == pytest.approx(rate, abs=1e-11 * (highest + abs(before)))
        assert rate == pytest.approx(at(t), rel=1e-11, abs=1e-11 * highest)
        assert t >= steps or rate == traced[t]
        try:
            scheduler.step()
        except ValueError:
            assert name == "OneCycleLR"  # torch refuses to step it any further
            assert t == steps
            break


def test_warmup_cosine_stays_at_its_floor_when_the_run_is_over():
    optimizer = SGD(one_weight(), lr=1.0)
    scheduler = get_schedule("WarmupCosine").build(optimizer, total_steps=10, floor=0.1)
    optimizer.step()
    for _ in range(10):
        scheduler.step()
    assert [(optimizer.param_groups[0]["lr"], scheduler.step())[0] for _ in range(9)] == [0.1] * 9


@pytest.mark.parametrize(
    ("name", "given", "torchs"),
    [
        ("StepLR", {"step_size": 3}, lambda o: lr_scheduler.StepLR(o, 3)),
        ("MultiStepLR", {}, lambda o: lr_scheduler.MultiStepLR(o, [10, 15])),
        (
            "MultiStepLR",
            {"milestones": [3, 9, 9, 20]},
            lambda o: lr_scheduler.MultiStepLR(o, [3, 9, 9, 20]),
        ),
        ("PolynomialLR", {"power": 2.0}, lambda o: lr_scheduler.PolynomialLR(o, 20, 2.0)),
        ("OneCycleLR", {}, lambda o: lr_scheduler.OneCycleLR(o, 0.5, total_steps=24)),
        ("CyclicLR", {"max_lr": 2, "cycles": 3}, lambda o: lr_scheduler.CyclicLR(o, 0.5, 2, 4)),
        ("SWALR", {"swa_lr": 0.1}, lambda o: swa_utils.SWALR(o, 0.1)),
    ],
)
def test_rows_are_what_one_would_write_with_torch(name, given, torchs):
    optimizer = SGD(one_weight(), lr=0.5, momentum=0.9)
    scheduler = torchs(optimizer)
    traced = zip(
        trace_lr(name, base_lr=0.5, steps=24, **given),
        trace_momentum(name, base_lr=0.5, steps=24, **given),
        strict=True,
    )
    for rate, momentum in traced:
        group = optimizer.param_groups[0]
        assert (group["lr"], group["momentum"]) == (rate, momentum)
        optimizer.step()
        scheduler.step()


@pytest.mark.parametrize("name", FORMULAS)
def test_momentum_moves_where_the_row_says_so(name):
    momentum = trace_momentum(name, base_lr=0.1, steps=30)
    assert (len(set(momentum)) > 1) == SCHEDULES[name].moves_momentum


def test_one_cycle_moves_momentum_against_the_rate():
    rates = trace_lr("OneCycleLR", base_lr=0.1, steps=40)
    momenta = trace_momentum("OneCycleLR", base_lr=0.1, steps=40)
    assert rates.argmax() == momenta.argmin() == 11  # pct_start * steps - 1
    assert (momenta.max(), momenta.min()) == (0.95, 0.85)


def test_with_adam_the_first_beta_is_moved():
    optimizer = Adam(one_weight(), lr=0.1)
    get_schedule("OneCycleLR").build(optimizer, total_steps=40)
    assert optimizer.param_groups[0]["betas"] == (0.95, 0.999)


def test_an_optimizer_without_momentum_is_given_none():
    optimizer = SGD(one_weight(), lr=0.1)
    get_schedule("OneCycleLR").build(optimizer, total_steps=40)
    assert optimizer.param_groups[0]["momentum"] == 0


WARMUPS = ["WarmupCosine", "WarmupLinear", "WSD", "WSD-sqrt"]


@pytest.mark.parametrize("name", WARMUPS)
@pytest.mark.parametrize("steps", [10, 33, 200])
def test_a_warmup_starts_above_zero_reaches_the_rate_and_does_not_jump(name, steps):
    rates = trace_lr(name, base_lr=1.0, steps=steps, warmup=0.3)
    rise = round(0.3 * steps)
    np.testing.assert_allclose(np.diff(rates[: rise + 1]), 1 / (rise + 1))
    assert rates[0] == pytest.approx(1 / (rise + 1))
    assert rates.max() == pytest.approx(1)
    assert 0 < rates[-1] <= 0.5


def test_a_chained_warmup_never_reaches_the_rate_that_a_sequential_one_does():
    sequential, chained = (
        trace_lr(name, base_lr=1.0, steps=20).max() for name in ("SequentialLR", "ChainedScheduler")
    )
    assert sequential == pytest.approx(1)
    assert chained < 0.6


@given(
    metrics=st.lists(st.floats(0, 10), min_size=1, max_size=40),
    factor=st.floats(0.05, 0.95),
    patience=st.integers(0, 5),
    cooldown=st.integers(0, 3),
    mode=st.sampled_from(["min", "max"]),
)
def test_plateau_trace_is_what_torch_does_with_the_same_metrics(
    metrics, factor, patience, cooldown, mode
):
    params = {"factor": factor, "patience": patience, "cooldown": cooldown, "mode": mode}
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


def test_plateau_told_an_accuracy_that_rises_leaves_the_rate_alone():
    accuracy = [0.877, 0.887, 0.909, 0.914, 0.957]
    options = {"base_lr": 0.05, "steps": 5, "patience": 1, "metrics": accuracy}
    assert trace_lr("ReduceLROnPlateau", mode="max", **options).tolist() == [0.05] * 5
    assert trace_lr("ReduceLROnPlateau", **options).round(4).tolist() == [0.05] * 3 + [0.005] * 2


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
    scheduler = row.build(SGD(one_weight(), lr=0.1), total_steps=12)
    assert isinstance(scheduler, LRScheduler)
    assert row.formula
    assert row.when.endswith(".")
    assert row.family in FAMILIES
    assert row.source.startswith("https://")
    assert row.step_every in ("epoch", "batch")
    assert not set(", ") & set(row.name)  # a label may go on after them
    for param in row.params:
        assert param.help
        assert param.check(param.default) == param.default
        if isinstance(param, Param):
            assert param.low <= param.default <= param.high
            assert [param.check(end) for end in (param.low, param.high)] == [param.low, param.high]


def test_params_left_out_take_their_defaults():
    assert get_schedule("StepLR").complete({"gamma": 0.5}) == {"step_size": 5, "gamma": 0.5}


def test_a_horizon_left_out_is_the_length_of_the_run_where_that_is_told():
    row = get_schedule("PolynomialLR")
    assert row.complete({}, horizon=7)["total_iters"] == 7
    assert row.complete({"total_iters": 3}, horizon=7)["total_iters"] == 3


def test_the_basics_are_rows():
    assert set(BASICS) < set(SCHEDULES)


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
    ("CosineAnneal", {}, "name must be a known schedule (did you mean 'CosineAnnealingLR'?)"),
    ("ReduceLROnPlateau", {}, "metrics must be given for ReduceLROnPlateau"),
    ("ReduceLROnPlateau", {"metrics": [1, 2]}, "metrics must have shape (4,), got (2,)."),
    (
        "ReduceLROnPlateau",
        {"metrics": [1] * 4, "factor": 1.0},
        "factor must be a positive number below 1, got 1.0.",
    ),
    (
        "ReduceLROnPlateau",
        {"metrics": [1] * 4, "mode": "maximum"},
        "mode must be one of ('min', 'max'), got 'maximum' (did you mean 'max'?).",
    ),
    ("CosineAnnealingWarmRestarts", {"T_0": 0}, "T_0 must be a positive integer, got 0."),
    ("CosineAnnealingWarmRestarts", {"T_mult": 1.5}, "T_mult must be a positive integer, got 1.5."),
    ("OneCycleLR", {"pct_start": 1.0}, "pct_start must be a positive number below 1, got 1.0."),
    ("LinearLR", {"start_factor": 0}, "start_factor must be a positive number, 1 at most, got 0."),
    ("LinearLR", {"end_factor": 1.1}, "end_factor must be a number from 0 to 1, got 1.1."),
    ("REX", {"beta": 1.0}, "beta must be a non-negative number below 1, got 1.0."),
    (
        "MultiStepLR",
        {"milestones": (9, 8)},
        "milestones must be positive integers in rising order, like (10, 15), got (9, 8).",
    ),
    ("CosineAnnealingLR", {"eta_min": 0.2}, "eta_min must be at most base_lr (0.1), got 0.2: the"),
    ("CyclicLR", {"max_lr": 0.05}, "max_lr must be at least base_lr (0.1), got 0.05: the rate"),
    (
        "OneCycleLR",
        {"pct_start": 0.25},
        "pct_start must not be 1 / total_steps, got 0.25 with 4 steps: torch then divides by",
    ),
    (
        "WSD",
        {"warmup": 0.5, "cooldown": 0.6},
        "cooldown must be at most 1 - warmup (0.5), got 0.6: together they are longer than the run",
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


@pytest.mark.parametrize("row", SCHEDULES.values(), ids=list(SCHEDULES))
def test_a_source_is_a_paper_or_the_page_of_a_class_that_torch_has(row):
    page = re.fullmatch(r".*/generated/torch\.optim\.lr_scheduler\.(\w+)\.html", row.source)
    if page:
        assert hasattr(torch.optim.lr_scheduler, page[1])
    else:
        assert re.match(
            r"https://(arxiv\.org/abs|docs\.pytorch\.org/docs/stable/optim)", row.source
        )
