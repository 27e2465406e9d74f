"""The catalogue's lab: pick a family and a row of it, and that row's lab opens below."""

from __future__ import annotations

import html
import itertools
from typing import Any

import ipywidgets as widgets

from ..plotting.gallery import families, in_torch, thumbnail
from ..schedules.catalogue import SCHEDULES, get_schedule
from ..schedules.spec import FAMILIES, Schedule
from ..training.history import History
from ..words import say
from .controls import button_row, make_menu
from .live import WIDTH
from .page import Page, inside_another_lab
from .schedule_lab import ScheduleLab

_LINK = "color: #0072b2; text-decoration: underline"  # pages style links in text only
_WIDTH = "172px"  # of a small picture: six fit the page


class GalleryLab(Page):
    """The catalogue under buttons: pick a row, read what it is, and try it in its own lab.

    Above, the families, the pictures of one family's rows with a button each, and the formula,
    the use and the source of the row that is picked; below, that row's `ScheduleLab`. It is made
    when the row is picked, and closed when another one is.

    Args:
        name: the row to begin with; a row of one's own hangs beside the others of its family.
        **settings: as for `ScheduleLab`, for every lab that is opened: for example ``epochs``,
            ``seeds``, ``optimizer``; but no params of a single row.

    Attributes:
        lab: the one that is open.

    Raises:
        ValueError: naming argument, constraint and value.

    >>> gallery = GalleryLab("StepLR", epochs=2, seeds=1)
    >>> gallery.controls["schedule"].value = "REX"
    >>> gallery.wait()
    True
    >>> gallery.controls["family"].value, list(gallery.histories)
    ('decay', ['REX', 'Constant'])
    >>> gallery.close()
    """

    def __init__(self, name: str | Schedule = "StepLR", **settings: Any) -> None:
        row = get_schedule(name)
        self._rows = {**SCHEDULES, row.name: row}
        self._families = families(self._rows.values())
        self._settings = settings
        self.lab = ScheduleLab(row, **settings)
        names = [member.name for rows in self._families.values() for member in rows]
        self._pickers = {
            "family": widgets.ToggleButtons(
                options=list(self._families),
                value=row.family,
                tooltips=[FAMILIES.get(family, family) for family in self._families],
                style={"button_width": "auto"},
            ),
            "schedule": make_menu("schedule", names, row.name),
        }
        self._cells = [_Cell() for _ in range(max(map(len, self._families.values())))]
        self._facts = widgets.HTMLMath(layout=widgets.Layout(max_width=WIDTH))
        self._place = widgets.VBox([self.lab])
        rows = [button_row([*self._pickers.values()]), button_row([*self._cells])]
        super().__init__([*rows, self._facts, self._place])
        self._show(row)
        self._listen(self._pickers["family"], self._on_family)
        self._listen(self._pickers["schedule"], self._on_schedule)
        for cell in self._cells:
            self._listen(cell.button, self._on_click)

    @property
    def controls(self) -> dict[str, widgets.Widget]:
        """The menus "family" and "schedule", and the controls of the open lab."""
        return {**self._pickers, **self.lab.controls}

    @property
    def histories(self) -> dict[str, list[History]]:
        """The open lab's newest finished run."""
        return self.lab.histories

    @property
    def summary(self) -> str:
        """The lines under the open lab's picture."""
        return self.lab.summary

    @property
    def traceback(self) -> str:
        """Where the open lab's run failed; empty if it did not."""
        return self.lab.traceback

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the open lab, as `ScheduleLab.wait` does."""
        return self.lab.wait(timeout)

    def close(self) -> None:
        """Close the open lab and take the widgets off the page."""
        if self.comm is not None:  # Widget.close() comes here a second time
            with self._lock:
                self._place.children = []  # the lab closes its own widgets, maybe later
                self.lab.close()
                self._close_widgets()

    def __repr__(self) -> str:
        return f"GalleryLab({self.lab.schedule.name})"

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any] | None:
        """Add the open lab's picture, for those who read the notebook without running it."""
        bundle = super()._repr_mimebundle_(**kwargs)
        inner = self.lab._repr_mimebundle_() or {}
        if bundle is not None and "image/png" in inner:
            bundle["image/png"] = inner["image/png"]
        return bundle

    # ---- callbacks, on whichever thread, one at a time

    def _on_family(self, change: dict[str, Any]) -> None:
        """Go to the family's first row, unless the row that is picked belongs to it."""
        if self._rows[self._pickers["schedule"].value].family != change["new"]:
            self._pickers["schedule"].value = self._families[change["new"]][0].name

    def _on_click(self, button: widgets.Button) -> None:
        self._pickers["schedule"].value = button.description

    def _on_schedule(self, _: object) -> None:
        row, earlier = self._rows[self._pickers["schedule"].value], self.lab
        if row is earlier.schedule:
            return
        try:
            with inside_another_lab():
                self.lab = ScheduleLab(row, **self._settings)
        except ValueError as error:  # a setting for all labs need not fit every row
            self._pickers["schedule"].value = earlier.schedule.name
            self._show(earlier.schedule, say("not_opened", name=row.name, error=error))
            return
        self._place.children = [self.lab]
        earlier.close()
        self._show(row)

    def _show(self, row: Schedule, note: str = "") -> None:
        for cell, member in itertools.zip_longest(self._cells, self._families[row.family]):
            cell.show(member, picked=member is row)
        self._pickers["family"].value = row.family
        self._facts.value = _facts(row) + html.escape(note)


class _Cell(widgets.VBox):
    """A row's picture with its button under it."""

    def __init__(self) -> None:
        self.picture = widgets.Image(
            value=thumbnail("Constant"),  # none would do: see live.py on blank pictures
            layout=widgets.Layout(width=_WIDTH, height="auto"),
        )
        self.button = widgets.Button(layout=widgets.Layout(width=_WIDTH))
        super().__init__([self.picture, self.button])

    def show(self, row: Schedule | None, *, picked: bool) -> None:
        """Show that row, or nothing."""
        self.layout.display = "none" if row is None else ""
        if row is not None:
            self.picture.value = thumbnail(row)
            self.button.description, self.button.tooltip = row.name, row.when
            self.button.button_style = "info" if picked else ""


def _facts(row: Schedule) -> str:
    """Return formula, use, usual unit and source of a row as HTML."""
    key = "in_torch" if in_torch(row.name) else "not_in_torch"
    kind = say(key, name=f"<b>{html.escape(row.name)}</b>")
    unit = say("unit_line", unit=say(row.step_every))
    link = f"<a href='{html.escape(row.source)}' target='_blank' style='{_LINK}'>"
    text = f"{kind} {html.escape(row.when)}<br>{unit} {link}{say('source')}</a>"
    return f"<div style='line-height: 1.5'>{text}</div>$$\\large {row.formula}$$"
