"""All exhibits, hall by hall."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ..words.errors import look_up
from . import binding, comparing, composition, counting, horizon, resuming
from .exhibit import Exhibit

HALLS = (binding, counting, horizon, composition, resuming, comparing)
"""The tour. A hall is a file: a new exhibit is added there, and its words to the tables."""

EXHIBITS: Mapping[str, Exhibit] = MappingProxyType(
    {exhibit.name: exhibit for hall in HALLS for exhibit in hall.EXHIBITS}
)
"""All exhibits by name, in the order of the tour."""


def get_exhibit(name: str) -> Exhibit:
    """Return the exhibit called ``name``, or refuse the name with the nearest one."""
    return look_up("name", "a known exhibit", name, EXHIBITS)
