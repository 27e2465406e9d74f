"""What makes a picture live: a worker thread for the newest request, and frames for widgets."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Generic, TypeVar

import ipywidgets as widgets
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image as PillowImage
from traitlets import Unicode

from .plotting import palette_png, pixels_of

Request = TypeVar("Request")
WIDTH = "1100px"  # of a lab on a wide page


class LatestWorker(Generic[Request]):
    """Works on the newest request only, on one thread that exists while there is work.

    A request that arrives while an older one waits replaces it; the one being worked on learns
    through ``stale()`` that it should give up. The thread ends when nothing is left to do, so an
    idle worker holds no thread. All methods may be called from any thread.

    Args:
        work: ``work(request, stale)``, called on the worker's thread.
        on_error: called on that thread with what ``work`` raised, unless a newer request waits.

    >>> done = []
    >>> worker = LatestWorker(lambda request, stale: done.append(request), on_error=print)
    >>> worker.submit("a")
    >>> worker.wait(timeout=10)
    True
    >>> done
    ['a']
    """

    def __init__(
        self,
        work: Callable[[Request, Callable[[], bool]], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        self._work = work
        self._on_error = on_error
        self._changed = threading.Condition()
        self._pending: list[Request] = []  # empty, or just the newest
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None
        self._closed = False

    def submit(self, request: Request) -> None:
        """Ask for work; whatever was asked before is dropped. Ignored after `close`."""
        with self._changed:
            if self._closed:
                return
            self._pending = [request]
            self._error = None
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="lrsched_kit worker", daemon=True
                )
                self._thread.start()

    def wait(self, timeout: float | None = None) -> bool:
        """Block until nothing is left to do; False if ``timeout`` seconds were not enough.

        Raises:
            Exception: what the newest request's work raised.
        """
        with self._changed:
            idle = self._changed.wait_for(lambda: self._thread is None, timeout)
            if idle and self._error is not None:
                raise self._error
            return idle

    def close(self, timeout: float = 10.0) -> None:
        """Drop everything and end the thread."""
        with self._changed:
            self._closed = True
            self._pending = []
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def _stale(self) -> bool:
        return bool(self._pending) or self._closed

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._pending:
                    self._thread = None
                    self._changed.notify_all()
                    return
                request = self._pending.pop()
            try:
                self._work(request, self._stale)
            except Exception as error:
                self._report(error)

    def _report(self, error: Exception) -> None:
        with self._changed:
            if self._stale():
                return
            self._error = error
        with suppress(Exception):  # telling failed too; wait() still raises the error itself
            self._on_error(error)


class _DescribedImage(widgets.Image):
    """An image with an alternative text: the front end takes a tooltip only beside this trait."""

    description = Unicode("").tag(sync=True)


class LiveFigure:
    """A figure in an ``ipywidgets.Image``, cheap to redraw.

    Axes, ticks and legend are drawn once and kept as a background; the moving artists are drawn
    over it. While things move, frames are small; ``crisp=True`` gives twice the pixels for when
    they rest. Not thread-safe: one thread draws. It may be another than the one that makes the
    figure, within `kit_look`: rcParams decide how ticks look when they are made, so all that a
    later frame may want are made here.

    Args:
        figure: its size decides the picture's shape, once and for all.
        moving: the artists that change between frames.

    Attributes:
        image: the widget; its value is the newest frame.
        crisp_png: the newest crisp frame, empty before there is one.
    """

    CRISP = 2
    MOST_TICKS = 16

    def __init__(self, figure: Figure, moving: Sequence[Artist]) -> None:
        self._figure = figure
        self._canvas = FigureCanvasAgg(figure)
        self._moving = moving
        self._dpi = figure.dpi
        self._background = None
        for artist in moving:
            artist.set_animated(True)
        for ax in figure.axes:
            for axis in (ax.xaxis, ax.yaxis):
                axis.get_major_ticks(self.MOST_TICKS)
        self.image = _DescribedImage(
            value=_blank(figure),
            format="png",
            layout=widgets.Layout(width="100%", max_width=WIDTH, height="auto", margin="0"),
        )
        self.crisp_png = b""

    def draw(self, *, background_changed: bool = False, crisp: bool = False) -> None:
        """Draw a frame and send it to the browser."""
        if background_changed:
            self._background = None
        if crisp:
            self._figure.dpi = self._dpi * self.CRISP
            try:
                self._canvas.draw()
                self._draw_moving()
                self._send(crisp=True)
            finally:
                self._figure.dpi = self._dpi
            self._keep_background()  # now that things rest, so that the next move need not
            return
        self._keep_background()
        self._canvas.restore_region(self._background)
        self._draw_moving()
        self._send(crisp=False)

    def _keep_background(self) -> None:
        if self._background is None:
            self._canvas.draw()
            self._background = self._canvas.copy_from_bbox(self._figure.bbox)

    def describe(self, text: str) -> None:
        """Say in words what the picture shows, for readers who cannot see it."""
        self.image.tooltip = text

    def _draw_moving(self) -> None:
        for artist in self._moving:
            if artist.get_visible():
                artist.axes.draw_artist(artist)

    def _send(self, *, crisp: bool) -> None:
        # A JPEG takes 2 ms, the palette PNG 6 to 25: time that a moving slider does not have.
        value = palette_png(self._canvas) if crisp else _quick_jpeg(self._canvas)
        if crisp:
            self.crisp_png = value
        with self.image.hold_sync():
            self.image.format = "png" if crisp else "jpeg"
            self.image.value = value


def _blank(figure: Figure) -> bytes:
    """Return a white PNG of the figure's shape.

    A browser that is first given no picture may show none later, if the lab is out of sight then.
    """
    width, height = figure.get_size_inches()
    buffer = io.BytesIO()
    PillowImage.new("1", (round(40 * width), round(40 * height)), 1).save(buffer, "png")
    return buffer.getvalue()


def _quick_jpeg(canvas: FigureCanvasAgg) -> bytes:
    buffer = io.BytesIO()
    pixels_of(canvas).save(buffer, "jpeg", quality=80, subsampling=2)
    return buffer.getvalue()
