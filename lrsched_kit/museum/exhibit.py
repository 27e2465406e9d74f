"""What an exhibit is: wrong code, right code, the rates that were meant, and how to run them."""

from __future__ import annotations

import inspect
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import cos, pi
from typing import Any

import numpy as np

from ..schedules.params import Choice, Param, complete
from ..words import Worded, say

HEADER = """\
from collections.abc import Callable, Iterator
from math import cos, pi

import torch
from torch.optim import SGD, lr_scheduler
"""
"""All that the code of an exhibit needs; a test runs each piece after just these lines."""

ADJUSTING = "https://docs.pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate"
PAGE = "https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.{name}.html"

_listening = threading.Lock()  # warnings.warn is the whole process's: one lab at a time takes it


@dataclass(frozen=True, repr=False)
class Code:
    """A function's source, coloured by a notebook; ``print`` shows it anywhere."""

    name: str
    text: str

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Code({self.name})"

    def _repr_markdown_(self) -> str:
        return f"```python\n{self.text}```"


@dataclass(frozen=True)
class Showing:
    """What one run of an exhibit did.

    Attributes:
        applied: shape ``(steps, curves)``: what the optimizer held at each update, as far as the
            run came.
        meant: the same shape, for the whole run.
        warnings: what torch warned about, each once.
        error: what torch raised, if the run was cut short.
        unit: what one step is: "epoch", "batch", "update" or "comparison".
        within: by how much two values may differ and still be called the same, relative to the
            one meant. Schedulers multiply step by step, and round as they go.
    """

    applied: np.ndarray
    meant: np.ndarray
    warnings: tuple[str, ...]
    error: Exception | None
    unit: str
    within: float

    @property
    def wrong_steps(self) -> np.ndarray:
        """The steps, counted from 0, at which applied and meant differ or nothing was applied."""
        size = np.abs(self.meant)
        limit = self.within * np.maximum(size, 1e-3 * size.max(axis=0))
        applied = np.full_like(self.meant, np.nan)
        applied[: len(self.applied)] = self.applied
        return np.flatnonzero(~np.all(np.abs(applied - self.meant) <= limit, axis=1))

    @property
    def agrees(self) -> bool:
        """Whether every step applied what was meant, and torch raised nothing."""
        return len(self.wrong_steps) == 0 and self.error is None

    @property
    def verdict(self) -> str:
        """Where applied and meant part, in a sentence."""
        wrong = self.wrong_steps
        known = {"steps": len(self.meant), "units": say(f"{self.unit}_plural")}
        if len(wrong) == 0:
            return say("exhibit_agrees", **known)
        unit = say(self.unit)
        return say("exhibit_differs", count=len(wrong), unit=unit, first=wrong[0], **known)

    @property
    def lines(self) -> list[str]:
        """The verdict, and what torch had to say."""
        said = [
            say("torch_warns", message=text.split(" See more details")[0].strip())
            for text in self.warnings
        ]
        if self.error is not None:
            kind = type(self.error).__name__
            said.append(say("torch_raises", kind=kind, message=self.error))
        return [self.verdict, *said]


