"""Proof before speed: whether models train together just as each would by itself.

Before runs are trained together, each distinct model takes one step both ways, on the same rows:
in `train`'s own way, with torch's optimizer, and in the stack's. Losses, all weights, all buffers
and what validation makes of them must agree. The step is taken in double precision, where
rounding hides nothing, and from weights that were shaken a little, so that a layer that starts at
zero hides nothing behind it. What differs is trained by itself.
"""

from __future__ import annotations

import copy
import math
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn, optim
from torch.autograd.function import BackwardCFunction

from ..tasks.data import Dataset
from ..tasks.optimizers import RULES, rates_of, rule_of
from ..tasks.torch_private import FALLBACK_WARNING, hooked
from .batched import Stack, nodes_of
from .loop import evaluating
from .trial import Trial, first_line, record

OTHER_KIND = (
    "its architecture is not that of the first seed's model",
    "its forward pass is not that of the first seed's model",
)
_ROWS = 8  # enough for a step that means something
_LR = 0.01
_CLOSE = {torch.float64: 1e-7, torch.float32: 1e-3}  # relative to the largest change of a weight


@dataclass(frozen=True)
class Layout:
    """How an optimizer moves one model's parameters.

    Attributes:
        rule: the name of the rule in `optimizers.RULES` that does the same, None if there is none.
        rates: the base rate of each parameter group.
        group_of: trained parameter -> the number of its group.
    """

    rule: str | None
    rates: tuple[float, ...]
    group_of: tuple[tuple[str, int], ...]


def layout_of(optimizer: optim.Optimizer, model: nn.Module) -> Layout:
    """Return how this optimizer moves that model's parameters."""
    names = {id(p): name for name, p in model.named_parameters()}
    places = [
        (names.get(id(p), ""), number)
        for number, group in enumerate(optimizer.param_groups)
        for p in group["params"]
        if p.requires_grad
    ]
    known = all(name for name, _ in places)  # parameters of its own make it no rule's
    rule = rule_of(optimizer) if known else None
    return Layout(rule, rates_of(optimizer), tuple(sorted(places)))


def _alike(first: Layout, second: Layout) -> bool:
    """Whether two layouts differ by a common factor of their rates at most."""
    a, b = ([rate / layout.rates[0] for rate in layout.rates] for layout in (first, second))
    same = (first.rule, first.group_of) == (second.rule, second.group_of)
    return same and len(a) == len(b) and all(map(math.isclose, a, b))


def why_alone(model: nn.Module, trial: Trial) -> str:
    """Say why such models cannot train together, as far as their kind tells; or nothing."""
    if trial.drawing:
        names = sorted({getattr(function, "__name__", "") for function in trial.drawing})
        return f"it draws random numbers ({', '.join(names)})"
    if trial.others:
        return "it draws random numbers of Python or numpy"
    if trial.changes:
        return f"it changes its attribute {trial.changes!r} as it runs"
    if trial.hooks:
        return "it hooks gradients of what it computes, or asks about them"
    if name := hooked(model):
        return f"it has a hook, on {name!r}"
    dtypes = {p.dtype for p in model.parameters()}
    if len(dtypes) > 1 or dtypes.pop() not in _CLOSE:
        return "its parameters are not all in single or all in double precision"
    return ""


def prove(
    models: Sequence[nn.Module],
    data: Dataset,
    make_stack: Callable[..., Stack],
    make_optimizer: Callable[[nn.Module], optim.Optimizer],
    layout: Layout,
) -> tuple[list[str], frozenset[str]]:
    """Take a step both ways.

    Args:
        models: as training would begin with them; they are copied.
        data: gives rows, loss and metrics.
        make_stack: how they would train together.
        make_optimizer: gives a model's optimizer.
        layout: of the first model's.

    Returns:
        For each model why it must train alone, or nothing; and the names of parameters that no
        gradient reaches.

    >>> from lrsched_kit import load_digits
    >>> model, data = nn.Linear(64, 10), load_digits()
    >>> def adam(model):
    ...     return optim.Adam(model.parameters())
    >>> prove([model], data, Stack, adam, layout_of(adam(model), model))
    ([''], frozenset())
    """
    how = models, data, make_stack, make_optimizer, layout
    with _no_fallbacks():
        try:
            return _prove(*how, torch.float64)
        except Exception:  # a model that keeps numbers in single precision, say
            pass
        try:
            return _prove(*how, None)
        except Exception as error:
            reason = first_line(error).split(". ")[0].rstrip(".")
            return [f"torch cannot batch it ({reason})"] * len(models), frozenset()


