"""The controls of a lab: a slider, menu or text box for each param, and the row of buttons."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import ipywidgets as widgets
from traitlets import CUnicode, validate

from ..schedules.params import Choice, Knob, Steps
from ..words import say
from ..words.errors import nearest
from .live import WIDTH

DIGITS = 3  # read-outs show so many significant digits, and labs train with just those


class StepsBox(widgets.Text):
    """A text box for steps of a run; it takes a tuple as well as text."""

    value = CUnicode(help="the steps, with commas between them").tag(sync=True)

    @validate("value")
    def _plain(self, proposal: dict[str, str]) -> str:
        return proposal["value"].strip("()[], ")

    @property
    def steps(self) -> tuple[int, ...] | str:
        """The steps, or the text if it is none: `Steps.check` refuses that in words."""
        try:
            return tuple(int(word) for word in re.split(r"[\s,;]+", self.value) if word)
        except ValueError:
            return self.value


def make_slider(param: Knob, value: Any, grid: Sequence[float] = ()) -> widgets.Widget:
    """Make the control of one parameter; a start value beyond a slider's ends widens it.

    A choice is a menu. Two steps of a run are the two ends of a slider, of another number of
    them one reads and writes a list. Where a grid is given, its values are the notches.
    """
    common = {
        "value": value,
        "description": param.name,
        "tooltip": param.help,
        "style": {"description_width": f"{max(76, 7 * len(param.name))}px"},
        "layout": widgets.Layout(width="auto", min_width="0"),
    }
    if grid:
        notches = [(f"{notch:.3g}", notch) for notch in grid]
        return widgets.SelectionSlider(options=notches, **common)
    if isinstance(param, Choice):
        return widgets.Dropdown(options=param.options, **common)
    if isinstance(param, Steps):
        if len(value) != 2:
            return StepsBox(continuous_update=False, **common)
        return widgets.IntRangeSlider(min=1, max=max(param.high, *value), **common)
    low, high = min(param.low, value), max(param.high, value)
    if param.integer:
        return widgets.IntSlider(min=int(low), max=int(high), **common)
    # A browser moves a value between two notches onto one of them, so the start must be a notch;
    # and what lies beyond an end may be refused, so the last notch is the one before it.
    if param.log and low > 0:
        make, step, digits = widgets.FloatLogSlider, 0.05, f".{DIGITS}g"
        start = math.log10(value)
        low = start - step * math.floor((start - math.log10(low)) / step + 1e-9)
        high = start + step * math.floor((math.log10(high) - start) / step + 1e-9)
    else:
        places = -math.floor(math.log10((param.high - param.low) / 40))
        places = max(places, -int(Decimal(f"{value:.{DIGITS}g}").normalize().as_tuple().exponent))
        make, step, digits = widgets.FloatSlider, 10.0**-places, f".{places}f"
    return make(min=low, max=high, step=step, readout_format=digits, **common)


def starts(lab: str, knobs: Sequence[Knob], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return where a lab's sliders start: given values checked, the others at their defaults."""
    known = {knob.name: knob for knob in knobs}
    for name in given:
        if name not in known:
            hint = nearest(name, known)
            raise ValueError(f"{lab} has no setting {name!r}{hint}; it takes {', '.join(known)}.")
    return {name: knob.check(given.get(name, knob.default)) for name, knob in known.items()}


def read(control: widgets.Widget, start: Any) -> Any:
    """Return the value as its read-out shows it, so that what is shown is what is trained.

    Where it stands at its start, that is returned to all its digits.
    """
    if isinstance(control, StepsBox):
        return control.steps
    value = control.value
    if not isinstance(value, float):
        return value
    return start if math.isclose(value, start) else float(f"{value:.{DIGITS}g}")


def move_to(slider: widgets.FloatLogSlider, value: float) -> None:
    """Move a logarithmic slider to the notch next to ``value``, where a browser leaves it alone."""
    notches = round((math.log10(value) - slider.min) / slider.step)
    power = min(slider.min + notches * slider.step, slider.max)
    slider.value = float(f"{10**power:.{DIGITS}g}")


def make_menu(name: str, options: Iterable[str | tuple[str, str]], value: str) -> widgets.Dropdown:
    """Make the menu of that name; with one option there is nothing to pick."""
    options = list(options)
    return widgets.Dropdown(
        options=options,
        value=value,
        description=say(name),
        tooltip=say(f"{name}_help"),
        disabled=len(options) < 2,
        style={"description_width": "initial"},
        layout=widgets.Layout(width="auto", margin="2px 14px 2px 2px"),
    )


def make_button(key: str, help_key: str = "", *, stays: bool = False, **values: object) -> Any:
    """Make a button, or a switch that ``stays`` down; "run" is explained by "run_help"."""
    make = widgets.ToggleButton if stays else widgets.Button
    return make(
        description=say(key),
        tooltip=say(help_key or f"{key}_help", **values),
        layout=widgets.Layout(width="auto", min_width="62px"),
    )


def make_buttons(names: Sequence[str], save_folder: str = "") -> dict[str, widgets.Widget]:
    """Make buttons with words and tooltips; "log" and "code" stay down when clicked."""
    return {n: make_button(n, stays=n in ("log", "code"), folder=save_folder) for n in names}


def slider_grid(sliders: list[widgets.Widget]) -> widgets.GridBox:
    """Lay sliders out in as many columns as fit the page."""
    return widgets.GridBox(
        sliders,
        layout=widgets.Layout(
            grid_template_columns="repeat(auto-fit, minmax(270px, 1fr))",
            grid_gap="0 12px",
            max_width="800px" if len(sliders) in (2, 4) else WIDTH,
        ),
    )


def button_row(items: list[widgets.Widget]) -> widgets.HBox:
    """Lay buttons out in a row that wraps on a narrow page."""
    return widgets.HBox(
        items,
        layout=widgets.Layout(flex_flow="row wrap", align_items="center", max_width=WIDTH),
    )
