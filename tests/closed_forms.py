"""Rates worked out without torch: ``form(t, base_lr=, total_steps=, **params)`` after t steps."""

import math
from bisect import bisect_right

import numpy as np

from lrsched_kit.schedules.phases import KINDS, boundaries


def _cosine(share: float, start: float, end: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def _after_restarts(t: int, T_0: int, T_mult: int) -> float:
    length = T_0
    while t >= length:
        t, length = t - length, length * T_mult
    return t / length


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


def _one_cycle(
    t: int,
    *,
    base_lr: float,
    total_steps: int,
    pct_start: float,
    div_factor: float,
    final_div_factor: float,
) -> float:
    peak, last = pct_start * total_steps - 1, total_steps - 1
    start = base_lr / div_factor
    if t <= peak:
        return start + (base_lr - start) * np.sin(np.pi / 2 * t / peak) ** 2
    end = start / final_div_factor
    return end + (base_lr - end) * np.cos(np.pi / 2 * (t - peak) / (last - peak)) ** 2


def _linear(t: int, start: float, steps: int) -> float:
    return 1 - (1 - start) * max(0, steps - t) / steps


FORMS = {
    "Constant": lambda t, *, base_lr, total_steps: base_lr,
    "StepLR": lambda t, *, base_lr, total_steps, step_size, gamma: (
        base_lr * gamma ** (t // step_size)
    ),
    "MultiStepLR": lambda t, *, base_lr, total_steps, milestones, gamma: (
        base_lr * gamma ** sum(t >= milestone for milestone in milestones)
    ),
    "ConstantLR": lambda t, *, base_lr, total_steps, factor, total_iters: (
        base_lr * (factor if t < total_iters else 1)
    ),
    "ExponentialLR": lambda t, *, base_lr, total_steps, gamma: base_lr * gamma**t,
    "PolynomialLR": lambda t, *, base_lr, total_steps, total_iters, power: (
        base_lr * (1 - min(t, total_iters) / total_iters) ** power
    ),
    "REX": lambda t, *, base_lr, total_steps, beta: (
        base_lr * max(0, total_steps - t) / (total_steps - beta * min(t, total_steps))
    ),
    "CosineAnnealingLR": lambda t, *, base_lr, total_steps, T_max, eta_min: _cosine(
        t / T_max, base_lr, eta_min
    ),
    "CosineAnnealingWarmRestarts": lambda t, *, base_lr, total_steps, T_0, T_mult, eta_min: _cosine(
        _after_restarts(t, T_0, T_mult), base_lr, eta_min
    ),
    "SWALR": lambda t, *, base_lr, total_steps, swa_lr, anneal_epochs: _cosine(
        min(1, t / anneal_epochs), base_lr, swa_lr
    ),
    "LinearLR": lambda t, *, base_lr, total_steps, start_factor, end_factor, total_iters: (
        base_lr * np.interp(t, [0, total_iters], [start_factor, end_factor])
    ),
    "WarmupCosine": lambda t, *, base_lr, total_steps, warmup, floor: (
        base_lr
        * _rise(t, total_steps, warmup)
        * (1 - (1 - floor) * math.sin(math.pi / 2 * _after_rise(t, total_steps, warmup)) ** 2)
    ),
    "WarmupLinear": lambda t, *, base_lr, total_steps, warmup: (
        base_lr * _rise(t, total_steps, warmup) * (1 - _after_rise(t, total_steps, warmup))
    ),
    "InverseSqrt": lambda t, *, base_lr, total_steps, warmup: (
        base_lr * _inverse_sqrt(t, max(1, round(warmup * total_steps)))
    ),
    "WSD": lambda t, *, base_lr, total_steps, warmup, cooldown: (
        base_lr * min(_rise(t, total_steps, warmup), 1 - _spent(t, total_steps, cooldown))
    ),
    "WSD-sqrt": lambda t, *, base_lr, total_steps, warmup, cooldown: (
        base_lr
        * min(_rise(t, total_steps, warmup), 1 - math.sqrt(_spent(t, total_steps, cooldown)))
    ),
    "CyclicLR": lambda t, *, base_lr, total_steps, max_lr, cycles: (
        base_lr + (max_lr - base_lr) * (1 - abs(2 * (t * cycles / total_steps % 1) - 1))
    ),
    "OneCycleLR": _one_cycle,
    "SlantedTriangular": lambda t, *, base_lr, total_steps, cut_frac, ratio: (
        base_lr
        * np.interp(t, [0, int(cut_frac * total_steps), total_steps], [1 / ratio, 1, 1 / ratio])
    ),
    "LambdaLR": lambda t, *, base_lr, total_steps, decay: base_lr / (1 + decay * t),
    "MultiplicativeLR": lambda t, *, base_lr, total_steps, factor: base_lr * factor**t,
    "SequentialLR": lambda t, *, base_lr, total_steps, start_factor, total_iters, gamma: (
        base_lr * _linear(t, start_factor, total_iters) * gamma ** max(0, t - total_iters)
    ),
    "ChainedScheduler": lambda t, *, base_lr, total_steps, start_factor, total_iters, gamma: (
        base_lr * _linear(t, start_factor, total_iters) * gamma**t
    ),
    "one_minus_sqrt": lambda t, *, base_lr, total_steps: (
        base_lr * (1 - math.sqrt(min(1, t / total_steps)))
    ),
    "restart": lambda t, *, base_lr, total_steps, share: (
        base_lr * share * math.cos(math.pi / 2 * min(1, t / total_steps)) ** 2
    ),
}


def rate_of_phases(t, phases, *, base_lr, per_epoch=1):
    """The rate of the phase that t lies in, which starts anew from the optimizer's rate."""
    ends = boundaries(phases, steps_per_epoch=per_epoch)
    number = min(bisect_right(ends, t), len(phases) - 1)
    kind, steps = KINDS[phases[number].kind], phases[number].length * per_epoch
    start = ends[number] - steps
    spent = t - start
    if kind.row.name == "MultiplicativeLR" and start > 0:  # it goes on from where the rate is
        base_lr = rate_of_phases(start - 1, phases[:number], base_lr=base_lr, per_epoch=per_epoch)
        spent += 1
    given = kind.row.complete({**kind.fill(steps), **phases[number].params})
    return FORMS[kind.row.name](spent, base_lr=base_lr, **{"total_steps": steps, **given})