def reached(model: nn.Module, data: Dataset, rows: int) -> tuple[frozenset[str], bool]:
    """Name the parameters that gradients of a batch of so many rows reach.

    Also say whether they go through a derivative of the reader's own: one that clips, say, does
    so only where gradients are large, and a step that is tried need not show it.

    >>> from lrsched_kit import load_digits
    >>> names, own = reached(nn.Linear(64, 10), load_digits(), 16)
    >>> sorted(names), own
    (['bias', 'weight'], False)
    """
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if not model.training:
        model.train()
    loss = data.loss_fn(model(data.x_train[:rows]), data.y_train[:rows])
    own = any(isinstance(node, BackwardCFunction) for node in nodes_of(loss))
    grads = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
    found = frozenset(name for name, grad in zip(named, grads, strict=True) if grad is not None)
    return found, own


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


def _prove(
    models: Sequence[nn.Module],
    data: Dataset,
    make_stack: Callable[..., Stack],
    make_optimizer: Callable[[nn.Module], optim.Optimizer],
    layout: Layout,
    dtype: torch.dtype | None,
) -> tuple[list[str], frozenset[str]]:
    data = data if dtype is None else data.to(dtype)
    first = [p.shape for p in models[0].parameters()]
    noise = _noise(first, dtype)
    copies = [
        _shaken(m, dtype, noise if [p.shape for p in m.parameters()] == first else None)
        for m in models
    ]
    steps = [_step(model, data, make_optimizer) for model in copies]
    still = steps[0].still
    reasons = [_differs(step, steps[0], layout) for step in steps]
    sound = [i for i, reason in enumerate(reasons) if not reason]
    if sound:
        stack = make_stack([copies[i] for i in sound], data, still)
        together = _step_of(stack, data, layout, len(sound))
        for i, reason in zip(sound, _compare([steps[i] for i in sound], together), strict=True):
            reasons[i] = reason
    return reasons, still


def _noise(shapes: Sequence[torch.Size], dtype: torch.dtype | None) -> list[Tensor]:
    numbers = torch.Generator().manual_seed(0)
    dtype = dtype or torch.float32
    spreads = [
        0.3 / max(1, shape[1:].numel()) ** 0.5 if len(shape) > 1 else 0.1 for shape in shapes
    ]
    return [
        spread * torch.randn(shape, generator=numbers, dtype=dtype)
        for shape, spread in zip(shapes, spreads, strict=True)
    ]


@torch.no_grad()
def _shaken(
    model: nn.Module, dtype: torch.dtype | None, noise: Sequence[Tensor] | None
) -> nn.Module:
    model = copy.deepcopy(model)
    if dtype is not None:
        model.to(dtype)
    parameters = list(model.parameters())
    for p, n in zip(parameters, noise or _noise([p.shape for p in parameters], dtype), strict=True):
        p.add_(n)
    return model


@dataclass(frozen=True)
class _Step:
    """What a step has done to one model."""

    loss: Tensor
    before: dict[str, Tensor]
    after: dict[str, Tensor]
    buffers: dict[str, Tensor]
    scores: list[Tensor]
    calls: Any
    still: frozenset[str]
    layout: Layout


def _rows(data: Dataset) -> slice:
    return slice(0, min(_ROWS, len(data.x_train), len(data.x_val)))


def _step(
    model: nn.Module, data: Dataset, make_optimizer: Callable[[nn.Module], optim.Optimizer]
) -> _Step:
    """Take it as `train` does, and take it back."""
    rows = _rows(data)
    optimizer = make_optimizer(model)
    layout = layout_of(optimizer, model)
    for group, rate in zip(optimizer.param_groups, layout.rates, strict=True):
        group["lr"] = _LR * rate / layout.rates[0]
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    buffers_before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    if not model.training:
        model.train()
    optimizer.zero_grad()
    with record() as calls:
        outputs = model(data.x_train[rows])
    loss = data.loss_fn(outputs, data.y_train[rows])
    loss.backward()
    still = {n for n, p in model.named_parameters() if p.requires_grad and p.grad is None}
    moved = {name for name, _ in layout.group_of}
    optimizer.step()
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    with evaluating(model):
        with record() as more:
            outputs = model(data.x_val[rows])
        scores = [data.loss_fn(outputs, data.y_val[rows]).detach()]
        scores += _tensors(outputs)
    after = {name: p.detach().clone() for name, p in model.named_parameters()}
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(before[name])
        for name, buffer in model.named_buffers():
            buffer.copy_(buffers_before[name])
    return _Step(
        loss.detach(),
        before,
        after,
        buffers,
        scores,
        (*calls, *more),
        frozenset(still | (before.keys() - moved)),
        layout,
    )


