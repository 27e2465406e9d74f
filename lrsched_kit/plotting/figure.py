"""A figure that looks the same everywhere: without pyplot, whatever the reader's rcParams."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import nullcontext
from functools import wraps
from inspect import signature
from typing import Any, ParamSpec, TypeVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from .style import kit_look

Arguments = ParamSpec("Arguments")
Drawn = TypeVar("Drawn")


class KitFigure(Figure):
    """A figure that a notebook shows by itself, in the kit's look, without pyplot's state."""

    def draw(self, renderer: RendererBase) -> None:
        """Draw in the kit's look."""
        with kit_look():
            super().draw(renderer)

    def savefig(self, fname: Any, **options: Any) -> None:
        """Save in the kit's look; the options are matplotlib's."""
        with kit_look():
            super().savefig(fname, **options)

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        """Draw with twice the pixels that it takes up, for projectors and fine screens."""
        width = round(self.get_figwidth() * self.dpi)
        dpi = self.dpi
        self.dpi = 2 * dpi
        canvas = FigureCanvasAgg(self)
        canvas.draw()
        png = palette_png(canvas)
        self.dpi = dpi
        return png, {"width": width}


@kit_look()
def new_axes(columns: int = 1, size: tuple[float, float] | None = None) -> list[Axes]:
    """Make a figure with so many axes side by side; ``size`` is in inches."""
    figure = KitFigure(
        figsize=size or ((6.4, 3.6) if columns == 1 else (4.8 * columns, 3.6)),
        dpi=100,
        layout="constrained",
    )
    return list(np.atleast_1d(figure.subplots(1, columns)))


def drawn_by_kit(plot: Callable[Arguments, Drawn]) -> Callable[Arguments, Drawn]:
    """Let a plot function draw in the kit's look, except on axes of a reader's own figure."""
    names = signature(plot)

    @wraps(plot)
    def draw(*args: Arguments.args, **options: Arguments.kwargs) -> Drawn:
        given = names.bind(*args, **options).arguments
        axes: Any = given.get("axes", given.get("ax"))
        ax = np.atleast_1d(axes)[0]
        of_kit = ax is None or isinstance(ax.get_figure(root=True), KitFigure)
        with kit_look() if of_kit else nullcontext():
            return plot(*args, **options)

    return draw


def pixels_of(canvas: FigureCanvasAgg) -> Image.Image:
    """Return what was drawn, without transparency."""
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def palette_png(canvas: FigureCanvasAgg) -> bytes:
    """Encode what was drawn with 128 colours, which takes a third of the bytes of all colours."""
    buffer, frame = io.BytesIO(), pixels_of(canvas)
    palette = frame.quantize(128, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    palette.save(buffer, "png", compress_level=9)
    return buffer.getvalue()
