"""Pictures are the same, byte for byte, whatever a reader has done to matplotlib's rcParams."""

import io
import threading
from contextlib import contextmanager

import matplotlib as mpl
import matplotlib.style
import numpy as np
import pytest
from matplotlib.figure import Figure

from lrsched_kit import (
    EXHIBITS,
    ComposerLab,
    ExhibitLab,
    GalleryLab,
    History,
    NoisyQuadratic,
    Phase,
    QuadraticLab,
    RangeTestLab,
    SweepLab,
    plot_exhibit,
    plot_expected,
    plot_finals,
    plot_gallery,
    plot_heat_map,
    plot_histories,
    plot_range_test,
    plot_ranking,
    plot_rates,
)
from lrsched_kit.experiments.range_test import RangeTest
from lrsched_kit.labs.panels import LabPicture, Scene
from lrsched_kit.labs.schedule_lab import save_run
from lrsched_kit.plotting.curves import Curve
from lrsched_kit.plotting.gallery import _kept_thumbnail, thumbnail
from lrsched_kit.plotting.style import OTHER_STYLES, STYLES, kit_look

pytestmark = pytest.mark.usefixtures("drawn")

DARK = matplotlib.style.library["dark_background"]
HOSTILE = {
    **DARK,
    "axes.autolimit_mode": "round_numbers",
    "axes.axisbelow": False,
    "axes.edgecolor": "red",
    "axes.facecolor": "black",
    "axes.formatter.min_exponent": 1,
    "axes.formatter.use_mathtext": True,
    "axes.grid": True,
    "axes.grid.which": "both",
    "axes.labelcolor": "red",
    "axes.labelsize": 40,
    "axes.prop_cycle": mpl.cycler(color=["red"], linestyle=[":"]),
    "axes.spines.left": False,
    "axes.spines.top": True,
    "axes.titlecolor": "red",
    "axes.titlelocation": "right",
    "axes.titlesize": 40,
    "axes.unicode_minus": False,
    "axes.xmargin": 0.4,
    "errorbar.capsize": 9,
    "figure.autolayout": True,
    "figure.dpi": 33,
    "figure.facecolor": "black",
    "font.family": "serif",
    "font.size": 40,
    "font.weight": "bold",
    "grid.color": "red",
    "image.cmap": "gray",
    "image.interpolation": "bilinear",
    "legend.fontsize": 40,
    "legend.labelcolor": "red",
    "lines.dashed_pattern": [1, 1],
    "lines.linewidth": 9,
    "lines.marker": "o",
    "lines.markeredgecolor": "red",
    "lines.scale_dashes": False,
    "patch.force_edgecolor": True,
    "path.sketch": (3, 100, 2),
    "savefig.dpi": 50,
    "savefig.facecolor": "red",
    "savefig.transparent": True,
    "text.color": "red",
    "text.usetex": True,
    "xaxis.labellocation": "left",
    "xtick.color": "red",
    "xtick.direction": "in",
    "xtick.labelsize": 40,
    "xtick.minor.visible": True,
    "yaxis.labellocation": "top",
    "ytick.labelright": True,
    "ytick.minor.visible": True,
}


@contextmanager
def readers_look(rc):
    """What a reader chose earlier; the kit must leave it as it is."""
    with mpl.rc_context():
        mpl.rcParams.update(rc)
        before = dict(mpl.rcParams)
        yield
        assert dict(mpl.rcParams) == before


def history(seed=0, groups=1, epochs=6):
    losses = np.linspace(2, 0.4, epochs) + 0.1 * np.random.default_rng(seed).random(epochs)
    lr = np.repeat(0.1 * 0.5 ** np.arange(epochs), 3)
    rates = np.stack([lr * 0.1**group for group in range(groups)])
    scores = 1 - losses / 3
    metrics = {"accuracy": scores}
    return History(lr, losses + 0.3, losses, scores, metrics=metrics, group_lr=rates)


