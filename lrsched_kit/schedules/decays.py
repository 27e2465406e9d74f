"""Rows that fall: in steps, smoothly, or when a metric says so."""

from __future__ import annotations

from torch.optim import Optimizer, lr_scheduler

from .params import Choice, Param, Steps
from .spec import row


def constant(optimizer: Optimizer) -> lr_scheduler.LRScheduler:
    """Leave the rate alone."""
    return lr_scheduler.LambdaLR(optimizer, lr_lambda=lambda t: 1.0)


def rex(optimizer: Optimizer, *, total_steps: int, beta: float) -> lr_scheduler.LRScheduler:
    """Fall slowly at first and fast at the end, to zero."""

    def factor(t: int) -> float:
        left = max(0.0, 1 - t / total_steps)
        return left / (1 - beta + beta * left)

    return lr_scheduler.LambdaLR(optimizer, lr_lambda=factor)


ROWS = (
    row(
        constant,
        name="Constant",
        formula=r"\eta_t = \eta_0",
        form=lambda t, *, base_lr, total_steps: base_lr,
        when="The baseline: every claim about a schedule is a claim against this line.",
        family="steps",
        source="https://docs.pytorch.org/docs/stable/optim.html",
    ),
    row(
        lr_scheduler.StepLR,
        Param("step_size", 5, 1, 40, integer=True, help="epochs between two drops"),
        Param("gamma", 0.1, 0.05, 1.0, help="what each drop multiplies the rate by"),
        formula=r"\eta_t = \eta_0\,\gamma^{\lfloor t / s \rfloor}",
        form=lambda t, *, base_lr, total_steps, step_size, gamma: (
            base_lr * gamma ** (t // step_size)
        ),
        when="When you know, from earlier runs, at which epochs progress stalls.",
        family="steps",
    ),
    row(
        lr_scheduler.MultiStepLR,
        Steps("milestones", (10, 15), 40, help="epochs before each drop, as many as you like"),
        Param("gamma", 0.1, 0.05, 1.0, help="what each drop multiplies the rate by"),
        formula=r"\eta_t = \eta_0\,\gamma^{[t \ge m_1] + [t \ge m_2] + \cdots}",
        form=lambda t, *, base_lr, total_steps, milestones, gamma: (
            base_lr * gamma ** sum(t >= milestone for milestone in milestones)
        ),
        when="When a published recipe names the epochs of its drops, as many for CNNs do.",
        family="steps",
        source="https://arxiv.org/abs/1512.03385",
    ),
    row(
        lr_scheduler.ConstantLR,
        Param("factor", 1 / 3, 0.05, 1.0, help="what the rate is first held at", must_be="factor"),
        Param("total_iters", 5, 1, 40, integer=True, help="epochs until the full rate"),
        formula=r"\eta_t = \eta_0 \cdot \mathrm{factor}^{[t < n]}",
        form=lambda t, *, base_lr, total_steps, factor, total_iters: (
            base_lr * (factor if t < total_iters else 1)
        ),
        when="The crudest warmup: a lower rate for a while, then the full one in a single jump.",
        family="steps",
    ),
    row(
        lr_scheduler.ExponentialLR,
        Param("gamma", 0.85, 0.5, 1.0, help="what every epoch multiplies the rate by"),
        formula=r"\eta_t = \eta_0\,\gamma^{t}",
        form=lambda t, *, base_lr, total_steps, gamma: base_lr * gamma**t,
        when="When a smooth decay without a horizon will do; choose gamma by its half-life.",
        family="decay",
    ),
    row(
        lr_scheduler.PolynomialLR,
        Param("total_iters", 20, 1, 40, integer=True, help="epochs until zero", horizon=True),
        Param("power", 1.0, 0.5, 4.0, help="1 is a straight line; more falls sooner"),
        formula=r"\eta_t = \eta_0 \left(1 - \frac{\min(t, n)}{n}\right)^{p}",
        form=lambda t, *, base_lr, total_steps, total_iters, power: (
            base_lr * (1 - min(t, total_iters) / total_iters) ** power
        ),
        when="When the run's length is known and it shall end at zero: power 1 is linear decay.",
        family="decay",
        source="https://arxiv.org/abs/1606.00915",
    ),
    row(
        rex,
        Param(
            "beta",
            0.5,
            0.0,
            0.95,
            help="0 is a straight line; 0.5 as published",
            must_be="below one",
        ),
        name="REX",
        formula=r"\eta_t = \eta_0\,\frac{1 - z}{1 - \beta + \beta\,(1 - z)},\quad z = t / T",
        form=lambda t, *, base_lr, total_steps, beta: (
            base_lr * max(0, total_steps - t) / (total_steps - beta * min(t, total_steps))
        ),
        when="Proposed for short budgets: stays high for long and ends at zero.",
        family="decay",
        source="https://arxiv.org/abs/2107.04197",
        step_every="batch",
    ),
    row(
        lr_scheduler.ReduceLROnPlateau,
        Param(
            "factor",
            0.1,
            0.05,
            0.95,
            help="what a drop multiplies the rate by",
            must_be="fraction",
        ),
        Param(
            "patience",
            3,
            0,
            15,
            integer=True,
            help="bad epochs that are let pass",
            must_be="non-negative",
        ),
        Param(
            "threshold",
            1e-4,
            1e-4,
            0.1,
            log=True,
            help="relative gain that counts as better",
            must_be="non-negative",
        ),
        Param(
            "cooldown",
            0,
            0,
            10,
            integer=True,
            help="epochs after a drop that do not count",
            must_be="non-negative",
        ),
        Choice("mode", ("min", "max"), help='"max": more is better, as of an accuracy'),
        formula=(
            r"\eta_{t+1} = \eta_t \cdot \mathrm{factor}"
            r"\ \text{ once more than patience epochs in a row brought nothing better}"
        ),
        form=None,
        when="When you cannot say in advance when progress will stall, and validate every epoch.",
        family="metric",
    ),
)
