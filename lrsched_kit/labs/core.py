"""What all labs have in common: controls, a worker, words under the picture, an orderly end."""

from __future__ import annotations

import base64
import html
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import ipywidgets as widgets

from ..live import WIDTH, LatestWorker, LiveFigure
from ..words import WORDS
from .cells import close_earlier_labs, in_front_end

Request = TypeVar("Request")
_PATIENCE = 2.0  # seconds that a lab may keep its cell from being done


class Picture:
    """What a lab draws on: a figure in a widget.

    Attributes:
        live: the figure; a subclass makes it.
    """

    live: LiveFigure

    @property
    def image(self) -> widgets.Image:
        """The widget that shows the picture."""
        return self.live.image

    @property
    def png(self) -> bytes:
        """The newest crisp frame; empty before there is one."""
        return self.live.crisp_png

    def describe(self, text: str) -> None:
        """Say in words what the picture shows."""
        self.live.describe(text)


class Work(ABC, Generic[Request]):
    """What a lab does on its worker's thread, and the words and the progress that it shows.

    Attributes:
        picture: what it draws on. It never writes to a slider.
        text, progress: the widgets below and beside it.
        lines: the text under the picture.
        running: whether training goes on.
        stopped: set by a caller to end the training that is running.
        on_running: told when ``running`` changes.
    """

    def __init__(self, picture: Picture) -> None:
        self.picture = picture
        self.text = widgets.HTML(layout=widgets.Layout(min_height="4.5em", max_width=WIDTH))
        self.progress = widgets.FloatProgress(max=1.0, layout=widgets.Layout(width="84px"))
        self.lines: list[str] = []
        self._said: list[str] = []  # the lines without a note
        self.running = False
        self.stopped = False
        self.on_running: Callable[[bool], None] = lambda running: None

    @abstractmethod
    def __call__(self, request: Request, stale: Callable[[], bool]) -> None:
        """Do what is asked; give up as soon as ``stale()``."""

    def say(self, lines: list[str]) -> None:
        """Put the picture into words, under it and for readers who cannot see it."""
        self._said = lines
        self._write(lines)
        self.picture.describe(" ".join(lines))

    def note(self, line: str) -> None:
        """Add a line under the picture."""
        self._write([*self._said, line])

    def show_error(self, error: Exception) -> None:
        """Show in words what went wrong."""
        self.set_running(False)
        line = WORDS["failed"].format(error=f"{type(error).__name__}: {error}")
        self._write([line], color="#b00020")

    def set_running(self, running: bool) -> None:
        """Say that training begins or has ended."""
        self.running = running
        if running:
            self.progress.value = 0.0
        elif not self.stopped:
            self.progress.value = 1.0
        self.on_running(running)

    def _write(self, lines: list[str], color: str = "inherit") -> None:
        self.lines = lines
        text = "<br>".join(html.escape(line) for line in lines)
        self.text.value = f"<div style='line-height: 1.5; color: {color}'>{text}</div>"


class Lab(widgets.VBox, Generic[Request]):
    """Controls above, a live picture and its words below; all work is done on one thread.

    Args:
        work: trains and draws.
        start: where the sliders start, by name.
        controls: sliders by name, then buttons by name.
        rows: the widgets from top to bottom.

    Attributes:
        controls: the sliders and buttons by name.
    """

    def __init__(
        self,
        work: Work[Request],
        start: Mapping[str, Any],
        controls: dict[str, widgets.Widget],
        rows: Sequence[widgets.Widget],
    ) -> None:
        self.controls = controls
        self._start = dict(start)
        self._work = work
        self._worker = LatestWorker(work, work.show_error)
        work.on_running = self._set_running
        super().__init__(list(rows))
        for name in self._start:
            controls[name].observe(self._on_move, "value")
        controls["run"].on_click(self._on_run)
        controls["reset"].on_click(self._on_reset)
        close_earlier_labs(self)

    @abstractmethod
    def _request(self, *, again: bool) -> Request:
        """Return what the controls ask for now; ``again``: train even if nothing has changed."""

    # ---- what a caller uses

    @property
    def summary(self) -> str:
        """The lines under the picture."""
        return "\n".join(self._work.lines)

    def wait(self, timeout: float | None = None) -> bool:
        """Block until the newest request is drawn; False if ``timeout`` seconds were too few.

        Raises:
            Exception: whatever the newest request's training raised.
        """
        return self._worker.wait(timeout)

    def close(self) -> None:
        """Stop training, end the thread and take the widgets off the page."""
        if self.comm is not None:  # Widget.close() comes here a second time
            self._worker.close()
            close_parts(self, self._work.progress)  # which not every lab shows
        super().close()

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any] | None:
        """Add a picture for those who read the notebook without running it.

        In front of a reader a slow lab is shown as it works, and its picture is left out; where
        notebooks are run by a program, the finished picture is waited for.
        """
        bundle = super()._repr_mimebundle_(**kwargs)
        try:
            self.wait(timeout=_PATIENCE if in_front_end() else 60)
        except Exception:  # the lab itself shows it, and so does the next wait()
            return bundle
        if bundle is not None and self._work.picture.png:
            bundle["image/png"] = base64.b64encode(self._work.picture.png).decode()
        return bundle

    # ---- callbacks, on whichever thread: they only drop a request

    def _submit(self, *, again: bool = False) -> None:
        self._work.stopped = False
        self._worker.submit(self._request(again=again))

    def _on_move(self, _: object) -> None:
        self._submit()

    def _on_run(self, _: object) -> None:
        if self._work.running:
            self._work.stopped = True
        else:
            self._submit(again=True)

    def _on_reset(self, _: object) -> None:
        for name, value in self._start.items():
            self.controls[name].value = value
        self._submit()

    def _set_running(self, running: bool) -> None:
        name = "stop" if running else "run"
        self.controls["run"].description = WORDS[name]
        self.controls["run"].tooltip = WORDS[f"{name}_help"]


def close_parts(root: widgets.Box, *others: widgets.Widget) -> None:
    """Take everything in a box, and the others, off the page, with all styles and layouts."""
    for widget in [*others, *_descendants(root), root]:
        for part in (getattr(widget, "style", None), widget.layout):
            if isinstance(part, widgets.Widget):
                part.close()
        if widget is not root:
            widget.close()


def _descendants(widget: widgets.Widget) -> list[widgets.Widget]:
    found = []
    for child in getattr(widget, "children", ()):
        found += [child, *_descendants(child)]
    return found
