"""What a reader may choose, numbers, names and steps: checked, and refused in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..words import Worded
from ..words.errors import check_number, nearest


@dataclass(frozen=True)
class Param:
    """One knob of a schedule; a slider is made from it.

    Attributes:
        name: torch's own keyword.
        default, low, high: where the slider starts, and its ends.
        log: whether the slider moves in powers of ten.
        integer: whether only whole numbers make sense.
        help: one line for a tooltip.
        must_be: "positive", "non-negative", "fraction", "below one", "share" or "factor": what
            torch can work with, which is wider than the slider.
        horizon: whether it is the number of scheduler steps in the run, so that it need not be
            chosen where the run's length is.
        per_group: whether it is a rate, told for the optimizer's first parameter group: the others
            take it in proportion to their own base rates.
    """

    name: str
    default: float
    low: float
    high: float
    log: bool = False
    integer: bool = False
    help: Worded = Worded()
    must_be: str = "positive"
    horizon: bool = False
    per_group: bool = False

    def check(self, value: object) -> float:
        """Return ``value`` as a plain number, or raise a ValueError that names the constraint."""
        return check_number(self.name, value, must_be=self.must_be, integer=self.integer)


@dataclass(frozen=True)
class Choice:
    """A knob with a few named settings; a menu is made from it.

    Attributes:
        name: torch's own keyword, or the argument of an exhibit's functions.
        options: what it may be; the first is the default.
        help: one line for a tooltip.

    >>> Choice("mode", ("min", "max")).check("most")
    Traceback (most recent call last):
    ...
    ValueError: mode must be one of ('min', 'max'), got 'most'.
    """

    name: str
    options: tuple[str, ...]
    help: Worded = Worded()

    @property
    def default(self) -> str:
        """The first option."""
        return self.options[0]

    def check(self, value: object) -> str:
        """Return ``value`` if it is one of the options, or raise a ValueError."""
        if not isinstance(value, str) or value not in self.options:
            hint = nearest(str(value), self.options)
            raise ValueError(f"{self.name} must be one of {self.options}, got {value!r}{hint}.")
        return str(value)


@dataclass(frozen=True)
class Steps:
    """A knob that names steps of a run, in rising order, as many as one likes.

    Attributes:
        name: torch's own keyword.
        default: the steps at first.
        high: the end of its slider.
        help: one line for a tooltip.

    >>> Steps("milestones", (10, 15), 40).check([30, 60.0, 80])
    (30, 60, 80)
    >>> Steps("milestones", (10, 15), 40).check((15, 10))
    Traceback (most recent call last):
    ...
    ValueError: milestones must be positive integers in rising order, like (10, 15), got (15, 10).
    """

    name: str
    default: tuple[int, ...]
    high: int
    help: Worded = Worded()

    def check(self, value: object) -> tuple[int, ...]:
        """Return ``value`` as a tuple of plain integers, or raise a ValueError."""
        try:
            if not isinstance(value, tuple | list | range | np.ndarray):
                raise ValueError
            steps = tuple(int(check_number(self.name, step, integer=True)) for step in value)
            if list(steps) != sorted(steps):  # equal ones are no mistake: torch drops twice there
                raise ValueError
        except (ValueError, TypeError):  # a TypeError: an array without a dimension
            raise ValueError(
                f"{self.name} must be positive integers in rising order, like {self.default}, "
                f"got {value!r}."
            ) from None
        return steps


Knob = Param | Choice | Steps


def complete(
    knobs: Sequence[Knob], given: Mapping[str, object], *, owner: str, kind: str = "parameter"
) -> dict[str, Any]:
    """Return a value for each knob: the given ones checked, the others at their defaults."""
    known = [knob.name for knob in knobs]
    for name in given:
        if name not in known:
            raise ValueError(
                f"{owner} has no {kind} {name!r}{nearest(name, known)}; "
                f"it takes {', '.join(known) or 'none'}."
            )
    return {knob.name: knob.check(given.get(knob.name, knob.default)) for knob in knobs}
