"""The script behind "Show code": one setting in plain PyTorch."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Mapping

from torch import nn

from .data import Dataset
from .optimizers import get_rule
from .rows import Schedule

_SCRIPT = """\
{imports}
{definition}data = {source}
torch.manual_seed({seed})
model = {model}()
loss_fn = torch.nn.{loss}()
optimizer = {optimizer}
{scheduler}order = torch.Generator().manual_seed({seed})

for epoch in range({epochs}):
    lr = optimizer.param_groups[0]["lr"]
    for rows in torch.randperm({train_size}, generator=order).split({batch_size}):
        optimizer.zero_grad()
        loss_fn(model(data.x_train[rows]), data.y_train[rows]).backward()
        optimizer.step()
{after_batch}    with torch.no_grad():
        val_loss = loss_fn(model(data.x_val), data.y_val).item()
    print(f"epoch {{epoch + 1}}: rate {{lr:.6g}}, validation loss {{val_loss:.4f}}")
{after_epoch}"""


def training_script(
    schedule: Schedule,
    params: Mapping[str, float],
    *,
    base_lr: float,
    epochs: int,
    data: Dataset,
    make_model: Callable[[], nn.Module],
    optimizer: str = "momentum",
    batch_size: int = 16,
    step_every: str | None = None,
    seed: int = 0,
) -> str:
    """Write a script that trains exactly this configuration and prints rate and loss per epoch.

    The loop, the optimizer and the scheduler are plain PyTorch; only data and model come from
    the kit. A schedule that torch has no class for brings along the function that builds it. A
    model of the reader's own is named, and left for the reader to paste in.

    Args:
        schedule: a row of `SCHEDULES`.
        params: all of the schedule's own.
        base_lr, epochs, data, make_model, optimizer, batch_size, seed: as in `train_many`.
        step_every: "epoch" or "batch"; None: as practice steps this schedule.

    >>> from lrsched_kit import MLP, get_schedule, load_digits
    >>> row = get_schedule("StepLR")
    >>> script = training_script(
    ...     row, row.complete({}), base_lr=0.1, epochs=8, data=load_digits(), make_model=MLP
    ... )
    >>> [line for line in script.splitlines() if "scheduler" in line]  # doctest: +ELLIPSIS
    ['scheduler = ...StepLR(optimizer, step_size=5, gamma=0.1)', '    scheduler.step()']
    """
    step_every = step_every or schedule.step_every
    steps = math.ceil(len(data.x_train) / batch_size)
    total_steps = epochs * (steps if step_every == "batch" else 1)
    definition, call = _scheduler(schedule, params, base_lr, total_steps)
    step = f"scheduler.step({'val_loss' if schedule.metric_driven else ''})\n" if call else ""
    name = getattr(make_model, "__name__", "")
    model = name if name.isidentifier() else "Model"
    own_model = not getattr(make_model, "__module__", "").startswith(__package__)
    names = sorted({data.source.split("(")[0], *([] if own_model else [model])} - {""})
    imports = [*(["import math", ""] if "math." in definition else []), "import torch"]
    # "(?<!\.)": not as the end of a longer name, such as torch.optim.lr_scheduler.
    torch_names = ("Optimizer", "lr_scheduler")
    used = [n for n in torch_names if re.search(rf"(?<!\.)\b{n}\b", definition + call)]
    if used:
        imports.append(f"from torch.optim import {', '.join(used)}")
    if names:
        imports += ["", f"from lrsched_kit import {', '.join(names)}"]
    if own_model:
        imports += ["", f"# {model} is your own model: put its definition here."]
    return _SCRIPT.format(
        imports="\n".join([*imports, ""]),
        definition=definition,
        source=data.source or "...  # your own data set",
        model=model,
        loss=type(data.loss_fn).__name__,
        optimizer=get_rule(optimizer).code.format(lr=base_lr),
        scheduler=call,
        train_size=len(data.x_train),
        batch_size=batch_size,
        epochs=epochs,
        seed=seed,
        after_batch=f"        {step}" if step and step_every == "batch" else "",
        after_epoch=f"    {step}" if step and step_every == "epoch" else "",
    )


def _scheduler(
    schedule: Schedule, params: Mapping[str, float], base_lr: float, total_steps: int
) -> tuple[str, str]:
    """Return what has to be defined, and the lines that make the scheduler."""
    if schedule.name == "Constant":
        return "", ""
    if schedule.code is not None:
        functions, lines = schedule.code(base_lr=base_lr, total_steps=total_steps)
        return f"\n{functions}\n\n" if functions else "", f"{lines}\n"
    make = schedule.make
    given = schedule.arguments(params, total_steps)
    arguments = ", ".join(["optimizer", *(f"{name}={value!r}" for name, value in given.items())])
    if inspect.isclass(make):
        return "", f"scheduler = {make.__module__}.{make.__name__}({arguments})\n"
    return (
        f"\n{inspect.getsource(make)}\n\n",
        f"scheduler = {make.__name__}({arguments})\n",
    )
