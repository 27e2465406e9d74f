"""One definition of training: whatever trains, it does what a loop written out with torch does.

Models are put together from parts that look alike to a forward pass and differ in their gradients,
their modes, their state and what they draw; so are optimizers, schedules and losses.
`make fuzz` tries ten times as many.
"""

import random

import numpy as np
import pytest
import torch
from any_setting import numbers
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn, optim
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm
from torch.optim.lr_scheduler import ReduceLROnPlateau

from lrsched_kit import SCHEDULES, Dataset, Run, get_schedule, train_many
from lrsched_kit.tasks.optimizers import Unless
from lrsched_kit.training.threads import one_thread

WIDTH, CLASSES = 5, 3


# Parts of models


class Part(nn.Module):
    """A layer with something about it; ``how`` names what."""

    def __init__(self, how):
        super().__init__()
        self.how, self.calls = how, 0
        self.fc = nn.Linear(WIDTH, WIDTH)
        self.drawn = torch.rand(WIDTH).double()  # a plain tensor, another one for each seed
        self.register_buffer("mean", torch.zeros(WIDTH))

    def forward(self, x):
        return getattr(self, self.how)(x)

    def no_grad(self, x):
        with torch.no_grad():
            return self.fc(x)

    def detached(self, x):
        return x + self.fc(x).detach()

    def half_detached(self, x):
        return self.fc(x.detach())

    def plain_tensor(self, x):
        return self.fc(x) * self.drawn

    def only_in_training(self, x):
        return self.fc(x) if self.training else x

    def branch(self, x):
        return self.fc(x) if x[0, 0] > 0 else -x

    def counter(self, x):
        self.calls += 1
        return self.fc(x) * (1 + self.calls % 3)

    def running_mean(self, x):
        if self.training:
            self.mean.mul_(0.9).add_(x.detach().mean(0), alpha=0.1)
        return self.fc(x - self.mean)

    def renewed_buffer(self, x):
        self.mean = self.mean + x.detach().mean(0)
        return self.fc(x) + 0.1 * self.mean

    def state_in_an_attribute(self, x):
        self.drawn = 0.9 * self.drawn + 0.1 * x.detach().mean(0)
        return self.fc(x) + self.drawn

    def tensor_hook(self, x):
        x = self.fc(x)
        if x.requires_grad:
            x.register_hook(lambda grad: grad * (0.02 / grad.norm()).clamp(max=1))
        return x

    def clipping_function(self, x):
        return Clip.apply(self.fc(x))

    def inplace(self, x):
        return self.fc(x).mul_(2).relu_()

    def torch_noise(self, x):
        return self.fc(x + 0.1 * torch.randn_like(x))

    def numpy_noise(self, x):
        return self.fc(x) * (1 + 0.1 * np.random.rand())

    def stochastic_depth(self, x):
        return self.fc(x) if not self.training or random.random() < 0.5 else x

    def depends_on_batch_size(self, x):
        return self.fc(x) if self.training and len(x) > 5 else x.tanh()


class Clip(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        return grad.clamp(-0.01, 0.01)


def linear(change=None):
    layer = nn.Linear(WIDTH, WIDTH)
    if change is not None:
        change(layer)
    return layer


def zeroed(layer):
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)


def frozen(layer):
    layer.weight.requires_grad_(False)


def parameter_hook(layer):
    layer.weight.register_hook(lambda grad: grad.clamp(-0.01, 0.01))


def accumulate_hook(layer):
    def double(parameter):
        parameter.grad.mul_(2)

    layer.weight.register_post_accumulate_grad_hook(double)


def forward_hook(layer):
    layer.register_forward_hook(lambda module, args, output: 2 * output)


def backward_hook(layer):
    def halve(module, before, after):
        return tuple(None if grad is None else grad / 2 for grad in before)

    layer.register_full_backward_hook(halve)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.second.weight = self.first.weight

    def forward(self, x):
        return self.second(self.first(x).relu())


