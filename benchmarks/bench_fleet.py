"""How much faster a fleet is than the plain loop, and how far from what the processor could do.

Times on a machine with other work are worth little, ratios measured side by side a good deal:
each row times the plain loop, the fleet, and the plain loop again, several times over, and prints
the median ratio. A plain run is timed over a few epochs and multiplied up.
"""

import time
from statistics import median

import torch
from torch import nn

from lrsched_kit.batched import LinearStack, Stack, multiplications
from lrsched_kit.data import load_digits
from lrsched_kit.fleet import Run, make_optimizer, train_many
from lrsched_kit.models import MLP, seeded
from lrsched_kit.schedules import get_schedule
from lrsched_kit.training import train

EPOCHS, PLAIN_EPOCHS, REPEATS = 20, 4, 5
DIGITS = load_digits()


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


def least(make_model, runs):
    """Seconds that the multiplications alone would take, all cores at their measured best.

    A training step multiplies as often as three forward passes, less the slope by the inputs.
    """
    model = make_model()
    first = next(model.parameters()).numel()
    forward = multiplications(model, DIGITS.x_train)
    flops = 2 * (3 * forward - first * len(DIGITS.x_train))
    flops += 2 * multiplications(model, DIGITS.x_val)
    return runs * EPOCHS * flops / peak()


def peak():
    """Multiplications and additions per second in a large matrix product."""
    a = torch.randn(1024, 1024)
    return 2 * 1024**3 / min(seconds(lambda: a @ a) for _ in range(20))


def compare(label, make_model, runs, batch_size, target):
    many = len(runs)
    loops, fleets, ratios = [], [], []
    for _ in range(REPEATS):
        before = plain(make_model, batch_size)
        fleets.append(
            seconds(
                lambda: train_many(make_model, DIGITS, runs, epochs=EPOCHS, batch_size=batch_size)
            )
        )
        loops.append((before + plain(make_model, batch_size)) / 2 * many * EPOCHS)
        ratios.append(loops[-1] / fleets[-1])
    best = least(make_model, many)
    print(
        f"{label:<34}{median(loops):>8.2f} s{median(fleets):>9.3f} s{median(ratios):>9.1f}x"
        f"  {target:<9}{best:>7.3f} s{median(fleets) / best:>8.1f}x",
        flush=True,
    )


def two_ways(many=64, batch_size=32):
    """How much the written-out derivatives gain: one step of each way, in turn."""
    models = [seeded(MLP, seed) for seed in range(many)]
    general, fast = Stack(models), LinearStack(models, ["fc1", "fc2"])
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


def seeds(count):
    return [Run("StepLR", seed=seed) for seed in range(count)]


def main():
    print(f"{EPOCHS} epochs of the digits; medians of {REPEATS}; {torch.get_num_threads()} threads")
    print(f"{'':<34}{'plain':>10}{'fleet':>11}{'ratio':>10}  {'target':<9}{'limit':>9}{'above':>9}")
    plain(MLP, 32)
    train_many(MLP, DIGITS, seeds(2), epochs=1)
    lab = [Run(name, seed=seed) for name in ("StepLR", "Constant") for seed in range(5)]
    compare("64 MLP, batch 32", MLP, seeds(64), 32, ">= 12x")
    compare("256 MLP, batch 32", MLP, seeds(256), 32, ">= 15x")
    compare("20 of the general way, batch 32", tanh_mlp, seeds(20), 32, ">= 3x")
    compare("10 MLP as in a lab, batch 16", MLP, lab, 16, "< 0.6 s")
    two_ways()


if __name__ == "__main__":
    main()
