"""The exhibits: wrong code goes wrong by the numbers, right code does what was meant."""

import inspect
import itertools
import threading
import warnings
from dataclasses import replace
from functools import cache
from pathlib import Path

import ipywidgets.widgets.widget as widget_module
import nbformat
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import SGD, lr_scheduler

from lrsched_kit import EXHIBITS, Exhibit, ExhibitLab, museum, plot_exhibit, words
from lrsched_kit.labs import exhibit_lab as lab_module
from lrsched_kit.labs.controls import make_slider, read
from lrsched_kit.museum import HALLS, binding, get_exhibit
from lrsched_kit.museum.comparing import GRID, expected_loss
from lrsched_kit.museum.exhibit import HEADER, Showing, make_exhibit
from lrsched_kit.schedules.params import Choice, Param

LESSON = Path(__file__).parent.parent / "notebooks" / "13_bug_museum.ipynb"
EXACT = [name for name, exhibit in EXHIBITS.items() if exhibit.within < 1e-6]
every_exhibit = pytest.mark.parametrize("exhibit", EXHIBITS.values(), ids=EXHIBITS)


def applied(name, *, curve=0, **knobs):
    return EXHIBITS[name].run(**knobs).applied[:, curve]


@cache
def run_with_defaults(name, mended):
    """One run that several tests look at, and whether it left global random numbers alone."""
    before = torch.get_rng_state()
    showing = EXHIBITS[name].run(mended=mended)
    return showing, torch.equal(torch.get_rng_state(), before)


def draw_knobs(data, exhibit):
    """Any setting that the lab's controls can reach."""
    return {
        p.name: data.draw(
            st.sampled_from(p.options)
            if isinstance(p, Choice)
            else st.integers(int(p.low), int(p.high))
            if p.integer
            else st.floats(p.low, p.high),
            label=p.name,
        )
        for p in exhibit.params
    }


# Every exhibit keeps the museum's promises


def test_each_hall_is_a_file_that_is_walked_through_once():
    files = [exhibit.wrong.__module__ for exhibit in EXHIBITS.values()]
    assert [file for file, _ in itertools.groupby(files)] == [hall.__name__ for hall in HALLS]
    with_exhibits = {
        path.stem
        for path in Path(museum.__file__).parent.glob("*.py")
        if "\nEXHIBITS = (" in path.read_text(encoding="utf-8")
    }
    assert with_exhibits == {hall.__name__.rpartition(".")[2] for hall in HALLS}


@every_exhibit
def test_the_wrong_code_does_something_else_than_was_meant(exhibit):
    assert not run_with_defaults(exhibit.name, False)[0].agrees


