import contextlib
import io
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from any_setting import draw_params
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.optim import lr_scheduler
from torch.optim.optimizer import register_optimizer_step_pre_hook

from lrsched_kit import (
    SCHEDULES,
    Dataset,
    Param,
    Schedule,
    SimpleNet,
    make_optimizer,
    seeded,
    toy_regression,
    trace_lr,
    train,
)
from lrsched_kit.training.script import training_script

TOY = toy_regression()  # 32 rows
BATCH = 8


def applied_by(script):
    """Run a script as a reader would, and note the rate at each update that it makes."""
    rates = []
    hook = register_optimizer_step_pre_hook(
        lambda optimizer, *_: rates.append(optimizer.param_groups[0]["lr"])
    )
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(script, "show_code.py", "exec"), {"__name__": "__main__"})
    finally:
        hook.remove()
    return rates


def script_of(name, params, **options):
    given = {"data": TOY, "make_model": SimpleNet, "batch_size": BATCH, "optimizer": "sgd"}
    return training_script(SCHEDULES[name], params, **given | options)


@pytest.mark.parametrize("name", SCHEDULES)
@settings(max_examples=4)
@given(data=st.data())
def test_the_script_of_any_setting_applies_exactly_the_rates_of_the_kit(name, data):
    row = SCHEDULES[name]
    units = ["epoch"] if row.metric_driven else ["epoch", "batch"]
    step_every = data.draw(st.sampled_from(units))
    epochs = data.draw(st.integers(1, 8))
    per_epoch = len(TOY.x_train) // BATCH
    total_steps = epochs * (per_epoch if step_every == "batch" else 1)
    params = draw_params(data, row, base_lr=0.05, total_steps=total_steps, beyond=False)
    if row.metric_driven:
        params["mode"] = "min"  # this task reports nothing of which more is better
    options = {"epochs": epochs, "step_every": step_every}
    rates = applied_by(script_of(name, params, base_lr=0.05, **options))

    model = seeded(SimpleNet, 0)
    optimizer = make_optimizer("sgd", model.parameters(), 0.05)
    scheduler = row.build(optimizer, total_steps=total_steps, **params)
    history = train(model, TOY, optimizer, scheduler, batch_size=BATCH, **options)
    made = np.isfinite(history.lr)  # it ends where the loss is no longer a number
    assert made.any()
    assert np.array(rates)[made].tolist() == history.lr[made].tolist()
    if not row.metric_driven:
        traced = trace_lr(name, base_lr=0.05, steps=total_steps, **params)
        assert rates == traced.repeat(len(rates) // total_steps).tolist()


@pytest.mark.parametrize("name", ["OneCycleLR", "StepLR"])
def test_left_to_itself_a_script_steps_as_practice_does(name):
    row = SCHEDULES[name]
    epochs = 5
    script = script_of(name, row.complete({}), base_lr=0.05, epochs=epochs)
    steps = epochs * (len(TOY.x_train) // BATCH if row.step_every == "batch" else 1)
    assert len(set(applied_by(script))) == len(set(trace_lr(name, base_lr=0.05, steps=steps)))


def test_a_schedule_that_torch_has_no_class_for_brings_its_function_along():
    script = script_of("WSD", SCHEDULES["WSD"].complete({}), base_lr=0.05, epochs=3)
    assert "def wsd(" in script
    assert "scheduler = wsd(optimizer, total_steps=12, warmup=0.1, cooldown=0.2)" in script
    assert "LambdaLR(optimizer, lr_lambda=factor)" in script


def test_the_constant_rate_needs_no_scheduler():
    script = script_of("Constant", {}, base_lr=0.05, epochs=3)
    assert "scheduler" not in script
    assert applied_by(script) == [0.05] * 12


# What is the reader's own


def halving(optimizer, *, every):
    """A scheduler of the reader's own that needs nothing but torch."""
    return torch.optim.lr_scheduler.StepLR(optimizer, every, np.float64(0.5).item())


class OwnScheduler(lr_scheduler.StepLR):
    pass


HELPERS = {"every": 2}


def with_a_helper(optimizer):
    return lr_scheduler.StepLR(optimizer, HELPERS["every"])


def data(optimizer):  # a name that the script uses for something else
    return lr_scheduler.StepLR(optimizer, 2)


def closure(every):
    def around(optimizer):
        return lr_scheduler.StepLR(optimizer, every)

    return around


def own_row(make, *params):
    return Schedule(name="Mine", make=make, params=params)


def script_of_own(make, *params, **options):
    given = {"data": TOY, "make_model": SimpleNet, "base_lr": 0.05, "epochs": 4}
    return training_script(own_row(make, *params), {}, **given | options)


EVERY = Param("every", 2, 1, 9, integer=True)


def test_an_own_function_comes_along_with_the_imports_that_it_needs():
    script = script_of_own(halving, EVERY, batch_size=32, optimizer="sgd")
    assert script.startswith("import numpy as np\nimport torch\n\nfrom lrsched_kit import ")
    assert "def halving(optimizer, *, every):" in script
    assert applied_by(script) == [0.05, 0.05, 0.025, 0.025]


def test_a_class_of_torch_is_named_by_its_path():
    script = script_of_own(lr_scheduler.StepLR, Param("step_size", 2, 1, 9, integer=True))
    assert "scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2)\n" in script


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda optimizer: lr_scheduler.StepLR(optimizer, 2), "make_scheduler"),
        (partial(lr_scheduler.StepLR, step_size=2), "make_scheduler"),
        (data, "make_scheduler"),
        (closure(2), "around"),
        (with_a_helper, "with_a_helper"),
        (OwnScheduler, "OwnScheduler"),
    ],
)
def test_what_would_not_run_alone_is_named_and_left_to_the_reader(make, name):
    script = script_of_own(make)
    assert f"# {name} makes your own scheduler: put its definition here.\n" in script
    assert f"scheduler = {name}(optimizer)\n" in script
    assert "def " not in script


