import html
import itertools
import threading
from dataclasses import replace

import ipywidgets as widgets
import ipywidgets.widgets.widget as widget_module
import numpy as np
import pytest
from waiting import kit_threads

from lrsched_kit import (
    FAMILIES,
    SCHEDULES,
    GalleryLab,
    ScheduleLab,
    get_schedule,
    plot_gallery,
    plot_ranking,
    trace_lr,
)
from lrsched_kit.labs import gallery_lab, page
from lrsched_kit.plotting.gallery import MADE_UP_LOSS, families, in_torch, thumbnail
from lrsched_kit.plotting.style import OWN_STYLE, STYLES

QUICK = {"epochs": 1, "seeds": 1}


# The picture


@pytest.fixture(scope="module")
def pictures():
    return plot_gallery()


def rate_line(ax):
    return max(ax.get_lines(), key=lambda line: line.get_linewidth())


def thin_lines(ax):
    return [
        line
        for other in ax.figure.axes
        if other is not ax and other.bbox.bounds == ax.bbox.bounds
        for line in other.get_lines()
    ]


def test_every_row_hangs_in_the_gallery_in_its_own_style(pictures):
    assert list(pictures) == list(SCHEDULES)
    for name, ax in pictures.items():
        assert rate_line(ax).get_color() == STYLES[name].color


@pytest.mark.parametrize(
    ("name", "steps"), [("CosineAnnealingLR", 20), ("CyclicLR", 400), ("OneCycleLR", 400)]
)
def test_a_picture_shows_what_torch_applies_over_20_epochs(pictures, name, steps):
    params = {"T_max": 20} if name == "CosineAnnealingLR" else {}
    rates = trace_lr(name, base_lr=0.1, steps=steps, **params)
    assert rate_line(pictures[name]).get_ydata()[::2].tolist() == rates.tolist()


def test_momentum_is_drawn_where_it_moves_and_the_made_up_loss_says_that_it_is(pictures):
    thin = {name: thin_lines(ax) for name, ax in pictures.items()}
    moving = {row.name for row in SCHEDULES.values() if row.moves_momentum}
    assert {name for name, found in thin.items() if found} == moving | {"ReduceLROnPlateau"}
    (loss,) = thin["ReduceLROnPlateau"]
    assert loss.get_ydata()[::2].tolist() == MADE_UP_LOSS.tolist()
    assert "made-up" in pictures["ReduceLROnPlateau"].get_xlabel()


def test_a_family_hangs_side_by_side_under_its_name(pictures):
    for family, rows in families().items():
        axes = [pictures[row.name] for row in rows]
        assert len({ax.get_position().y0 for ax in axes}) == 1
        heads = [text.get_text() for ax in axes for text in ax.texts]
        assert heads == [f"{family}: {FAMILIES[family]}"]


def test_no_two_names_overlap(pictures):
    figure = next(iter(pictures.values())).figure
    figure.draw_without_rendering()
    boxes = [ax.title.axes._left_title.get_window_extent() for ax in pictures.values()]
    assert not [1 for one, two in itertools.combinations(boxes, 2) if one.overlaps(two)]


def test_it_says_for_which_rows_torch_has_no_class(pictures):
    starred = {name for name, ax in pictures.items() if ax.get_title(loc="left").endswith("*")}
    assert starred == {name for name in SCHEDULES if not in_torch(name)}
    assert len(SCHEDULES) - len(starred) == 16


def test_a_notebook_gets_a_small_file(pictures):
    png, _ = pictures["Constant"].figure._repr_png_()
    assert len(png) < 70_000
    assert max(len(thumbnail(name)) for name in SCHEDULES) < 5_000


# Rows of one's own

MINE = replace(SCHEDULES["WSD"], name="Mine", style=("#aa00aa", "--"))


def test_an_own_row_hangs_in_its_family_in_its_own_style():
    pictures = plot_gallery(["StepLR", "WSD", "CyclicLR", MINE])
    assert rate_line(pictures["Mine"]).get_color() == "#aa00aa"
    assert rate_line(pictures["Mine"]).get_linestyle() == "--"
    assert list(pictures) == ["StepLR", "WSD", "Mine", "CyclicLR"]


def test_an_own_row_without_a_style_has_the_one_kept_for_them():
    pictures = plot_gallery([replace(MINE, style=None), "StepLR"])
    assert list(pictures) == ["StepLR", "Mine"]
    assert rate_line(pictures["Mine"]).get_color() == OWN_STYLE.color