def _tensors(outputs: Any) -> list[Tensor]:
    """Return the tensors in what a model returns: one, or several in tuples, lists and dicts."""
    if isinstance(outputs, Tensor):
        return [outputs]
    if not isinstance(outputs, Mapping | tuple | list):
        return []
    parts = outputs.values() if isinstance(outputs, Mapping) else outputs
    return [tensor for part in parts for tensor in _tensors(part)]


def _differs(step: _Step, first: _Step, layout: Layout) -> str:
    """Say in which way a model is not of the first one's kind, or nothing."""
    shapes = [{name: p.shape for name, p in s.before.items()} for s in (step, first)]
    if shapes[0] != shapes[1]:
        return OTHER_KIND[0]
    if step.calls != first.calls:
        return OTHER_KIND[1]
    if not _alike(step.layout, layout) or step.still != first.still:
        return "its parameters are not trained as those of the first seed's model"
    if not bool(torch.isfinite(step.loss)):
        return "its loss is not finite after its weights were shaken a little"
    return ""


def _step_of(stack: Stack, data: Dataset, layout: Layout, count: int) -> _Step:
    """Take the same step as a fleet does, for all models at once."""
    rule, rows = RULES[layout.rule or ""], _rows(data)
    if not stack.model.training:
        stack.model.train()
    before = stack.weights.detach().clone()
    lr = torch.empty_like(stack.weights)
    groups = dict(layout.group_of)
    for name, block in stack.blocks(lr).items():
        block.fill_(_LR * layout.rates[groups[name]] / layout.rates[0])
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
        outputs = stack.outputs(data.x_val[rows], shared=True)
        scores = [stack.losses(outputs, data.y_val[rows].expand(count, *data.y_val[rows].shape))]
    return _Step(
        loss,
        stack.blocks(before),
        {name: block.detach() for name, block in stack.blocks(stack.weights).items()},
        buffers,
        [*scores, *_tensors(outputs)],
        (),
        frozenset(),
        layout,
    )


def _compare(alone: Sequence[_Step], together: _Step) -> list[str]:
    """Say where the two ways differ, for each model, or nothing."""
    first, reasons = alone[0], [""] * len(alone)
    close = _CLOSE[next(iter(first.after.values())).dtype]

    def rows(values: Sequence[Tensor] | Tensor) -> Tensor:
        return torch.stack(tuple(values)).double().reshape(len(alone), -1)

    def note(mine: Tensor, theirs: Tensor, slack: Tensor, reason: str) -> None:
        """Compare one thing of all models; what is found first counts."""
        close_by = (mine - rows(theirs)).abs() <= slack.reshape(-1, 1)  # never so for NaN
        for k in (~close_by.all(1)).nonzero().flatten().tolist():
            reasons[k] = reasons[k] or reason

    def relative(mine: Tensor) -> Tensor:
        return close * (1 + mine.abs().amax(1))

    losses = rows([step.loss for step in alone])
    note(losses, together.loss, relative(losses), "its loss is another one when it is batched")
    before = {name: rows([s.before[name] for s in alone]) for name in first.before}
    after = {name: rows([s.after[name] for s in alone]) for name in first.after}
    moved = torch.stack([(after[n] - before[n]).abs().amax(1) for n in after]).amax(0)
    for name, mine in after.items():
        theirs = together.after.get(name, before[name])
        reason = f"its gradients of {name!r} are others when it is batched"
        note(mine, theirs, close * moved, reason)
    for name in first.buffers:
        mine = rows([s.buffers[name] for s in alone])
        reason = f"it changes its buffer {name!r} as it runs"
        note(mine, together.buffers[name], relative(mine), reason)
    for place, theirs in enumerate(together.scores):
        mine = rows([s.scores[place] for s in alone])
        reason = "its validation is another one when it is batched"
        note(mine, theirs, 10 * relative(mine), reason)
    return reasons
