"""The lines under a lab's picture: the picture in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..stats import mean_and_error, paired, with_error
from ..training import History
from ..words import WORDS


def rate_line(label: str, rates: np.ndarray, epochs: int, *, metric_driven: bool) -> str:
    """Say where the rate starts, where it ends (where a metric decides: on the first seed)."""
    key = "rate_line_by_metric" if metric_driven else "rate_line"
    used = rates[np.isfinite(rates)]
    if not metric_driven and np.ptp(used) == 0:
        key = "flat_line"
    return WORDS[key].format(
        label=label, first=f"{used[0]:.4g}", last=f"{used[-1]:.4g}", epochs=epochs
    )


def momentum_line(momentum: np.ndarray) -> str:
    """Say where a scheduler takes the momentum: its first value, where it turns, its last.

    >>> momentum_line(np.array([0.95, 0.9, 0.85, 0.85, 0.9, 0.95]))
    'Its momentum goes 0.95 → 0.85 → 0.95 (with Adam: its first beta).'
    """
    moves = np.diff(momentum)
    moving = np.flatnonzero(moves)
    turns = moving[1:][np.diff(np.sign(moves[moving])) != 0]
    path = [f"{value:.3g}" for value in momentum[[0, *turns, -1]]]
    if len(path) > 4:
        path[3:-1] = ["…"]
    return WORDS["momentum_line"].format(path=" → ".join(path))


def loss_lines(histories: Mapping[str, Sequence[History]]) -> list[str]:
    """Say what the final losses are, which runs diverged, and whether the difference is luck.

    The first entry is the schedule under study; if "Constant" follows, they are compared.
    """
    lines = []
    losses = []
    for label, runs in histories.items():
        lost = [run.diverged_at for run in runs if run.diverged_at is not None]
        if lost:
            lines.append(
                WORDS["diverged"].format(
                    label=label, epoch=min(lost) + 1, lost=len(lost), seeds=len(runs)
                )
            )
        final = _final(runs)
        if len(kept := final[np.isfinite(final)]):
            loss = f"{label} {with_error(*map(float, mean_and_error(kept)))}"
            if len(kept) < len(runs):
                loss = WORDS["survivors"].format(loss=loss, kept=len(kept), seeds=len(runs))
            losses.append(loss)
    if losses:
        seeds = max(len(runs) for runs in histories.values())
        key = "loss_line" if seeds > 1 else "loss_line_one"
        lines.insert(0, WORDS[key].format(seeds=seeds, losses=", ".join(losses)))
    if list(histories)[1:] == ["Constant"]:
        lines += _verdict(*histories.items())
    return lines


def _verdict(
    first: tuple[str, Sequence[History]], second: tuple[str, Sequence[History]]
) -> list[str]:
    result = paired(_final(first[1]), _final(second[1]))
    if result.seeds < 2 or np.isnan(result.gap):  # an anecdote, or no seed on which both ended
        return []
    gap = with_error(abs(result.gap), result.error)
    key = "better" if result.gap > 0 else "worse" if result.gap < 0 else "same"
    return [WORDS[key].format(label=first[0], wins=result.wins, seeds=result.seeds, gap=gap)]


def _final(runs: Sequence[History]) -> np.ndarray:
    return np.array([run.val_loss[-1] for run in runs])
