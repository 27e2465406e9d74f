"""A lab in JupyterLab in a headless browser: from key press to picture, and to the final curves.

The peer is the usual `interact` cell that draws the same rate curve with pyplot, on the same page
in the same session. Both are measured in the page: from the key press to the animation frame that
follows the new picture's loading.
"""

import sys
import tempfile
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from jupyter_page import browser_page, open_notebook, run_all, serve, write_notebook

KEYS, FINALS = 21, 7

LAB = """
import lrsched_kit as kit
lab = kit.ScheduleLab("StepLR", seeds={seeds}, gamma=0.5)
lab"""

INTERACT = """
%matplotlib inline
import matplotlib.pyplot as plt
from ipywidgets import interact

@interact(gamma=(0.05, 1.0, 0.01))
def draw(gamma=0.5):
    rates = kit.trace_lr("StepLR", base_lr=0.1, steps=20, gamma=gamma)
    figure, axes = plt.subplots(1, 2, figsize=(8.6, 3.8))
    axes[0].step(range(20), rates, where="post")
    plt.show()"""

# Listens for a key, then for the picture that loads next, then for the next animation frame.
WATCH = """
(selector) => {
    window.delays = [];
    let pressed = null;
    document.addEventListener('keydown', () => { pressed = performance.now(); }, true);
    const loaded = () => {
        if (pressed === null) return;
        const start = pressed;
        pressed = null;
        requestAnimationFrame(() => window.delays.push(performance.now() - start));
    };
    document.addEventListener('load', event => {
        if (event.target.matches && event.target.matches(selector)) loaded();
    }, true);
}
"""

# Listens for a key, then for the words of a run that trains, then for those of one that is done.
WATCH_FINAL = """
() => {
    window.finished = null;
    document.addEventListener('keydown', () => {
        const start = performance.now();
        let training = false;
        const look = () => {
            const words = document.querySelector('.jp-OutputArea-output .widget-vbox').textContent;
            training = training || words.includes('Training: epoch');
            if (training && words.includes('Final validation loss'))
                window.finished = performance.now() - start;
            else requestAnimationFrame(look);
        };
        look();
    }, { capture: true, once: true });
}
"""


def key_delays(page, gamma, selector):
    """Press an arrow key again and again at rest, and return the milliseconds to each picture."""
    page.evaluate(WATCH, selector)
    gamma.focus()
    for key in range(KEYS):
        page.keyboard.press("ArrowRight")
        page.wait_for_function("n => window.delays.length > n", arg=key)
        page.wait_for_timeout(1500)  # let the training come to rest
    return page.evaluate("() => window.delays")


def final_delays(page, handle, key):
    """Press a key again and again at rest; yield the seconds until each run is drawn."""
    handle.focus()
    for _ in range(FINALS):
        page.evaluate(WATCH_FINAL)
        page.keyboard.press(key)
        page.wait_for_function("() => window.finished !== null")
        page.wait_for_timeout(300)
        yield page.evaluate("() => window.finished") / 1000


def handle(page, name, index=0):
    row = page.locator(".widget-slider", has=page.locator(f'label:text-is("{name}")'))
    return row.nth(index).locator(".noUi-handle")


def main():
    with tempfile.TemporaryDirectory() as folder:
        notebooks = Path(folder) / "notebooks"
        write_notebook(notebooks / "one.ipynb", LAB.format(seeds=1), INTERACT)
        write_notebook(notebooks / "five.ipynb", LAB.format(seeds=5))
        with serve(notebooks) as address, browser_page() as page:
            open_notebook(page, address, "five.ipynb")
            run_all(page)
            page.get_by_text("Final validation loss").wait_for()
            lab = median(key_delays(page, handle(page, "gamma"), "img.widget-image"))
            both = median(final_delays(page, handle(page, "base_lr"), "ArrowLeft"))
            one = median(final_delays(page, handle(page, "gamma"), "ArrowLeft"))
            open_notebook(page, address, "one.ipynb")
            run_all(page)
            page.get_by_text("Final validation loss").wait_for()
            single = median(final_delays(page, handle(page, "base_lr"), "ArrowLeft"))
            peer = median(key_delays(page, handle(page, "gamma", 1), ".jp-RenderedImage img"))
    print("JupyterLab in headless Chromium, 20 epochs (median)")
    rows = [
        ("interact + pyplot: key press to new rate curve", f"{peer:7.0f} ms"),
        ("lab with bands: key press to new rate curve", f"{lab:7.0f} ms   {lab / peer:.2f} of it"),
        ("lab, 1 seed: key press to final curves", f"{single:7.2f} s    2 runs, < 1.5 s"),
        ("lab with bands: the same", f"{both:7.2f} s    10 runs, < 0.8 s"),
        ("... when only the schedule changes", f"{one:7.2f} s    5 runs, < 0.8 s"),
    ]
    for label, figure in rows:
        print(f"  {label:48}{figure}")


if __name__ == "__main__":
    main()
