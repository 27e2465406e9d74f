"""All exhibits, hall by hall."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ..words.errors import nearest
from .binding import EXHIBITS as BINDING
from .comparing import EXHIBITS as COMPARING
from .composition import EXHIBITS as COMPOSITION
from .counting import EXHIBITS as COUNTING
from .exhibit import Exhibit
from .horizon import EXHIBITS as HORIZON
from .resuming import EXHIBITS as RESUMING

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
