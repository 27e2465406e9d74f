"""What a frame of a lab costs, against drawing a new figure each time."""

import io
import time
from statistics import median

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lrsched_kit import Run, load_digits, trace_lr, train_many
from lrsched_kit.labs.panels import LabPicture, Scene
from lrsched_kit.plotting.curves import Curve
from lrsched_kit.plotting.histories import plot_histories
from lrsched_kit.plotting.style import STYLES
from lrsched_kit.tasks.models import MLP

EPOCHS, REPEATS = 20, 40


def histories():
    runs = [Run(name, seed=seed) for name in ("StepLR", "Constant") for seed in range(5)]
    trained = train_many(MLP, load_digits(), runs, epochs=EPOCHS)
    return {"StepLR": trained[:5], "Constant": trained[5:]}


def scene(runs, gamma):
    planned = trace_lr("StepLR", base_lr=0.1, steps=EPOCHS, gamma=gamma)
    curves = [
        Curve("Constant", STYLES["Constant"], np.full(EPOCHS, 0.1), runs["Constant"], thin=True),
        Curve("StepLR", STYLES["StepLR"], planned, runs["StepLR"]),
    ]
    return Scene(tuple(curves), EPOCHS, 0.1, "cross-entropy (nats)")


def new_figure(runs):
    """What a plotting cell does: a figure from nothing, as a PNG."""
    figure = Figure(figsize=(7.9, 3.5), dpi=120)
    plot_histories(runs, figure.subplots(1, 2))
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()


def milliseconds(work):
    times = []
    for repeat in range(REPEATS):
        start = time.perf_counter()
        work(repeat)
        times.append(time.perf_counter() - start)
    return 1000 * median(times)


def main():
    runs = histories()
    picture = LabPicture("rate")
    picture.show(scene(runs, 0.5))
    scenes = [scene(runs, 0.2 + 0.01 * i) for i in range(REPEATS)]
    fresh = milliseconds(lambda i: new_figure(runs))
    rows = [
        ("new figure each time", fresh),
        ("lab frame while a slider moves", milliseconds(lambda i: picture.show(scenes[i]))),
        (
            "lab frame at rest (twice the pixels)",
            milliseconds(lambda i: picture.show(scenes[i], crisp=True)),
        ),
    ]
    print("Redraw, kernel side (median)")
    for label, cost in rows:
        print(f"  {label:40}{cost:7.1f} ms   {fresh / cost:5.1f}x")


if __name__ == "__main__":
    main()
