"""The lines under a lab's picture: the picture in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..training.history import History
from ..training.stats import mean_and_error, paired, with_error
from ..words import say


def rate_line(label: str, rates: np.ndarray, epochs: int, *, metric_driven: bool) -> str:
    """Say where the rate starts, where it ends (where a metric decides: on the first seed)."""
    key = "rate_line_by_metric" if metric_driven else "rate_line"
    used = rates[np.isfinite(rates)]
    if not metric_driven and np.ptp(used) == 0:
        key = "flat_line"
    return say(key, label=label, first=f"{used[0]:.4g}", last=f"{used[-1]:.4g}", epochs=epochs)


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
    return say("momentum_line", path=" → ".join(path))


@dataclass(frozen=True)
class Follow:
    """What a lab compares its runs by.

    Attributes:
        metric: "loss", the validation loss, or a metric of the task.
        better: "lower" or "higher", which value of it is better.
    """

    metric: str = "loss"
    better: str = "lower"

    def told(self, params: Mapping[str, Any]) -> str | None:
        """Return what a plateau with such params is told; None: what fits its mode.

        >>> Follow("accuracy", "higher").told({"mode": "max"}), Follow().told({})
        ('accuracy', None)
        """
        fits = {"min": "lower", "max": "higher"}.get(params.get("mode", ""))
        return self.metric if fits == self.better else None


def group_lines(rates: np.ndarray) -> list[str]:
    """Say where the rates of further parameter groups start and end, shape ``(groups, steps)``.

    >>> group_lines(np.array([[0.1, 0.1], [0.01, 0.001]]))
    ['Parameter group 2: the rate goes from 0.01 to 0.001.']
    """
    lines = []
    for number, row in enumerate(rates[1:], start=2):
        used = row[np.isfinite(row)]
        facts = {"first": f"{used[0]:.4g}", "last": f"{used[-1]:.4g}"}
        lines.append(say("group_line", number=number, **facts))
    return lines


def loss_lines(histories: Mapping[str, Sequence[History]], follow: Follow = Follow()) -> list[str]:
    """Say what the final losses are, which runs diverged, and whether the difference is luck.

    The first entry is the schedule under study; if "Constant" follows, they are compared, by
    another metric if one is followed, which then has a line of its own.
    """
    lines = []
    seeds = max((len(runs) for runs in histories.values()), default=0)
    if losses := _means(histories, "loss"):
        key = "loss_line" if seeds > 1 else "loss_line_one"
        lines.append(say(key, seeds=seeds, losses=losses))
    if follow.metric != "loss" and (values := _means(histories, follow.metric)):
        facts = {"metric": follow.metric, "seeds": seeds, "values": values}
        lines.append(say("metric_line", **facts))
    for label, runs in histories.items():
        lost = [run.diverged_at for run in runs if run.diverged_at is not None]
        if lost:
            facts = {"epoch": min(lost) + 1, "lost": len(lost), "seeds": len(runs)}
            lines.append(say("diverged", label=label, **facts))
    if list(histories)[1:] == ["Constant"]:
        lines += _verdict(*histories.items(), follow)
    return lines


def _means(histories: Mapping[str, Sequence[History]], metric: str) -> str:
    """Return the mean of each label's finals, with its standard error, in a row."""
    texts = []
    for label, runs in histories.items():
        final = _finals(runs, metric)
        if len(kept := final[np.isfinite(final)]):
            text = f"{label} {with_error(*map(float, mean_and_error(kept)))}"
            if len(kept) < len(runs):
                text = say("survivors", loss=text, kept=len(kept), seeds=len(runs))
            texts.append(text)
    return ", ".join(texts)


def _verdict(
    first: tuple[str, Sequence[History]], second: tuple[str, Sequence[History]], follow: Follow
) -> list[str]:
    finals = (_finals(runs, follow.metric) for _, runs in (first, second))
    result = paired(*finals, higher=follow.better == "higher")
    if result.seeds < 2 or np.isnan(result.gap):  # an anecdote, or no seed on which both ended
        return []
    gap = with_error(abs(result.gap), result.error)
    key = "better" if result.gap > 0 else "worse" if result.gap < 0 else "same"
    if follow.metric != "loss" and key != "same":
        key = f"{key}_{follow.better}"
    facts = {"wins": result.wins, "seeds": result.seeds, "gap": gap, "metric": follow.metric}
    return [say(key, label=first[0], **facts)]


def _finals(runs: Sequence[History], metric: str) -> np.ndarray:
    return np.array([run.of(metric)[-1] for run in runs])
