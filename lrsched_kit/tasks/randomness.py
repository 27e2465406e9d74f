"""Random numbers of a model's own: what a training draws depends on its seed and disturbs nobody.

torch draws from one generator for the whole process. Training runs on a lab's thread while the
reader's next cell draws numbers too, so neither must see what the other one does.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

one_at_a_time = threading.RLock()  # held while the process's own random numbers are borrowed


@contextmanager
def borrowed(seed: int) -> Iterator[None]:
    """Let torch, numpy and Python draw numbers that depend on ``seed``; put theirs back after."""
    with one_at_a_time:
        drawn, others = torch.default_generator.get_state(), _others()
        try:
            torch.default_generator.manual_seed(seed)
            random.seed(seed)
            np.random.seed(seed % 2**32)
            yield
        finally:
            if torch.default_generator.initial_seed() == seed:  # else another thread has seeded it
                torch.default_generator.set_state(drawn)
            _set_others(others)


def _others() -> tuple[Any, Any]:
    return random.getstate(), np.random.get_state()


def _set_others(states: tuple[Any, Any]) -> None:
    random.setstate(states[0])
    np.random.set_state(states[1])


# What can be told which generator to draw from.
_LIKE = {torch.rand_like: torch.rand, torch.randn_like: torch.randn}
_TAKE_A_GENERATOR = frozenset(
    {
        *("rand", "randn", "randint", "randperm", "normal", "bernoulli", "multinomial"),
        *("uniform_", "normal_", "bernoulli_", "random_", "exponential_"),
    }
)


class OwnRandomness(TorchFunctionMode):
    """Let the functions of torch that draw numbers draw them from a generator of this run's own.

    They give the numbers that torch gives after ``torch.manual_seed(seed)``.
    ``drawing`` are the functions of torch that draw; with ``others``, Python's or numpy's random
    numbers are drawn as well.
    """

    def __init__(self, seed: int, drawing: frozenset[Callable[..., Any]], others: bool) -> None:
        super().__init__()
        self._drawing = drawing
        self._generator = torch.Generator().manual_seed(seed)
        self._others: tuple[Any, Any] | None = None
        if others:
            own = np.random.RandomState(seed % 2**32)
            self._others = random.Random(seed).getstate(), own.get_state()

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Call ``func``, if it draws, with the run's own generator."""
        kwargs = kwargs or {}
        if func not in self._drawing:
            return func(*args, **kwargs)
        if func is functional.dropout:
            return self._dropout(*args, **kwargs)
        if func in _LIKE and args and not kwargs.keys() - {"dtype"}:
            kwargs = {"dtype": args[0].dtype, "device": args[0].device} | kwargs
            func, args = _LIKE[func], (args[0].shape, *args[1:])
        if getattr(func, "__name__", "") in _TAKE_A_GENERATOR and "generator" not in kwargs:
            return func(*args, **kwargs, generator=self._generator)
        with one_at_a_time:  # for the time of one call, torch draws from this run's numbers
            before = torch.default_generator.get_state()
            torch.default_generator.set_state(self._generator.get_state())
            try:
                return func(*args, **kwargs)
            finally:
                self._generator.set_state(torch.default_generator.get_state())
                torch.default_generator.set_state(before)

    def _dropout(
        self, input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
    ) -> Tensor:
        """Do what torch's dropout does, without a glance at the process's random numbers."""
        if not training or p in (0.0, 1.0) or inplace:
            return functional.dropout(input, p, training, inplace)
        kept = torch.empty_like(input).bernoulli_(1 - p, generator=self._generator)
        return input * kept.div_(1 - p)

    @contextmanager
    def step(self) -> Iterator[None]:
        """Around a step: in it, Python and numpy draw this run's numbers, if it draws such."""
        if self._others is None:
            with self:
                yield
            return
        with one_at_a_time:
            before = _others()
            _set_others(self._others)
            try:
                with self:
                    yield
            finally:
                self._others = _others()
                _set_others(before)
