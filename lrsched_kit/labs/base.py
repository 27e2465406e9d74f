"""What all labs have in common: controls, a worker, words under the picture, an orderly end."""

from __future__ import annotations

import base64
import html
import threading
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic

import ipywidgets as widgets

from ..words import say
from .controls import read
from .live import WIDTH, Cancel, LatestWorker, LiveFigure, Request, in_words
from .page import Page, in_front_end

_PATIENCE = 2.0  # seconds that a lab may keep its cell from being done
_END_WITHIN = 10.0  # seconds; what takes longer to stop closes its widgets by itself


class Work(ABC, Generic[Request]):
    """What a lab does on its worker's thread, and the words and the progress that it shows.

    It draws on its picture, and never writes to a slider.
    """

    def __init__(self, picture: LiveFigure) -> None:
        self.picture = picture
        self.text = widgets.HTML(layout=widgets.Layout(min_height="4.5em", max_width=WIDTH))
        self.progress = widgets.FloatProgress(max=1.0, layout=widgets.Layout(width="84px"))
        self.lines: list[str] = []  # the text under the picture
        self.traceback = ""  # of the error that the lines tell, if they tell one
        self._said: list[str] = []  # the lines without a note
        self._writing = threading.RLock()  # a note comes on another thread
        self.running = False  # whether training goes on
        self.on_running: Callable[[bool], None] = lambda running: None

    @abstractmethod
    def __call__(self, request: Request, cancel: Cancel) -> None:
        """Do what is asked; give up as soon as ``cancel()``."""

    def say(self, lines: list[str]) -> None:
        """Put the picture into words, under it and for readers who cannot see it."""
        with self._writing:
            self._said = lines
            self._write(lines)
        self.picture.image.tooltip = " ".join(lines)

    def note(self, line: str) -> None:
        """Add a line under the picture."""
        with self._writing:
            self._write([*self._said, line])

    def show_error(self, error: BaseException) -> None:
        """Show in words what went wrong, and folded up, where."""
        self.set_running(False)
        with self._writing:
            line = say("failed", error=in_words(error))
            self._write([line], "".join(traceback.format_exception(error)))

    def set_running(self, running: bool, *, stopped: bool = False) -> None:
        """Say that training begins or has ended, maybe because it was stopped."""
        if not stopped:
            self.progress.value = 0.0 if running else 1.0
        if running != self.running:
            self.running = running
            self.on_running(running)

    def _write(self, lines: list[str], trace: str = "") -> None:
        self.lines, self.traceback = lines, trace
        text = "<br>".join(html.escape(line) for line in lines)
        color = "#b00020" if trace else "inherit"
        text = f"<div style='line-height: 1.5; color: {color}'>{text}</div>"
        if trace:
            where = say("traceback")
            text += f"<details><summary>{where}</summary><pre style='line-height: 1.35'>"
            text += f"{html.escape(trace)}</pre></details>"
        self.text.value = text


class Lab(Page, Generic[Request]):
    """Controls above, a live picture and its words below; all work is done on one thread.

    ``start`` says where sliders start, by name; ``controls`` are they and the buttons by name,
    ``rows`` all widgets from top to bottom.
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
        super().__init__(rows)
        for name in self._start:
            self._listen(controls[name], self._on_move)
        self._listen(controls["run"], self._on_run)
        self._listen(controls["reset"], self._on_reset)

    @abstractmethod
    def _request(self, *, again: bool) -> Request:
        """Return what the controls ask for now; ``again``: train even if nothing has changed."""

    @property
    def summary(self) -> str:
        """The lines under the picture."""
        return "\n".join(self._work.lines)

    @property
    def traceback(self) -> str:
        """Where what the summary tells of went wrong; empty if nothing did."""
        return self._work.traceback

    def wait(self, timeout: float | None = None) -> bool:
        """Block until the newest request is drawn; False if ``timeout`` seconds were too few.

        Raises:
            Exception: whatever the newest request's training raised; a RuntimeError in place of
                what would end the kernel, such as SystemExit.
        """
        return self._worker.wait(timeout)

    def close(self) -> None:
        """Stop training, end the thread and take the widgets off the page.

        Where the thread hangs in a step of a reader's model, the widgets go when that ends.
        """
        if self.comm is not None:  # Widget.close() comes here a second time
            progress = self._work.progress  # which not every lab shows
            self._worker.close(lambda: self._close_widgets(progress), timeout=_END_WITHIN)

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

    # ---- callbacks, on whichever thread, one at a time: they only drop a request

    def _values(self) -> dict[str, Any]:
        """Return what the controls that `reset` puts back say now."""
        return {name: read(self.controls[name], start) for name, start in self._start.items()}

    def _submit(self, *, again: bool = False) -> None:
        self._worker.submit(self._request(again=again))

    def _on_move(self, _: Any) -> None:
        self._submit()

    def _on_run(self, _: Any) -> None:
        if self._work.running:
            self._worker.stop()
        else:
            self._submit(again=True)

    def _on_reset(self, _: Any) -> None:
        for name, value in self._start.items():
            self.controls[name].value = value
        self._submit()

    def _set_running(self, running: bool) -> None:
        name = "stop" if running else "run"
        self.controls["run"].description = say(name)
        self.controls["run"].tooltip = say(f"{name}_help")
