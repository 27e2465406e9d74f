"""How the kit refuses: the argument, the constraint, the value; and the name that was meant."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Mapping
from numbers import Real
from typing import TypeVar

Row = TypeVar("Row")

_CONSTRAINTS: Mapping[str, tuple[str, Callable[[float], bool]]] = {
    "positive": ("a positive {kind}", lambda value: value > 0),
    "non-negative": ("a non-negative {kind}", lambda value: value >= 0),
    "fraction": ("a positive {kind} below 1", lambda value: 0 < value < 1),
    "below one": ("a non-negative {kind} below 1", lambda value: 0 <= value < 1),
    "share": ("a {kind} from 0 to 1", lambda value: 0 <= value <= 1),
    "factor": ("a positive {kind}, 1 at most", lambda value: 0 < value <= 1),
}


def check_number(
    name: str, value: object, *, must_be: str = "positive", integer: bool = False
) -> float:
    """Return ``value`` as a plain float or int, or say what is wrong with it.

    Raises:
        ValueError: naming the argument, the constraint and the value.

    >>> check_number("step_size", 0, integer=True)
    Traceback (most recent call last):
    ...
    ValueError: step_size must be a positive integer, got 0.
    """
    phrase, holds = _CONSTRAINTS[must_be]
    if isinstance(value, Real) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:  # an integer too large for a float
            number = math.inf
        if math.isfinite(number) and holds(number) and not (integer and number % 1):
            return int(value) if integer else number  # type: ignore[call-overload]
    phrase = phrase.format(kind="integer" if integer else "number")
    raise ValueError(f"{name} must be {phrase}, got {value!r}.")


def unknown(argument: str, kind: str, got: object, known: Iterable[str]) -> ValueError:
    """Return the refusal of a name: what was wanted, the nearest that there is, and all.

    >>> raise unknown("name", "a known model", "mpl", ["MLP", "CNN"])
    Traceback (most recent call last):
    ...
    ValueError: name must be a known model (did you mean 'MLP'?), got 'mpl'; known are MLP, CNN.
    """
    names = list(known)
    wanted = f"{kind}{nearest(str(got), names)}"
    return ValueError(f"{argument} must be {wanted}, got {got!r}; known are {', '.join(names)}.")


def look_up(argument: str, kind: str, name: object, known: Mapping[str, Row]) -> Row:
    """Return what stands under ``name``, or refuse the name as `unknown` does."""
    if not isinstance(name, str) or name not in known:
        raise unknown(argument, kind, name, known)
    return known[name]


def nearest(word: str, words: Iterable[str]) -> str:
    """Return a hint at the one of ``words`` that looks most like ``word``, or nothing."""
    close = difflib.get_close_matches(word.lower(), {w.lower(): w for w in words}, n=1, cutoff=0.5)
    return f" (did you mean {next(w for w in words if w.lower() == close[0])!r}?)" if close else ""