@pytest.mark.parametrize("name", EXACT)
@given(data=st.data())
def test_the_right_code_applies_what_was_meant_wherever_the_knobs_stand(name, data):
    showing = EXHIBITS[name].run(mended=True, **draw_knobs(data, EXHIBITS[name]))
    assert showing.agrees
    np.testing.assert_allclose(showing.applied, showing.meant, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", EXACT)
@given(data=st.data())
def test_the_wrong_code_runs_wherever_the_knobs_stand(name, data):
    showing = EXHIBITS[name].run(**draw_knobs(data, EXHIBITS[name]))
    assert 0 < len(showing.applied) <= len(showing.meant)
    assert len(showing.applied) == len(showing.meant) or showing.error is not None


@every_exhibit
def test_the_right_code_makes_torch_neither_warn_nor_raise(exhibit):
    showing, _ = run_with_defaults(exhibit.name, True)
    assert showing.agrees
    assert showing.warnings == ()


@every_exhibit
@pytest.mark.parametrize("mended", [False, True])
def test_the_code_shown_is_what_runs(exhibit, mended):
    code = exhibit.right_code if mended else exhibit.wrong_code
    namespace = {}
    exec(HEADER + str(code), namespace)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run = namespace[code.name]()
        first = [next(run) for _ in range(5)]
    shown = run_with_defaults(exhibit.name, mended)[0].applied[:5]
    assert np.array(first).reshape(shown.shape).tolist() == shown.tolist()


@every_exhibit
def test_the_knobs_start_where_the_shown_code_does(exhibit):
    for function in (exhibit.wrong, exhibit.right):
        parameters = inspect.signature(function).parameters
        assert {name: p.default for name, p in parameters.items()} == exhibit.complete({})


@every_exhibit
def test_the_code_shown_is_short(exhibit):
    for code in (exhibit.wrong_code, exhibit.right_code):
        lines = str(code).splitlines()
        assert len(lines) <= 30
        assert max(map(len, lines)) <= 100


@every_exhibit
def test_the_wrong_line_is_marked_in_the_wrong_code_only(exhibit):
    assert "# wrong: " in str(exhibit.wrong_code)
    assert "wrong:" not in str(exhibit.right_code)


# The numbers, as torch gives them


@pytest.mark.parametrize("schedule", ["StepLR", "ExponentialLR", "CosineAnnealingLR"])
def test_a_stale_optimizer_stays_at_its_rate(schedule):
    assert applied("stale_optimizer", schedule=schedule).tolist() == [0.01] * 20


def test_the_stale_optimizer_was_meant_to_print_what_the_tutorial_says():
    meant = EXHIBITS["stale_optimizer"].run().meant[:, 0]
    assert [f"{rate:.6f}" for rate in meant[[0, 4, 5, 9]]] == ["0.010000"] * 2 + ["0.001000"] * 2


def test_a_schedule_used_up_by_plotting_trains_at_an_eighth():
    assert applied("used_up").tolist() == [0.125] * 30


def test_a_second_scheduler_starts_from_the_initial_lr_of_the_first():
    rates = applied("kept_initial_lr", new_lr=0.01)
    assert rates[10] == pytest.approx(0.1)
    assert rates[11:] == pytest.approx(0.1 * np.linspace(0.9, 0.1, 9))


def test_the_wrong_order_skips_the_first_value():
    rates = applied("wrong_order")
    assert rates == pytest.approx([1, 1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.001])
    assert rates[:-1] == pytest.approx(EXHIBITS["wrong_order"].run().meant[1:, 0])


def test_the_wrong_unit_is_at_zero_after_one_epoch():
    assert applied("wrong_unit")[100] == pytest.approx(1e-10)


def test_a_patience_of_two_acts_on_the_third_bad_epoch():
    assert applied("late_plateau")[:5] == pytest.approx([1, 1, 1, 1, 0.1])
    mended = EXHIBITS["late_plateau"].run(mended=True).applied[:5, 0]
    assert mended == pytest.approx([1, 1, 1, 0.1, 0.1])


def test_a_cosine_past_t_max_is_back_at_its_peak():
    rates = applied("past_t_max")
    assert rates[[0, 5, 10]] == pytest.approx([1, 0, 1], abs=1e-12)


def test_a_cosine_for_twice_the_updates_ends_at_half_its_peak():
    # The last update uses a little more than half; the next one would use half.
    assert applied("unfinished_cosine", batches=120)[-1] == pytest.approx(0.513, abs=5e-4)
    fine = EXHIBITS["unfinished_cosine"].wrong(batches=4000)
    assert list(fine)[-1] == pytest.approx(0.5, abs=1e-3)


def test_one_cycle_overwrites_both_rates_and_then_runs_out():
    showing = EXHIBITS["one_cycle"].run()
    rates, momentum = showing.applied.T
    assert (rates[0], momentum[0]) == pytest.approx((0.04, 0.95))  # not 0.5 and 0.9
    assert rates[2] == pytest.approx(1.0)
    assert momentum[2] == pytest.approx(0.85)
    assert len(rates) == 11
    assert rates[9] == pytest.approx(4e-6)
    assert rates[10] == pytest.approx(rates[8]) == pytest.approx(0.0495, abs=5e-5)  # the rebound
    assert isinstance(showing.error, ValueError)
    assert "Tried to step 11 times" in str(showing.error)


def test_a_chained_warmup_peaks_at_three_quarters():
    assert applied("chained_warmup").max() == pytest.approx(0.75)
    assert EXHIBITS["chained_warmup"].run(mended=True).applied.max() == pytest.approx(1.0)


def test_an_absolute_scheduler_undoes_the_cut_of_the_plateau():
    rates = applied("absolute_and_relative")
    assert rates[9:12] == pytest.approx([0.05, 0.005, 0.05])


def test_a_torn_warmup_starts_at_zero_and_jumps():
    rates = applied("torn_warmup")
    assert rates[0] == 0
    assert rates[7:9] == pytest.approx([0.875, 0.6545], abs=1e-4)


def test_a_rate_divided_by_hand_stays_divided():
    showing = EXHIBITS["divided_by_hand"].run()
    assert showing.applied[4] == pytest.approx([0.0655], abs=5e-5)
    assert showing.meant[4] == pytest.approx([0.6545], abs=5e-5)
    assert showing.applied[3:4] == pytest.approx(showing.meant[3:4])
    assert showing.applied[4:] == pytest.approx(showing.meant[4:] / 10)


@pytest.mark.parametrize("schedule", ["LinearLR", "ConstantLR"])
def test_a_run_resumed_in_the_wrong_order_stays_ten_times_too_low(schedule):
    showing = EXHIBITS["resume_order"].run(schedule=schedule, stop=3)
    assert showing.applied[:3] == pytest.approx(showing.meant[:3])
    assert showing.applied[4:] == pytest.approx(showing.meant[4:] / 10)


def test_a_sequence_stays_too_low_only_when_resumed_in_its_last_phase():
    late = EXHIBITS["resume_order"].run(schedule="SequentialLR", stop=5)
    assert late.applied[5:] == pytest.approx(late.meant[5:] / 10)
    early = EXHIBITS["resume_order"].run(schedule="SequentialLR", stop=3)
    assert early.wrong_steps.tolist() == [3, 4]  # at the milestone it finds its way back


class Halving:
    def __call__(self, t):
        return 0.5**t


@pytest.mark.parametrize(
    ("schedule", "settings"),
    [
        ("StepLR", {"step_size": 3}),
        ("MultiStepLR", {"milestones": [2, 6]}),
        ("ConstantLR", {"factor": 0.1, "total_iters": 6}),
        ("LinearLR", {"start_factor": 0.1, "total_iters": 6}),
        ("ExponentialLR", {"gamma": 0.9}),
        ("PolynomialLR", {"total_iters": 10}),
        ("CosineAnnealingLR", {"T_max": 10}),
        ("CosineAnnealingWarmRestarts", {"T_0": 3}),
        ("LambdaLR", {"lr_lambda": Halving()}),
        ("MultiplicativeLR", {"lr_lambda": Halving()}),
        ("CyclicLR", {"base_lr": 0.1, "max_lr": 1.0, "step_size_up": 3}),
        ("OneCycleLR", {"max_lr": 1.0, "total_steps": 12}),
    ],
)
def test_build_then_load_resumes_every_scheduler_of_torch(schedule, settings):
    def rates(stop=None):
        def build():
            optimizer = SGD([torch.zeros(1)], lr=1.0, momentum=0.9)
            return optimizer, getattr(lr_scheduler, schedule)(optimizer, **settings)

        optimizer, scheduler = build()
        for epoch in range(10):
            if epoch == stop:
                saved = optimizer.state_dict(), scheduler.state_dict()
                optimizer, scheduler = build()
                optimizer.load_state_dict(saved[0])
                scheduler.load_state_dict(saved[1])
            yield optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["momentum"]
            optimizer.step()
            scheduler.step()

    assert list(rates(stop=4)) == list(rates())


def test_a_lambda_is_not_saved_and_an_object_is():
    assert applied("lost_function")[11] == pytest.approx(0.8**11)
    assert EXHIBITS["lost_function"].run(mended=True).applied[11] == pytest.approx(0.9**11)


def test_one_seed_reports_anything():
    gaps = run_with_defaults("unfair_comparison", False)[0].applied
    assert gaps.min() < 0 < 0.2 < gaps.max()


def test_many_seeds_settle_on_the_wrong_gap_when_base_lr_is_shared():
    gaps = applied("unfair_comparison", seeds=50)
    exact = expected_loss(0.4, cosine=False) - expected_loss(0.4, cosine=True)
    assert exact == pytest.approx(0.1116, abs=5e-5)
    assert abs(gaps.mean() - exact) < 3 * gaps.std(ddof=1) / np.sqrt(20)
    assert exact > 30 * run_with_defaults("unfair_comparison", False)[0].meant[0, 0]


def test_the_base_lr_of_the_mended_comparison_are_the_best_of_the_grid():
    assert min(GRID, key=lambda lr: expected_loss(lr, cosine=False)) == 0.04
    assert min(GRID, key=lambda lr: expected_loss(lr, cosine=True)) == 0.1


# Running an exhibit


def test_what_torch_warns_about_is_kept_and_no_filter_is_left_changed():
    before = list(warnings.filters)
    showing = EXHIBITS["wrong_order"].run()
    assert warnings.filters == before
    (message,) = showing.warnings
    assert message.startswith("Detected call of `lr_scheduler.step()` before `optimizer.step()`")
    assert showing.lines[1].startswith("torch warns: Detected call")


@every_exhibit
@pytest.mark.parametrize("mended", [False, True])
def test_an_exhibit_leaves_global_random_numbers_alone(exhibit, mended):
    _, left_alone = run_with_defaults(exhibit.name, mended)
    assert left_alone


def test_what_torch_raises_is_said_in_words():
    showing = EXHIBITS["one_cycle"].run()
    assert showing.lines[-1].startswith("torch raises ValueError: Tried to step 11 times")
    assert not showing.agrees


def test_the_verdict_counts_steps_that_differ_and_steps_that_never_came():
    meant = np.array([[1.0], [1.0], [0.5], [0.5]])
    showing = Showing(meant[:3] * [[1], [1 + 1e-12], [2]], meant, (), None, "batch", 1e-9)
    assert showing.wrong_steps.tolist() == [2, 3]
    assert showing.verdict == "Applied and meant differ at 2 of 4 batches, first at batch 2."
    same = Showing(meant, meant, (), None, "epoch", 1e-9)
    assert same.verdict == "Applied and meant agree at all 4 epochs."


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"step_sise": 2}, "wrong_order has no knob 'step_sise' (did you mean 'step_size'?)"),
        ({"step_size": 0}, "step_size must be a positive integer, got 0."),
        ({"step_size": 9}, "step_size must be between 1 and 8, got 9."),
    ],
)
def test_a_bad_knob_is_refused_in_words(knobs, message):
    with pytest.raises(ValueError) as caught:
        EXHIBITS["wrong_order"].run(**knobs)
    assert str(caught.value).startswith(message)


