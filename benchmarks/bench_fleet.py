"""How much faster a fleet is than the plain loop, and how far from what the processor could do.

Times on a machine with other work are worth little, ratios measured side by side a good deal:
each row times the plain loop, the fleet, and the plain loop again, several times over, and prints
the median ratio. A plain run is timed over a few epochs and multiplied up.
"""

import time
from functools import partial
from statistics import median

import torch
from torch import nn

from lrsched_kit.schedules.catalogue import get_schedule
from lrsched_kit.tasks.advice import get_advice
from lrsched_kit.tasks.data import load_digits
from lrsched_kit.tasks.models import CNN, LSTM, MLP, Transformer, seeded
from lrsched_kit.tasks.optimizers import make_optimizer
from lrsched_kit.tasks.torch_private import multiplications
from lrsched_kit.training.batched import LinearStack, Stack
from lrsched_kit.training.fleet import Fleet, train_many
from lrsched_kit.training.loop import train
from lrsched_kit.training.runs import Run

EPOCHS, PLAIN_EPOCHS, REPEATS = 20, 4, 5
DIGITS = load_digits()
FIVE = ("Constant", "StepLR", "ExponentialLR", "CosineAnnealingLR", "ReduceLROnPlateau")


def tanh_mlp():
    """As large as the MLP, but nothing that the fast way knows."""
    return nn.Sequential(nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 10))


def seconds(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def plain(make_model, batch_size):
    """Seconds for one run and epoch of the plain loop (which holds torch to its best: 1 thread)."""
    model = seeded(make_model, 0)
    optimizer = make_optimizer("momentum", model.parameters(), 0.1)
    scheduler = get_schedule("StepLR").build(optimizer, total_steps=PLAIN_EPOCHS)
    options = {"epochs": PLAIN_EPOCHS, "batch_size": batch_size}
    return seconds(lambda: train(model, DIGITS, optimizer, scheduler, **options)) / PLAIN_EPOCHS


def least(make_model, runs, epochs):
    """Seconds that the multiplications alone would take, all cores at their measured best.

    A training step multiplies as often as three forward passes, less the slope by the inputs.
    """
    model = make_model()
    first = next(model.parameters()).numel()
    forward = multiplications(model, DIGITS.x_train)
    flops = 2 * (3 * forward - first * len(DIGITS.x_train))
    flops += 2 * multiplications(model, DIGITS.x_val)
    return runs * epochs * flops / peak()


def peak():
    """Multiplications and additions per second in a large matrix product."""
    a = torch.randn(1024, 1024)
    return 2 * 1024**3 / min(seconds(lambda: a @ a) for _ in range(20))


def compare(label, make_model, runs, batch_size, target, epochs=EPOCHS):
    many = len(runs)
    loops, fleets, ratios = [], [], []
    for _ in range(REPEATS):
        before = plain(make_model, batch_size)
        fleets.append(
            seconds(
                lambda: train_many(make_model, DIGITS, runs, epochs=epochs, batch_size=batch_size)
            )
        )
        loops.append((before + plain(make_model, batch_size)) / 2 * many * epochs)
        ratios.append(loops[-1] / fleets[-1])
    best = least(make_model, many, epochs)
    print(
        f"{label:<34}{median(loops):>8.2f} s{median(fleets):>9.3f} s{median(ratios):>9.1f}x"
        f"  {target:<9}{best:>7.3f} s{median(fleets) / best:>8.1f}x",
        flush=True,
    )


def two_ways(many=64, batch_size=32):
    """How much the written-out derivatives gain: one step of each way, in turn."""
    models = [seeded(MLP, seed) for seed in range(many)]
    general, fast = Stack(models, DIGITS), LinearStack(models, DIGITS, layers=["fc1", "fc2"])
    rows = torch.randint(len(DIGITS.x_train), (many, batch_size))
    x, y = DIGITS.x_train[rows], DIGITS.y_train[rows]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    pairs = [
        [seconds(lambda stack=stack: stack.backward(x, y)) for stack in (general, fast)]
        for _ in range(100)
    ]
    torch.set_num_threads(threads)
    ratio = median(slow / quick for slow, quick in pairs)
    print(f"\nLinear layers and ReLUs, derivatives written out, {many} runs: {ratio:.1f}x autograd")


def proof():
    """What it costs to prove that models train together as each would alone; once per fleet."""
    runs = [Run(name, seed=seed) for name in ("StepLR", "Constant") for seed in range(5)]
    shares = []
    for _ in range(4 * REPEATS):
        fleet = Fleet(MLP, DIGITS, 16, {seed: seeded(MLP, seed) for seed in range(5)})
        first = seconds(lambda fleet=fleet: fleet.train(runs, epochs=1))
        later = min(seconds(lambda fleet=fleet: fleet.train(runs, epochs=1)) for _ in range(2))
        whole = seconds(lambda fleet=fleet: fleet.train(runs, epochs=EPOCHS))
        shares.append((first - later) / whole)
    print(f"\nProof of 10 MLP runs, against training them once: {median(shares):.1%}  <= 5%")


def alone():
    """How much longer a run takes that trains by itself; two threads gain nothing for such."""

    def with_dropout():
        return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 10))

    ratios = []
    for _ in range(REPEATS):
        before = plain(with_dropout, 16)
        run = Run("StepLR")
        took = seconds(partial(train_many, with_dropout, DIGITS, [run], epochs=PLAIN_EPOCHS))
        ratios.append(took / PLAIN_EPOCHS / ((before + plain(with_dropout, 16)) / 2))
    print(f"A model with dropout, run by run, against train: {median(ratios):.2f}  <= 1.1")


