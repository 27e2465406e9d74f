"""Linear layers with a ReLU between each two, the derivatives written out: the fast way."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from itertools import pairwise
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..tasks.data import Dataset
from .batched import Stack
from .trial import Trial


class LinearStack(Stack):
    """A `Stack` of such models.

    Activations lie transposed, ``(K, features, rows)``: the softmax over classes then runs along
    memory in the order that processors like.
    """

    price = 1

    def __init__(
        self,
        models: Sequence[nn.Module],
        data: Dataset,
        still: Collection[str] = (),
        *,
        layers: Sequence[str],
    ) -> None:
        super().__init__(models, data, still)
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

    What it calls as it trains and as it validates must be just that, and so must be the graph of
    its derivatives. Which number goes where is for the proof to tell: see `proof`.

    >>> from lrsched_kit import load_digits
    >>> from lrsched_kit import MLP
    >>> from lrsched_kit.training.trial import try_out
    >>> linear_layers(MLP(), load_digits(), try_out(MLP(), load_digits(), 16))
    ['fc1', 'fc2']
    """
    modules = dict(model.named_modules())
    layers = [name for name, module in modules.items() if type(module) is nn.Linear]
    sizes = [(modules[name].in_features, modules[name].out_features) for name in layers]
    params = {f"{name}.{part}" for name in layers for part in ("weight", "bias")}
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    chained = all(before[1] == after[0] for before, after in pairwise(sizes))
    plain = chained and params == trained == set(model.state_dict())
    if not layers or not plain or data.x_train.ndim != 2:
        return []
    if not all(map(_reads_only_layers, modules.values())):
        return []
    pass_ = ["linear", *["relu", "linear"] * (len(layers) - 1)]
    called = [name.rstrip("_") for name in trial.names if name not in _VIEWS]
    passes, rest = divmod(len(called), len(pass_))
    if rest or called != pass_ * passes or not _CALLS.union(_VIEWS).issuperset(trial.names):
        return []
    with torch.no_grad():
        x = data.x_train[:2].clone()
    return layers if _graph(model(x)) == _graph_of_chain(len(layers)) else []


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


def nodes_of(outputs: Tensor) -> list[Any]:
    """Return the nodes of the graph that derivatives are worked out by.

    >>> [node.name() for node in nodes_of(torch.zeros(1, requires_grad=True).relu())][0]
    'ReluBackward0'
    """
    found: dict[Any, None] = {}
    todo = [outputs.grad_fn]
    while todo:
        node = todo.pop()
        if node is not None and node not in found:
            found[node] = None
            todo += [following for following, _ in node.next_functions]
    return list(found)


def _graph(outputs: Tensor) -> dict[str, int]:
    """Count those nodes by their names."""
    names = [node.name().split("::")[-1] for node in nodes_of(outputs)]
    return {name: names.count(name) for name in set(names)}


def _graph_of_chain(layers: int) -> dict[str, int]:
    h = torch.zeros(2, 1)
    for number in range(layers):
        weight, bias = (torch.zeros(s, requires_grad=True) for s in ((1, 1), (1,)))
        h = functional.linear(h.relu() if number else h, weight, bias)
    return _graph(h)


def stack_for(model: nn.Module, data: Dataset, trial: Trial) -> Callable[..., Stack]:
    """Choose how to stack such models: this is the one place that decides."""
    layers = linear_layers(model, data, trial)
    return partial(LinearStack, layers=layers) if layers else Stack


def price_of(make_stack: Callable[..., Stack]) -> int:
    """Return the `price` of the stacks that it makes."""
    return getattr(make_stack, "func", make_stack).price