def test_an_unknown_option_or_exhibit_is_refused_in_words():
    with pytest.raises(ValueError, match=r"schedule must be one of .*, got 'SGD'"):
        EXHIBITS["stale_optimizer"].run(schedule="SGD")
    with pytest.raises(ValueError, match="did you mean 'wrong_unit'"):
        get_exhibit("wrong_units")


def test_a_notebook_shows_code_in_colour_and_a_console_its_name():
    code = EXHIBITS["used_up"].wrong_code
    assert code._repr_markdown_() == f"```python\n{inspect.getsource(binding.used_up_wrong)}```"
    assert repr(code) == "Code(used_up_wrong)"


def test_the_picture_holds_what_was_applied_over_what_was_meant():
    ax = plot_exhibit(EXHIBITS["past_t_max"], T_max=2, epochs=6)
    meant, _, applied, *_ = ax.lines
    assert meant.get_ydata()[::2] == pytest.approx([1, 0.5, 0, 0, 0, 0])
    assert applied.get_ydata()[::2] == pytest.approx([1, 0.5, 0, 0.5, 1, 0.5])


# Words


@every_exhibit
def test_an_exhibit_and_its_knobs_have_their_sentences_in_the_table(exhibit):
    table = words.LANGUAGES["en"]
    for field in ("title", "why"):
        assert getattr(exhibit, field) == table[f"{exhibit.name}.{field}"]
    for param in exhibit.params:
        assert param.help == table[f"{exhibit.name}.{param.name}"]
    assert exhibit.hall in table.values()
    assert set(exhibit.curves) <= table.keys()


