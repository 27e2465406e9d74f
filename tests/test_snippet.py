import contextlib
import io

import numpy as np
import pytest
from any_setting import draw_params
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim.optimizer import register_optimizer_step_pre_hook

from lrsched_kit import (
    SCHEDULES,
    SimpleNet,
    make_optimizer,
    seeded,
    toy_regression,
    trace_lr,
    train,
)
from lrsched_kit.snippet import training_script

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
