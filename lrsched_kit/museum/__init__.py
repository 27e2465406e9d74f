"""A museum of bugs: sixteen ways to get a schedule wrong, each as code that runs.

An exhibit is a wrong function, a right one and the rates that were meant. Running one reads what
the optimizer really held at each update, so the mistake is seen and not only told:

>>> from lrsched_kit import EXHIBITS
>>> print(EXHIBITS["past_t_max"].run().verdict)
Applied and meant differ at 6 of 12 epochs, first at epoch 6.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ..params import Choice, nearest
from .binding import EXHIBITS as BINDING
from .comparing import EXHIBITS as COMPARING
from .composition import EXHIBITS as COMPOSITION
from .counting import EXHIBITS as COUNTING
from .exhibit import HEADER, Code, Exhibit, Showing
from .horizon import EXHIBITS as HORIZON
from .picture import ExhibitAxes, plot_exhibit
from .resuming import EXHIBITS as RESUMING

__all__ = [
    "EXHIBITS",
    "HEADER",
    "Choice",
    "Code",
    "Exhibit",
    "ExhibitAxes",
    "Showing",
    "get_exhibit",
    "plot_exhibit",
]

_HALLS = (BINDING, COUNTING, HORIZON, COMPOSITION, RESUMING, COMPARING)

EXHIBITS: Mapping[str, Exhibit] = MappingProxyType(
    {exhibit.name: exhibit for hall in _HALLS for exhibit in hall}
)
"""All exhibits by name, in the order of the tour."""


def get_exhibit(name: str) -> Exhibit:
    """Return the exhibit called ``name``.

    Raises:
        ValueError: for an unknown name, with the nearest one and the list.

    >>> get_exhibit("past_tmax")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    ValueError: name must be a known exhibit (did you mean 'past_t_max'?), got 'past_tmax'; ...
    """
    if not isinstance(name, str) or name not in EXHIBITS:
        raise ValueError(
            f"name must be a known exhibit{nearest(str(name), EXHIBITS)}, got {name!r}; "
            f"known are {', '.join(EXHIBITS)}."
        )
    return EXHIBITS[name]
