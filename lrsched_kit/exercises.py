"""Exercises that check themselves."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike


def check(
    got: ArrayLike | None, wanted: ArrayLike, *, within: float = 1e-6, hint: str = ""
) -> None:
    """Print whether an exercise is solved: whether ``got`` comes close enough to ``wanted``.

    An exercise asks for something with a property (a rate at the end, a number of epochs), so
    that what stands here is the question once more and does not give the answer away.

    Args:
        got: the reader's result: a number or an array; None counts as not tried yet.
        wanted: what it should be.
        within: how far off each number may be, relative to the largest number wanted.
        hint: printed with a wrong result.

    >>> check(0.3, 0.1, hint="Smaller gamma.")
    Not yet: got 0.3, wanted 0.1. Smaller gamma.
    >>> check(0.1, 0.1)
    Correct: 0.1.
    """
    if got is None:
        print("Not tried yet: put your answer in place of None.")
        return
    ours, theirs = np.asarray(got, dtype=float), np.asarray(wanted, dtype=float)
    limit = within * max(float(np.abs(theirs).max()), math.ulp(1.0))
    if ours.shape == theirs.shape and bool(np.all(np.abs(ours - theirs) <= limit)):
        print(f"Correct: {_short(ours)}.")
    else:
        print(f"Not yet: got {_short(ours)}, wanted {_short(theirs)}. {hint}".rstrip())


def _short(value: np.ndarray) -> str:
    return ", ".join(f"{number:.4g}" for number in np.atleast_1d(value).ravel())
