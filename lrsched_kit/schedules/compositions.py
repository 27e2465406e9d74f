"""Rows of torch's building blocks, each with one typical filling."""

from __future__ import annotations

from functools import partial

from torch.optim import Optimizer, lr_scheduler

from .palette import BLACK, DASH_DOT, LONG, SHORT, SOLID
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


_RISE_AND_DECAY = (
    Param("start_factor", 0.1, 0.01, 1.0, help="first_share.help", must_be="factor"),
    Param("total_iters", 5, 1, 20, integer=True, help="rising_epochs.help"),
    Param("gamma", 0.85, 0.5, 1.0, help="decay_gamma.help"),
)

_composition = partial(row, family="composition")

ROWS = (
    _composition(
        inverse_time,
        Param("decay", 0.2, 0.01, 2.0, log=True, help="divisor.help"),
        name="LambdaLR",
        style=(BLACK, SOLID),
    ),
    _composition(
        multiplicative,
        Param("factor", 0.95, 0.5, 1.0, help="epoch_gamma.help"),
        name="MultiplicativeLR",
        style=(BLACK, LONG),
    ),
    _composition(
        one_after_the_other,
        *_RISE_AND_DECAY,
        name="SequentialLR",
        formula=(
            r"\eta_t = \eta_0 \left(a + (1 - a)\,\frac{t}{n}\right)\ (t < n),\quad"
            r"\eta_0\,\gamma^{t - n}\ (t \ge n)"
        ),
        style=(BLACK, DASH_DOT),
    ),
    _composition(
        both_at_once,
        *_RISE_AND_DECAY,
        name="ChainedScheduler",
        formula=r"\eta_t = \eta_0 \left(a + (1 - a)\,\frac{\min(t, n)}{n}\right) \gamma^{t}",
        style=(BLACK, SHORT),
    ),
)
