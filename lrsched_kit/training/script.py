"""The script behind "Show code": one setting in plain PyTorch, and a reader's functions as text."""

from __future__ import annotations

import ast
import builtins
import inspect
import math
import re
import symtable
import sys
import textwrap
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

from torch import nn
from torch.optim import Optimizer, lr_scheduler

from ..schedules.decays import constant
from ..schedules.spec import Schedule
from ..tasks.data import Dataset, told_metric
from ..tasks.optimizers import Maker, get_rule
from ..words import say
from .loop import scheduler_steps

Need = tuple[str, str]  # "from first import second"; with nothing first, "import second"

_SCRIPT = """\
{imports}
{definition}data = {source}
torch.manual_seed({seed})
model = {model}()
loss_fn = {loss}
optimizer = {optimizer}
{rates}{scheduler}order = torch.Generator().manual_seed({seed})
{before}
for epoch in range({epochs}):
    lr = {lr}
    for rows in torch.randperm({train_size}, generator=order).split({batch_size}):
        optimizer.zero_grad()
        loss_fn(model(data.x_train[rows]), data.y_train[rows]).backward()
        optimizer.step()
{after_batch}{to_evaluate}    with torch.no_grad():
        outputs = model(data.x_val)
        val_loss = loss_fn(outputs, data.y_val).item()
{told}{to_train}    print(f"{printed}")
{after_epoch}"""
# Batch norm and dropout work in two ways, and dropout draws: none of the kit's models has them.
_BEFORE = """\
torch.manual_seed({seed})  # {why}
if not model.training:
    model.train()
modes = [(module, module.training) for module in model.modules()]
"""
_TO_TRAIN = """\
    for module, mode in modes:
        module.training = mode
"""
_KITS_DATA = re.compile(r"(load_digits|toy_regression)\(")
_SCOPE = {"math": math, "Optimizer": Optimizer, "lr_scheduler": lr_scheduler}  # of `Schedule.code`


