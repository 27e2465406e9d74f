"""Rows that fall: in steps, smoothly, or when a metric says so."""

from __future__ import annotations

from torch.optim import Optimizer, lr_scheduler

from .palette import DOTS, GREEN, GREY, LONG, PURPLE, SHORT, SOLID, VERMILION
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
        family="steps",
        style=(GREY, SOLID),
        source="https://docs.pytorch.org/docs/stable/optim.html",
    ),
    row(
        lr_scheduler.StepLR,
        Param("step_size", 5, 1, 40, integer=True),
        Param("gamma", 0.1, 0.05, 1.0),
        formula=r"\eta_t = \eta_0\,\gamma^{\lfloor t / s \rfloor}",
        family="steps",
        style=(VERMILION, SOLID),
    ),
    row(
        lr_scheduler.MultiStepLR,
        Steps("milestones", (10, 15), 40),
        Param("gamma", 0.1, 0.05, 1.0),
        formula=r"\eta_t = \eta_0\,\gamma^{[t \ge m_1] + [t \ge m_2] + \cdots}",
        family="steps",
        style=(VERMILION, LONG),
        source="https://arxiv.org/abs/1512.03385",
    ),
    row(
        lr_scheduler.ConstantLR,
        Param("factor", 1 / 3, 0.05, 1.0, help="held_factor.help", must_be="factor"),
        Param("total_iters", 5, 1, 40, integer=True, help="until_full.help"),
        formula=r"\eta_t = \eta_0 \cdot \mathrm{factor}^{[t < n]}",
        family="steps",
        style=(VERMILION, DOTS),
    ),
    row(
        lr_scheduler.ExponentialLR,
        Param("gamma", 0.85, 0.5, 1.0, help="epoch_gamma.help"),
        formula=r"\eta_t = \eta_0\,\gamma^{t}",
        family="decay",
        style=(GREEN, LONG),
    ),
    row(
        lr_scheduler.PolynomialLR,
        Param("total_iters", 20, 1, 40, integer=True, help="until_zero.help", horizon=True),
        Param("power", 1.0, 0.5, 4.0),
        formula=r"\eta_t = \eta_0 \left(1 - \frac{\min(t, n)}{n}\right)^{p}",
        family="decay",
        style=(GREEN, SOLID),
        source="https://arxiv.org/abs/1606.00915",
    ),
    row(
        rex,
        Param("beta", 0.5, 0.0, 0.95, must_be="below one"),
        name="REX",
        formula=r"\eta_t = \eta_0\,\frac{1 - z}{1 - \beta + \beta\,(1 - z)},\quad z = t / T",
        family="decay",
        style=(GREEN, DOTS),
        source="https://arxiv.org/abs/2107.04197",
        step_every="batch",
    ),
    row(
        lr_scheduler.ReduceLROnPlateau,
        Param("factor", 0.1, 0.05, 0.95, help="drop_factor.help", must_be="fraction"),
        Param("patience", 3, 0, 15, integer=True, must_be="non-negative"),
        Param("threshold", 1e-4, 1e-4, 0.1, log=True, must_be="non-negative"),
        Param(
            "cooldown", 0, 0, 10, integer=True, help="drop_cooldown.help", must_be="non-negative"
        ),
        Choice("mode", ("min", "max")),
        family="metric",
        style=(PURPLE, SHORT),
    ),
)
