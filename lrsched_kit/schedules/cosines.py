"""Rows of torch that follow a cosine."""

from __future__ import annotations

import math

from torch.optim import Optimizer, lr_scheduler, swa_utils

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


def _cosine(share: float, start: float, end: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def _after_restarts(t: int, T_0: int, T_mult: int) -> float:
    length = T_0
    while t >= length:
        t, length = t - length, length * T_mult
    return t / length


ROWS = (
    row(
        lr_scheduler.CosineAnnealingLR,
        Param(
            "T_max",
            20,
            1,
            40,
            integer=True,
            help="epochs from the peak to the bottom",
            horizon=True,
        ),
        Param("eta_min", 0.0, 0.0, 0.05, help="the rate at the bottom", must_be="non-negative"),
        formula=(
            r"\eta_t = \eta_{\min} + \tfrac{1}{2}(\eta_0 - \eta_{\min})"
            r"\left(1 + \cos\frac{\pi t}{T_{\max}}\right)"
        ),
        form=lambda t, *, base_lr, total_steps, T_max, eta_min: _cosine(
            t / T_max, base_lr, eta_min
        ),
        when="When the length of the run is known: one knob, T_max, set to that length.",
        family="cosine",
        source="https://arxiv.org/abs/1608.03983",
        refuse=_floor_above_start,
    ),
    row(
        lr_scheduler.CosineAnnealingWarmRestarts,
        Param("T_0", 5, 1, 20, integer=True, help="epochs until the first restart"),
        Param("T_mult", 2, 1, 4, integer=True, help="how many times longer each cycle gets"),
        Param("eta_min", 0.0, 0.0, 0.05, help="the rate before a restart", must_be="non-negative"),
        formula=(
            r"\eta_t = \eta_{\min} + \tfrac{1}{2}(\eta_0 - \eta_{\min})"
            r"\left(1 + \cos\frac{\pi\,T_{\mathrm{cur}}}{T_i}\right),\quad"
            r"T_{i+1} = T_{\mathrm{mult}}\,T_i"
        ),
        form=lambda t, *, base_lr, total_steps, T_0, T_mult, eta_min: _cosine(
            _after_restarts(t, T_0, T_mult), base_lr, eta_min
        ),
        when="When you want a good model at several times: stop just before a restart.",
        family="cosine",
        source="https://arxiv.org/abs/1608.03983",
        refuse=_floor_above_start,
    ),
    row(
        swa,
        Param(
            "swa_lr",
            0.05,
            1e-4,
            1,
            log=True,
            help="the rate that it comes to rest at",
            per_group=True,
        ),
        Param("anneal_epochs", 10, 1, 40, integer=True, help="epochs until then"),
        name="SWALR",
        formula=(
            r"\eta_t = \eta_{\mathrm{swa}} + \tfrac{1}{2}(\eta_0 - \eta_{\mathrm{swa}})"
            r"\left(1 + \cos\frac{\pi \min(t, n)}{n}\right)"
        ),
        form=lambda t, *, base_lr, total_steps, swa_lr, anneal_epochs: _cosine(
            min(1, t / anneal_epochs), base_lr, swa_lr
        ),
        when="The end of a run whose weights are averaged: a rate that stays fairly high.",
        family="cosine",
        source="https://arxiv.org/abs/1803.05407",
    ),
)
