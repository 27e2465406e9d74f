"""The composer: phases under menus and sliders."""

import numpy as np
import pytest
from test_snippet import applied_by
from torch import nn
from waiting import put_back, wait_until

from lrsched_kit import MLP, ComposerLab, Phase, SimpleNet, compose, toy_regression, trace_lr
from lrsched_kit.schedules.phases import KINDS
from lrsched_kit.training.fleet import Fleet
from lrsched_kit.words import say

PHASES = [Phase("warm up", 1), Phase("hold", 2), Phase("PolynomialLR", 1)]
QUICK = {
    "base_lr": 0.1,
    "seeds": 2,
    "data": toy_regression(),
    "make_model": SimpleNet,
    "batch_size": 8,
}
STEPS = 4  # batches in an epoch of the toy data


@pytest.fixture(scope="module")
def shared():
    """A lab for all tests; those that only look take it as it is."""
    lab = ComposerLab(PHASES, **QUICK)
    assert lab.wait(60)
    yield lab
    lab.close()


@pytest.fixture
def lab(shared):
    """The same for a test that moves something."""
    yield shared
    put_back(shared)


def kinds_and_lengths(lab):
    return [(phase.kind, phase.length) for phase in lab.phases]


def columns_shown(lab):
    return sum(column.layout.display != "none" for column in lab._columns)


def applied(lab):
    return lab.histories["SequentialLR"][0].lr.tolist()


def marks(lab):
    """What the left panel shows: where phases end, and the jumps' words."""
    picture = lab._work.picture
    borders = [line.get_xdata()[0] for line in picture._borders if line.get_visible()]
    return borders, [text.get_text() for text in picture._sizes if text.get_visible()]


def test_the_rates_trained_are_those_of_torch_s_sequential_lr(shared):
    row = compose(PHASES, steps_per_epoch=STEPS)
    assert applied(shared) == trace_lr(row, base_lr=0.1, steps=4 * STEPS).tolist()
    assert len(shared.histories["SequentialLR"]) == len(shared.histories["Constant"]) == 2


def test_menus_and_sliders_change_the_phases(lab):
    lab.controls["phase_3"].value = "1-sqrt"
    lab.controls["length_2"].value = 1
    lab.controls["length_3"].value = 2
    assert lab.wait(60)
    phases = [Phase("warm up", 1), Phase("hold", 1), Phase("1-sqrt", 2)]
    assert lab.phases == tuple(phases)
    row = compose(phases, steps_per_epoch=STEPS)
    assert applied(lab) == trace_lr(row, base_lr=0.1, steps=4 * STEPS).tolist()


def test_the_menus_offer_every_kind_in_words_of_its_own(shared):
    for number in range(1, 6):
        options = dict(shared.controls[f"phase_{number}"].options)
        assert list(options.values()) == list(KINDS)  # as many words as kinds


def test_phases_longer_than_the_run_are_refused_and_the_picture_stays(lab):
    picture, trained = lab._work.picture.png, lab.histories
    lab.controls["epochs"].value = 3
    assert lab.wait(60)
    assert lab.summary == (
        "Not trained: phases must be no longer than the run (3 epochs), got 4: 1 + 2 + 1."
    )
    assert lab._work.picture.png == picture
    assert lab.histories == trained
    assert lab.controls["run"].description == say("run")
    lab.controls["length_2"].value = 1
    assert lab.wait(60)
    assert len(applied(lab)) == 3 * STEPS


def test_no_length_of_any_phase_crashes_the_lab(lab):
    for number in (1, 2, 3):
        slider = lab.controls[f"length_{number}"]
        slider.value = slider.max
        assert lab.wait(60)
        assert lab.summary.startswith("Not trained: ")
        slider.value = slider.min
    assert lab.wait(60)
    assert lab.summary.startswith("Phases, in epochs: warm up 1, hold 1, decay: straight line 1;")


def test_a_refusal_while_training_gives_the_run_button_back():
    lab = ComposerLab([Phase("hold", 30)], seeds=2, make_model=MLP)
    wait_until(lambda: lab._work.running)
    lab.controls["length_1"].value = 40
    assert lab.wait(60)
    assert lab.summary.startswith("Not trained: ")
    assert lab.controls["run"].description == say("run")
    lab.close()


def test_phases_shorter_than_the_run_go_on_and_the_words_say_so(lab):
    lab.controls["epochs"].value = 6
    assert lab.wait(60)
    assert "together 4 of 6. For the other 2, torch goes on stepping" in lab.summary
    assert applied(lab)[4 * STEPS :] == pytest.approx([0] * 2 * STEPS)
    assert marks(lab)[0] == [1, 3, 4]


def test_add_takes_what_is_left_of_the_run_and_then_half_of_the_longest_phase(lab):
    lab.controls["epochs"].value = 7
    lab.controls["add"].click()
    assert kinds_and_lengths(lab)[3:] == [("restart", 3)]
    lab.controls["add"].click()
    assert [phase.length for phase in lab.phases] == [1, 2, 1, 2, 1]
    assert lab.controls["add"].disabled
    lab.controls["add"].click()
    assert len(lab.phases) == columns_shown(lab) == 5
    assert lab.wait(60)
    assert len(applied(lab)) == 7 * STEPS


