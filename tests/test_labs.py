import contextlib
import csv
import io
import threading

import ipywidgets.widgets.widget as widget_module
import numpy as np
import pytest
import torch
from waiting import kit_threads, put_back, wait_until

from lrsched_kit import (
    BASICS,
    MLP,
    SCHEDULES,
    ExhibitLab,
    Param,
    QuadraticLab,
    RangeTestLab,
    ScheduleLab,
    SimpleNet,
    SweepLab,
    toy_regression,
    trace_lr,
)
from lrsched_kit.labs.page import close_earlier_labs
from lrsched_kit.training.fleet import Fleet
from lrsched_kit.words import say

TOY = {"data": toy_regression(), "make_model": SimpleNet, "batch_size": 16}
QUICK = {"epochs": 2, "seeds": 2, **TOY}


@pytest.fixture(scope="module")
def shared():
    """A lab for all tests; those that only look take it as it is."""
    lab = ScheduleLab("StepLR", epochs=4, seeds=2, step_size=2)
    assert lab.wait(60)
    yield lab
    lab.close()


@pytest.fixture
def lab(shared):
    """The same for a test that moves something."""
    yield shared
    put_back(shared)


def epoch_lr(lab, name="StepLR"):
    return lab.histories[name][0].epoch_lr.tolist()


@pytest.mark.usefixtures("drawn")
@pytest.mark.parametrize("name", [*BASICS, "MultiStepLR", "CyclicLR", "OneCycleLR", "WSD"])
def test_every_slider_at_both_ends_trains_or_says_what_it_does_not_go_with(name):
    lab = ScheduleLab(name, base_lr=0.1, **QUICK)
    knobs = [param.name for param in SCHEDULES[name].params if isinstance(param, Param)]
    for control in ("base_lr", "epochs", *knobs):
        slider = lab.controls[control]
        start, low, high = slider.value, slider.min, slider.max
        if control == "base_lr":
            low, high = 10**low, 10**high
        for value in (low, high):
            slider.value = value
            if control == "epochs" and value == high:
                slider.value = 3  # the longest run is only more of the same
            try:
                assert lab.wait(60)
                assert set(lab.histories) == {name, "Constant"}
            except ValueError as error:
                assert str(error) in lab.summary
                assert f"{control} " in str(error)
        slider.value = start
    lab.close()


def test_a_lab_has_a_slider_for_each_knob_and_the_buttons():
    lab = ScheduleLab("ReduceLROnPlateau", **QUICK)
    knobs = ["base_lr", "epochs", "factor", "patience", "threshold", "cooldown", "mode"]
    menus = ["model", "optimizer", "step_every"]
    assert list(lab.controls) == [*menus, *knobs, "run", "pin", "reset", "log", "code", "save"]
    lab.close()


def test_moving_a_slider_trains_with_the_rates_that_torch_would_apply(lab):
    lab.controls["gamma"].value = 0.5
    lab.controls["base_lr"].value = 0.02
    assert lab.wait(60)
    planned = trace_lr("StepLR", base_lr=0.02, steps=4, step_size=2, gamma=0.5)
    assert epoch_lr(lab) == planned.tolist()
    assert epoch_lr(lab, "Constant") == [0.02] * 4


def test_settings_are_where_the_sliders_start_and_reset_goes_back_to_them(lab):
    assert lab.controls["step_size"].value == 2
    lab.controls["step_size"].value = 1
    lab.controls["epochs"].value = 3
    lab.controls["reset"].click()
    assert lab.wait(60)
    assert lab.controls["step_size"].value == 2
    assert len(epoch_lr(lab)) == 4


def test_a_start_value_beyond_the_slider_widens_it():
    lab = ScheduleLab("StepLR", gamma=2.0, step_size=60, **QUICK)
    assert lab.controls["gamma"].max == 2.0
    assert lab.controls["step_size"].max == 60
    lab.close()


@pytest.mark.parametrize("base_lr", [0.1, 0.5, 0.003])
def test_the_start_value_lies_on_a_notch_of_its_slider(base_lr):
    lab = ScheduleLab("StepLR", base_lr=base_lr, gamma=0.125, **QUICK)
    rate, gamma = lab.controls["base_lr"], lab.controls["gamma"]
    lab.close()
    notches = (np.log10(base_lr) - rate.min) / rate.step
    assert notches == pytest.approx(round(notches), abs=1e-6)
    assert (0.125 / gamma.step) == pytest.approx(125)


