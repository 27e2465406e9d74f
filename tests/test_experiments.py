from dataclasses import replace

import numpy as np
import pytest
import torch

from lrsched_kit import (
    MLP,
    Comparison,
    History,
    Phase,
    compare,
    compose,
    get_schedule,
    load_digits,
    make_optimizer,
    seeded,
    train,
)
from lrsched_kit.training.stats import mean_and_error, paired


@pytest.fixture(scope="module")
def result():
    return compare({"StepLR": {"step_size": 3}, "CosineAnnealingLR": {}}, seeds=3, epochs=6)


def test_the_constant_rate_is_always_there_and_first(result):
    assert list(result.histories) == ["Constant", "StepLR", "CosineAnnealingLR"]
    assert {len(runs) for runs in result.histories.values()} == {3}


def test_each_run_is_what_train_does_with_that_seed(result):
    data = load_digits().to(torch.float64)
    model = seeded(lambda: MLP().to(torch.float64), 1)
    optimizer = make_optimizer("momentum", model.parameters(), 0.1)
    expected = train(model, data, optimizer, epochs=6, seed=1)
    np.testing.assert_allclose(result.histories["Constant"][1].val_loss, expected.val_loss, 1e-9)


def test_T_max_left_out_is_the_length_of_the_run(result):
    rates = result.histories["CosineAnnealingLR"][0].epoch_lr
    assert rates[3] == pytest.approx(0.05)  # half way


def test_the_difference_is_taken_seed_by_seed(result):
    losses = result.final_losses
    gaps = losses["Constant"] - losses["StepLR"]
    found = result.against("StepLR")
    assert found.gap == pytest.approx(gaps.mean())
    assert found.error == pytest.approx(gaps.std(ddof=1) / np.sqrt(3))
    assert found.wins == result.wins["StepLR"] == (gaps > 0).sum()


def test_two_settings_of_one_schedule_are_told_apart_by_their_labels():
    settings = {"StepLR, gamma=0.1": {"gamma": 0.1}, "StepLR, gamma=0.5": {"gamma": 0.5}}
    result = compare(settings, seeds=1, epochs=6)
    ends = [runs[0].epoch_lr[-1] for runs in result.histories.values()]
    assert ends == pytest.approx([0.1, 0.01, 0.05])


def last_rates(schedules, **options):
    result = compare(schedules, seeds=1, epochs=options.pop("epochs", 7), **options)
    return {label: runs[0].epoch_lr[-1].round(6) for label, runs in result.histories.items()}


@pytest.mark.parametrize(
    ("label", "last"),
    [
        ("StepLR, gamma=0.5", 0.05),
        ("StepLR,gamma = 0.5, step_size=2", 0.0125),
        ("StepLR, base_lr=0.2", 0.02),
        ("MultiStepLR, milestones=(2, 4, 6), gamma=0.5", 0.0125),
        ("MultiStepLR, milestones=[], as a constant", 0.1),
        ("ReduceLROnPlateau, mode=max, patience=9", 0.1),
        ("StepLR, as in lesson 02", 0.01),
    ],
)
def test_what_a_label_sets_is_applied(label, last):
    assert last_rates([label]) == {"Constant": 0.1, label: last}


def test_a_label_and_params_that_agree_are_fine_and_add_up():
    label = "StepLR, gamma=0.5"
    assert last_rates({label: {"gamma": 0.5, "step_size": 3}})[label] == 0.025


def test_a_label_that_sets_its_rate_needs_none_beside_it():
    labels = ["StepLR, base_lr=0.2", "StepLR"]
    rates = {"StepLR": 0.05, "Constant": 0.02}
    assert last_rates(labels, base_lr=rates) == {
        "Constant": 0.02,
        "StepLR, base_lr=0.2": 0.02,
        "StepLR": 0.005,
    }


MINE = replace(get_schedule("StepLR"), name="Mine")