PARTS = {
    "Linear": linear,
    "ReLU": nn.ReLU,
    "Tanh": nn.Tanh,
    "LayerNorm": lambda: nn.LayerNorm(WIDTH),
    "BatchNorm": lambda: nn.BatchNorm1d(WIDTH),
    "BatchNorm in eval mode": lambda: nn.BatchNorm1d(WIDTH).eval(),
    "Dropout": lambda: nn.Dropout(0.3),
    "AlphaDropout": lambda: nn.AlphaDropout(0.3),
    "Dropout in eval mode": lambda: nn.Dropout(0.3).eval(),
    "weight norm": lambda: weight_norm(nn.Linear(WIDTH, WIDTH)),
    "tied": Tied,
    "frozen": lambda: linear(frozen),
    "zero": lambda: linear(zeroed),
    "parameter hook": lambda: linear(parameter_hook),
    "accumulate hook": lambda: linear(accumulate_hook),
    "forward hook": lambda: linear(forward_hook),
    "backward hook": lambda: linear(backward_hook),
    **{
        name: lambda name=name: Part(name)
        for name, value in vars(Part).items()
        if callable(value) and not name.startswith("_") and name != "forward"
    },
}
FIRST = {"Linear": nn.Linear, "lazy": lambda _, outputs: nn.LazyLinear(outputs)}
LAST = {"Linear": linear, "zero": zeroed, "parameter hook": parameter_hook}


class Recipe:
    """Makes one model; it can be read in what hypothesis prints."""

    def __init__(self, first, parts, last, mode):
        self.first, self.parts, self.last, self.mode = first, parts, last, mode

    def __repr__(self):
        return f"Recipe{(self.first, self.parts, self.last, self.mode)}"

    def __call__(self):
        last = nn.Linear(WIDTH, CLASSES)
        if self.last != "Linear":
            LAST[self.last](last)
        first = FIRST[self.first](6, WIDTH)
        made = nn.Sequential(first, *(PARTS[name]() for name in self.parts), last).double()
        if self.mode == "eval":
            made.eval()
        return made

    def seeded(self, seed):
        torch.manual_seed(seed)
        model = self()
        if self.first == "lazy":
            torch.manual_seed(seed + 2**20)
            model[0](torch.zeros(1, 6).double())
        return model


recipes = st.builds(
    Recipe,
    st.sampled_from(list(FIRST)),
    st.lists(st.sampled_from(list(PARTS)), max_size=4),
    st.sampled_from(list(LAST)),
    st.sampled_from(["train", "train", "eval"]),
)


# Optimizers


def groups(model, rates):
    """As many groups as rates, dealt out in turn."""
    params = list(model.parameters())
    dealt = [params[i :: len(rates)] for i in range(len(rates))]
    return [{"params": p, "lr": r} for p, r in zip(dealt, rates, strict=True) if p]


NAMED = {
    "sgd": lambda groups: optim.SGD(groups),
    "momentum": lambda groups: optim.SGD(groups, momentum=0.9),
    "adam": lambda groups: optim.Adam(groups),
    "adamw": lambda groups: optim.AdamW(groups),
}
OWN = NAMED | {
    "rmsprop": lambda groups: optim.RMSprop(groups),
    "weight decay": lambda groups: optim.SGD(groups, momentum=0.9, weight_decay=0.1),
    "nesterov": lambda groups: optim.SGD(groups, momentum=0.8, nesterov=True),
    "other betas": lambda groups: optim.Adam(groups, betas=(0.8, 0.99)),
    "amsgrad": lambda groups: optim.AdamW(groups, amsgrad=True),
    "one group decays": lambda groups: optim.AdamW([{**groups[0], "weight_decay": 0}, *groups[1:]]),
}
RATES = ((0.01,), (0.01, 0.001), (0.01, 0.02), (0.02, 0.01, 0.001))


