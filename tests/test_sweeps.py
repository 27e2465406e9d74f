import os
import signal
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import forkserver, get_context

import dask
import numpy as np
import pytest
import torch
from distributed import Client, LocalCluster

from lrsched_kit import MLP, Run, Sweep, compare, get_schedule, load_digits, sweep, train_many
from lrsched_kit.experiments import slices

GRID = {"gamma": [0.1, 0.5], "step_size": [1, 2, 3]}
QUICK = {"epochs": 2, "progress": False}


@pytest.fixture
def small_slices(monkeypatch):
    """Two runs to a slice, so that little work has several."""
    monkeypatch.setattr(slices, "_RUNS_HERE", 2)
    monkeypatch.setattr(slices, "_RUNS_THERE", 2)


class Inline(Executor):
    """Trains in this process, and fails, as a pool does whose processes die, from some slice on."""

    def __init__(self, good):
        self._good = good

    def submit(self, work, /, *arguments):
        future = Future()
        if self._good > 0:
            future.set_result(work(*arguments))
        else:
            future.set_exception(OSError("a worker died"))
        self._good -= 1
        return future


class Dying(MLP):
    """Takes its process down when seed 3 is trained."""

    def __init__(self):
        super().__init__()
        if torch.initial_seed() == 3:
            os._exit(1)


def test_each_cell_is_trained_with_its_parameters_on_the_same_seeds():
    result = sweep("StepLR", GRID, seeds=2, base_lr=0.05, **QUICK)
    runs = [Run("StepLR", {"gamma": 0.5, "step_size": 1}, 0.05, seed=seed) for seed in (0, 1)]
    data = load_digits().to(torch.float64)
    expected = train_many(lambda: MLP().double(), data, runs, epochs=2)
    found = result.histories[1, 0]
    assert [run.lr.tolist() for run in found] == [run.lr.tolist() for run in expected]
    assert [run.val_loss.tolist() for run in found] == [run.val_loss.tolist() for run in expected]
    assert result.mean[1, 0] == pytest.approx(np.mean([run.val_loss[-1] for run in expected]))


def test_any_two_parameters_make_a_grid():
    result = sweep("CosineAnnealingLR", {"base_lr": [0.01, 0.1], "T_max": [2, 4]}, **QUICK)
    assert result.histories[0, 1][0].epoch_lr == pytest.approx([0.01, 0.01 * (1 + 0.5**0.5) / 2])
    assert result.setting((1, 0)) == {"base_lr": 0.1, "T_max": 2}


def test_the_best_cell_has_the_lowest_mean():
    result = sweep("StepLR", GRID, **QUICK)
    assert result.mean[result.best_cell] == result.mean.min()
    assert result.best == result.setting(result.best_cell)


def test_slices_change_nothing(monkeypatch):
    whole = sweep("StepLR", GRID, **QUICK)
    monkeypatch.setattr(slices, "_RUNS_HERE", 2)
    in_slices = sweep("StepLR", GRID, **QUICK)
    assert in_slices.losses.tolist() == whole.losses.tolist()


def test_a_cell_that_diverged_is_finished_and_never_the_best():
    result = sweep("StepLR", {"base_lr": [0.1, 1e300], "gamma": [0.5]}, **QUICK)
    assert result.finished.all()
    assert np.isnan(result.mean).tolist() == [[False], [True]]
    assert result.best["base_lr"] == 0.1
    assert "diverged" in result.table()


def test_with_nothing_but_diverged_cells_there_is_no_best():
    result = sweep("StepLR", {"base_lr": [1e300], "gamma": [0.5]}, **QUICK)
    assert (result.best_cell, result.best) == (None, {})
    result.plot(marked={"base_lr": 1.0, "gamma": 0.5})


def test_the_picture_frames_the_best_cell_and_the_chosen_one():
    ax = sweep("StepLR", GRID, **QUICK).plot(marked={"gamma": 0.45, "step_size": 9})
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("step_size", "gamma")
    middles = [line.get_xydata()[:4].mean(0).round(6).tolist() for line in ax.lines[1:]]
    assert middles[-1] == [2, 1]  # step_size 3, gamma 0.5
    assert len(ax.texts) == 6


def test_the_nearest_cell_is_nearest_by_ratio_and_both_parameters_are_wanted():
    result = Sweep("StepLR", {"base_lr": (0.01, 0.1), "gamma": (0.1, 0.5)}, seeds=1)
    assert result.nearest({"base_lr": 0.04, "gamma": 0.5}) == (1, 1)
    with pytest.raises(ValueError, match="setting must hold 'gamma'"):
        result.nearest({"base_lr": 0.04})


