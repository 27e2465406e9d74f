"""A schedule is added in one place: a row of your own, or a row in the file of its family."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from test_snippet import TOY, applied_by
from torch.optim import lr_scheduler

import lrsched_kit
from lrsched_kit import (
    FAMILIES,
    SCHEDULES,
    Param,
    Schedule,
    ScheduleLab,
    SimpleNet,
    compare,
    plot_gallery,
    trace_lr,
)
from lrsched_kit.schedules import catalogue
from lrsched_kit.training.script import training_script
from lrsched_kit.words import LANGUAGES


def sawtooth(optimizer, *, total_steps, teeth):
    """Fall in a straight line, and jump back up, so many times."""
    length = total_steps / teeth
    return lr_scheduler.LambdaLR(optimizer, lr_lambda=lambda t: 1 - t % length / length)


MINE = Schedule(
    name="Sawtooth",
    make=sawtooth,
    params=(Param("teeth", 3, 1, 9, integer=True, help="how often it falls"),),
    formula=r"\eta_t = \eta_0\,(1 - t c / T \bmod 1)",
    when="When you like teeth.",
    family="cycles",
    source="https://arxiv.org/abs/1506.01186",
    step_every="batch",
    style=("#aa00aa", "--"),
)


def test_its_words_are_those_that_it_brings():
    assert MINE.when == "When you like teeth."
    assert MINE.formula.startswith(r"\eta_t")
    assert MINE.params[0].help == "how often it falls"
    bare = Schedule("Bare", sawtooth, (Param("teeth", 3, 1, 9),))
    assert (bare.when, bare.formula, bare.params[0].help, bare.family) == ("", "", "", "own")


def test_it_hangs_in_the_gallery_with_its_family_in_its_style():
    pictures = plot_gallery([*SCHEDULES, MINE])
    names = list(pictures)
    assert SCHEDULES[names[names.index("Sawtooth") - 1]].family == "cycles"
    line = max(pictures["Sawtooth"].get_lines(), key=lambda line: line.get_linewidth())
    assert (line.get_color(), line.get_linestyle()) == MINE.style


def test_its_lab_has_a_slider_for_each_param():
    lab = ScheduleLab(MINE, epochs=1, seeds=1, teeth=2)
    try:
        slider = lab.controls["teeth"]
        assert (slider.value, slider.min, slider.max) == (2, 1, 9)
        assert slider.tooltip == "how often it falls"
        assert lab.wait()
        assert set(lab.histories) == {"Sawtooth", "Constant"}
    finally:
        lab.close()


def test_it_is_compared_with_the_kits():
    options = {"data": TOY, "make_model": SimpleNet, "epochs": 2, "seeds": 1, "progress": False}
    found = compare(["StepLR", MINE], base_lr=0.01, **options)
    assert "Sawtooth" in found.histories
    planned = trace_lr(MINE, base_lr=0.01, steps=4)
    np.testing.assert_allclose(found.histories["Sawtooth"][0].lr, planned)


def test_show_code_prints_what_makes_it_and_applies_its_rates():
    options = {"data": TOY, "make_model": SimpleNet, "base_lr": 0.01, "epochs": 3}
    script = training_script(MINE, {"teeth": 2}, batch_size=8, **options)
    assert "def sawtooth(" in script
    assert "scheduler = sawtooth(optimizer, total_steps=12, teeth=2)" in script
    assert applied_by(script) == trace_lr(MINE, base_lr=0.01, steps=12, teeth=2).tolist()


# Rows of the kit

NEW_ROW = """
ROWS += (
    row(
        lr_scheduler.PolynomialLR,
        Param("power", 2.0, 1.0, 9.0),
        name="Mine",
        formula="",
        family="decay",
        style=("#aa00aa", "--"),
    ),
)
"""

LOOKS_FOR_IT = """
import lrsched_kit as kit
from lrsched_kit.plotting.style import style_of
decays = [name for name, row in kit.SCHEDULES.items() if row.family == "decay"]
assert list(kit.plot_gallery(decays)) == decays
print(decays[-1], kit.get_schedule("Mine").params[0].help, style_of("Mine").color)
"""


def test_a_row_in_the_file_of_its_family_is_all_that_a_new_schedule_takes(tmp_path):
    shutil.copytree(Path(lrsched_kit.__file__).parent, tmp_path / "lrsched_kit")
    with (tmp_path / "lrsched_kit/schedules/decays.py").open("a") as file:
        file.write(NEW_ROW)
    command = [sys.executable, "-c", LOOKS_FOR_IT]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout == "Mine 1 is a straight line; a larger power falls sooner #aa00aa\n"


def test_no_row_is_left_out_and_no_two_look_alike():
    rows = catalogue.ALL_ROWS
    assert len(rows) == len(SCHEDULES)  # no name twice, no family that there is not
    assert len({row.style for row in rows}) == len(rows)
    assert {row.family for row in rows} == set(FAMILIES)


def test_what_the_kits_rows_say_stands_in_the_table_of_words():
    for row in SCHEDULES.values():
        assert vars(row)["when"] == ""
        assert r"\text" not in vars(row)["formula"]
        assert {vars(param)["help"] for param in row.params} <= {"", *LANGUAGES["en"]}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_says_what_its_rates_look_like(family):
    assert FAMILIES[family]
    with pytest.raises(KeyError):
        FAMILIES[f"no {family}"]
