"""The controls that are no plain sliders: menus for choices, milestones to drag or to type."""

import ipywidgets as widgets
import pytest

from lrsched_kit import ScheduleLab, SimpleNet, toy_regression
from lrsched_kit.labs.controls import make_button, make_buttons, make_menu, make_slider, read
from lrsched_kit.schedules.params import Choice, Steps
from lrsched_kit.words import say

TINY = {"data": toy_regression(), "make_model": SimpleNet, "batch_size": 32, "seeds": 1}
MILESTONES = Steps("milestones", (10, 15), 40)


def rates(lab):
    return lab.histories["MultiStepLR"][0].epoch_lr.round(6).tolist()


@pytest.fixture(scope="module")
def shared():
    lab = ScheduleLab("MultiStepLR", milestones=(1, 2, 3), base_lr=1e-2, epochs=4, **TINY)
    yield lab
    lab.close()


@pytest.fixture
def typed(shared):
    """The lab as it was at first."""
    shared.controls["reset"].click()
    assert shared.wait(60)
    return shared


def test_a_choice_is_a_menu():
    menu = make_slider(Choice("mode", ("min", "max")), "max")
    assert isinstance(menu, widgets.Dropdown)
    assert (menu.options, read(menu, "min")) == (("min", "max"), "max")


def test_two_milestones_are_the_ends_of_a_slider_which_they_may_widen():
    slider = make_slider(MILESTONES, (30, 60))
    assert isinstance(slider, widgets.IntRangeSlider)
    assert (slider.max, read(slider, (30, 60))) == (60, (30, 60))


@pytest.mark.parametrize("steps", [(), (30,), (30, 60, 80)])
def test_another_number_of_milestones_is_a_text_box(steps):
    box = make_slider(MILESTONES, steps)
    assert isinstance(box, widgets.Text)
    assert box.value == ", ".join(map(str, steps))
    assert read(box, ()) == steps


@pytest.mark.parametrize("text", ["1 2 7", "1,2,7", " 1; 2, 7 ", "[1, 2, 7]", (1, 2, 7)])
def test_steps_may_be_typed_as_one_likes(text):
    box = make_slider(MILESTONES, ())
    box.value = text
    assert MILESTONES.check(read(box, ())) == (1, 2, 7)


def test_dragged_milestones_are_trained():
    lab = ScheduleLab("MultiStepLR", milestones=(1, 2), base_lr=1e-2, epochs=4, **TINY)
    lab.controls["milestones"].value = (2, 3)
    assert lab.wait(60)
    assert rates(lab) == [0.01, 0.01, 0.001, 0.0001]
    lab.close()


def test_typed_milestones_are_trained_and_reset_brings_the_first_back(typed):
    assert rates(typed) == [0.01, 0.001, 0.0001, 0.00001]
    typed.controls["milestones"].value = "3"
    assert typed.wait(60)
    assert rates(typed) == [0.01, 0.01, 0.01, 0.001]
    assert "milestones=(3,)" in typed.code
    typed.controls["reset"].click()
    assert typed.wait(60)
    assert typed.controls["milestones"].value == "1, 2, 3"


@pytest.mark.parametrize("text", ["3, 1", "soon", "1.5, 2", "0"])
def test_bad_text_is_refused_in_words_and_the_picture_stays(typed, text):
    typed.controls["code"].value = True
    typed.controls["milestones"].value = text
    assert typed.wait(60)
    assert typed.summary.startswith("Not trained: milestones must be positive integers in rising")
    assert "Not trained: milestones must be" in typed._code.value
    typed.controls["milestones"].value = "2"
    assert typed.wait(60)
    assert rates(typed) == [0.01, 0.01, 0.001, 0.001]


def test_a_pin_names_milestones_and_choices_that_differ(typed):
    typed.controls["milestones"].value = "2, 3"
    assert typed.wait(60)
    typed.controls["pin"].click()
    assert typed.wait(60)
    (legend,) = typed._work.picture._figure.legends
    assert "pin 1: milestones 2, 3" in [text.get_text() for text in legend.get_texts()]


def test_the_mode_of_a_plateau_is_followed():
    lab = ScheduleLab("ReduceLROnPlateau", patience=0, base_lr=1e-2, epochs=4, seeds=1)
    lab.controls["mode"].value = "max"  # then it is told the accuracy, which rises
    assert lab.wait(60)
    (run,) = lab.histories["ReduceLROnPlateau"]
    assert run.epoch_lr[-1] == 0.01
    assert "mode='max'" in lab.code
    assert "scheduler.step(told)" in lab.code
    lab.close()


def test_a_button_has_words_of_its_own_and_a_switch_stays_down():
    buttons = make_buttons(("run", "log", "save"), "my runs")
    assert [button.description for button in buttons.values()] == ["Run", "Log rate axis", "Save"]
    kinds = [type(button) for button in buttons.values()]
    assert kinds == [widgets.Button, widgets.ToggleButton, widgets.Button]
    assert "into the folder 'my runs'" in buttons["save"].tooltip
    assert make_button("run", "run_exhibit_help").tooltip == say("run_exhibit_help")


def test_a_menu_with_one_option_leaves_nothing_to_pick():
    assert make_menu("model", ["MLP"], "MLP").disabled
    menu = make_menu("model", ["MLP", "CNN"], "CNN")
    assert not menu.disabled
    assert (menu.description, menu.tooltip) == (say("model"), say("model_help"))
