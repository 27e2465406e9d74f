from fractions import Fraction

import numpy as np
import pytest
import torch

from lrsched_kit import check


@pytest.mark.parametrize(
    "answer",
    [
        0.1,
        np.float64(0.1),
        0.1 + 1e-9,
        Fraction(1, 10),
        [0.1],
        np.array([0.1]),
        np.array([[0.1]]),
        torch.tensor(0.1),
        torch.tensor([0.1], requires_grad=True),
        torch.tensor(0.1, dtype=torch.float64, requires_grad=True),
        [torch.tensor(0.1, requires_grad=True)],
    ],
)
def test_a_right_answer_is_told_so(answer, capsys):
    check(answer, 0.1)
    assert capsys.readouterr().out == "Correct: 0.1.\n"


@pytest.mark.parametrize(
    "answer", [(1, 2, 3), np.array([[1], [2], [3]]), torch.ones(3).cumsum(0), range(1, 4)]
)
def test_a_row_may_be_a_list_or_a_column(answer, capsys):
    check(answer, [1, 2, 3])
    assert capsys.readouterr().out == "Correct: 1, 2, 3.\n"


def test_the_right_numbers_in_another_shape_are_told_so(capsys):
    check([[1, 2], [3, 4]], [1, 2, 3, 4], hint="One row.")
    assert capsys.readouterr().out == (
        "Not yet: the right numbers in another shape: got (2, 2), wanted (4,). One row.\n"
    )


def test_a_wrong_answer_is_shown_beside_the_wanted_one_with_a_hint(capsys):
    check([1, 2], [1, 3], hint="Count again.")
    assert capsys.readouterr().out == "Not yet: got 1, 2, wanted 1, 3. Count again.\n"


@pytest.mark.parametrize("answer", [[1, 2, 3], float("nan"), [], torch.ones(2, 2)])
def test_other_numbers_are_wrong(answer, capsys):
    check(answer, [1, 2])
    assert capsys.readouterr().out.startswith("Not yet: got ")


class Unshowable:
    def __repr__(self):
        raise RuntimeError


@pytest.mark.parametrize(
    "answer", ["0.1", [1, None], object(), Unshowable(), {}, check, 1j, [[1], [2, 3]], "x" * 999]
)
def test_what_is_no_number_is_told_so_and_never_an_error(answer, capsys):
    check(answer, [1, 2], hint="Two numbers.")
    printed = capsys.readouterr().out
    assert printed.startswith("Not yet: wanted numbers, got ")
    assert printed.endswith(". Two numbers.\n")
    assert len(printed) < 150


@pytest.mark.parametrize("answer", [None, ...])
def test_no_answer_is_no_mistake(answer, capsys):
    check(answer, 1)
    assert capsys.readouterr().out.startswith("Not tried yet")
