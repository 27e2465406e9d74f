"""Labs when things go wrong: Stop and moves at once, models that raise or hang, many threads."""

import sys
import threading

import ipywidgets.widgets.widget as widget_module
import numpy as np
import pytest
from waiting import kit_threads, wait_until

from lrsched_kit import (
    EXHIBITS,
    MLP,
    ComposerLab,
    ExhibitLab,
    GalleryLab,
    Phase,
    QuadraticLab,
    RangeTestLab,
    ScheduleLab,
    SimpleNet,
    SweepLab,
    toy_regression,
)
from lrsched_kit.labs import base, page, training
from lrsched_kit.labs.page import Page
from lrsched_kit.training.fleet import Fleet
from lrsched_kit.words import say

TINY = {"data": toy_regression(), "make_model": SimpleNet, "batch_size": 32, "seeds": 1}
GRID = {"gamma": [0.1, 0.5, 0.9], "step_size": [1, 2]}


def finite(histories):
    return all(np.isfinite(run.val_loss).all() for runs in histories.values() for run in runs)


# Stop, then a move at once


def test_stop_and_a_move_at_once_200_times_end_on_the_setting_shown(monkeypatch):
    monkeypatch.setattr(training, "HEAD_START", 0)
    lab = ScheduleLab("StepLR", epochs=40, **TINY)
    for turn in range(200):
        wait_until(lambda: lab._work.running)
        lab.controls["run"].click()  # it says Stop, unless training has just ended
        lab.controls["base_lr"].value = (0.01, 0.02)[turn % 2]
        assert finite(lab.histories)
        assert finite({"cached": lab._work._constants[1]})
    assert lab.wait(60)
    assert [runs[0].lr[0] for runs in lab.histories.values()] == [0.02, 0.02]
    assert finite(lab.histories)
    lab.close()


def test_stop_and_a_move_at_once_leave_no_unfinished_cell_in_a_sweep(monkeypatch):
    monkeypatch.setattr(training, "HEAD_START", 0)
    lab = SweepLab("StepLR", GRID, epochs=40, **TINY)
    for turn in range(50):
        wait_until(lambda: lab._work.running)
        lab.controls["run"].click()
        lab.controls["base_lr"].value = (0.01, 0.02)[turn % 2]
    assert lab.wait(60)
    assert lab.sweep.finished.all()
    assert finite(lab.sweep.histories)
    assert finite(lab._work._constants)
    lab.close()


def test_a_run_that_was_stopped_stays_so_while_a_move_is_on_its_way(monkeypatch):
    on_its_way, go_on, movers = threading.Event(), threading.Event(), []

    def slow_request(*, again):
        on_its_way.set()
        assert go_on.wait(60)
        return request(again=again)

    def stopped_and_moved_on(fleet, *args, **options):
        monkeypatch.undo()
        lab.controls["run"].click()
        runs = fleet.train(*args, **options)
        assert np.isnan(runs[0].val_loss).all()
        monkeypatch.setattr(lab, "_request", slow_request)
        movers.append(threading.Thread(target=setattr, args=(rate, "value", 0.02)))
        movers[0].start()
        assert on_its_way.wait(60)
        return runs

    lab = ScheduleLab("StepLR", epochs=4, **TINY)
    assert lab.wait(60)
    before, rate, request = lab.histories, lab.controls["base_lr"], lab._request
    monkeypatch.setattr(Fleet, "train", stopped_and_moved_on)
    rate.value = 0.01
    assert lab.wait(60)
    assert "Stopped after epoch 0 of 4." in lab.summary
    assert lab.histories == before
    go_on.set()
    movers[0].join()
    assert lab.wait(60)
    assert [runs[0].lr[0] for runs in lab.histories.values()] == [0.02, 0.02]
    assert finite(lab.histories)
    lab.close()


# Models that raise and models that hang


class Moody(SimpleNet):
    """Does what it is told to before each forward step."""

    mood = staticmethod(lambda: None)

    def forward(self, x):
        Moody.mood()
        return super().forward(x)


def moody_lab():
    lab = ScheduleLab("StepLR", epochs=2, **{**TINY, "make_model": Moody})
    assert lab.wait(60)
    return lab


@pytest.fixture
def set_mood(monkeypatch):
    return lambda mood: monkeypatch.setattr(Moody, "mood", staticmethod(mood))


@pytest.fixture
def moody(monkeypatch):
    """A lab of a model with moods, for tests that close it."""
    lab = moody_lab()
    yield lab
    monkeypatch.undo()
    lab.close()


