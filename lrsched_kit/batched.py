"""K copies of one model as one tensor program: outputs, losses and gradients for all at once.

Everything here keeps the runs apart: no operation mixes the numbers of two runs, so what happens
to one (a NaN, say) cannot reach another.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch.func import functional_call, stack_module_state, vmap
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from .data import Dataset


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


def stack_for(model: nn.Module, data: Dataset) -> Callable[[Sequence[nn.Module]], Stack]:
    """Choose how to stack such models: this is the one place that decides.

    >>> from lrsched_kit.data import load_digits
    >>> from lrsched_kit.models import MLP
    >>> models = [MLP(), MLP()]
    >>> type(stack_for(models[0], load_digits())(models)).__name__
    'LinearStack'
    """
    layers = linear_layers(model) if data.x_train.ndim == 2 else []
    return partial(LinearStack, layers=layers) if layers else Stack


class Stack:
    """K models of one architecture, any that `torch.func.vmap` can batch.

    Attributes:
        weights: one vector of all trained numbers. Each parameter is a contiguous block of it,
            shape ``(K, *parameter shape)``, as batched matrix products want it.
        grads: the same blocks, as `backward` last filled them.
        price: how long a multiplication takes, all around it included; `LinearStack` takes 1.

    Source: https://docs.pytorch.org/tutorials/intermediate/ensembling.html
    """

    price = 4  # measured, for the models of the kit

    def __init__(self, models: Sequence[nn.Module]) -> None:
        # A copy: stacks that train side by side must not hold the same module.
        self.model = copy.deepcopy(models[0])
        try:
            params, self._buffers = stack_module_state(list(models))
        except (RuntimeError, KeyError) as error:
            raise ValueError(
                f"make_model must return models of one architecture for all seeds, got {error}."
            ) from error
        self._shapes = {name: p.shape for name, p in params.items() if p.requires_grad}
        self.weights = torch.cat([params[name].detach().flatten() for name in self._shapes])
        self.grads = torch.zeros_like(self.weights)
        leaves = {n: block.requires_grad_() for n, block in self.blocks(self.weights).items()}
        self._leaves = list(leaves.values())
        self._params = params | leaves

    def blocks(self, vector: Tensor) -> dict[str, Tensor]:
        """View a vector laid out like `weights` as one ``(K, ...)`` tensor per parameter."""
        parts = vector.split([shape.numel() for shape in self._shapes.values()])
        return {
            name: part.view(shape)
            for part, (name, shape) in zip(parts, self._shapes.items(), strict=True)
        }

    def outputs(self, x: Tensor, *, shared: bool = False) -> Tensor:
        """Return the outputs, shape ``(K, rows, ...)``.

        Args:
            x: inputs, shape ``(K, rows, ...)``.
            shared: x is instead ``(rows, ...)``, the same for every run.
        """

        def call(params: Mapping[str, Tensor], buffers: Mapping[str, Tensor], x: Tensor) -> Tensor:
            return functional_call(self.model, (params, buffers), (x,))

        return vmap(call, in_dims=(0, 0, None if shared else 0))(self._params, self._buffers, x)

    def backward(self, x: Tensor, y: Tensor) -> Tensor:
        """Fill `grads` and return the losses, shape ``(K,)``.

        Runs share no weights, so the gradient of the summed losses holds each run's own.
        """
        loss = losses(self.outputs(x), y)
        grads = torch.autograd.grad(loss.sum(), self._leaves, materialize_grads=True)
        torch.cat([grad.flatten() for grad in grads], out=self.grads)
        return loss.detach()


class LinearStack(Stack):
    """The same for Linear layers with a ReLU between each two, with the derivatives written out.

    Activations lie transposed, ``(K, features, rows)``: the softmax over classes then runs along
    memory in the order that processors like.
    """

    price = 1

    def __init__(self, models: Sequence[nn.Module], layers: Sequence[str]) -> None:
        super().__init__(models)
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
        loss, delta = _loss_and_slope(out, y)
        layers = zip(self._layers, self._layer_grads, given, strict=True)
        for (weight, _), (weight_grad, bias_grad), h in reversed(list(layers)):
            torch.bmm(delta, h.mT, out=weight_grad)
            torch.sum(delta, 2, out=bias_grad)
            if h is not given[0]:
                # A ReLU passes the slope on where it let the number through: there its sign is 1.
                delta = torch.bmm(weight.mT, delta).mul_(h.sign_())
        return loss


def _loss_and_slope(out: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
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


def linear_layers(model: nn.Module) -> list[str]:
    """Return the names of the Linear layers if the model is those and ReLUs in turn, else [].

    >>> from lrsched_kit.models import MLP
    >>> linear_layers(MLP())
    ['fc1', 'fc2']
    """
    modules = dict(model.named_modules())
    if any(m._forward_hooks or m._forward_pre_hooks for m in modules.values()):
        return []
    layers = [name for name, module in modules.items() if type(module) is nn.Linear]
    sizes = [(modules[name].in_features, modules[name].out_features) for name in layers]
    params = {f"{name}.{part}" for name in layers for part in ("weight", "bias")}
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    chained = all(before[1] == after[0] for before, after in pairwise(sizes))
    if not layers or not chained or not params == trained == set(model.state_dict()):
        return []
    return layers if _is_chain(model, [modules[name] for name in layers]) else []


@torch.no_grad()
def _is_chain(model: nn.Module, layers: Sequence[nn.Module]) -> bool:
    """Compare the model with its layers called in turn, to the last bit, on numbers of all sizes.

    (`torch.fx` would look into the code, but while it does no thread may call any module.)
    """
    weight = next(model.parameters())
    numbers = torch.Generator().manual_seed(0)
    x = torch.randn(64, weight.shape[1], generator=numbers).to(weight.dtype)
    x *= torch.logspace(-3, 3, 64, dtype=weight.dtype)[:, None]
    h = x
    for layer in layers[:-1]:
        h = torch.relu(layer(h))
    expected = layers[-1](h)
    was_training = model.training
    try:
        return all(torch.equal(model.train(mode)(x), expected) for mode in (False, True))
    except (RuntimeError, IndexError):  # it wants inputs of another shape
        return False
    finally:
        model.train(was_training)


class _Count(TorchDispatchMode):
    flops = 0

    def __torch_dispatch__(
        self,
        func: OpOverload,
        types: object,
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        out = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func.overloadpacket)
        self.flops += formula(*args, **(kwargs or {}), out_val=out) if formula else 0
        return out


def multiplications(model: nn.Module, x: Tensor) -> int:
    """Count those in the matrix products and convolutions of a forward pass.

    Source: https://docs.pytorch.org/docs/stable/notes/extending.html

    >>> multiplications(nn.Linear(64, 10), torch.zeros(5, 64)) == 5 * 64 * 10
    True
    """
    with torch.no_grad(), _Count() as count:
        model(x)
    return count.flops // 2
