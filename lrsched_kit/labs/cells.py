"""Which notebook cell a lab belongs to, so that re-running the cell ends the lab it replaces."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol


class Closable(Protocol):
    """Anything with a ``close()``."""

    def close(self) -> None:
        """End it."""


_living: dict[str, tuple[str, list[weakref.ref[Closable]]]] = {}
_inside: ContextVar[bool] = ContextVar("_inside", default=False)


@contextmanager
def inside_another_lab() -> Iterator[None]:
    """Make labs that belong to another lab: that one closes them, not the cell they run in."""
    token = _inside.set(True)
    try:
        yield
    finally:
        _inside.reset(token)


def close_earlier_labs(lab: Closable) -> None:
    """Close what earlier executions of the running notebook cell made, and remember ``lab``.

    Front ends name the cell in each execution request (``cellId``). Outside a notebook, or where
    the front end names none, nothing is closed.
    """
    cell, execution = _running_cell()
    if cell is None or _inside.get():
        return
    owner, labs = _living.get(cell, (execution, []))
    if owner != execution:
        for earlier in labs:
            if (old := earlier()) is not None:
                old.close()
        labs = []
    _living[cell] = (execution, [*labs, weakref.ref(lab)])


def in_front_end() -> bool:
    """Whether somebody looks on: front ends name the cell that they run, programs do not."""
    return _running_cell()[0] is not None


def _running_cell() -> tuple[str | None, str]:
    """Return the id of the cell that is being executed (or None), and of this execution."""
    if "IPython" not in sys.modules:
        return None, ""
    shell = sys.modules["IPython"].get_ipython()
    parent = getattr(shell, "get_parent", dict)() or {}
    cell = parent.get("metadata", {}).get("cellId")
    return cell, parent.get("header", {}).get("msg_id", "")
