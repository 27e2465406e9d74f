"""Exercises that check themselves."""

from __future__ import annotations

import math
from contextlib import suppress
from numbers import Real

import numpy as np
import torch
from numpy.typing import ArrayLike

from ..words import say


def check(got: object, wanted: ArrayLike, *, within: float = 1e-6, hint: str = "") -> None:
    """Print whether an exercise is solved: whether ``got`` comes close enough to ``wanted``.

    An exercise asks for something with a property (a rate at the end, a number of epochs), so
    that what stands here is the question once more and does not give the answer away.

    Args:
        got: the reader's result: a number, or numbers in a list, an array or a tensor; one number
            in brackets is that number, a column is a row. None or ... counts as not tried yet.
        wanted: what it should be.
        within: how far off each number may be, relative to the largest number wanted.
        hint: printed with a wrong result.

    >>> check(0.3, 0.1, hint="Smaller gamma.")
    Not yet: got 0.3, wanted 0.1. Smaller gamma.
    >>> check([0.1], 0.1)
    Correct: 0.1.
    """
    if got is None or got is ...:
        print(say("exercise_open"))
        return
    theirs, ours = np.asarray(wanted, dtype=float), _numbers(got)
    limit = within * max(float(np.abs(theirs).max(initial=0)), math.ulp(1.0))
    if ours is None:
        key = "exercise_no_numbers" if theirs.ndim else "exercise_no_number"
        answer = say(key, got=_shown(got))
    elif ours.size != theirs.size or not np.allclose(ours.ravel(), theirs.ravel(), 0, limit):
        answer = say("exercise_wrong", got=_short(ours), wanted=_short(theirs))
    elif ours.squeeze().shape != theirs.squeeze().shape:
        answer = say("exercise_shape", got=ours.shape, wanted=theirs.shape)
    else:
        answer, hint = say("exercise_solved", got=_short(ours)), ""
    print(f"{answer} {hint}".rstrip())


def _numbers(got: object) -> np.ndarray | None:
    """Return real numbers as an array, or None if they are none."""
    try:
        if isinstance(got, torch.Tensor):
            got = got.tolist()
        elif isinstance(got, list | tuple):
            got = [x.tolist() if isinstance(x, torch.Tensor) else x for x in got]
        array = np.asarray(got)
        real = array.dtype.kind in "biuf" or all(isinstance(x, Real) for x in array.flat)
        return array.astype(float) if real else None
    except Exception:  # whatever a reader has put there, it is not the answer
        return None


def _shown(got: object) -> str:
    with suppress(Exception):
        text = repr(got)
        if 0 < len(text) <= 60 and "\n" not in text:
            return text
    return say("exercise_thing", type=repr(type(got)))


def _short(value: np.ndarray) -> str:
    return ", ".join(f"{number:.4g}" for number in value.ravel()) or say("exercise_empty")