def test_a_large_family_goes_on_below_under_one_name():
    rows = [replace(MINE, name=f"Mine {number}") for number in range(8)]
    pictures = plot_gallery(rows)
    heights = [pictures[row.name].get_position().y0 for row in rows]
    assert len(set(heights[:6])) == len(set(heights[6:])) == 1
    assert heights[6] < heights[0]
    assert [len(pictures[row.name].texts) for row in rows] == [1, *[0] * 7]


def test_an_own_family_hangs_last():
    assert list(plot_gallery([replace(MINE, family="tests"), "StepLR"])) == ["StepLR", "Mine"]


def test_two_rows_of_one_name_are_refused():
    with pytest.raises(ValueError, match="names that differ, got 'Mine' twice"):
        plot_gallery([MINE, MINE])


def test_an_own_row_has_a_thumbnail_of_its_own():
    pictures = {thumbnail(MINE), thumbnail(replace(MINE, style=None)), thumbnail("WSD")}
    assert len(pictures) == 3


# The ranking


def test_a_ranking_has_the_lowest_on_top_and_the_diverged_at_the_bottom():
    losses = {"REX": [0.5, 0.7], "Constant": [0.4, 0.4], "StepLR": [0.1, np.nan]}
    ax = plot_ranking({label: np.array(rows) for label, rows in losses.items()})
    names = [text.get_text() for text in ax.get_yticklabels()]
    assert names == ["Constant", "REX", "StepLR (1 of 2 diverged)"]
    assert ax.yaxis_inverted()


def test_a_ranking_shows_seeds_means_and_standard_errors():
    ax = plot_ranking({"REX": np.array([0.5, 0.7])})
    seeds, mean, *caps = (line.get_xdata().tolist() for line in ax.get_lines())
    assert seeds == [0.5, 0.7]
    assert mean == [pytest.approx(0.6)]
    assert caps == [[pytest.approx(0.5)], [pytest.approx(0.7)]]


def test_a_ranking_of_accuracies_has_the_highest_on_top_and_the_diverged_at_the_bottom():
    scores = {"REX": [0.5, 0.7], "mine": [0.9, 0.9], "StepLR": [0.99, np.nan]}
    finals = {label: np.array(rows) for label, rows in scores.items()}
    ax = plot_ranking(finals, higher=True, label="accuracy", styles={"mine": MINE.style})
    names = [text.get_text() for text in ax.get_yticklabels()]
    assert names == ["mine", "REX", "StepLR (1 of 2 diverged)"]
    assert ax.get_lines()[0].get_color() == "#aa00aa"
    assert ax.get_xlabel() == "accuracy (higher is better)"


# The lab


@pytest.fixture
def lab():
    lab = GalleryLab("StepLR", **QUICK)
    yield lab
    lab.close()


class StandIn(widgets.VBox):
    """Stands for the labs of rows, where only the gallery around them is looked at."""

    histories, summary, traceback = {}, "", ""

    def __init__(self, schedule, **settings):
        self.schedule, self.controls = get_schedule(schedule), {}
        super().__init__()

    def wait(self, timeout):
        return True


@pytest.fixture
def gallery(monkeypatch):
    """Make galleries that train nothing."""
    monkeypatch.setattr(gallery_lab, "ScheduleLab", StandIn)
    made = []

    def make(name="StepLR"):
        made.append(GalleryLab(name))
        return made[-1]

    yield make
    for one in made:
        one.close()


def buttons(lab):
    cells = [cell for cell in lab._cells if cell.layout.display != "none"]
    return {cell.button.description: cell.button for cell in cells}


def test_a_picked_row_opens_its_lab_and_closes_the_one_before(lab):
    earlier = lab.lab
    assert {"family", "schedule", "step_size", "gamma"} <= set(lab.controls)
    lab.controls["schedule"].value = "WSD"
    assert "gamma" not in lab.controls
    lab.controls["cooldown"].value = 0.5
    assert lab.wait(60)
    assert repr(lab.lab) == "ScheduleLab(WSD)"
    assert list(lab.histories) == ["WSD", "Constant"]
    planned = trace_lr("WSD", base_lr=0.1, steps=88, cooldown=0.5)
    assert lab.histories["WSD"][0].lr.tolist() == planned.tolist()
    assert earlier.comm is None
    assert lab.summary == lab.lab.summary


