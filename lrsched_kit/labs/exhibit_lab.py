"""The museum's lab: pick an exhibit, turn its knobs, run the wrong code or the right."""

from __future__ import annotations

import difflib
import html
from typing import Any

import ipywidgets as widgets
from matplotlib.figure import Figure

from ..museum import EXHIBITS, get_exhibit
from ..museum.exhibit import HEADER, Exhibit, Showing
from ..museum.picture import ExhibitAxes
from ..plotting.style import kit_look
from .base import Lab, Work
from .controls import button_row, make_button, make_menu, make_slider, slider_grid
from .live import WIDTH, Cancel, LiveFigure

CHANGED = "background: #fbe3b5"  # a line of code that the other version has not
PALE = "color: #767676"
ExhibitRequest = tuple[Exhibit, dict[str, Any]]  # what runs, and how: knobs and "mended"


class ExhibitWork(Work[ExhibitRequest]):
    """Runs exhibits and draws them; one thread at a time."""

    showing: Showing | None = None  # of the newest request

    @kit_look()
    def __init__(self) -> None:
        figure = Figure(figsize=(7.9, 2.9), dpi=120)
        ax = figure.subplots()
        figure.subplots_adjust(left=0.118, right=0.98, top=0.87, bottom=0.17)
        ax.yaxis.set_label_coords(-0.075, 0.5)
        self._axes = ExhibitAxes(ax)
        super().__init__(LiveFigure(figure, self._axes.artists))
        self.code = widgets.HTML()  # with the code that ran

    def __call__(self, request: ExhibitRequest, cancel: Cancel) -> None:
        """Run the code asked for, draw what it applied over what was meant, say where they part."""
        exhibit, settings = request
        showing, mended = exhibit.run(**settings), settings["mended"]
        if cancel():
            return
        self.showing = showing
        changed = self._axes.show(exhibit, showing, mended=mended)
        self.picture.draw(background_changed=changed)
        self.code.value = _marked_code(exhibit, mended=mended)
        self.say([*showing.lines, *([] if mended else [exhibit.why])])
        if not cancel():
            self.picture.draw(crisp=True)


class ExhibitLab(Lab[ExhibitRequest]):
    """The bug museum under sliders: each exhibit's wrong code, mended at the press of a button.

    The picture shows the rate that was meant, pale, and over it the rate that the code really
    applied. Below it stand a verdict, what torch warned about or raised, and the code that ran;
    the lines that the other version has not are marked.

    Args:
        name: the exhibit to begin with, a key of `EXHIBITS`.
        **knobs: where its knobs start; those left out take their defaults.

    Attributes:
        controls: "exhibit" (its name), "mended", "run" and "reset", and the knobs of the present
            exhibit by name.

    Raises:
        ValueError: for an unknown exhibit or knob.

    >>> lab = ExhibitLab("past_t_max", T_max=6)
    >>> lab.wait()
    True
    >>> lab.showing.verdict
    'Applied and meant differ at 5 of 12 epochs, first at epoch 7.'
    >>> lab.close()
    """

    def __init__(self, name: str = "stale_optimizer", **knobs: object) -> None:
        self._starts = {key: exhibit.complete({}) for key, exhibit in EXHIBITS.items()}
        self._starts[name] = get_exhibit(name).complete(knobs)
        self._knobs: dict[str, dict[str, widgets.Widget]] = {}  # by exhibit, made when first shown
        titles = [(f"{n}. {EXHIBITS[key].title}", key) for n, key in enumerate(EXHIBITS, 1)]
        self._fixed: dict[str, widgets.Widget] = {
            "exhibit": make_menu("exhibit", titles, name),
            "mended": make_button("mended", stays=True),
            **{key: make_button(key, f"{key}_exhibit_help") for key in ("run", "reset")},
        }
        self._fixed["mended"].layout.width = "106px"
        self._grid = slider_grid([])
        self._work: ExhibitWork = ExhibitWork()
        row = button_row(list(self._fixed.values()))
        super().__init__(
            self._work,
            {"exhibit": name, "mended": False},
            dict(self._fixed),
            [row, self._grid, self._work.picture.image, self._work.text, self._work.code],
        )
        self._show_knobs(name)
        self._called = name
        self._submit()

    @property
    def showing(self) -> Showing | None:
        """What the newest run did; None before there is one."""
        return self._work.showing

    # ---- callbacks, on whichever thread, one at a time: they only drop a request

    def _close_widgets(self, *others: widgets.Widget) -> None:
        unseen = [knob for knobs in self._knobs.values() for knob in knobs.values()]
        super()._close_widgets(*others, *unseen)

    def _request(self, *, again: bool) -> ExhibitRequest:
        return EXHIBITS[self._name], self._values()

    def _show_knobs(self, name: str) -> None:
        """Put an exhibit's knobs on the page; they stand as they were left."""
        start = self._starts[name]
        if name not in self._knobs:
            made = {p.name: make_slider(p, start[p.name]) for p in EXHIBITS[name].params}
            for knob in made.values():
                self._listen(knob, self._on_move)
            self._knobs[name] = made
        self._name = name  # the menu may have gone on already, on another thread
        self._grid.children = list(self._knobs[name].values())
        self.controls = {**self._knobs[name], **self._fixed}
        self._start = {**start, "mended": False}

    def _on_move(self, change: Any) -> None:
        if change["owner"] is self._fixed["exhibit"]:
            self._show_knobs(self._fixed["exhibit"].value)
        super()._on_move(change)


def _marked_code(exhibit: Exhibit, *, mended: bool) -> str:
    """Return the code that runs as HTML, with the lines marked that the other version has not."""
    wrong, right = (str(c).splitlines() for c in (exhibit.wrong_code, exhibit.right_code))
    ours, theirs = (right, wrong) if mended else (wrong, right)
    lines = [_span(HEADER, PALE), *map(html.escape, ours[:2])]  # name and docstring always differ
    for line in difflib.ndiff(theirs[2:], ours[2:]):
        if line[0] in " +":
            lines.append(_span(line[2:], CHANGED if line[0] == "+" else ""))
    style = f"line-height: 1.35; max-width: {WIDTH}; white-space: pre; overflow-x: auto"
    return f"<pre style='{style}'>{'<br>'.join(lines)}</pre>"


def _span(text: str, style: str) -> str:
    return f"<span style='{style}'>{html.escape(text)}</span>"