def test_remove_hands_its_epochs_to_the_phase_before(lab):
    lab.controls["remove"].click()
    assert kinds_and_lengths(lab) == [("warm up", 1), ("hold", 3)]
    lab.controls["remove"].click()
    lab.controls["remove"].click()
    assert kinds_and_lengths(lab) == [("warm up", 4)]
    assert lab.controls["remove"].disabled
    assert columns_shown(lab) == 1
    assert lab.wait(60)
    assert lab.summary.splitlines()[0].endswith("One phase, so no jumps.")


def test_reset_puts_back_phases_and_lengths(lab):
    lab.controls["add"].click()
    lab.controls["phase_1"].value = "hold"
    lab.controls["epochs"].value = 9
    lab.controls["reset"].click()
    assert lab.wait(60)
    assert lab.phases == tuple(PHASES)
    assert columns_shown(lab) == 3
    assert len(applied(lab)) == 4 * STEPS


def test_a_jump_is_marked_in_the_picture_and_told_in_words(lab):
    assert marks(lab) == ([1, 3], [])
    assert "No jumps" in lab.summary
    lab.controls["phase_1"].value = "CosineAnnealingLR"
    assert lab.wait(60)
    row = compose([Phase("CosineAnnealingLR", 1), *PHASES[1:]], steps_per_epoch=STEPS)
    low = trace_lr(row, base_lr=0.1, steps=4 * STEPS)[STEPS - 1]
    assert marks(lab) == ([1, 3], ["jump +0.085"])
    assert 0.1 - low == pytest.approx(0.085, abs=0.001)
    assert "Jump at epoch 1: the rate goes from 0.015 to 0.1 at once." in lab.summary


def test_stepped_every_epoch_the_phases_are_as_long(lab):
    lab.controls["step_every"].value = "epoch"
    assert lab.wait(60)
    planned = trace_lr(compose(PHASES), base_lr=0.1, steps=4)
    assert applied(lab) == planned.repeat(STEPS).tolist()
    assert marks(lab)[0] == [1, 3]


def test_params_given_at_the_start_hold_while_the_kind_does():
    lab = ComposerLab([Phase("ExponentialLR", 3, {"gamma": 0.5})], step_every="epoch", **QUICK)
    assert lab.wait(60)
    assert applied(lab)[::STEPS] == [0.1, 0.05, 0.025]
    lab.controls["phase_1"].value = "hold"
    assert lab.wait(60)
    assert applied(lab) == [0.1] * 3 * STEPS
    lab.close()


@pytest.mark.parametrize("step_every", ["batch", "epoch"])
def test_the_code_applies_exactly_the_rates_that_the_lab_drew(lab, step_every):
    lab.controls["step_every"].value = step_every
    lab.controls["phase_2"].value = "restart"
    lab.controls["phase_3"].value = "REX"
    lab.controls["base_lr"].value = 0.01
    assert lab.wait(60)
    script = lab.code.replace(
        "# SimpleNet is your own model: put its definition here.",
        "from lrsched_kit import SimpleNet",
    )
    assert "SequentialLR(optimizer, schedulers, milestones=" in script
    (drawn,) = lab._work._shown.planned
    rates = applied_by(script)
    assert rates == drawn.repeat(len(rates) // len(drawn)).tolist() == applied(lab)


def test_the_code_is_shown_and_follows_the_phases(lab):
    assert lab._code.layout.display == "none"
    lab.controls["code"].value = True
    assert lab._code.layout.display == "block"
    assert "PolynomialLR" in lab._code.value
    lab.controls["remove"].click()
    assert "PolynomialLR" not in lab._code.value
    assert lab.wait(60)


def test_only_what_is_new_is_trained(lab, monkeypatch):
    trained = []
    original = Fleet.train

    def noting(fleet, runs, **options):
        trained.extend(getattr(run.schedule, "name", run.schedule) for run in runs)
        return original(fleet, runs, **options)

    monkeypatch.setattr(Fleet, "train", noting)
    lab.controls["phase_3"].value = "REX"
    assert lab.wait(60)
    assert set(trained) == {"SequentialLR"}  # the constant rate is known
    lab.controls["log"].value = True
    assert lab.wait(60)
    assert len(trained) == 2


def test_forty_moves_end_on_the_last_value(lab):
    for length in np.tile([1, 2], 20):
        lab.controls["length_2"].value = int(length)
        lab.controls["length_3"].value = int(3 - length)
    assert lab.wait(60)
    assert [phase.length for phase in lab.phases] == [1, 2, 1]
    assert lab._work._shown.setting.phases == lab.phases


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ComposerLab([]), "phases must be one or more of Phase"),
        (lambda: ComposerLab([Phase("hold", 1)] * 6), "phases must be 5 at most, got 6"),
        (lambda: ComposerLab(PHASES, base_lr=0), "base_lr must be a positive number, got 0"),
        (lambda: ComposerLab(PHASES, step_every="week"), "step_every must be"),
        (lambda: ComposerLab(PHASES, optimizer="sdg"), "optimizer must be"),
        (lambda: ComposerLab(PHASES, epochs=3), r"no longer than the run \(3 epochs\), got 4"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_trained(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_model_that_trains_run_by_run_is_told_of():
    def with_dropout():
        return nn.Sequential(nn.Linear(64, 10), nn.Dropout(0.1))

    lab = ComposerLab([Phase("hold", 1)], make_model=with_dropout, batch_size=200, seeds=1)
    assert lab.wait(60)
    assert lab.summary.splitlines()[-1].startswith("Trained run by run, on one seed, ")
    lab.close()
