"""Running a reader's model without a trace in it, in its loss, or in anybody's random numbers."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from ..tasks.randomness import borrowed

PLAIN = (bool, int, float, str, type(None), torch.dtype)
_NOBODYS = 0x5EED5EED5EED  # a seed that nobody takes
_MODULES_OWN = frozenset(vars(nn.Module()))  # torch's own attributes


class _Unknown:
    """Stands for what cannot be copied, so that nobody can say whether it has changed."""


@contextmanager
def unchanged(model: nn.Module, loss: Any = None) -> Iterator[Callable[[], str]]:
    """Put modes, buffers, attributes and random numbers back as they were.

    What a loss keeps in its attributes is treated alike. The ``with`` statement is given a
    function that tells, afterwards, which attribute had changed.
    """
    modules = list(model.named_modules())
    if isinstance(loss, nn.Module):
        modules += [(f"loss.{name}".rstrip("."), m) for name, m in loss.named_modules()]
    # A lazy layer takes its shape from the first rows that it sees, and keeps it.
    lazy = {m for _, m in modules if any(map(is_lazy, m.parameters(recurse=False)))}
    holders: list[tuple[str, Any]] = [(name, m) for name, m in modules if m not in lazy]
    if _has_state(loss):
        holders.append(("loss", loss))
    modes = [(m, m.training) for _, m in modules]
    buffers = [
        (m, name, buffer, _copied(buffer))
        for _, m in modules
        for name, buffer in m.named_buffers(recurse=False)
    ]
    before = [(name, holder, _attributes(holder)) for name, holder in holders]
    changed: list[str] = []
    try:
        with borrowed(_NOBODYS):
            yield lambda: changed[0] if changed else ""
    finally:
        for module, name, buffer, value in buffers:
            _put_back(buffer, value)
            if module not in lazy and getattr(module, name, None) is not buffer:
                setattr(module, name, buffer)
        for module, mode in modes:
            module.training = mode
        for name, holder, attributes in before:
            now = _attributes(holder)
            for key in attributes.keys() | now.keys():
                then, value = attributes.get(key, (None, None))
                if not _same(value, now.get(key, (None, None))[1]):
                    changed.append(f"{name}.{key}".lstrip("."))
                    _put_back(then, value)
                if key not in attributes:
                    delattr(holder, key)
                elif vars(holder).get(key) is not then:
                    setattr(holder, key, then)


def _attributes(holder: Any) -> dict[str, tuple[Any, Any]]:
    """Return what a reader's code keeps besides parameters and buffers, each with a copy."""
    torchs_own = _MODULES_OWN if isinstance(holder, nn.Module) else ()
    kinds = (*PLAIN, Tensor, list, dict, set, tuple, np.ndarray)
    return {
        name: (value, _copied(value))
        for name, value in vars(holder).items()
        if name not in torchs_own and (isinstance(value, kinds) or _has_state(value))
    }


def _copied(value: Any) -> Any:
    if isinstance(value, Tensor):
        return None if is_lazy(value) else value.detach().clone()
    try:
        return copy.deepcopy(value)
    except Exception:  # it holds tensors of a graph, say
        return _Unknown()


@torch.no_grad()
def _put_back(kept: Any, value: Any) -> None:
    """Fill a thing with what it held, in place: others may hold it, too."""
    if isinstance(value, _Unknown):
        return
    if isinstance(kept, Tensor) and isinstance(value, Tensor) and kept.shape == value.shape:
        kept.copy_(value)
    elif isinstance(kept, np.ndarray) and kept.shape == np.shape(value):
        kept[...] = value
    elif isinstance(kept, list):
        kept[:] = value
    elif isinstance(kept, (dict, set)):
        kept.clear()
        kept.update(value)
    elif _has_state(kept):
        vars(kept).clear()
        vars(kept).update(vars(value))


def _has_state(value: Any) -> bool:
    """Whether it is an object of a reader's class, whose attributes may change."""
    return hasattr(value, "__dict__") and not isinstance(
        value, (type, nn.Module, Tensor, ModuleType, FunctionType, partial)
    )


def _same(first: Any, second: Any) -> bool:
    """Whether two copies of a thing are equal, as far as one can tell; NaN equals NaN."""
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        alike = (first.shape, first.dtype) == (second.shape, second.dtype)
        return alike and torch.allclose(first, second, rtol=0, atol=0, equal_nan=True)
    if isinstance(first, (list, tuple)) and isinstance(second, (list, tuple)):
        return len(first) == len(second) and all(map(_same, first, second))
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(_same(first[k], second[k]) for k in first)
    if isinstance(first, np.ndarray) or isinstance(second, np.ndarray):
        return np.array_equal(first, second)
    if type(first) is not type(second) or isinstance(first, _Unknown):
        return False
    if _has_state(first):
        return _same(vars(first), vars(second))
    return not isinstance(first, (*PLAIN, set)) or first == second  # of others nobody can tell