def test_an_own_data_set_is_not_imported_from_the_kit():
    script = script_of("Constant", {}, base_lr=0.05, epochs=1, data=replace(TOY, source="mine()"))
    assert "\nfrom lrsched_kit import SimpleNet\n" in script
    assert "\ndata = mine()  # your own data set: put what makes it above\n" in script


class Weighted(Dataset):
    """A data set whose loss is its own."""

    @property
    def loss_fn(self):
        return nn.CrossEntropyLoss(torch.tensor([1.0, 3.0]))


def test_an_own_loss_is_taken_from_the_data():
    parts = torch.zeros(4, 2), torch.tensor([0, 1, 0, 1])
    mine = Weighted("mine", *parts, *parts, source="mine()")
    script = script_of("Constant", {}, base_lr=0.05, epochs=1, data=mine)
    assert "\nloss_fn = data.loss_fn\n" in script


def test_a_kits_data_set_that_was_given_a_loss_is_not_called_the_kits():
    mine = Weighted(**vars(TOY))
    script = script_of("Constant", {}, base_lr=0.05, epochs=1, data=mine)
    assert "\ndata = ...  # your own data set\n" in script


def test_the_validation_of_an_own_model_switches_batch_norm_and_dropout():
    def own_net():
        return nn.Sequential(nn.Linear(10, 8), nn.BatchNorm1d(8), nn.Linear(8, 2))

    script = script_of("Constant", {}, base_lr=0.05, epochs=3, make_model=own_net)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(script, {"own_net": own_net})
    model = seeded(own_net, 0)
    optimizer = make_optimizer("sgd", model.parameters(), 0.05)
    history = train(model, TOY, optimizer, epochs=3, batch_size=BATCH)
    losses = [float(line.split()[-1]) for line in printed.getvalue().splitlines()]
    assert losses == pytest.approx(history.val_loss, abs=1e-4)


def test_params_that_are_no_such_are_refused_and_not_printed():
    with pytest.raises(ValueError, match="gamma must be a positive number, got 'half'"):
        script_of("StepLR", {"gamma": "half"}, base_lr=0.05, epochs=3)
