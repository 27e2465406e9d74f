"""K copies of one model as one tensor program: outputs, losses and gradients for all at once.

Everything here keeps the runs apart: no operation mixes the numbers of two runs, so what happens
to one (a NaN, say) cannot reach another.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn import functional

from ..tasks.data import Dataset
from .trial import Trial


def losses(outputs: Tensor, y: Tensor) -> Tensor:
    """Return each run's mean loss, shape ``(K,)``: for one run, what ``Dataset.loss_fn`` returns.

    Outputs have shape ``(K, rows, classes)``, or ``(K, rows, outputs)`` for a regression; y holds
    classes, shape ``(K, rows)``, or targets, shape ``(K, rows, outputs)``.
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

        Inputs have the same shape, or, where runs share them, ``(rows, ...)``.
        """

        def call(params: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor) -> Any:
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
    """Return run k's part of what a stack returns: a tensor, or several in tuples, lists, dicts."""
    if isinstance(outputs, Tensor):
        return outputs[k]
    if isinstance(outputs, Mapping):
        return {name: part_of(part, k) for name, part in outputs.items()}
    if not isinstance(outputs, tuple | list):
        return outputs
    parts = [part_of(part, k) for part in outputs]
    return type(outputs)(*parts) if hasattr(outputs, "_fields") else type(outputs)(parts)


class LinearStack(Stack):
    """A `Stack` of such models.

    Activations lie transposed, ``(K, features, rows)``: the softmax over classes then runs along
    memory in the order that processors like.
    """

    price = 1

    def __init__(self, *given: Any, layers: Sequence[str]) -> None:
        super().__init__(*given)
        weights, grads = self.blocks(self.weights), self.blocks(self.grads)
        self._layers = [(weights[f"{n}.weight"], weights[f"{n}.bias"].unsqueeze(2)) for n in layers]
        self._layer_grads = [(grads[f"{n}.weight"], grads[f"{n}.bias"]) for n in layers]

    def _activations(self, x: Tensor) -> list[Tensor]:
        """Return what each layer is given, and last the outputs."""
        found = [x.mT]
        for weight, bias in self._layers:
            if len(found) > 1:
                found[-1].relu_()
            found.append(torch.baddbmm(bias, weight, found[-1]))
        return found

    def outputs(self, x: Tensor, *, shared: bool = False) -> Tensor:
        """Return the outputs: see `Stack.outputs`."""
        count = len(self._layers[0][0])
        return self._activations(x.expand(count, -1, -1) if shared else x)[-1].mT

    def backward(self, x: Tensor, y: Tensor) -> Tensor:
        """Fill `grads` and return the losses: see `Stack.backward`."""
        *given, out = self._activations(x)
        loss, delta = _loss_and_gradient(out, y) if self._plain else self._by_autograd(out, y)
        layers = zip(self._layers, self._layer_grads, given, strict=True)
        for (weight, _), (weight_grad, bias_grad), h in reversed(list(layers)):
            torch.bmm(delta, h.mT, out=weight_grad)
            torch.sum(delta, 2, out=bias_grad)
            if h is not given[0]:
                # A ReLU passes gradients on where it let the number through: there its sign is 1.
                delta = torch.bmm(weight.mT, delta).mul_(h.sign_())
        return loss

    def _by_autograd(self, out: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return what `_loss_and_gradient` does, for a loss of the reader's own."""
        leaf = out.detach().requires_grad_()
        loss = self.losses(leaf.mT, y)
        return loss.detach(), torch.autograd.grad(loss.sum(), leaf)[0]


def _loss_and_gradient(out: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return the losses and their derivative by ``out``, shape ``(K, outputs, rows)``."""
    if y.is_floating_point():
        delta = out - y.mT
        return delta.square().mean((1, 2)), delta.mul_(2 / delta[0].numel())
    y = y.unsqueeze(1)
    log_p = out.log_softmax(1)
    loss = log_p.gather(1, y).mean((1, 2)).neg_()
    delta = log_p.exp_()  # of the cross-entropy: p - 1 at the label, p elsewhere
    delta.scatter_add_(1, y, delta.new_full((), -1.0).expand(y.shape))
    return loss, delta.div_(y.shape[2])


# What may be called in a forward pass between Linear layers and ReLUs: views of the inputs.
_CALLS = {"linear", "relu", "relu_"}
_VIEWS = {"flatten", "view", "reshape"}


def linear_layers(model: nn.Module, data: Dataset, trial: Trial) -> list[str]:
    """Return the names of the Linear layers if the model is those and ReLUs in turn, else [].

    What it calls as it trains and as it validates must be just that, and gradients must reach all
    parameters. Which number goes where is for the proof to tell: see `proof`.
    """
    modules = dict(model.named_modules())
    layers = [name for name, module in modules.items() if type(module) is nn.Linear]
    sizes = [(modules[name].in_features, modules[name].out_features) for name in layers]
    params = {f"{name}.{part}" for name in layers for part in ("weight", "bias")}
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    chained = all(before[1] == after[0] for before, after in pairwise(sizes))
    plain = chained and params == trained == set(model.state_dict())
    plain = plain and all(map(_reads_only_layers, modules.values()))
    if not layers or not plain or data.x_train.ndim != 2:
        return []
    pass_ = ["linear", *["relu", "linear"] * (len(layers) - 1)]
    called = [name.rstrip("_") for name in trial.names if name not in _VIEWS]
    return layers if called == pass_ * (len(called) // len(pass_)) else []


def _reads_only_layers(module: nn.Module) -> bool:
    """Whether a forward pass reads its layers and torch's functions, and nothing that may change.

    The stack never calls it again, so a global flag, say, would be read once and for all.
    """
    code = getattr(type(module).forward, "__code__", None)
    if type(module).__module__.startswith("torch.nn.modules."):
        return True
    if code is None or "forward" in vars(module) or not set(code.co_freevars) <= {"__class__"}:
        return False
    scope = type(module).forward.__globals__
    layers = {name for name, _ in module.named_children()}
    known = layers | _CALLS | _VIEWS | {"super", "forward", "functional", "nn"}
    others = set(code.co_names) - known
    return all(isinstance(scope.get(name), ModuleType) for name in others)
