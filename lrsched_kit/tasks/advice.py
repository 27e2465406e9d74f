"""What to train each model on and how to start: data, batch size, epochs, and the base_lr."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..words.errors import look_up
from .data import Dataset, load_digits, toy_regression
from .optimizers import get_rule


@dataclass(frozen=True)
class Advice:
    """Where to start with one model."""

    base_lr: Mapping[str, float]  # optimizer -> the rate that did best; see `suggest_base_lr`
    make_data: Callable[[], Dataset] = load_digits
    batch_size: int = 16
    epochs: int = 12


# Found by `python tools/tune_base_lr.py`: torch 2.13, five seeds.
ADVICE: Mapping[str, Advice] = {
    "MLP": Advice({"sgd": 0.5, "momentum": 0.1, "adam": 0.01, "adamw": 0.01}),
    "CNN": Advice({"sgd": 0.5, "momentum": 0.05, "adam": 0.01, "adamw": 0.02}),
    "LSTM": Advice({"sgd": 2, "momentum": 0.2, "adam": 0.02, "adamw": 0.02}),
    # It has the most to do for each row; with 32 at once its labs keep up.
    "Transformer": Advice(
        {"sgd": 0.5, "momentum": 0.05, "adam": 0.005, "adamw": 0.005}, batch_size=32
    ),
    # As in the tutorial: its one batch of 32 rows, 20 times.
    "SimpleNet": Advice(
        {"sgd": 1, "momentum": 0.5, "adam": 0.2, "adamw": 0.2}, toy_regression, 32, 20
    ),
}


def get_advice(model: str) -> Advice:
    """Return where to start with the model of that name, or refuse it with the nearest one."""
    return look_up("model", "a known name", model, ADVICE)


def suggest_base_lr(model: str, optimizer: str) -> float:
    """Return a base_lr that suits the pair.

    It is the rate that ended lowest, on average over seeds, under cosine annealing to zero, on a
    coarse grid (1, 2, 5 per decade). Another schedule may prefer its neighbour.

    Args:
        model: a name in `MODELS`.
        optimizer: ``"sgd"``, ``"momentum"``, ``"adam"`` or ``"adamw"``: see `make_optimizer`.

    Raises:
        ValueError: for an unknown name, with the nearest one and the list.

    >>> suggest_base_lr("Transformer", "sgd") > suggest_base_lr("Transformer", "adam")
    True
    """
    get_rule(optimizer)
    return get_advice(model).base_lr[optimizer]
