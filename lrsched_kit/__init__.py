"""Learning-rate schedules in PyTorch, shown as applied, fairly compared, with bands.

>>> from lrsched_kit import trace_lr
>>> trace_lr("StepLR", base_lr=0.1, steps=4, step_size=2).round(4).tolist()
[0.1, 0.1, 0.01, 0.01]
"""

from typing import Any

from . import experiments, labs, museum, plotting, schedules, tasks, training
from .experiments import *
from .museum import *
from .plotting import *
from .schedules import *
from .tasks import *
from .training import *
from .words import use_language

__all__ = ["use_language"]
__all__ += schedules.__all__ + tasks.__all__ + training.__all__
__all__ += plotting.__all__ + experiments.__all__ + museum.__all__ + labs.__all__


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    # Widgets are loaded when a lab is asked for: training in a script or a CI job needs none.
    if name in labs.__all__:
        return getattr(labs, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
