"""Which notebook cell a lab belongs to, so that re-running the cell ends the lab it replaces."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from weakref import WeakSet

import ipywidgets as widgets

# The cell -> its newest execution that made labs, and those.
_living: dict[str, tuple[str, WeakSet[widgets.Widget]]] = {}
_inside: ContextVar[bool] = ContextVar("_inside", default=False)


@contextmanager
def inside_another_lab() -> Iterator[None]:
    """Make labs that belong to another lab: that one closes them, not the cell they run in."""
    token = _inside.set(True)
    try:
        yield
    finally:
        _inside.reset(token)


def close_earlier_labs(lab: widgets.Widget) -> None:
    """Close what earlier executions of the running notebook cell made, and remember ``lab``.

    Front ends name the cell in each execution request (``cellId``); where one does not, the code
    of the cell is its name. Outside a notebook nothing is closed.
    """
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
    return _cell_id(_request()) is not None


def _running_cell() -> tuple[str | None, str]:
    """Return what names the cell that is being executed (or None), and this execution."""
    request = _request()
    code = request.get("content", {}).get("code")
    return _cell_id(request) or code, request.get("header", {}).get("msg_id", "")


def _cell_id(request: dict[str, Any]) -> str | None:
    return request.get("metadata", {}).get("cellId")


def _request() -> dict[str, Any]:
    """Return the message that the kernel is answering; outside a kernel an empty one."""
    if "IPython" not in sys.modules:
        return {}
    shell = sys.modules["IPython"].get_ipython()
    return getattr(shell, "get_parent", dict)() or {}
