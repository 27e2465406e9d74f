"""What decides how a model is trained: which optimizer it is, hooks, draws, steps that are left."""

import pytest
import torch
from torch import nn, optim
from torch.nn import functional

from lrsched_kit.tasks.optimizers import build_optimizer, rule_of
from lrsched_kit.tasks.randomness import OwnRandomness, borrowed
from lrsched_kit.tasks.torch_private import Draws, hooked, steps_left


def weights():
    return [torch.zeros(1, requires_grad=True)]


@pytest.mark.parametrize(
    ("optimizer", "rule"),
    [(optim.Adam(weights(), lr=3.0), "adam"), (optim.Adam(weights(), eps=1e-6), None)],
)
def test_a_rule_is_known_by_all_its_settings(optimizer, rule):
    assert rule_of(optimizer) == rule


def test_base_lr_moves_all_groups_in_proportion():
    def two_rates(model):
        groups = [{"params": [model.weight]}, {"params": [model.bias], "lr": 0.001}]
        return optim.SGD(groups, lr=0.1)

    optimizer = build_optimizer(two_rates, nn.Linear(2, 1), base_lr=0.2)
    assert [group["lr"] for group in optimizer.param_groups] == [0.2, 0.002]


def test_a_one_cycle_knows_how_many_steps_are_left():
    scheduler = optim.lr_scheduler.OneCycleLR(optim.SGD(weights()), max_lr=0.1, total_steps=5)
    assert steps_left(scheduler) == 5


def test_a_hook_on_a_parameter_or_a_module_is_seen():
    model = nn.Linear(2, 1)
    assert hooked(model) == ""
    model.weight.register_hook(lambda grad: 2 * grad)
    assert hooked(model) == "weight"
    model.register_forward_hook(lambda *_: None)
    assert hooked(model) == "Linear"


def test_only_what_draws_counts_as_a_draw():
    with Draws() as draws:
        torch.zeros(2).relu()
    assert not draws.any
    with draws:
        torch.rand(2)
    assert draws.any


def test_own_numbers_are_those_of_manual_seed():
    with OwnRandomness(0, frozenset({functional.dropout}), others=False):
        first = functional.dropout(torch.ones(6))
    with borrowed(0):
        assert torch.equal(first, functional.dropout(torch.ones(6)))