def test_an_exhibit_speaks_the_language_in_use(monkeypatch):
    table = {**words.LANGUAGES["en"], "used_up.title": "Arr, my rate be tiny", "rate": "speed"}
    monkeypatch.setattr(words, "LANGUAGES", {**words.LANGUAGES, "pirate": table})
    words.use_language("pirate")
    try:
        assert EXHIBITS["used_up"].title == "Arr, my rate be tiny"
        assert plot_exhibit(EXHIBITS["used_up"]).get_ylabel() == "speed"
    finally:
        words.use_language("en")
    assert EXHIBITS["used_up"].title.startswith("My rate is tiny")


def constant_wrong(rate=0.1):
    yield from [rate, rate]


def constant_right(rate=0.1):
    yield from [rate, rate / 2]


OWN = {"wrong": constant_wrong, "right": constant_right, "meant": lambda rate: [rate, rate / 2]}


def test_an_exhibit_of_ones_own_brings_its_sentences():
    exhibit = Exhibit(
        name="constant",
        hall="My own hall",
        title="My rate never halves",
        why="Nobody halves it.",
        params=(Param("rate", 0.1, 0.01, 1.0, help="the first rate"),),
        curves=("my rate",),
        source="https://example.org",
        **OWN,
    )
    assert (exhibit.hall, exhibit.title) == ("My own hall", "My rate never halves")
    assert (exhibit.why, exhibit.params[0].help) == ("Nobody halves it.", "the first rate")
    assert exhibit.run().verdict == "Applied and meant differ at 1 of 2 epochs, first at epoch 1."
    assert exhibit.run(mended=True).agrees
    assert plot_exhibit(exhibit).get_ylabel() == "my rate"


