"""The models of a fleet, one for each seed."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from ..tasks.data import Dataset
from ..tasks.models import seeded
from ..tasks.torch_private import copy_hooks, hooked
from .trial import try_out


class Pool(dict[int, nn.Module]):
    """Seed -> its model, as training begins with it, made when it is asked for; never trained.

    Lazy layers take their shapes from the data; other arguments are those of `Fleet`.
    """

    def __init__(
        self,
        make_model: Callable[[], nn.Module],
        data: Dataset,
        batch_size: int,
        given: Mapping[int, nn.Module],
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        self._make_model, self._data, self._batch_size = make_model, data, batch_size
        self._given, self._dtype = dict(given), dtype
        self._shares: bool | None = None  # whether models hold the same parameters

    def __missing__(self, seed: int) -> nn.Module:
        given = self._given.pop(seed, None)
        model = self._made(seed) if given is None else given
        if isinstance(model, nn.Module) and any(map(is_lazy, model.parameters())):
            try_out(model, self._data, self._batch_size)
        self[seed] = model
        return model

    def fresh(self, seed: int) -> nn.Module:
        """Return one more such model, to be trained.

        A copy will do, except where code outside the model knows of it, as hooks do: then it is
        made anew. But models that share parameters, a backbone say, must not be trained one after
        the other.
        """
        pristine = self[seed]
        if hooked(pristine):
            made = self._made(seed)
            if not any(_share(made, model) for model in self.values()):
                return made
        made = copy.deepcopy(pristine)
        copy_hooks(pristine, made)
        return made

    def _made(self, seed: int) -> nn.Module:
        model = seeded(self._make_model, seed)
        if self._dtype is None or not isinstance(model, nn.Module):
            return model
        if all(p.dtype == self._dtype for p in model.parameters() if p.is_floating_point()):
            return model
        if self._shares is None:
            self._shares = _share(model, seeded(self._make_model, seed))
        return (copy.deepcopy(model) if self._shares else model).to(self._dtype)


def _share(first: nn.Module, second: nn.Module) -> bool:
    return not {id(p) for p in first.parameters()}.isdisjoint(id(p) for p in second.parameters())
