"""An optimizer with several parameter groups: each keeps the ratio of its rate to the others'."""

import numpy as np
import pytest
import torch
from any_setting import draw_params
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import SGD, AdamW

from lrsched_kit import SCHEDULES, Phase, compose, get_schedule, trace_lr
from lrsched_kit.schedules.trace import trace_groups

RATIOS = (1, 0.01, 3)
OPTIMIZERS = {
    "sgd": SGD,
    "momentum": lambda groups: SGD(groups, momentum=0.9),
    "adamw": AdamW,
}


def groups_of(*rates):
    return [{"params": [torch.zeros(1, requires_grad=True)], "lr": rate} for rate in rates]


def applied(optimizer, scheduler, steps, metrics=None):
    """The rate of each group at each step, shape (groups, steps)."""
    optimizer.step()
    rates = []
    for t in range(steps):
        rates.append([float(group["lr"]) for group in optimizer.param_groups])
        scheduler.step(*([] if metrics is None else [metrics[t]]))
    return np.array(rates).T


@pytest.mark.parametrize("name", SCHEDULES)
@given(data=st.data(), base_lr=st.floats(1e-3, 1), steps=st.integers(1, 40))
def test_each_group_goes_as_a_group_of_its_own_would(name, data, base_lr, steps):
    row = SCHEDULES[name]
    params = draw_params(data, row, base_lr=1, total_steps=steps)
    if "eta_min" in params:
        params["eta_min"] *= base_lr * min(RATIOS)  # above no group's rate
    metrics = None
    if row.metric_driven:
        metrics = data.draw(st.lists(st.floats(0, 9), min_size=steps, max_size=steps))
    make = data.draw(st.sampled_from(list(OPTIMIZERS)))
    optimizer = OPTIMIZERS[make](groups_of(*(base_lr * ratio for ratio in RATIOS)))
    scheduler = row.build(optimizer, total_steps=steps, **params)
    found = applied(optimizer, scheduler, steps, metrics)
    for ratio, rates in zip(RATIOS, found, strict=True):
        scaled = row.for_group(params, ratio)
        alone = trace_lr(name, base_lr=base_lr * ratio, steps=steps, metrics=metrics, **scaled)
        np.testing.assert_allclose(rates, alone, rtol=1e-12, atol=1e-12 * alone.max())


def test_one_cycle_peaks_at_each_groups_own_rate():
    optimizer = SGD(groups_of(0.1, 0.001))
    scheduler = get_schedule("OneCycleLR").build(optimizer, total_steps=10)
    assert applied(optimizer, scheduler, 10).max(axis=1).tolist() == [0.1, 0.001]


def test_cyclic_starts_each_group_at_its_own_rate_and_swings_in_proportion():
    rates = trace_groups("CyclicLR", rates=[0.1, 0.001], steps=40, max_lr=0.5, cycles=1)
    assert rates[:, 0].tolist() == [0.1, 0.001]
    assert rates.max(axis=1) == pytest.approx([0.5, 0.005])


def test_the_floor_of_a_warmup_cosine_is_a_share_of_each_groups_rate():
    rates = trace_groups("WarmupCosine", rates=[1.0, 0.01], steps=400, floor=0.1)
    assert rates[:, -1] == pytest.approx([0.1, 0.001], rel=1e-3)


def test_swalr_comes_to_rest_in_proportion():
    rates = trace_groups("SWALR", rates=[0.1, 0.001], steps=20, swa_lr=0.05)
    assert rates[:, -1] == pytest.approx([0.05, 0.0005])


@pytest.mark.parametrize("name", ["OneCycleLR", "CyclicLR"])
def test_momentum_is_moved_only_where_every_group_has_some(name):
    some = groups_of(0.1, 0.1)
    some[0]["momentum"] = 0.9
    optimizer = SGD(some)
    get_schedule(name).build(optimizer, total_steps=10)
    assert [group["momentum"] for group in optimizer.param_groups] == [0.9, 0]


@pytest.mark.parametrize("name", SCHEDULES)
def test_rates_held_in_tensors_are_moved_in_place(name):
    row = SCHEDULES[name]
    rates = [torch.tensor(rate, dtype=torch.float64) for rate in (0.1, 0.001)]
    optimizer = SGD(groups_of(*rates))
    metrics = [1.0] * 8 if row.metric_driven else None
    found = applied(optimizer, row.build(optimizer, total_steps=8), 8, metrics)
    wanted = trace_groups(name, rates=[0.1, 0.001], steps=8, metrics=metrics)
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-12)
    assert [group["lr"] for group in optimizer.param_groups] == rates


def test_phases_keep_the_ratio_too():
    row = compose([Phase("warm up", 2), Phase("REX", 3), Phase("MultiplicativeLR", 3)])
    first, second = trace_groups(row, rates=[1.0, 0.01], steps=8)
    np.testing.assert_allclose(second, first / 100, rtol=1e-12)


COSINE = Phase("CosineAnnealingLR", 4, {"eta_min": 0.01})


@pytest.mark.parametrize("row", [compose([COSINE]), get_schedule("CosineAnnealingLR")])
def test_an_eta_min_above_the_rate_of_any_group_is_refused(row):
    params = {"eta_min": 0.01} if row.params else {}
    with pytest.raises(ValueError) as error:
        row.build(SGD(groups_of(0.1, 0.001)), total_steps=4, **params)
    assert str(error.value).startswith(
        "param_groups[1]: eta_min must be at most base_lr (0.001), got 0.01"
    )


def test_a_first_group_at_rest_gives_no_proportion():
    with pytest.raises(ValueError, match='lr"] must be a positive number, got 0'):
        get_schedule("SWALR").build(SGD(groups_of(0, 0.1)), total_steps=4)
    get_schedule("StepLR").build(SGD(groups_of(0, 0.1)), total_steps=4)


@pytest.mark.parametrize(
    ("rates", "message"),
    [
        (0.1, "rates must hold a positive number for each group, got 0.1."),
        ([], "rates must hold a positive number for each group, got []."),
        ("12", "rates must hold a positive number for each group, got '12'."),
        ([0.1, 0], "rates[1] must be a positive number, got 0."),
    ],
)
def test_bad_rates_are_refused_in_words(rates, message):
    with pytest.raises(ValueError) as error:
        trace_groups("StepLR", rates=rates, steps=4)
    assert str(error.value) == message
