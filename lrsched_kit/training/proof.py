"""Proof before speed: which runs train together just as each would by itself.

Before runs are trained together, each distinct model is trained for one step both ways, on the same
rows: in `train`'s own loop, with torch's optimizer, and as a fleet. Losses, all weights, all
buffers and what validation makes of them must agree. The step is taken in double precision, where
rounding hides nothing, and from weights that were shaken a little, so that a layer that starts at
zero hides nothing behind it. What differs is trained by itself.
"""

from __future__ import annotations

import copy
import math
import threading
import traceback
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..tasks.data import Dataset
from ..tasks.optimizers import Maker, Unless, build_optimizer
from ..tasks.torch_private import FALLBACK_WARNING, hooked
from .batched import Stack, part_of
from .groups import Reason, Together
from .history import History
from .loop import Training
from .runs import Layout, Member, Run, layout_of
from .trial import Call, Recorder, Trial, batch_sizes, reached_by
from .unchanged import unchanged

MOST_TOGETHER = 64  # more runs at once gain nothing, and fill caches and memory

_ROWS = 8  # enough for a step that means something
_LR = 0.01
_CLOSE = {torch.float64: 1e-7, torch.float32: 1e-3}  # relative to the largest change of a weight

Way = tuple[Reason | None, frozenset[str]]  # why alone, if so; and what gradients do not reach


class Ways:
    """Decides for each run whether it trains together with others; what is proved is remembered."""

    def __init__(
        self,
        models: Mapping[int, nn.Module],
        data: Dataset,
        trial: Trial,
        make_stack: Callable[..., Stack],
        batch_size: int,
    ) -> None:
        self._models, self._data, self._trial = models, data, trial
        self._make_stack = make_stack
        self._proofs: dict[tuple[int, Layout], Way] = {}
        self.reason = _reason_of_kind(models[0], trial)  # why none of them does
        self._reached: list[tuple[frozenset[str], bool]] = []
        if self.reason is None:
            with unchanged(models[0], data.loss_fn):
                sizes = batch_sizes(len(data.x_train), batch_size)
                self._reached = [reached_by(models[0], data, size) for size in sizes]

    def of(self, members: Sequence[Member]) -> list[Way]:
        """Return the way of each run."""
        todo: dict[Layout, dict[int, Member]] = defaultdict(dict)
        for member in members:
            layout, seed = member.layout.relative, member.run.seed
            if not (self.reason or layout.rule is None or (seed, layout) in self._proofs):
                todo[layout][seed] = member
        for layout, missing in todo.items():
            seeds = sorted(missing)
            how = missing[seeds[0]].run.optimizer
            for start in range(0, len(seeds), MOST_TOGETHER):
                part = [0, *seeds[start : start + MOST_TOGETHER]]
                self._prove(layout, how, list(dict.fromkeys(part)))
        return [self._way(member) for member in members]

    def _way(self, member: Member) -> Way:
        layout = member.layout.relative
        if self.reason is not None:
            return self.reason, frozenset()
        if layout.rule is None:
            return Reason("alone_optimizer"), frozenset()
        reason, still = self._proofs[member.run.seed, layout]
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

    def _prove(self, layout: Layout, how: str | Maker, seeds: Sequence[int]) -> None:
        """Take a step both ways; the first of the seeds is that of the model that was tried out."""
        still: frozenset[str] = frozenset()
        for dtype in (torch.float64, None):  # some models keep numbers in single precision
            try:
                with _no_fallbacks():
                    reasons, still = self._take_a_step(layout, how, seeds, dtype)
                break
            except Exception as error:
                reasons = [_refusal(error)] * len(seeds)
        for seed, reason in zip(seeds, reasons, strict=True):
            self._proofs[seed, layout] = reason, still

    def _take_a_step(
        self, layout: Layout, how: str | Maker, seeds: Sequence[int], dtype: torch.dtype | None
    ) -> tuple[list[Reason | None], frozenset[str]]:
        data = _few_rows(self._data if dtype is None else self._data.to(dtype))
        models = [_shaken(self._models[seed], dtype) for seed in seeds]
        steps = [_step(model, data, how, self._trial) for model in models]
        first = steps[0][1]
        reasons = [_other_kind(step, kind, first, layout) for step, kind in steps]
        if sound := [i for i, reason in enumerate(reasons) if reason is None]:
            stack = self._make_stack([models[i] for i in sound], data, first.still)
            together = _steps_together(stack, data, layout, len(sound))
            for i, other in zip(sound, together, strict=True):
                before = {name: p.detach() for name, p in models[i].named_parameters()}
                reasons[i] = _difference(before, steps[i][0], other)
        return reasons, first.still


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
    dtypes = {p.dtype for p in model.parameters()}
    return None if len(dtypes) == 1 and dtypes <= _CLOSE.keys() else Reason("alone_precision")


