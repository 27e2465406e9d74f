import pytest

from lrsched_kit.labs.live import LiveFigure


@pytest.fixture
def full_size():
    """For tests of the pictures themselves."""


@pytest.fixture(autouse=True)
def small_pictures(request, monkeypatch):
    """Let labs at rest draw as few pixels as while they move: that is most of what they take."""
    if "full_size" not in request.fixturenames:
        monkeypatch.setattr(LiveFigure, "CRISP", 1)