def test_a_row_of_ones_own_goes_where_a_name_goes():
    assert last_rates([MINE, "StepLR"]) == {"Constant": 0.1, "Mine": 0.01, "StepLR": 0.01}
    assert last_rates({MINE: {"gamma": 0.5}}) == {"Constant": 0.1, "Mine": 0.05}
    assert last_rates(MINE) == {"Constant": 0.1, "Mine": 0.01}


def test_a_row_or_a_name_may_have_any_label():
    found = last_rates(
        {
            "by hand": (compose([Phase("hold", 2), Phase("REX", 5)]), {}),
            "slow, gamma=0.5": (MINE, {"step_size": 2}),
            "plain": MINE,
            "named": ("StepLR", {"gamma": 0.2}),
        }
    )
    assert list(found) == ["Constant", "by hand", "slow, gamma=0.5", "plain", "named"]
    assert list(found.values())[2:] == [0.0125, 0.01, 0.02]


def test_a_comparison_with_an_own_row_has_verdict_table_and_picture():
    result = compare([MINE], seeds=2, epochs=2)
    assert result.verdict("Mine").startswith("Mine is lower than Constant on ")
    assert "Mine" in result.table()
    result.plot()


def test_each_label_may_start_at_a_rate_of_its_own():
    rates = {"StepLR": 0.1, "Constant": 0.02}
    result = compare({"StepLR": {"step_size": 1}}, base_lr=rates, seeds=2, epochs=2)
    applied = {label: runs[1].epoch_lr.tolist() for label, runs in result.histories.items()}
    assert applied["Constant"] == pytest.approx([0.02, 0.02])
    assert applied["StepLR"] == pytest.approx([0.1, 0.01])


def test_the_table_has_the_lowest_loss_on_top_and_no_verdict_on_the_baseline(result):
    heading, *rows = result.table().splitlines()
    assert "lower than Constant" in heading
    assert sorted(rows, key=lambda row: float(row.split()[1])) == rows
    (baseline,) = [row for row in rows if row.startswith("Constant")]
    assert " of " not in baseline


def test_a_run_that_diverged_wins_on_no_seed_and_is_left_out_of_the_mean_difference():
    found = paired([0.3, np.nan, 0.5], [0.4, 0.4, 0.4])
    assert (found.wins, found.seeds) == (1, 3)
    assert found.gap == pytest.approx(0)


def test_an_infinite_loss_gives_no_mean_rather_than_a_warning():
    mean, error = mean_and_error([[1.0, np.inf], [3.0, 1.0]])
    assert mean[0] == 2
    assert np.isnan([mean[1], error[1]]).all()


def test_a_comparison_can_be_made_of_any_histories(result):
    short = Comparison({"Constant": result.histories["Constant"], "x": result.histories["StepLR"]})
    assert short.verdict("x").startswith("x is lower than Constant on ")


def test_records_have_a_row_per_run_of_plain_numbers_and_strings():
    label = "MultiStepLR, milestones=(1, 2)"
    result = compare([label], seeds=2, first_seed=3, epochs=2, base_lr=0.05)
    rows = result.records()
    assert {type(value) for row in rows for value in row.values()} <= {int, float, str, bool}
    assert rows[2] == {
        "label": label,
        "schedule": "MultiStepLR",
        "seed": 3,
        "base_lr": 0.05,
        "milestones": "(1, 2)",
        "gamma": 0.1,
        "val_loss": result.final_losses[label][0],
        "val_accuracy": result.finals_of("accuracy")[label][0],
        "diverged": False,
    }
    assert [row["seed"] for row in rows] == [3, 4, 3, 4]


def test_a_rate_that_a_function_of_ones_own_has_set_is_not_in_the_records():
    def mine(model):
        return torch.optim.SGD(model.parameters(), lr=0.3)

    (row,) = compare([], seeds=1, epochs=1, make_optimizer=mine).records()
    assert "base_lr" not in row