def training_script(
    schedule: Schedule,
    params: Mapping[str, float],
    *,
    base_lr: float,
    epochs: int,
    data: Dataset,
    make_model: Callable[[], nn.Module],
    optimizer: str | Maker = "momentum",
    rates: Sequence[float] = (),
    batch_size: int = 16,
    step_every: str | None = None,
    metric: str | None = None,
    seed: int = 0,
) -> str:
    """Write a script that trains exactly this configuration and prints rate and loss per epoch.

    The loop, the optimizer and the scheduler are plain PyTorch; only data and model come from
    the kit. A schedule that torch has no class for brings along the function that builds it. A
    model, a data set or a scheduler of the reader's own that cannot be printed is named, and left
    for the reader to paste in.

    Args:
        schedule: a row of `SCHEDULES`, or a row of one's own.
        params: the schedule's own; those left out take the row's defaults.
        base_lr, epochs, data, make_model, batch_size, seed: as in `train_many`.
        optimizer: a name, or a function of the model.
        rates: of each parameter group, where a function makes the optimizer.
        metric: what ReduceLROnPlateau is told: see `train`.
        step_every: "epoch" or "batch"; None: as practice steps this schedule.

    >>> from lrsched_kit import MLP, get_schedule, load_digits
    >>> row = get_schedule("StepLR")
    >>> script = training_script(
    ...     row, row.complete({}), base_lr=0.1, epochs=8, data=load_digits(), make_model=MLP
    ... )
    >>> [line for line in script.splitlines() if "scheduler" in line]  # doctest: +ELLIPSIS
    ['scheduler = ...StepLR(optimizer, step_size=5, gamma=0.1)', '    scheduler.step()']
    """
    params = schedule.complete(params)
    step_every = step_every or schedule.step_every
    steps = math.ceil(len(data.x_train) / batch_size)
    total_steps = scheduler_steps(epochs, steps, step_every)
    definition, scheduler, needs = _scheduler(schedule, params, base_lr, total_steps)
    told, reported = "", ""
    if schedule.metric_driven:
        told = _told(told_metric(data, params.get("mode", "min"), metric))
        reported = f"        told = {told}\n" if told != "val_loss" else ""
        told = "told" if reported else told
    step = f"scheduler.step({told})\n" if scheduler else ""
    made, set_rates, maker, makers_needs = _optimizer(optimizer, base_lr, rates)
    loss: Any = data.loss_fn
    plain = type(loss) in (nn.CrossEntropyLoss, nn.MSELoss) and vars(loss) == vars(type(loss)())
    kits = _KITS_DATA.match(data.source) if plain and type(data) is Dataset else None
    name = getattr(make_model, "__name__", "")
    model = name if name.isidentifier() else "Model"
    own_model = getattr(make_model, "__module__", "").split(".")[0] != "lrsched_kit"
    needs |= {("", "torch")} | makers_needs
    needs |= {("lrsched_kit", name) for name in (kits and kits[1], not own_model and model) if name}
    imports = import_lines(needs)
    if own_model:
        imports += ["", "# " + say("script_own_model", name=model)]
    lr, shown = 'optimizer.param_groups[0]["lr"]', "{lr:.6g}"
    if len(rates) > 1:
        lr = '[group["lr"] for group in optimizer.param_groups]'
        shown = "{', '.join(f'{rate:.6g}' for rate in lr)}"
    return _SCRIPT.format(
        imports="\n".join([*imports, ""]),
        definition=f"{definition}{maker}",
        source=data.source if kits else _own_data(data),
        model=model,
        loss=f"torch.nn.{type(loss).__name__}()" if plain else "data.loss_fn",
        optimizer=made,
        rates=set_rates,
        lr=lr,
        printed=say("script_prints", epoch="{epoch + 1}", rate=shown, loss="{val_loss:.4f}"),
        told=reported,
        before=_BEFORE.format(seed=seed, why=say("script_own_draws")) if own_model else "",
        scheduler=scheduler,
        train_size=len(data.x_train),
        batch_size=batch_size,
        epochs=epochs,
        seed=seed,
        to_train=_TO_TRAIN if own_model else "",
        to_evaluate="    model.eval()\n" if own_model else "",
        after_batch=f"        {step}" if step and step_every == "batch" else "",
        after_epoch=f"    {step}" if step and step_every == "epoch" else "",
    )


def _optimizer(
    optimizer: str | Maker, base_lr: float, rates: Sequence[float]
) -> tuple[str, str, str, set[Need]]:
    """Return what makes it, what sets its rates, what has to be defined, and what that imports."""
    if not callable(optimizer):
        return get_rule(optimizer).code.format(lr=base_lr), "", "", set()
    name, definition, needs = _own(optimizer, "make_optimizer", "script_own_optimizer")
    lines = f"for group, rate in zip(optimizer.param_groups, {[*rates]}):\n"
    lines += '    group["lr"] = rate\n'
    return f"{name}(model)", lines, definition, needs


def _told(metric: str) -> str:
    """Return what the scheduler is told, as an expression."""
    if metric == "loss":
        return "val_loss"
    if metric == "accuracy":
        return "(outputs.argmax(dim=1) == data.y_val).double().mean().item()"
    return f"float(data.metrics[{metric!r}](outputs, data.y_val))"


def _own_data(data: Dataset) -> str:
    if not data.source or _KITS_DATA.match(data.source):  # changed since the kit has made it
        return "...  # " + say("script_own_data")
    return f"{data.source}  # " + say("script_own_data_above")


def _scheduler(
    schedule: Schedule, params: Mapping[str, Any], base_lr: float, total_steps: int
) -> tuple[str, str, set[Need]]:
    """Return what has to be defined, the lines that make the scheduler, and what they import."""
    make = schedule.make
    if make is constant:
        return "", "", set()
    if schedule.code is not None:
        functions, lines = schedule.code(base_lr=base_lr, total_steps=total_steps)
        found = needs_of(f"{functions}\n{lines}", _SCOPE).values()
        return _block(functions), f"{lines}\n", {need for need in found if need}
    given = schedule.arguments(params, total_steps)
    arguments = ", ".join(["optimizer", *(f"{name}={value!r}" for name, value in given.items())])
    if inspect.isclass(make) and make.__module__.startswith("torch."):
        return "", f"scheduler = {make.__module__}.{make.__name__}({arguments})\n", set()
    name, definition, needs = _own(make, "make_scheduler", "script_own_scheduler")
    return definition, f"scheduler = {name}({arguments})\n", needs


