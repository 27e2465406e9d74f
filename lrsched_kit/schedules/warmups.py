"""Rows that rise first, then hold or fall.

All are linear in their rise, whose first step is not zero (an update at rate 0 is wasted), and
none jumps. A rate that ends at zero gets there after the last update, not before it.
"""

from __future__ import annotations

import math

import numpy as np
from torch.optim import Optimizer, lr_scheduler

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


def _rise(t: int, total_steps: int, warmup: float) -> float:
    """Return the share of the peak that the warmup allows at step t."""
    steps = round(warmup * total_steps)
    return float(np.interp(t, [0, max(1, steps)], [1 / (steps + 1), 1])) if steps else 1.0


def _spent(t: int, total_steps: int, share: float) -> float:
    """Return how much of the last such share of the run has gone by at step t, 0 to 1."""
    length = max(1, round(share * total_steps))
    return float(np.interp(t, [total_steps - length, total_steps], [0, 1]))


def _after_rise(t: int, total_steps: int, warmup: float) -> float:
    """Return how much of the run after the warmup has gone by at step t, 0 to 1."""
    steps = round(warmup * total_steps)
    return float(np.interp(t, [steps, max(steps + 1, total_steps)], [0, 1]))


def _inverse_sqrt(t: int, rise: int) -> float:
    return (t + 1) / rise if t < rise else math.sqrt(rise) / math.sqrt(t + 1)


WARMUP = Param("warmup", 0.1, 0.0, 0.5, help="share of the run that rises", must_be="share")
COOLDOWN = Param("cooldown", 0.2, 0.0, 0.5, help="share of the run that falls", must_be="share")
_PHASES = r"\eta_t = \eta_0 \min\left(\frac{t + 1}{W + 1},\ %s\right)"

ROWS = (
    row(
        lr_scheduler.LinearLR,
        Param("start_factor", 1 / 3, 0.01, 1.0, help="share of the rate first", must_be="factor"),
        Param("end_factor", 1.0, 0.0, 1.0, help="share of the rate at the end", must_be="share"),
        Param("total_iters", 5, 1, 40, integer=True, help="epochs from the one to the other"),
        formula=r"\eta_t = \eta_0 \left(a + (b - a)\,\frac{\min(t, n)}{n}\right)",
        form=lambda t, *, base_lr, total_steps, start_factor, end_factor, total_iters: (
            base_lr * np.interp(t, [0, total_iters], [start_factor, end_factor])
        ),
        when="A phase for SequentialLR: a warmup, or with its factors swapped a straight decay.",
        family="warmup",
    ),
    row(
        warmup_cosine,
        WARMUP,
        Param("floor", 0.0, 0.0, 0.5, help="share of the peak at the end", must_be="share"),
        name="WarmupCosine",
        formula=(
            r"\eta_t = \eta_0\,\frac{t + 1}{W + 1}\ (t \le W),\quad"
            r"\eta_0 \left(f + \frac{1 - f}{2}\left(1 + \cos\frac{\pi (t - W)}{T - W}\right)\right)"
        ),
        form=lambda t, *, base_lr, total_steps, warmup, floor: (
            base_lr
            * _rise(t, total_steps, warmup)
            * (1 - (1 - floor) * math.sin(math.pi / 2 * _after_rise(t, total_steps, warmup)) ** 2)
        ),
        when="The common choice for Transformers and vision models of known run length.",
        family="warmup",
        source="https://arxiv.org/abs/1706.02677",
        step_every="batch",
    ),
    row(
        warmup_linear,
        WARMUP,
        name="WarmupLinear",
        formula=_PHASES % r"\frac{T - t}{T - W}",
        form=lambda t, *, base_lr, total_steps, warmup: (
            base_lr * _rise(t, total_steps, warmup) * (1 - _after_rise(t, total_steps, warmup))
        ),
        when="When the run's length is known: simple to state, and it ends at zero.",
        family="warmup",
        source="https://arxiv.org/abs/2502.15938",
        step_every="batch",
    ),
    row(
        inverse_sqrt,
        WARMUP,
        name="InverseSqrt",
        formula=r"\eta_t = \eta_0 \min\left(\frac{t + 1}{W},\ \sqrt{\frac{W}{t + 1}}\right)",
        form=lambda t, *, base_lr, total_steps, warmup: (
            base_lr * _inverse_sqrt(t, max(1, round(warmup * total_steps)))
        ),
        when="The first Transformer's (Noam): after the warmup its decay needs no known end.",
        family="warmup",
        source="https://arxiv.org/abs/1706.03762",
        step_every="batch",
    ),
    row(
        wsd,
        WARMUP,
        COOLDOWN,
        name="WSD",
        formula=_PHASES % r"1,\ \frac{T - t}{C}",
        form=lambda t, *, base_lr, total_steps, warmup, cooldown: (
            base_lr * min(_rise(t, total_steps, warmup), 1 - _spent(t, total_steps, cooldown))
        ),
        when="When a run may be lengthened: go on from the plateau, cool down whenever you like.",
        family="warmup",
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
        form=lambda t, *, base_lr, total_steps, warmup, cooldown: (
            base_lr
            * min(_rise(t, total_steps, warmup), 1 - math.sqrt(_spent(t, total_steps, cooldown)))
        ),
        when="As WSD, with the cooldown that falls steeply first and then creeps to zero.",
        family="warmup",
        source="https://arxiv.org/abs/2405.18392",
        step_every="batch",
        refuse=_longer_than_the_run,
    ),
)
