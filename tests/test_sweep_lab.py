import re
from dataclasses import replace

import numpy as np
import pytest
from waiting import put_back, wait_until

from lrsched_kit import History, SimpleNet, Sweep, SweepLab, sweep, toy_regression
from lrsched_kit.labs import sweep_lab
from lrsched_kit.labs.verdict import best_line

GRID = {"gamma": [0.1, 0.5, 0.9], "step_size": [1, 2]}
TOY = {"data": toy_regression(), "make_model": SimpleNet, "batch_size": 16}
QUICK = {"epochs": 3, "seeds": 2, **TOY}


@pytest.fixture(scope="module")
def shared():
    """A lab for all tests; those that only look take it as it is."""
    lab = SweepLab("StepLR", GRID, **QUICK)
    assert lab.wait(60)
    yield lab
    lab.close()


@pytest.fixture
def lab(shared):
    """The same for a test that moves something."""
    yield shared
    put_back(shared)


def curve(lab):
    """What the right-hand panel draws as applied rate and validation loss of the schedule."""
    slot = lab._work.picture._panels._slots[1]
    return slot._applied.get_ydata()[0::2], slot._val.get_ydata()


def test_every_cell_is_trained(shared):
    assert shared.sweep.finished.all()
    assert set(shared.sweep.histories) == {(row, column) for row in range(3) for column in range(2)}


def test_the_map_is_what_sweep_finds(shared):
    base_lr = shared.controls["base_lr"].value
    expected = sweep("StepLR", GRID, base_lr=base_lr, **QUICK, progress=False).mean
    np.testing.assert_allclose(shared.sweep.mean, expected, rtol=1e-2)  # float32 against float64


def test_the_sliders_choose_a_cell_and_train_nothing(lab):
    before = lab.sweep
    lab.controls["gamma"].value = 0.9
    lab.controls["step_size"].value = 2
    assert lab.wait(60)
    assert lab.sweep is before
    assert lab.chosen == {"gamma": 0.9, "step_size": 2}
    (run, _) = lab.sweep.histories[2, 1]
    assert lab.summary.startswith("Chosen: gamma 0.9, step_size 2: ")
    rates, losses = curve(lab)
    assert set(rates[np.isfinite(rates)]) <= set(run.epoch_lr)
    np.testing.assert_allclose(losses, np.mean([r.val_loss for r in lab.sweep.histories[2, 1]], 0))


def test_another_slider_trains_the_whole_map_anew(lab):
    lab.controls["base_lr"].value = 0.01
    assert lab.wait(60)
    assert lab.sweep.finished.all()
    assert {runs[0].lr[0] for runs in lab.sweep.histories.values()} == {0.01}


def test_base_lr_may_be_one_of_the_two():
    lab = SweepLab("ExponentialLR", {"base_lr": [0.01, 0.1], "gamma": [0.5, 0.9]}, **QUICK)
    assert lab.wait(60)
    assert [lab.sweep.histories[row, 0][0].lr[0] for row in range(2)] == [0.01, 0.1]
    lab.close()


def test_a_move_while_training_keeps_the_cells_that_are_done(monkeypatch):
    monkeypatch.setattr(sweep_lab, "RUNS_AT_ONCE", 2)
    lab = SweepLab("StepLR", GRID, **QUICK | {"epochs": 20, "batch_size": 2})
    wait_until(lambda: lab.sweep.finished.any())
    done = dict(lab.sweep.histories)
    lab.controls["gamma"].value = 0.9
    assert lab.wait(60)
    assert lab.sweep.finished.all()
    assert all(lab.sweep.histories[cell] is runs for cell, runs in done.items())
    lab.close()


def test_cells_near_the_chosen_one_come_first(monkeypatch):
    monkeypatch.setattr(sweep_lab, "RUNS_AT_ONCE", 1)
    lab = SweepLab("StepLR", GRID, epochs=1, seeds=1, gamma=0.9, step_size=2, **TOY)
    assert lab.wait(60)
    assert next(iter(lab.sweep.histories)) == (2, 1)
    assert list(lab.sweep.histories)[-1] == (0, 0)
    lab.close()


def test_stop_keeps_what_is_done_and_run_starts_again(monkeypatch):
    monkeypatch.setattr(sweep_lab, "RUNS_AT_ONCE", 2)
    lab = SweepLab("StepLR", GRID, **QUICK | {"epochs": 40, "batch_size": 2})
    wait_until(lambda: lab.sweep.finished.any())
    lab.controls["run"].click()
    assert lab.wait(60)
    assert 0 < lab.sweep.finished.sum() < 6
    assert " of 6 cells" in lab.summary
    lab.controls["epochs"].value = 1
    assert lab.wait(60)
    assert lab.sweep.finished.all()
    lab.close()


