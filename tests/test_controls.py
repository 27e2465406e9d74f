"""The controls that are no plain sliders: menus for choices, milestones to drag or to type."""

import ipywidgets as widgets
import pytest

from lrsched_kit import ScheduleLab
from lrsched_kit.labs.controls import make_slider, read
from lrsched_kit.schedules.params import Choice, Steps

QUICK = {"epochs": 4, "seeds": 2}
MILESTONES = Steps("milestones", (10, 15), 40)


def rates(lab):
    return lab.histories["MultiStepLR"][0].epoch_lr.round(6).tolist()


@pytest.fixture
def typed():
    lab = ScheduleLab("MultiStepLR", milestones=(1, 2, 3), base_lr=1e-2, **QUICK)
    assert lab.wait(60)
    yield lab
    lab.close()


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
    lab = ScheduleLab("MultiStepLR", milestones=(1, 2), base_lr=1e-2, **QUICK)
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


def test_a_pin_names_milestones_and_choices_that_differ():
    lab = ScheduleLab("MultiStepLR", milestones=(1, 2, 3), **QUICK)
    lab.controls["milestones"].value = "2, 3"
    assert lab.wait(60)
    lab.controls["pin"].click()
    assert lab.wait(60)
    assert lab._pin_label(1, lab._pins[0]) == "pin 1: milestones 2, 3"
    lab.close()


def test_the_mode_of_a_plateau_is_followed():
    lab = ScheduleLab("ReduceLROnPlateau", patience=0, base_lr=1e-2, **QUICK)
    lab.controls["mode"].value = "max"  # then it is told the accuracy, which rises
    assert lab.wait(60)
    (run, *_) = lab.histories["ReduceLROnPlateau"]
    assert run.epoch_lr[-1] == 0.01
    assert "mode='max'" in lab.code
    assert "scheduler.step(told)" in lab.code
    lab.close()
