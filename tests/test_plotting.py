import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from lrsched_kit import (
    FAMILIES,
    SCHEDULES,
    History,
    plot_finals,
    plot_heat_map,
    plot_histories,
    plot_rates,
    words,
)
from lrsched_kit.plotting.curves import stairs
from lrsched_kit.plotting.figure import new_axes
from lrsched_kit.plotting.heatmap import HeatMap
from lrsched_kit.plotting.limits import (
    Decades,
    RoundTicks,
    loss_ticks,
    nice_ceiling,
    nice_floor,
    rate_limits,
    short_number,
)
from lrsched_kit.plotting.style import OTHER_STYLES, OWN_STYLE, STYLES, style_of, styles_of
from lrsched_kit.words import LANGUAGES, use_language


def history(val_loss, rates=(0.1, 0.1, 0.01), diverged_at=None):
    losses = np.array(val_loss, dtype=float)
    return History(np.repeat(np.array(rates), 4), losses + 1, losses, losses, diverged_at)


def lines(ax):
    return {line.get_label(): line for line in ax.get_lines()}


def test_every_schedule_has_a_pair_of_colour_and_line_style_of_its_own():
    assert set(STYLES) == set(SCHEDULES)
    styles = [*STYLES.values(), *OTHER_STYLES, OWN_STYLE]
    assert len(set(styles)) == len(styles)


def test_a_family_is_a_colour_and_the_constant_rate_is_grey():
    colors = {name: style.color for name, style in STYLES.items() if name != "Constant"}
    pairs = {(SCHEDULES[name].family, color) for name, color in colors.items()}
    assert len(pairs) == len(FAMILIES) == len(set(colors.values()))
    assert STYLES["Constant"].color == "#7f7f7f"


def test_a_schedule_keeps_its_style_in_every_picture():
    rates = plot_rates({"StepLR": np.ones(3), "Constant": np.ones(3)})
    rate_ax, loss_ax = plot_histories({"StepLR": history([3, 2, 1])})
    for ax in (rates, rate_ax, loss_ax):
        assert lines(ax)["StepLR"].get_color() == STYLES["StepLR"].color


def test_rates_are_drawn_as_staircases():
    line = lines(plot_rates({"StepLR": np.array([1.0, 0.1])}))["StepLR"]
    assert line.get_xdata().tolist() == [0, 1, 1, 2]
    assert line.get_ydata().tolist() == [1, 1, 0.1, 0.1]


def test_points_are_drawn_in_the_middle_of_their_step():
    ax = plot_rates({"StepLR": np.ones(3)}, points={"by hand": np.ones(3)})
    assert lines(ax)["by hand"].get_xdata().tolist() == [0.5, 1.5, 2.5]


def test_rates_can_be_drawn_on_a_given_axes_and_a_logarithmic_scale():
    (mine,) = new_axes()
    assert plot_rates({"StepLR": np.array([1.0, 0.1])}, mine, log=True) is mine
    assert mine.get_yscale() == "log"


def test_applied_rates_are_drawn_against_epochs():
    rate_ax, _ = plot_histories({"StepLR": history([3, 2, 1])})
    x, y = lines(rate_ax)["StepLR"].get_data()
    assert (x[0], x[-1]) == (0, 3)
    assert set(y) == {0.1, 0.01}


def test_several_seeds_give_a_mean_and_a_band_of_one_standard_error():
    _, loss_ax = plot_histories({"StepLR": [history([3, 2, 1]), history([5, 4, 3])]})
    assert lines(loss_ax)["StepLR"].get_ydata().tolist() == [4, 3, 2]
    (band,) = loss_ax.collections
    edges = band.get_paths()[0].vertices
    assert edges[:, 1].min() == pytest.approx(1)  # 2 - standard error of 1
    assert edges[:, 1].max() == pytest.approx(5)


def test_a_diverged_run_is_named_in_the_legend():
    rate_ax, _ = plot_histories({"StepLR": history([3, np.inf, np.nan], diverged_at=1)})
    (text,) = rate_ax.figure.legends[0].get_texts()
    assert text.get_text() == "StepLR (diverged at epoch 2)"


def test_a_notebook_shows_the_figure_as_a_picture():
    png, metadata = plot_rates({"StepLR": np.ones(3)}).figure._repr_png_()
    assert Image.open(io.BytesIO(png)).width == 2 * metadata["width"]