def table():
    """Seconds for the table of models and schedules: 5 schedules, 5 seeds, as long as advised."""
    print("\n5 schedules x 5 seeds: target <= 20 s a model, <= 60 s for all")
    total = 0.0
    for model in (MLP, CNN, LSTM, Transformer):
        advice = get_advice(model.__name__)
        runs = [
            Run(name, base_lr=advice.base_lr["momentum"], seed=seed)
            for name in FIVE
            for seed in range(5)
        ]
        start = time.perf_counter()
        train_many(model, DIGITS, runs, epochs=advice.epochs, batch_size=advice.batch_size)
        took = time.perf_counter() - start
        total += took
        print(f"  {model.__name__:<12}{took:>6.1f} s", flush=True)
    print(f"  {'all':<12}{total:>6.1f} s")


def first_epoch():
    """How soon a lab with the Transformer has something to draw, and all: 10 runs, 12 epochs."""
    models = {seed: seeded(Transformer, seed) for seed in range(5)}
    advice = get_advice("Transformer")
    lab = Fleet(Transformer, DIGITS, advice.batch_size, models)
    lr = advice.base_lr["momentum"]
    runs = [Run(name, base_lr=lr, seed=s) for name in ("StepLR", "Constant") for s in range(5)]
    start, ends = time.perf_counter(), []
    lab.train(runs, epochs=12, on_epoch=lambda *_: ends.append(time.perf_counter() - start))
    print("\nTransformer, 10 runs as in a lab: targets < 0.5 s, picture included, and < 5 s")
    print(f"  first epoch {ends[0]:.2f} s, all {len(ends)} epochs {ends[-1]:.1f} s")


def seeds(count, base_lr=0.1):
    return [Run("StepLR", base_lr=base_lr, seed=seed) for seed in range(count)]


def main():
    print(f"{EPOCHS} epochs of the digits, or as said; medians of {REPEATS}", end="; ")
    print(f"{torch.get_num_threads()} threads")
    print(f"{'':<34}{'plain':>10}{'fleet':>11}{'ratio':>10}  {'target':<9}{'limit':>9}{'above':>9}")
    plain(MLP, 32)
    train_many(MLP, DIGITS, seeds(2), epochs=1)
    lab = [Run(name, seed=seed) for name in ("StepLR", "Constant") for seed in range(5)]
    compare("64 MLP, batch 32", MLP, seeds(64), 32, ">= 28x")
    compare("256 MLP, batch 32", MLP, seeds(256), 32, ">= 41x")
    compare("20 of the general way, batch 32", tanh_mlp, seeds(20), 32, ">= 6x")
    compare("10 MLP as in a lab, batch 16", MLP, lab, 16, ">= 16x")
    compare("20 CNN, batch 16, 5 epochs", CNN, seeds(20, 0.05), 16, ">= 4x", 5)
    compare("20 LSTM, batch 16, 5 epochs", LSTM, seeds(20, 0.2), 16, ">= 3.5x", 5)
    compare("20 Transformer, batch 16, 5 epochs", Transformer, seeds(20, 0.02), 16, ">= 2.5x", 5)
    two_ways()
    proof()
    alone()
    table()
    first_epoch()


if __name__ == "__main__":
    main()