def _own(function: Callable[..., Any], fallback: str, key: str) -> tuple[str, str, set[Need]]:
    """Return the name of a reader's function, its text, or who has to add it, and its imports."""
    name = getattr(function, "__name__", "")
    # A name that the script itself uses would be lost.
    usable = name.isidentifier() and name not in re.findall(r"\w+", _SCRIPT)
    name = name if usable else fallback
    found = source_of(function) if usable else None
    text, needs = found or (f"# {say(key, name=name)}\n", set())
    return name, _block(text), needs


def _block(text: str) -> str:
    return f"\n{text}\n\n" if text else ""


def source_of(function: Callable[..., Any]) -> tuple[str, set[Need]] | None:
    """Return the source of a function and what it imports, or None where it would not run alone.

    A lambda, a method, a partial, a function that uses variables around it: none of them does.
    """
    if not inspect.isfunction(function) or function.__code__.co_freevars:
        return None
    try:
        text = textwrap.dedent(inspect.getsource(function))
        (definition,) = ast.parse(text).body
    except (OSError, TypeError, SyntaxError, ValueError):
        return None
    if not isinstance(definition, ast.FunctionDef) or definition.name != function.__name__:
        return None
    found = needs_of(text, inspect.unwrap(function).__globals__)
    return None if None in found.values() else (text, {need for need in found.values() if need})


def needs_of(text: str, scope: Mapping[str, Any]) -> dict[str, Need | None]:
    """Return each global name that a piece of code uses -> its import, None if it has none.

    >>> import math
    >>> needs_of("def area(r: float) -> float: return math.pi * r * r * factor", {"math": math})
    {'factor': None, 'math': ('', 'math')}
    """
    top = symtable.symtable(text, "source", "exec")
    own = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_assigned()}
    used = {
        symbol.get_name()
        for table in _tables(top)
        for symbol in table.get_symbols()
        if symbol.is_referenced() and (table is top or symbol.is_global())
    }
    return {name: _import_of(name, scope) for name in sorted(used - own - set(dir(builtins)))}


def _tables(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    yield table
    for child in table.get_children():
        yield from _tables(child)


def _import_of(name: str, scope: Mapping[str, Any]) -> Need | None:
    thing = scope.get(name)
    if isinstance(thing, ModuleType):
        parent, _, last = thing.__name__.rpartition(".")
        if last == name:
            return parent, name
        return "", f"{thing.__name__} as {name}"
    parts = str(getattr(thing, "__module__", "")).split(".")
    for end in range(1, len(parts) + 1):  # the shortest path is the one that is written
        module = ".".join(parts[:end])
        if module != "__main__" and getattr(sys.modules.get(module), name, None) is thing:
            return (module, name) if thing is not None else None
    return None


def import_lines(needs: Iterable[Need]) -> list[str]:
    """Write imports as a reader would: Python's own, others, the kit's, a blank line between.

    >>> import_lines({("torch.optim", "Optimizer"), ("torch.optim", "SGD"), ("", "math")})
    ['import math', '', 'from torch.optim import Optimizer, SGD']
    """
    names: dict[str, list[str]] = defaultdict(list)
    for module, name in sorted(needs):
        names[module].append(name)
    whole = [(name, f"import {name}") for name in names.pop("", [])]
    parts = [(module, f"from {module} import {', '.join(n)}") for module, n in names.items()]
    blocks: list[list[str]] = [[], [], []]
    for module, line in [*whole, *parts]:
        first = module.split()[0].split(".")[0]
        place = 0 if first in sys.stdlib_module_names else 2 if first == "lrsched_kit" else 1
        blocks[place].append(line)
    lines = [line for block in blocks if block for line in ["", *block]]
    return lines[1:]