def test_of_histories_from_elsewhere_the_records_know_label_and_end(result):
    made = Comparison({"Constant": result.histories["Constant"]})
    assert list(made.records()[0]) == ["label", "val_loss", "val_accuracy", "diverged"]


def test_the_verdict_on_a_single_seed_speaks_of_one():
    one = compare(["StepLR, gamma=1.0"], seeds=1, epochs=1)
    assert one.verdict("StepLR, gamma=1.0").endswith("lower than Constant on 0 of 1 seed")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seeds": 0}, "seeds must be a positive integer, got 0."),
        ({"epochs": 0}, "epochs must be a positive integer, got 0."),
        ({"base_lr": -1}, "base_lr must be a positive number, got -1."),
        ({"base_lr": {"StepLR": 0.1}}, "a rate for each label, got none for 'Constant'."),
        ({"base_lr": {"Constant": 0.1, "StepLR": 0}}, "base_lr['StepLR'] must be a positive"),
        ({"base_lr": {"Constant": 0.1, "Step": 1}}, "did you mean 'StepLR'?), got 'Step'; there"),
        ({"schedules": ["Stepp"]}, "did you mean 'StepLR'?"),
        ({"schedules": {"StepLR": {"step_size": 0}}}, "step_size must be a positive integer"),
        (
            {"schedules": ["StepLR, gama=0.5"]},
            "label 'StepLR, gama=0.5' must set what StepLR has (did you mean 'gamma'?), got 'gama'",
        ),
        ({"schedules": ["StepLR, gamma=half"]}, "gamma must be a positive number, got 'half'."),
        ({"schedules": ["StepLR, gamma=2*0.1"]}, "gamma must be a positive number, got '2*0.1'."),
        ({"schedules": ["StepLR, gamma=1, gamma=2"]}, "must set gamma once, got it twice."),
        (
            {"schedules": {"StepLR, gamma=0.5": {"gamma": 0.1}}},
            "gamma must be what its label 'StepLR, gamma=0.5' says, got 0.1.",
        ),
        (
            {
                "schedules": ["StepLR, base_lr=0.2"],
                "base_lr": {"Constant": 0.1, "StepLR, base_lr=0.2": 0.1},
            },
            "base_lr must be what its label 'StepLR, base_lr=0.2' says, got 0.1.",
        ),
        ({"schedules": ["StepLR, base_lr=-1"]}, "base_lr must be a positive number, got -1."),
        ({"schedules": {"StepLR": 0.5}}, "params of 'StepLR' must be a mapping, got 0.5."),
        ({"schedules": [MINE, replace(MINE, when="")]}, "different labels, got 'Mine' twice."),
        ({"schedules": [replace(MINE, name="Constant")]}, "labels, got 'Constant' twice."),
        ({"schedules": [["StepLR"]]}, "schedules must hold names, labels or rows, got ['StepLR']."),
    ],
)
def test_bad_input_is_refused(options, message):
    with pytest.raises(ValueError) as error:
        compare(**{"schedules": ["StepLR"], "epochs": 1, "seeds": 1} | options)
    assert message in str(error.value)


def test_a_verdict_names_an_amount_only_where_there_is_a_difference():
    def last(loss):
        return replace(History.empty(1, 1), val_loss=np.array([loss]))

    finals = {"Constant": (0.4, 0.5), "StepLR": (0.4, 0.5), "ExponentialLR": (np.nan, np.nan)}
    made = Comparison({label: [*map(last, losses)] for label, losses in finals.items()})
    assert made.verdict("StepLR") == "StepLR is lower than Constant on 0 of 2 seeds"
    assert made.verdict("ExponentialLR") == "ExponentialLR is lower than Constant on 0 of 2 seeds"


def test_an_unknown_label_is_refused_with_the_nearest(result):
    with pytest.raises(ValueError, match="did you mean 'StepLR'"):
        result.against("StepLr")