def test_a_cell_that_diverges_is_told_in_words():
    lab = SweepLab("StepLR", {"base_lr": [0.1, 1e30], "gamma": [0.5, 0.9]}, base_lr=1e30, **QUICK)
    assert lab.wait(60)
    assert "diverged" in lab.summary.splitlines()[0]
    assert lab.sweep.best["base_lr"] == 0.1
    lab.close()


def test_the_words_say_how_many_cells_are_as_good_as_the_best(shared):
    line = shared.summary.splitlines()[1]
    assert line.startswith("Lowest of 6 cells: ")
    assert re.search(r"with 2 seeds, \d of the 5 others cannot be told apart from it\.$", line)


@pytest.mark.parametrize(("higher", "word"), [(False, "lowest"), (True, "highest")])
def test_four_seeds_cannot_tell_what_twelve_can(higher, word):
    """Losses whose gaps are three standard errors each, drawn up by hand."""

    def said_of(seeds):
        noise = np.resize([-1.0, 1.0], seeds)
        noise /= noise.std(ddof=1) / np.sqrt(seeds)
        worse = -2 - noise if higher else 4 + noise
        losses = {(0, 0): np.ones(seeds), (0, 1): worse, (1, 0): worse, (1, 1): worse}
        histories = {
            cell: [replace(History.empty(1, 1), val_loss=np.array([loss])) for loss in row]
            for cell, row in losses.items()
        }
        grid = {"gamma": (0.1, 0.5), "step_size": (1, 2)}
        return best_line(Sweep("StepLR", grid, seeds, histories, higher=higher), (0, 0))

    assert "with 4 seeds, 3 of the 3 others cannot be told apart" in said_of(4)
    assert "with 12 seeds, 0 of the 3 others cannot be told apart" in said_of(12)
    assert f"some cell is always {word}" in said_of(4)


def test_the_map_of_a_metric_is_of_that_metric():
    lab = SweepLab("StepLR", GRID, metric="accuracy", epochs=1, seeds=1)
    assert lab.wait(60)
    title = lab._work.picture._map.ax.get_title(loc="left")
    assert title == "mean final validation accuracy\nsolid frame: highest; dashed frame: chosen"
    assert "Highest of 6 cells: " in lab.summary
    lab.close()


@pytest.mark.parametrize("name", ["CosineAnnealingLR", "ReduceLROnPlateau", "MultiStepLR", "WSD"])
def test_a_schedule_has_a_map_without_being_told_a_grid(name):
    lab = SweepLab(name, epochs=2, seeds=1, **TOY)
    assert lab.wait(60)
    assert lab.sweep.finished.sum() >= lab.sweep.finished.size / 4
    lab.close()


def test_a_cell_whose_values_do_not_go_together_is_left_out_and_told_in_words():
    lab = SweepLab("CosineAnnealingLR", {"base_lr": [0.1, 0.3], "eta_min": [0.05, 0.2]}, **QUICK)
    assert lab.wait(60)
    assert lab.sweep.finished.tolist() == [[True, False], [True, True]]
    lab.controls["base_lr"].value = 0.1
    lab.controls["eta_min"].value = 0.2
    assert lab.wait(60)
    assert lab.summary.startswith("Not trained: eta_min must be at most base_lr (0.1), got 0.2")
    lab.close()


def test_reset_goes_back_to_the_first_cell(lab):
    first = lab.chosen
    lab.controls["gamma"].value = 0.9
    lab.controls["reset"].click()
    assert lab.wait(60)
    assert lab.chosen == first


def test_a_reader_without_a_kernel_sees_the_finished_map(shared):
    bundle = shared._repr_mimebundle_()
    assert bundle["text/plain"] == "SweepLab(StepLR, gamma x step_size)"
    assert bundle["image/png"]


def test_the_constant_rate_wants_a_grid():
    with pytest.raises(ValueError, match="grid must be given for Constant"):
        SweepLab("Constant")


def test_a_length_that_is_left_out_is_that_of_the_run_as_in_sweep():
    grid = {"base_lr": [0.05, 0.1], "eta_min": [0.0, 0.01]}
    lab = SweepLab("CosineAnnealingLR", grid, **QUICK)
    assert lab.wait(60)
    assert lab.controls["T_max"].value == QUICK["epochs"]
    expected = sweep("CosineAnnealingLR", grid, **QUICK, progress=False).mean
    np.testing.assert_allclose(lab.sweep.mean, expected, rtol=1e-2)  # float32 against float64
    lab.close()


def test_values_that_no_cell_can_have_end_the_training_that_runs():
    grid = {"base_lr": [0.03, 0.05, 0.1, 0.2], "gamma": [0.1, 0.2, 0.5]}
    lab = SweepLab("MultiStepLR", grid, milestones=(10, 20, 30), epochs=40, seeds=5)
    wait_until(lambda: lab.controls["run"].description == "Stop")
    lab.controls["milestones"].value = "20, 10"
    assert lab.wait(60)
    assert lab.summary.startswith("Not trained: milestones must be positive integers in rising")
    assert lab.controls["run"].description == "Run"
    lab.close()