def test_an_exhibit_of_the_museum_is_named_after_its_functions_and_its_file():
    exhibit = make_exhibit(constant_wrong, rate=(0.01, 1.0), meant=OWN["meant"])
    assert exhibit.name == "constant"
    assert exhibit.hall == "test_museum.hall"  # no table has it
    assert exhibit.params[0].help == "constant.rate"


# The lab


@pytest.fixture
def lab():
    lab = ExhibitLab()
    assert lab.wait(60)
    yield lab
    lab.close()


def test_picking_an_exhibit_brings_its_code_and_its_knobs(lab):
    for name, exhibit in EXHIBITS.items():
        lab.controls["exhibit"].value = name
        knobs = [param.name for param in exhibit.params]
        assert list(lab.controls) == [*knobs, "exhibit", "mended", "run", "reset"]
        if any(exhibit is hall.EXHIBITS[-1] for hall in HALLS):
            assert lab.wait(60)
            assert len(lab.showing.applied) > 0
            assert exhibit.wrong.__name__ in lab._work.code.value
            assert exhibit.why in lab.summary


@pytest.mark.usefixtures("drawn")
@every_exhibit
def test_an_exhibit_takes_its_knobs_from_one_end_of_their_sliders_to_the_other(exhibit):
    for param in exhibit.params:
        slider = make_slider(param, param.default)
        if isinstance(param, Choice):
            ends = param.options
        else:
            ends = [10**slider.min, 10**slider.max] if param.log else [slider.min, slider.max]
        for end in ends:
            slider.value = end
            exhibit.complete({param.name: read(slider, param.default)})
        slider.close()


def test_a_knob_moves_the_code_that_runs(lab):
    lab.controls["exhibit"].value = "past_t_max"
    lab.controls["T_max"].value = 3
    assert lab.wait(60)
    assert lab.showing.applied[:, 0].tolist() == applied("past_t_max", T_max=3).tolist()


