"""Pictures: data in, axes or a figure out. Never pyplot, whatever the rcParams."""

from .finals import plot_finals, plot_ranking
from .gallery import plot_gallery
from .heatmap import plot_heat_map
from .histories import plot_expected, plot_histories, plot_rates
from .range_test import plot_range_test

__all__ = [
    "plot_expected",
    "plot_finals",
    "plot_gallery",
    "plot_heat_map",
    "plot_histories",
    "plot_range_test",
    "plot_ranking",
    "plot_rates",
]
