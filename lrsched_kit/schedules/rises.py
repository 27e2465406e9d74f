"""Rows that rise first, then hold or fall, once or often.

Warmups are linear in their rise, whose first step is not zero (an update at rate 0 is wasted), and
none jumps. A rate that ends at zero gets there after the last update, not before it.
"""

from __future__ import annotations

import math
from functools import partial

from torch.optim import Optimizer, lr_scheduler

from .params import Param
from .spec import DASH_DOT, DASH_DOTS, DOTS, LONG, ORANGE, SHORT, SKY, SOLID, row


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


def cyclic(
    optimizer: Optimizer, *, total_steps: int, max_lr: float, cycles: int
) -> lr_scheduler.LRScheduler:
    """Swing between the optimizer's rate and max_lr, and momentum (if any) the other way.

    Other parameter groups swing in proportion to the first.
    """
    groups = optimizer.param_groups
    rates = [float(group["lr"]) for group in groups]
    return lr_scheduler.CyclicLR(
        optimizer,
        base_lr=rates,
        max_lr=[max_lr * (rate / rates[0]) for rate in rates],
        step_size_up=total_steps / (2 * cycles),
        cycle_momentum=all("betas" in group or group.get("momentum") for group in groups),
    )


def one_cycle(
    optimizer: Optimizer,
    *,
    total_steps: int,
    pct_start: float,
    div_factor: float,
    final_div_factor: float,
) -> lr_scheduler.LRScheduler:
    """Rise to each group's rate and fall far below it, momentum (if any) the other way."""
    groups = optimizer.param_groups
    return lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=[float(group["lr"]) for group in groups],
        total_steps=total_steps,
        pct_start=pct_start,
        div_factor=div_factor,
        final_div_factor=final_div_factor,
        cycle_momentum=all("betas" in group or group.get("momentum") for group in groups),
    )


def slanted_triangular(
    optimizer: Optimizer, *, total_steps: int, cut_frac: float, ratio: float
) -> lr_scheduler.LRScheduler:
    """Rise steeply from a small share of the rate, then fall slowly back to it."""
    cut = int(cut_frac * total_steps)

    def factor(t: int) -> float:
        share = t / cut if t < cut else max(0, total_steps - t) / (total_steps - cut)
        return (1 + share * (ratio - 1)) / ratio

    return lr_scheduler.LambdaLR(optimizer, lr_lambda=factor)


def _base_above_max(*, base_lr: float, max_lr: float, **_: float) -> str | None:
    if base_lr <= max_lr:
        return None
    return (
        f"max_lr must be at least base_lr ({base_lr:g}), got {max_lr:g}: "
        "the rate swings from base_lr up to it."
    )


def _rise_of_one_step(*, total_steps: int, pct_start: float, **_: float) -> str | None:
    if pct_start * total_steps != 1:
        return None
    return (
        f"pct_start must not be 1 / total_steps, got {pct_start:g} with {total_steps} steps: "
        "torch then divides by the length of the rise, pct_start * total_steps - 1, which is 0."
    )


_warmup, _cycles = partial(row, family="warmup"), partial(row, family="cycles")

ROWS = (
    _warmup(
        lr_scheduler.LinearLR,
        Param("start_factor", 1 / 3, 0.01, 1.0, help="first_share.help", must_be="factor"),
        Param("end_factor", 1.0, 0.0, 1.0, help="last_share.help", must_be="share"),
        Param("total_iters", 5, 1, 40, integer=True, help="from_to.help"),
        formula=r"\eta_t = \eta_0 \left(a + (b - a)\,\frac{\min(t, n)}{n}\right)",
        style=(ORANGE, DOTS),
    ),
    _warmup(
        warmup_cosine,
        WARMUP,
        Param("floor", 0.0, 0.0, 0.5, must_be="share"),
        name="WarmupCosine",
        formula=(
            r"\eta_t = \eta_0\,\frac{t + 1}{W + 1}\ (t \le W),\quad"
            r"\eta_0 \left(f + \frac{1 - f}{2}\left(1 + \cos\frac{\pi (t - W)}{T - W}\right)\right)"
        ),
        style=(ORANGE, SOLID),
        source="https://arxiv.org/abs/1706.02677",
    ),
    _warmup(
        warmup_linear,
        WARMUP,
        name="WarmupLinear",
        formula=_PHASES % r"\frac{T - t}{T - W}",
        style=(ORANGE, LONG),
        source="https://arxiv.org/abs/2502.15938",
    ),
    _warmup(
        inverse_sqrt,
        WARMUP,
        name="InverseSqrt",
        formula=r"\eta_t = \eta_0 \min\left(\frac{t + 1}{W},\ \sqrt{\frac{W}{t + 1}}\right)",
        style=(ORANGE, SHORT),
        source="https://arxiv.org/abs/1706.03762",
    ),
    _warmup(
        wsd,
        WARMUP,
        COOLDOWN,
        name="WSD",
        formula=_PHASES % r"1,\ \frac{T - t}{C}",
        style=(ORANGE, DASH_DOT),
        source="https://arxiv.org/abs/2404.06395",
        refuse=_longer_than_the_run,
    ),
    _warmup(
        wsd_sqrt,
        WARMUP,
        COOLDOWN,
        name="WSD-sqrt",
        formula=_PHASES % r"1 - \sqrt{\max\left(0, 1 - \frac{T - t}{C}\right)}",
        style=(ORANGE, DASH_DOTS),
        source="https://arxiv.org/abs/2405.18392",
        refuse=_longer_than_the_run,
    ),
    _cycles(
        cyclic,
        Param("max_lr", 0.3, 1e-3, 10, log=True, per_group=True),
        Param("cycles", 4, 1, 10, integer=True),
        name="CyclicLR",
        formula=(
            r"\eta_t = \eta_0 + (\eta_{\max} - \eta_0)\,"
            r"\left(1 - \left|2\,(t c / T \bmod 1) - 1\right|\right)"
        ),
        style=(SKY, SOLID),
        source="https://arxiv.org/abs/1506.01186",
        moves_momentum=True,
        refuse=_base_above_max,
    ),
    _cycles(
        one_cycle,
        Param("pct_start", 0.3, 0.05, 0.95, help="rising_share.help", must_be="fraction"),
        Param("div_factor", 25, 1, 100, log=True),
        Param("final_div_factor", 1e4, 1, 1e6, log=True),
        name="OneCycleLR",
        style=(SKY, DASH_DOT),
        source="https://arxiv.org/abs/1708.07120",
        moves_momentum=True,
        refuse=_rise_of_one_step,
    ),
    _cycles(
        slanted_triangular,
        Param("cut_frac", 0.1, 0.0, 0.5, help="rising_share.help", must_be="below one"),
        Param("ratio", 32, 1, 100, log=True, help="peak_ratio.help"),
        name="SlantedTriangular",
        style=(SKY, DOTS),
        source="https://arxiv.org/abs/1801.06146",
    ),
)
