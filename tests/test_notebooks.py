"""Rules that every lesson keeps. That its outputs come out the same again is nbval's business."""

import contextlib
import io
import re
from pathlib import Path
from statistics import median

import nbformat
import pytest

import lrsched_kit as kit
from lrsched_kit.training.threads import one_thread

FOLDER = Path(__file__).parent.parent / "notebooks"
LESSONS = sorted(FOLDER.glob("*.ipynb"))
LAB = re.compile(r"(\w+) = kit\.\w+Lab\(")


def read(path):
    return nbformat.read(path, as_version=4)


def cells(lesson, kind, tag=None):
    return [
        cell
        for cell in lesson.cells
        if cell.cell_type == kind and (tag is None or tag in cell.metadata.get("tags", []))
    ]


def lines(source):
    return [line for line in source.splitlines() if line.strip()]


@pytest.fixture(params=LESSONS, ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture
def lesson(path):
    return read(path)


def having(tag):
    found = [path for path in LESSONS if cells(read(path), "code", tag)]
    return pytest.mark.parametrize("path", found, ids=lambda path: path.stem)


def test_the_lessons_are_all_there():
    assert [path.stem for path in LESSONS] == [
        "00_start_here",
        "01_constant_lr",
        "02_step_decay",
        "03_exponential_decay",
        "04_cosine_annealing",
        "05_reduce_on_plateau",
        "06_compare_schedules",
        "07_optimizers",
        "08_models",
        "09_catalogue",
        "10_warmup_and_composition",
        "11_lr_range_test",
        "12_why_it_works",
        "13_bug_museum",
    ]


def test_every_cell_was_run_once_and_in_order(lesson):
    code = cells(lesson, "code")
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert not [o for cell in code for o in cell.outputs if o.output_type == "error"]
    assert not [o for cell in code for o in cell.outputs if o.get("name") == "stderr"]


def test_the_first_cell_is_the_only_title(lesson):
    titles = [
        line
        for cell in cells(lesson, "markdown")
        for line in cell.source.splitlines()
        if line.startswith("# ")
    ]
    assert len(titles) == 1
    assert lesson.cells[0].source.startswith("# ")


def test_the_lesson_says_what_it_asks_what_it_gives_and_how_long_it_takes(lesson):
    opening = lesson.cells[0].source.lower()
    assert "question" in opening
    assert "you can" in opening
    assert "minutes" in opening


def test_code_cells_are_short_and_prose_outweighs_them(lesson):
    code = [len(lines(cell.source)) for cell in cells(lesson, "code")]
    assert median(code) <= 5
    assert max(code) <= 15
    words = {
        kind: sum(len(cell.source.split()) for cell in cells(lesson, kind))
        for kind in ("code", "markdown")
    }
    assert words["markdown"] > words["code"]


def test_every_lab_is_driven_through_its_controls_and_something_is_asserted(lesson):
    sources = [cell.source for cell in cells(lesson, "code")]
    labs = [name for source in sources for name in LAB.findall(source)]
    assert labs
    for name in labs:
        driving = [s for s in sources if f"{name}.controls[" in s and f"{name}.wait(" in s]
        assert any("assert " in source for source in driving)


def test_nothing_that_blocks_sliders_or_swallows_errors(lesson):
    for cell in cells(lesson, "code"):
        assert not re.search(
            r"\bawait\b|Output\(|pyplot|plt\.show|except Exception|except:", cell.source
        )


def test_the_file_is_small_and_holds_no_widget_state(path, lesson):
    assert path.stat().st_size <= 300_000
    assert "widgets" not in lesson.metadata
    assert lesson.metadata.kernelspec.name == "python3"


def test_each_lab_left_a_picture_for_readers_without_a_kernel(lesson):
    bundles = [o.data for cell in cells(lesson, "code") for o in cell.outputs if "data" in o]
    views = [b for b in bundles if "application/vnd.jupyter.widget-view+json" in b]
    assert views
    assert all("image/png" in bundle for bundle in views)


def test_links_to_other_lessons_lead_somewhere_and_one_leads_on(path, lesson):
    text = "\n".join(cell.source for cell in cells(lesson, "markdown"))
    links = set(re.findall(r"\]\((\w+\.ipynb)\)", text))
    assert all((FOLDER / link).exists() for link in links)
    following = LESSONS[LESSONS.index(path) + 1 :][:1]
    assert {later.name for later in following} <= links


def run(namespace, cells):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        for cell in cells:
            exec(compile(cell.source, "lesson", "exec"), namespace)
    return printed.getvalue()


def fresh(lesson):
    """A namespace in which just the lesson's import cell has run."""
    namespace = {}
    run(namespace, cells(lesson, "code")[:1])
    return namespace


@having("training-loop")
def test_the_loop_shown_is_what_train_does(path, lesson):
    (loop,) = cells(lesson, "code", "training-loop")
    body = loop.source[loop.source.index("for ") :].split("\n\n")[0]
    assert len(lines(body)) <= 12
    assert "optimizer.step()" in body
    assert "scheduler.step(" in body
    names = fresh(lesson)
    with one_thread():  # as in train: two threads may add up in another order
        for tag in ("training-setup", "training-loop", "training-check"):
            run(names, cells(lesson, "code", tag))
    history = names["history"]
    assert names["rates"] == history.lr.tolist()
    assert names["losses"] == history.val_loss.tolist()


def test_five_lessons_show_the_loop():
    assert sum(bool(cells(read(path), "code", "training-loop")) for path in LESSONS) >= 5


def test_every_lesson_has_an_exercise(lesson):
    assert cells(lesson, "code", "exercise")
    assert cells(lesson, "markdown", "solution")


def test_each_exercise_is_unsolved_as_given_and_solved_by_its_solution(lesson):
    exercises = cells(lesson, "code", "exercise")
    solutions = cells(lesson, "markdown", "solution")
    assert len(exercises) == len(solutions)
    for given, solution in zip(exercises, solutions, strict=True):
        place = lesson.cells.index(given)
        checker = next(
            cell
            for cell in lesson.cells[place:]
            if cell.cell_type == "code" and "kit.check(" in cell.source
        )
        assert "Correct" not in run(fresh(lesson), [given, checker])
        (answer,) = re.findall(r"```python\n(.*?)```", solution.source, flags=re.S)
        solved = run(fresh(lesson), [nbformat.v4.new_code_cell(answer), checker])
        assert "Correct" in solved
        assert "Not yet" not in solved


def test_every_name_used_by_a_lesson_is_public(lesson):
    used = {
        name for cell in cells(lesson, "code") for name in re.findall(r"\bkit\.(\w+)", cell.source)
    }
    assert used <= set(kit.__all__)
