"""What all labs are on a page: made whole or not at all, replaced when their cell runs again."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from weakref import WeakSet

import ipywidgets as widgets

# The widgets that the constructor running on this thread has made; None: none runs.
_made: ContextVar[list[widgets.Widget] | None] = ContextVar("_made", default=None)
# The cell -> its newest execution that made labs, and those.
_living: dict[str, tuple[str, WeakSet[widgets.Widget]]] = {}
_inside: ContextVar[bool] = ContextVar("_inside", default=False)


class Page(widgets.VBox):
    """A box of widgets whose callbacks run one at a time; it replaces its cell's earlier ones.

    Where the constructor of a subclass raises, the widgets that it has made are closed.
    """

    _called = ""  # what its repr says beside the class

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__init__" in vars(cls):
            whole_or_not_at_all = _closing_if_refused()
            cls.__init__ = whole_or_not_at_all(cls.__init__)  # type: ignore[method-assign]

    def __init__(self, rows: Sequence[widgets.Widget]) -> None:
        self._lock = threading.RLock()  # held by the callback that runs
        super().__init__(list(rows))
        close_earlier_labs(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._called})"

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
            for part in [*others, *_parts(self, *others)]:
                part.close()
            super().close()


def _parts(*wholes: widgets.Widget) -> list[widgets.Widget]:
    found = []
    for whole in wholes:
        looks = [getattr(whole, name, None) for name in ("style", "layout")]
        parts = [part for part in looks if isinstance(part, widgets.Widget)]
        parts += getattr(whole, "children", ())
        found += [*parts, *_parts(*parts)]
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


@contextmanager
def inside_another_lab() -> Iterator[None]:
    """Make labs that belong to another lab: that one closes them, not the cell they run in."""
    token = _inside.set(True)
    try:
        yield
    finally:
        _inside.reset(token)


def close_earlier_labs(lab: widgets.Widget) -> None:
    """Close what earlier executions of the running cell made, and remember ``lab``."""
    cell, execution = _running_cell()
    if cell is None or _inside.get():
        return
    owner, labs = _living.get(cell, (None, WeakSet()))
    if owner != execution:
        for earlier in list(labs):
            earlier.close()
        labs = WeakSet()
        _living[cell] = execution, labs
    labs.add(lab)


def in_front_end() -> bool:
    """Whether somebody looks on: front ends name the cell that they run, programs do not."""
    return bool(_request().get("metadata", {}).get("cellId"))


def _running_cell() -> tuple[str | None, str]:
    """Return what names the running cell (its code where no front end does), and the execution."""
    request = _request()
    cell = request.get("metadata", {}).get("cellId") or request.get("content", {}).get("code")
    return cell, request.get("header", {}).get("msg_id", "")


def _request() -> dict[str, Any]:
    """Return the message that the kernel is answering; outside a kernel an empty one."""
    if "IPython" not in sys.modules:
        return {}
    shell = sys.modules["IPython"].get_ipython()
    return getattr(shell, "get_parent", dict)() or {}
