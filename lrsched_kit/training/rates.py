"""The rates of many runs: what torch's schedulers say, laid out like a stack's weights."""

from __future__ import annotations

from collections.abc import Generator, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau

from ..tasks.optimizers import RULES, momentum_of, rates_of
from .batched import Stack
from .loop import scheduler_steps
from .runs import Member


class Rates:
    """What torch's schedulers say, epoch by epoch; runs that must agree share one scheduler."""

    def __init__(self, members: Sequence[Member], steps: int) -> None:
        self._steps = steps
        self._keys: list[Hashable] = []
        self._sources: dict[Hashable, Generator[np.ndarray, float, None]] = {}
        for member in members:
            layout = member.layout
            own = None if member.mode is None else member.place
            params = sorted(member.run.params.items())
            key = (id(member.schedule), *params, layout.rates, layout.rule, member.unit, own)
            if key not in self._sources:
                self._sources[key] = _source(member, steps)
            self._keys.append(key)
        self._now = {key: next(source) for key, source in self._sources.items()}

    def now(self) -> np.ndarray:
        """Return this epoch's momentum and rates by group, ``(1 + groups, runs, steps)``."""
        shape = len(self._now[self._keys[0]]), self._steps
        return np.stack([np.broadcast_to(self._now[key], shape) for key in self._keys], 1)

    def step(self, told: Sequence[float]) -> None:
        """Go on to the next epoch; each scheduler that asks is told its run's metric."""
        by_key = dict(zip(self._keys, told, strict=True))
        self._now = {key: source.send(by_key[key]) for key, source in self._sources.items()}


def _source(member: Member, steps: int) -> Generator[np.ndarray, float, None]:
    """Yield each epoch's momentum and rates, shape ``(1 + groups, 1)`` or ``(.., steps)``.

    It is sent what the run's scheduler is told after the epoch.
    """
    per_epoch, layout = scheduler_steps(1, steps, member.unit), member.layout
    groups = [{"params": [torch.zeros((), requires_grad=True)], "lr": r} for r in layout.rates]
    optimizer = RULES[layout.rule or ""].make(groups, lr=layout.rates[0])
    scheduler: Any = member.build(optimizer)
    optimizer.step()  # torch warns of a scheduler whose optimizer has never stepped
    while True:
        applied = np.empty((1 + len(groups), per_epoch))
        for step in range(per_epoch):
            applied[:, step] = momentum_of(optimizer), *rates_of(optimizer)
            if member.unit == "batch":
                scheduler.step()
        told = yield applied
        if member.unit == "epoch":
            scheduler.step(*([told] if isinstance(scheduler, ReduceLROnPlateau) else []))


class PerRun:
    """A vector laid out like a stack's weights, that holds a number per run, or run and group."""

    def __init__(self, stack: Stack, group_of: Mapping[str, int]) -> None:
        self.vector = torch.empty_like(stack.weights, requires_grad=False)
        blocks = stack.blocks(self.vector)
        self._blocks = [(block.flatten(1), group_of[name]) for name, block in blocks.items()]

    def plan(self, values: np.ndarray) -> None:
        """Take the numbers of the steps to come, shape ``(groups, runs, steps)``."""
        dtype = self.vector.dtype
        self._columns = [torch.from_numpy(rows).to(dtype).split(1, dim=1) for rows in values]
        self._changes = (np.diff(values, axis=2, prepend=np.nan) != 0).any(axis=(0, 1))

    def fill(self, step: int) -> None:
        """Hold the numbers of that step."""
        if self._changes[step]:
            for block, group in self._blocks:
                block.copy_(self._columns[group][step])
