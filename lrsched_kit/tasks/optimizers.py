"""Four optimizers by name: torch's own, and the same rule for a vector with a rate per number.

The vector rule is what trains many runs at once: one run's weights may move at another rate than
the next one's, which a torch optimizer cannot do within one tensor.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn, optim

from ..words.errors import check_number, look_up
from .torch_private import has_step_hooks

Memory = list[Tensor]
Momentum = float | Tensor


@dataclass(frozen=True)
class Rule:
    """One optimizer: ``make(params, lr=)`` gives torch's, ``update`` does the same to vectors.

    ``update(weights, grads, lr, memory, step, momentum)`` works in place; ``step`` counts from 1.
    Momentum (or beta1) is one number for all, or, where schedulers move it, a vector too.
    """

    make: Callable[..., optim.Optimizer]
    update: Callable[[Tensor, Tensor, Tensor, Memory, int, Momentum], object]
    memory: int  # how many vectors, at first zero, the rule keeps from step to step
    momentum: float  # unless a scheduler moves it
    code: str  # what ``make`` does, as a reader would write it; ``{lr}`` is left to fill in


def _sgd(
    weights: Tensor, grads: Tensor, lr: Tensor, memory: Memory, step: int, momentum: Momentum
) -> None:
    weights.addcmul_(grads, lr, value=-1)


def _momentum(
    weights: Tensor, grads: Tensor, lr: Tensor, memory: Memory, step: int, momentum: Momentum
) -> None:
    (velocity,) = memory
    if isinstance(momentum, Tensor):
        velocity.mul_(momentum).add_(grads)
    else:  # the same at one go
        torch.add(grads, velocity, alpha=momentum, out=velocity)
    weights.addcmul_(velocity, lr, value=-1)


def _adam(
    weights: Tensor, grads: Tensor, lr: Tensor, memory: Memory, step: int, momentum: Momentum
) -> None:
    mean, square = memory
    mean.lerp_(grads, 1 - momentum)
    square.mul_(0.999).addcmul_(grads, grads, value=0.001)
    # Both averages started at zero; these two factors make up for it.
    direction = mean / (square / (1 - 0.999**step)).sqrt_().add_(1e-8)
    started = 1 - momentum**step
    if isinstance(started, Tensor):
        weights.addcmul_(direction.div_(started), lr, value=-1)
    else:  # the same at one go
        weights.addcmul_(direction, lr, value=-1 / started)


def _adamw(
    weights: Tensor, grads: Tensor, lr: Tensor, memory: Memory, step: int, momentum: Momentum
) -> None:
    weights.addcmul_(weights, lr, value=-0.01)
    _adam(weights, grads, lr, memory, step, momentum)


RULES: Mapping[str, Rule] = {
    "sgd": Rule(optim.SGD, _sgd, 0, 0.0, "torch.optim.SGD(model.parameters(), lr={lr})"),
    "momentum": Rule(
        lambda params, lr: optim.SGD(params, lr=lr, momentum=0.9),
        _momentum,
        1,
        0.9,
        "torch.optim.SGD(model.parameters(), lr={lr}, momentum=0.9)",
    ),
    "adam": Rule(optim.Adam, _adam, 2, 0.9, "torch.optim.Adam(model.parameters(), lr={lr})"),
    "adamw": Rule(optim.AdamW, _adamw, 2, 0.9, "torch.optim.AdamW(model.parameters(), lr={lr})"),
}


def get_rule(name: str) -> Rule:
    """Return the optimizer called ``name``, or refuse it with the nearest one."""
    return look_up("optimizer", "a known name", name, RULES)


def make_optimizer(name: str, params: Iterable[Tensor], lr: float) -> optim.Optimizer:
    """Make the torch optimizer that a `Run` calls ``name``.

    Args:
        name: ``"sgd"``; ``"momentum"``: SGD with momentum 0.9; ``"adam"`` or ``"adamw"`` with
            torch's defaults.
        params: what it trains, as from ``model.parameters()``.
        lr: its initial rate.

    Raises:
        ValueError: for an unknown name, with the nearest one, or a rate that is not positive.

    Source: https://docs.pytorch.org/docs/stable/optim.html#algorithms

    >>> optimizer = make_optimizer("momentum", torch.nn.Linear(2, 1).parameters(), lr=0.1)
    >>> type(optimizer).__name__, optimizer.defaults["lr"], optimizer.defaults["momentum"]
    ('SGD', 0.1, 0.9)
    """
    return get_rule(name).make(params, lr=check_number("lr", lr))


Maker = Callable[[nn.Module], optim.Optimizer]  # a reader's own: a function of the model


class Unless(float):
    """A number that nobody chose, so that something better known takes its place."""


def build_optimizer(how: str | Maker, model: nn.Module, base_lr: float) -> optim.Optimizer:
    """Make the optimizer that trains ``model``, by name or by a reader's function.

    ``base_lr`` is the rate of its first parameter group; others go along in proportion. An `Unless`
    leaves the rates that a function has set.
    """
    if not callable(how):
        return make_optimizer(how, model.parameters(), base_lr)
    optimizer = how(model)
    if not isinstance(optimizer, optim.Optimizer):
        raise ValueError(
            f"make_optimizer must return a torch.optim.Optimizer, got {optimizer!r:.80}."
        )
    check_stepping(optimizer)
    rates = rates_of(optimizer)
    for number, rate in enumerate(rates):
        check_number(f"make_optimizer's lr of param_groups[{number}]", rate)
    if not isinstance(base_lr, Unless) and base_lr != rates[0]:
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = base_lr * (rate / rates[0])
    return optimizer


def check_maker(make_optimizer: Maker | None) -> None:
    """Refuse what is no function of the model."""
    if make_optimizer is not None and not callable(make_optimizer):
        raise ValueError(f"make_optimizer must be a function of the model, got {make_optimizer!r}.")


def check_stepping(optimizer: optim.Optimizer) -> None:
    """Refuse an optimizer whose ``step`` wants a closure, as that of LBFGS does."""
    closure = inspect.signature(optimizer.step).parameters.get("closure")
    if closure is not None and closure.default is inspect.Parameter.empty:
        raise ValueError(
            f"optimizer must take its step without a closure, got {type(optimizer).__name__}."
        )


def rates_of(optimizer: optim.Optimizer) -> tuple[float, ...]:
    """Return the present rate of each parameter group."""
    return tuple(float(group["lr"]) for group in optimizer.param_groups)


def rule_of(optimizer: optim.Optimizer) -> str | None:
    """Return the name of the rule that does in every group what this optimizer does, if any."""
    if has_step_hooks(optimizer):
        return None
    groups = [_settings(group) for group in optimizer.param_groups]
    for name, twin in _twins().items():
        settings = _settings(twin.param_groups[0])
        if type(optimizer) is type(twin) and all(group == settings for group in groups):
            return name
    return None


@cache
def _twins() -> dict[str, optim.Optimizer]:
    """Return an optimizer of each rule, on a weight of its own."""
    return {name: rule.make([torch.zeros(1)], lr=1.0) for name, rule in RULES.items()}


def _settings(group: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in group.items() if k not in ("params", "param_names", "lr")}


def momentum_of(optimizer: optim.Optimizer) -> float:
    """Return the momentum that the next step will use: with Adam, its first beta."""
    group = optimizer.param_groups[0]
    return group["betas"][0] if "betas" in group else group.get("momentum", 0.0)
