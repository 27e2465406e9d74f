"""A lab is added as one file, and its sentences: nothing else has to know of it."""

import sys

import pytest
from waiting import kit_threads

import lrsched_kit
from lrsched_kit import labs
from lrsched_kit.words import en

TINY = '''
"""A lab of one slider: how deep the valley is."""

from matplotlib.figure import Figure

from lrsched_kit import Param
from lrsched_kit.labs.base import Lab, Work
from lrsched_kit.labs.controls import button_row, make_buttons, make_slider, read
from lrsched_kit.labs.live import LiveFigure
from lrsched_kit.plotting.style import kit_look
from lrsched_kit.words import say

DEPTH = Param("depth", 2.0, 1.0, 5.0, help="how deep the valley is")


class TinyPicture(LiveFigure):
    @kit_look()
    def __init__(self):
        figure = Figure(figsize=(3, 2), dpi=80)
        ax = figure.subplots()
        ax.set(xlim=(-1, 1), ylim=(-5, 0))
        (self.line,) = ax.plot([], [])
        super().__init__(figure, [self.line])


class TinyWork(Work[float]):
    def __init__(self):
        super().__init__(TinyPicture())

    def __call__(self, depth, cancel):
        self.picture.line.set_data([-1, 0, 1], [0, -depth, 0])
        self.picture.draw(crisp=True)
        self.say([say("tiny_line", depth=depth)])


class TinyLab(Lab[float]):
    def __init__(self, depth=DEPTH.default):
        slider, buttons = make_slider(DEPTH, DEPTH.check(depth)), make_buttons(("run", "reset"))
        work, controls = TinyWork(), {"depth": slider, **buttons}
        rows = [slider, button_row([*buttons.values()]), work.picture.image, work.text]
        super().__init__(work, {"depth": depth}, controls, rows)
        self._submit()

    def _request(self, *, again):
        return read(self.controls["depth"], self._start["depth"])
'''


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    (tmp_path / "tiny_lab.py").write_text(TINY)
    monkeypatch.setattr(labs, "__path__", [*labs.__path__, str(tmp_path)])
    monkeypatch.setitem(en.TABLE, "tiny_line", "The valley is {depth:g} deep.")
    yield
    sys.modules.pop("lrsched_kit.labs.tiny_lab", None)
    vars(labs).pop("tiny_lab", None)


@pytest.mark.usefixtures("tiny")
def test_a_lab_is_found_by_its_file_opened_moved_and_closed():
    assert "TinyLab" in labs.__all__
    lab = labs.TinyLab(depth=3.0)
    assert lab.wait(60)
    assert lab.summary == "The valley is 3 deep."
    first = lab.controls["depth"]
    assert first.tooltip == "how deep the valley is"
    picture = lab._work.picture.png
    first.value = 4.0
    assert lab.wait(60)
    assert lab.summary == "The valley is 4 deep."
    assert lab._work.picture.png != picture
    lab.controls["reset"].click()
    assert lab.wait(60)
    assert lab.summary == "The valley is 3 deep."
    lab.close()
    assert lab.comm is None
    assert kit_threads() == []


@pytest.mark.usefixtures("tiny")
def test_the_kit_offers_it_beside_its_own():
    assert lrsched_kit.TinyLab is labs.TinyLab
    with pytest.raises(ValueError, match="depth must be a positive number, got -1"):
        lrsched_kit.TinyLab(depth=-1)


def test_without_its_file_there_is_no_such_lab():
    assert {"ScheduleLab", "RangeTestLab"} <= set(labs.__all__)
    assert all(name.endswith("Lab") for name in labs.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'TinyLab'"):
        _ = labs.TinyLab
