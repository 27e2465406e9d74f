"""What a row of the catalogue is: how torch's scheduler is made, and what to know about it."""

from __future__ import annotations

import inspect
from collections import UserDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

import torch
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from ..words import Worded, say
from ..words.errors import check_number
from .params import Knob, Param, complete

# A row says how it is drawn: a colour for each family, and line styles that differ within it.
# Okabe and Ito's palette, told apart by colour-blind readers.
GREY, VERMILION, GREEN, BLUE = "#7f7f7f", "#d55e00", "#009e73", "#0072b2"
ORANGE, SKY, BLACK, PURPLE = "#e69f00", "#56b4e9", "#000000", "#b5548a"

Dashes = str | tuple[int, tuple[float, ...]]  # a line style as matplotlib takes it

SOLID: Dashes = "-"
LONG: Dashes = (0, (7, 1.5))
SHORT: Dashes = (0, (3.5, 1.2))
DOTS: Dashes = (0, (1.2, 1.2))
DASH_DOT: Dashes = (0, (7, 1.5, 1.5, 1.5))
DASH_DOTS: Dashes = (0, (7, 1.5, 1.5, 1.5, 1.5, 1.5))


class _Said(UserDict[str, str]):
    """Name -> sentence, kept as a key of the table of words and looked up when it is read."""

    def __getitem__(self, name: str) -> str:
        return say(self.data[name])


_NAMES = ("steps", "decay", "cosine", "warmup", "cycles", "composition", "metric")
FAMILIES: Mapping[str, str] = MappingProxyType(_Said({n: f"{n}.family" for n in _NAMES}))
"""The families of schedules, and what the rates of each look like."""

_TORCH_PAGE = "https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.{}.html"


