"""The script behind "Show code": one lab setting in plain PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .optimizers import get_rule

if TYPE_CHECKING:
    from .labs.schedule_work import Setting, Task

_SCRIPT = """\
import torch

{imports}
data = {source}
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
    with torch.no_grad():
        val_loss = loss_fn(model(data.x_val), data.y_val).item()
    print(f"epoch {{epoch + 1}}: rate {{lr:.6g}}, validation loss {{val_loss:.4f}}")
{step}"""


def training_script(task: Task, setting: Setting, *, seed: int = 0) -> str:
    """Write a script that trains exactly this configuration and prints rate and loss per epoch.

    The loop, the optimizer and the scheduler are plain PyTorch; only data and model come from
    the kit. A model of the reader's own is named, and left for the reader to paste in.

    >>> from lrsched_kit import ScheduleLab
    >>> lab = ScheduleLab("StepLR", step_size=5, gamma=0.3, epochs=8)
    >>> [line for line in lab.code.splitlines() if "scheduler" in line]  # doctest: +ELLIPSIS
    ['scheduler = ...StepLR(optimizer, step_size=5, gamma=0.3)', '    scheduler.step()']
    >>> lab.close()
    """
    schedule = task.schedule
    name = getattr(task.make_model, "__name__", "")
    model = name if name.isidentifier() else "Model"
    own_model = not getattr(task.make_model, "__module__", "").startswith(__package__)
    names = sorted({task.data.source.split("(")[0], *([] if own_model else [model])} - {""})
    imports = [f"from lrsched_kit import {', '.join(names)}"] if names else []
    if own_model:
        imports.append(f"# {model} is your own model: put its definition here.")
    build = step = ""
    if schedule.name != "Constant":
        arguments = "".join(f", {name}={value!r}" for name, value in setting.params.items())
        build = f"scheduler = torch.optim.lr_scheduler.{schedule.name}(optimizer{arguments})\n"
        step = f"    scheduler.step({'val_loss' if schedule.metric_driven else ''})\n"
    return _SCRIPT.format(
        imports="\n".join([*imports, ""]),
        source=task.data.source or "...  # your own data set",
        model=model,
        loss=type(task.data.loss_fn).__name__,
        optimizer=get_rule(task.optimizer).code.format(lr=setting.base_lr),
        scheduler=build,
        train_size=len(task.data.x_train),
        batch_size=task.batch_size,
        epochs=setting.epochs,
        seed=seed,
        step=step,
    )