def test_labels_of_one_schedule_are_told_apart():
    ax = plot_rates({"StepLR, gamma=0.5": np.ones(3), "StepLR, gamma=0.9": np.ones(3)})
    first, second = ax.get_lines()
    assert first.get_color() == STYLES["StepLR"].color
    assert second.get_color() != first.get_color()


@pytest.mark.parametrize("value", [1e-4, 0.1, 0.11, 0.999, 1, 7.3, 2345])
def test_nice_ceilings_are_close_above(value):
    assert value <= nice_ceiling(value) <= 1.5 * value


def test_limits_are_round_numbers():
    assert [nice_ceiling(x) for x in (0.103, 1.01, 2.4)] == [0.12, 1.2, 2.5]
    assert [nice_floor(x) for x in (0.37, 1.0)] == [0.3, 1.0]
    assert rate_limits([np.array([0.1, 0.01])], log=False) == (0, 0.12)
    assert rate_limits([np.array([0.1])], log=True) == pytest.approx((0.008, 0.125))


@pytest.mark.parametrize(
    ("ticks", "expected"),
    [
        (RoundTicks(6).tick_values(0, 0.12), [0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.12]),
        (RoundTicks(8, integer=True).tick_values(0, 3), [0, 1, 2, 3]),
        (Decades(6).tick_values(0.002, 3), [0.01, 0.1, 1]),
        (Decades(4).tick_values(1, 5), [1, 2, 5]),
        (loss_ticks(0.3, 2.5), [0.3, 0.4, 0.5, 0.6, 0.8, 1, 1.5, 2]),
        (loss_ticks(0.201, 0.241), [0.205, 0.21, 0.215, 0.22, 0.225, 0.23, 0.235, 0.24]),
    ],
)
def test_ticks_are_round_numbers(ticks, expected):
    assert ticks == pytest.approx(expected)


def test_small_ticks_are_written_as_powers_of_ten():
    written = [short_number(value) for value in (0.25, 0.001, 0.0001)]
    assert written == ["0.25", "0.001", "1e-4"]


def test_a_rate_holds_until_the_next_step():
    x, y = stairs(np.array([1.0, 0.5]))
    assert (x.tolist(), y.tolist()) == ([0, 1, 1, 2], [1, 1, 0.5, 0.5])


@pytest.mark.parametrize("decade", [0.1, 1.0])
def test_losses_near_each_other_still_have_ticks_to_be_read_by(decade):
    for low in decade * np.geomspace(1, 10, 97):
        assert 2 <= len(loss_ticks(low, 1.2 * low)) <= 8


def test_a_heat_map_of_another_shape_than_its_grid_is_refused():
    with pytest.raises(ValueError, match=r"losses must have shape \(1, 2\), as the grid"):
        plot_heat_map(np.ones((2, 2)), {"gamma": (0.1,), "step_size": (2, 4)})


@pytest.fixture
def pirate(monkeypatch):
    table = {**LANGUAGES["en"], "epoch": "watch", "loss": "booty left behind"}
    monkeypatch.setattr(words, "LANGUAGES", {**LANGUAGES, "pirate": table})
    use_language("pirate")
    yield
    use_language("en")


def test_what_stands_in_a_picture_follows_the_language(pirate):
    _, ax = plot_histories({"StepLR": history([3, 2, 1])})
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("watch", "booty left behind")
    assert plot_rates({"StepLR": np.ones(3)}).get_xlabel() == "watch"
    assert plot_rates({"StepLR": np.ones(3)}, unit="token").get_xlabel() == "token"


# Rows of one's own


def test_a_rows_own_style_comes_before_the_kits():
    row = SCHEDULES["StepLR"]
    assert style_of(replace(row, style=("#aa00aa", "--"))) == ("#aa00aa", "--")
    assert style_of(row) == STYLES["StepLR"]
    assert style_of(replace(row, name="mine")) == OWN_STYLE


def test_labels_of_own_rows_have_their_styles():
    row = replace(SCHEDULES["StepLR"], name="My schedule", style=("#aa00aa", "--"))
    styles = styles_of(["My schedule, gamma=0.5", "StepLR"], {row.name: row.style})
    assert list(styles.values()) == [row.style, STYLES["StepLR"]]


def test_histories_are_drawn_in_the_styles_given():
    axes = plot_histories({"mine": history([3, 2, 1])}, styles={"mine": ("#aa00aa", "--")})
    for ax in axes:
        assert lines(ax)["mine"].get_color() == "#aa00aa"
        assert lines(ax)["mine"].get_linestyle() == "--"