def test_forty_moves_end_on_the_last_value(lab):
    for value in np.linspace(0.1, 0.9, 40):
        lab.controls["gamma"].value = value
    assert lab.wait(60)
    assert epoch_lr(lab)[-1] == pytest.approx(0.1 * 0.9)


def test_moves_from_several_threads_end_on_the_settings_that_the_sliders_show(lab):
    def move(name, values):
        for value in values:
            lab.controls[name].value = value

    threads = [
        threading.Thread(target=move, args=("gamma", np.linspace(0.1, 0.7, 15))),
        threading.Thread(target=move, args=("step_size", [1, 3, 1, 3, 1] * 3)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lab.controls["base_lr"].value = 0.05
    assert lab.wait(60)
    assert epoch_lr(lab)[-1] == pytest.approx(0.05 * 0.7**3)


def test_stale_training_stops_within_a_step(lab, monkeypatch):
    answers = []

    def listening(*args, should_stop, **options):
        heard = []
        answers.append(heard)

        def ask():
            heard.append(should_stop())
            return heard[-1]

        return original(*args, should_stop=ask, **options)

    original = Fleet.train
    monkeypatch.setattr(Fleet, "train", listening)
    lab.controls["epochs"].value = 40
    wait_until(lambda: answers and len(answers[0]) >= 100)  # it is well on its way
    lab.controls["epochs"].value = 2
    assert lab.wait(60)
    stale, newest = answers
    assert stale.index(True) == len(stale) - 1  # asked before each step; not asked again
    assert not any(newest)


@pytest.mark.usefixtures("drawn")
def test_pictures_change_with_the_setting_but_keep_their_shape(lab):
    sizes, pictures = set(), set()
    for gamma in (0.2, 0.9):
        lab.controls["gamma"].value = gamma
        assert lab.wait(60)
        png = lab._work.picture.image.value
        pictures.add(png)
        sizes.add(png[16:24])  # width and height, in PNG's header
    assert len(pictures) == 2
    assert len(sizes) == 1


def test_the_log_switch_redraws_without_training_again(lab):
    before, picture = lab.histories["StepLR"], lab._work.picture.image.value
    lab.controls["log"].value = True
    assert lab.wait(60)
    assert lab.histories["StepLR"] is before
    assert lab._work.picture.image.value != picture


def test_the_constant_rate_is_trained_once_while_only_the_schedule_changes(lab):
    before = lab.histories["Constant"]
    lab.controls["gamma"].value = 0.7
    assert lab.wait(60)
    assert lab.histories["Constant"] is before


def legend(lab):
    return [text.get_text() for text in lab._work.picture._figure.legends[0].get_texts()]


def test_pins_stay_in_the_picture_and_name_what_differs(lab):
    lab.controls["pin"].click()
    lab.controls["gamma"].value = 0.5
    assert lab.wait(60)
    lab.controls["pin"].click()
    assert lab.wait(60)
    assert legend(lab) == ["Constant", "StepLR", "pin 1: as at the start", "pin 2: gamma 0.5"]


def test_a_pin_that_differs_in_much_names_two_of_it(lab):
    lab.controls["base_lr"].value = 0.05
    lab.controls["gamma"].value = 0.5
    lab.controls["step_size"].value = 3
    assert lab.wait(60)
    lab.controls["pin"].click()
    assert lab.wait(60)
    assert legend(lab)[2] == "pin 1: base_lr 0.05, step_size 3…"


def test_a_fourth_pin_replaces_the_oldest_and_reset_takes_them_off(lab):
    for gamma in (0.2, 0.3, 0.4, 0.5):
        lab.controls["gamma"].value = gamma
        assert lab.wait(60)
        lab.controls["pin"].click()
    assert lab.wait(60)
    assert legend(lab)[2:] == ["pin 1: gamma 0.3", "pin 2: gamma 0.4", "pin 3: gamma 0.5"]
    lab.controls["reset"].click()
    assert lab.wait(60)
    assert legend(lab) == ["Constant", "StepLR"]


def test_stop_ends_a_run_and_run_takes_it_up_again(lab, monkeypatch):
    reached = threading.Event()

    def slow(*args, on_epoch, **options):
        def tell(epoch, runs):
            on_epoch(epoch, runs)
            reached.set()

        return original(*args, on_epoch=tell, **options)

    original = Fleet.train
    monkeypatch.setattr(Fleet, "train", slow)
    lab.controls["epochs"].value = 40
    assert reached.wait(60)
    lab.controls["run"].click()
    assert lab.wait(60)
    assert "Stopped after epoch" in lab.summary
    assert lab.controls["run"].description == say("run")
    lab.controls["run"].click()
    assert lab.wait(60)
    assert len(epoch_lr(lab)) == 40


def test_histories_are_those_of_the_newest_finished_run_even_after_stop(lab):
    before = lab.histories["StepLR"]
    lab.controls["epochs"].value = 40
    wait_until(lambda: lab._work.running)
    lab.controls["run"].click()
    assert lab.wait(60)
    assert "Stopped after epoch" in lab.summary
    assert lab.histories["StepLR"] is before
    lab.controls["log"].value = True  # redraws what was stopped, trains nothing
    assert lab.wait(60)
    assert "Stopped after epoch" in lab.summary


def test_stopping_a_plateau_lab_at_once_is_no_error():
    lab = ScheduleLab("ReduceLROnPlateau", **QUICK)
    assert lab.wait(60)
    lab.controls["epochs"].value = 40
    lab._worker.stop()  # before the button says Stop
    assert lab.wait(60)
    assert "Stopped after epoch 0 of 40" in lab.summary
    lab.close()


def test_a_start_value_is_trained_to_all_its_digits():
    lab = ScheduleLab("ReduceLROnPlateau", base_lr=0.012345, factor=0.9999, threshold=0, **QUICK)
    assert lab.wait(60)
    assert lab.histories["Constant"][0].epoch_lr[0] == 0.012345
    lab.close()


def test_the_summary_puts_the_picture_into_words(shared):
    first, second, third = shared.summary.splitlines()
    assert first == "StepLR: the rate goes from 0.1 to 0.01 in 4 epochs."
    assert second.startswith("Final validation loss (mean of 2 seeds): StepLR 0.")
    assert third.startswith("StepLR is lower on ")
    assert shared._work.picture.image.tooltip == shared.summary.replace("\n", " ")


def test_the_summary_says_where_the_momentum_goes_if_there_is_one():
    lab = ScheduleLab("OneCycleLR", epochs=2, seeds=1)
    assert lab.wait(60)
    said = "Its momentum goes 0.95 → 0.85 → 0.95 (with Adam: its first beta)."
    assert lab.summary.splitlines()[1] == said
    lab.controls["optimizer"].value = "sgd"
    assert lab.wait(60)
    assert "momentum" not in lab.summary
    lab.close()


def test_a_diverging_run_is_a_result():
    options = {**QUICK, "epochs": 30, "batch_size": 32}
    lab = ScheduleLab("Constant", base_lr=10, optimizer="sgd", **options)
    assert lab.wait(60)
    assert "Constant diverged at epoch" in lab.summary
    assert "diverged at epoch" in legend(lab)[0]
    assert lab.summary.startswith("Constant: the rate stays at 10 for 30 epochs.")
    lab.controls["base_lr"].value = 0.01
    assert lab.wait(60)
    assert "diverged" not in lab.summary
    lab.close()


def test_an_error_in_training_is_shown_and_raised_by_wait(lab, monkeypatch):
    def broken(*args, **options):
        raise RuntimeError("the cat sat on the keyboard")

    with monkeypatch.context() as patch:
        patch.setattr(Fleet, "train", broken)
        lab.controls["gamma"].value = 0.3
        with pytest.raises(RuntimeError, match="the cat sat"):
            lab.wait(60)
        assert "the cat sat on the keyboard" in lab.summary
        assert lab.controls["run"].description == say("run")
    lab.controls["gamma"].value = 0.4
    assert lab.wait(60)
    assert "the cat" not in lab.summary


def run_script(script):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(compile(script, "show_code.py", "exec"), {"__name__": "__main__"})
    return [line.split() for line in out.getvalue().splitlines()]


@pytest.mark.parametrize("name", BASICS)
def test_show_code_is_a_script_that_applies_the_very_rates_of_the_lab(name):
    lab = ScheduleLab(name, epochs=5, seeds=1, base_lr=0.05, **TOY)
    assert lab.wait(60)
    (history,) = lab.histories[name]
    lines = run_script(lab.code)
    assert [float(line[3].rstrip(",")) for line in lines] == pytest.approx(
        history.epoch_lr, rel=1e-5
    )
    losses = [float(line[-1]) for line in lines]
    assert losses[:2] == pytest.approx(history.val_loss[:2], abs=2e-3)  # then rounding grows
    lab.close()


def test_show_code_follows_the_sliders(lab):
    lab.controls["code"].value = True
    lab.controls["gamma"].value = 0.25
    assert lab._code.layout.display == "block"
    assert "gamma=0.25" in lab._code.value


def test_show_code_leaves_room_for_a_model_of_ones_own():
    class Mine(MLP):
        pass

    lab = ScheduleLab("StepLR", make_model=Mine, epochs=1, seeds=1)
    assert "# Mine is your own model: put its definition here." in lab.code
    lab.close()


def test_save_writes_a_picture_and_a_table_and_overwrites_nothing(shared, tmp_path):
    picture, table = shared.save(tmp_path)
    assert picture.read_bytes().startswith(b"\x89PNG")
    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 2 * 4  # curves, seeds, epochs
    assert [float(row["lr"]) for row in rows[:4]] == epoch_lr(shared)
    assert {row["curve"] for row in rows} == {"StepLR", "Constant"}
    assert set(shared.save(tmp_path)).isdisjoint({picture, table})


def test_the_save_button_says_where(lab, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lab.controls["save"].click()
    assert "StepLR-1.csv" in lab.summary
    assert (tmp_path / "saved" / "StepLR-1.png").exists()


def test_the_notebook_gets_a_widget_and_a_picture_for_readers_without_a_kernel(shared):
    bundle = shared._repr_mimebundle_()
    assert bundle["text/plain"] == "ScheduleLab(StepLR)"
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle["image/png"].startswith("iVBORw0KGgo")


@pytest.mark.parametrize(
    "make",
    [
        lambda: ScheduleLab("StepLR", **QUICK),
        lambda: SweepLab("StepLR", {"gamma": [0.1, 0.5], "step_size": [1, 2]}, **QUICK),
        lambda: RangeTestLab(steps=20, **QUICK),
        QuadraticLab,
        ExhibitLab,
    ],
    ids=["schedule", "sweep", "range test", "quadratic", "exhibit"],
)
def test_close_leaves_no_widget_registered(make):
    before = set(widget_module._instances)
    lab = make()
    assert lab.wait(60)
    lab.close()
    assert set(widget_module._instances) <= before


def test_close_ends_training_and_leaves_no_thread_and_no_widget():
    lab = ScheduleLab("StepLR", epochs=40)
    lab.close()
    assert kit_threads() == []
    assert lab.comm is None
    assert all(control.comm is None for control in lab.controls.values())


def test_an_idle_lab_holds_no_thread(shared):
    for thread in kit_threads():
        thread.join(10)
    assert kit_threads() == []


def test_running_a_cell_again_closes_its_earlier_lab(monkeypatch):
    cell, execution = "cell-1", "first"
    monkeypatch.setattr("lrsched_kit.labs.page._running_cell", lambda: (cell, execution))

    class Closable:
        closed = False

        def close(self):
            self.closed = True

    one, two, other, three = (Closable() for _ in range(4))
    close_earlier_labs(one)
    close_earlier_labs(two)  # the same execution may make two
    cell, execution = "cell-2", "second"
    close_earlier_labs(other)
    assert not (one.closed or two.closed or other.closed)
    cell, execution = "cell-1", "third"
    close_earlier_labs(three)
    assert (one.closed, two.closed, other.closed) == (True, True, False)


def test_making_a_lab_leaves_global_random_numbers_alone():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    lab = ScheduleLab("StepLR", **QUICK)
    assert lab.wait(60)
    assert torch.equal(torch.rand(2), expected)
    lab.close()


BAD = {
    "name must be a known schedule (did you mean 'StepLR'?)": ("StepLr", {}),
    "step_size must be a positive integer, got 0.": ("StepLR", {"step_size": 0}),
    "epochs must be a positive integer, got 0.": ("StepLR", {"epochs": 0}),
    "base_lr must be a positive number, got nan.": ("StepLR", {"base_lr": float("nan")}),
    "seeds must be a positive integer, got 0.": ("StepLR", {"seeds": 0}),
    "batch_size must be a positive integer, got -1.": ("StepLR", {"batch_size": -1}),
    "optimizer must be a known name (did you mean 'adam'?)": ("StepLR", {"optimizer": "adma"}),
    "StepLR has no parameter 'T_max'": ("StepLR", {"T_max": 5}),
    "model must fit data 'toy'": ("StepLR", {"data": toy_regression()}),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_settings_are_refused_when_the_lab_is_made(message):
    name, settings = BAD[message]
    with pytest.raises(ValueError) as error:
        ScheduleLab(name, **settings)
    assert message in str(error.value)