@contextmanager
def _no_fallbacks() -> Iterator[None]:
    """Let torch's word that it would run the copies one after the other be an error.

    Filters of warnings belong to the whole process, so only the main thread touches them.
    Elsewhere torch warns, trains one copy after the other within a step, and is right all the same.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("error", FALLBACK_WARNING)
        yield


def _refusal(error: Exception) -> Reason:
    """Say what torch cannot run for many models at once: the innermost module at work."""
    if "data-dependent control flow" in str(error):
        return Reason("alone_branch")
    callers = [frame.f_locals.get("self") for frame, _ in traceback.walk_tb(error.__traceback__)]
    modules = [caller for caller in callers if isinstance(caller, nn.Module)]
    if not modules or modules[-1] is modules[0]:
        return Reason("alone_torch")
    return Reason("alone_torch_module", name=type(modules[-1]).__name__)


def _few_rows(data: Dataset) -> Dataset:
    """Return the first rows of a data set, and for a metric what tells all outputs apart."""
    names = ("x_train", "y_train", "x_val", "y_val")
    rows = {name: getattr(data, name)[:_ROWS] for name in names}
    return replace(data, **rows, metrics={"outputs": _sum_of})


def _sum_of(outputs: Any, y: Tensor | None = None) -> Any:
    """Sum all numbers in what a model returns, each with a weight of its own."""
    if isinstance(outputs, Tensor):
        weights = torch.arange(1.0, outputs.numel() + 1).cos()
        return outputs.double().flatten() @ weights.double()
    if not isinstance(outputs, Mapping | tuple | list):
        return 0.0
    return sum(map(_sum_of, outputs.values() if isinstance(outputs, Mapping) else outputs))


@torch.no_grad()
def _shaken(model: nn.Module, dtype: torch.dtype | None) -> nn.Module:
    """Copy a model and move its weights a little, those of equal shapes in the same way."""
    model = copy.deepcopy(model)
    if dtype is not None:
        model.to(dtype)
    numbers = torch.Generator().manual_seed(0)
    for p in model.parameters():
        spread = 0.3 / max(1, p.shape[1:].numel()) ** 0.5 if p.ndim > 1 else 0.1
        noise = torch.randn(p.shape, generator=numbers, dtype=dtype or torch.float32)
        p.add_(spread * noise)
    return model


class _Step(NamedTuple):
    """What a step has made of a model."""

    history: History
    weights: Mapping[str, Tensor]
    buffers: Mapping[str, Tensor]


class _Kind(NamedTuple):
    """What models that train together have in common."""

    shapes: dict[str, torch.Size]
    calls: list[Call]
    layout: Layout
    still: frozenset[str]


def _step(model: nn.Module, data: Dataset, how: str | Maker, trial: Trial) -> tuple[_Step, _Kind]:
    """Take it with a copy, as `train` does."""
    model = copy.deepcopy(model)
    optimizer = build_optimizer(how, model, Unless(0.1))
    layout = layout_of(optimizer, model).relative
    for group, rate in zip(optimizer.param_groups, layout.rates, strict=True):
        group["lr"] = _LR * rate
    recorder, forward = Recorder(listen=False), model.forward

    def recorded(*inputs: Any) -> Any:
        with recorder:
            return forward(*inputs)

    model.forward = recorded
    training = Training(model, data, optimizer, None, 1, _ROWS, 0, "epoch", trial=trial)
    list(training.run(lambda: False))
    weights = {name: p.detach() for name, p in model.named_parameters()}
    reached = {name for name, p in model.named_parameters() if p.grad is not None}
    still = frozenset(weights) - (reached & dict(layout.group_of).keys())
    shapes = {name: p.shape for name, p in weights.items()}
    kind = _Kind(shapes, recorder.calls, layout, still)
    return _Step(training.history, weights, dict(model.named_buffers())), kind


def _steps_together(stack: Stack, data: Dataset, layout: Layout, count: int) -> list[_Step]:
    """Take the same step as a fleet does, for all models at once."""
    layout = replace(layout, rates=tuple(_LR * rate for rate in layout.rates))
    members = [Member(k, Run("Constant"), layout) for k in range(count)]
    groups = len(layout.rates)
    histories = [History.empty(1, 1, metrics=data.metrics, groups=groups) for _ in members]
    order = torch.randperm(len(data.x_train), generator=torch.Generator().manual_seed(0))
    fleet = Together(members, stack, data, _ROWS, histories)
    fleet.advance(0, {0: order}, lambda: False)
    made = stack.blocks(stack.weights), stack.buffers
    return [_Step(histories[k], *(part_of(each, k) for each in made)) for k in range(count)]


def _other_kind(step: _Step, kind: _Kind, first: _Kind, layout: Layout) -> Reason | None:
    """Say in which way a model is not of the first one's kind."""
    if kind.shapes != first.shapes:
        return Reason("alone_shapes")
    if kind.calls != first.calls:
        return Reason("alone_calls")
    if kind.layout != layout or kind.still != first.still:
        return Reason("alone_parameters")
    return None if math.isfinite(step.history.train_loss[0]) else Reason("alone_not_finite")


def _difference(before: Mapping[str, Tensor], alone: _Step, together: _Step) -> Reason | None:
    """Say where the two ways differ, for one model."""
    close = _CLOSE[next(iter(before.values())).dtype]

    def differ(mine: Tensor | float, theirs: Tensor | float, slack: float | None = None) -> bool:
        mine, theirs = (torch.as_tensor(values).double() for values in (mine, theirs))
        slack = close * (1 + mine.abs().max().item()) if slack is None else slack
        return not bool(((mine - theirs).abs() <= slack).all())  # NaN is never close

    if differ(alone.history.train_loss[0], together.history.train_loss[0]):
        return Reason("alone_loss")
    moved = max((mine - before[name]).abs().max().item() for name, mine in alone.weights.items())
    for name, mine in alone.weights.items():
        if differ(mine, together.weights.get(name, before[name]), close * moved):
            return Reason("alone_gradients", name=name)
    for name, mine in alone.buffers.items():
        if differ(mine, together.buffers[name]):
            return Reason("alone_buffer", name=name)
    for metric in ("loss", "outputs"):
        mine, theirs = (step.history.of(metric)[0] for step in (alone, together))
        if differ(mine, theirs, 10 * close * (1 + abs(mine))):
            return Reason("alone_validation")
    return None
