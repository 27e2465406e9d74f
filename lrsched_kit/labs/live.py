"""What makes a picture live: a worker thread for the newest request, and frames for widgets."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import ipywidgets as widgets
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image as PillowImage
from traitlets import Unicode

from ..plotting.figure import palette_png, pixels_of

Request = TypeVar("Request")
WIDTH = "1100px"  # of a lab on a wide page


@dataclass
class Cancel:
    """Whether a request should be given up; each has its own, which never goes back to no."""

    stale: bool = False  # a newer request has come, or the worker is closed
    stopped: bool = False  # `LatestWorker.stop` was called while this request was the newest

    def __call__(self) -> bool:
        """Whether to give up, for either reason."""
        return self.stale or self.stopped


class LatestWorker(Generic[Request]):
    """Works on the newest request only, on one thread that exists while there is work.

    A request that arrives while an older one waits replaces it; the one being worked on learns
    through its `Cancel` that it should give up. The worker outlives whatever the work raises. All
    methods may be called from any thread, the worker's own included. ``on_error`` is called on its
    thread with what ``work`` raised, unless a newer request waits.
    """

    def __init__(
        self,
        work: Callable[[Request, Cancel], None],
        on_error: Callable[[BaseException], None],
    ) -> None:
        self._work = work
        self._on_error = on_error
        self._changed = threading.Condition()
        self._pending: list[tuple[Request, Cancel]] = []  # empty, or just the newest
        self._newest = Cancel()  # of the request that was submitted last
        self._thread: threading.Thread | None = None  # the last one
        self._busy = False  # whether that thread works or is about to
        self._error: BaseException | None = None
        self._closed = False
        self._finally: Callable[[], None] | None = None

    def submit(self, request: Request) -> None:
        """Ask for work; whatever was asked before is dropped. Ignored after `close`."""
        with self._changed:
            if self._closed:
                return
            self._newest.stale = True
            self._newest = Cancel()
            self._pending = [(request, self._newest)]
            self._error = None
            if not self._busy:
                self._thread = threading.Thread(
                    target=self._run, name="lrsched_kit worker", daemon=True
                )
                self._thread.start()
                self._busy = True  # only now: it may not have started

    def stop(self) -> None:
        """Tell the newest request to give up, be it worked on or still waiting."""
        with self._changed:
            self._newest.stopped = True

    def wait(self, timeout: float | None = None) -> bool:
        """Block until nothing is left to do, or raise what the newest request's work raised."""
        with self._changed:
            idle = self._changed.wait_for(lambda: not self._busy, timeout)
            error = self._error if idle else None
        if isinstance(error, Exception):
            raise error
        if error is not None:  # what would end the caller's program, such as SystemExit
            raise RuntimeError(in_words(error)) from error
        return idle

    def close(self, last: Callable[[], None] = lambda: None, *, timeout: float = 10.0) -> None:
        """Drop everything and end the thread; wait for that no longer than ``timeout`` seconds.

        ``last`` is called once when the work has ended, maybe on that thread and after this call.
        """
        with self._changed:
            self._closed = True
            self._pending = []
            self._newest.stale = True
            self._finally = last
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)
        self._finish()

    def _finish(self) -> None:
        """Call what `close` was given, unless there is still work, or it has been called."""
        with self._changed:
            if self._busy or self._finally is None:
                return
            last, self._finally = self._finally, None
        last()

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._pending:
                    self._busy = False
                    self._changed.notify_all()
                    break
                request, cancel = self._pending.pop()
            try:
                self._work(request, cancel)
            except BaseException as error:  # a reader's model may raise anything, SystemExit too
                with self._changed:
                    if cancel.stale:
                        continue
                    self._error = error
                with suppress(BaseException):  # telling failed too; wait() raises the error itself
                    self._on_error(error)
        self._finish()


def in_words(error: BaseException) -> str:
    """Return kind and message of an error in one line."""
    return f"{type(error).__name__}: {error}".removesuffix(": ")


class _DescribedImage(widgets.Image):
    """An image with an alternative text: the front end takes a tooltip only beside this trait."""

    description = Unicode("").tag(sync=True)


class LiveFigure:
    """A figure in an ``ipywidgets.Image``, cheap to redraw.

    Axes, ticks and legend are drawn once and kept as backgrounds; the moving artists are drawn
    over it. While things move, frames are small; ``crisp=True`` gives twice the pixels for when
    they rest. One thread draws. It may be another than the one that makes the figure, within
    `kit_look`: rcParams decide how ticks look, so all that a later frame may want are made here.

    The figure's size decides the picture's shape, once and for all; ``moving`` are the artists
    that change between frames.
    """

    CRISP = 2
    MOST_TICKS = 16

    def __init__(self, figure: Figure, moving: Sequence[Artist]) -> None:
        self._figure = figure
        self._canvas = FigureCanvasAgg(figure)
        self._moving = moving
        self._dpi = figure.dpi
        self._backgrounds: dict[float, Any] = {}  # by their scale
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
        self.png = b""  # the newest crisp frame, empty before there is one

    def draw(self, *, background_changed: bool = False, crisp: bool = False) -> None:
        """Draw a frame and send it to the browser."""
        if background_changed:
            self._backgrounds.clear()
        self._draw_background(self.CRISP if crisp else 1)
        for artist in self._moving:
            if artist.get_visible() and artist.axes is not None:
                artist.axes.draw_artist(artist)
        if crisp:
            self.png = palette_png(self._canvas)
            self._send(self.png, "png")
            self._draw_background(1)  # now that things rest, so that the next move need not
        else:
            # A JPEG takes 2 ms, the palette PNG 6 to 25: time that a moving slider does not have.
            jpeg = _encoded(pixels_of(self._canvas), "jpeg", quality=80, subsampling=2)
            self._send(jpeg, "jpeg")

    def _draw_background(self, scale: float) -> None:
        self._figure.dpi = self._dpi * scale
        if scale not in self._backgrounds:
            self._canvas.draw()
            self._backgrounds[scale] = self._canvas.copy_from_bbox(self._figure.bbox)
        self._canvas.restore_region(self._backgrounds[scale])

    def _send(self, frame: bytes, kind: str) -> None:
        with self.image.hold_sync():
            self.image.format = kind
            self.image.value = frame


def _blank(figure: Figure) -> bytes:
    """Return a white PNG of the figure's shape.

    A browser that is first given no picture may show none later, if the lab is out of sight then.
    """
    width, height = figure.get_size_inches()
    return _encoded(PillowImage.new("1", (round(40 * width), round(40 * height)), 1), "png")


def _encoded(image: PillowImage.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
