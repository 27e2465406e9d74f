import io
import threading
import time

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from waiting import kit_threads, wait_until

from lrsched_kit.labs.live import LatestWorker, LiveFigure

pytestmark = pytest.mark.usefixtures("drawn")


def no_error(error):
    raise AssertionError(error)


def test_the_newest_request_wins():
    done, started, go_on = [], threading.Event(), threading.Event()

    def work(request, cancel):
        started.set()
        go_on.wait(10)
        if not cancel():
            done.append(request)

    worker = LatestWorker(work, no_error)
    worker.submit(0)
    assert started.wait(10)
    for request in range(1, 41):
        worker.submit(request)
    go_on.set()
    assert worker.wait(10)
    assert done == [40]


def test_there_is_a_thread_only_while_there_is_work():
    worker = LatestWorker(lambda request, cancel: time.sleep(0.05), no_error)
    worker.submit("work")
    assert len(kit_threads()) == 1
    assert worker.wait(10)
    for thread in kit_threads():  # it has said goodbye, give it the moment to leave
        thread.join(10)
    assert kit_threads() == []


def test_close_makes_running_work_stale_and_ignores_later_requests():
    done, started = [], threading.Event()

    def work(request, cancel):
        done.append(request)
        started.set()
        wait_until(lambda: cancel.stale)

    worker = LatestWorker(work, no_error)
    worker.submit("first")
    assert started.wait(10)
    worker.close()
    worker.submit("late")
    assert kit_threads() == []
    assert done == ["first"]


def test_stop_is_meant_for_the_newest_request_only():
    stopped, started = [], threading.Event()

    def work(request, cancel):
        started.set()
        wait_until(cancel)
        stopped.append((request, cancel.stopped))

    worker = LatestWorker(work, no_error)
    worker.submit("older")
    assert started.wait(10)
    worker.submit("newer")
    worker.stop()  # it waits for its turn, or has it by now
    assert worker.wait(10)
    assert stopped == [("older", False), ("newer", True)]


def test_a_request_after_stop_is_not_stopped_and_the_one_before_stays_so():
    cancels, started = [], threading.Event()

    def work(request, cancel):
        cancels.append(cancel)
        started.set()
        if request == "older":
            wait_until(lambda: cancel.stale)

    worker = LatestWorker(work, no_error)
    worker.submit("older")
    assert started.wait(10)
    worker.stop()
    worker.submit("newer")
    assert worker.wait(10)
    assert [(cancel.stopped, cancel.stale) for cancel in cancels] == [(True, True), (False, False)]


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit("over")])
def test_a_worker_outlives_what_would_end_a_program(error):
    shown = []

    def work(request, cancel):
        if request == "bad":
            raise error

    worker = LatestWorker(work, shown.append)
    worker.submit("bad")
    with pytest.raises(RuntimeError, match=type(error).__name__) as raised:
        worker.wait(10)
    assert raised.value.__cause__ is error
    assert shown == [error]
    worker.submit("good")
    assert worker.wait(10)


def test_what_is_to_be_done_last_waits_for_a_thread_that_does_not_end_in_time():
    started, go_on, order = threading.Event(), threading.Event(), []

    def stuck(request, cancel):
        started.set()
        assert go_on.wait(60)
        order.append("work")

    worker = LatestWorker(stuck, no_error)
    worker.submit("work")
    assert started.wait(10)
    worker.close(lambda: order.append("last"), timeout=0.01)
    assert order == []
    go_on.set()
    wait_until(lambda: kit_threads() == [])
    assert order == ["work", "last"]


def test_a_worker_may_be_closed_by_its_own_work():
    order = []

    def work(request, cancel):
        worker.close(lambda: order.append("last"))
        order.append("work")

    worker = LatestWorker(work, no_error)
    worker.submit("work")
    wait_until(lambda: order == ["work", "last"])
    worker.close(lambda: order.append("again"))
    assert order == ["work", "last", "again"]


def test_wait_gives_up_after_its_timeout():
    go_on = threading.Event()
    worker = LatestWorker(lambda request, cancel: go_on.wait(10), no_error)
    worker.submit("work")
    assert not worker.wait(0.01)
    go_on.set()
    assert worker.wait(10)


def test_an_error_is_shown_and_raised_until_the_next_request():
    shown = []

    def work(request, cancel):
        if request == "bad":
            raise RuntimeError("no luck")

    worker = LatestWorker(work, shown.append)
    worker.submit("bad")
    with pytest.raises(RuntimeError, match="no luck"):
        worker.wait(10)
    assert [str(error) for error in shown] == ["no luck"]
    worker.submit("good")
    assert worker.wait(10)


def test_a_worker_outlives_an_error_in_telling_an_error():
    def work(request, cancel):
        if request == "bad":
            raise RuntimeError("first")

    def tell(error):
        raise ValueError("second")

    worker = LatestWorker(work, tell)
    worker.submit("bad")
    with pytest.raises(RuntimeError, match="first"):
        worker.wait(10)
    worker.submit("good")
    assert worker.wait(10)


def test_many_threads_may_submit():
    done = []
    worker = LatestWorker(lambda request, cancel: done.append(request), no_error)
    threads = [threading.Thread(target=worker.submit, args=(n,)) for n in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    worker.submit("last")
    assert worker.wait(10)
    assert done[-1] == "last"


@pytest.fixture
def live():
    figure = Figure(figsize=(4, 2), dpi=100)
    ax = figure.subplots()
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1)
    (line,) = ax.plot([0, 1], [0, 1], color="red")
    return LiveFigure(figure, [line]), line, ax


def test_before_the_first_frame_there_is_a_blank_one_of_the_same_shape(live):
    live, _, _ = live
    blank = Image.open(io.BytesIO(live.image.value))
    assert blank.width / blank.height == 2
    assert live.png == b""


def pixels(live):
    return np.asarray(Image.open(io.BytesIO(live.image.value)).convert("RGB")).astype(int)


@pytest.mark.usefixtures("full_size")
def test_a_frame_goes_to_the_widget_and_crisp_ones_have_twice_the_pixels(live):
    live, _, _ = live
    live.draw()
    assert pixels(live).shape == (200, 400, 3)
    live.draw(crisp=True)
    assert pixels(live).shape == (400, 800, 3)
    live.draw()
    assert pixels(live).shape == (200, 400, 3)


def test_a_moved_line_leaves_no_trace(live):
    live, line, _ = live
    live.draw()
    first = pixels(live)
    line.set_data([0, 1], [1, 0])
    live.draw()
    assert not np.array_equal(pixels(live), first)
    line.set_data([0, 1], [0, 1])
    live.draw()
    assert np.abs(pixels(live) - first).max() <= 8  # a palette of its own for each frame


def test_limits_change_when_the_background_is_redrawn(live):
    live, line, ax = live
    line.set_visible(False)
    live.draw()
    first = pixels(live)
    ax.set_ylim(0, 500)
    live.draw()
    assert np.array_equal(pixels(live), first)
    live.draw(background_changed=True)
    assert not np.array_equal(pixels(live), first)
