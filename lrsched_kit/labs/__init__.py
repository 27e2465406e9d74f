"""Labs: sliders above, real training below. Each lab is one file, ``<name>_lab.py``.

>>> import lrsched_kit.labs
>>> "ScheduleLab" in lrsched_kit.labs.__all__
True
"""

from importlib import import_module
from pkgutil import iter_modules
from typing import Any

_FILES = {
    module.name.title().replace("_", ""): module.name
    for module in iter_modules(__path__)
    if module.name.endswith("_lab")
}
__all__ = list(_FILES)


def __getattr__(name: str) -> Any:
    # A lab's file is read, and widgets are loaded, when it is asked for.
    if name in _FILES:
        return getattr(import_module(f"{__name__}.{_FILES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
