"""Trying a model out before anything is trained: whether it fits its data, and what it does.

The model's forward pass is run as training would run it, and everything that this changes is put
back. What a model does outside itself (a hook that writes into a list, say) it does here too.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ..tasks.data import Dataset
from ..tasks.randomness import OwnRandomness, borrowed
from ..tasks.torch_private import Draws

_NOBODYS = 0x5EED5EED5EED  # a seed that nobody takes
_TRIES = 4  # how often a model is run again to see whether it was the one that drew
_PLAIN = (bool, int, float, str, type(None), torch.dtype)

_ABOUT_GRADIENTS = [
    Tensor.register_hook,
    Tensor.register_post_accumulate_grad_hook,
    Tensor.retain_grad,
    *(getattr(Tensor, name).__get__ for name in ("requires_grad", "grad_fn", "is_leaf", "grad")),
]


@dataclass(frozen=True)
class Trial:
    """What a forward pass does.

    Attributes:
        calls: the functions of torch that the model called, training and validating, each with
            those of its arguments that are no tensors.
        drawing: the functions, of model and loss, that draw random numbers.
        others: whether Python's or numpy's random numbers are drawn, too.
        changes: an attribute that it changed, no buffer; empty if there is none.
    """

    calls: tuple[tuple[Callable[..., Any], tuple[Any, ...]], ...]
    drawing: frozenset[Callable[..., Any]]
    others: bool
    changes: str

    def randomness(self, seed: int) -> Callable[[], AbstractContextManager[None]]:
        """Give what stands around each step, so that the model draws from numbers of its own."""
        if not self.drawing and not self.others:
            return nullcontext
        return OwnRandomness(seed, self.drawing, self.others).step

    @property
    def hooks(self) -> bool:
        """Whether the model hooks the gradients of what it computes, or asks about them.

        Models that train together are not asked one by one.
        """
        return any(function in _ABOUT_GRADIENTS for function, _ in self.calls)

    @property
    def names(self) -> list[str]:
        """The names of the functions called."""
        return [getattr(function, "__name__", "") for function, _ in self.calls]


class _Recorder(TorchFunctionMode):
    def __init__(self, *, listen: bool) -> None:
        super().__init__()
        self.calls: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []
        self.drawing: set[Callable[..., Any]] = set()
        self._listen = listen

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        given = (*args, *kwargs.values())
        self.calls.append((func, tuple(value for value in given if isinstance(value, _PLAIN))))
        if not self._listen:
            return func(*args, **kwargs)
        before = torch.default_generator.get_state()
        with Draws() as draws:  # other threads draw, too: only what is called here counts
            found = func(*args, **kwargs)
        if draws.any and not torch.equal(before, torch.default_generator.get_state()):
            self.drawing.add(func)
        return found


@contextmanager
def record() -> Iterator[list[Any]]:
    """Collect the functions of torch that are called on this thread, with their plain arguments."""
    with _Recorder(listen=False) as recorder:
        yield recorder.calls


def try_out(model: nn.Module, data: Dataset, batch_size: int | None = None) -> Trial:
    """Run the model as training and validation would, and leave no trace in it.

    Args:
        model, data: what is tried.
        batch_size: as of the training; None: it is not known yet.

    Raises:
        ValueError: naming argument, constraint and value, unless model, data, loss, metrics and
            batch size go together.

    >>> from lrsched_kit import load_digits
    >>> try_out(nn.Sequential(nn.Linear(64, 10), nn.Dropout()), load_digits(), 16).names[:2]
    ['linear', 'dropout']
    >>> try_out(nn.Linear(64, 3), load_digits(), 16)
    Traceback (most recent call last):
    ...
    ValueError: model must fit data 'digits', got 3 outputs from Linear(in_features=64, \
out_features=3, bias=True): give it 10 outputs, one per class.
    """
    if not isinstance(model, nn.Module):
        raise ValueError(f"make_model must return a torch.nn.Module, got {model!r}.")
    if not any(p.requires_grad for p in model.parameters()):
        raise ValueError(
            f"make_model must return a model with parameters, got {type(model).__name__} "
            "with nothing to train."
        )
    calls, drawing, others, changes = _run(model, data, batch_size, listen=False)
    for _ in range(_TRIES):  # other threads may draw, too; what a model draws, it draws each time
        if drawing is not None and not others:
            break
        calls, drawing, others, changes = _run(model, data, batch_size, listen=True)
    _check_finite(model, data)
    return Trial(tuple(calls), frozenset(drawing or ()), others, changes)


def batch_sizes(rows: int, batch_size: int) -> list[int]:
    """Return the sizes of the batches to come, each once: the usual one, and the last one's.

    >>> batch_sizes(33, 16), batch_sizes(32, 16), batch_sizes(5, 16)
    ([16, 1], [16], [5])
    """
    return list(dict.fromkeys([min(batch_size, rows), rows % batch_size or batch_size]))


def _run(
    model: nn.Module, data: Dataset, batch_size: int | None, *, listen: bool
) -> tuple[list[Any], set[Any] | None, bool, str]:
    """Return calls, what draws (None: something did), whether others draw, what is changed."""
    rows = len(data.x_train)
    sizes = [min(2, rows)]
    if batch_size is not None:
        sizes = batch_sizes(rows, batch_size)
    recorder = _Recorder(listen=listen)
    with borrowed(_NOBODYS), unchanged(model, data.loss_fn) as changes:
        torch_before = torch.default_generator.get_state()
        others_before = random.getstate(), np.random.get_state()[1:3]
        if not model.training:
            model.train()
        for size in sizes:
            try:
                _loss(model, data, slice(0, size), "train", recorder)
            except ValueError as error:
                if size == sizes[0]:
                    raise
                raise ValueError(
                    f"batch_size must leave a last batch that {type(model).__name__} can train on, "
                    f"got {batch_size}: {rows} rows leave {size} for it ({error})"
                ) from error
        model.eval()
        with torch.no_grad():  # all rows: some metrics make no sense of a few
            outputs = _loss(model, data, slice(None), "val", recorder)
            _check_metrics(data, outputs)
        drew = not torch.equal(torch_before, torch.default_generator.get_state())
        python, numpy = random.getstate(), np.random.get_state()[1:3]
        others = python != others_before[0] or not _same(numpy, others_before[1])
    return recorder.calls, recorder.drawing if listen or not drew else None, others, changes()


def _loss(model: nn.Module, data: Dataset, rows: slice, part: str, recorder: _Recorder) -> Any:
    """Make outputs and their loss, and return the former; say in words what goes wrong."""
    x, y = (getattr(data, f"{name}_{part}")[rows] for name in "xy")
    try:
        with recorder:
            outputs = model(x)
        _check_shapes(model, data, outputs, y)
        calls = len(recorder.calls)
        with recorder:
            loss = data.loss_fn(outputs, y)
        del recorder.calls[calls:]
    except _Misfit as misfit:
        raise ValueError(str(misfit)) from None
    except Exception as error:  # a model's code may raise anything
        raise ValueError(
            f"model must fit data {data.name!r} (inputs of shape "
            f"{tuple(data.x_train.shape[1:])}, labels of shape {tuple(data.y_train.shape[1:])}), "
            f"got {type(model).__name__}: {first_line(error)}"
        ) from error
    if not isinstance(loss, Tensor) or loss.numel() != 1 or not loss.is_floating_point():
        got = f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else f"{loss!r:.60}"
        raise ValueError(f"loss must return one number, a tensor that gradients reach, got {got}.")
    if part == "train" and not loss.requires_grad:
        raise ValueError(
            f"loss must depend on trained parameters, got none from {type(model).__name__}: "
            "no gradient would reach them."
        )
    return outputs


class _Misfit(ValueError):
    """Model and data do not fit, said in words already; comes out as a plain ValueError."""


def _check_shapes(model: nn.Module, data: Dataset, outputs: Any, y: Tensor) -> None:
    if data.loss is None and not isinstance(outputs, Tensor):
        raise TypeError(f"its output is a {type(outputs).__name__}, not a Tensor")
    if not isinstance(outputs, Tensor):
        return  # a loss of the reader's own takes what it likes
    if data.is_classification:
        if data.has_plain_loss:
            _check_classes(model, data, outputs)
        return
    if outputs.shape != y.shape and _squeezed(outputs) == _squeezed(y):
        _check_broadcast(model, data, outputs, y)
    elif data.has_plain_loss and outputs.shape != y.shape:
        got, wanted = (" x ".join(map(str, part.shape[1:])) or "1" for part in (outputs, y))
        raise _Misfit(
            f"model must fit data {data.name!r}, got {got} outputs from "
            f"{_last_module(model, data)}: give it {wanted} outputs, one per target."
        )


def _squeezed(tensor: Tensor) -> list[int]:
    return [size for size in tensor.shape[1:] if size != 1] + [len(tensor)]


def _check_broadcast(model: nn.Module, data: Dataset, outputs: Tensor, y: Tensor) -> None:
    """Refuse outputs (n, 1) beside targets (n,): torch would take the difference of all pairs."""
    if not data.has_plain_loss:
        try:
            alike = data.loss_fn(outputs.reshape(y.shape), y)
            same = torch.allclose(alike, data.loss_fn(outputs, y), equal_nan=True)
        except Exception:  # a loss that wants just these shapes
            return
        if same:
            return
    got, wanted = (
        f"({', '.join(['n', *map(str, part.shape[1:])])}{',' * (part.ndim == 1)})"
        for part in (outputs, y)
    )
    raise _Misfit(
        f"model must fit data {data.name!r}: its outputs have shape {got}, the targets {wanted}, "
        f"got both from {_last_module(model, data)}; give them one shape, for example with "
        f"{'y.unsqueeze(1)' if y.ndim < outputs.ndim else 'y.squeeze(1)'}."
    )


def _check_classes(model: nn.Module, data: Dataset, outputs: Tensor) -> None:
    for part in ("train", "val"):
        lowest = int(getattr(data, f"y_{part}").min())
        if lowest < 0:
            raise _Misfit(f"y_{part} must hold classes counted from 0, got {lowest}.")
    classes = 1 + max(int(data.y_train.max()), int(data.y_val.max()))
    if outputs.ndim > 1 and outputs.shape[1] < classes:
        raise _Misfit(
            f"model must fit data {data.name!r}, got {outputs.shape[1]} outputs from "
            f"{_last_module(model, data)}: give it {classes} outputs, one per class."
        )


def _check_metrics(data: Dataset, outputs: Any) -> None:
    for name, metric in data.metrics.items():
        try:
            float(metric(outputs, data.y_val))
        except Exception as error:
            raise ValueError(
                f"metrics[{name!r}] must return a number for outputs and targets, "
                f"got {type(error).__name__}: {first_line(error)}"
            ) from error


def _check_finite(model: nn.Module, data: Dataset) -> None:
    """Refuse data with NaN or infinity, unless the model makes finite losses of them."""
    for name in ("x_train", "y_train", "x_val", "y_val"):
        values = getattr(data, name)
        if not values.is_floating_point() or bool(values.isfinite().all()):
            continue
        bad = (~values.isfinite()).flatten(1).any(1) if values.ndim > 1 else ~values.isfinite()
        rows = bad.nonzero().flatten()
        part = name[2:]
        x, y = (getattr(data, f"{kind}_{part}")[rows[:16]] for kind in "xy")
        with borrowed(_NOBODYS), unchanged(model, data.loss_fn), torch.no_grad():
            loss = data.loss_fn(model.eval()(x), y)
        if not bool(loss.isfinite().all()):
            raise ValueError(
                f"{name} must hold finite numbers, got NaN or infinity in {len(rows)} of "
                f"{len(values)} rows, first in row {int(rows[0])}."
            )


def _last_module(model: nn.Module, data: Dataset) -> str:
    """Name the innermost module whose output the model returns as it is."""
    made: list[tuple[str, nn.Module, object]] = []
    hooks = [
        module.register_forward_hook(
            lambda module, _, output, name=name: made.append((name, module, output))
        )
        for name, module in model.named_modules()
    ]
    try:
        with torch.no_grad():
            last = model(data.x_train[:2])
    finally:
        for hook in hooks:
            hook.remove()
    name, module, _ = next((row for row in made if row[2] is last), ("", model, None))
    if any(module.children()):  # its own layers are not to blame
        return f"module {name!r} ({type(module).__name__})" if name else type(module).__name__
    return f"module {name!r} ({module})" if name else str(module)


@contextmanager
def unchanged(model: nn.Module, loss: Any = None) -> Iterator[Callable[[], str]]:
    """Put modes, buffers and attributes back as they were; tells which attribute had changed.

    What a loss keeps in its attributes is treated alike.
    """
    modules = list(model.named_modules())
    if isinstance(loss, nn.Module):
        modules += [(f"loss.{name}".rstrip("."), m) for name, m in loss.named_modules()]
    # A lazy layer takes its shape from the first rows that it sees, and keeps it.
    lazy = {m for _, m in modules if any(map(is_lazy, m.parameters(recurse=False)))}
    modes = [(m, m.training) for _, m in modules]
    holders: list[tuple[str, Any]] = [(name, m) for name, m in modules if m not in lazy]
    if _has_state(loss):
        holders.append(("loss", loss))
    before = [(name, holder, _attributes(holder)) for name, holder in holders]
    owners = [(m, name, b) for _, m in modules for name, b in m.named_buffers(recurse=False)]
    buffers = [(b, b.detach().clone()) for _, _, b in owners if not is_lazy(b)]
    changed: list[str] = []
    try:
        yield lambda: changed[0] if changed else ""
    finally:
        for buffer, value in buffers:
            _put_back(buffer, value)
        for module, name, buffer in owners:
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


def is_lazy(tensor: Tensor) -> bool:
    """Whether a parameter or buffer has no shape yet.

    >>> is_lazy(nn.LazyLinear(3).weight), is_lazy(nn.Linear(2, 3).weight)
    (True, False)
    """
    return isinstance(tensor, nn.parameter.UninitializedTensorMixin)


def _attributes(holder: Any) -> dict[str, tuple[Any, Any]]:
    """Return what a reader's code keeps besides parameters and buffers, each with a copy."""
    kept: dict[str, tuple[Any, Any]] = {}
    for name, value in vars(holder).items():
        if isinstance(holder, nn.Module) and (name == "training" or name in _MODULE):
            continue
        if isinstance(value, nn.Module):
            continue
        if isinstance(value, Tensor):
            kept[name] = value, None if is_lazy(value) else value.detach().clone()
        elif isinstance(value, (*_PLAIN, list, dict, set, tuple, np.ndarray)) or _has_state(value):
            try:
                kept[name] = value, copy.deepcopy(value)
            except Exception:  # it holds tensors of a graph, say
                kept[name] = value, _Unknown()
    return kept


def _has_state(value: Any) -> bool:
    """Whether it is an object of a reader's class, whose attributes may change."""
    return hasattr(value, "__dict__") and not isinstance(
        value, (type, nn.Module, Tensor, ModuleType, FunctionType, partial)
    )


_MODULE = frozenset(vars(nn.Module()))  # torch's own attributes


class _Unknown:
    """What cannot be copied, so that nobody can say whether it has changed."""


def _same(first: Any, second: Any) -> bool:
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        return (
            first.shape == second.shape
            and torch.equal(first.isnan(), second.isnan())
            and (torch.equal(first.nan_to_num(), second.nan_to_num()))
        )
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
    return not isinstance(first, (*_PLAIN, set)) or first == second  # of others nobody can tell


def first_line(error: BaseException) -> str:
    """Return what an error says, as far as its first line goes.

    >>> first_line(ValueError("no\\nmore"))
    'no'
    """
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
