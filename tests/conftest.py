import itertools

import pytest

from lrsched_kit.labs import live, panels
from lrsched_kit.labs.live import LiveFigure


@pytest.fixture
def drawn():
    """For tests of what a lab draws, or of whether it can draw it."""


@pytest.fixture
def full_size(drawn):
    """For tests of the pictures themselves."""


@pytest.fixture(autouse=True)
def few_pictures(request, monkeypatch):
    """Let labs draw where a test looks, and no more pixels at rest than while they move.

    Drawing is most of what a quick lab takes. The other labs send blank frames, each another one.
    """
    if "full_size" not in request.fixturenames:
        monkeypatch.setattr(LiveFigure, "CRISP", 1)
    if "drawn" not in request.fixturenames:
        monkeypatch.setattr(LiveFigure, "MOST_TICKS", 1)
        monkeypatch.setattr(panels, "MOST_BETWEEN", 1)
        monkeypatch.setattr(LiveFigure, "draw", _draw_nothing)


_frames = itertools.count()


def _draw_nothing(self, *, background_changed=False, crisp=False):
    frame = live._blank(self._figure) + str(next(_frames)).encode()
    if crisp:
        self.png = frame
    self._send(frame, "png" if crisp else "jpeg")
