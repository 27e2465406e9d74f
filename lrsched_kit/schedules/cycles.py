"""Rows that rise and fall, once or often, and those of torch that move momentum with the rate."""

from __future__ import annotations

from torch.optim import Optimizer, lr_scheduler

from .palette import DASH_DOT, DOTS, SKY, SOLID
from .params import Param
from .spec import row


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


ROWS = (
    row(
        cyclic,
        Param("max_lr", 0.3, 1e-3, 10, log=True, per_group=True),
        Param("cycles", 4, 1, 10, integer=True),
        name="CyclicLR",
        formula=(
            r"\eta_t = \eta_0 + (\eta_{\max} - \eta_0)\,"
            r"\left(1 - \left|2\,(t c / T \bmod 1) - 1\right|\right)"
        ),
        family="cycles",
        style=(SKY, SOLID),
        source="https://arxiv.org/abs/1506.01186",
        step_every="batch",
        moves_momentum=True,
        refuse=_base_above_max,
    ),
    row(
        one_cycle,
        Param("pct_start", 0.3, 0.05, 0.95, help="rising_share.help", must_be="fraction"),
        Param("div_factor", 25, 1, 100, log=True),
        Param("final_div_factor", 1e4, 1, 1e6, log=True),
        name="OneCycleLR",
        family="cycles",
        style=(SKY, DASH_DOT),
        source="https://arxiv.org/abs/1708.07120",
        step_every="batch",
        moves_momentum=True,
        refuse=_rise_of_one_step,
    ),
    row(
        slanted_triangular,
        Param("cut_frac", 0.1, 0.0, 0.5, help="rising_share.help", must_be="below one"),
        Param("ratio", 32, 1, 100, log=True, help="peak_ratio.help"),
        name="SlantedTriangular",
        family="cycles",
        style=(SKY, DOTS),
        source="https://arxiv.org/abs/1801.06146",
        step_every="batch",
    ),
)
