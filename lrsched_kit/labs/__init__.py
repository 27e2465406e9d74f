"""Labs: sliders above, real training below. Each lab is one file, ``<name>_lab.py``.

>>> import lrsched_kit.labs
>>> "ScheduleLab" in lrsched_kit.labs.__all__
True
"""

from importlib import import_module
from pkgutil import iter_modules
from typing import Any


def _files() -> dict[str, str]:
    """Lab -> its file: ``range_test_lab.py`` holds ``RangeTestLab``."""
    names = [module.name for module in iter_modules(__path__)]
    return {name.title().replace("_", ""): name for name in names if name.endswith("_lab")}


def __getattr__(name: str) -> Any:
    # A lab's file is read, and widgets are loaded, when it is asked for.
    files = _files()
    if name == "__all__":
        return list(files)
    if name in files:
        return getattr(import_module(f"{__name__}.{files[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
