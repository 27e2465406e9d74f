"""The live panels: further parameter groups, other metrics, and what the axes then are."""

import numpy as np
import pytest

from lrsched_kit import History
from lrsched_kit.labs.panels import LabPicture, Scene
from lrsched_kit.plotting.curves import Curve
from lrsched_kit.plotting.style import STYLES

pytestmark = pytest.mark.usefixtures("drawn")

RATES = 0.1 * 0.5 ** np.arange(4)


def run(*ratios):
    rates = np.stack([RATES * ratio for ratio in ratios or (1,)])
    losses = np.array([2.0, 1.0, 0.6, 0.5])
    metrics = {"accuracy": np.array([0.31, 0.52, 0.7, 0.88])}
    return History(rates[0], losses, losses, losses, metrics=metrics, group_lr=rates)


def show(curve, metric="loss", **facts):
    picture = LabPicture("rate", metric)
    picture.show(Scene((curve,), 4, 0.1, metric, **facts))
    return picture._figure.axes


def visible(ax):
    return [line for line in ax.get_lines() if line.get_visible() and len(line.get_xdata())]


def levels(line):
    y = line.get_ydata()
    return set(y[np.isfinite(y)])  # there are gaps between the groups


def names(ax):
    return [text.get_text() for text in ax.texts if text.get_visible()]


def curve(planned, *runs):
    return Curve("StepLR", STYLES["StepLR"], planned, runs)


def test_a_planned_rate_may_be_one_or_one_for_each_group():
    one, _ = show(curve(RATES))
    two, _ = show(curve(np.stack([RATES, RATES / 10])))
    (planned,) = visible(one)
    (both,) = visible(two)
    assert levels(planned) == set(RATES)
    assert levels(both) == {*RATES, *RATES / 10}


def test_further_groups_are_thinner_and_named():
    rate_ax, _ = show(curve(None, run(1, 0.1, 0.01)), log=True)
    applied, others = visible(rate_ax)
    assert others.get_linewidth() < applied.get_linewidth()
    assert names(rate_ax) == ["group 2", "group 3"]


def test_one_group_has_no_name():
    rate_ax, _ = show(curve(RATES, run()))
    assert names(rate_ax) == []


@pytest.mark.parametrize("log", [False, True])
def test_the_axis_has_room_for_every_group(log):
    rate_ax, _ = show(curve(None, run(1, 20, 1e-7)), log=log)
    low, high = rate_ax.get_ylim()
    assert low < 1e-8 and high > 2


def test_a_frozen_group_does_not_break_the_logarithmic_axis():
    rate_ax, _ = show(curve(np.stack([RATES, 0 * RATES]), run(1, 0)), log=True)
    assert rate_ax.get_ylim()[0] > 1e-6


def test_another_metric_stands_on_a_linear_axis_under_its_name():
    _, ax = show(curve(RATES, run(), run()), metric="accuracy")
    assert (ax.get_yscale(), ax.get_ylabel()) == ("linear", "accuracy")
    assert "loss" not in ax.get_title(loc="left")
    (line,) = visible(ax)
    assert line.get_ydata().tolist() == [0.31, 0.52, 0.7, 0.88]
    low, high = ax.get_ylim()
    assert low <= 0.31 and 0.88 <= high <= 1
