"""Find the base_lr to suggest for each model and optimizer: `python tools/tune_base_lr.py`.

Each is trained with every rate of a coarse grid (1, 2, 5 per decade), under cosine annealing to
zero over the epochs and with the batch size that the kit advises, from five seeds. The rate with
the lowest mean loss wins: the final loss on the clean validation digits, or, for the toy task that
has nothing to learn but its own batch, the final training loss. A run that diverged counts as
infinitely bad.

    python tools/tune_base_lr.py                          the table in lrsched_kit/advice.py
    python tools/tune_base_lr.py --by schedule            one optimizer, five schedules
    python tools/tune_base_lr.py --models CNN --seeds 3   less of it

On two cores the first takes some minutes, and so does the second.
"""

import argparse
import time

import numpy as np

from lrsched_kit.schedules.catalogue import get_schedule
from lrsched_kit.tasks.advice import get_advice
from lrsched_kit.tasks.models import MODELS
from lrsched_kit.tasks.optimizers import RULES
from lrsched_kit.training.fleet import train_many
from lrsched_kit.training.history import History
from lrsched_kit.training.runs import Run

SCHEDULES = ("Constant", "StepLR", "ExponentialLR", "CosineAnnealingLR", "ReduceLROnPlateau")
# Lowest and highest power of ten. Adam's steps are about as long as its rate, whatever the slope.
DECADES = {"sgd": (-3, 1), "momentum": (-3, 0), "adam": (-4, 0), "adamw": (-4, 0)}


def grid(optimizer: str) -> list[float]:
    """Return the rates to try, lowest first."""
    low, high = DECADES[optimizer]
    rates = [float(f"{digit}e{power}") for power in range(low, high) for digit in (1, 2, 5)]
    return [*rates, float(f"1e{high}")]


def final_loss(history: History, *, on_validation: bool) -> float:
    """Return what is to be low; infinity for a run that diverged."""
    losses = history.val_loss if on_validation else history.train_loss
    return losses[-1] if history.diverged_at is None else np.inf


def tune(model: str, optimizer: str, schedule: str, seeds: int) -> str:
    """Train one model with all rates; return the best as text, and print what each gave."""
    start = time.perf_counter()
    advice, rates = get_advice(model), grid(optimizer)
    data = advice.make_data()
    own = {param.name for param in get_schedule(schedule).params}
    params = {"T_max": advice.epochs} if "T_max" in own else {}
    runs = [Run(schedule, params, lr, optimizer, seed) for lr in rates for seed in range(seeds)]
    options = {"epochs": advice.epochs, "batch_size": advice.batch_size}
    histories = train_many(MODELS[model], data, runs, **options)
    losses = [final_loss(h, on_validation=data.is_classification) for h in histories]
    means = np.array(losses).reshape(len(rates), seeds).mean(axis=1)
    accuracy = np.reshape([h.val_accuracy[-1] for h in histories], (len(rates), seeds)).mean(axis=1)
    best = int(means.round(3).argmin())  # of equals the lowest rate
    shown = "  ".join(f"{rate:g}: {mean:.3f}" for rate, mean in zip(rates, means, strict=True))
    took = time.perf_counter() - start
    print(f"# {model}, {optimizer}, {schedule}: accuracy {accuracy[best]:.1%}, {took:.0f} s")
    print(f"#   {shown}", flush=True)
    if best in (0, len(rates) - 1):
        print("#   The best is an end of the grid.")
    return f"{rates[best]:g}"


def main() -> None:
    """Read the command line, tune, and print one row per model as it stands in the table."""
    parser = argparse.ArgumentParser(description="Find the base_lr to suggest.")
    parser.add_argument("--by", choices=("optimizer", "schedule"), default="optimizer")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--optimizer", choices=RULES, default="momentum", help="of --by schedule")
    parser.add_argument("--seeds", type=int, default=5)
    asked = parser.parse_args()
    for model in asked.models:
        if asked.by == "optimizer":
            best = {name: tune(model, name, "CosineAnnealingLR", asked.seeds) for name in RULES}
        else:
            best = {name: tune(model, asked.optimizer, name, asked.seeds) for name in SCHEDULES}
        row = ", ".join(f'"{name}": {rate}' for name, rate in best.items())
        print(f'"{model}": {{{row}}},', flush=True)


if __name__ == "__main__":
    main()
