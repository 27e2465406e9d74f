"""Which runs train together, and why the others train by themselves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.autograd.function import BackwardCFunction

from ..tasks.data import Dataset
from ..tasks.optimizers import Unless, build_optimizer
from ..tasks.torch_private import hooked
from .batched import Stack
from .proof import Reason, has_one_precision, prove
from .runs import Layout, Member
from .trial import Trial, batch_sizes
from .unchanged import unchanged

Way = tuple[Reason | None, frozenset[str]]  # why alone, if so; and what gradients do not reach

MOST_TOGETHER = 64  # more runs at once gain nothing, and fill caches and memory


class Ways:
    """Decides for each run whether it trains together with others; what is proved is remembered.

    Attributes:
        reason: why none of them does, or None.
    """

    def __init__(
        self,
        models: Mapping[int, nn.Module],
        data: Dataset,
        trial: Trial,
        make_stack: Callable[..., Stack],
        batch_size: int,
    ) -> None:
        self._models, self._data, self._make_stack = models, data, make_stack
        self._proofs: dict[tuple[int, Layout], Way] = {}
        self.reason = _reason_of_kind(models[0], trial)
        self._reached: list[tuple[frozenset[str], bool]] = []
        if self.reason is None:
            with unchanged(models[0], data.loss_fn):
                sizes = batch_sizes(len(data.x_train), batch_size)
                self._reached = [_reached(models[0], data, size) for size in sizes]

    def of(self, members: Sequence[Member]) -> list[Way]:
        """Return the way of each run."""
        todo: dict[Layout, dict[int, Member]] = defaultdict(dict)
        for member in members:
            layout = member.layout.relative
            known = self.reason or layout.rule is None or (member.seed, layout) in self._proofs
            if not known:
                todo[layout][member.seed] = member
        for layout, missing in todo.items():
            seeds = sorted(missing)
            for start in range(0, len(seeds), MOST_TOGETHER):
                self._prove(layout, missing, seeds[start : start + MOST_TOGETHER])
        return [self._way(member) for member in members]

    def _prove(self, layout: Layout, members: Mapping[int, Member], seeds: list[int]) -> None:
        how = members[seeds[0]].run.optimizer
        seeds = list(dict.fromkeys([0, *seeds]))  # the model that was tried out goes first
        models = [self._models[seed] for seed in seeds]
        make = partial(build_optimizer, how, base_lr=Unless(0.1))
        reasons, still = prove(models, self._data, self._make_stack, make, layout)
        for seed, reason in zip(seeds, reasons, strict=True):
            self._proofs[seed, layout] = reason, still

    def _way(self, member: Member) -> Way:
        layout = member.layout.relative
        if self.reason is not None:
            return self.reason, frozenset()
        if layout.rule is None:
            return Reason("alone_optimizer"), frozenset()
        reason, still = self._proofs[member.seed, layout]
        reason = reason or self._uneven(layout, still)
        if reason is None and member.has_own_scheduler:
            reason = Reason("alone_scheduler", schedule=member.schedule.name)
        return reason, still

    def _uneven(self, layout: Layout, still: frozenset[str]) -> Reason | None:
        """Say what a batch does that the proof need not have seen."""
        moved = frozenset(name for name, _ in layout.group_of)
        if any(names & moved != moved - still for names, _ in self._reached):
            return Reason("alone_rows")
        return Reason("alone_function") if any(own for _, own in self._reached) else None


def _reason_of_kind(model: nn.Module, trial: Trial) -> Reason | None:
    """Say why such models cannot train together, as far as a look at one of them tells."""
    if trial.drawing:
        names = sorted({getattr(function, "__name__", "") for function in trial.drawing})
        return Reason("alone_draws", names=", ".join(names))
    if trial.others:
        return Reason("alone_draws_elsewhere")
    if trial.changes:
        return Reason("alone_changes", name=trial.changes)
    if trial.hooks:
        return Reason("alone_gradient_hooks")
    if name := hooked(model):
        return Reason("alone_hook", name=name)
    return None if has_one_precision(model) else Reason("alone_precision")


def _reached(model: nn.Module, data: Dataset, rows: int) -> tuple[frozenset[str], bool]:
    """Name the parameters that gradients of a batch of so many rows reach.

    Also say whether they go through a derivative of the reader's own: one that clips, say, does
    so only where gradients are large, and a step that is tried need not show it.
    """
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if not model.training:
        model.train()
    loss = data.loss_fn(model(data.x_train[:rows]), data.y_train[:rows])
    own = any(isinstance(node, BackwardCFunction) for node in _nodes_of(loss))
    grads = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
    found = frozenset(name for name, grad in zip(named, grads, strict=True) if grad is not None)
    return found, own


def _nodes_of(outputs: torch.Tensor) -> list[Any]:
    """Return the nodes of the graph that derivatives are worked out by."""
    found: dict[Any, None] = {}
    todo = [outputs.grad_fn]
    while todo:
        node = todo.pop()
        if node is not None and node not in found:
            found[node] = None
            todo += [following for following, _ in node.next_functions]
    return list(found)