# Parameter groups


def grouped(*ratios):
    run = history([3, 2, 1])
    return replace(run, group_lr=np.stack([run.lr * ratio for ratio in ratios]))


def test_every_groups_rate_is_drawn_thinner_and_named_at_its_end():
    rate_ax, _ = plot_histories({"StepLR": grouped(1, 0.1)}, log=True)
    first, second = rate_ax.get_lines()
    assert set(second.get_ydata()) == {0.1 * 0.1, 0.01 * 0.1}
    assert second.get_linewidth() < first.get_linewidth()
    (name,) = rate_ax.texts
    assert name.get_text() == "group 2"
    assert name.xy == (3, pytest.approx(0.001))
    assert len(rate_ax.figure.legends[0].get_texts()) == 1


def test_groups_of_one_rate_are_drawn_once():
    rate_ax, _ = plot_histories({"StepLR": grouped(1, 1)})
    assert len(rate_ax.get_lines()) == 1


def test_names_without_room_are_left_out():
    rate_ax, _ = plot_histories({"StepLR": grouped(1, 0.99, 0.98)})
    _, others = rate_ax.get_lines()
    assert np.isnan(others.get_ydata()).sum() == 1  # a gap between two lines
    assert len(rate_ax.texts) < 2


def test_a_frozen_group_does_not_break_a_logarithmic_axis():
    rate_ax, _ = plot_histories({"StepLR": grouped(1, 0)}, log=True)
    rate_ax.figure.draw_without_rendering()
    assert rate_ax.get_ylim()[0] > 0.001


# Metrics


def test_a_metric_is_drawn_instead_of_the_loss():
    run = replace(history([3, 2, 1]), metrics={"f1": np.array([0.2, 0.5, 0.8])})
    _, ax = plot_histories({"StepLR": [run, run]}, metric="f1")
    assert [line.get_ydata().tolist() for line in ax.get_lines()] == [[0.2, 0.5, 0.8]]
    assert (ax.get_yscale(), ax.get_ylabel()) == ("linear", "f1")
    assert "loss" not in ax.get_title(loc="left")


def test_an_unknown_metric_is_refused():
    with pytest.raises(ValueError, match="metric must name what the task reports"):
        plot_histories({"StepLR": history([3, 2, 1])}, metric="f1")


def test_finals_say_what_they_are():
    ax = plot_finals({"StepLR": np.array([0.8, 0.9])}, higher=True, label="accuracy")
    assert ax.get_ylabel() == "accuracy (higher is better)"


GRID = {"gamma": (0.1,), "step_size": (1, 2, 4)}


def cell_colors(heat_map):
    image = heat_map._image
    return image.cmap(image.norm(image.get_array())).tolist()


def heat_map(values, **options):
    made = HeatMap(new_axes()[0], GRID, **options)
    made.set_limits(*made.limits_of(values))
    made.show(values, np.full(np.shape(values), False), None, None)
    return made


def test_the_best_cell_has_the_same_colour_whichever_way_is_better():
    scores = np.array([[0.5, 0.7, 0.9]])
    low = cell_colors(heat_map(-scores))
    assert cell_colors(heat_map(scores, higher=True)) == [
        [pytest.approx(color, abs=0.02) for color in row] for row in low
    ]


@pytest.mark.parametrize(
    ("values", "higher", "middle"),
    [([0.1, 0.5, 0.9], True, 0.5), ([-1, 0, 1], False, 0.5), ([0.1, 0.4, 1.6], False, 0.5)],
)
def test_colours_are_linear_for_accuracies_and_below_zero_else_logarithmic(values, higher, middle):
    made = heat_map(np.array([values], dtype=float), higher=higher)
    assert made._image.get_array()[0, 1] == pytest.approx(middle)


def test_a_heat_map_of_accuracies_names_them():
    ax = plot_heat_map(np.array([[0.5, 0.7, 0.9]]), GRID, best=(0, 2), higher=True, label="f1")
    assert ax.get_title(loc="left") == "solid frame: highest"
    bar = ax.figure.axes[1]
    assert bar.get_ylabel() == "f1"
    ticks = [text.get_text() for text in bar.get_yticklabels()]
    assert ticks[0] == "0.5" and all(0.5 <= float(tick) <= 0.9 for tick in ticks)
