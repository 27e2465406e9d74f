"""Rows of torch that follow a cosine."""

from __future__ import annotations

from torch.optim import Optimizer, lr_scheduler, swa_utils

from .palette import BLUE, DASH_DOT, DOTS, SOLID
from .params import Param
from .spec import row


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


ROWS = (
    row(
        lr_scheduler.CosineAnnealingLR,
        Param("T_max", 20, 1, 40, integer=True, horizon=True),
        Param("eta_min", 0.0, 0.0, 0.05, must_be="non-negative"),
        formula=(
            r"\eta_t = \eta_{\min} + \tfrac{1}{2}(\eta_0 - \eta_{\min})"
            r"\left(1 + \cos\frac{\pi t}{T_{\max}}\right)"
        ),
        family="cosine",
        style=(BLUE, DASH_DOT),
        source="https://arxiv.org/abs/1608.03983",
        refuse=_floor_above_start,
    ),
    row(
        lr_scheduler.CosineAnnealingWarmRestarts,
        Param("T_0", 5, 1, 20, integer=True),
        Param("T_mult", 2, 1, 4, integer=True),
        Param("eta_min", 0.0, 0.0, 0.05, help="restart_eta_min.help", must_be="non-negative"),
        formula=(
            r"\eta_t = \eta_{\min} + \tfrac{1}{2}(\eta_0 - \eta_{\min})"
            r"\left(1 + \cos\frac{\pi\,T_{\mathrm{cur}}}{T_i}\right),\quad "
            r"T_{i+1} = T_{\mathrm{mult}}\,T_i"
        ),
        family="cosine",
        style=(BLUE, SOLID),
        source="https://arxiv.org/abs/1608.03983",
        refuse=_floor_above_start,
    ),
    row(
        swa,
        Param("swa_lr", 0.05, 1e-4, 1, log=True, per_group=True),
        Param("anneal_epochs", 10, 1, 40, integer=True),
        name="SWALR",
        formula=(
            r"\eta_t = \eta_{\mathrm{swa}} + \tfrac{1}{2}(\eta_0 - \eta_{\mathrm{swa}})"
            r"\left(1 + \cos\frac{\pi \min(t, n)}{n}\right)"
        ),
        family="cosine",
        style=(BLUE, DOTS),
        source="https://arxiv.org/abs/1803.05407",
    ),
)