def test_a_family_shows_its_rows_and_opens_the_first(gallery):
    lab = gallery()
    for family, rows in reversed(families().items()):
        lab.controls["family"].value = family
        assert lab.controls["schedule"].value == rows[0].name
        assert lab.lab.schedule is rows[0]
        assert list(buttons(lab)) == [row.name for row in rows]


def test_an_own_row_stands_in_its_family_however_many_there_are(gallery):
    lab = gallery(MINE)
    kin = [row.name for row in families()[MINE.family]]
    assert list(buttons(lab)) == [*kin, "Mine"]
    assert lab.controls["schedule"].value == "Mine"
    assert {cell.picture.value for cell in lab._cells} >= {thumbnail(MINE), thumbnail("WSD")}
    lab.controls["schedule"].value = "WSD"
    lab.controls["schedule"].value = "Mine"
    assert lab.lab.schedule is MINE


def test_a_button_picks_its_row_and_is_marked(gallery):
    lab = gallery()
    buttons(lab)["MultiStepLR"].click()
    assert lab.controls["schedule"].value == "MultiStepLR"
    marked = [name for name, button in buttons(lab).items() if button.button_style]
    assert marked == ["MultiStepLR"]


def test_the_picked_row_comes_with_formula_use_unit_and_source(gallery):
    lab = gallery()
    for name, said in {"WSD": "built from torch's parts", "StepLR": "a class of torch"}.items():
        lab.controls["schedule"].value = name
        shown, row = html.unescape(lab._facts.value), SCHEDULES[name]
        for part in (row.formula, row.when, row.source, f"every {row.step_every}", said):
            assert part in shown


def test_a_row_that_the_settings_do_not_fit_is_told_in_words_and_the_lab_stays():
    lab = GalleryLab("WSD", base_lr=0.5, **QUICK)
    lab.controls["schedule"].value = "CyclicLR"
    assert "CyclicLR cannot be opened: max_lr must be at least base_lr" in lab._facts.value
    assert [lab.controls[name].value for name in ("family", "schedule")] == ["warmup", "WSD"]
    assert lab.wait(60)
    lab.close()


def test_picking_many_leaves_one_lab_no_thread_and_no_widget():
    before = set(widget_module._instances)
    lab = GalleryLab("StepLR", **QUICK)
    count = len(widget_module._instances)
    for name in ("ReduceLROnPlateau", "StepLR"):
        lab.controls["schedule"].value = name
    assert lab.wait(60)
    assert len(widget_module._instances) == count
    lab.close()
    assert kit_threads() == []
    assert set(widget_module._instances) <= before


def test_picks_from_several_threads_end_with_the_lab_that_the_menu_names(gallery):
    lab = gallery()

    def pick(names):
        for name in names:
            lab.controls["schedule"].value = name

    pickers = [
        threading.Thread(target=pick, args=(names,))
        for names in (["REX", "WSD", "StepLR"] * 5, ["CyclicLR", "SWALR", "LinearLR"] * 5)
    ]
    for picker in pickers:
        picker.start()
    for picker in pickers:
        picker.join()
    name = lab.controls["schedule"].value
    assert lab.lab.schedule.name == name
    assert lab.lab.comm is not None
    assert lab._place.children == (lab.lab,)
    assert lab.controls["family"].value == SCHEDULES[name].family


def test_a_lab_that_is_opened_in_a_later_cell_belongs_to_the_gallery(lab, monkeypatch):
    # Running that cell again must not close it: only picking another row does.
    monkeypatch.setattr(page, "_running_cell", lambda: ("later", "1"))
    lab.controls["schedule"].value = "REX"
    monkeypatch.setattr(page, "_running_cell", lambda: ("later", "2"))
    other = ScheduleLab("StepLR", **QUICK)
    assert lab.lab.comm is not None
    other.close()


def test_a_notebook_gets_the_open_labs_picture(lab):
    bundle = lab._repr_mimebundle_()
    assert bundle["image/png"]
    assert bundle["text/plain"] == "GalleryLab(StepLR)"


def test_bad_settings_are_refused_when_the_lab_is_made():
    with pytest.raises(ValueError, match="did you mean 'StepLR'"):
        GalleryLab("StepLr")
    with pytest.raises(ValueError, match="epochs must be a positive integer, got 0"):
        GalleryLab(epochs=0)
