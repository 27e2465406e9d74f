"""Whether a model fits its data, and in which words it is refused where it does not."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..tasks.data import Dataset
from .unchanged import unchanged


class Misfit(ValueError):
    """Model and data do not fit, said in words already; comes out as a plain ValueError."""


def first_line(error: BaseException) -> str:
    """Return what an error says, as far as its first line goes."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def loss_of(model: nn.Module, data: Dataset, outputs: Any, y: Tensor, *, trains: bool) -> Tensor:
    """Return the loss of some outputs, one number, or refuse them."""
    _check_shapes(model, data, outputs, y)
    loss = data.loss_fn(outputs, y)
    if not isinstance(loss, Tensor) or loss.numel() != 1 or not loss.is_floating_point():
        got = f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else f"{loss!r:.60}"
        raise Misfit(f"loss must return one number, a tensor that gradients reach, got {got}.")
    if trains and not loss.requires_grad:
        raise Misfit(
            f"loss must depend on trained parameters, got none from {type(model).__name__}: "
            "no gradient would reach them."
        )
    return loss


def _check_shapes(model: nn.Module, data: Dataset, outputs: Any, y: Tensor) -> None:
    if not isinstance(outputs, Tensor):
        if data.loss is None:
            raise TypeError(f"its output is a {type(outputs).__name__}, not a Tensor")
        return  # a loss of the reader's own takes what it likes
    if data.is_classification:
        if data.has_plain_loss:
            _check_classes(model, data, outputs)
        return
    if outputs.shape != y.shape and _squeezed(outputs) == _squeezed(y):
        _check_broadcast(model, data, outputs, y)
    elif data.has_plain_loss and outputs.shape != y.shape:
        got, wanted = (" x ".join(map(str, part.shape[1:])) or "1" for part in (outputs, y))
        _refuse_count(model, data, got, wanted, "target")


def _refuse_count(model: nn.Module, data: Dataset, got: object, wanted: object, kind: str) -> None:
    raise Misfit(
        f"model must fit data {data.name!r}, got {got} outputs from "
        f"{_last_module(model, data)}: give it {wanted} outputs, one per {kind}."
    )


def _squeezed(tensor: Tensor) -> list[int]:
    return [size for size in tensor.shape[1:] if size != 1] + [len(tensor)]


def _check_broadcast(model: nn.Module, data: Dataset, outputs: Tensor, y: Tensor) -> None:
    """Refuse outputs (n, 1) beside targets (n,): torch would take the difference of all pairs."""
    if not data.has_plain_loss:
        try:
            alike = data.loss_fn(outputs.reshape(y.shape), y)
            if torch.allclose(alike, data.loss_fn(outputs, y), equal_nan=True):
                return
        except Exception:  # a loss that wants just these shapes
            return
    got, wanted = (
        f"({', '.join(['n', *map(str, part.shape[1:])])}{',' * (part.ndim == 1)})"
        for part in (outputs, y)
    )
    raise Misfit(
        f"model must fit data {data.name!r}: its outputs have shape {got}, the targets {wanted}, "
        f"got both from {_last_module(model, data)}; give them one shape, for example with "
        f"{'y.unsqueeze(1)' if y.ndim < outputs.ndim else 'y.squeeze(1)'}."
    )


def _check_classes(model: nn.Module, data: Dataset, outputs: Tensor) -> None:
    for part, y in {"y_train": data.y_train, "y_val": data.y_val}.items():
        if y.min() < 0:
            raise Misfit(f"{part} must hold classes counted from 0, got {int(y.min())}.")
    classes = 1 + max(int(data.y_train.max()), int(data.y_val.max()))
    if outputs.ndim > 1 and outputs.shape[1] < classes:
        _refuse_count(model, data, outputs.shape[1], classes, "class")


def check_metrics(data: Dataset, outputs: Any) -> None:
    """Refuse metrics that do not make a number of the outputs for the validation set."""
    for name, metric in data.metrics.items():
        try:
            float(metric(outputs, data.y_val))
        except Exception as error:
            raise ValueError(
                f"metrics[{name!r}] must return a number for outputs and targets, "
                f"got {type(error).__name__}: {first_line(error)}"
            ) from error


def check_finite(model: nn.Module, data: Dataset) -> None:
    """Refuse data with NaN or infinity, unless the model makes finite losses of them."""
    for name in ("x_train", "y_train", "x_val", "y_val"):
        values = getattr(data, name)
        if not values.is_floating_point() or bool(values.isfinite().all()):
            continue
        rows = (~values.isfinite()).reshape(len(values), -1).any(1).nonzero().flatten()
        x, y = (getattr(data, f"{kind}_{name[2:]}")[rows[:16]] for kind in "xy")
        with unchanged(model, data.loss_fn), torch.no_grad():
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
    # Where it has layers of its own, these are not to blame.
    what = type(module).__name__ if any(module.children()) else str(module)
    return f"module {name!r} ({what})" if name else what
