"""K copies of one model as one tensor program: outputs, losses and gradients for all at once.

Everything here keeps the runs apart: no operation mixes the numbers of two runs, so what happens
to one (a NaN, say) cannot reach another.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn import functional

from ..tasks.data import Dataset


def losses(outputs: Tensor, y: Tensor) -> Tensor:
    """Return each run's mean loss: for one run, what ``Dataset.loss_fn`` returns.

    Args:
        outputs: shape ``(K, rows, classes)``, or ``(K, rows, outputs)`` for a regression.
        y: classes, shape ``(K, rows)``, or targets, shape ``(K, rows, outputs)``.

    Returns:
        Shape ``(K,)``.

    >>> losses(torch.zeros(3, 5, 2), torch.zeros(3, 5, dtype=torch.int64)).round(decimals=4)
    tensor([0.6931, 0.6931, 0.6931])
    """
    if y.is_floating_point():
        each = functional.mse_loss(outputs, y, reduction="none")
    else:
        # Classes before rows: a softmax along a short last dimension is many times slower.
        each = functional.cross_entropy(outputs.movedim(2, 1), y, reduction="none")
    return each.flatten(1).mean(1)


class Stack:
    """K models of one architecture, any that `torch.func.vmap` can batch.

    Args:
        models: the K.
        data: gives the loss.
        still: names of parameters that are not trained.

    Attributes:
        weights: one vector of all trained numbers. Each parameter is a contiguous block of it,
            shape ``(K, *parameter shape)``, as batched matrix products want it.
        grads: the same blocks, as `backward` last filled them.
        price: how long a multiplication takes, all around it included; `LinearStack` takes 1.

    Source: https://docs.pytorch.org/tutorials/intermediate/ensembling.html
    """

    price = 4  # measured, for the models of the kit

    def __init__(
        self, models: Sequence[nn.Module], data: Dataset, still: Collection[str] = ()
    ) -> None:
        # A copy: stacks that train side by side must not hold the same module.
        self.model = copy.deepcopy(models[0])
        self._loss, self._plain = data.loss_fn, data.has_plain_loss
        params, self.buffers = stack_module_state(list(models))
        self._shapes = {
            name: p.shape for name, p in params.items() if p.requires_grad and name not in still
        }
        self.weights = torch.cat([params[name].detach().flatten() for name in self._shapes])
        self.grads = torch.zeros_like(self.weights)
        leaves = {n: block.requires_grad_() for n, block in self.blocks(self.weights).items()}
        self._leaves = list(leaves.values())
        self._params = {name: p.detach() for name, p in params.items()} | leaves

    def blocks(self, vector: Tensor) -> dict[str, Tensor]:
        """View a vector laid out like `weights` as one ``(K, ...)`` tensor per parameter."""
        parts = vector.split([shape.numel() for shape in self._shapes.values()])
        return {
            name: part.view(shape)
            for part, (name, shape) in zip(parts, self._shapes.items(), strict=True)
        }

    def outputs(self, x: Tensor, *, shared: bool = False) -> Any:
        """Return the outputs, shape ``(K, rows, ...)``.

        Args:
            x: inputs, shape ``(K, rows, ...)``.
            shared: x is instead ``(rows, ...)``, the same for every run.
        """

        def call(params: Mapping[str, Tensor], buffers: Mapping[str, Tensor], x: Tensor) -> Any:
            return functional_call(self.model, (params, buffers), (x,))

        return vmap(call, in_dims=(0, 0, None if shared else 0))(self._params, self.buffers, x)

    def losses(self, outputs: Any, y: Tensor) -> Tensor:
        """Return each run's loss, shape ``(K,)``, for targets of shape ``(K, rows, ...)``."""
        if self._plain:
            return losses(outputs, y)
        return vmap(self._loss)(outputs, y).reshape(len(y))

    def backward(self, x: Tensor, y: Tensor) -> Tensor:
        """Fill `grads` and return the losses, shape ``(K,)``.

        Runs share no weights, so the gradient of the summed losses holds each run's own.
        """
        loss = self.losses(self.outputs(x), y)
        grads = torch.autograd.grad(loss.sum(), self._leaves, materialize_grads=True)
        torch.cat([grad.flatten() for grad in grads], out=self.grads)
        return loss.detach()


def part_of(outputs: Any, k: int) -> Any:
    """Return run k's part of what a stack returns: a tensor, or several in tuples, lists, dicts.

    >>> part_of({"a": torch.arange(3), "b": [torch.arange(3) + 5]}, 1)
    {'a': tensor(1), 'b': [tensor(6)]}
    """
    if isinstance(outputs, Tensor):
        return outputs[k]
    if isinstance(outputs, Mapping):
        return {name: part_of(part, k) for name, part in outputs.items()}
    if not isinstance(outputs, tuple | list):
        return outputs
    parts = [part_of(part, k) for part in outputs]
    return type(outputs)(*parts) if hasattr(outputs, "_fields") else type(outputs)(parts)
