"""The kit without a notebook: ``python -m lrsched_kit compare`` and ``... doctor``."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import torch
from torch import nn

from .experiments.comparison import Comparison, compare
from .plotting.figure import new_axes
from .plotting.histories import plot_histories
from .plotting.style import dress
from .schedules.catalogue import BASICS, SCHEDULES
from .tasks.data import Dataset, load_digits, toy_regression
from .tasks.models import MLP, SimpleNet
from .training.history import History
from .words import say
from .words.errors import check_number

# The basics as the tutorial trains them; T_max is the length of the run.
TUTORIAL: dict[str, dict[str, float]] = {name: {} for name in BASICS}
TUTORIAL["ExponentialLR"] = {"gamma": 0.95}
TASKS: dict[str, tuple[Callable[..., Dataset], Callable[[], nn.Module]]]
TASKS = {"toy": (toy_regression, SimpleNet), "digits": (load_digits, MLP)}
BATCH_SIZE = 32


def report(label: str, history: History) -> list[str]:
    """Return one line per epoch: training loss, and the rate that was applied."""
    lines = [
        say("epoch_line", label=label, epoch=i + 1, loss=loss, lr=history.epoch_lr[i])
        for i, loss in enumerate(history.train_loss)
    ]
    if (lost := history.diverged_at) is not None:
        lines[lost:] = [say("diverged_line", label=label, epoch=lost + 1)]
    return lines


def draw(found: Comparison, path: Path) -> None:
    """Write rates, losses and final losses side by side, each 10 x 6 inches."""
    rate_ax, loss_ax, finals_ax = new_axes(3, size=(30, 6))
    plot_histories(found.histories, (rate_ax, loss_ax))
    found.plot(finals_ax)
    dress(rate_ax, x=say("picture_epoch"), y=say("picture_rate"), title=say("picture_rates"))
    dress(loss_ax, x=say("picture_epoch"), y=say("picture_loss"), title=say("picture_losses"))
    rate_ax.figure.savefig(path)  # type: ignore[union-attr]  # it is no SubFigure


def run_compare(args: argparse.Namespace) -> int:
    """Print and draw what `compare` finds, and the first seed epoch by epoch."""
    make_data, make_model = TASKS[args.data]
    try:
        found = compare(
            getattr(args, "schedule", TUTORIAL),
            seeds=args.seeds,
            epochs=args.epochs,
            base_lr=check_number("lr", args.lr),
            data=make_data(seed=args.seed),
            make_model=make_model,
            optimizer="sgd",
            batch_size=BATCH_SIZE,
            first_seed=args.seed,
            progress=sys.stderr.isatty(),
        )
        for label, (first, *_) in found.histories.items():
            print(*report(label, first), sep="\n")
        print(found.table())
        draw(found, args.out)
    except BrokenPipeError:
        raise
    except (ValueError, OSError) as error:
        print(f"lrsched_kit compare: {error}", file=sys.stderr)
        return 2
    print(say("drawn_in", path=args.out))
    return 0


def run_doctor(_: argparse.Namespace) -> int:
    """Print versions, threads, and whether a lab can run here."""
    system = {"system": platform.system(), "machine": platform.machine()}
    print(say("doctor_python", version=platform.python_version(), **system))
    missing = []
    for package in ("torch", "numpy", "matplotlib", "ipywidgets", "jupyterlab"):
        try:
            version = importlib.metadata.version(package)
            print(say("doctor_package", package=package, version=version))
        except importlib.metadata.PackageNotFoundError:
            missing.append(package)
            print(say("doctor_missing", package=package))
    threads = torch.get_num_threads()
    print(say("doctor_thread" if threads == 1 else "doctor_threads", threads=threads))
    try:
        _try_lab()
    except Exception as error:  # whatever it is, the reader wants to be told
        print(say("doctor_no_lab", error=f"{type(error).__name__}: {error}"))
        return 1
    print(say("doctor_lab"))
    if missing:
        print(say("doctor_install", packages=", ".join(missing)))
    return 1 if missing else 0


def _try_lab() -> None:
    from .labs.schedule_lab import ScheduleLab

    with closing(ScheduleLab("StepLR", epochs=1, seeds=1)) as lab:
        lab.wait(timeout=60)
        if not lab.histories:
            raise RuntimeError("no picture after a minute")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m lrsched_kit", description=say("command_line"))
    commands = parser.add_subparsers(required=True, metavar="command")
    comparing = commands.add_parser(
        "compare",
        help=say("compare_command"),
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    names, default = ", ".join(SCHEDULES), ", ".join(TUTORIAL)
    comparing.add_argument(
        "--schedule",
        action="append",
        metavar="NAME",
        help=say("compare_schedule", names=names, default=default),
        default=argparse.SUPPRESS,
    )
    numbers = {"epochs": 20, "lr": 0.01, "seed": 0, "seeds": 5}
    for name, number in numbers.items():
        text = say(f"compare_{name}")
        comparing.add_argument(f"--{name}", type=type(number), default=number, help=text)
    comparing.add_argument("--data", choices=TASKS, default="toy", help=say("compare_data"))
    out = Path("schedules.png")
    comparing.add_argument("--out", type=Path, default=out, help=say("compare_out"))
    comparing.set_defaults(run=run_compare)
    doctor = commands.add_parser("doctor", help=say("doctor_command"))
    doctor.set_defaults(run=run_doctor)
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
