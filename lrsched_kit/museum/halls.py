"""All exhibits, hall by hall."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ..words.errors import nearest
from . import binding, comparing, composition, counting, horizon, resuming
from .exhibit import Exhibit

HALLS = (binding, counting, horizon, composition, resuming, comparing)
"""The tour. A hall is a file: a new exhibit is added there, and its words to the tables."""

EXHIBITS: Mapping[str, Exhibit] = MappingProxyType(
    {exhibit.name: exhibit for hall in HALLS for exhibit in hall.EXHIBITS}
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
