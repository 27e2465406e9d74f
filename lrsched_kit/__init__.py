"""Learning-rate schedules in PyTorch, shown as applied, fairly compared, with bands.

>>> from lrsched_kit import trace_lr
>>> trace_lr("StepLR", base_lr=0.1, steps=4, step_size=2).round(4).tolist()
[0.1, 0.1, 0.01, 0.01]
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .advice import suggest_base_lr
from .data import Dataset, load_digits, toy_regression
from .exercises import check
from .experiments import Comparison, RangeTest, Sweep, compare, lr_range_test, sweep
from .fleet import Run, train_many
from .gallery import plot_gallery, plot_ranking
from .heatmap import plot_heat_map
from .models import CNN, LSTM, MLP, MODELS, SimpleNet, Transformer, seeded
from .museum import EXHIBITS, Exhibit, plot_exhibit
from .optimizers import make_optimizer
from .phases import Phase, boundaries, find_jumps
from .plotting import plot_finals, plot_histories, plot_rates
from .range_plot import plot_range_test
from .schedules import (
    BASICS,
    FAMILIES,
    SCHEDULES,
    Param,
    Schedule,
    get_schedule,
    trace_groups,
    trace_lr,
    trace_momentum,
)
from .sequences import compose
from .theory import NoisyQuadratic, noise_floor
from .theory_plots import plot_expected
from .training import History, batches, evaluate, train

if TYPE_CHECKING:
    from .labs import (
        ComposerLab,
        ExhibitLab,
        GalleryLab,
        QuadraticLab,
        RangeTestLab,
        ScheduleLab,
        SweepLab,
    )

__all__ = [
    "BASICS",
    "CNN",
    "EXHIBITS",
    "FAMILIES",
    "LSTM",
    "MLP",
    "MODELS",
    "SCHEDULES",
    "Comparison",
    "ComposerLab",
    "Dataset",
    "Exhibit",
    "ExhibitLab",
    "GalleryLab",
    "History",
    "NoisyQuadratic",
    "Param",
    "Phase",
    "QuadraticLab",
    "RangeTest",
    "RangeTestLab",
    "Run",
    "Schedule",
    "ScheduleLab",
    "SimpleNet",
    "Sweep",
    "SweepLab",
    "Transformer",
    "batches",
    "boundaries",
    "check",
    "compare",
    "compose",
    "evaluate",
    "find_jumps",
    "get_schedule",
    "load_digits",
    "lr_range_test",
    "make_optimizer",
    "noise_floor",
    "plot_exhibit",
    "plot_expected",
    "plot_finals",
    "plot_gallery",
    "plot_heat_map",
    "plot_histories",
    "plot_range_test",
    "plot_ranking",
    "plot_rates",
    "seeded",
    "suggest_base_lr",
    "sweep",
    "toy_regression",
    "trace_groups",
    "trace_lr",
    "trace_momentum",
    "train",
    "train_many",
]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


_LABS = frozenset(name for name in __all__ if name.endswith("Lab"))


def __getattr__(name: str) -> object:
    # Widgets are loaded when a lab is asked for: training in a script or a CI job needs none.
    if name in _LABS:
        from . import labs

        return getattr(labs, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
