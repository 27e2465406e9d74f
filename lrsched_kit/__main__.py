"""The kit without a notebook: ``python -m lrsched_kit compare`` and ``... check``."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from .plotting.figures import new_axes, plot_histories
from .plotting.style import dress
from .schedules.catalogue import SCHEDULES, get_schedule
from .tasks.data import load_digits, toy_regression
from .tasks.models import MLP, SimpleNet, seeded
from .training.history import History
from .training.loop import train
from .words.errors import check_number

TUTORIAL = ("StepLR", "ExponentialLR", "CosineAnnealingLR")
# What the tutorial trains with, by schedule; T_max is the length of the run.
TUTORIAL_PARAMS = {
    "StepLR": {"step_size": 5, "gamma": 0.1},
    "ExponentialLR": {"gamma": 0.95},
    "ReduceLROnPlateau": {"factor": 0.1, "patience": 3},
}
TASKS = {"toy": (toy_regression, SimpleNet), "digits": (load_digits, MLP)}
BATCH_SIZE = 32


def compare(
    schedules: Sequence[str], *, epochs: int, lr: float, seed: int, task: str
) -> dict[str, History]:
    """Train each schedule from the same initial weights with plain SGD.

    Raises:
        ValueError: naming argument, constraint and value.
    """
    lr = check_number("lr", lr)
    epochs = int(check_number("epochs", epochs, integer=True))
    rows = [get_schedule(name) for name in schedules]
    make_data, make_model = TASKS[task]
    data = make_data(seed=seed)
    histories = {}
    for row in rows:
        model = seeded(make_model, seed)
        optimizer = torch.optim.SGD(model.parameters(), lr=lr)
        params = row.complete(TUTORIAL_PARAMS.get(row.name, {}), horizon=epochs)
        scheduler = row.build(optimizer, total_steps=epochs, **params)
        histories[row.name] = train(
            model, data, optimizer, scheduler, epochs=epochs, batch_size=BATCH_SIZE, seed=seed
        )
    return histories


def report(name: str, history: History) -> list[str]:
    """Return one line per epoch: training loss, and the rate that was applied.

    >>> import numpy as np
    >>> row = np.array([0.5])
    >>> report("StepLR", History(np.array([0.01]), row, row, row))
    ['[StepLR] Epoch 1, Loss: 0.5000, LR: 0.010000']
    """
    lines = [
        f"[{name}] Epoch {epoch + 1}, Loss: {loss:.4f}, LR: {lr:.6f}"
        for epoch, (loss, lr) in enumerate(zip(history.train_loss, history.epoch_lr, strict=True))
    ]
    if history.diverged_at is not None:
        lines[history.diverged_at :] = [f"[{name}] diverged at epoch {history.diverged_at + 1}"]
    return lines


def draw(histories: dict[str, History], path: Path) -> None:
    """Write the rates, 10 x 6 inches, and beside them the losses."""
    rate_ax, loss_ax = plot_histories(histories, new_axes(2, size=(20, 6)))
    dress(rate_ax, x="Epoch", y="Learning Rate", title="Learning Rate Schedules")
    dress(loss_ax, x="Epoch", y="Loss", title="Loss: validation (thick), training (thin)")
    rate_ax.figure.savefig(path)


def run_compare(args: argparse.Namespace) -> int:
    """Print what the tutorial promises, and draw it."""
    schedules = args.schedule or list(TUTORIAL)
    try:
        histories = compare(
            schedules, epochs=args.epochs, lr=args.lr, seed=args.seed, task=args.data
        )
        for name, history in histories.items():
            print(*report(name, history), sep="\n")
        draw(histories, args.out)
    except BrokenPipeError:
        raise
    except (ValueError, OSError) as error:
        print(f"lrsched_kit compare: {error}", file=sys.stderr)
        return 2
    print(f"Rates and losses are drawn in {args.out}")
    return 0


def run_check(_: argparse.Namespace) -> int:
    """Print versions, threads, and whether a lab can run here."""
    print(f"Python {platform.python_version()} on {platform.system()} {platform.machine()}")
    missing = []
    for package in ("torch", "numpy", "matplotlib", "ipywidgets", "jupyterlab"):
        try:
            print(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(package)
            print(f"{package} is missing")
    print(f"torch uses {torch.get_num_threads()} threads")
    try:
        _try_lab()
    except Exception as error:  # whatever it is, the reader wants to be told
        print(f"labs: a lab cannot run here: {type(error).__name__}: {error}")
        return 1
    print("labs: a lab trained and drew a picture")
    if missing:
        print(f"To see labs, install {', '.join(missing)}.")
    return 1 if missing else 0


def _try_lab() -> None:
    from .labs.schedule_lab import ScheduleLab

    lab = ScheduleLab("StepLR", epochs=1, seeds=1)
    try:
        lab.wait(timeout=60)
        if not lab.histories:
            raise RuntimeError("no picture after a minute")
    finally:
        lab.close()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m lrsched_kit", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")
    comparing = commands.add_parser(
        "compare",
        help="train schedules from the same initial weights; print and draw them",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    comparing.add_argument(
        "--schedule",
        action="append",
        metavar="NAME",
        help=f"repeatable; one of {', '.join(SCHEDULES)} (default: {', '.join(TUTORIAL)})",
        default=argparse.SUPPRESS,
    )
    comparing.add_argument("--epochs", type=int, default=20)
    comparing.add_argument("--lr", type=float, default=0.01, help="the optimizer's initial rate")
    comparing.add_argument("--seed", type=int, default=0)
    comparing.add_argument("--data", choices=TASKS, default="toy")
    comparing.add_argument("--out", type=Path, default=Path("schedules.png"))
    comparing.set_defaults(run=run_compare, schedule=None)
    checking = commands.add_parser("check", help="print versions, threads, and try a lab")
    checking.set_defaults(run=run_check)
    args = parser.parse_args(argv)
    try:
        code = args.run(args)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever reads has seen enough, like "head"; that is no error
        # Python writes what is left at its end, and would fail once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


if __name__ == "__main__":
    sys.exit(main())
