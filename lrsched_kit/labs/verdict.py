"""The lines under a lab's picture: the picture in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..experiments.sweeps import Cell, Sweep
from ..plotting.limits import short_number
from ..training.history import History
from ..training.stats import mean_and_error, paired, t_quantile, with_error
from ..words import say

Histories = Mapping[str, Sequence[History]]  # label -> one per seed
LUCK = 0.05  # how often luck alone may set any of the other cells apart from the best


def one_or_many(key: str, count: int, **values: object) -> str:
    """Say the sentence of that key, or where the count is one, its singular."""
    return say(f"{key}_one" if count == 1 else f"{key}_many", **values)


def two_digits(rate: float) -> str:
    """Write a rate in short, or that there is none."""
    return short_number(float(f"{rate:.2g}")) if np.isfinite(rate) else say("no_pick")


def rate_line(label: str, rates: np.ndarray, epochs: int, *, metric_driven: bool) -> str:
    """Say where the rate starts, where it ends (where a metric decides: on the first seed)."""
    key = "rate_by_metric" if metric_driven else "rate"
    if not metric_driven and np.nanmin(rates) == np.nanmax(rates):
        key = "rate_flat"
    return one_or_many(key, epochs, label=label, **_ends(rates), epochs=epochs)


def momentum_line(momentum: np.ndarray) -> str:
    """Say where a scheduler takes the momentum: its first value, where it turns, its last."""
    moves = np.diff(momentum)
    moving = np.flatnonzero(moves)
    turns = moving[1:][np.diff(np.sign(moves[moving])) != 0]
    path = [f"{value:.3g}" for value in momentum[[0, *turns, -1]]]
    if len(path) > 4:
        path[3:-1] = ["…"]
    return say("momentum_line", path=" → ".join(path))


def group_lines(rates: np.ndarray) -> list[str]:
    """Say where the rates of further parameter groups start and end, shape ``(groups, steps)``."""
    return [say("group_line", number=n, **_ends(row)) for n, row in enumerate(rates[1:], start=2)]


def _ends(rates: np.ndarray) -> dict[str, str]:
    used = rates[np.isfinite(rates)]
    return {"first": f"{used[0]:.4g}", "last": f"{used[-1]:.4g}"}


def loss_lines(histories: Histories, metric: str = "loss", better: str = "lower") -> list[str]:
    """Say what the final losses are, which runs diverged, and whether the difference is luck.

    The first entry is the schedule under study; if "Constant" follows, the two are set against
    each other, by another metric if one is followed, which then has a line of its own.
    """
    lines = []
    seeds = max((len(runs) for runs in histories.values()), default=0)
    if losses := _means(histories, "loss"):
        lines.append(one_or_many("final_loss", seeds, seeds=seeds, losses=losses))
    if metric != "loss" and (values := _means(histories, metric)):
        facts = {"metric": metric, "seeds": seeds, "values": values}
        lines.append(one_or_many("final_metric", seeds, **facts))
    for label, runs in histories.items():
        if lost := [run.diverged_at for run in runs if run.diverged_at is not None]:
            facts = {"epoch": min(lost) + 1, "lost": len(lost), "seeds": len(runs)}
            lines.append(one_or_many("diverged", len(runs), label=label, **facts))
    if list(histories)[1:] == ["Constant"]:
        lines += _verdict(histories, metric, better)
    return lines


def _means(histories: Histories, metric: str) -> str:
    """Return the mean of each label's finals, with its standard error, in a row."""
    texts = []
    for label, runs in histories.items():
        final = _finals(runs, metric)
        if len(kept := final[np.isfinite(final)]):
            key = "mean_of_all" if len(kept) == len(runs) else "mean_of_some"
            mean = with_error(*map(float, mean_and_error(kept)))
            texts.append(say(key, label=label, mean=mean, kept=len(kept), seeds=len(runs)))
    return ", ".join(texts)


def _verdict(histories: Histories, metric: str, better: str) -> list[str]:
    label, _ = histories
    finals = (_finals(runs, metric) for runs in histories.values())
    result = paired(*finals, higher=better == "higher")
    if result.seeds < 2 or np.isnan(result.gap):  # an anecdote, or no seed on which both ended
        return []
    gap = with_error(abs(result.gap), result.error)
    key = "better" if result.gap > 0 else "worse" if result.gap < 0 else "same"
    facts = {"wins": result.wins, "seeds": result.seeds, "gap": gap, "metric": metric}
    if metric == "loss" or key == "same":
        return [say(key, label=label, **facts)]
    return [say(f"{key}_{better}", label=label, **facts)]


def _finals(runs: Sequence[History], metric: str) -> np.ndarray:
    return np.array([run.of(metric)[-1] for run in runs])


def cell_line(sweep: Sweep, cell: Cell) -> str:
    """Say what came of a cell."""
    facts = _cell_facts(sweep, cell)
    return say("cell_line" if np.isfinite(sweep.mean[cell]) else "cell_diverged_line", **facts)


def best_line(sweep: Sweep, best: Cell) -> str:
    """Name the best cell, and how many others are as good as far as the seeds can tell."""
    key = "highest" if sweep.higher else "lowest"
    facts = _cell_facts(sweep, best)
    line = say(f"{key}_line", cells=len(sweep.histories), **facts)
    if sweep.seeds == 1:
        return line
    finals = sweep.finals
    others = [cell for cell in sweep.histories if cell != best]
    # The best was chosen among them: the more there are, the farther luck reaches.
    far = t_quantile(1 - LUCK / max(1, len(others)), sweep.seeds - 1)
    whole = [cell for cell in others if np.isfinite(sweep.mean[cell])]
    gaps = [paired(finals[best], finals[cell], higher=sweep.higher) for cell in whole]
    close = sum(gap.gap <= far * gap.error for gap in gaps)
    luck = say(f"{key}_by_luck_line", close=close, others=len(others), seeds=sweep.seeds)
    return f"{line} {luck}"


def _cell_facts(sweep: Sweep, cell: Cell) -> dict[str, str]:
    setting = ", ".join(f"{name} {value:.3g}" for name, value in sweep.setting(cell).items())
    mean, error = float(sweep.mean[cell]), float(sweep.error[cell])
    return {"setting": setting, "mean": with_error(mean, error)}