@dataclass(frozen=True, kw_only=True)
class Exhibit:
    """One way to get a schedule wrong.

    Attributes:
        name: a short identifier.
        hall: what kind of mistake it is.
        title: the symptom, as a reader would put it.
        wrong, right: plain PyTorch, generators: they yield what the optimizer holds at each
            update, a number or (for several curves) a tuple of numbers.
        meant: an array or list of the same values, from a formula or written out; no torch.
        params: the knobs, which all three take as keywords.
        why: one or two sentences.
        source: torch's page about it.
        unit: what one step is.
        curves: what is yielded: labels, or keys of the table of words.
        log: whether the picture's axis is logarithmic.
        within: how far applied and meant may be apart, relative to the latter.
    """

    name: str
    hall: str = Worded()
    title: str = Worded()
    wrong: Callable[..., Iterator[Any]]
    right: Callable[..., Iterator[Any]]
    meant: Callable[..., Any]
    params: tuple[Param | Choice, ...]
    why: str = Worded()
    source: str = ADJUSTING
    unit: str = "epoch"
    curves: tuple[str, ...] = ("rate",)
    log: bool = False
    within: float = 1e-9

    @property
    def wrong_code(self) -> Code:
        """The source of the wrong function."""
        return Code(self.wrong.__name__, inspect.getsource(self.wrong))

    @property
    def right_code(self) -> Code:
        """The source of the right function."""
        return Code(self.right.__name__, inspect.getsource(self.right))

    def run(self, *, mended: bool = False, **knobs: object) -> Showing:
        """Run the wrong code, or the right one if ``mended``; knobs left out take their defaults.

        What torch warns about and raises is part of the result.

        Raises:
            ValueError: for a knob that does not exist or cannot be so.

        >>> from lrsched_kit import EXHIBITS
        >>> EXHIBITS["wrong_order"].run(epochs=4, step_size=2).applied.ravel().round(3).tolist()
        [1.0, 0.1, 0.1, 0.01]
        >>> EXHIBITS["wrong_order"].run(mended=True).agrees
        True
        """
        settings = self.complete(knobs)
        meant = _table(self.meant(**settings))
        values: list[Any] = []
        error = None
        with _warnings_of_this_thread() as said:
            try:
                values.extend((self.right if mended else self.wrong)(**settings))
            except Exception as raised:  # a result, shown in words
                error = raised
        applied = _table(values) if values else meant[:0]
        return Showing(applied, meant, tuple(dict.fromkeys(said)), error, self.unit, self.within)

    def complete(self, knobs: Mapping[str, object]) -> dict[str, Any]:
        """Return all knobs: the given ones checked, the others at their defaults."""
        settings = complete(self.params, knobs, owner=self.name, kind="knob")
        for knob in self.params:
            got = settings[knob.name]
            # The mistakes are arranged within the ends of the sliders, not beyond them.
            if isinstance(knob, Param) and not knob.low <= got <= knob.high:
                ends = f"between {knob.low:g} and {knob.high:g}"
                raise ValueError(f"{knob.name} must be {ends}, got {got!r}.")
        return settings


def make_exhibit(wrong: Callable[..., Iterator[Any]], page: str = "", **facts: Any) -> Exhibit:
    """Make an exhibit of the museum: its parts are found under the names that they already have.

    ``one_cycle_wrong`` in ``horizon.py`` makes "one_cycle" in the hall "horizon.hall", with the
    tooltip "one_cycle.updates" for its argument updates; ``one_cycle_right`` and, unless told,
    ``one_cycle_meant`` stand beside it. ``page`` is the scheduler on whose page torch explains it.
    ``facts`` tell the slider's ends, or the choices, for each argument; the rest are fields.
    """
    beside, name = wrong.__globals__, wrong.__name__.removesuffix("_wrong")
    arguments = inspect.signature(wrong).parameters.values()
    params = tuple(_knob(each, facts.pop(each.name), f"{name}.{each.name}") for each in arguments)
    facts.setdefault("meant", beside.get(f"{name}_meant"))
    return Exhibit(
        name=name,
        hall=f"{wrong.__module__.rpartition('.')[2]}.hall",
        wrong=wrong,
        right=beside[f"{name}_right"],
        params=params,
        source=PAGE.format(name=page) if page else ADJUSTING,
        **facts,
    )


def _knob(argument: inspect.Parameter, allowed: tuple[Any, ...], help: str) -> Param | Choice:
    name, default = argument.name, argument.default
    if isinstance(default, str):
        return Choice(name, allowed, help=help)
    low, high = allowed
    integer = isinstance(default, int)
    log = not integer and high >= 100 * low  # two decades: in powers of ten
    must_be = "positive" if low > 0 else "non-negative"
    return Param(name, default, low, high, log=log, integer=integer, must_be=must_be, help=help)


def half_cosine(part: float) -> float:
    """Return half a cosine: 1 when ``part`` is 0, and 0 when it is 1."""
    return (1 + cos(pi * part)) / 2


@contextmanager
def _warnings_of_this_thread() -> Iterator[list[str]]:
    """Collect what is warned about on this thread; others' warnings go where they always go.

    The filters of warnings are left alone: `warnings.catch_warnings` puts back those that it found,
    which on another thread can undo, or keep for good, what a reader's cell does at that moment.
    """
    said: list[str] = []
    here = threading.get_ident()

    def note(message: Any, category: Any = None, stacklevel: int = 1, **options: Any) -> None:
        if threading.get_ident() == here:
            said.append(str(message))
        else:
            warn(message, category, stacklevel + 1, **options)

    with _listening:
        warn, warnings.warn = warnings.warn, note  # type: ignore[assignment]
        try:
            yield said
        finally:
            warnings.warn = warn


def _table(values: Any) -> np.ndarray:
    """Return numbers or tuples as an array of shape ``(steps, curves)``."""
    return np.array(values, dtype=float).reshape(len(values), -1)