RUNS = {"StepLR": [history(0, 2), history(1, 2)], "mine": [history(2), history(3)]}
FINALS = {"StepLR": np.array([0.3, 0.5]), "Constant": np.array([0.4, np.nan])}
RATES, LOSSES = np.geomspace(0.001, 1, 60), np.linspace(2, 1, 60)
GRID = {"gamma": (0.1, 0.5), "step_size": (1, 2, 3)}
CELLS = np.array([[0.3, 0.4, 0.5], [0.6, np.nan, 0.9]])

PLOTS = {
    "rates": lambda: plot_rates({"MultiStepLR": RATES, "mine": RATES}, points={"hand": RATES[:9]}),
    "rates, log": lambda: plot_rates({"MultiStepLR": RATES, "mine": RATES}, log=True),
    "histories": lambda: plot_histories(RUNS)[0],
    "histories, log": lambda: plot_histories(RUNS, log=True, metric="accuracy")[0],
    "finals": lambda: plot_finals(FINALS),
    "ranking": lambda: plot_ranking(FINALS),
    "gallery": lambda: plot_gallery(["OneCycleLR", "ReduceLROnPlateau", "REX"])["REX"],
    "heat map": lambda: plot_heat_map(CELLS, GRID, best=(0, 0), marked=(1, 2)),
    "heat map, linear": lambda: plot_heat_map(-CELLS, GRID, higher=True),
    "range test": lambda: plot_range_test(RangeTest(RATES, LOSSES, LOSSES)),
    "expected": lambda: plot_expected({"a": NoisyQuadratic().expect(np.full(30, 0.4))}, parts=True),
    "exhibit": lambda: plot_exhibit(EXHIBITS["wrong_unit"]),
    "exhibit, log": lambda: plot_exhibit(next(e for e in EXHIBITS.values() if e.log)),
}


def drawn(figure):
    """What a notebook gets, with fewer pixels."""
    figure.dpi = 40
    return figure._repr_png_()[0]


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_is_the_same_in_any_look(name):
    expected = drawn(PLOTS[name]().figure)
    with readers_look(HOSTILE):
        assert drawn(PLOTS[name]().figure) == expected


def test_a_plot_made_before_the_look_changed_is_shown_as_before():
    figure, same = PLOTS["histories"]().figure, PLOTS["histories"]().figure
    expected = drawn(figure)
    with readers_look(HOSTILE):
        assert drawn(same) == expected


def saved(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=40, metadata={"Software": None})
    return buffer.getvalue()


def test_a_saved_figure_is_the_same_in_any_look():
    expected = saved(PLOTS["histories, log"]().figure)
    with readers_look(HOSTILE):
        assert saved(PLOTS["histories, log"]().figure) == expected


def test_a_saved_run_is_the_same_in_any_look(tmp_path):
    expected, _ = save_run(RUNS, tmp_path, "plain", "loss")
    with readers_look(HOSTILE):
        picture, _ = save_run(RUNS, tmp_path, "hostile", "loss")
    assert picture.read_bytes() == expected.read_bytes()


def test_a_thumbnail_is_the_same_in_any_look():
    expected = thumbnail("OneCycleLR")
    _kept_thumbnail.cache_clear()
    with readers_look(HOSTILE):
        assert thumbnail("OneCycleLR") == expected


# Labs: the reader's cells set the look, a worker draws


def moves_gallery(lab):
    lab.controls["log"].value = True
    lab.controls["pin"].click()
    lab.controls["gamma"].value = 0.9
    lab.wait(60)
    lab.controls["schedule"].value = "OneCycleLR"


def turn(name, value):
    def move(lab):
        lab.controls[name].value = value

    return move


