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
    """A figure that a notebook shows by itself, without pyplot's global state.

    It looks the same whatever the reader's rcParams were when it was made, is shown or is saved.
    """

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
    """Let a plot function draw in the kit's look, except on axes of a reader's own figure.

    Those keep all that the reader chose; the curves on them have the kit's colours.
    """
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
    pixels = canvas.buffer_rgba()
    height, width, _ = pixels.shape
    frame = Image.frombuffer("RGBA", (width, height), pixels, "raw", "RGBA", 0, 1)
    return frame.convert("RGB")


def palette_png(canvas: FigureCanvasAgg) -> bytes:
    """Encode what was drawn with few colours, which takes a third of the bytes of all colours.

    Lines and text on white need no more than 128, their smoothed edges included.
    """
    buffer, frame = io.BytesIO(), pixels_of(canvas)
    palette = frame.quantize(128, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    palette.save(buffer, "png", compress_level=9)
    return buffer.getvalue()