class Maker:
    """Makes the optimizer of a model."""

    def __init__(self, name, rates, part):
        self.name, self.rates, self.part = name, rates, part

    def __repr__(self):
        return f"Maker{(self.name, self.rates, self.part)}"

    def __call__(self, model):
        return OWN[self.name](groups(model[-1] if self.part else model, self.rates))


makers = st.builds(
    Maker, st.sampled_from(list(OWN)), st.sampled_from(RATES), st.sampled_from([False] * 4 + [True])
)


# Data and losses


def brier(outputs, y):
    return (outputs.softmax(1) - functional.one_hot(y, CLASSES)).square().sum(1).mean()


def share_wrong(outputs, y):
    return (outputs.argmax(1) != y).sum().item() / 7


LOSSES = {
    "default": None,
    "class weights": nn.CrossEntropyLoss(weight=torch.tensor([1.0, 5.0, 0.2]).double()),
    "label smoothing": nn.CrossEntropyLoss(label_smoothing=0.2),
    "own": brier,
}


def make_data(loss):
    numbers = torch.Generator().manual_seed(0)
    x = torch.randn(26, 6, generator=numbers).double()
    if loss == "mse":
        y = torch.randn(26, CLASSES, generator=numbers).double()
        metrics = {"worst": lambda outputs, y: (outputs - y).abs().max()}
        return Dataset("tiny", x[:16], y[:16], x[16:], y[16:], metrics=metrics)
    y = (x[:, :CLASSES] + x[:, CLASSES:]).argmax(1)
    y[::5] = torch.randint(CLASSES, y[::5].shape, generator=numbers)
    metrics = {"wrong": share_wrong}
    return Dataset("tiny", x[:16], y[:16], x[16:], y[16:], loss=LOSSES[loss], metrics=metrics)


# The loop