@pytest.fixture(scope="module")
def lasting():
    """Such a lab for tests after which it still works."""
    lab = moody_lab()
    yield lab
    lab.close()


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt("no"), GeneratorExit("over")])
def test_a_model_that_would_end_the_kernel_is_told_in_words_and_the_lab_works_on(
    lasting, set_mood, error
):
    def leave():
        raise error

    lab = lasting
    set_mood(leave)
    lab.controls["gamma"].value = 0.5
    with pytest.raises(RuntimeError, match=type(error).__name__):
        lab.wait(60)
    assert f"This run failed: {type(error).__name__}" in lab.summary
    assert lab.controls["run"].description == say("run")
    set_mood(lambda: None)
    lab.controls["gamma"].value = 0.25
    assert lab.wait(60)
    assert lab.histories["StepLR"][0].epoch_lr[1:] == lab.controls["base_lr"].value
    assert finite(lab.histories)


def test_the_traceback_of_an_error_is_kept_and_folded_up_under_the_words(lasting, set_mood):
    def fail():
        raise ValueError("a < b & c")

    lab = lasting
    assert lab.traceback == ""
    set_mood(fail)
    lab.controls["gamma"].value = 0.5
    with pytest.raises(ValueError, match="a < b"):
        lab.wait(60)
    assert lab.traceback.startswith("Traceback (most recent call last):")
    assert lab.traceback.endswith("ValueError: a < b & c\n")
    assert "in forward" in lab.traceback
    shown = lab._work.text.value
    assert "<details><summary>" in shown
    assert "ValueError: a &lt; b &amp; c" in shown
    assert "a < b" not in shown
    set_mood(lambda: None)
    lab.controls["gamma"].value = 0.25
    assert lab.wait(60)
    assert lab.traceback == ""
    assert "<details>" not in lab._work.text.value


def test_close_leaves_the_widgets_of_a_stuck_lab_until_its_thread_ends(
    moody, set_mood, monkeypatch
):
    stuck, go_on = threading.Event(), threading.Event()

    def hang():
        stuck.set()
        assert go_on.wait(60)

    lab, before = moody, set(widget_module._instances)
    monkeypatch.setattr(base, "_END_WITHIN", 0.01)
    set_mood(hang)
    lab.controls["gamma"].value = 0.5
    assert stuck.wait(60)
    lab.close()
    lab.controls["gamma"].value = 0.6  # nobody listens
    assert set(widget_module._instances) == before
    go_on.set()
    wait_until(lambda: kit_threads() == [])
    assert lab.comm is None
    assert all(control.comm is None for control in lab.controls.values())


def test_a_model_may_close_its_own_lab(moody, set_mood):
    set_mood(moody.close)
    moody.controls["gamma"].value = 0.5
    wait_until(lambda: kit_threads() == [])
    assert moody.comm is None


def test_a_gallery_with_a_stuck_lab_goes_on_to_another_and_leaves_no_widget(monkeypatch):
    stuck, go_on = threading.Event(), threading.Event()

    def hang(*args, **options):
        stuck.set()
        assert go_on.wait(60)
        monkeypatch.undo()
        raise RuntimeError("too late")

    before = set(widget_module._instances)
    monkeypatch.setattr(base, "_END_WITHIN", 0.01)
    monkeypatch.setattr(Fleet, "train", hang)
    gallery = GalleryLab("StepLR", epochs=2, **TINY)
    assert stuck.wait(60)
    first = gallery.lab
    gallery.controls["schedule"].value = "REX"
    assert first.comm is not None
    gallery.close()
    go_on.set()
    wait_until(lambda: kit_threads() == [])
    assert set(widget_module._instances) <= before


# Many threads


