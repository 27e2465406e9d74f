"""What curves are drawn in: a colour for each family, and line styles that differ within it."""

from __future__ import annotations

# Okabe and Ito's palette, told apart by colour-blind readers.
GREY, VERMILION, GREEN, BLUE = "#7f7f7f", "#d55e00", "#009e73", "#0072b2"
ORANGE, SKY, BLACK, PURPLE = "#e69f00", "#56b4e9", "#000000", "#b5548a"

Dashes = str | tuple[int, tuple[float, ...]]  # a line style as matplotlib takes it

SOLID: Dashes = "-"
LONG: Dashes = (0, (7, 1.5))
SHORT: Dashes = (0, (3.5, 1.2))
DOTS: Dashes = (0, (1.2, 1.2))
DASH_DOT: Dashes = (0, (7, 1.5, 1.5, 1.5))
DASH_DOTS: Dashes = (0, (7, 1.5, 1.5, 1.5, 1.5, 1.5))
