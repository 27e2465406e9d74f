"""What a reader may choose, and how it is refused."""

import numpy as np
import pytest

from lrsched_kit import get_schedule
from lrsched_kit.schedules.params import Choice, Steps

MILESTONES = Steps("milestones", (10, 15), 40)
MODE = Choice("mode", ("min", "max"))


@pytest.mark.parametrize(
    "given", [(30, 60, 80), [30, 60, 80], np.array([30, 60, 80]), (30.0, 60, np.int64(80))]
)
def test_milestones_are_whole_numbers_in_any_row(given):
    assert MILESTONES.check(given) == (30, 60, 80)
    assert all(type(step) is int for step in MILESTONES.check(given))


def test_equal_milestones_are_two_drops_at_once_as_in_torch():
    assert MILESTONES.check((5, 5)) == (5, 5)


def test_there_may_be_no_milestone_at_all_as_in_torch():
    assert MILESTONES.check([]) == ()


@pytest.mark.parametrize(
    "bad", [10, (15, 10), (0, 5), (2.5,), ("a",), "10, 15", None, {5, 6}, np.array(3), (True,)]
)
def test_other_milestones_are_refused_in_words(bad):
    with pytest.raises(ValueError) as error:
        MILESTONES.check(bad)
    assert str(error.value) == (
        f"milestones must be positive integers in rising order, like (10, 15), got {bad!r}."
    )


def test_a_choice_is_one_of_its_options_and_the_first_by_default():
    assert (MODE.default, MODE.check("max")) == ("min", "max")
    assert get_schedule("ReduceLROnPlateau").complete({})["mode"] == "min"


@pytest.mark.parametrize("bad", ["more", None, 1, ["max"], np.array(["min", "max"])])
def test_anything_else_is_refused_in_words(bad):
    with pytest.raises(ValueError, match=r"^mode must be one of \('min', 'max'\), got "):
        MODE.check(bad)
