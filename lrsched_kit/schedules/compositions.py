"""Rows of torch's building blocks, each with one typical filling."""

from __future__ import annotations

from torch.optim import Optimizer, lr_scheduler

from .params import Param
from .spec import row


def inverse_time(optimizer: Optimizer, *, decay: float) -> lr_scheduler.LRScheduler:
    """Divide the rate by a number that grows with each step."""
    return lr_scheduler.LambdaLR(optimizer, lr_lambda=lambda t: 1 / (1 + decay * t))


def multiplicative(optimizer: Optimizer, *, factor: float) -> lr_scheduler.LRScheduler:
    """Multiply the rate at each step by what a function of the step says, here a fixed number."""
    return lr_scheduler.MultiplicativeLR(optimizer, lr_lambda=lambda t: factor)


def one_after_the_other(
    optimizer: Optimizer, *, start_factor: float, total_iters: int, gamma: float
) -> lr_scheduler.LRScheduler:
    """Rise in a straight line; when that is over, start to decay."""
    up = lr_scheduler.LinearLR(optimizer, start_factor=start_factor, total_iters=total_iters)
    down = lr_scheduler.ExponentialLR(optimizer, gamma=gamma)
    return lr_scheduler.SequentialLR(optimizer, [up, down], milestones=[total_iters])


def both_at_once(
    optimizer: Optimizer, *, start_factor: float, total_iters: int, gamma: float
) -> lr_scheduler.LRScheduler:
    """Rise in a straight line and decay, from the first step on: the factors multiply."""
    up = lr_scheduler.LinearLR(optimizer, start_factor=start_factor, total_iters=total_iters)
    down = lr_scheduler.ExponentialLR(optimizer, gamma=gamma)
    return lr_scheduler.ChainedScheduler([up, down])


def _linear(t: int, start: float, steps: int) -> float:
    return 1 - (1 - start) * max(0, steps - t) / steps


_RISE_AND_DECAY = (
    Param("start_factor", 0.1, 0.01, 1.0, help="share of the rate first", must_be="factor"),
    Param("total_iters", 5, 1, 20, integer=True, help="epochs of rising"),
    Param("gamma", 0.85, 0.5, 1.0, help="what every epoch of decay multiplies the rate by"),
)

ROWS = (
    row(
        inverse_time,
        Param("decay", 0.2, 0.01, 2.0, log=True, help="how fast the divisor grows"),
        name="LambdaLR",
        formula=r"\eta_t = \eta_0\,\lambda(t),\quad\text{here }\lambda(t) = \frac{1}{1 + k t}",
        form=lambda t, *, base_lr, total_steps, decay: base_lr / (1 + decay * t),
        when="Any function of the step, as a factor on base_lr; here the classic decay as 1/t.",
        family="composition",
    ),
    row(
        multiplicative,
        Param("factor", 0.95, 0.5, 1.0, help="what every epoch multiplies the rate by"),
        name="MultiplicativeLR",
        formula=r"\eta_{t+1} = \eta_t\,\lambda(t + 1),\quad\text{here }\lambda(t) = f",
        form=lambda t, *, base_lr, total_steps, factor: base_lr * factor**t,
        when="Any function of the step, as a factor on the last rate; a fixed one decays smoothly.",
        family="composition",
    ),
    row(
        one_after_the_other,
        *_RISE_AND_DECAY,
        name="SequentialLR",
        formula=(
            r"\eta_t = \eta_0 \left(a + (1 - a)\,\frac{t}{n}\right)\ (t < n),\quad"
            r"\eta_0\,\gamma^{t - n}\ (t \ge n)"
        ),
        form=lambda t, *, base_lr, total_steps, start_factor, total_iters, gamma: (
            base_lr * _linear(t, start_factor, total_iters) * gamma ** max(0, t - total_iters)
        ),
        when="One scheduler after the other: here a warmup that reaches base_lr, then decay.",
        family="composition",
    ),
    row(
        both_at_once,
        *_RISE_AND_DECAY,
        name="ChainedScheduler",
        formula=r"\eta_t = \eta_0 \left(a + (1 - a)\,\frac{\min(t, n)}{n}\right) \gamma^{t}",
        form=lambda t, *, base_lr, total_steps, start_factor, total_iters, gamma: (
            base_lr * _linear(t, start_factor, total_iters) * gamma**t
        ),
        when="All schedulers at every step: here decay pulls the warmup's peak below base_lr.",
        family="composition",
    ),
)
