"""Rows that fall: in steps, smoothly, along a cosine, when a metric says so, or put together.

The last are torch's building blocks, each with one typical filling.
"""

from __future__ import annotations

from functools import partial

from torch.optim import Optimizer, lr_scheduler, swa_utils

from .params import Choice, Param, Steps
from .spec import (
    BLACK,
    BLUE,
    DASH_DOT,
    DOTS,
    GREEN,
    GREY,
    LONG,
    PURPLE,
    SHORT,
    SOLID,
    VERMILION,
    row,
)


def constant(optimizer: Optimizer) -> lr_scheduler.LRScheduler:
    """Leave the rate alone."""
    return lr_scheduler.LambdaLR(optimizer, lr_lambda=lambda t: 1.0)


def rex(optimizer: Optimizer, *, total_steps: int, beta: float) -> lr_scheduler.LRScheduler:
    """Fall slowly at first and fast at the end, to zero."""

    def factor(t: int) -> float:
        left = max(0.0, 1 - t / total_steps)
        return left / (1 - beta + beta * left)

    return lr_scheduler.LambdaLR(optimizer, lr_lambda=factor)


def swa(optimizer: Optimizer, *, swa_lr: float, anneal_epochs: int) -> lr_scheduler.LRScheduler:
    """Go along a cosine to swa_lr; other parameter groups in proportion to the first."""
    rates = [float(group["lr"]) for group in optimizer.param_groups]
    swa_lrs = [swa_lr * (rate / rates[0]) for rate in rates]
    return swa_utils.SWALR(optimizer, swa_lrs, anneal_epochs)


def _floor_above_start(*, base_lr: float, eta_min: float, **_: float) -> str | None:
    if eta_min <= base_lr:
        return None
    return (
        f"eta_min must be at most base_lr ({base_lr:g}), got {eta_min:g}: "
        "the rate falls from base_lr to it."
    )


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

_steps, _decay, _metric, _cosine, _composition = (
    partial(row, family=family) for family in ("steps", "decay", "metric", "cosine", "composition")
)

ROWS = (
    _steps(
        constant,
        name="Constant",
        formula=r"\eta_t = \eta_0",
        style=(GREY, SOLID),
        source="https://docs.pytorch.org/docs/stable/optim.html",
    ),
    _steps(
        lr_scheduler.StepLR,
        Param("step_size", 5, 1, 40, integer=True),
        Param("gamma", 0.1, 0.05, 1.0),
        formula=r"\eta_t = \eta_0\,\gamma^{\lfloor t / s \rfloor}",
        style=(VERMILION, SOLID),
    ),
    _steps(
        lr_scheduler.MultiStepLR,
        Steps("milestones", (10, 15), 40),
        Param("gamma", 0.1, 0.05, 1.0),
        formula=r"\eta_t = \eta_0\,\gamma^{[t \ge m_1] + [t \ge m_2] + \cdots}",
        style=(VERMILION, LONG),
        source="https://arxiv.org/abs/1512.03385",
    ),
    _steps(
        lr_scheduler.ConstantLR,
        Param("factor", 1 / 3, 0.05, 1.0, help="held_factor.help", must_be="factor"),
        Param("total_iters", 5, 1, 40, integer=True, help="until_full.help"),
        formula=r"\eta_t = \eta_0 \cdot \mathrm{factor}^{[t < n]}",
        style=(VERMILION, DOTS),
    ),
    _decay(
        lr_scheduler.ExponentialLR,
        Param("gamma", 0.85, 0.5, 1.0, help="epoch_gamma.help"),
        formula=r"\eta_t = \eta_0\,\gamma^{t}",
        style=(GREEN, LONG),
    ),
    _decay(
        lr_scheduler.PolynomialLR,
        Param("total_iters", 20, 1, 40, integer=True, help="until_zero.help", horizon=True),
        Param("power", 1.0, 0.5, 4.0),
        formula=r"\eta_t = \eta_0 \left(1 - \frac{\min(t, n)}{n}\right)^{p}",
        style=(GREEN, SOLID),
        source="https://arxiv.org/abs/1606.00915",
    ),
    _decay(
        rex,
        Param("beta", 0.5, 0.0, 0.95, must_be="below one"),
        name="REX",
        formula=r"\eta_t = \eta_0\,\frac{1 - z}{1 - \beta + \beta\,(1 - z)},\quad z = t / T",
        style=(GREEN, DOTS),
        source="https://arxiv.org/abs/2107.04197",
    ),
    _metric(
        lr_scheduler.ReduceLROnPlateau,
        Param("factor", 0.1, 0.05, 0.95, help="drop_factor.help", must_be="fraction"),
        Param("patience", 3, 0, 15, integer=True, must_be="non-negative"),
        Param("threshold", 1e-4, 1e-4, 0.1, log=True, must_be="non-negative"),
        Param(
            "cooldown", 0, 0, 10, integer=True, help="drop_cooldown.help", must_be="non-negative"
        ),
        Choice("mode", ("min", "max")),
        style=(PURPLE, SHORT),
    ),
    _cosine(
        lr_scheduler.CosineAnnealingLR,
        Param("T_max", 20, 1, 40, integer=True, horizon=True),
        Param("eta_min", 0.0, 0.0, 0.05, must_be="non-negative"),
        formula=(
            r"\eta_t = \eta_{\min} + \tfrac{1}{2}(\eta_0 - \eta_{\min})"
            r"\left(1 + \cos\frac{\pi t}{T_{\max}}\right)"
        ),
        style=(BLUE, DASH_DOT),
        source="https://arxiv.org/abs/1608.03983",
        refuse=_floor_above_start,
    ),
    _cosine(
        lr_scheduler.CosineAnnealingWarmRestarts,
        Param("T_0", 5, 1, 20, integer=True),
        Param("T_mult", 2, 1, 4, integer=True),
        Param("eta_min", 0.0, 0.0, 0.05, help="restart_eta_min.help", must_be="non-negative"),
        formula=(
            r"\eta_t = \eta_{\min} + \tfrac{1}{2}(\eta_0 - \eta_{\min})"
            r"\left(1 + \cos\frac{\pi\,T_{\mathrm{cur}}}{T_i}\right),\quad "
            r"T_{i+1} = T_{\mathrm{mult}}\,T_i"
        ),
        style=(BLUE, SOLID),
        source="https://arxiv.org/abs/1608.03983",
        refuse=_floor_above_start,
    ),
    _cosine(
        swa,
        Param("swa_lr", 0.05, 1e-4, 1, log=True, per_group=True),
        Param("anneal_epochs", 10, 1, 40, integer=True),
        name="SWALR",
        formula=(
            r"\eta_t = \eta_{\mathrm{swa}} + \tfrac{1}{2}(\eta_0 - \eta_{\mathrm{swa}})"
            r"\left(1 + \cos\frac{\pi \min(t, n)}{n}\right)"
        ),
        style=(BLUE, DOTS),
        source="https://arxiv.org/abs/1803.05407",
    ),
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
