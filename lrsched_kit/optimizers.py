"""Four optimizers by name: torch's own, and the same rule for a vector with a rate per number.

The vector rule is what trains many runs at once: one run's weights may move at another rate than
the next one's, which a torch optimizer cannot do within one tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor, optim

from .schedules import check_number, nearest


@dataclass(frozen=True)
class Rule:
    """One optimizer.

    Attributes:
        make: ``make(params, lr=)`` gives torch's.
        update: ``update(weights, grads, lr, memory, step, momentum)`` does the same to vectors, in
            place; ``step`` counts from 1. Momentum (or beta1) is one number for all, or, where
            schedulers move it, a vector too.
        memory: how many vectors, at first zero, the rule keeps from step to step.
        code: what ``make`` does, as a reader would write it; ``{lr}`` is left to fill in.
    """

    make: Callable[..., optim.Optimizer]
    update: Callable[[Tensor, Tensor, Tensor, list[Tensor], int, float | Tensor], object]
    memory: int
    code: str


def _sgd(
    weights: Tensor,
    grads: Tensor,
    lr: Tensor,
    memory: list[Tensor],
    step: int,
    momentum: float | Tensor,
) -> None:
    weights.addcmul_(grads, lr, value=-1)


def _momentum(
    weights: Tensor,
    grads: Tensor,
    lr: Tensor,
    memory: list[Tensor],
    step: int,
    momentum: float | Tensor,
) -> None:
    (velocity,) = memory
    if isinstance(momentum, Tensor):
        velocity.mul_(momentum).add_(grads)
    else:  # the same at one go
        torch.add(grads, velocity, alpha=momentum, out=velocity)
    weights.addcmul_(velocity, lr, value=-1)


def _adam(
    weights: Tensor,
    grads: Tensor,
    lr: Tensor,
    memory: list[Tensor],
    step: int,
    momentum: float | Tensor,
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
    weights: Tensor,
    grads: Tensor,
    lr: Tensor,
    memory: list[Tensor],
    step: int,
    momentum: float | Tensor,
) -> None:
    weights.addcmul_(weights, lr, value=-0.01)
    _adam(weights, grads, lr, memory, step, momentum)


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "sgd": Rule(optim.SGD, _sgd, 0, "torch.optim.SGD(model.parameters(), lr={lr})"),
        "momentum": Rule(
            lambda params, lr: optim.SGD(params, lr=lr, momentum=0.9),
            _momentum,
            1,
            "torch.optim.SGD(model.parameters(), lr={lr}, momentum=0.9)",
        ),
        "adam": Rule(optim.Adam, _adam, 2, "torch.optim.Adam(model.parameters(), lr={lr})"),
        "adamw": Rule(optim.AdamW, _adamw, 2, "torch.optim.AdamW(model.parameters(), lr={lr})"),
    }
)


def get_rule(name: str) -> Rule:
    """Return the optimizer called ``name``.

    Raises:
        ValueError: for an unknown name, with the nearest one and the list.

    >>> get_rule("adma")
    Traceback (most recent call last):
    ...
    ValueError: optimizer must be a known name (did you mean 'adam'?), got 'adma'; \
known are sgd, momentum, adam, adamw.
    """
    if name not in RULES:
        raise ValueError(
            f"optimizer must be a known name{nearest(str(name), RULES)}, got {name!r}; "
            f"known are {', '.join(RULES)}."
        )
    return RULES[name]


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


def momentum_of(optimizer: optim.Optimizer) -> float:
    """Return the momentum that the next step will use: with Adam, its first beta.

    >>> momentum_of(make_optimizer("adam", torch.nn.Linear(2, 1).parameters(), lr=0.1))
    0.9
    """
    group = optimizer.param_groups[0]
    return group["betas"][0] if "betas" in group else group["momentum"]
