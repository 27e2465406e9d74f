"""What a model must be so that many copies of it can train at once, told in words."""

from __future__ import annotations

import warnings

import torch
from torch import nn

from .batched import Stack
from .data import Dataset
from .training import check_shapes

# What people put into models and what to do about it; anything else is found by trying.
_HINTS: tuple[tuple[type[nn.Module], str], ...] = (
    (
        nn.modules.batchnorm._BatchNorm,
        "it keeps running statistics, changed in place; use GroupNorm or LayerNorm",
    ),
    (nn.modules.dropout._DropoutNd, "it draws random numbers; leave it out"),
    (nn.RNNBase, "torch has no batching rule for it; write its cell out as matrix products"),
)
_OTHERWISE = "use operations that torch.func.vmap can batch, and no branches on the data"


def check_batchable(model: nn.Module, data: Dataset) -> None:
    """Say in words, before anything is trained, why copies of a model cannot train at once.

    Raises:
        ValueError: if the model is none, has nothing to train or does not fit the data; or holds
            in-place state (BatchNorm), randomness (Dropout), branches on its data, or an
            operation without a batching rule (nn.LSTM). The message names the module and what
            to change.

    Source: https://docs.pytorch.org/docs/stable/func.ux_limitations.html

    >>> from lrsched_kit.data import load_digits
    >>> check_batchable(nn.Sequential(nn.Linear(64, 10), nn.Dropout()), load_digits())
    Traceback (most recent call last):
    ...
    ValueError: make_model must return a model that can be batched, got Sequential with module \
'1' (Dropout): it draws random numbers; leave it out.
    """
    if not isinstance(model, nn.Module):
        raise ValueError(f"make_model must return a torch.nn.Module, got {model!r}.")
    for name, module in model.named_modules():
        for kind, hint in _HINTS:
            if isinstance(module, kind):
                raise ValueError(_refusal(model, name, hint))
    _check_parameters(model)
    check_shapes(model, data)
    _check_buffers(model, data)
    _try(model, data)


def _refusal(model: nn.Module, name: str, hint: str) -> str:
    part = f" with module {name!r} ({type(model.get_submodule(name)).__name__})" if name else ""
    got = type(model).__name__ + part
    return f"make_model must return a model that can be batched, got {got}: {hint}."


def _check_parameters(model: nn.Module) -> None:
    dtypes = {p.dtype for p in model.parameters() if p.requires_grad}
    if len(dtypes) != 1:
        got = ", ".join(sorted(map(str, dtypes))) or "nothing to train"
        raise ValueError(f"make_model must return a model with parameters of one dtype, got {got}.")


def _check_buffers(model: nn.Module, data: Dataset) -> None:
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    with torch.no_grad():
        model(data.x_train[:2])
    for name, buffer in model.named_buffers():
        if not torch.equal(buffer, before[name]):
            hint = f"it changes its buffer {name!r} as it runs; leave that out"
            raise ValueError(_refusal(model, name.rpartition(".")[0], hint))


def _try(model: nn.Module, data: Dataset) -> None:
    """Train and validate two copies for a step; the model is made for this and thrown away."""
    inside: list[str] = []  # the modules that are running, outermost first

    def leave(*_: object) -> None:
        inside.pop()

    for name, module in model.named_modules():
        module.register_forward_pre_hook(lambda *_, name=name: inside.append(name))
        module.register_forward_hook(leave)
    x, y = (part[:2].expand(2, *part[:2].shape) for part in (data.x_train, data.y_train))
    try:
        with warnings.catch_warnings():
            # Torch's way of saying that it would run the copies one after the other.
            warnings.filterwarnings("error", "There is a performance drop")
            stack = Stack([model, model])
            stack.backward(x, y)
            stack.model.eval()
            with torch.no_grad():
                stack.outputs(data.x_val[:2], shared=True)
    except Exception as error:  # it worked on its own just now, so batching is to blame
        reason = str(error).strip().splitlines()[0].rstrip(".")
        where = inside[-1] if inside else ""
        raise ValueError(_refusal(model, where, f"{_OTHERWISE} (torch: {reason})")) from error
