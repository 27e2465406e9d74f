"""Small plain models, a screenful each, and the one way to make them reproducibly."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin

from .randomness import borrowed


class SimpleNet(nn.Module):
    """The tutorial's network: Linear 10-5, ReLU, Linear 5-2.

    >>> SimpleNet()(torch.zeros(32, 10)).shape
    torch.Size([32, 2])
    """

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(10, 5)
        self.fc2 = nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(batch, 10)`` to ``(batch, 2)``."""
        return self.fc2(torch.relu(self.fc1(x)))


class MLP(nn.Module):
    """A classifier for the digits: Linear 64-32, ReLU, Linear 32-10.

    >>> MLP()(torch.zeros(16, 64)).shape
    torch.Size([16, 10])
    """

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(64, 32)
        self.fc2 = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Map pixels ``(batch, 64)`` to class scores ``(batch, 10)``."""
        return self.fc2(torch.relu(self.fc1(x)))


class CNN(nn.Module):
    """Two convolutions, each halving the picture: 1 x 8 x 8, 8 x 4 x 4, 16 x 2 x 2, then scores.

    The halving is done by a stride of 2. A pooling layer would do, but takes most of the time.

    >>> CNN()(torch.zeros(16, 64)).shape
    torch.Size([16, 10])
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, kernel_size=3, stride=2, padding=1)
        self.conv2 = nn.Conv2d(8, 16, kernel_size=3, stride=2, padding=1)
        self.fc = nn.Linear(16 * 2 * 2, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Map pixels ``(batch, 64)`` to class scores ``(batch, 10)``."""
        x = torch.relu(self.conv1(x.unflatten(-1, (1, 8, 8))))
        x = torch.relu(self.conv2(x))
        return self.fc(x.flatten(-3))


class LSTM(nn.Module):
    """Reads a digit row by row, from the top, and classifies by what it holds after the eighth.

    The cell is that of ``nn.LSTM``, spelled out because torch cannot batch that one over models.
    ``nn.LSTM`` has a second bias, added to the first; its four gates come in the same order.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTM.html

    >>> LSTM()(torch.zeros(16, 64)).shape
    torch.Size([16, 10])
    """

    def __init__(self, hidden: int = 24) -> None:
        super().__init__()
        self.from_row = nn.Linear(8, 4 * hidden)
        self.from_hidden = nn.Linear(hidden, 4 * hidden, bias=False)
        self.fc = nn.Linear(hidden, 10)

    def read(self, rows: Tensor) -> Tensor:
        """Map a sequence ``(batch, length, 8)`` to the last hidden state ``(batch, hidden)``."""
        rows = self.from_row(rows)  # for all rows at once: this part does not wait for the state
        h = c = torch.zeros_like(rows[..., 0, : self.fc.in_features])
        for row in rows.unbind(-2):
            write, keep, new, show = (row + self.from_hidden(h)).chunk(4, -1)
            c = keep.sigmoid() * c + write.sigmoid() * new.tanh()
            h = show.sigmoid() * c.tanh()
        return h

    def forward(self, x: Tensor) -> Tensor:
        """Map pixels ``(batch, 64)`` to class scores ``(batch, 10)``."""
        return self.fc(self.read(x.unflatten(-1, (8, 8))))


class Transformer(nn.Module):
    """One pre-norm block over the 8 rows of a digit as tokens, with learned positions.

    Source: https://arxiv.org/abs/1706.03762; normalising before each part rather than after it:
    https://arxiv.org/abs/2002.04745

    >>> Transformer()(torch.zeros(16, 64)).shape
    torch.Size([16, 10])
    """

    def __init__(self, width: int = 24, heads: int = 2) -> None:
        super().__init__()
        self.heads = heads
        self.embed = nn.Linear(8, width)
        # About as large as what they are added to: much smaller, and rows look alike for long.
        self.positions = nn.Parameter(0.3 * torch.randn(8, width))
        self.norm1 = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.mix = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 2 * width)
        self.contract = nn.Linear(2 * width, width)
        self.norm3 = nn.LayerNorm(width)
        self.fc = nn.Linear(width, 10)

    def attend(self, x: Tensor) -> Tensor:
        """Let every token look at all: ``(batch, 8, width)`` to the same shape."""
        parts = self.query_key_value(x).unflatten(-1, (3 * self.heads, -1)).transpose(-3, -2)
        heads = attention(*parts.chunk(3, -3))
        return self.mix(heads.transpose(-3, -2).flatten(-2))

    def forward(self, x: Tensor) -> Tensor:
        """Map pixels ``(batch, 64)`` to class scores ``(batch, 10)``."""
        x = self.embed(x.unflatten(-1, (8, 8))) + self.positions
        x = x + self.attend(self.norm1(x))
        x = x + self.contract(torch.relu(self.expand(self.norm2(x))))
        return self.fc(self.norm3(x).mean(-2))


def attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Average the values, weighted by how well each key fits the query.

    All have shape ``(..., tokens, size)``. It is what
    ``torch.nn.functional.scaled_dot_product_attention`` does, which torch cannot batch over models.
    """
    fit = query @ key.mT / math.sqrt(query.shape[-1])
    return fit.softmax(-1) @ value


MODELS: Mapping[str, type[nn.Module]] = MappingProxyType(
    {model.__name__: model for model in (MLP, CNN, LSTM, Transformer, SimpleNet)}
)
"""Name -> class, in the order in which the lessons meet them."""


def seeded(make_model: Callable[[], nn.Module], seed: int) -> nn.Module:
    """Make a model whose initial weights depend on ``seed`` alone.

    torch draws initial weights from its global random numbers. They are put back afterwards, and
    one model is made at a time, so that models made on several threads are the same ones. Weights
    are drawn in single precision even where torch's default is another, and then converted. Lazy
    layers draw theirs when they see their first rows: these depend on ``seed`` alone, too.

    >>> first, second = seeded(MLP, 0), seeded(MLP, 0)
    >>> bool((first.fc1.weight == second.fc1.weight).all())
    True
    """
    with borrowed(seed):
        default = torch.get_default_dtype()
        torch.set_default_dtype(torch.float32)
        try:
            model = make_model()
        finally:
            torch.set_default_dtype(default)
    if isinstance(model, nn.Module):
        if default is not torch.float32:
            model.to(default)
        lazy = [m for m in model.modules() if isinstance(m, LazyModuleMixin)]
        for number, module in enumerate(lazy, start=1):
            begin = partial(_initialize, module, seed + number * 2**20)
            module.initialize_parameters = begin  # type: ignore[method-assign]
    return model


def _initialize(module: Any, seed: int, *rows: Any, **named: Any) -> None:
    """Draw a lazy layer's weights once, from numbers of its own."""
    del module.initialize_parameters  # from here on it is the class's own again
    with borrowed(seed):
        module.initialize_parameters(*rows, **named)
