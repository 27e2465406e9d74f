import numpy as np
import pytest

from lrsched_kit import check


@pytest.mark.parametrize("answer", [0.1, np.float64(0.1), 0.1 + 1e-9])
def test_a_right_answer_is_told_so(answer, capsys):
    check(answer, 0.1)
    assert capsys.readouterr().out == "Correct: 0.1.\n"


def test_a_wrong_answer_is_shown_beside_the_wanted_one_with_a_hint(capsys):
    check([1, 2], [1, 3], hint="Count again.")
    assert capsys.readouterr().out == "Not yet: got 1, 2, wanted 1, 3. Count again.\n"


@pytest.mark.parametrize("answer", [[1, 2, 3], float("nan")])
def test_another_shape_and_nan_are_wrong(answer, capsys):
    check(answer, [1, 2])
    assert capsys.readouterr().out.startswith("Not yet")


def test_no_answer_is_no_mistake(capsys):
    check(None, 1)
    assert capsys.readouterr().out.startswith("Not tried yet")
