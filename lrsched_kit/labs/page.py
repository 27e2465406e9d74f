"""What all labs are on a notebook's page: made whole or not at all, one callback at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import ipywidgets as widgets

from .cells import close_earlier_labs

# The widgets that the constructor running on this thread has made; None: none runs.
_made: ContextVar[list[widgets.Widget] | None] = ContextVar("_made", default=None)


class Page(widgets.VBox):
    """A box of widgets whose callbacks run one at a time; it replaces its cell's earlier ones.

    Where the constructor of a subclass raises, the widgets that it has made are closed.

    Args:
        rows: the widgets from top to bottom.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__init__" in vars(cls):
            whole_or_not_at_all = _closing_if_refused()
            cls.__init__ = whole_or_not_at_all(cls.__init__)  # type: ignore[method-assign]

    def __init__(self, rows: Sequence[widgets.Widget]) -> None:
        self._lock = threading.RLock()  # held by the callback that runs
        super().__init__(list(rows))
        close_earlier_labs(self)

    def _listen(self, control: widgets.Widget, callback: Callable[[Any], None]) -> None:
        """Call back when a button is clicked, or the value of another control changes.

        On whichever thread that happens, callbacks run one at a time, and none after the end.
        """

        def one_at_a_time(event: Any) -> None:
            with self._lock:
                if self.comm is not None:
                    callback(event)

        if isinstance(control, widgets.Button):
            control.on_click(one_at_a_time)
        else:
            control.observe(one_at_a_time, "value")

    def _close_widgets(self, *others: widgets.Widget) -> None:
        """Take everything in the box, and the others, off the page, with styles and layouts."""
        with self._lock:
            for widget in [*others, *_descendants(self), self]:
                for part in (getattr(widget, "style", None), widget.layout):
                    if isinstance(part, widgets.Widget):
                        part.close()
                if widget is not self:
                    widget.close()
            super().close()


def _descendants(widget: widgets.Widget) -> list[widgets.Widget]:
    found = []
    for child in getattr(widget, "children", ()):
        found += [child, *_descendants(child)]
    return found


def _note(widget: widgets.Widget) -> None:
    if (made := _made.get()) is not None:
        made.append(widget)


widgets.Widget.on_widget_constructed(_note)


@contextmanager
def _closing_if_refused() -> Iterator[None]:
    outer = _made.get()
    made: list[widgets.Widget] = []
    token = _made.set(made)
    try:
        yield
    except BaseException:
        for widget in reversed(made):  # a lab is made after its parts, and ends its own thread
            widget.close()
        raise
    finally:
        _made.reset(token)
    if outer is not None:
        outer += made
