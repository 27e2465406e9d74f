"""A museum of bugs: ways to get a schedule wrong, each as code that runs.

An exhibit is a wrong function, a right one and the rates that were meant. Running one reads what
the optimizer really held at each update, so the mistake is seen and not only told:

>>> from lrsched_kit import EXHIBITS
>>> print(EXHIBITS["past_t_max"].run().verdict)
Applied and meant differ at 6 of 12 epochs, first at epoch 6.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ..words.errors import look_up
from . import binding, comparing, composition, counting, horizon, resuming
from .exhibit import Exhibit
from .picture import plot_exhibit

__all__ = ["EXHIBITS", "Exhibit", "plot_exhibit"]

HALLS = (binding, counting, horizon, composition, resuming, comparing)
"""The tour. A hall is a file: a new exhibit is added there, and its words to the tables."""

EXHIBITS: Mapping[str, Exhibit] = MappingProxyType(
    {exhibit.name: exhibit for hall in HALLS for exhibit in hall.EXHIBITS}
)
"""All exhibits by name, in the order of the tour."""


def get_exhibit(name: str) -> Exhibit:
    """Return the exhibit called ``name``, or refuse the name with the nearest one."""
    return look_up("name", "a known exhibit", name, EXHIBITS)
