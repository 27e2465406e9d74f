"""Small plain models, a screenful each, and the one way to make them reproducibly."""

from __future__ import annotations

import threading
from collections.abc import Callable

import torch
from torch import Tensor, nn

_one_at_a_time = threading.RLock()


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


def seeded(make_model: Callable[[], nn.Module], seed: int) -> nn.Module:
    """Make a model whose initial weights depend on ``seed`` alone.

    torch draws initial weights from its global random numbers. They are put back afterwards, and
    one model is made at a time, so that models made on several threads are the same ones.

    >>> first, second = seeded(MLP, 0), seeded(MLP, 0)
    >>> bool((first.fc1.weight == second.fc1.weight).all())
    True
    """
    with _one_at_a_time:
        state = torch.default_generator.get_state()
        try:
            torch.default_generator.manual_seed(seed)
            return make_model()
        finally:
            torch.default_generator.set_state(state)
