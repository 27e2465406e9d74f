"""The lines under a lab's picture, from histories whose last losses are given."""

import numpy as np
import pytest

from lrsched_kit import History
from lrsched_kit.labs.verdict import loss_lines, rate_line


def runs(*finals):
    """One history per final loss; NaN: it diverged."""
    return [
        History(np.ones(1), *(np.array([loss]) for _ in range(3)), None if loss == loss else 0)
        for loss in finals
    ]


@pytest.mark.parametrize(
    ("first", "line"),
    [
        ((0.2, 0.3), "StepLR is lower on 2 of 2 seeds, by 0.200 ± 0.000."),
        ((0.6, 0.7), "StepLR is lower on 0 of 2 seeds: on average it is higher by 0.200 ± 0.000."),
        ((0.4, 0.5), "StepLR ends exactly where the constant rate does, on all 2 seeds."),
    ],
)
def test_the_verdict_compares_with_the_constant_rate_seed_by_seed(first, line):
    assert loss_lines({"StepLR": runs(*first), "Constant": runs(0.4, 0.5)})[-1] == line


def test_where_no_seed_has_two_losses_there_is_no_verdict():
    lost = runs(np.nan, np.nan)
    lines = loss_lines({"StepLR": runs(0.2, 0.3), "Constant": lost})
    assert lines[1:] == ["Constant diverged at epoch 1 on 2 of 2 seeds."]
    assert len(loss_lines({"StepLR": lost, "Constant": lost})) == 2


def test_two_picks_of_a_range_test_are_not_compared_with_a_constant_rate():
    lines = loss_lines({"steepest slope": runs(0.2, 0.3), "valley": runs(0.2, 0.3)})
    assert lines == [
        "Final validation loss (mean of 2 seeds): steepest slope 0.250 ± 0.050, "
        "valley 0.250 ± 0.050."
    ]


def test_one_epoch_and_one_seed_are_said_in_the_singular():
    rates = np.array([0.1, 0.01])
    line = rate_line("OneCycleLR", rates, 1, metric_driven=False)
    assert line == "OneCycleLR: the rate goes from 0.1 to 0.01 in one epoch."
    lines = loss_lines({"StepLR": runs(np.nan), "Constant": runs(0.4)})
    assert lines == ["Final validation loss: Constant 0.400.", "StepLR diverged at epoch 1."]