@pytest.fixture
def hasty():
    """Let threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def at_once(*jobs):
    """Run each on a thread of its own, all together."""
    barrier = threading.Barrier(len(jobs))

    def together(job):
        barrier.wait(60)
        job()

    threads = [threading.Thread(target=together, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)


@pytest.mark.usefixtures("hasty")
def test_adding_and_removing_phases_from_many_threads_keeps_the_composer_whole():
    lab = ComposerLab([Phase("warm up", 1), Phase("hold", 19)], **TINY)

    def click(name):
        for _ in range(20):
            lab.controls[name].click()

    at_once(*[lambda: click("add"), lambda: click("remove")] * 3)
    assert lab.wait(60)
    assert sum(phase.length for phase in lab.phases) == 20  # as add and remove leave it
    count = len(lab.phases)
    shown = [column.layout.display != "none" for column in lab._columns]
    assert shown == [True] * count + [False] * (5 - count)
    assert lab.controls["add"].disabled == (count == 5)
    assert lab.controls["remove"].disabled == (count == 1)
    assert lab._work._shown.setting.phases == lab.phases
    lab.close()


@pytest.mark.usefixtures("hasty")
def test_exhibits_picked_from_many_threads_end_with_the_one_that_the_menu_names():
    lab = ExhibitLab()

    def pick(names):
        for name in names:
            lab.controls["exhibit"].value = name
            lab.controls["reset"].click()

    names = [*EXHIBITS]
    at_once(*(lambda part=names[start::4]: pick(part) for start in range(4)))
    assert lab.wait(60)
    exhibit = EXHIBITS[lab.controls["exhibit"].value]
    knobs = [param.name for param in exhibit.params]
    assert list(lab.controls) == [*knobs, "exhibit", "mended", "run", "reset"]
    assert list(lab._grid.children) == [lab.controls[name] for name in knobs]
    assert lab.showing.lines == exhibit.run().lines
    lab.close()


def test_exhibits_run_on_other_threads_leave_the_filters_of_warnings_to_the_cell(monkeypatch):
    lab = ExhibitLab("stale_optimizer")
    assert lab.wait(60)
    with monkeypatch.context() as patch:
        patch.setattr("warnings.catch_warnings", None)
        patch.setattr("warnings.simplefilter", None)
        lab.controls["exhibit"].value = "wrong_order"
        assert lab.wait(60)
    assert "torch warns: Detected call" in lab.summary
    lab.close()


# Cells that are run again, and labs that are refused


@pytest.fixture
def run_cell(monkeypatch):
    """Run code as a front end does that sends no cell id."""
    numbers = iter(range(100))

    def run(make, code):
        request = {"header": {"msg_id": str(next(numbers))}, "content": {"code": code}}
        monkeypatch.setattr(page, "_request", lambda: request)
        return make()

    return run


def test_where_no_cell_id_is_sent_the_code_tells_which_lab_is_replaced(run_cell):
    before = set(widget_module._instances)
    labs = [run_cell(QuadraticLab, "QuadraticLab()") for _ in range(3)]
    assert [lab.comm is not None for lab in labs] == [False, False, True]
    other = run_cell(QuadraticLab, "another = QuadraticLab()")
    assert labs[-1].comm is not None
    assert not page.in_front_end()
    for lab in (labs[-1], other):
        lab.close()
    assert set(widget_module._instances) <= before


def test_two_labs_of_one_execution_stay_until_it_is_repeated(run_cell):
    first, second = run_cell(lambda: (QuadraticLab(), QuadraticLab()), "two labs")
    assert first.comm is not None
    assert second.comm is not None
    third, _ = labs = run_cell(lambda: (QuadraticLab(), QuadraticLab()), "two labs")
    assert [lab.comm is not None for lab in (first, second, third)] == [False, False, True]
    for lab in labs:
        lab.close()


class LateRefusal(ScheduleLab):
    def __init__(self):
        super().__init__("StepLR", epochs=40)
        raise ValueError("no")


class Opened(Page):
    def __init__(self):
        self.inner = ScheduleLab("StepLR", epochs=40)
        super().__init__([self.inner])
        raise ValueError("no")


MISFIT = {"data": toy_regression(), "make_model": MLP}
REFUSED = {
    "schedule": lambda: ScheduleLab("MultiStepLR", milestone_1=9, milestone_2=3),
    "schedule, model": lambda: ScheduleLab("StepLR", **MISFIT),
    "schedule, optimizer": lambda: ScheduleLab("StepLR", optimizer="adma"),
    "composer": lambda: ComposerLab([Phase("hold", 4)], epochs=3),
    "composer, model": lambda: ComposerLab([Phase("hold", 4)], **MISFIT),
    "sweep": lambda: SweepLab("StepLR", {"gamma": [0.1, 0.5]}),
    "sweep, model": lambda: SweepLab("StepLR", GRID, **MISFIT),
    "range test": lambda: RangeTestLab(epochs=0),
    "range test, model": lambda: RangeTestLab(**MISFIT),
    "quadratic": lambda: QuadraticLab(steps=0),
    "exhibit": lambda: ExhibitLab("past_t_max", T_max=0),
    "gallery": lambda: GalleryLab("CyclicLR", base_lr=0.5),
    "gallery, model": lambda: GalleryLab(**MISFIT),
    "at the end": LateRefusal,
    "with another lab inside": Opened,
}


@pytest.mark.parametrize("lab", REFUSED)
def test_a_refused_lab_leaves_no_widget_and_no_thread(lab):
    before = set(widget_module._instances)
    with pytest.raises(ValueError, match=r"\w"):
        REFUSED[lab]()
    assert set(widget_module._instances) <= before
    assert kit_threads() == []