def test_mended_runs_the_right_code_and_says_so(lab):
    assert "differ at 15 of 20 epochs, first at epoch 5" in lab.summary
    assert "torch warns: Detected call" in lab.summary
    lab.controls["mended"].value = True
    assert lab.wait(60)
    assert lab.summary == "Applied and meant agree at all 20 epochs."
    assert "stale_optimizer_right" in lab._work.code.value


def test_the_lines_that_make_the_difference_are_marked(lab):
    (marked,) = [x for x in lab._work.code.value.split("<br>") if lab_module.CHANGED in x]
    assert "# wrong: no scheduler knows this one" in marked


def test_an_exhibit_stands_as_it_was_left_and_reset_puts_it_back(lab):
    lab.controls["epochs"].value = 12
    lab.controls["exhibit"].value = "one_cycle"
    lab.controls["exhibit"].value = "stale_optimizer"
    assert lab.controls["epochs"].value == 12
    lab.controls["mended"].value = True
    lab.controls["reset"].click()
    assert lab.wait(60)
    assert lab.controls["epochs"].value == 20
    assert not lab.controls["mended"].value


def test_a_run_that_torch_ends_is_a_result_and_not_an_error_of_the_lab(lab):
    lab.controls["exhibit"].value = "one_cycle"
    assert lab.wait(60)
    assert "torch raises ValueError: Tried to step 11 times" in lab.summary
    assert len(lab.showing.applied) == 11


def test_the_picture_keeps_its_shape_and_changes_with_what_it_shows(lab):
    pictures = []
    for name in ("stale_optimizer", "wrong_unit", "one_cycle"):
        lab.controls["exhibit"].value = name
        assert lab.wait(60)
        pictures.append(lab._work.picture.png)
    assert len(set(pictures)) == 3
    assert len({png[16:24] for png in pictures}) == 1  # width and height, in PNG's header


def test_settings_are_where_the_knobs_start():
    lab = ExhibitLab("past_t_max", T_max=7)
    assert lab.wait(60)
    assert lab.controls["T_max"].value == 7
    lab.close()
    with pytest.raises(ValueError, match="did you mean 'past_t_max'"):
        ExhibitLab("past_tmax")


def test_close_takes_every_widget_off_the_page_those_of_earlier_exhibits_too():
    before = set(widget_module._instances)
    lab = ExhibitLab()
    lab.controls["exhibit"].value = "one_cycle"
    assert lab.wait(60)
    lab.close()
    assert set(widget_module._instances) <= before


# The lesson


def test_the_lesson_shows_the_wrong_and_the_right_code_of_every_exhibit():
    lesson = nbformat.read(LESSON, as_version=4)
    shown = {
        output.data["text/markdown"]
        for cell in lesson.cells
        for output in cell.get("outputs", [])
        if "text/markdown" in output.get("data", {})
    }
    for exhibit in EXHIBITS.values():
        assert {exhibit.wrong_code._repr_markdown_(), exhibit.right_code._repr_markdown_()} <= shown


def test_the_lesson_walks_through_the_exhibits_in_order_under_their_own_titles():
    lesson = nbformat.read(LESSON, as_version=4)
    text = "\n".join(cell.source for cell in lesson.cells if cell.cell_type == "markdown")
    titles = [f"### {n}. {e.title}" for n, e in enumerate(EXHIBITS.values(), 1)]
    places = [text.index(title) for title in titles]
    assert places == sorted(places)


def test_a_warning_from_another_thread_is_not_put_into_torchs_mouth():
    def warning_elsewhere():
        thread = threading.Thread(target=warnings.warn, args=("mine",))
        thread.start()
        thread.join()
        yield 1.0

    parts = {"wrong": warning_elsewhere, "meant": lambda: [1.0], "params": ()}
    exhibit = replace(EXHIBITS["wrong_order"], **parts)
    with pytest.warns(UserWarning, match="mine"):
        assert exhibit.run().warnings == ()