def plain_loop(recipe, data, loss_fn, run, maker, *, epochs, batch_size, step_every):
    """Train one model as torch's tutorials do; nothing of the kit but the scheduler's row."""
    model = recipe.seeded(run.seed)
    if maker is None:
        optimizer = NAMED[run.optimizer]([{"params": list(model.parameters()), "lr": run.base_lr}])
    else:
        optimizer = maker(model)
        if not isinstance(run.base_lr, Unless):
            first = optimizer.param_groups[0]["lr"]
            for group in optimizer.param_groups:
                group["lr"] *= run.base_lr / first
    batches = -(-len(data.x_train) // batch_size)
    total = epochs * (batches if step_every == "batch" else 1)
    scheduler = get_schedule(run.schedule).build(optimizer, total_steps=total, **run.params)
    order = torch.Generator().manual_seed(run.seed)
    found = {"lr": [], "train_loss": [], "val_loss": []} | {name: [] for name in data.metrics}
    torch.manual_seed(run.seed)
    random.seed(run.seed)
    np.random.seed(run.seed)
    if not model.training:
        model.train()
    for _ in range(epochs):
        sum_ = 0.0
        for rows in torch.randperm(len(data.x_train), generator=order).split(batch_size):
            optimizer.zero_grad()
            loss = loss_fn(model(data.x_train[rows]), data.y_train[rows])
            loss.backward()
            found["lr"].append([group["lr"] for group in optimizer.param_groups])
            optimizer.step()
            sum_ += loss.item() * len(rows)
            if step_every == "batch":
                scheduler.step()
        found["train_loss"].append(sum_ / len(data.x_train))
        modes = {module: module.training for module in model.modules()}
        model.eval()
        with torch.no_grad():
            outputs = model(data.x_val)
            found["val_loss"].append(loss_fn(outputs, data.y_val).item())
            for name, metric in data.metrics.items():
                found[name].append(float(metric(outputs, data.y_val)))
        for module, mode in modes.items():
            module.training = mode
        if step_every == "batch":
            continue
        if isinstance(scheduler, ReduceLROnPlateau):
            told = run.metric or {"min": "val_loss", "max": "accuracy"}[scheduler.mode]
            scheduler.step(found[told][-1])
        else:
            scheduler.step()
    return {name: np.array(values) for name, values in found.items()}


@pytest.fixture(scope="module")
def one_torch_thread():
    with one_thread():
        yield


@st.composite
def any_run(draw, data, own_optimizer, step_every):
    names = [n for n, s in SCHEDULES.items() if step_every == "epoch" or not s.metric_driven]
    row = get_schedule(draw(st.sampled_from(names)))
    params = {p.name: draw(numbers(p, beyond=False)) for p in row.params if draw(st.booleans())}
    # Rounding errors grow as fast as weights do.
    params |= {p.name: 0.02 for p in row.params if p.name in ("max_lr", "swa_lr")}
    base_lr = Unless(0.1) if own_optimizer and draw(st.booleans()) else draw(st.floats(1e-3, 0.02))
    metric = None
    if row.metric_driven and params.get("mode") == "max" and "accuracy" not in data.metrics:
        metric = "worst"
    optimizer = "momentum" if own_optimizer else draw(st.sampled_from(list(NAMED)))
    return Run(row.name, params, base_lr, optimizer, draw(st.integers(0, 3)), metric=metric)


@st.composite
def any_fleet(draw):
    loss = draw(st.sampled_from([*LOSSES, "mse"]))
    data = make_data(loss)
    maker = draw(st.none() | makers)
    step_every = draw(st.sampled_from(["epoch", "batch"]))
    runs = draw(st.lists(any_run(data, maker is not None, step_every), min_size=1, max_size=2))
    options = {
        "epochs": draw(st.integers(1, 2)),
        # The last batch has four rows, as many as the others, six, two, or one, or is the only one.
        "batch_size": draw(st.sampled_from([6, 8, 10, 7, 15, 20])),
        "step_every": step_every,
    }
    return draw(recipes), loss, runs, maker, options


def truths(recipe, loss, runs, maker, options):
    data = make_data(loss)
    loss_fn = LOSSES.get(loss) or (nn.MSELoss() if loss == "mse" else nn.CrossEntropyLoss())
    return [plain_loop(recipe, data, loss_fn, run, maker, **options) for run in runs]


def assert_equal(history, truth):
    np.testing.assert_allclose(history.group_lr.T, truth["lr"], rtol=1e-12)
    for name in truth.keys() - {"lr"}:
        found = getattr(history, name) if name.endswith("_loss") else history.metrics[name]
        np.testing.assert_allclose(found, truth[name], rtol=1e-9, atol=1e-12, err_msg=name)


def assert_trained_as_by_a_loop(fleet):
    recipe, loss, runs, maker, options = fleet
    try:
        expected = truths(*fleet)
    except ValueError as refusal:
        expected = refusal
    trained = []
    options = options | {"make_optimizer": maker, "on_epoch": lambda *_: trained.append(_)}
    if isinstance(expected, ValueError):
        with pytest.raises(ValueError):
            train_many(recipe, make_data(loss), runs, **options)
        assert trained == []
        return
    for history, truth in zip(
        train_many(recipe, make_data(loss), runs, **options), expected, strict=True
    ):
        assert_equal(history, truth)


pytestmark = [
    pytest.mark.filterwarnings("ignore:Full backward hook is firing"),  # behind a no_grad part
    pytest.mark.usefixtures("one_torch_thread"),
]


@settings(max_examples=min(3000, 12 * settings.default.max_examples))
@given(any_fleet())
def test_whatever_is_trained_is_trained_as_by_a_loop_with_torch_only(fleet):
    assert_trained_as_by_a_loop(fleet)


@pytest.mark.parametrize("part", PARTS)
def test_each_part_is_with_two_seeds_and_a_small_last_batch(part):
    """Chance seldom brings a part, several seeds, uneven batches and a momentum together."""
    runs = [Run("Constant", {}, 0.02, "momentum", seed) for seed in (0, 1)]
    options = {"epochs": 2, "batch_size": 6, "step_every": "epoch"}
    recipe = Recipe("Linear", [part], "Linear", "train")
    assert_trained_as_by_a_loop((recipe, "default", runs, None, options))
