"""Proof before speed: whether models train together just as each would by itself.

Before runs are trained together, each distinct model takes one step both ways, on the same rows:
in `train`'s own way, with torch's optimizer, and in the stack's. Losses, all weights, all buffers
and what validation makes of them must agree. The step is taken in double precision, where
rounding hides nothing, and from weights that were shaken a little, so that a layer that starts at
zero hides nothing behind it. What differs is trained by itself.
"""

from __future__ import annotations

import copy
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn, optim

from ..tasks.data import Dataset
from ..tasks.optimizers import RULES
from ..tasks.torch_private import FALLBACK_WARNING
from ..words import say
from .batched import Stack, part_of
from .loop import evaluating
from .runs import Layout, layout_of
from .trial import record

_ROWS = 8  # enough for a step that means something
_LR = 0.01
_CLOSE = {torch.float64: 1e-7, torch.float32: 1e-3}  # relative to the largest change of a weight

MakeOptimizer = Callable[[nn.Module], optim.Optimizer]


class Reason:
    """Why a run trains by itself: a sentence, put into words when it is read."""

    def __init__(self, key: str, **values: object) -> None:
        self._key, self._values = key, values

    def __str__(self) -> str:
        return say(self._key, **self._values)

    @property
    def is_other_kind(self) -> bool:
        """Whether its model is not that of the first seed, which was tried out."""
        return self._key in ("alone_shapes", "alone_calls")


def has_one_precision(model: nn.Module) -> bool:
    """Whether all parameters are in single precision, or all in double."""
    dtypes = {p.dtype for p in model.parameters()}
    return len(dtypes) == 1 and dtypes <= _CLOSE.keys()


def prove(
    models: Sequence[nn.Module],
    data: Dataset,
    make_stack: Callable[..., Stack],
    make_optimizer: MakeOptimizer,
    layout: Layout,
) -> tuple[list[Reason | None], frozenset[str]]:
    """Take a step both ways, from copies of the models; ``layout`` is the first one's.

    Returns:
        For each model why it must train alone, or None; and the names of parameters that no
        gradient reaches.
    """
    for dtype in (torch.float64, None):  # some models keep numbers in single precision
        try:
            with _no_fallbacks():
                return _prove(models, data, make_stack, make_optimizer, layout, dtype)
        except Exception as error:
            refusal = _refusal(error)
    return [refusal] * len(models), frozenset()


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


def _prove(
    models: Sequence[nn.Module],
    data: Dataset,
    make_stack: Callable[..., Stack],
    make_optimizer: MakeOptimizer,
    layout: Layout,
    dtype: torch.dtype | None,
) -> tuple[list[Reason | None], frozenset[str]]:
    data = data if dtype is None else data.to(dtype)
    copies = [_shaken(model, dtype) for model in models]
    steps, kinds = zip(*(_step(model, data, make_optimizer) for model in copies), strict=True)
    first = kinds[0]
    reasons = [
        _other_kind(step, kind, first, layout) for step, kind in zip(steps, kinds, strict=True)
    ]
    if sound := [i for i, reason in enumerate(reasons) if reason is None]:
        stack = make_stack([copies[i] for i in sound], data, first.still)
        together = _step_together(stack, data, layout, len(sound))
        for k, i in enumerate(sound):
            before = {name: p.detach() for name, p in copies[i].named_parameters()}
            reasons[i] = _difference(before, steps[i], part_of(together, k))
    return reasons, first.still


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
    """What a step has made of a model, or of each of a stack's."""

    loss: Tensor
    after: dict[str, Tensor]
    buffers: dict[str, Tensor]
    scores: list[Tensor]


class _Kind(NamedTuple):
    """What models that train together have in common."""

    shapes: dict[str, torch.Size]
    calls: list[Any]
    layout: Layout
    still: frozenset[str]


def _rows(data: Dataset) -> slice:
    return slice(min(_ROWS, len(data.x_train), len(data.x_val)))


