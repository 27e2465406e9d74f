"""All names of torch that are not public, and what happens where one is gone.

They only ever decide *how* a model is trained, together with others or by itself: what comes of
it is proved by a step either way (see `proof`).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn, optim
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR
from torch.utils.flop_counter import flop_registry

try:
    from torch.utils._python_dispatch import TorchDispatchMode
except ImportError:
    TorchDispatchMode = object  # type: ignore[assignment,misc]

_MODULE_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_GRAD_HOOKS, _AFTER_GRAD_HOOKS = "_backward_hooks", "_post_accumulate_grad_hooks"
_STEP_HOOKS = ("_optimizer_step_pre_hooks", "_optimizer_step_post_hooks")

# How torch's warning begins that an operation has no batching rule. If it begins otherwise,
# torch warns, and runs the copies of that operation one after the other: right, and slower.
FALLBACK_WARNING = "There is a performance drop"


def _any_hook(owner: object, *names: str) -> bool:
    return any(getattr(owner, name, None) for name in names)


def hooked(model: nn.Module) -> str:
    """Name a module or parameter with a hook, or nothing.

    If the names are gone, hooks go unseen, and the proof of one step has to find what they do.
    """
    for name, module in model.named_modules():
        if _any_hook(module, *_MODULE_HOOKS):
            return name or type(module).__name__
    tensors = model.named_parameters()
    return next((n for n, p in tensors if _any_hook(p, _GRAD_HOOKS, _AFTER_GRAD_HOOKS)), "")


def copy_hooks(model: nn.Module, twin: nn.Module) -> None:
    """Register the hooks of a model's parameters with its copy, which torch makes without them.

    If the names are gone, copies have no such hooks.
    """
    for source, target in zip(model.parameters(), twin.parameters(), strict=True):
        for hook in (getattr(source, _GRAD_HOOKS, None) or {}).values():
            target.register_hook(hook)
        for hook in (getattr(source, _AFTER_GRAD_HOOKS, None) or {}).values():
            target.register_post_accumulate_grad_hook(hook)


def has_step_hooks(optimizer: optim.Optimizer) -> bool:
    """Whether anything is called around an optimizer's step; if the names are gone, no."""
    return _any_hook(optimizer, *_STEP_HOOKS)


def parts_of(scheduler: LRScheduler) -> list[LRScheduler]:
    """Return a scheduler and those inside it; if the names are gone, the scheduler."""
    inner = getattr(scheduler, "_schedulers", [])
    return [scheduler, *(part for each in inner for part in parts_of(each))]


def steps_left(scheduler: LRScheduler) -> float:
    """Return how many more steps a scheduler takes before it raises, infinity where it never does.

    OneCycleLR knows its end, and may stand inside another scheduler. If the names of what is
    inside are gone, such an end is not foreseen, and torch raises when it is reached.
    """
    if isinstance(scheduler, OneCycleLR):
        return scheduler.total_steps - scheduler.last_epoch
    inner = getattr(scheduler, "_schedulers", [])
    milestones = getattr(scheduler, "_milestones", None)
    if milestones is None:  # ChainedScheduler: all of them step each time
        return min(map(steps_left, inner), default=float("inf"))
    done = scheduler.last_epoch
    for start, end, part in zip([0, *milestones], [*milestones, float("inf")], inner, strict=False):
        if end > done:
            left = steps_left(part)
            if start > done and isinstance(part, OneCycleLR):
                left = part.total_steps  # SequentialLR puts it at its start
            if (last := max(start, done) + left) + 1 < end:
                return last - done
    return float("inf")


class Draws(TorchDispatchMode):
    """Whether an operation that may draw random numbers is called on this thread.

    If the name of the mode is gone, this is not known, and taken for granted.
    """

    def __init__(self) -> None:
        super().__init__()
        self.any = TorchDispatchMode is object

    if TorchDispatchMode is object:

        def __enter__(self) -> Draws:
            return self

        def __exit__(self, *error: object) -> None:
            pass

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        self.any = self.any or torch.Tag.nondeterministic_seeded in func.tags
        return func(*args, **(kwargs or {}))


class _Count(TorchDispatchMode):
    flops = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        formula = flop_registry.get(getattr(func, "overloadpacket", None))
        self.flops += formula(*args, **(kwargs or {}), out_val=out) if formula else 0
        return out


def multiplications(model: nn.Module, x: Tensor) -> int:
    """Count those in the matrix products and convolutions of a forward pass.

    If the name is gone, one for each parameter and row: fleets then find fewer threads worth it.
    (The public counter listens to every module of the process, those of other threads too.)

    >>> multiplications(nn.Linear(64, 10), torch.zeros(5, 64)) == 5 * 64 * 10
    True
    """
    if TorchDispatchMode is object:
        return len(x) * sum(p.numel() for p in model.parameters())
    with torch.no_grad(), _Count() as count:
        model(x)
    return count.flops // 2