def test_records_have_a_row_per_run_with_its_cell_and_its_end():
    result = sweep("StepLR", {"base_lr": [0.1, 1e300], "gamma": [0.5]}, seeds=2, **QUICK)
    rows = result.records()
    assert [(row["base_lr"], row["seed"]) for row in rows] == [
        (0.1, 0), (0.1, 1), (1e300, 0), (1e300, 1)
    ]  # fmt: skip
    assert [row["diverged"] for row in rows] == [False, False, True, True]
    assert [row["val_loss"] for row in rows[:2]] == result.losses[0, 0].tolist()
    assert (rows[0]["schedule"], rows[0]["gamma"], rows[0]["step_size"]) == ("StepLR", 0.5, 5)
    assert len(replace(result, histories={}).records()) == 0


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({"gamma": [0.1]}, "grid must name two parameters, got 1: gamma."),
        ({"gamma": [0.1], "stepsize": [1]}, "did you mean 'step_size'?"),
        ({"gamma": [0.1], "step_size": []}, "grid['step_size'] must hold numbers, at least one"),
        ({"gamma": [0.5, 0.1], "step_size": [1]}, "grid['gamma'] must rise from value to value"),
        ({"gamma": [0.1], "step_size": [0]}, "step_size must be a positive integer, got 0."),
        ({"gamma": [0.1], "base_lr": [-1]}, "base_lr must be a positive number, got -1."),
        ({"gamma": 0.1, "step_size": [1]}, "grid['gamma'] must hold numbers, at least one"),
    ],
)
def test_a_bad_grid_is_refused(grid, message):
    with pytest.raises(ValueError) as error:
        sweep("StepLR", grid, **QUICK)
    assert message in str(error.value)


@pytest.mark.parametrize("fixed", [{"gamma": 0.9}, {"step_size": 2}, {"base_lr": 0.1}])
def test_a_parameter_cannot_be_in_the_grid_and_fixed(fixed):
    (name,) = fixed
    grid = {"gamma": [0.1], "base_lr": [0.1]} if name == "base_lr" else GRID
    with pytest.raises(ValueError, match=f"^{name} must be in the grid or fixed, not both"):
        sweep("StepLR", grid, **fixed, **QUICK)


def test_what_is_no_number_cannot_be_in_a_grid_but_it_can_be_fixed():
    with pytest.raises(ValueError, match="grid must name parameters that are numbers, got 'mile"):
        sweep("MultiStepLR", {"milestones": [(1, 2)], "gamma": [0.5]}, **QUICK)
    grid = {"gamma": [0.1, 0.5], "base_lr": [0.1]}
    result = sweep("MultiStepLR", grid, milestones=(1,), **QUICK)
    assert result.histories[1, 0][0].epoch_lr.tolist() == [0.1, 0.05]


def test_a_row_of_ones_own_is_swept_as_one_of_the_kit():
    mine = replace(get_schedule("StepLR"), name="Mine")
    result, expected = (sweep(row, GRID, **QUICK) for row in (mine, "StepLR"))
    assert result.schedule == "Mine"
    assert result.losses.tolist() == expected.losses.tolist()


# Interrupted