QUICK = {"epochs": 2, "seeds": 2}
LABS = {
    "gallery": (lambda: GalleryLab("StepLR", **QUICK), moves_gallery),
    "composer": (
        lambda: ComposerLab([Phase("hold", 1), Phase("REX", 1)], **QUICK),
        turn("log", True),
    ),
    "sweep": (lambda: SweepLab("StepLR", GRID, **QUICK), turn("gamma", 0.5)),
    "range test": (lambda: RangeTestLab(epochs=1, seeds=1, steps=20), turn("smooth", 0.5)),
    "quadratic": (lambda: QuadraticLab(), turn("ratio", 3.0)),
    "exhibit": (lambda: ExhibitLab("wrong_unit"), turn("exhibit", list(EXHIBITS)[-1])),
}


def pictures(name, rc):
    """The lab's picture as it opens, and after moves, each time in a reader's look."""
    make, move = LABS[name]
    with readers_look(rc):
        lab = make()
        assert lab.wait(60)
        first = lab._repr_mimebundle_()["image/png"]
        move(lab)
        assert lab.wait(60)
        moved = lab._repr_mimebundle_()["image/png"]
        lab.close()
    return first, moved


@pytest.mark.parametrize("name", LABS)
def test_a_lab_looks_the_same_in_any_look(name):
    first, moved = pictures(name, {})
    assert first != moved
    assert pictures(name, HOSTILE) == (first, moved)


def scenes():
    """What a lab may come to show: more curves, groups, a logarithmic axis, by batch."""
    planned = np.stack([0.1 * 0.5 ** np.arange(6), 0.01 * 0.5 ** np.arange(6)])
    step = Curve("StepLR", STYLES["MultiStepLR"], planned, RUNS["StepLR"])
    one = Curve("StepLR", STYLES["MultiStepLR"], planned[0], RUNS["mine"])
    pins = [Curve(f"pin {n}", s, None, [history(n)], thin=True) for n, s in enumerate(OTHER_STYLES)]
    own = Curve("mine", STYLES["StepLR"]._replace(linestyle="--"), planned[0])
    facts = {"epochs": 6, "base_lr": 0.1, "loss_label": "loss"}
    yield Scene((one,), **facts)
    yield Scene((step, *pins), log=True, **facts)
    yield Scene((step, own), log=True, **facts)
    yield Scene((own,), by_batch=True, **facts)


def frames(picture):
    shown = []

    def work():
        for scene in scenes():
            for crisp in (False, True):
                picture.show(scene, crisp=crisp)
                shown.append(picture.image.value)

    worker = threading.Thread(target=work)
    worker.start()
    worker.join()
    return shown


@pytest.mark.parametrize("metric", ["loss", "accuracy"])
def test_a_live_picture_neither_follows_the_look_nor_changes_it(monkeypatch, metric):
    """A worker that set rcParams would restyle the reader's plots: they are the whole process's."""

    def refuse(*_):
        raise AssertionError("a worker set rcParams")

    expected = frames(LabPicture("rate", metric))
    picture = LabPicture("rate", metric)
    with readers_look(HOSTILE), monkeypatch.context() as watched:
        watched.setattr(mpl.RcParams, "__setitem__", refuse)
        watched.setattr(mpl, "rc_context", refuse)
        found = frames(picture)
    assert len(found) == 8
    assert found == expected


# Axes of the reader's own


def test_a_readers_own_axes_keep_the_readers_look():
    with readers_look(DARK):
        ax = Figure().subplots()
        plot_rates({"StepLR": np.array([1.0, 0.1])}, ax)
        ax.figure.draw_without_rendering()
        (line,) = ax.get_lines()
        assert line.get_color() == STYLES["StepLR"].color
        assert ax.get_facecolor() == (0, 0, 0, 1)
        texts = [ax.title, ax.xaxis.label, *ax.get_xticklabels(), *ax.get_legend().get_texts()]
        assert {text.get_color() for text in texts} == {"white"}


def test_looks_of_two_threads_do_not_mix():
    before = dict(mpl.rcParams)

    def look():
        for _ in range(50):
            with kit_look():
                pass

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert dict(mpl.rcParams) == before
