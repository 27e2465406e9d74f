"""Rows that rise first, then hold or fall.

All are linear in their rise, whose first step is not zero (an update at rate 0 is wasted), and
none jumps. A rate that ends at zero gets there after the last update, not before it.
"""

from __future__ import annotations

import math

from torch.optim import Optimizer, lr_scheduler

from .palette import DASH_DOT, DASH_DOTS, DOTS, LONG, ORANGE, SHORT, SOLID
from .params import Param
from .spec import row


def warmup_cosine(
    optimizer: Optimizer, *, total_steps: int, warmup: float, floor: float
) -> lr_scheduler.LRScheduler:
    """Rise for a share of the run, then fall along a cosine to a share of the peak."""
    rise = round(warmup * total_steps)
    fall = max(1, total_steps - rise)

    def factor(t: int) -> float:
        if t < rise:
            return (t + 1) / (rise + 1)
        share = min(1.0, (t - rise) / fall)
        return floor + (1 - floor) * (1 + math.cos(math.pi * share)) / 2

    return lr_scheduler.LambdaLR(optimizer, lr_lambda=factor)


def warmup_linear(
    optimizer: Optimizer, *, total_steps: int, warmup: float
) -> lr_scheduler.LRScheduler:
    """Rise for a share of the run, then fall in a straight line to zero."""
    rise = round(warmup * total_steps)
    up = lr_scheduler.LinearLR(optimizer, start_factor=1 / (rise + 1), total_iters=rise)
    fall = max(1, total_steps - rise)
    down = lr_scheduler.LinearLR(optimizer, start_factor=1.0, end_factor=0.0, total_iters=fall)
    return lr_scheduler.SequentialLR(optimizer, [up, down], milestones=[rise])


def inverse_sqrt(
    optimizer: Optimizer, *, total_steps: int, warmup: float
) -> lr_scheduler.LRScheduler:
    """Rise for a share of the run, then fall as one over the root of the step."""
    rise = max(1, round(warmup * total_steps))

    def factor(t: int) -> float:
        return min((t + 1) / rise, (rise / (t + 1)) ** 0.5)

    return lr_scheduler.LambdaLR(optimizer, lr_lambda=factor)


def wsd(
    optimizer: Optimizer, *, total_steps: int, warmup: float, cooldown: float
) -> lr_scheduler.LRScheduler:
    """Warm up, hold, and in the last share of the run cool down in a straight line to zero."""
    rise = round(warmup * total_steps)
    fall = max(1, round(cooldown * total_steps))

    def factor(t: int) -> float:
        return min((t + 1) / (rise + 1), 1.0, max(0, total_steps - t) / fall)

    return lr_scheduler.LambdaLR(optimizer, lr_lambda=factor)


def wsd_sqrt(
    optimizer: Optimizer, *, total_steps: int, warmup: float, cooldown: float
) -> lr_scheduler.LRScheduler:
    """Warm up, hold, and in the last share of the run cool down as 1 - sqrt, to zero."""
    rise = round(warmup * total_steps)
    fall = max(1, round(cooldown * total_steps))

    def factor(t: int) -> float:
        left = min(1.0, max(0, total_steps - t) / fall)
        return min((t + 1) / (rise + 1), 1 - (1 - left) ** 0.5)

    return lr_scheduler.LambdaLR(optimizer, lr_lambda=factor)


def _longer_than_the_run(*, warmup: float, cooldown: float, **_: float) -> str | None:
    if warmup + cooldown <= 1:
        return None
    return (
        f"cooldown must be at most 1 - warmup ({1 - warmup:g}), got {cooldown:g}: "
        "together they are longer than the run."
    )


WARMUP = Param("warmup", 0.1, 0.0, 0.5, help="rising_share.help", must_be="share")
COOLDOWN = Param("cooldown", 0.2, 0.0, 0.5, help="falling_share.help", must_be="share")
_PHASES = r"\eta_t = \eta_0 \min\left(\frac{t + 1}{W + 1},\ %s\right)"

ROWS = (
    row(
        lr_scheduler.LinearLR,
        Param("start_factor", 1 / 3, 0.01, 1.0, help="first_share.help", must_be="factor"),
        Param("end_factor", 1.0, 0.0, 1.0, help="last_share.help", must_be="share"),
        Param("total_iters", 5, 1, 40, integer=True, help="from_to.help"),
        formula=r"\eta_t = \eta_0 \left(a + (b - a)\,\frac{\min(t, n)}{n}\right)",
        family="warmup",
        style=(ORANGE, DOTS),
    ),
    row(
        warmup_cosine,
        WARMUP,
        Param("floor", 0.0, 0.0, 0.5, must_be="share"),
        name="WarmupCosine",
        formula=(
            r"\eta_t = \eta_0\,\frac{t + 1}{W + 1}\ (t \le W),\quad"
            r"\eta_0 \left(f + \frac{1 - f}{2}\left(1 + \cos\frac{\pi (t - W)}{T - W}\right)\right)"
        ),
        family="warmup",
        style=(ORANGE, SOLID),
        source="https://arxiv.org/abs/1706.02677",
        step_every="batch",
    ),
    row(
        warmup_linear,
        WARMUP,
        name="WarmupLinear",
        formula=_PHASES % r"\frac{T - t}{T - W}",
        family="warmup",
        style=(ORANGE, LONG),
        source="https://arxiv.org/abs/2502.15938",
        step_every="batch",
    ),
    row(
        inverse_sqrt,
        WARMUP,
        name="InverseSqrt",
        formula=r"\eta_t = \eta_0 \min\left(\frac{t + 1}{W},\ \sqrt{\frac{W}{t + 1}}\right)",
        family="warmup",
        style=(ORANGE, SHORT),
        source="https://arxiv.org/abs/1706.03762",
        step_every="batch",
    ),
    row(
        wsd,
        WARMUP,
        COOLDOWN,
        name="WSD",
        formula=_PHASES % r"1,\ \frac{T - t}{C}",
        family="warmup",
        style=(ORANGE, DASH_DOT),
        source="https://arxiv.org/abs/2404.06395",
        step_every="batch",
        refuse=_longer_than_the_run,
    ),
    row(
        wsd_sqrt,
        WARMUP,
        COOLDOWN,
        name="WSD-sqrt",
        formula=_PHASES % r"1 - \sqrt{\max\left(0, 1 - \frac{T - t}{C}\right)}",
        family="warmup",
        style=(ORANGE, DASH_DOTS),
        source="https://arxiv.org/abs/2405.18392",
        step_every="batch",
        refuse=_longer_than_the_run,
    ),
)