@pytest.fixture
def ctrl_c():
    """Let SIGINT interrupt, also where the tests run in the background (`nohup make test &`)."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupt_after(monkeypatch, slices_done):
    """Let Ctrl-C arrive while the slice after so many is trained."""
    train, done = slices.Fleet.train, []

    def train_or_interrupt(*arguments, **options):
        if len(done) == slices_done:
            signal.raise_signal(signal.SIGINT)
        done.append(True)
        return train(*arguments, **options)

    monkeypatch.setattr(slices.Fleet, "train", train_or_interrupt)


@pytest.mark.usefixtures("small_slices", "ctrl_c")
def test_an_interrupted_sweep_returns_what_it_finished(monkeypatch):
    interrupt_after(monkeypatch, 2)
    with pytest.warns(UserWarning, match="interrupted: 4 of 6 runs finished"):
        result = sweep("StepLR", GRID, **QUICK)
    assert result.finished.tolist() == [[True] * 3, [True, False, False]]
    assert np.isfinite(result.mean).tolist() == result.finished.tolist()
    assert result.table().splitlines()[-1] == "(interrupted: cells marked - are missing)"


@pytest.mark.usefixtures("small_slices", "ctrl_c")
def test_an_interrupted_comparison_returns_the_seeds_it_finished(monkeypatch):
    interrupt_after(monkeypatch, 2)
    with pytest.warns(UserWarning, match="interrupted"):
        result = compare(["StepLR"], seeds=5, **QUICK)
    assert {len(runs) for runs in result.histories.values()} == {2}
    assert result.table().splitlines()[-1] == "(interrupted: the other seeds are missing)"


@pytest.mark.usefixtures("ctrl_c")
def test_interrupted_before_anything_was_finished_is_told_in_one_line(monkeypatch):
    interrupt_after(monkeypatch, 0)
    with pytest.raises(KeyboardInterrupt) as error:
        sweep("StepLR", GRID, **QUICK)
    assert error.value._render_traceback_() == ["Interrupted: nothing was finished."]


def test_long_work_shows_a_bar_and_takes_it_away(monkeypatch, capsys):
    monkeypatch.setattr(slices, "_SHOW_AFTER", 0)
    monkeypatch.delenv("TQDM_DISABLE")
    sweep("StepLR", GRID, epochs=2)
    shown = capsys.readouterr().err
    assert shown.startswith("\rtraining:   0%")
    assert shown.endswith("\r")


# On other processes


@pytest.fixture(scope="module", autouse=True)  # it loads while the first tests run
def processes():
    """A server that loads the kit once, and what torch loads late: its forks have all of it."""
    context = get_context("forkserver")
    context.set_forkserver_preload(["lrsched_kit", "torch._dynamo", "distributed"])
    forkserver.ensure_running()
    return context


@pytest.fixture(scope="module")
def cluster(processes):
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0"}
    with (
        dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"}),
        LocalCluster(processes=True, **options) as workers,
        Client(workers) as client,
    ):
        yield client


@pytest.mark.usefixtures("small_slices")
def test_two_processes_of_a_dask_cluster_find_the_same_numbers(cluster):
    here = sweep("StepLR", GRID, **QUICK)
    there = sweep("StepLR", GRID, executor=cluster.get_executor(), **QUICK)
    assert there.losses.tolist() == here.losses.tolist()
    assert len(set(cluster.run(os.getpid).values())) == 2


@pytest.mark.usefixtures("small_slices")
def test_a_comparison_runs_on_a_cluster_too(cluster):
    here, there = (
        compare(["StepLR"], seeds=3, executor=executor, **QUICK).final_losses["StepLR"]
        for executor in (None, cluster.get_executor())
    )
    assert there.tolist() == here.tolist()


@pytest.mark.usefixtures("small_slices")
def test_when_a_worker_process_dies_the_finished_seeds_are_kept(processes):
    with (
        ProcessPoolExecutor(1, mp_context=processes) as executor,
        pytest.warns(UserWarning, match="BrokenProcessPool: .*: 6 of 10 runs finished"),
    ):
        result = compare(["StepLR"], seeds=5, make_model=Dying, executor=executor, **QUICK)
    whole = compare(["StepLR"], seeds=3, **QUICK).final_losses
    assert {k: v.tolist() for k, v in result.final_losses.items()} == {
        k: v.tolist() for k, v in whole.items()
    }
    assert "BrokenProcessPool" in result.table().splitlines()[-1]


@pytest.mark.usefixtures("small_slices")
def test_the_cells_that_a_failing_executor_lost_are_missing_and_nothing_else():
    with pytest.warns(UserWarning, match="OSError: a worker died: 4 of 6 runs finished"):
        result = sweep("StepLR", GRID, executor=Inline(good=2), **QUICK)
    whole = sweep("StepLR", GRID, **QUICK)
    assert result.missing == "OSError: a worker died"
    assert result.losses[result.finished].tolist() == whole.losses[result.finished].tolist()
    assert np.isnan(result.losses[~result.finished]).all()


def test_an_executor_that_finishes_nothing_is_an_error():
    with pytest.raises(RuntimeError, match="executor failed before any run finished: OSError"):
        sweep("StepLR", GRID, executor=Inline(good=0), **QUICK)


def test_an_error_in_training_is_raised_as_itself_and_not_the_executors_fault(monkeypatch):
    def fail(*arguments, **options):
        raise ZeroDivisionError("in the model")

    monkeypatch.setattr(slices.Fleet, "train", fail)
    with pytest.raises(ZeroDivisionError, match="in the model"):
        sweep("StepLR", GRID, executor=Inline(good=9), **QUICK)