@dataclass(frozen=True)
class Schedule:
    """One row of the catalogue.

    Attributes:
        name: torch's class name where there is one; the fixed rate is "Constant".
        make: a class of torch, called ``make(optimizer, **params)``, or a function that puts one
            together; where it names ``total_steps`` it is given that too. "Show code" prints it.
        params: the knobs, named as torch names them.
        formula: LaTeX, with t the number of scheduler steps taken and T those of the run. It and
            other texts are the row's own, or a key of the table of words.
        when: what the schedule is for, in one sentence.
        family: a key of `FAMILIES`, or one of your own.
        source: where it was published, or torch's page.
        step_every: "epoch" or "batch": how practice steps it.
        moves_momentum: whether it moves the optimizer's momentum (or beta1) as well.
        refuse: ``refuse(base_lr=, total_steps=, **params)`` says in words which values do not go
            together, or returns None.
        code: ``code(base_lr=, total_steps=)`` returns the functions to define, and the lines that
            make ``scheduler``, where `make` is nothing that "Show code" can print.
        style: ``(color, linestyle)`` of its curves, as matplotlib takes them; None: the kit's
            style for that name, or one kept for rows of your own.
    """

    name: str
    make: Callable[..., LRScheduler]
    params: tuple[Knob, ...] = ()
    _: KW_ONLY
    formula: Worded = Worded()
    when: Worded = Worded()
    family: str = "own"
    source: str = ""
    step_every: str = "epoch"
    moves_momentum: bool = False
    refuse: Callable[..., str | None] | None = None
    code: Callable[..., tuple[str, str]] | None = None
    style: tuple[str, Dashes] | None = None

    @cached_property
    def metric_driven(self) -> bool:
        """Whether the scheduler is told a metric at each step: whether it is a plateau's."""
        if inspect.isclass(self.make):
            return issubclass(self.make, ReduceLROnPlateau)
        try:
            arguments = self.arguments(self.complete({}), total_steps=10)
            made = self.make(dummy_optimizer([0.1]), **arguments)
        except Exception:  # it does not go with such an optimizer, say
            return False
        return isinstance(made, ReduceLROnPlateau)

    def complete(self, params: Mapping[str, object], horizon: int | None = None) -> dict[str, Any]:
        """Return all params: the given ones checked, the others at their defaults.

        Args:
            params: by name.
            horizon: the number of scheduler steps in the run, for a param that stands for it and
                is left out.

        >>> from lrsched_kit import get_schedule
        >>> get_schedule("CosineAnnealingLR").complete({"eta_min": 0.01}, horizon=12)
        {'T_max': 12, 'eta_min': 0.01}
        """
        if horizon is not None:
            told = {p.name: horizon for p in self.params if isinstance(p, Param) and p.horizon}
            params = {**told, **params}
        return complete(self.params, params, owner=self.name)

    def check(
        self, params: Mapping[str, object], *, base_lr: float, total_steps: int
    ) -> dict[str, Any]:
        """Return all params as `complete` does, and refuse those that do not go together.

        Raises:
            ValueError: naming argument, constraint and value.

        >>> from lrsched_kit import get_schedule
        >>> get_schedule("CosineAnnealingLR").check({"eta_min": 1.0}, base_lr=0.1, total_steps=9)
        Traceback (most recent call last):
        ...
        ValueError: eta_min must be at most base_lr (0.1), got 1: the rate falls from base_lr to it.
        """
        full = self.complete(params)
        if self.refuse and (why := self.refuse(base_lr=base_lr, total_steps=total_steps, **full)):
            raise ValueError(why)
        return full

    def for_group(self, params: Mapping[str, Any], ratio: float) -> dict[str, Any]:
        """Return the params that suit a group that has ``ratio`` times the first one's rate."""
        told = {p.name for p in self.params if isinstance(p, Param) and p.per_group}
        return {k: v * ratio if k in told else v for k, v in params.items()}

    def arguments(self, params: Mapping[str, Any], total_steps: int) -> dict[str, Any]:
        """Return what `make` is called with besides the optimizer."""
        return {"total_steps": total_steps, **params} if _wants_length(self.make) else dict(params)

    def build(self, optimizer: Optimizer, *, total_steps: int, **params: Any) -> LRScheduler:
        """Make the torch scheduler; params left out take their defaults.

        Each of the optimizer's parameter groups starts from its own rate, and keeps its ratio to
        the others. Params that are rates, such as ``max_lr``, are meant for the first group.

        Raises:
            ValueError: for params that are bad, as `check` does, for any of the groups.
        """
        rates = [float(group["lr"]) for group in optimizer.param_groups]
        full = self.check(params, base_lr=rates[0], total_steps=total_steps)
        if any(isinstance(p, Param) and p.per_group for p in self.params):
            check_number('param_groups[0]["lr"]', rates[0])  # others' are in proportion to it
        for number, rate in enumerate(rates[1:], start=1):
            theirs = self.for_group(full, rate / (rates[0] or 1))
            try:
                self.check(theirs, base_lr=rate, total_steps=total_steps)
            except ValueError as error:
                raise ValueError(f"param_groups[{number}]: {error}") from None
        return self.make(optimizer, **self.arguments(full, total_steps))


def dummy_optimizer(rates: Sequence[float]) -> Optimizer:
    """Make an optimizer with these rates and nothing to train, for a scheduler to move."""
    groups = [{"params": [torch.zeros((), requires_grad=True)], "lr": rate} for rate in rates]
    return SGD(groups, lr=rates[0], momentum=0.9)


def _wants_length(make: Callable[..., LRScheduler]) -> bool:
    return "total_steps" in inspect.signature(make).parameters


def row(make: Callable[..., LRScheduler], *params: Knob, **facts: Any) -> Schedule:
    """Make a row; a class of torch gives its ``name``, and a name of torch's its ``source``.

    What wants to know the length of the run in steps is stepped per batch in practice.
    """
    name = facts.pop("name", make.__name__)
    step_every = "batch" if _wants_length(make) else "epoch"
    known = {"source": _TORCH_PAGE.format(name), "step_every": step_every}
    return Schedule(name, make, params, **known | facts)
