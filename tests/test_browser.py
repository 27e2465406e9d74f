"""A real JupyterLab in a real browser: what a reader does with keys and mouse, and then sees."""

import os
import re
import shutil
from pathlib import Path

import pytest
from jupyter_page import browser_page, find_browser, open_notebook, run_all, serve, write_notebook

ROOT = Path(__file__).parent.parent
ARTIFACTS = ROOT / "test-artifacts"  # screenshots, for people; the README's picture is one

pytestmark = pytest.mark.skipif(
    not find_browser() and not os.environ.get("REQUIRE_BROWSER"),
    reason="no Chromium or Chrome here (REQUIRE_BROWSER=1 makes that an error)",
)

COUNT_THREADS = """\
import threading

print("threads:", sum(t.name.startswith("lrsched_kit") for t in threading.enumerate()))
print("rate:", lab.histories["StepLR"][0].epoch_lr[-1])"""


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser") / "notebooks"
    shutil.copytree(ROOT / "notebooks", folder)
    write_notebook(
        folder / "lab.ipynb",
        "import lrsched_kit as kit",
        'lab = kit.ScheduleLab("StepLR", step_size=8)\nlab',
        "lab.wait()",
        COUNT_THREADS,
    )
    with serve(folder) as address:
        yield address


@pytest.fixture(scope="module")
def browser():
    with browser_page() as page:
        yield page


@pytest.fixture
def page(browser, address):
    """The little notebook ``lab.ipynb``, freshly run."""
    open_notebook(browser, address, "lab.ipynb")
    run_all(browser)
    browser.locator("img.widget-image").wait_for()
    wait_finished(browser)
    return browser


def wait_finished(page):
    page.get_by_text("Final validation loss").first.wait_for()
    page.locator("button", has_text=re.compile("^Run$")).wait_for()


def slider(page, name):
    row = page.locator(".widget-slider", has=page.locator(f'label:text-is("{name}")'))
    return row.locator(".noUi-handle"), row.locator(".widget-readout")


def watch_picture(page):
    """Note every height that the picture takes from now on, and how often it changes."""
    page.evaluate(
        """() => {
            const image = document.querySelector('img.widget-image');
            window.heights = new Set([image.clientHeight]);
            window.frames_seen = 0;
            image.addEventListener('load', () => {
                window.frames_seen += 1;
                window.heights.add(image.clientHeight);
            });
            new ResizeObserver(() => window.heights.add(image.clientHeight)).observe(image);
        }"""
    )


def picture_record(page):
    return page.evaluate("() => [[...window.heights], window.frames_seen]")


def cell_output(page, index):
    return page.locator(".jp-CodeCell").nth(index).locator(".jp-OutputArea-output")


def run_cell(page, index):
    """Select a cell and press Ctrl+Enter; return when it has run."""
    cell = page.locator(".jp-CodeCell").nth(index)
    cell.locator(".jp-InputPrompt").click()
    page.keyboard.press("Control+Enter")
    page.wait_for_timeout(100)
    page.wait_for_function(
        "i => !document.querySelectorAll('.jp-CodeCell')[i]"
        ".querySelector('.jp-InputPrompt').textContent.includes('*')",
        arg=index,
    )


def test_the_start_lesson_runs_from_top_to_bottom(browser, address):
    problems = []
    browser.on("pageerror", lambda error: problems.append(str(error)))
    open_notebook(browser, address, "00_start_here.ipynb")
    assert browser.get_by_text("Error displaying widget").count() == 0  # stored picture instead
    run_all(browser)
    wait_finished(browser)
    assert browser.locator("img.widget-image").count() >= 1
    assert browser.locator('.jp-OutputArea-output[data-mime-type*="stderr"]').count() == 0
    assert browser.get_by_text("official Jupyter news").count() == 0
    assert problems == []


def test_an_arrow_key_moves_rate_picture_and_words(page):
    handle, readout = slider(page, "step_size")
    watch_picture(page)
    handle.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("() => window.frames_seen > 3")
    wait_finished(page)
    assert readout.inner_text() == "9"
    heights, _ = picture_record(page)
    assert len(heights) == 1


def test_the_picture_follows_the_mouse_and_ends_on_the_last_value(page):
    handle, readout = slider(page, "gamma")
    watch_picture(page)
    box = handle.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    for move in range(40):  # in about one second
        page.mouse.move(x + 3 * (move + 1), y)
        page.wait_for_timeout(25)
    page.mouse.up()
    wait_finished(page)
    gamma = float(readout.inner_text())
    assert gamma > 0.3
    run_cell(page, 2)
    run_cell(page, 3)
    printed = cell_output(page, 3).inner_text()
    assert float(re.search(r"rate: (\S+)", printed)[1]) == pytest.approx(0.1 * gamma**2)
    heights, frames = picture_record(page)
    assert len(heights) == 1
    assert frames > 10


def test_another_cell_runs_while_training_goes_on(page):
    handle, _ = slider(page, "epochs")
    handle.focus()
    page.keyboard.press("End")
    page.locator("button", has_text=re.compile("^Stop$")).wait_for()
    run_cell(page, 0)
    assert page.locator("button", has_text=re.compile("^Stop$")).count() == 1
    wait_finished(page)


def test_running_the_lab_cell_again_leaves_no_thread_and_one_live_lab(page):
    handle, _ = slider(page, "epochs")
    handle.focus()
    page.keyboard.press("End")
    run_cell(page, 1)
    run_cell(page, 2)
    run_cell(page, 3)
    assert "threads: 0" in cell_output(page, 3).inner_text()
    assert page.locator("img.widget-image").count() == 1


def test_show_code_and_pin_keep_the_picture_where_it_is(page):
    watch_picture(page)
    top = page.locator("img.widget-image").bounding_box()["y"]
    page.locator("button", has_text="Pin").click()
    page.locator("button", has_text="Show code").click()
    page.get_by_text("torch.optim.lr_scheduler.StepLR").first.wait_for()
    handle, _ = slider(page, "gamma")
    handle.focus()
    page.keyboard.press("PageUp")
    wait_finished(page)
    page.wait_for_timeout(200)
    assert page.locator("img.widget-image").bounding_box()["y"] == pytest.approx(top, abs=1)
    heights, _ = picture_record(page)
    assert len(heights) == 1


@pytest.mark.parametrize(("width", "height"), [(1400, 900), (1024, 768)])
def test_nothing_of_a_lab_is_cut_off(page, width, height):
    page.set_viewport_size({"width": width, "height": height})
    page.wait_for_timeout(500)
    lab = page.locator(".jp-OutputArea-output .widget-vbox").first
    overflowing = lab.evaluate(
        """lab => [...lab.querySelectorAll('button, .widget-slider, img')]
            .filter(e => e.getBoundingClientRect().right > lab.getBoundingClientRect().right + 1
                      || e.scrollWidth > e.clientWidth + 1)
            .map(e => e.className)"""
    )
    lab.scroll_into_view_if_needed()
    ARTIFACTS.mkdir(exist_ok=True)
    lab.screenshot(path=ARTIFACTS / f"lab-{width}.png")
    page.set_viewport_size({"width": 1400, "height": 900})
    assert overflowing == []
