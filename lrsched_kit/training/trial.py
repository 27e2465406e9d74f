"""Trying a model out before anything is trained: whether it fits its data, and what it does.

The model's forward pass is run as training would run it, and everything that this changes is put
back. What a model does outside itself (a hook that writes into a list, say) it does here too.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import BackwardCFunction
from torch.overrides import TorchFunctionMode

from ..tasks.data import Dataset
from ..tasks.randomness import OwnRandomness
from ..tasks.torch_private import Draws
from .fit import Misfit, check_finite, check_metrics, first_line, loss_of
from .unchanged import PLAIN, unchanged

_TRIES = 4  # how often a model is run to see whether it was the one that drew

Call = tuple[Callable[..., Any], tuple[Any, ...]]  # with those of its arguments that are no tensors

_ABOUT_GRADIENTS = [
    Tensor.register_hook,
    Tensor.register_post_accumulate_grad_hook,
    Tensor.retain_grad,
    *(getattr(Tensor, name).__get__ for name in ("requires_grad", "grad_fn", "is_leaf", "grad")),
]


@dataclass(frozen=True)
class Trial:
    """What a forward pass does."""

    calls: tuple[Call, ...]  # of functions of torch by the model, training and validating
    drawing: frozenset[Callable[..., Any]]  # those, of model and loss, that draw random numbers
    others: bool  # whether Python's or numpy's random numbers are drawn, too
    changes: str  # an attribute that it changed, no buffer; empty if there is none

    def randomness(self, seed: int) -> Callable[[], AbstractContextManager[None]]:
        """Give what stands around each step, so that the model draws from numbers of its own."""
        if not self.drawing and not self.others:
            return nullcontext
        return OwnRandomness(seed, self.drawing, self.others).step

    @property
    def hooks(self) -> bool:
        """Whether the model hooks the gradients of what it computes, or asks about them."""
        return any(function in _ABOUT_GRADIENTS for function, _ in self.calls)

    @property
    def names(self) -> list[str]:
        """The names of the functions called."""
        return [getattr(function, "__name__", "") for function, _ in self.calls]


class Recorder(TorchFunctionMode):
    """Collects the functions of torch that are called on this thread, and which of them draw."""

    def __init__(self, *, listen: bool) -> None:
        super().__init__()
        self.calls: list[Call] = []
        self.drawing: set[Callable[..., Any]] = set()
        self._listen = listen  # for what draws

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Call ``func``, and write it down."""
        kwargs = kwargs or {}
        given = (*args, *kwargs.values())
        self.calls.append((func, tuple(value for value in given if isinstance(value, PLAIN))))
        if not self._listen:
            return func(*args, **kwargs)
        before = torch.default_generator.get_state()
        with Draws() as draws:  # other threads draw, too: only what is called here counts
            found = func(*args, **kwargs)
        if draws.any and not torch.equal(before, torch.default_generator.get_state()):
            self.drawing.add(func)
        return found


def try_out(model: nn.Module, data: Dataset, batch_size: int) -> Trial:
    """Run the model as training and validation would, and leave no trace in it.

    Raises:
        ValueError: naming argument, constraint and value, unless model, data, loss, metrics and
            batch size go together.
    """
    if not isinstance(model, nn.Module):
        raise ValueError(f"make_model must return a torch.nn.Module, got {model!r}.")
    if not any(p.requires_grad for p in model.parameters()):
        raise ValueError(
            f"make_model must return a model with parameters, got {type(model).__name__} "
            "with nothing to train."
        )
    trial, drew = _run(model, data, batch_size, listen=False)
    for _ in range(_TRIES):  # other threads may draw, too; what a model draws, it draws each time
        if not drew and not trial.others:
            break
        trial, _ = _run(model, data, batch_size, listen=True)
        drew = False
    check_finite(model, data)
    return trial


def batch_sizes(rows: int, batch_size: int) -> list[int]:
    """Return the sizes of the batches to come, each once: the usual one, and the last one's."""
    return list(dict.fromkeys([min(batch_size, rows), rows % batch_size or batch_size]))


def reached_by(model: nn.Module, data: Dataset, rows: int) -> tuple[frozenset[str], bool]:
    """Name the parameters that gradients of a batch of so many rows reach.

    Also say whether they go through a derivative of the reader's own: one that clips, say, does
    so only where gradients are large, and a step that is tried need not show it.
    """
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if not model.training:
        model.train()
    loss = data.loss_fn(model(data.x_train[:rows]), data.y_train[:rows])
    nodes: dict[Any, None] = {}  # of the graph that derivatives are worked out by
    todo = [loss.grad_fn]
    while todo:
        node = todo.pop()
        if node is not None and node not in nodes:
            nodes[node] = None
            todo += [following for following, _ in node.next_functions]
    own = any(isinstance(node, BackwardCFunction) for node in nodes)
    grads = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
    found = frozenset(name for name, grad in zip(named, grads, strict=True) if grad is not None)
    return found, own


def _run(model: nn.Module, data: Dataset, batch_size: int, *, listen: bool) -> tuple[Trial, bool]:
    """Return what the model does, and whether torch's random numbers have moved meanwhile.

    What draws them is listened for only where some do: not all that torch does can be listened to.
    """
    rows = len(data.x_train)
    sizes = batch_sizes(rows, batch_size)
    recorder = Recorder(listen=listen)
    with unchanged(model, data.loss_fn) as changed:
        before, torchs = _others(), torch.default_generator.get_state()
        if not model.training:
            model.train()
        for size in sizes:
            try:
                _outputs(model, data, "train", slice(size), recorder)
            except ValueError as error:
                if size == sizes[0]:
                    raise
                raise ValueError(
                    f"batch_size must leave a last batch that {type(model).__name__} can train on, "
                    f"got {batch_size}: {rows} rows leave {size} for it ({error})"
                ) from error
        model.eval()
        with torch.no_grad():  # all rows: some metrics make no sense of a few
            check_metrics(data, _outputs(model, data, "val", slice(None), recorder))
        others = _others() != before
        drew = not torch.equal(torchs, torch.default_generator.get_state())
    return Trial(tuple(recorder.calls), frozenset(recorder.drawing), others, changed()), drew


def _others() -> tuple[Any, ...]:
    numpys: Any = np.random.get_state()
    return random.getstate(), numpys[1].tobytes(), numpys[2]


def _outputs(model: nn.Module, data: Dataset, part: str, rows: slice, recorder: Recorder) -> Any:
    """Make outputs and their loss, and return the former; say in words what goes wrong."""
    x, y = (getattr(data, f"{name}_{part}")[rows] for name in "xy")
    try:
        with recorder:
            outputs = model(x)
        calls = len(recorder.calls)
        with recorder:  # what the loss draws counts, what it calls does not
            loss_of(model, data, outputs, y, trains=part == "train")
        del recorder.calls[calls:]
    except Misfit as misfit:
        raise ValueError(str(misfit)) from None
    except Exception as error:  # a model's code may raise anything
        raise ValueError(
            f"model must fit data {data.name!r} (inputs of shape "
            f"{tuple(data.x_train.shape[1:])}, labels of shape {tuple(data.y_train.shape[1:])}), "
            f"got {type(model).__name__}: {first_line(error)}"
        ) from error
    return outputs
