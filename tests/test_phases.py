"""Phases, one after the other: what torch applies, and where it jumps."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from closed_forms import rate_of_phases
from hypothesis import given, settings
from hypothesis import strategies as st
from test_snippet import TOY, applied_by

from lrsched_kit import (
    Phase,
    Run,
    SimpleNet,
    compose,
    find_jumps,
    make_optimizer,
    seeded,
    trace_lr,
    train,
    train_many,
)
from lrsched_kit.schedules.phases import KINDS, boundaries
from lrsched_kit.training.script import training_script

ANY_PHASES = st.lists(
    st.builds(Phase, st.sampled_from(list(KINDS)), st.integers(1, 6)), min_size=1, max_size=5
)
WSD = [Phase("warm up", 2), Phase("hold", 5), Phase("PolynomialLR", 3)]


def jumps(phases, steps, steps_per_epoch=1):
    row = compose(phases, steps_per_epoch=steps_per_epoch)
    rates = trace_lr(row, base_lr=1.0, steps=steps * steps_per_epoch)
    found = find_jumps(rates, boundaries(phases, steps_per_epoch=steps_per_epoch))
    return [(j.step // steps_per_epoch, round(j.before, 3), round(j.after, 3)) for j in found]


@given(phases=ANY_PHASES, steps_per_epoch=st.sampled_from([1, 4]), more=st.integers(0, 5))
def test_torch_applies_what_the_formulas_of_the_phases_say(phases, steps_per_epoch, more):
    row = compose(phases, steps_per_epoch=steps_per_epoch)
    steps = boundaries(phases, steps_per_epoch=steps_per_epoch)[-1] + more
    traced = trace_lr(row, base_lr=0.3, steps=steps)
    worked_out = [
        rate_of_phases(t, phases, base_lr=0.3, per_epoch=steps_per_epoch) for t in range(steps)
    ]
    np.testing.assert_allclose(traced, worked_out, atol=1e-9)


@settings(max_examples=12)
@given(phases=ANY_PHASES, epochs=st.integers(1, 8), step_every=st.sampled_from(["epoch", "batch"]))
def test_the_script_of_any_phases_applies_exactly_the_rates_traced(phases, epochs, step_every):
    epochs = max(epochs, sum(phase.length for phase in phases))
    row = compose(phases, steps_per_epoch=4 if step_every == "batch" else 1)
    script = training_script(
        row,
        {},
        base_lr=0.01,
        epochs=epochs,
        data=TOY,
        make_model=SimpleNet,
        optimizer="sgd",
        batch_size=8,  # 4 batches in an epoch
        step_every=step_every,
    )
    steps = epochs * (4 if step_every == "batch" else 1)
    traced = trace_lr(row, base_lr=0.01, steps=steps).repeat(4 * epochs // steps)
    assert applied_by(script) == traced.tolist()


def test_the_script_of_a_warmup_and_a_decay_is_four_lines_of_torch():
    row = compose([Phase("warm up", 2), Phase("CosineAnnealingLR", 8)])
    functions, lines = row.code(base_lr=0.1, total_steps=10)
    assert functions == ""
    assert lines.splitlines() == [
        "schedulers = [",
        "    lr_scheduler.LinearLR(optimizer, start_factor=0.3333333333333333, end_factor=1.0, "
        "total_iters=2),",
        "    lr_scheduler.CosineAnnealingLR(optimizer, T_max=8, eta_min=0.0),",
        "]",
        "scheduler = lr_scheduler.SequentialLR(optimizer, schedulers, milestones=[2])",
    ]


@pytest.mark.parametrize("step_every", ["epoch", "batch"])
def test_a_fleet_trains_phases_as_train_does(step_every):
    data = TOY.to(torch.float64)
    row = compose(WSD, steps_per_epoch=4 if step_every == "batch" else 1)
    options = {"epochs": 10, "batch_size": 8, "step_every": step_every}

    def make_model():
        return SimpleNet().double()

    model = seeded(make_model, 3)
    optimizer = make_optimizer("momentum", model.parameters(), 0.01)
    scheduler = row.build(optimizer, total_steps=40 if step_every == "batch" else 10)
    alone = train(model, data, optimizer, scheduler, seed=3, **options)
    (fleet, _) = train_many(
        make_model, data, [Run(row, {}, 0.01, seed=3), Run("StepLR", {}, 0.01, seed=4)], **options
    )
    assert fleet.lr.tolist() == alone.lr.tolist()
    np.testing.assert_allclose(fleet.val_loss, alone.val_loss, rtol=1e-12)


def test_all_seeds_of_a_composition_train_at_the_rates_traced():
    row = compose(WSD)
    runs = [Run(row, {}, 0.01, seed=seed) for seed in range(3)]
    histories = train_many(SimpleNet, TOY, runs, epochs=10)
    planned = trace_lr(row, base_lr=0.01, steps=10)
    assert all(history.epoch_lr.tolist() == planned.tolist() for history in histories)


# Where the rate jumps


def test_warming_up_holding_and_decaying_never_jumps():
    for decay in KINDS.keys() - {"warm up", "hold", "restart", "MultiplicativeLR"}:
        phases = [Phase("warm up", 3), Phase("hold", 4), Phase(decay, 5)]
        assert jumps(phases, 12, steps_per_epoch=10) == []


def test_torch_starts_each_phase_from_the_initial_rate_and_that_is_a_jump():
    assert jumps([Phase("CosineAnnealingLR", 4), Phase("hold", 4)], 8) == [(4, 0.146, 1.0)]
    assert jumps([Phase("StepLR", 3), Phase("ExponentialLR", 3)], 6) == [(3, 0.01, 1.0)]


def test_multiplicative_lr_goes_on_from_where_the_rate_is():
    half = Phase("PolynomialLR", 4, {"total_iters": 8})
    on = Phase("MultiplicativeLR", 4, {"factor": 0.9})
    assert jumps([half, on], 8) == []
    assert jumps([half, Phase("ExponentialLR", 4, {"gamma": 0.9})], 8) == [(4, 0.625, 1.0)]


def test_a_restart_goes_back_to_a_share_of_the_peak():
    phases = [Phase("CosineAnnealingLR", 4), Phase("restart", 4, {"share": 0.3})]
    assert jumps(phases, 8) == [(4, 0.146, 0.3)]


def test_a_warmup_that_ends_below_the_peak_jumps_into_the_next_phase():
    low = Phase("warm up", 4, {"end_factor": 0.4})
    assert jumps([low, Phase("hold", 4)], 8) == [(4, 0.35, 1.0)]


@given(phases=ANY_PHASES)
def test_no_large_move_at_a_boundary_goes_untold(phases):
    # Per batch, every schedule's own steps are small, but for those that are stairs.
    smooth = [phase for phase in phases if phase.kind not in ("StepLR", "MultiStepLR", "LambdaLR")]
    if not smooth:
        return
    ends = boundaries(smooth, steps_per_epoch=50)
    rates = trace_lr(compose(smooth, steps_per_epoch=50), base_lr=1.0, steps=ends[-1])
    large = [e for e in ends[:-1] if abs(rates[e] - rates[e - 1]) > 0.12]
    told = [jump.step for jump in find_jumps(rates, ends)]
    assert set(large) <= set(told)
    assert all(abs(rates[e] - rates[e - 1]) > 0.009 for e in told)


def test_what_comes_after_the_last_phase_is_its_own_scheduler_going_on():
    rates = trace_lr(
        compose([Phase("hold", 2), Phase("CosineAnnealingLR", 4)]), base_lr=1, steps=10
    )
    assert rates[6] == pytest.approx(0, abs=1e-12)
    assert all(later > earlier for earlier, later in pairwise(rates[6:]))  # it climbs again


# What is refused


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Phase("hold", 0), r"length must be a positive integer, got 0\."),
        (lambda: Phase("hold", 2.5), r"length must be a positive integer, got 2\.5\."),
        (
            lambda: Phase("warmup", 1),
            r"kind must be a known phase \(did you mean 'warm up'\?\), got",
        ),
        (lambda: Phase("hold", 1, {"factor": 0}), r"factor must be a positive number.*got 0\."),
        (lambda: Phase("hold", 1, {"gamma": 1}), "has no parameter 'gamma'"),
        (lambda: compose([]), r"phases must be one or more of Phase, got \(\)\."),
        (lambda: compose(WSD, steps_per_epoch=0), "steps_per_epoch must be a positive integer"),
        (
            lambda: trace_lr(compose(WSD), base_lr=1, steps=9),
            r"phases must be no longer than the run \(9 epochs\), got 10: 2 \+ 5 \+ 3\.",
        ),
        (
            lambda: train_many(
                SimpleNet, TOY, [Run(compose(WSD, steps_per_epoch=2))], epochs=9, step_every="batch"
            ),
            r"phases must be no longer than the run \(9 epochs\), got 10: 2 \+ 5 \+ 3\.",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_words(make, message):
    with pytest.raises(ValueError, match=message):
        make()
