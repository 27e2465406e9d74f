"""What a row of the catalogue is: how torch's scheduler is made, and what to know about it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from ..words import Worded, say
from ..words.errors import check_number, nearest
from .palette import Dashes
from .params import Knob, Param

_FAMILIES = ("steps", "decay", "cosine", "warmup", "cycles", "composition", "metric")


class _Families(Mapping[str, str]):
    """Family -> sentence, looked up when it is read."""

    def __getitem__(self, family: str) -> str:
        if family not in _FAMILIES:
            raise KeyError(family)
        return say(f"{family}.family")

    def __iter__(self) -> Iterator[str]:
        return iter(_FAMILIES)

    def __len__(self) -> int:
        return len(_FAMILIES)


FAMILIES: Mapping[str, str] = _Families()
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
        known = [param.name for param in self.params]
        for key in params:
            if key not in known:
                raise ValueError(
                    f"{self.name} has no parameter {key!r}{nearest(key, known)}; "
                    f"it takes {', '.join(known) or 'none'}."
                )
        defaults = {p.name: p.default for p in self.params}
        if horizon is not None:
            defaults |= {p.name: horizon for p in self.params if isinstance(p, Param) and p.horizon}
        return {p.name: p.check(params.get(p.name, defaults[p.name])) for p in self.params}

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
        """Return the params that suit a group whose base rate is ``ratio`` times the first one's.

        >>> from lrsched_kit import get_schedule
        >>> get_schedule("CyclicLR").for_group({"max_lr": 1.0, "cycles": 4}, 0.01)
        {'max_lr': 0.01, 'cycles': 4}
        """
        return {k: v * ratio if k in self._rates_told else v for k, v in params.items()}

    @property
    def _rates_told(self) -> list[str]:
        return [p.name for p in self.params if isinstance(p, Param) and p.per_group]

    def arguments(self, params: Mapping[str, Any], total_steps: int) -> dict[str, Any]:
        """Return what `make` is called with besides the optimizer."""
        wants_length = "total_steps" in inspect.signature(self.make).parameters
        return {**({"total_steps": total_steps} if wants_length else {}), **params}

    def build(self, optimizer: Optimizer, *, total_steps: int, **params: Any) -> LRScheduler:
        """Make the torch scheduler; params left out take their defaults.

        Each of the optimizer's parameter groups starts from its own rate, and keeps its ratio to
        the others. Params that are rates, such as ``max_lr``, are meant for the first group.

        Raises:
            ValueError: for params that are bad, as `check` does, for any of the groups.
        """
        rates = [float(group["lr"]) for group in optimizer.param_groups]
        full = self.check(params, base_lr=rates[0], total_steps=total_steps)
        if self._rates_told:  # the other groups' are in proportion to the first one's
            check_number('param_groups[0]["lr"]', rates[0])
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


def row(make: Callable[..., LRScheduler], *params: Knob, **facts: Any) -> Schedule:
    """Make a row; a class of torch gives its ``name``, and a name of torch's its ``source``."""
    name = facts.pop("name", make.__name__)
    return Schedule(name, make, params, **{"source": _TORCH_PAGE.format(name)} | facts)