def _step(model: nn.Module, data: Dataset, make_optimizer: MakeOptimizer) -> tuple[_Step, _Kind]:
    """Take it as `train` does, and take it back."""
    rows = _rows(data)
    optimizer = make_optimizer(model)
    layout = layout_of(optimizer, model)
    for group, rate in zip(optimizer.param_groups, layout.relative.rates, strict=True):
        group["lr"] = _LR * rate
    before = _numbers(model.named_parameters()), _numbers(model.named_buffers())
    if not model.training:
        model.train()
    optimizer.zero_grad()
    with record() as calls:
        outputs = model(data.x_train[rows])
    loss = data.loss_fn(outputs, data.y_train[rows])
    loss.backward()
    reached = {name for name, p in model.named_parameters() if p.grad is not None}
    still = frozenset(before[0]) - (reached & dict(layout.group_of).keys())
    optimizer.step()
    buffers = _numbers(model.named_buffers())
    with evaluating(model):
        with record() as more:
            outputs = model(data.x_val[rows])
        scores = [data.loss_fn(outputs, data.y_val[rows]), *_tensors(outputs)]
    after = _numbers(model.named_parameters())
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(before[0][name])
        for name, buffer in model.named_buffers():
            buffer.copy_(before[1][name])
    shapes = {name: p.shape for name, p in before[0].items()}
    kind = _Kind(shapes, [*calls, *more], layout, still)
    return _Step(loss.detach(), after, buffers, scores), kind


def _numbers(named: Iterator[tuple[str, Tensor]]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in named}


def _tensors(outputs: Any) -> list[Tensor]:
    """Return the tensors in what a model returns: one, or several in tuples, lists and dicts."""
    if isinstance(outputs, Tensor):
        return [outputs]
    if not isinstance(outputs, Mapping | tuple | list):
        return []
    parts = outputs.values() if isinstance(outputs, Mapping) else outputs
    return [tensor for part in parts for tensor in _tensors(part)]


def _other_kind(step: _Step, kind: _Kind, first: _Kind, layout: Layout) -> Reason | None:
    """Say in which way a model is not of the first one's kind."""
    if kind.shapes != first.shapes:
        return Reason("alone_shapes")
    if kind.calls != first.calls:
        return Reason("alone_calls")
    if not kind.layout.is_like(layout) or kind.still != first.still:
        return Reason("alone_parameters")
    return None if bool(step.loss.isfinite()) else Reason("alone_not_finite")


def _step_together(stack: Stack, data: Dataset, layout: Layout, count: int) -> _Step:
    """Take the same step as a fleet does, for all models at once."""
    rule, rows = RULES[layout.rule or ""], _rows(data)
    if not stack.model.training:
        stack.model.train()
    lr = torch.empty_like(stack.weights)
    groups, rates = dict(layout.group_of), layout.relative.rates
    for name, block in stack.blocks(lr).items():
        block.fill_(_LR * rates[groups[name]])
    x, y = (
        part[rows].unsqueeze(0).repeat(count, *[1] * part.ndim)
        for part in (data.x_train, data.y_train)
    )
    loss = stack.backward(x, y)
    memory = [torch.zeros_like(stack.weights) for _ in range(rule.memory)]
    with torch.no_grad():
        rule.update(stack.weights, stack.grads, lr, memory, 1, rule.momentum)
    buffers = {name: buffer.clone() for name, buffer in stack.buffers.items()}
    with evaluating(stack.model):
        outputs, targets = stack.outputs(data.x_val[rows], shared=True), data.y_val[rows]
        scores = [stack.losses(outputs, targets.expand(count, *targets.shape)), *_tensors(outputs)]
    after = {name: block.detach() for name, block in stack.blocks(stack.weights).items()}
    return _Step(loss, after, buffers, scores)


def _difference(before: Mapping[str, Tensor], alone: _Step, together: _Step) -> Reason | None:
    """Say where the two ways differ, for one model."""
    close = _CLOSE[next(iter(before.values())).dtype]

    def differ(mine: Tensor, theirs: Tensor, slack: Tensor | float | None = None) -> bool:
        mine, theirs = mine.double(), theirs.double().reshape(mine.shape)
        slack = close * (1 + mine.abs().max()) if slack is None else slack
        return not bool(((mine - theirs).abs() <= slack).all())  # NaN is never close

    if differ(alone.loss, together.loss):
        return Reason("alone_loss")
    moved = max((mine - before[name]).abs().max().item() for name, mine in alone.after.items())
    for name, mine in alone.after.items():
        if differ(mine, together.after.get(name, before[name]), close * moved):
            return Reason("alone_gradients", name=name)
    for name, mine in alone.buffers.items():
        if differ(mine, together.buffers[name]):
            return Reason("alone_buffer", name=name)
    for mine, theirs in zip(alone.scores, together.scores, strict=True):
        if differ(mine, theirs, 10 * close * (1 + mine.double().abs().max())):
            return Reason("alone_validation")
    return None
